// SPDX-License-Identifier: Apache-2.0
// A real endpoint with an established SA, and a peer that says whatever the fuzzer likes: in clear, and under the right
// keys.
//
// Input: records of one octet (what), one octet (length), and that many octets:
//   what % 4 == 0: a datagram as it is, from the peer's address (bit 7: from another one)
//   what % 4 == 1: a request under the SA's keys; octet 0 exchange type, octet 1 first payload type, the rest the
//   payloads what % 4 == 2: a response under the SA's keys, the same what % 4 == 3: octet 0 seconds pass (bit 7 of
//   what: our side begins a rekey first)
#include <cstdlib>
#include <memory>

#include "support/exchange.h"
#include "wire/ike/message.h"

using namespace cygnet;

namespace {

constexpr std::size_t kMaxRecords = 24;

void check(bool holds) {
  if (!holds) std::abort();
}

struct Scene {
  test::Exchange exchange;
  std::uint32_t next_id = 2;

  Scene() {
    exchange.toy_key_exchange = true;
    const auto connection = test::tunnel("tun");
    exchange.add("A", "192.0.2.1", {connection}, {test::secret("s3cret")});
    exchange.add("B", "198.51.100.1", {test::mirrored(connection)}, {test::secret("s3cret")});
    exchange.initiate(exchange.a());
    exchange.run();
    check(exchange.b().endpoint().counters().established == 1);
    // From here on A is the fuzzer: nothing B sends reaches it.
    exchange.on_wire = [](test::Flight&) { return false; };
  }
  test::Side& victim() { return exchange.b(); }
};

ike::Path path(bool elsewhere) {
  return {{test::address("198.51.100.1"), 500}, {test::address(elsewhere ? "192.0.2.77" : "192.0.2.1"), 500}, false};
}

void sealed(Scene& scene, ByteView content, bool response) {
  const auto status = scene.victim().endpoint().status();
  if (content.size() < 2 || status.empty()) return;
  wire::ike::Header header;
  header.spi_i = status.front().spi_i;
  header.spi_r = status.front().spi_r;
  header.initiator = true;
  header.response = response;
  header.exchange = static_cast<wire::ike::ExchangeType>(34 + content[0] % 5);
  header.message_id = MessageId{response ? content[0] / 5U : scene.next_id};
  // As one payload of the chosen type, and, if it reads as a chain, as that chain.
  wire::ike::Payloads inner = {wire::ike::UnknownPayload{static_cast<wire::ike::PayloadType>(content[1]), false,
                                                         Bytes(content.begin() + 2, content.end())}};
  if (auto chain = wire::ike::parse_payloads(static_cast<wire::ike::PayloadType>(content[1]), content.subspan(2))) {
    inner = std::move(*chain);
  }
  const auto bytes = scene.exchange.a().keys().seal(header, inner);
  if (!bytes) return;
  if (!response) ++scene.next_id;
  scene.exchange.inject(scene.victim(), path(false), *bytes);
}

void play(Scene& scene, std::uint8_t what, ByteView content) {
  auto& e = scene.exchange;
  switch (what % 4) {
    case 0: e.inject(scene.victim(), path((what & 0x80U) != 0), Bytes(content.begin(), content.end())); break;
    case 1: sealed(scene, content, false); break;
    case 2: sealed(scene, content, true); break;
    default:
      if ((what & 0x80U) != 0) e.rekey_child(scene.victim());
      e.advance(std::chrono::seconds(content.empty() ? 1 : content[0]));
      break;
  }
  check(scene.victim().plane.entries().size() < 200);
  check(scene.victim().endpoint().status().size() < 40);
  check(scene.victim().plane.faults.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Scene scene;
  ByteReader in(ByteView(data, size));
  for (std::size_t i = 0; i < kMaxRecords && in.remaining() >= 2; ++i) {
    const std::uint8_t what = in.u8();
    const std::uint8_t length = in.u8();
    play(scene, what, in.take(std::min<std::size_t>(length, in.remaining())));
  }
  return 0;
}
