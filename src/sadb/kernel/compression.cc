// SPDX-License-Identifier: Apache-2.0
#include "sadb/kernel/compression.h"

#include <algorithm>
#include <cerrno>

#include "sadb/kernel/words.h"

namespace cygnet::sadb::kernel {
namespace {

namespace xfrm = wire::xfrm;

std::string name_of_compression(const model::SaSpec& spec) { return "IPComp inside " + name_of(spec); }

KernelError in_our_words(const KernelError& error) {
  switch (error.number) {
    // Inbound we draw another; outbound two peers behind one address may have drawn the same.
    case EEXIST: return {EEXIST, "there is one with this CPI already: whoever chose it must choose another"};
    case EINVAL:
    case ENOSYS:
    case ENOENT:
    case EPROTONOSUPPORT:
      return {error.number,
              "it has no IPComp with DEFLATE (modules ipcomp, ipcomp6, xfrm4_tunnel, xfrm6_tunnel, deflate)" +
                  (error.text.empty() ? "" : ": " + error.text)};
    default: return error;
  }
}

}  // namespace

Result<void> check_compression(const model::SaSpec& spec) {
  if (spec.protocol == model::SaProtocol::kAh) return fail("AH takes no compression beside it: use ESP");
  if (spec.resource) return fail("the kernel compresses nothing with SAs of single CPUs: compress=no, or clones=0");
  const auto selectors = kernel_selectors(spec.local_selectors, spec.remote_selectors);
  if (!selectors) return std::unexpected(selectors.error());
  const auto family = xfrm::family_of(spec.remote.address);
  // Linux: "Only tunnel modes can accommodate a change of family", and ESP is in transport mode.
  if (std::ranges::all_of(*selectors, [&](const auto& each) { return each.family == family; })) return {};
  return fail(
      "in the kernel a tunnel between addresses of one family compresses packets of that family only: "
      "compress=no, or engine=user");
}

xfrm::Message new_compression(const model::SaSpec& spec, std::uint32_t reqid, std::uint32_t mark) {
  const bool inbound = spec.direction == model::Direction::kInbound;
  const bool tunnel = spec.mode == model::Mode::kTunnel;
  xfrm::SaInfo info;
  info.id = {xfrm::Address::of(destination_of(spec)), Spi(spec.ipcomp_cpi), xfrm::kProtocolIpComp};
  info.source = xfrm::Address::of(inbound ? spec.remote.address : spec.local.address);
  info.family = xfrm::family_of(spec.local.address);
  info.mode = kernel_mode(spec.mode);
  info.reqid = reqid;
  info.limits = {xfrm::kInfinite, xfrm::kInfinite, xfrm::kInfinite, xfrm::kInfinite, 0, 0, 0, 0};
  // The outer header is made, and taken off, here.
  if (!spec.ecn) info.flags |= xfrm::kSaNoEcn;
  if (tunnel && spec.df == model::DfPolicy::kClear) info.flags |= xfrm::kSaNoPmtuDisc;
  xfrm::Message message;
  message.header = {xfrm::MessageType::kNewSa, xfrm::kRequest | xfrm::kAck, 0, 0};
  message.body = info;
  message.attributes.compress = xfrm::Algorithm{"deflate", {}, 0};
  Reach::of(spec).write(message.attributes);
  if (!inbound) {
    message.attributes.set_mark = mark;
    message.attributes.set_mark_mask = ~0U;
    if (tunnel && !spec.copy_dscp) message.attributes.extra_flags = xfrm::kExtraDontEncapDscp;
  }
  return message;
}

xfrm::Message name_compression(xfrm::MessageType type, const model::SaSpec& spec) {
  auto message = name_sa(type, spec);
  auto& id = std::get<xfrm::SaId>(message.body);
  id.spi = Spi(spec.ipcomp_cpi);
  id.protocol = xfrm::kProtocolIpComp;
  return message;
}

Result<void> add_compression(KernelPort& port, const model::SaSpec& spec, std::uint32_t reqid, std::uint32_t mark) {
  if (spec.ipcomp_cpi == 0) return {};
  const auto done = port.ask(new_compression(spec, reqid, mark));
  return done ? Result<void>{} : fail(words_of(in_our_words(done.error()), name_of_compression(spec)));
}

void remove_compression(KernelPort& port, const model::SaSpec& spec) {
  if (spec.ipcomp_cpi != 0) (void)port.ask(name_compression(xfrm::MessageType::kDelSa, spec));
}

Result<void> move_compression(KernelPort& port, const model::SaSpec& from, const model::SaSpec& to, std::uint32_t reqid,
                              std::uint32_t mark) {
  const bool same_ends = from.local.address == to.local.address && from.remote.address == to.remote.address;
  if (from.ipcomp_cpi == 0 || same_ends) return {};
  // While both are there nothing is missed, but where they have one name.
  const bool one_name = destination_of(from) == destination_of(to);
  if (one_name) remove_compression(port, from);
  if (auto added = add_compression(port, to, reqid, mark); !added) {
    if (one_name) (void)add_compression(port, from, reqid, mark);
    return added;
  }
  if (!one_name) remove_compression(port, from);
  return {};
}

// RFC 3173 section 2.2: what would not shrink is sent "in the original non-compressed form", so it need not be there in
// what comes in. (Linux lets nothing optional be in a tunnel on the way out, where its SA is passed through in any
// case.)
std::vector<xfrm::Template> compressed(const xfrm::Template& esp, bool outward) {
  auto ipcomp = esp;
  ipcomp.id.protocol = xfrm::kProtocolIpComp;
  ipcomp.optional = !outward;
  // PF_KEY names none where something is optional; the reqid of ESP says whose packet it is.
  if (!outward) ipcomp.reqid = 0;
  auto around = esp;
  around.mode = xfrm::kTransport;
  around.id.destination = {};
  around.source = {};
  return {ipcomp, around};
}

bool is_compressed(const std::vector<xfrm::Template>& templates) {
  return templates.size() > 1 && templates.front().id.protocol == xfrm::kProtocolIpComp;
}

}  // namespace cygnet::sadb::kernel
