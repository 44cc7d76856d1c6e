// SPDX-License-Identifier: Apache-2.0
// Pieces of messages (RFC 7383) under the right keys, in any order, doubled, missing, of several messages at a time:
// what waits for others stays small, and the SA outlives it.
//
// Input: records of three octets (size of a piece, which of them come, what % 2: request or response) and one octet
// (length), and that many octets: exchange type, first payload type, payloads.
#include <cstdlib>

#include "support/exchange.h"
#include "wire/ike/message.h"

using namespace cygnet;

namespace {

constexpr std::size_t kMaxRecords = 12;

void check(bool holds) {
  if (!holds) std::abort();
}

struct Scene {
  test::Exchange exchange;
  std::uint32_t next_id = 2;

  Scene() {
    exchange.toy_key_exchange = true;
    auto connection = test::tunnel("tun");
    connection.fragmentation = model::Fragmentation::kYes;
    exchange.add("A", "192.0.2.1", {connection}, {test::secret("s3cret")});
    exchange.add("B", "198.51.100.1", {test::mirrored(connection)}, {test::secret("s3cret")});
    exchange.initiate(exchange.a());
    exchange.run();
    check(exchange.b().endpoint().counters().established == 1);
    exchange.on_wire = [](test::Flight&) { return false; };
  }
};

void play(Scene& scene, std::uint8_t size, std::uint8_t which, std::uint8_t what, ByteView content) {
  auto& e = scene.exchange;
  const auto status = e.b().endpoint().status();
  if (content.size() < 2 || status.empty()) return;
  wire::ike::Header header;
  header.spi_i = status.front().spi_i;
  header.spi_r = status.front().spi_r;
  header.initiator = true;
  header.response = what % 2 == 1;
  header.exchange = static_cast<wire::ike::ExchangeType>(35 + content[0] % 4);
  header.message_id = MessageId{header.response ? content[0] / 5U : scene.next_id};
  wire::ike::Payloads inner = {wire::ike::UnknownPayload{static_cast<wire::ike::PayloadType>(content[1]), false,
                                                         Bytes(content.begin() + 2, content.end())}};
  auto pieces = e.a().keys().seal_pieces(header, inner, 80 + size % 100);
  for (std::size_t i = 0; i < 8 && !pieces.empty(); ++i) {
    if ((which >> i & 1U) == 0) continue;
    auto piece = pieces[(i * (1 + what / 2U)) % pieces.size()];
    if ((what & 0x80U) != 0) piece[piece.size() - 1 - i] ^= 1;
    e.inject(e.b(), {{test::address("198.51.100.1"), 500}, {test::address("192.0.2.1"), 500}, false}, piece);
  }
  if (!header.response && (what & 0x40U) != 0) ++scene.next_id;
  e.advance(std::chrono::milliseconds(100));
  check(e.b().plane.entries().size() < 200);
  check(e.b().plane.faults.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Scene scene;
  ByteReader in(ByteView(data, size));
  for (std::size_t i = 0; i < kMaxRecords && in.remaining() >= 4; ++i) {
    const auto piece = in.u8();
    const auto which = in.u8();
    const auto what = in.u8();
    const auto length = in.u8();
    play(scene, piece, which, what, in.take(std::min<std::size_t>(length, in.remaining())));
  }
  return 0;
}
