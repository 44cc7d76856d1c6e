// SPDX-License-Identifier: Apache-2.0
#pragma once

// Clear text from outside that a policy says must come protected is refused: RFC 4301 section 4.4.1, "if a packet that
// is looked up in the SPD-I cannot be matched to an entry there, then the packet MUST be discarded".
//
// Who may come in the clear is seen from the way back: what is answered through one of our devices must have come out
// of one of them. The packet filter asks the routing tables just that (`fib saddr oifname`), so there is no list to
// keep: routes, throw routes and the rule say it all. Beside that stands what is no clear text or must always pass
// (ESP, AH and IKE to this machine, errors about those, neighbour discovery), and the networks of which only some
// protocols or ports are protected, told by want_clear() and want_guard(); guard_wholly() names what inside of them is
// somebody else's, who lets nothing in.
//
// The table outlives a killed monitor, as devices and routes do: the way stays shut until the next start.
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "daemon/monitor/name_servers.h"
#include "daemon/monitor/nftables.h"
#include "model/traffic_selector.h"

namespace cygnet::daemon {

// What must not come from `remote` to `local` in the clear, or may. Lower order is looked at first, as in the SPD.
struct GuardedTraffic {
  std::uint32_t order = 0;
  bool allowed = false;
  model::TrafficSelector remote;
  model::TrafficSelector local;
  auto operator<=>(const GuardedTraffic&) const = default;
};

struct GateSetup {
  std::vector<std::string> devices;
  std::uint16_t ike_port = 500;
  std::uint16_t nat_port = 4500;
  std::uint32_t route_table = 0;  // tells the tables of several daemons apart
  // The kernel's IPsec carries the packets: its own policies refuse clear text, and what it has taken out of an SA
  // comes past the gate a second time, from the outer device. No table then.
  bool kernel = false;
  // It carries some of them: what it has taken out of an SA, its own policies have allowed.
  bool beside_kernel = false;
};

class ClearTextGate {
 public:
  // They are tried one after the other. Traffic that differs in nothing but the remote addresses (or ends) is one.
  static constexpr std::size_t kMostRules = 2000;

  ClearTextGate(GateSetup setup, Logger& log) : setup_(std::move(setup)), log_(log) {}

  // Puts the table there, instead of one that an earlier daemon left. Where that is impossible, problem() says why.
  void open();
  [[nodiscard]] Result<void> close();
  [[nodiscard]] static Result<void> take_back_earlier(std::uint32_t route_table);

  // Some traffic of this network comes in the clear: only what is guarded is refused.
  void want_clear(const IpPrefix& network, bool wanted);
  void want_guard(const GuardedTraffic& traffic, bool wanted);
  // Answers to this machine's questions for names come in, from these; nothing: no more than others.
  void let_answers_in(std::optional<NameServers> from);
  // All of these networks is refused, wherever they lie in clear ones, and whatever is let in.
  void guard_wholly(std::set<IpPrefix> networks);
  // What was wanted since is told to the kernel by settle(): all at once, for each time is a text about everything.
  [[nodiscard]] bool unsettled() const { return dirty_; }
  void settle();

  // Reads the counter, and puts the table back where somebody has taken it away.
  void look();
  [[nodiscard]] std::uint64_t refused() const { return before_ + current_; }  // packets, since open()
  [[nodiscard]] const std::string& problem() const { return problem_; }       // empty: clear text is refused

  // For tests: what the kernel is told.
  [[nodiscard]] std::string table_text() const;
  [[nodiscard]] std::string exceptions_text() const;

 private:
  struct Rules {
    std::string text;          // what `partly` says, without its last word
    std::size_t left_out = 0;  // of guards, which had no place: their networks are refused as a whole
  };
  [[nodiscard]] std::string name() const;
  [[nodiscard]] bool put();
  [[nodiscard]] Rules rules() const;
  void complain(std::string about);

  GateSetup setup_;
  Logger& log_;
  std::optional<Nftables> filter_;
  std::map<IpPrefix, unsigned> clear_;  // and how often it is wanted
  std::map<GuardedTraffic, unsigned> guards_;
  std::set<IpPrefix> wholly_;
  std::optional<NameServers> answering_;
  bool dirty_ = false;
  std::string complaint_;      // the last one, told once
  std::uint64_t before_ = 0;   // counted by tables that are gone
  std::uint64_t current_ = 0;  // by the one there is
  std::string problem_ = "cygnetd has not begun yet";
};

}  // namespace cygnet::daemon
