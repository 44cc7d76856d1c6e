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
// somebody else's, who lets nothing in. What leaves is looked at too (outward_gate.h), with the same exceptions.
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
#include "daemon/monitor/outward_gate.h"
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
  std::uint32_t fwmark = 0;       // of our own packets
  // The kernel's IPsec carries the packets: its own policies refuse clear text, and what it has taken out of an SA
  // comes past the gate a second time, from the outer device. Only what leaves is looked at then.
  bool kernel = false;
  // It carries some of them: what it has taken out of an SA, its own policies have allowed.
  bool beside_kernel = false;
};

class ClearTextGate {
 public:
  // They are tried one after the other. Traffic that differs in nothing but the remote addresses (or ends) is one.
  static constexpr std::size_t kMostRules = 2000;

  ClearTextGate(GateSetup setup, Logger& log) : setup_(std::move(setup)), log_(log), outward_(!setup_.kernel) {}

  // Puts the table there, instead of one that an earlier daemon left. Where that is impossible, problem() says why.
  void open();
  [[nodiscard]] Result<void> close();
  [[nodiscard]] static Result<void> take_back_earlier(std::uint32_t route_table);

  // Some traffic of this network comes in the clear: only what is guarded is refused.
  void want_clear(const IpPrefix& network, bool wanted);
  void want_guard(const GuardedTraffic& traffic, bool wanted);
  // This machine's questions for names go out to these, and their answers come in; nothing: no more than others. asker:
  // only that user's.
  void let_questions_out(std::optional<NameServers> to, std::optional<std::uint32_t> asker);
  // All of these networks is refused, wherever they lie in clear ones, and whatever is let in.
  void guard_wholly(std::set<IpPrefix> networks);
  // What leads into a tunnel, and what of it stays outside; what of others' rules leads elsewhere.
  void want_way(const IpPrefix& prefix, std::optional<OutwardGate::Way> way) { outward_.want(prefix, way); }
  void want_passes(Family family, std::vector<std::string> matches) {
    outward_.want_passes(family, OutwardGate::Pass::kRules, std::move(matches));
  }
  // What was wanted since is told to the kernel by settle(). Of ways only the changes, and not more than one text
  // takes: then there is more. Of exceptions each time everything.
  [[nodiscard]] bool unsettled() const { return dirty_ || (outward_.unsettled() && outward_problem_.empty()); }
  [[nodiscard]] bool has_more() const { return filter_ && problem_.empty() && !put_again_ && unsettled() && !dirty_; }
  void settle();

  // Reads the counters, and puts the table back where somebody has taken it away.
  void look();
  // Packets, since open(): from outside, and those that would have left.
  [[nodiscard]] std::uint64_t refused() const { return refused_.before + refused_.current; }
  [[nodiscard]] std::uint64_t held() const { return held_.before + held_.current; }
  // Empty: clear text from outside is refused.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] const std::string& outward_problem() const { return problem_.empty() ? outward_problem_ : problem_; }

  // For tests: what the kernel is told.
  [[nodiscard]] std::string table_text(bool outward = true) const;
  [[nodiscard]] std::string exceptions_text(bool outward = true) const;

 private:
  struct Counter {
    std::uint64_t before = 0;   // counted by tables that are gone
    std::uint64_t current = 0;  // by the one there is
  };
  struct Rules {
    std::string text;          // what `partly` says, or `partly_out`, without its last word
    std::size_t left_out = 0;  // of guards, which had no place: their networks are refused as a whole
  };
  [[nodiscard]] std::string name() const;
  [[nodiscard]] bool put();
  [[nodiscard]] Rules rules(bool outward) const;
  [[nodiscard]] bool read(Counter& counter, const char* called);
  void settle_ways();
  void tell_outward();
  void complain(std::string about);

  GateSetup setup_;
  Logger& log_;
  std::optional<Nftables> filter_;
  std::map<IpPrefix, unsigned> clear_;  // and how often it is wanted
  std::map<GuardedTraffic, unsigned> guards_;
  std::set<IpPrefix> wholly_;
  std::optional<NameServers> answering_;
  bool dirty_ = false;
  OutwardGate outward_;
  bool put_again_ = false;  // it did not take a change of what leaves
  std::string complaint_;   // the last one, told once
  Counter refused_, held_;
  std::string problem_ = "cygnetd has not begun yet";
  std::string outward_problem_, outward_told_;
  unsigned looks_without_ = 0;
};

}  // namespace cygnet::daemon
