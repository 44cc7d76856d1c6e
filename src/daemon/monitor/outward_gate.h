// SPDX-License-Identifier: Apache-2.0
#pragma once

// The clear text gate's other half: what a route leads into a tunnel does not leave in the clear by another device.
//
// Routes alone do not see to that. A program may bind its socket to a device (SO_BINDTODEVICE, IP_UNICAST_IF,
// IP_PKTINFO): the kernel then looks for routes by that device only, and where it finds none, or one that refuses, it
// takes the destination for a neighbour on that link. And somebody may take the routes away. So the packet filter knows
// each prefix of our routing table, too, and decides as the table does: the longest one counts.
//
// What comes from such a prefix while its route leads into no device (it holds, or refuses) has no way back by which
// the other half could know it: these sets say it, too.
//
// For each family and length of prefixes there is a set for those that are held and one for those that are let out (the
// table's `throw`), without intervals: a route that comes or goes is one element, whatever their number.
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "io/routing_rules.h"

namespace cygnet::daemon {

struct GateSetup;

// What a rule of somebody else's, which is asked before ours, may lead elsewhere, in the words of nft(8): any of these.
// Where they cannot say it, it is more: "" is everything. None: it is for some routes of its table only, and the filter
// does not know them.
[[nodiscard]] std::vector<std::string> matches_of(const io::RoutingRule& rule);

class OutwardGate {
 public:
  enum class Way : std::uint8_t { kLetOut, kHeld };
  enum class Pass : std::uint8_t { kRules, kQuestions };  // of others; for names
  // Elements in one text for the packet filter.
  static constexpr std::size_t kMostTogether = 20'000;

  // from_outside: the other half is there, too.
  explicit OutwardGate(bool from_outside) : from_outside_(from_outside) {}

  // Nothing: the table knows no such prefix.
  void want(const IpPrefix& prefix, std::optional<Way> way);
  // What leaves whatever is held, by matches of nft(8) for either family.
  void want_passes(Family family, Pass kind, std::vector<std::string> matches);
  [[nodiscard]] bool unsettled() const { return !changes_.empty() || passes_changed_; }

  // The chains, for the text that makes the table; what they say is told by changes_text(). Packets that are refused
  // are counted by `held`.
  [[nodiscard]] static std::string chains_text(const GateSetup& setup, const std::string& own_ports);
  // What was wanted since it was told last, or as much of it as one text takes: what lets out goes first.
  [[nodiscard]] std::string changes_text(const std::string& table) const;
  // The packet filter has taken changes_text().
  void on_told();
  // It knows nothing: all there is comes again.
  void begin_anew();

 private:
  using SetOf = std::pair<std::uint8_t, Way>;  // length
  using Counts = std::map<Family, std::map<SetOf, std::size_t>>;
  using Changes = std::map<IpPrefix, std::optional<Way>>;
  [[nodiscard]] Changes next_changes() const;
  [[nodiscard]] Counts counts_after(const Changes& changes) const;
  [[nodiscard]] std::string rules_text(const std::string& table, const Counts& counts, Family family,
                                       bool leaving) const;

  bool from_outside_;
  std::map<IpPrefix, Way> told_;
  Changes changes_;  // since
  Counts counts_;    // of told_, those that are not 0
  std::map<std::pair<Family, Pass>, std::vector<std::string>> passes_;
  bool passes_changed_ = true;
};

}  // namespace cygnet::daemon
