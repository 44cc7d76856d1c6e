// SPDX-License-Identifier: Apache-2.0
// A peer that has proved itself and turns hostile: A's CREATE_CHILD_SA and INFORMATIONAL messages, requests and
// answers, under the right keys and with other payloads in them, while both ends rekey, move, delete and time goes by.
// Whatever it says, B keeps to its configuration, holds a bounded number of SAs, and lets go of all of them when it is
// told to.
//
// Input: octet 0: bit 0: MOBIKE, bit 1: B watches liveness, bit 2: new children bring their own key exchange, bit 3:
// two children. Then steps of one octet (what happens, % 10) and one octet (which of A's messages is changed, % 4; bits
// 2-3: into which exchange, 0 as it was), one octet (length), and that many octets of records: how (% 5: 0 added, 1 in
// the place of the first of its type, 2 taken out, 3 in front, 4 all others go), one octet (payload type), one octet
// (length), the payload's body.
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "model/traffic_selector.h"
#include "support/exchange.h"
#include "wire/ike/message.h"

using namespace cygnet;

namespace {

namespace wi = wire::ike;
using std::chrono::seconds;

constexpr std::size_t kMaxSteps = 10;
constexpr std::size_t kMaxRecords = 12;
constexpr std::size_t kMaxSas = 100;
constexpr std::size_t kMaxArrows = 500;

void check(bool holds) {
  if (!holds) std::abort();
}

void bend(wi::Payloads& payloads, ByteView records) {
  ByteReader in(records);
  for (std::size_t i = 0; i < kMaxRecords && in.remaining() >= 3; ++i) {
    const auto how = in.u8() % 5;
    const auto type = static_cast<wi::PayloadType>(in.u8());
    const std::size_t length = in.u8();
    const auto body = in.take(std::min(length, in.remaining()));
    const wi::UnknownPayload payload{type, (how == 0 && length > 128), Bytes(body.begin(), body.end())};
    auto at = payloads.begin();
    while (at != payloads.end() && wi::first_type({*at}) != type) ++at;
    if (how == 4) payloads.clear();
    if (how == 2 && at != payloads.end()) payloads.erase(at);
    if (how == 3) payloads.insert(payloads.begin(), payload);
    if (how == 1 && at != payloads.end()) *at = payload;
    if (how == 0 || how == 4 || (how == 1 && at == payloads.end())) payloads.emplace_back(payload);
  }
}

struct Scene {
  explicit Scene(std::uint8_t kind);
  void step(std::uint8_t what, std::uint8_t which, ByteView records);
  void expect_sanity();
  void expect_nothing_left();
  void tell();

  test::Exchange exchange;
  model::Connection of_b;
  struct Change {
    unsigned skip = 0;
    std::uint8_t into = 0;
    ByteView records;
  };
  std::optional<Change> change;  // the next of A's messages that flies
  bool cut = false;
  bool elsewhere = false;

 private:
  bool on_wire(test::Flight& flight);
  void move();
};

Scene::Scene(std::uint8_t kind) {
  exchange.toy_key_exchange = true;
  auto of_a = test::tunnel("tun");
  of_a.mobike = (kind & 1U) != 0;
  of_a.local.host.kind = model::HostSpec::Kind::kDefaultRoute;
  if ((kind & 8U) != 0) of_a.children.push_back(test::child("more", "10.3.0.0/16", "10.4.0.0/16"));
  for (auto& child : of_a.children) {
    if ((kind & 4U) != 0)
      child.proposals = {test::esp_proposal(model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone,
                                            {model::KeGroup::kX25519}, {model::EsnChoice::kNo})};
  }
  of_b = test::mirrored(of_a);
  of_b.remote.host = {};
  if ((kind & 2U) != 0) of_b.dpd_delay_s = 20;
  exchange.add("A", "192.0.2.1", {of_a}, {test::secret("s3cret")});
  exchange.add("B", "198.51.100.1", {of_b}, {test::secret("s3cret")});
  exchange.also_at[test::address("203.0.113.7")] = 0;
  exchange.a().act(exchange.now(),
                   [&](ike::IkeEndpoint& x) { x.on_local_addresses(exchange.now(), {test::address("192.0.2.1")}); });
  exchange.b().act(exchange.now(),
                   [&](ike::IkeEndpoint& x) { x.on_local_addresses(exchange.now(), {test::address("198.51.100.1")}); });
  exchange.initiate(exchange.a());
  (void)exchange.run();
  check(exchange.b().endpoint().counters().established == 1);
  exchange.on_wire = [this](test::Flight& flight) { return on_wire(flight); };
}

bool Scene::on_wire(test::Flight& flight) {
  if (flight.from != 0) return true;
  if (cut) return false;
  const auto& header = flight.decoded.header;
  const bool later =
      header.exchange == wi::ExchangeType::kCreateChildSa || header.exchange == wi::ExchangeType::kInformational;
  if (!change || !later || !flight.decoded.opened) return true;
  if (change->skip > 0) {
    --change->skip;
    return true;
  }
  auto payloads = flight.decoded.payloads;
  bend(payloads, change->records);
  auto of_message = header;
  if (change->into != 0) of_message.exchange = static_cast<wi::ExchangeType>(34 + change->into);
  change.reset();
  if (auto sealed = exchange.a().keys().seal(of_message, payloads)) flight.bytes = std::move(*sealed);
  return true;
}

void Scene::move() {
  elsewhere = !elsewhere;
  const auto here = test::address(elsewhere ? "203.0.113.7" : "192.0.2.1");
  exchange.a().act(exchange.now(), [&](ike::IkeEndpoint& x) { x.on_local_addresses(exchange.now(), {here}); });
}

void Scene::step(std::uint8_t what, std::uint8_t which, ByteView records) {
  change.reset();
  if (!records.empty()) change = Change{which % 4U, static_cast<std::uint8_t>(which >> 2U & 3U), records};
  auto& e = exchange;
  const std::string child = (which & 0x80U) != 0 && of_b.children.size() > 1 ? "more" : "tun";
  switch (what % 10) {
    case 0: e.rekey_child(e.a(), "tun", child); break;
    case 1: e.rekey_ike(e.a()); break;
    case 2: e.rekey_child(e.b(), "tun", child); break;
    case 3: e.rekey_ike(e.b()); break;
    case 4: e.terminate(e.a(), "tun", child); break;
    case 5: e.terminate(e.b(), "tun", child); break;
    case 6: move(); break;
    case 7: e.initiate(e.a(), "tun", child); break;
    case 8: (void)e.packet(e.a(), e.b(), "tun", child); break;
    default:  // both at once
      e.rekey_child(e.a(), "tun", child);
      e.rekey_child(e.b(), "tun", child);
      if ((which & 0x40U) != 0) e.rekey_ike(e.a());
      if ((which & 0x40U) != 0) e.rekey_ike(e.b());
  }
  const auto seen = e.advance_and_run(seconds(1 + (what / 10) * 3));
  check(seen.size() < kMaxArrows);
  expect_sanity();
}

void Scene::expect_sanity() {
  auto& b = exchange.b();
  check(b.plane.faults.empty() && exchange.a().plane.faults.empty());
  check(b.plane.entries().size() <= kMaxSas && b.endpoint().status().size() <= kMaxSas);
  for (const auto& spec : b.plane.specs()) {
    bool ours = false;
    for (const auto& child : of_b.children) {
      ours = ours ||
             (model::covers(child.remote, spec.remote_selectors) && model::covers(child.local, spec.local_selectors));
    }
    check(ours);
    check(spec.encryption == model::EncryptionId::kAesGcm16 && spec.encryption_bits == 256);
  }
}

// What happened, for whoever looks into a failure.
void Scene::tell() {
  for (const auto& arrow : exchange.history) (void)std::fprintf(stderr, "%s\n", arrow.c_str());
  for (const auto& report : exchange.b().reports) (void)std::fprintf(stderr, "B: %s\n", report.message.c_str());
}

void Scene::expect_nothing_left() {
  cut = true;
  auto& e = exchange;
  e.terminate(e.b());
  (void)e.advance_and_run(std::chrono::minutes(20));
  expect_sanity();
  if (!e.b().plane.entries().empty() || !e.b().endpoint().status().empty()) tell();
  check(e.b().plane.entries().empty());
  check(e.b().endpoint().status().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Scene scene(data[0]);
  ByteReader in(ByteView(data + 1, size - 1));
  for (std::size_t i = 0; i < kMaxSteps && in.remaining() >= 3; ++i) {
    const auto what = in.u8();
    const auto which = in.u8();
    const std::size_t length = in.u8();
    scene.step(what, which, in.take(std::min(length, in.remaining())));
  }
  scene.expect_nothing_left();
  return 0;
}
