// SPDX-License-Identifier: Apache-2.0
#include "gateway.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <numeric>
#include <random>
#include <utility>

#include "wire/ip_packet.h"
#include "wire/ipv4_header.h"

namespace cygnet::bench {
namespace {

constexpr std::uint32_t kRemoteNet = 0x0a000000U;  // 10.0.0.0, up to 10.127.255.255

engine::EngineSettings settings_for(const Scale& scale) {
  engine::EngineSettings settings;
  settings.link_mtu = 65535;
  settings.max_sas = std::size_t{scale.sas} + 1;
  settings.max_policies = std::size_t{scale.policies} + 1;
  return settings;
}

void demand(const Result<void>& result) {
  if (result) return;
  std::cerr << "the engine refused what the benchmark needs: " << result.error().message << '\n';
  std::exit(1);
}

model::TrafficSelector block(std::uint32_t address, unsigned bits) {
  return model::TrafficSelector::of(IpPrefix{IpAddress::v4(address), static_cast<std::uint8_t>(32 - bits)});
}

}  // namespace

Gateway::Gateway(const Algorithm& algorithm, const Scale& scale, model::Direction direction, std::uint64_t seed,
                 Side side)
    : scale_(scale),
      random_(seed),
      engine_(settings_for(scale), random_),
      device_(engine_.device_id("ipsec0")),
      side_(side),
      block_bits_(static_cast<unsigned>(std::bit_width(std::max(scale.sas, scale.policies) / scale.policies - 1U))),
      order_(scale.sas) {
  std::iota(order_.begin(), order_.end(), 0U);
  std::mt19937_64 shuffle(seed);
  std::ranges::shuffle(order_, shuffle);
  install_policies();
  install_sas(algorithm, direction);
}

std::uint32_t Gateway::host(std::uint32_t sa) const {
  const auto per_policy = std::max(1U, scale_.sas / scale_.policies);
  const auto policies_apart = std::max(1U, scale_.policies / scale_.sas);
  return kRemoteNet + ((sa / per_policy * policies_apart) << block_bits_) + sa % per_policy;
}

void Gateway::install_policies() {
  for (std::uint32_t i = 0; i < scale_.policies; ++i) {
    model::PolicySpec policy;
    policy.id = model::PolicyId{i + 1};
    policy.local = {block(kLocalHost, 0)};
    policy.remote = {block(kRemoteNet + (i << block_bits_), block_bits_)};
    if (side_ == Side::kPeer) std::swap(policy.local, policy.remote);
    demand(engine_.install_policy(policy));
  }
}

void Gateway::install_sas(const Algorithm& algorithm, model::Direction direction) {
  model::SaSpec spec;
  algorithm.apply(spec);
  spec.direction = direction;
  spec.udp_encapsulation = true;
  for (std::uint32_t i = 0; i < scale_.sas; ++i) {
    spec.spi = spi(i);
    spec.child = model::ChildId{i + 1};
    spec.policy = model::PolicyId{((host(i) - kRemoteNet) >> block_bits_) + 1};
    spec.local = {IpAddress::v4(0xc0000201U), 4500};
    spec.remote = {IpAddress::v4(0xc6120000U + i), 4500};  // 198.18.0.0/15 and what follows
    spec.local_selectors = {block(kLocalHost, 0)};
    spec.remote_selectors = {block(host(i), 0)};
    if (side_ == Side::kPeer) {
      std::swap(spec.local, spec.remote);
      std::swap(spec.local_selectors, spec.remote_selectors);
    }
    demand(engine_.install_sa(spec, kNow));
  }
}

void write_packet(std::uint8_t* to, std::size_t size, std::uint32_t source, std::uint32_t destination) {
  wire::write_ipv4_header(to, {.total_octets = static_cast<std::uint16_t>(size),
                               .ttl = 64,
                               .protocol = wire::protocol::kUdp,
                               .source = IpAddress::v4(source),
                               .destination = IpAddress::v4(destination)});
  std::memset(to + wire::kIpv4HeaderOctets, 0x5a, size - wire::kIpv4HeaderOctets);
  store_be16(to + 20, 4001);
  store_be16(to + 22, 4002);
  store_be16(to + 24, static_cast<std::uint16_t>(size - wire::kIpv4HeaderOctets));
  store_be16(to + 26, 0);
}

std::size_t round_packets(const Scale& scale) {
  constexpr std::size_t kOctets = std::size_t{512} * 1024;
  const auto packets = std::clamp<std::size_t>(kOctets / scale.size, 64, 2048);
  return (packets + scale.burst - 1) / scale.burst * scale.burst;
}

}  // namespace cygnet::bench
