// SPDX-License-Identifier: Apache-2.0
// The way of a packet out through ESP and AH around it (RFC 4301 section 4.3, "nested SAs" of keys given by hand): ESP
// as outbound.cc makes it, with the IP header that it would travel with, then AH in transport mode. For interoperation,
// not for speed: one packet after the other.
#include <cstring>

#include "engine/outbound_sending.h"
#include "engine/outbound_shape.h"
#include "engine/outbound_single.h"
#include "wire/esp_header.h"
#include "wire/ipv4_header.h"
#include "wire/ipv6_header.h"

namespace cygnet::engine {
namespace {

constexpr std::uint8_t kOuterTtl = 64;

class Bundle {
 public:
  Bundle(const Sending& sending, OutboundSa& esp, OutboundSa& ah) : sending_(sending), esp_(esp), ah_(ah) {
    const auto around = static_cast<std::uint32_t>(ah.ah->header_octets(esp.remote.address.family()));
    keeps_header_ = esp.spec.mode == model::Mode::kTransport;
    mtu_ = esp.inner_mtu > around + wire::kIpv4HeaderOctets ? esp.inner_mtu - around : esp.inner_mtu;
  }
  void protect(Parsed& packet);

 private:
  // A whole clear-text packet.
  bool seal(const Parsed& from, ByteView packet, const OuterWay& way);
  [[nodiscard]] std::size_t write_header(std::uint8_t* to, const Parsed& from, ByteView packet, std::size_t octets,
                                         const OuterWay& way);

  const Sending& sending_;
  OutboundSa& esp_;
  OutboundSa& ah_;
  std::uint32_t mtu_ = 0;
  bool keeps_header_ = false;  // transport mode: the packet's own goes in front
};

std::size_t Bundle::write_header(std::uint8_t* to, const Parsed& from, ByteView packet, std::size_t octets,
                                 const OuterWay& way) {
  const auto& local = esp_.local.address;
  if (keeps_header_) {
    const std::size_t header = outside_octets(from);
    std::memcpy(to, packet.data(), header);
    to[from.info.is_v4() ? 9 : 6] = wire::protocol::kEsp;
    return header;  // lengths and checksum are AH's to write
  }
  if (local.is_v4()) {
    wire::write_ipv4_header(to, {.tos = way.tos,
                                 .total_octets = static_cast<std::uint16_t>(octets),
                                 .identification = 0,
                                 .dont_fragment = way.dont_fragment,
                                 .ttl = kOuterTtl,
                                 .protocol = wire::protocol::kEsp,
                                 .source = local,
                                 .destination = esp_.remote.address});
    return wire::kIpv4HeaderOctets;
  }
  wire::write_ipv6_header(to, {.traffic_class = way.tos,
                               .payload_octets = static_cast<std::uint16_t>(octets - wire::kIpv6HeaderOctets),
                               .next_header = wire::protocol::kEsp,
                               .hop_limit = kOuterTtl,
                               .source = local,
                               .destination = esp_.remote.address});
  return wire::kIpv6HeaderOctets;
}

bool Bundle::seal(const Parsed& from, ByteView packet, const OuterWay& way) {
  if (carries_options(from, esp_)) {
    sending_.drop(DropReason::kUnknownOption, packet);
    return false;
  }
  ByteView payload = packet.subspan(esp_.transport ? outside_octets(from) : 0);
  std::uint8_t next_header = next_header_of(from, esp_);
  if (esp_.compress) {
    const auto smaller =
        sending_.state.ipcomp.compress(payload, next_header, esp_.spec.ipcomp_cpi, esp_.compressibility);
    if (!smaller.empty()) {
      payload = smaller;
      next_header = wire::protocol::kIpcomp;
    }
  }
  if (!may_send(sending_, esp_, payload.size())) return false;
  const bool v4 = esp_.remote.address.is_v4();
  const std::size_t front = keeps_header_ ? outside_octets(from)
                            : v4          ? wire::kIpv4HeaderOctets
                                          : wire::kIpv6HeaderOctets;
  const std::size_t pad = wire::esp_pad_octets(payload.size(), esp_.block_octets);
  const std::size_t esp =
      wire::kEspHeaderOctets + esp_.iv_octets + payload.size() + pad + wire::kEspTrailerOctets + esp_.icv_octets;
  auto* to = front + esp <= kMaxDatagramOctets ? sending_.out.allocate(front + esp) : nullptr;
  if (to == nullptr) {
    sending_.drop(DropReason::kNoBuffer, packet);
    return false;
  }
  (void)write_header(to, from, packet, front + esp, way);
  const std::uint64_t sequence = ++esp_.sequence;
  auto* at = to + front;
  wire::write_esp_header(at, esp_.spi, sequence);
  auto* clear = at + wire::kEspHeaderOctets + esp_.iv_octets;
  std::memcpy(clear, payload.data(), payload.size());
  wire::write_esp_trailer(clear + payload.size(), pad, next_header);
  crypto::EspJob job{.esp = at, .octets = esp, .sequence = sequence};
  if (esp_.worker == nullptr) esp_.begin();
  esp_.worker->seal({&job, 1});
  if (!job.ok) {
    wipe({at, esp});
    sending_.drop(DropReason::kNoBuffer);
    return false;
  }
  count_for_sa(sending_, esp_, payload.size());
  return wrap_with_ah(sending_, ah_, {to, front + esp}, way);
}

void Bundle::protect(Parsed& packet) {
  protect_one_by_one(sending_, packet, esp_, mtu_,
                     [&](ByteView whole, const OuterWay& way) { return seal(packet, whole, way); });
}

}  // namespace

void protect_with_bundle(const Sending& sending, Parsed& packet, OutboundSa& esp, model::PolicyId ah_group) {
  const PacketSelectors outer{
      .local = esp.local.address, .remote = esp.remote.address, .protocol = wire::protocol::kEsp};
  auto* ah = sending.state.sad.select(ah_group, outer);
  if (ah == nullptr || ah->ah == nullptr || !ah->transport || esp.udp || esp.ah != nullptr) {
    sending.drop(DropReason::kNoSa, packet.bytes);
    return;
  }
  Bundle(sending, esp, *ah).protect(packet);
}

}  // namespace cygnet::engine
