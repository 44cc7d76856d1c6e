// SPDX-License-Identifier: Apache-2.0
#include "config/diet_words.h"

#include "config/values.h"

namespace cygnet::config {
namespace {

constexpr std::string_view kDiet = "diet-esp";
constexpr std::string_view kSequenceBits = "diet-esp-sn-lsb";

void bad(const Entry& entry, Reporter& report, std::string hint) {
  report.error(entry.value_place(), "'" + entry.value + "' is no value of " + entry.key + "=", std::move(hint));
}

}  // namespace

bool apply_diet_word(const Entry& entry, ConnectionDraft& draft, Reporter& report) {
  auto& diet = draft.child.diet;
  if (entry.key == kDiet) {
    if (const auto yes = parse_bool(entry.value)) {
      diet.enabled = *yes;
    } else {
      bad(entry, report, "write yes or no");
    }
    return true;
  }
  if (entry.key != kSequenceBits) return false;
  constexpr std::uint64_t kMostBits = 32;
  const auto bits = parse_number(entry.value, kMostBits);
  if (bits && *bits >= 8 && *bits % 8 == 0) {
    diet.sn_octets = static_cast<std::uint8_t>(*bits / 8);
  } else {
    bad(entry, report, "8, 16, 24 or 32 bits of the sequence number are sent");
  }
  return true;
}

std::vector<std::string_view> diet_words() { return {kDiet, kSequenceBits}; }

void check_diet(const model::Child& child, const Place& place, Reporter& report) {
  if (!child.diet.enabled) {
    if (child.diet != model::DietEsp{}) {
      report.warning(place, "diet-esp-sn-lsb= says nothing without diet-esp=yes", "write diet-esp=yes, or remove it");
    }
    return;
  }
  if (child.mode != model::Mode::kTunnel || child.protocol == model::SaProtocol::kAh) {
    report.error(place, "diet-esp= is built for ESP in tunnels", "remove diet-esp=, or use esp= and type=tunnel");
  }
  if (child.compress || child.iptfs.enabled || child.tfc_octets != 0) {
    report.error(place, "diet-esp= makes packets small and takes no compress=, iptfs= or tfc= beside it",
                 "remove one of them");
  }
  if (child.clones.value_or(0) != 0)
    report.error(place, "diet-esp= is for small devices, clones= for large ones", "remove one of them");
}

}  // namespace cygnet::config
