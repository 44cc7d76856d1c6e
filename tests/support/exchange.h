// SPDX-License-Identifier: Apache-2.0
#pragma once

// Sides, a wire between them that does nothing by itself, and a clock that only the test moves. What is sent is written
// as an arrow: "A -> B IKE_SA_INIT request 0: SA KE Ni …" or, the other way, "A <- B …". Marked datagrams (port 4500)
// read "A => B" and "A <= B".
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/connections.h"
#include "support/nat.h"
#include "support/side.h"

namespace cygnet::test {

inline constexpr std::string_view kNatD = "N(NAT_DETECTION_SOURCE_IP) N(NAT_DETECTION_DESTINATION_IP)";

struct Flight {
  std::size_t from = 0;  // index of the side
  std::size_t to = 0;
  ike::Path path;  // as the receiver sees it
  Bytes bytes;
  Decoded decoded;
  std::string arrow;
};

class Exchange {
 public:
  Exchange();
  // Sides A (192.0.2.1) and B (198.51.100.1) with the connection as A has it and B's mirror of it, and secret "s3cret".
  explicit Exchange(const model::Connection& connection);
  Exchange(const model::Connection& of_a, const model::Connection& of_b);

  Side& add(std::string name, std::string_view where, std::vector<model::Connection> connections,
            std::vector<model::SharedSecret> secrets, const ike::EndpointSettings& settings = {});
  Side& a() { return *sides_[0]; }
  Side& b() { return *sides_[1]; }
  Side& side(std::size_t index) { return *sides_[index]; }
  [[nodiscard]] Instant now() const { return now_; }

  // Calls into a side at the current time.
  void initiate(Side& side, const std::string& connection = "tun", const std::string& child = {});
  void terminate(Side& side, const std::string& connection = "tun", const std::string& child = {});
  void rekey_child(Side& side, const std::string& connection = "tun", const std::string& child = "tun");
  void rekey_ike(Side& side, const std::string& connection = "tun");
  // initiate() by A and everything that follows; both sides must end up established.
  void bring_up();

  // What is in the air, in the order of sending.
  [[nodiscard]] std::vector<std::string> in_the_air() const;
  void expect_in_the_air(const std::vector<std::string>& arrows);
  // Delivers the first datagram whose arrow contains `part` (empty: the first).
  void deliver(std::string_view part = {});
  // Takes the datagram at this place of in_the_air(); for tests that try every order.
  [[nodiscard]] Flight take_at(std::size_t index);
  // Takes it out of the air instead; it can be handed to inject() afterwards.
  Flight drop(std::string_view part = {});
  void inject(const Flight& flight);
  // Bytes from nowhere, to a side, on a path as it sees it.
  void inject(Side& to, const ike::Path& path, const Bytes& bytes);
  // Delivers in order of sending until nothing is in the air and returns all arrows seen.
  std::vector<std::string> run();
  // The same, and they must be these.
  void expect(const std::vector<std::string>& arrows);
  // Moves the clock, firing timers at their deadlines; datagrams stay in the air.
  void advance(Duration duration);
  // The same, delivering whatever is sent.
  std::vector<std::string> advance_and_run(Duration duration);
  // Moves on to the next deadline of any side, at most `limit` away, and fires it.
  void advance_to_next_timer(Duration limit = std::chrono::hours(24));

  // A packet of the child through the recorded SAs: true if the receiver opens it. Ends standby as an engine would.
  bool packet(Side& from, Side& to, const std::string& connection = "tun", const std::string& child = "tun");
  // Both directions open, and neither table holds more than `children` pairs.
  void expect_tunnel(std::size_t children = 1, const std::string& connection = "tun", const std::string& child = "tun");
  void expect_nothing_left();
  void expect_no_faults();

  // For sides added from here on.
  bool toy_key_exchange = false;
  std::optional<Nat> nat;
  std::map<IpAddress, std::size_t> also_at;  // further addresses of sides
  // Called for each datagram before it flies; may change it, or drop it by returning false.
  std::function<bool(Flight&)> on_wire;
  // A gatherer of all arrows since the last clear: for tests that look back.
  std::vector<std::string> history;

 private:
  void send(std::size_t from, const ike::SendDatagram& datagram);
  [[nodiscard]] std::optional<std::size_t> find_by_address(const IpAddress& where) const;
  std::deque<Flight>::iterator find_flight(std::string_view part);
  void hand_over(const Flight& flight);
  void learn_keys();
  void describe(Flight& flight) const;

  std::vector<std::unique_ptr<Side>> sides_;
  std::deque<Flight> air_;
  Instant now_{std::chrono::hours(1)};
};

}  // namespace cygnet::test
