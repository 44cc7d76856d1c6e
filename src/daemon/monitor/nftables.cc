// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/nftables.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <optional>

#include "base/bytes.h"
#include "io/errno_text.h"
#include "io/netlink_reading.h"

namespace cygnet::daemon {

void Nftables::Free::operator()(nft_ctx* context) const { nft_ctx_free(context); }

Result<Nftables> Nftables::open() {
  // The library ends the whole process where it cannot open this socket: tried before.
  io::UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!fd) {
    return io::fail_errno("cannot open a netlink socket to the packet filter");
  }
  nft_ctx* context = nft_ctx_new(NFT_CTX_DEFAULT);
  if (context == nullptr) {
    return fail("cannot begin with the packet filter");
  }
  (void)nft_ctx_buffer_output(context);
  (void)nft_ctx_buffer_error(context);
  return Nftables(context, std::move(fd));
}

Result<std::string> Nftables::run(const std::string& commands) {
  const int failed = nft_run_cmd_from_buffer(context_.get(), commands.c_str());
  const char* printed = nft_ctx_get_output_buffer(context_.get());
  std::string out = printed == nullptr ? "" : printed;
  const char* complaint = nft_ctx_get_error_buffer(context_.get());
  if (failed == 0) {
    return out;
  }
  // The first line says what is wrong, those below point at the place.
  std::string why = complaint == nullptr ? "" : complaint;
  why = why.substr(0, why.find('\n'));
  return fail(why.empty() ? "the packet filter refused a command" : why);
}

namespace {

// NFTA_COUNTER_PACKETS of NFTA_OBJ_DATA, in network byte order.
std::optional<std::uint64_t> packets_of(const nlmsghdr& message) {
  std::optional<std::uint64_t> out;
  io::each_attribute<nfgenmsg>(message, [&](std::uint16_t type, const nlattr* attribute) {
    if (type != NFTA_OBJ_DATA) return;
    const auto data = io::payload_of(attribute);
    io::walk_attributes(data.data(), static_cast<std::ptrdiff_t>(data.size()),
                        [&](std::uint16_t field, const nlattr* value) {
                          const auto octets = io::payload_of(value);
                          if (field == NFTA_COUNTER_PACKETS && octets.size() == sizeof(std::uint64_t))
                            out = load_be64(octets.data());
                        });
  });
  return out;
}

}  // namespace

Result<std::uint64_t> Nftables::packets(const std::string& table, const std::string& counter) {
  constexpr std::size_t kMostOctets = 8192;
  const std::string what = "cannot read the packet filter's counter " + counter;
  alignas(nlmsghdr) std::array<char, kMostOctets> buffer{};
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETOBJ;
  request->nlmsg_flags = NLM_F_REQUEST;
  request->nlmsg_seq = ++sequence_;
  auto* body = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(nfgenmsg)));
  body->nfgen_family = NFPROTO_INET;
  body->version = NFNETLINK_V0;
  mnl_attr_put_strz(request, NFTA_OBJ_TABLE, table.c_str());
  mnl_attr_put_strz(request, NFTA_OBJ_NAME, counter.c_str());
  mnl_attr_put_u32(request, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
  if (::send(fd_.get(), request, request->nlmsg_len, 0) < 0) return io::fail_errno(what);
  for (;;) {
    const auto n = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return io::fail_errno(what);
    int left = static_cast<int>(n);
    for (const auto* m = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(m, left);
         m = mnl_nlmsg_next(m, &left)) {
      if (m->nlmsg_seq != sequence_) continue;
      if (m->nlmsg_type == NLMSG_ERROR) {
        errno = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(m))->error;
        return io::fail_errno(what);
      }
      const auto found = packets_of(*m);
      return found ? Result<std::uint64_t>(*found) : fail(what);
    }
  }
}

}  // namespace cygnet::daemon
