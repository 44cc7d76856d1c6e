// SPDX-License-Identifier: Apache-2.0
#include "config/iptfs_words.h"

#include <algorithm>
#include <array>

#include "config/values.h"

namespace cygnet::config {
namespace {

constexpr std::uint32_t kLeastPacket = 128;
constexpr std::uint64_t kLeastRate = 8000;
constexpr std::uint32_t kMostPacket = 65535;
constexpr std::uint32_t kMostQueue = 64U << 20U;
constexpr std::uint32_t kMostWindow = 256;  // outer packets kept in memory

struct Context {
  const Entry& entry;
  model::IpTfs& tfs;
  Reporter& report;

  void bad(std::string hint) const {
    report.error(entry.value_place(), "'" + entry.value + "' is no value of " + entry.key + "=", std::move(hint));
  }
  void yes_or_no(bool& to) const {
    if (const auto yes = parse_bool(entry.value)) {
      to = *yes;
    } else {
      bad("write yes or no");
    }
  }
  void number(std::uint64_t least, std::uint64_t most, std::uint32_t& to, std::optional<std::uint64_t> value) const {
    if (!value || *value < least || *value > most) {
      bad("from " + std::to_string(least) + " to " + std::to_string(most));
    } else {
      to = static_cast<std::uint32_t>(*value);
    }
  }
};

void on_iptfs(const Context& c) {
  c.tfs.required = equals_ignoring_case(c.entry.value, "require");
  if (c.tfs.required) {
    c.tfs.enabled = true;
  } else if (const auto yes = parse_bool(c.entry.value)) {
    c.tfs.enabled = *yes;
  } else {
    c.bad("write yes, no or require");
  }
}
void on_fragmentation(const Context& c) { c.yes_or_no(c.tfs.fragment); }
void on_packet_size(const Context& c) {
  if (c.entry.value == "0") {
    c.tfs.packet_octets = 0;
  } else {
    c.number(kLeastPacket, kMostPacket, c.tfs.packet_octets, parse_bytes(c.entry.value));
  }
}
void on_queue_size(const Context& c) {
  c.number(kMostPacket, kMostQueue, c.tfs.max_queue_octets, parse_bytes(c.entry.value));
}
void time(const Context& c, std::uint32_t& to) {
  const auto value = parse_duration_us(c.entry.value);
  if (!value) {
    c.bad("for example: 1s, 20ms or 500us; a bare number is seconds, an hour the most");
  } else {
    to = static_cast<std::uint32_t>(*value);
  }
}
void on_init_delay(const Context& c) { time(c, c.tfs.init_delay_us); }
void on_drop_time(const Context& c) { time(c, c.tfs.drop_time_us); }
void on_reorder_window(const Context& c) {
  c.number(0, kMostWindow, c.tfs.reorder_window, parse_number(c.entry.value, kMostWindow));
}
void on_rate(const Context& c) {
  const auto value = parse_bit_rate(c.entry.value);
  if (!value) {
    c.bad("bits a second, for example 10M; 0 sends as there is traffic");
  } else if (*value != 0 && *value < kLeastRate) {
    c.bad(c.entry.value + " bits a second are not one packet: did you mean " + c.entry.value + "M?");
  } else {
    c.tfs.bits_per_s = *value;
  }
}
void on_congestion_control(const Context& c) { c.yes_or_no(c.tfs.congestion_control); }

struct Word {
  std::string_view name;
  void (*apply)(const Context&);
};

constexpr std::array kWords{Word{"iptfs", on_iptfs},
                            Word{"iptfs-fragmentation", on_fragmentation},
                            Word{"iptfs-packet-size", on_packet_size},
                            Word{"iptfs-max-queue-size", on_queue_size},
                            Word{"iptfs-init-delay", on_init_delay},
                            Word{"iptfs-drop-time", on_drop_time},
                            Word{"iptfs-reorder-window", on_reorder_window},
                            Word{"iptfs-rate", on_rate},
                            Word{"iptfs-congestion-control", on_congestion_control}};

}  // namespace

bool apply_iptfs_word(const Entry& entry, ConnectionDraft& draft, Reporter& report) {
  const auto* word = std::ranges::find(kWords, entry.key, &Word::name);
  if (word == kWords.end()) return false;
  word->apply({entry, draft.child.iptfs, report});
  return true;
}

std::vector<std::string_view> iptfs_words() {
  std::vector<std::string_view> names;
  names.reserve(kWords.size());
  for (const auto& word : kWords) names.push_back(word.name);
  return names;
}

void check_iptfs(const model::Child& child, const Place& place, Reporter& report) {
  if (!child.iptfs.enabled) {
    if (child.iptfs != model::IpTfs{}) {
      report.warning(place, "the iptfs-… words say nothing without iptfs=", "write iptfs=yes, or remove them");
    }
    return;
  }
  if (child.mode != model::Mode::kTunnel || child.protocol == model::SaProtocol::kAh) {
    report.error(place, "iptfs= is for ESP in tunnels (RFC 9347 section 5.1)",
                 "remove iptfs=, or use esp= and type=tunnel");
  }
  if (child.iptfs.congestion_control && child.iptfs.bits_per_s == 0) {
    report.error(place, "iptfs-congestion-control=yes needs the most that may be sent, padding included",
                 "write iptfs-rate=, for example 10M");
  }
  if (child.compress) report.error(place, "iptfs= takes no compression beside it", "remove iptfs= or compress=yes");
  if (child.tfc_octets != 0) report.error(place, "iptfs= pads by itself", "remove tfc=");
  if (child.clones.value_or(0) != 0)
    report.error(place, "iptfs= sends on one SA alone, at its rate", "remove iptfs= or clones=");
}

}  // namespace cygnet::config
