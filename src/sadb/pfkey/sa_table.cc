// SPDX-License-Identifier: Apache-2.0
#include "sadb/pfkey/sa_table.h"

namespace cygnet::sadb {

PfkeySa& PfkeySaTable::add(PfkeySa sa) {
  sa.serial = next_serial_++;
  by_name_[{sa.spi, sa.to(), sa.sa_type}] = sa.serial;
  if (sa.state == wire::pfkey::SaState::kLarval) larval_.insert({sa.added + kLarvalLife, sa.serial});
  return sas_.emplace(sa.serial, std::move(sa)).first->second;
}

void PfkeySaTable::erase(std::uint64_t serial) {
  const auto it = sas_.find(serial);
  if (it == sas_.end()) return;
  hatched(it->second);
  by_name_.erase({it->second.spi, it->second.to(), it->second.sa_type});
  sas_.erase(it);
}

PfkeySa* PfkeySaTable::find(Spi spi, const IpAddress& destination, wire::pfkey::SaType type) {
  const auto it = by_name_.find({spi, destination, type});
  return it == by_name_.end() ? nullptr : find(it->second);
}

PfkeySa* PfkeySaTable::find(std::uint64_t serial) {
  const auto it = sas_.find(serial);
  return it == sas_.end() ? nullptr : &it->second;
}

PfkeySa* PfkeySaTable::after(std::uint64_t serial) {
  const auto it = sas_.upper_bound(serial);
  return it == sas_.end() ? nullptr : &it->second;
}

void PfkeySaTable::move(PfkeySa& sa, const wire::pfkey::AddressExtension& source,
                        const wire::pfkey::AddressExtension& destination) {
  by_name_.erase({sa.spi, sa.to(), sa.sa_type});
  sa.source = source;
  sa.destination = destination;
  by_name_[{sa.spi, sa.to(), sa.sa_type}] = sa.serial;
}

PfkeySa* PfkeySaTable::overdue(Instant now) {
  if (larval_.empty() || larval_.begin()->first > now) return nullptr;
  return find(larval_.begin()->second);
}

}  // namespace cygnet::sadb
