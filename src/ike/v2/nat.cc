// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/nat.h"

#include <array>

#include "crypto/prf.h"
#include "ike/v2/mobike.h"
#include "ike/v2/request.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

constexpr std::uint16_t kNatPort = 4500;  // RFC 7296 section 2.23

}  // namespace

model::Encapsulation wish(const IkeSa& sa) {
  if (sa.force_encapsulation) return model::Encapsulation::kForce;
  return sa.connection ? sa.connection->encapsulation : model::Encapsulation::kAuto;
}

Bytes nat_hash(IkeSpi spi_i, IkeSpi spi_r, const Endpoint& endpoint) {
  ByteWriter out;
  out.u64(spi_i.value).u64(spi_r.value).bytes(endpoint.address.bytes()).u16(endpoint.port);
  const std::array<ByteView, 1> data{out.view()};
  return crypto::sha1(data);
}

void add_nat_detection(World& world, wi::Payloads& payloads, IkeSpi spi_i, IkeSpi spi_r, const Path& path,
                       model::Encapsulation encapsulation) {
  if (encapsulation == model::Encapsulation::kNever) return;
  const bool forced = encapsulation == model::Encapsulation::kForce;
  payloads.emplace_back(notify(wi::NotifyType::kNatDetectionSourceIp,
                               forced ? world.random.bytes(20) : nat_hash(spi_i, spi_r, path.local)));
  payloads.emplace_back(notify(wi::NotifyType::kNatDetectionDestinationIp, nat_hash(spi_i, spi_r, path.remote)));
}

void read_nat_detection(IkeSa& sa, const wi::Payloads& payloads, IkeSpi spi_i, IkeSpi spi_r, const Path& path) {
  bool source_seen = false, source_true = false, destination_seen = false, destination_true = false;
  const auto expected_source = nat_hash(spi_i, spi_r, path.remote);
  const auto expected_destination = nat_hash(spi_i, spi_r, path.local);
  for (const auto& payload : payloads) {
    const auto* n = std::get_if<wi::NotifyPayload>(&payload);
    if (n == nullptr) continue;
    // RFC 7296 section 2.23: "There MAY be multiple NAT_DETECTION_SOURCE_IP payloads": one that is true suffices.
    if (n->type == wi::NotifyType::kNatDetectionSourceIp) {
      source_seen = true;
      source_true = source_true || n->data == expected_source;
    } else if (n->type == wi::NotifyType::kNatDetectionDestinationIp) {
      destination_seen = true;
      destination_true = destination_true || n->data == expected_destination;
    }
  }
  sa.peer_speaks_nat_t = source_seen || destination_seen;
  if (wish(sa) == model::Encapsulation::kNever) return;
  sa.nat_remote = source_seen && !source_true;
  sa.nat_local = destination_seen && !destination_true;
  const bool forced = wish(sa) == model::Encapsulation::kForce && sa.peer_speaks_nat_t;
  sa.udp_encapsulation = sa.nat_remote || sa.nat_local || forced;
}

void move_to_nat_port(World& world, IkeSa& sa) {
  // RFC 7296 section 2.23: "MUST tunnel all future IKE and ESP packets ... over UDP port 4500" if there is a NAT.
  // RFC 4555 section 3.3: implementations of both "MUST change to port 4500 if the correspondent also supports both,
  // even if no NAT was detected": a NAT may come later.
  const bool mobile = wants_mobike(sa) && sa.peer_speaks_nat_t && wish(sa) != model::Encapsulation::kNever;
  if ((!sa.udp_encapsulation && !mobile) || sa.path.marked) return;
  sa.path.local.port = world.settings.setup.nat_port;
  sa.path.remote.port = kNatPort;
  sa.path.marked = true;
}

std::string nat_words(const IkeSa& sa) {
  if (sa.nat_local && sa.nat_remote) return "NAT in front of both ends";
  if (sa.nat_local) return "NAT in front of us";
  if (sa.nat_remote) return "NAT in front of the peer";
  if (sa.udp_encapsulation) return "no NAT, UDP encapsulation forced";
  return sa.peer_speaks_nat_t ? "no NAT" : "no NAT detection";
}

}  // namespace cygnet::ike::v2
