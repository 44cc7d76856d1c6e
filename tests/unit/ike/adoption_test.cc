// SPDX-License-Identifier: Apache-2.0
// A new process takes over what an earlier one left: however much that is, in time that grows with it and no faster.
#include <gtest/gtest.h>

#include <ctime>

#include "base/random.h"
#include "ike/endpoint.h"
#include "ike/v2/serialize_state.h"

namespace cygnet::ike::v2 {
namespace {

using namespace std::chrono_literals;

model::Connection office() {
  model::Connection c{.name = "office"};
  c.local.host = {.kind = model::HostSpec::Kind::kAddress, .address = IpAddress::v4(0xc0000201)};
  c.remote.host.kind = model::HostSpec::Kind::kAny;
  c.remote.id_any = true;
  c.children.push_back({.name = "net"});
  return c;
}

struct Left {
  std::vector<std::pair<std::string, Bytes>> checkpoints;
  std::vector<model::SaSpec> sas;
};

Left left_behind(std::uint32_t count) {
  Left out;
  const auto connection = std::make_shared<const model::Connection>(office());
  for (std::uint32_t i = 1; i <= count; ++i) {
    IkeSa sa;
    sa.state = State::kEstablished;
    sa.spi_i = IkeSpi(0x100000000ULL + i);
    sa.spi_r = IkeSpi(0x200000000ULL + i);
    sa.path = {{IpAddress::v4(0xc0000201), 4500}, {IpAddress::v4(0x0a000000 + i), 4500}, true};
    sa.connection = connection;
    sa.local_id = {model::IdType::kFqdn, to_bytes("gate.test")};
    sa.remote_id = {model::IdType::kFqdn, to_bytes("c" + std::to_string(i) + ".test")};
    sa.algorithms = {model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone, model::PrfId::kHmacSha2_256,
                     model::KeGroup::kX25519};
    IkeKeys keys;
    keys.d.assign(32, 1);
    keys.ei.assign(36, 2);
    keys.er.assign(36, 3);
    EXPECT_TRUE(set_keys(sa, keys));
    sa.established = Instant(1h);
    auto child = std::make_unique<ChildSa>();
    child->id = model::ChildId(i);
    child->connection = connection;
    child->name = "net";
    child->spi_in = Spi(0x1000 + i);
    child->spi_out = Spi(0x2000000 + i);
    child->remote = {model::TrafficSelector::of(IpRange::of(IpAddress::v4(0x0a000000 + i)))};
    for (const bool in : {true, false}) {
      out.sas.push_back({.direction = in ? model::Direction::kInbound : model::Direction::kOutbound,
                         .spi = in ? child->spi_in : child->spi_out,
                         .child = child->id,
                         .connection = "office",
                         .child_name = "net"});
    }
    sa.children.push_back(std::move(child));
    out.checkpoints.emplace_back(checkpoint_key(sa), serialize_state(sa));
  }
  return out;
}

TEST(Adoption, OfManyTunnelsTakesNoLongerForEachThanOfFew) {
  constexpr std::uint32_t kCount = 8000;
  const auto left = left_behind(kCount);
  SeededRandom random(3);
  IkeEndpoint endpoint({}, random);
  endpoint.configure(Instant(2h), {office()}, {});
  const auto before = std::clock();
  endpoint.adopt(Instant(2h), left.checkpoints, left.sas);
  const auto seconds = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  EXPECT_EQ(endpoint.status().size(), kCount);
  for (const auto& action : endpoint.take_actions()) EXPECT_FALSE(std::holds_alternative<RemoveSa>(action));
  // Under 0.2 s; comparing each with each takes minutes, sanitizers some times as long as without.
  EXPECT_LT(seconds, 10);
}

TEST(Adoption, WhatTheDataPlaneHasAndNobodyOwnsGoes) {
  auto left = left_behind(3);
  left.checkpoints.pop_back();
  SeededRandom random(3);
  IkeEndpoint endpoint({}, random);
  endpoint.configure(Instant(2h), {office()}, {});
  endpoint.adopt(Instant(2h), left.checkpoints, left.sas);
  EXPECT_EQ(endpoint.status().size(), 2U);
  std::vector<Spi> removed;
  for (const auto& action : endpoint.take_actions()) {
    if (const auto* remove = std::get_if<RemoveSa>(&action)) removed.push_back(remove->spi);
  }
  EXPECT_EQ(removed, (std::vector{Spi(0x1003), Spi(0x2000003)}));
}

}  // namespace
}  // namespace cygnet::ike::v2
