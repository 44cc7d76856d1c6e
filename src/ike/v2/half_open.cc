// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/half_open.h"

namespace cygnet::ike::v2 {
namespace {

std::uint64_t front(const IpAddress& address, unsigned bits) {
  const auto octets = address.bytes();
  std::uint64_t out = 0;
  for (unsigned i = 0; i < bits / 8; ++i) out = out << 8U | octets[i];
  return out;
}

}  // namespace

HalfOpen::Prefix HalfOpen::address_of(const IpAddress& from) {
  return from.is_v4() ? Prefix{4, front(from, 32)} : Prefix{6, front(from, 64)};
}

HalfOpen::Prefix HalfOpen::network_of(const IpAddress& from) {
  return from.is_v4() ? Prefix{5, front(from, 24)} : Prefix{7, front(from, 48)};
}

void HalfOpen::enter(const IpAddress& from) {
  ++total_;
  ++counts_[address_of(from)];
  ++counts_[network_of(from)];
}

void HalfOpen::drop_one(const Prefix& prefix) {
  const auto found = counts_.find(prefix);
  if (found != counts_.end() && --found->second == 0) counts_.erase(found);
}

void HalfOpen::leave(const IpAddress& from) {
  if (total_ == 0) return;
  --total_;
  drop_one(address_of(from));
  drop_one(network_of(from));
}

HalfOpen::Crowd HalfOpen::around(const IpAddress& from) const {
  const auto count = [this](const Prefix& prefix) -> std::size_t {
    const auto found = counts_.find(prefix);
    return found == counts_.end() ? 0 : found->second;
  };
  return {count(address_of(from)), count(network_of(from))};
}

}  // namespace cygnet::ike::v2
