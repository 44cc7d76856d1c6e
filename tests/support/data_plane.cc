// SPDX-License-Identifier: Apache-2.0
#include "support/data_plane.h"

#include <algorithm>

namespace cygnet::test {
namespace {

std::string name_of(model::Direction direction, Spi spi) {
  std::array<std::uint8_t, 4> octets{};
  store_be32(octets.data(), spi.value);
  return (direction == model::Direction::kInbound ? "inbound " : "outbound ") + to_hex(octets);
}

}  // namespace

void DataPlane::install(const model::SaSpec& spec, Instant now) {
  if (spec.spi.value < 256) faults.push_back("installed reserved SPI " + name_of(spec.direction, spec.spi));
  for (const auto& entry : entries_) {
    if (entry.spec.direction != spec.direction) continue;
    const bool same_spi = entry.spec.spi == spec.spi;
    if (same_spi && (spec.direction == model::Direction::kInbound || entry.spec.remote == spec.remote)) {
      faults.push_back("installed twice: " + name_of(spec.direction, spec.spi));
    }
    if (entry.spec.encryption_key == spec.encryption_key)
      faults.push_back("key used again: " + name_of(spec.direction, spec.spi));
  }
  entries_.push_back({spec, next_order_++, now, Instant{}});
}

void DataPlane::remove(const ike::RemoveSa& action) {
  const auto gone = std::erase_if(entries_, [&](const Entry& entry) {
    return entry.spec.direction == action.direction && entry.spec.spi == action.spi && entry.spec.child == action.child;
  });
  if (gone != 1 && !repeats_allowed)
    faults.push_back("removed what is not there: " + name_of(action.direction, action.spi));
}

void DataPlane::activate(model::ChildId child) {
  bool found = false;
  for (auto& entry : entries_) {
    if (entry.spec.child != child || entry.spec.direction != model::Direction::kOutbound) continue;
    // The engine counts age from here: an SA that was on standby becomes the newest.
    if (entry.spec.standby) entry.order = next_order_++;
    entry.spec.standby = false;
    found = true;
  }
  if (!found && !repeats_allowed) faults.push_back("activated a child without outbound SA");
}

void DataPlane::expire(model::ChildId child) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.spec.child == child; });
  repeats_allowed = true;
}

void DataPlane::update_endpoints(const ike::UpdateChildEndpoints& action) {
  for (auto& entry : entries_) {
    if (entry.spec.child != action.child) continue;
    entry.spec.local = action.local;
    entry.spec.remote = action.remote;
    entry.spec.udp_encapsulation = action.udp_encapsulation;
    if (entry.spec.direction == model::Direction::kOutbound) entry.spec.keepalive_s = action.keepalive_s;
  }
}

const DataPlane::Entry* DataPlane::outbound(const std::string& connection, const std::string& child) const {
  const Entry* best = nullptr;
  for (const auto& entry : entries_) {
    if (entry.spec.direction != model::Direction::kOutbound || entry.spec.standby) continue;
    if (entry.spec.connection != connection || entry.spec.child_name != child) continue;
    if (best == nullptr || entry.order > best->order) best = &entry;
  }
  return best;
}

const DataPlane::Entry* DataPlane::inbound(Spi spi) const {
  for (const auto& entry : entries_) {
    if (entry.spec.direction == model::Direction::kInbound && entry.spec.spi == spi) return &entry;
  }
  return nullptr;
}

const DataPlane::Entry* DataPlane::find(model::ChildId child, model::Direction direction) const {
  for (const auto& entry : entries_) {
    if (entry.spec.child == child && entry.spec.direction == direction) return &entry;
  }
  return nullptr;
}

bool DataPlane::receive(const model::SaSpec& sealed_by, Instant now, std::optional<model::ChildId>& activated) {
  for (auto& entry : entries_) {
    const auto& spec = entry.spec;
    if (spec.direction != model::Direction::kInbound || spec.spi != sealed_by.spi) continue;
    if (spec.encryption != sealed_by.encryption || spec.encryption_bits != sealed_by.encryption_bits ||
        spec.integrity != sealed_by.integrity || spec.encryption_key != sealed_by.encryption_key ||
        spec.integrity_key != sealed_by.integrity_key || spec.esn != sealed_by.esn || spec.mode != sealed_by.mode) {
      return false;
    }
    entry.last_used = now;
    const auto* out = find(spec.child, model::Direction::kOutbound);
    if (packets_activate && out != nullptr && out->spec.standby) {
      activated = spec.child;
      activate(*activated);
    }
    return true;
  }
  return false;
}

Instant DataPlane::last_inbound(model::ChildId child) const {
  const auto* entry = find(child, model::Direction::kInbound);
  return entry == nullptr ? Instant{} : entry->last_used;
}

Instant DataPlane::last_outbound(model::ChildId child) const {
  const auto* entry = find(child, model::Direction::kOutbound);
  return entry == nullptr ? Instant{} : entry->last_used;
}

void DataPlane::note_sent(model::ChildId child, Instant now) {
  for (auto& entry : entries_) {
    if (entry.spec.child == child && entry.spec.direction == model::Direction::kOutbound) entry.last_used = now;
  }
}

std::size_t DataPlane::count(model::Direction direction) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(entries_, [&](const Entry& entry) { return entry.spec.direction == direction; }));
}

std::vector<model::SaSpec> DataPlane::specs() const {
  std::vector<model::SaSpec> out;
  out.reserve(entries_.size());
  for (const auto& entry : entries_) out.push_back(entry.spec);
  return out;
}

}  // namespace cygnet::test
