// SPDX-License-Identifier: Apache-2.0
// The gate in front of IKE_SA_INIT, with cookies and puzzles asked of everybody: whatever comes, no state is kept for
// whoever has not brought a cookie back, and the counts of what is half-open stay right.
//
// Input: octet 0 chooses thresholds; then records of one octet (what), one octet (length), and that many octets:
//   what % 3 == 0: a datagram as it is, its length field made to agree
//   what % 3 == 1: the same with the last cookie we were given in front (RFC 7296 section 2.6)
//   what % 3 == 2: octet 0 seconds pass
#include <cstdlib>

#include "ike/endpoint.h"
#include "ike/puzzle.h"
#include "support/connections.h"
#include "wire/ike/message.h"

using namespace cygnet;

namespace {

constexpr std::size_t kMaxRecords = 24;

void check(bool holds) {
  if (!holds) std::abort();
}

struct Scene {
  SeededRandom random{1};
  ike::IkeEndpoint endpoint;
  Instant now{std::chrono::hours(1)};
  Bytes cookie;
  std::size_t with_cookie = 0;

  explicit Scene(const ike::EndpointSettings& settings) : endpoint(settings, random) {
    auto connection = test::mirrored(test::tunnel("tun"));
    connection.remote.host = {};
    endpoint.configure(now, {connection}, {});
    (void)endpoint.take_actions();
  }

  void give(Bytes bytes) {
    if (bytes.size() >= wire::ike::kHeaderOctets) {
      bytes[17] = 0x20;
      bytes[18] = 34;
      bytes[19] = 0x08;
      store_be32(bytes.data() + wire::ike::kHeaderOctets - 4, static_cast<std::uint32_t>(bytes.size()));
    }
    endpoint.handle_datagram(now, {{test::address("198.51.100.1"), 500}, {test::address("192.0.2.1"), 500}, false},
                             bytes);
    for (const auto& action : endpoint.take_actions()) {
      const auto* sent = std::get_if<ike::SendDatagram>(&action);
      if (sent == nullptr) continue;
      const auto answer = wire::ike::parse_message(sent->bytes);
      check(answer.has_value() && answer->header.response);
      const auto* found = wire::ike::find_notify(answer->payloads, wire::ike::NotifyType::kCookie);
      if (found != nullptr) cookie = found->data;
    }
    check(endpoint.counters().half_open <= with_cookie);
    check(endpoint.status().size() <= with_cookie);
  }
};

// N(COOKIE) right behind the header.
Bytes in_front(const Bytes& cookie, Bytes message) {
  if (cookie.empty() || message.size() < wire::ike::kHeaderOctets) return message;
  ByteWriter notify;
  notify.u8(message[16]).u8(0).u16(static_cast<std::uint16_t>(8 + cookie.size()));
  notify.u8(0).u8(0).u16(16390).bytes(cookie);
  message[16] = 41;
  const auto octets = std::move(notify).take();
  message.insert(message.begin() + wire::ike::kHeaderOctets, octets.begin(), octets.end());
  return message;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  ike::EndpointSettings settings;
  settings.setup.cookie_threshold = 0;
  settings.setup.puzzle_threshold = data[0] % 3;
  settings.setup.puzzle_difficulty = 1 + data[0] % 4;
  settings.setup.half_open_limit = 1 + data[0] % 16;
  Scene scene(settings);
  ByteReader in(ByteView(data + 1, size - 1));
  for (std::size_t i = 0; i < kMaxRecords && in.remaining() >= 2; ++i) {
    const std::uint8_t what = in.u8();
    const std::uint8_t length = in.u8();
    const auto content = in.take(std::min<std::size_t>(length, in.remaining()));
    if (what % 3 == 2) {
      scene.now += std::chrono::seconds(content.empty() ? 1 : content[0]);
      scene.endpoint.on_timer(scene.now);
      (void)scene.endpoint.take_actions();
      continue;
    }
    Bytes bytes(content.begin(), content.end());
    if (what % 3 == 1) {
      bytes = in_front(scene.cookie, std::move(bytes));
      ++scene.with_cookie;
    }
    scene.give(std::move(bytes));
  }
  (void)ike::puzzle_is_solved(model::PrfId::kHmacSha2_256, data[0] % 8, ByteView(data, size / 2),
                              ByteView(data + size / 2, size - size / 2));
  return 0;
}
