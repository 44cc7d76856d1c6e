// SPDX-License-Identifier: Apache-2.0
#pragma once

// The SPD held against a plain linear scan: random policies of all kinds come and go, random packets are looked up.
// What is random is read from bytes, so that a fuzzer and a seeded test drive the same.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "engine/spd.h"

namespace cygnet::engine::fuzz {

class SpdWorld {
 public:
  explicit SpdWorld(ByteView script) : script_(script) {}

  // Plays the script to its end. False with a line on stderr when the SPD and the scan differ.
  [[nodiscard]] bool play() {
    // Some scripts stay with one kind, so that crowded places come about.
    mood_ = script_.u8();
    while (script_.remaining() > 8) {
      const auto what = script_.u8();
      if (what < 120) {
        install();
      } else if (what < 150) {
        remove();
      } else if (!look_up()) {
        return false;
      }
    }
    while (!linear_.empty()) {
      (void)spd_.remove(linear_.begin()->second.spec.id);
      linear_.erase(linear_.begin());
    }
    return spd_.size() == 0 && look_up();
  }

 private:
  using Rank = std::pair<std::uint32_t, std::uint32_t>;

  [[nodiscard]] std::uint8_t byte(unsigned bound) { return static_cast<std::uint8_t>(script_.u8() % bound); }

  [[nodiscard]] IpAddress address(Family family) {
    static constexpr std::array<std::uint8_t, 8> kOctets = {0, 1, 2, 3, 127, 128, 254, 255};
    std::array<std::uint8_t, 16> octets{};
    const bool scoped = byte(16) == 0;
    if (family == Family::kV4) {
      octets = {static_cast<std::uint8_t>(scoped ? 224 + byte(32) : 10), kOctets[byte(2)], kOctets[byte(8)],
                script_.u8()};
      return IpAddress::from_bytes(ByteView(octets).first(4));
    }
    octets[0] = scoped ? 0xff : 0x20;
    octets[1] = scoped ? 2 : 1;
    octets[7] = kOctets[byte(4)];
    octets[14] = kOctets[byte(8)];
    octets[15] = script_.u8();
    return IpAddress::from_bytes(octets);
  }

  [[nodiscard]] IpRange range(Family family) {
    const unsigned bits = family == Family::kV4 ? 32 : 128;
    switch (byte(5)) {
      case 0: return IpRange::of(address(family));
      case 1: return IpRange::of(IpPrefix{address(family), static_cast<std::uint8_t>(bits - byte(17))});
      case 2: return IpRange::of(IpPrefix{address(family), static_cast<std::uint8_t>(script_.u8() % (bits + 1))});
      case 3: return IpRange::all(family);
      default: {
        auto a = address(family);
        auto b = address(family);
        if (b < a) std::swap(a, b);
        return {a, b};
      }
    }
  }

  [[nodiscard]] model::TrafficSelector selector(Family family) {
    static constexpr std::array<std::uint8_t, 5> kProtocols = {0, 6, 17, 1, 58};
    auto s = model::TrafficSelector::of((mood_ & 1U) != 0 ? IpRange::all(family) : range(family));
    s.protocol = kProtocols[byte(kProtocols.size())];
    switch (byte(4)) {
      case 0: s.port_first = s.port_last = script_.u8(); break;
      case 1: {
        s.port_first = script_.u16();
        s.port_last = script_.u16();
        if (s.port_first > s.port_last) std::swap(s.port_first, s.port_last);
        break;
      }
      case 2:
        if (byte(4) == 0) {
          s.port_first = 65535;
          s.port_last = 0;
        }
        break;
      default: break;
    }
    return s;
  }

  [[nodiscard]] model::TrafficSelectors selectors(Family family) {
    model::TrafficSelectors all;
    // Now and then more pairs than are indexed one by one.
    const unsigned count = byte(64) == 0 ? 9 + byte(4) : 1 + byte(8) / 6;
    for (unsigned i = 0; i < count; ++i) all.push_back(selector(family));
    if (byte(32) == 0) all.push_back(selector(family == Family::kV4 ? Family::kV6 : Family::kV4));
    return all;
  }

  void install() {
    const auto family = byte(3) == 0 ? Family::kV6 : Family::kV4;
    model::PolicySpec spec;
    spec.id = model::PolicyId{script_.u16() % 512U};
    spec.order = (mood_ & 2U) != 0 ? script_.u32() >> byte(32) : byte(8);
    spec.action = static_cast<model::PolicyAction>(byte(3));
    spec.local = selectors(family);
    spec.remote = selectors(family);
    const DeviceId device = (mood_ & 4U) != 0 ? byte(64) : byte(3);
    spec.device = byte(8) == 0 ? "" : "ipsec" + std::to_string(device);
    std::erase_if(linear_, [&](const auto& entry) { return entry.second.spec.id == spec.id; });
    (void)spd_.install(spec, device);
    auto& policy = linear_[{spec.order, spec.id.value}];
    policy.spec = spec;
    policy.device = device;
    policy.any_device = spec.device.empty();
    last_ = spec;
  }

  void remove() {
    if (linear_.empty()) return;
    auto at = linear_.lower_bound({0, 0});
    std::advance(at, script_.u16() % linear_.size());
    if (!spd_.remove(at->second.spec.id)) std::abort();
    linear_.erase(at);
  }

  // At the edges of the last policy, or anywhere.
  [[nodiscard]] IpAddress near(const model::TrafficSelectors& sides, Family family) {
    if (sides.empty() || sides.front().range.first.family() != family) return address(family);
    const auto& near_range = sides[script_.u8() % sides.size()].range;
    if (near_range.first.family() != family) return address(family);
    switch (byte(6)) {
      case 0: return near_range.first;
      case 1: return near_range.last;
      case 2: return near_range.first.previous().value_or(near_range.first);
      case 3: return near_range.last.next().value_or(near_range.last);
      default: return address(family);
    }
  }

  [[nodiscard]] PacketSelectors packet() {
    static constexpr std::array<std::uint8_t, 5> kProtocols = {6, 17, 1, 58, 50};
    const auto family = byte(3) == 0 ? Family::kV6 : Family::kV4;
    PacketSelectors p;
    p.remote = near(last_.remote, family);
    p.local = near(last_.local, family);
    p.protocol = kProtocols[byte(kProtocols.size())];
    p.has_ports = byte(8) != 0;
    if (p.has_ports) {
      p.local_port = byte(2) == 0 ? script_.u8() : script_.u16();
      p.remote_port = byte(2) == 0 ? script_.u8() : script_.u16();
    }
    return p;
  }

  [[nodiscard]] const Policy* scan(const PacketSelectors& p, const DeviceId* device) const {
    for (const auto& [rank, policy] : linear_) {
      if (device != nullptr && !policy.any_device && policy.device != *device) continue;
      if (policy.matches(p)) return &policy;
    }
    return nullptr;
  }

  [[nodiscard]] static bool same(const Policy* found, const Policy* wanted, const PacketSelectors& p) {
    const auto id = [](const Policy* policy) {
      return policy == nullptr ? -1 : static_cast<int>(policy->spec.id.value);
    };
    if (id(found) == id(wanted)) return true;
    std::fprintf(stderr, "violated: local %s:%u remote %s:%u protocol %u ports %d: found %d, the scan says %d\n",
                 p.local.to_string().c_str(), p.local_port, p.remote.to_string().c_str(), p.remote_port, p.protocol,
                 p.has_ports, id(found), id(wanted));
    return false;
  }

  [[nodiscard]] bool look_up() {
    std::vector<PacketSelectors> packets;
    std::vector<DeviceId> devices;
    const unsigned count = 1 + byte(8) * byte(12);
    for (unsigned i = 0; i < count; ++i) {
      packets.push_back(packet());
      devices.push_back(byte(4));
    }
    std::vector<Policy*> found(count);
    spd_.find(packets, devices, found);
    for (unsigned i = 0; i < count; ++i) {
      const auto* wanted = scan(packets[i], &devices[i]);
      if (!same(found[i], wanted, packets[i]) || !same(spd_.find(packets[i], devices[i]), wanted, packets[i]) ||
          !same(spd_.find(packets[i]), scan(packets[i], nullptr), packets[i])) {
        return false;
      }
    }
    return true;
  }

  ByteReader script_;
  std::uint8_t mood_ = 0;
  Spd spd_;
  std::map<Rank, Policy> linear_;
  model::PolicySpec last_;
};

}  // namespace cygnet::engine::fuzz
