// SPDX-License-Identifier: Apache-2.0
#include "support/exchange.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace cygnet::test {
namespace {

constexpr int kMaxDeliveries = 2000;

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& line : lines) out += "\n    " + line;
  return out;
}

}  // namespace

Exchange::Exchange() = default;
Exchange::Exchange(const model::Connection& connection) : Exchange(connection, mirrored(connection)) {}
Exchange::Exchange(const model::Connection& of_a, const model::Connection& of_b) {
  add("A", "192.0.2.1", {of_a}, {secret("s3cret")});
  add("B", "198.51.100.1", {of_b}, {secret("s3cret")});
}

Side& Exchange::add(std::string name, std::string_view where, std::vector<model::Connection> connections,
                    std::vector<model::SharedSecret> secrets, const ike::EndpointSettings& settings) {
  const std::size_t index = sides_.size();
  SideOptions options;
  options.name = std::move(name);
  options.address = address(where);
  options.seed = 1000 + index;
  options.settings = settings;
  options.toy_key_exchange = toy_key_exchange;
  sides_.push_back(std::make_unique<Side>(std::move(options)));
  Side& side = *sides_.back();
  side.on_send = [this, index](const ike::SendDatagram& datagram) { send(index, datagram); };
  side.configure(now_, std::move(connections), std::move(secrets));
  return side;
}

void Exchange::initiate(Side& side, const std::string& connection, const std::string& child) {
  side.act(now_, [&](ike::IkeEndpoint& e) { e.initiate(now_, connection, child); });
}
void Exchange::terminate(Side& side, const std::string& connection, const std::string& child) {
  side.act(now_, [&](ike::IkeEndpoint& e) { e.terminate(now_, connection, child); });
}
void Exchange::rekey_child(Side& side, const std::string& connection, const std::string& child) {
  side.act(now_, [&](ike::IkeEndpoint& e) { e.rekey(now_, connection, child, false); });
}
void Exchange::rekey_ike(Side& side, const std::string& connection) {
  side.act(now_, [&](ike::IkeEndpoint& e) { e.rekey(now_, connection, {}, true); });
}

void Exchange::bring_up() {
  initiate(a());
  run();
  ASSERT_EQ(a().endpoint().counters().established, 1U) << a().messages("auth-failed");
  ASSERT_EQ(b().endpoint().counters().established, 1U);
  history.clear();
}

void Exchange::send(std::size_t from, const ike::SendDatagram& datagram) {
  Flight flight{from, from, {datagram.path.remote, datagram.path.local, datagram.path.marked}, datagram.bytes, {}, {}};
  if (nat && !nat->translate(flight.path)) return;
  const auto to = find_by_address(flight.path.local.address);
  if (!to) return;
  flight.to = *to;
  // A receiver takes what comes to its port 500 for IKE, and looks for the marker on any other.
  EXPECT_EQ(datagram.path.marked, flight.path.local.port != 500) << "non-ESP marker and port contradict each other";
  learn_keys();
  describe(flight);
  if (on_wire && !on_wire(flight)) return;
  history.push_back(flight.arrow);
  air_.push_back(std::move(flight));
}

// An arrow is drawn with the side of the lower index on the left.
void Exchange::describe(Flight& flight) const {
  flight.decoded = std::as_const(*sides_[flight.from]).keys().decode(flight.bytes);
  const auto left = std::min(flight.from, flight.to);
  const auto right = std::max(flight.from, flight.to);
  const std::string shaft = flight.path.marked ? "=" : "-";
  const std::string arrow = flight.from <= flight.to ? shaft + ">" : "<" + shaft;
  flight.arrow = sides_[left]->name() + " " + arrow + " " + sides_[right]->name() + " " + flight.decoded.text;
}

// Keys may be known to one side only when a message leaves; the reader shares them.
void Exchange::learn_keys() {
  for (const auto& side : sides_) {
    if (side->alive()) side->keys().learn(side->endpoint().export_keys());
  }
  for (const auto& from : sides_) {
    for (const auto& [spis, keys] : from->keys().keys()) {
      for (const auto& to : sides_) to->keys().learn({keys});
    }
  }
}

std::optional<std::size_t> Exchange::find_by_address(const IpAddress& where) const {
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    if (sides_[i]->address() == where) return i;
  }
  if (const auto found = also_at.find(where); found != also_at.end()) return found->second;
  return std::nullopt;
}

std::vector<std::string> Exchange::in_the_air() const {
  std::vector<std::string> out;
  out.reserve(air_.size());
  for (const auto& flight : air_) out.push_back(flight.arrow);
  return out;
}

void Exchange::expect_in_the_air(const std::vector<std::string>& arrows) {
  EXPECT_EQ(in_the_air(), arrows) << "in the air:" << joined(in_the_air());
}

std::deque<Flight>::iterator Exchange::find_flight(std::string_view part) {
  return std::ranges::find_if(air_, [&](const Flight& flight) { return flight.arrow.find(part) != std::string::npos; });
}

void Exchange::hand_over(const Flight& flight) {
  sides_[flight.to]->act(now_, [&](ike::IkeEndpoint& e) { e.handle_datagram(now_, flight.path, flight.bytes); });
}

void Exchange::deliver(std::string_view part) {
  const auto found = find_flight(part);
  ASSERT_NE(found, air_.end()) << "nothing like '" << part << "' in the air:" << joined(in_the_air());
  const Flight flight = std::move(*found);
  air_.erase(found);
  hand_over(flight);
}

Flight Exchange::drop(std::string_view part) {
  const auto found = find_flight(part);
  if (found == air_.end()) {
    ADD_FAILURE() << "nothing like '" << part << "' in the air:" << joined(in_the_air());
    return {};
  }
  Flight flight = std::move(*found);
  air_.erase(found);
  return flight;
}

Flight Exchange::take_at(std::size_t index) {
  const auto found = air_.begin() + static_cast<std::ptrdiff_t>(index);
  Flight flight = std::move(*found);
  air_.erase(found);
  return flight;
}

void Exchange::inject(const Flight& flight) { hand_over(flight); }
void Exchange::inject(Side& to, const ike::Path& path, const Bytes& bytes) {
  to.act(now_, [&](ike::IkeEndpoint& e) { e.handle_datagram(now_, path, bytes); });
}

std::vector<std::string> Exchange::run() {
  std::vector<std::string> seen;
  while (!air_.empty()) {
    seen.push_back(air_.front().arrow);
    if (seen.size() > kMaxDeliveries) {
      ADD_FAILURE() << "the sides do not stop talking; last: " << seen.back();
      return seen;
    }
    deliver();
  }
  return seen;
}

void Exchange::expect(const std::vector<std::string>& arrows) {
  const auto seen = run();
  EXPECT_EQ(seen, arrows) << "seen:" << joined(seen) << "\n  expected:" << joined(arrows);
}

void Exchange::advance_to_next_timer(Duration limit) {
  const Instant end = now_ + limit;
  Instant next = kNever;
  for (const auto& side : sides_) next = std::min(next, side->next_deadline());
  if (next > end) {
    now_ = end;
    return;
  }
  now_ = std::max(now_, next);
  for (const auto& side : sides_) {
    if (side->next_deadline() <= now_) side->act(now_, [&](ike::IkeEndpoint& e) { e.on_timer(now_); });
  }
}

void Exchange::advance(Duration duration) {
  const Instant end = now_ + duration;
  int fired = 0;
  while (now_ < end) {
    advance_to_next_timer(end - now_);
    if (++fired > kMaxDeliveries) {
      ADD_FAILURE() << "timers fire without end";
      return;
    }
  }
}

std::vector<std::string> Exchange::advance_and_run(Duration duration) {
  const Instant end = now_ + duration;
  std::vector<std::string> seen = run();
  int spins = 0;
  while (now_ < end && seen.size() < kMaxDeliveries) {
    const Instant before = now_;
    advance_to_next_timer(end - now_);
    spins = now_ == before ? spins + 1 : 0;
    if (spins > kMaxDeliveries) {
      ADD_FAILURE() << "timers fire without end";
      return seen;
    }
    for (auto& arrow : run()) seen.push_back(std::move(arrow));
  }
  return seen;
}

bool Exchange::packet(Side& from, Side& to, const std::string& connection, const std::string& child) {
  const auto* out = from.plane.outbound(connection, child);
  if (out == nullptr) return false;
  from.plane.note_sent(out->spec.child, now_);
  std::optional<model::ChildId> activated;
  const bool opened = to.plane.receive(out->spec, now_, activated);
  if (activated) to.act(now_, [&](ike::IkeEndpoint& e) { e.on_child_activated(now_, *activated); });
  return opened;
}

void Exchange::expect_tunnel(std::size_t children, const std::string& connection, const std::string& child) {
  EXPECT_TRUE(packet(a(), b(), connection, child)) << "A cannot reach B";
  EXPECT_TRUE(packet(b(), a(), connection, child)) << "B cannot reach A";
  for (const Side* side : {&a(), &b()}) {
    const std::pair held(side->plane.count(model::Direction::kInbound), side->plane.count(model::Direction::kOutbound));
    EXPECT_EQ(held, std::pair(children, children)) << side->name() << " holds other SAs (inbound, outbound)";
  }
  expect_no_faults();
}

void Exchange::expect_nothing_left() {
  for (const auto& side : sides_) {
    EXPECT_EQ(side->plane.entries().size(), 0U) << side->name() << " kept SAs";
    EXPECT_EQ(side->endpoint().status().size(), 0U) << side->name() << " kept an IKE SA";
    EXPECT_EQ(side->checkpoints.size(), 0U) << side->name() << " kept a checkpoint";
  }
  expect_no_faults();
}

void Exchange::expect_no_faults() {
  for (const auto& side : sides_) EXPECT_EQ(side->plane.faults, std::vector<std::string>{}) << side->name();
}

}  // namespace cygnet::test
