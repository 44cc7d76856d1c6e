// SPDX-License-Identifier: Apache-2.0
// AH instead of ESP (RFC 7296 section 3.3.1, Protocol ID 2), and traffic flow confidentiality padding (section 3.10.1).
#include <gtest/gtest.h>

#include <map>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

model::Connection with_ah(std::uint16_t integrity = 12) {
  auto c = tunnel("tun");
  auto& child = c.children[0];
  child.protocol = model::SaProtocol::kAh;
  child.proposals = {{model::Protocol::kAh,
                      {{model::TransformType::kIntegrity, integrity, 0},
                       {model::TransformType::kKeyExchange, 31, 0},
                       {model::TransformType::kEsn, 1, 0},
                       {model::TransformType::kEsn, 0, 0}}}};
  return c;
}

const model::SaSpec& sa(const Side& side, model::Direction direction) {
  const auto* out = side.plane.outbound("tun", "tun");
  return direction == model::Direction::kOutbound ? out->spec
                                                  : side.plane.find(out->spec.child, model::Direction::kInbound)->spec;
}

void expect_ah(Exchange& e) {
  for (auto* side : {&e.a(), &e.b()}) {
    for (const auto direction : {model::Direction::kInbound, model::Direction::kOutbound}) {
      const auto& spec = sa(*side, direction);
      EXPECT_EQ(spec.protocol, model::SaProtocol::kAh);
      EXPECT_EQ(spec.encryption, model::EncryptionId::kNone);
      EXPECT_TRUE(spec.encryption_key.empty());
      EXPECT_EQ(spec.integrity, model::IntegrityId::kHmacSha2_256_128);
      EXPECT_EQ(spec.integrity_key.size(), 32U);
      EXPECT_TRUE(spec.esn);
      EXPECT_EQ(spec.local.port, 0) << "AH has no ports, now or later";
    }
  }
  EXPECT_EQ(sa(e.a(), model::Direction::kOutbound).integrity_key, sa(e.b(), model::Direction::kInbound).integrity_key);
  EXPECT_EQ(sa(e.b(), model::Direction::kOutbound).integrity_key, sa(e.a(), model::Direction::kInbound).integrity_key);
  EXPECT_NE(sa(e.a(), model::Direction::kOutbound).integrity_key, sa(e.a(), model::Direction::kInbound).integrity_key);
}

TEST(Ah, AgreedOnInTheFirstChildAndInEachRekey) {
  Exchange e(with_ah());
  e.initiate(e.a());
  e.advance_and_run(1s);
  expect_ah(e);
  const auto before = sa(e.a(), model::Direction::kOutbound).spi;
  for (auto* who : {&e.a(), &e.b()}) {
    e.rekey_child(*who);
    e.advance_and_run(60s);
    expect_ah(e);
    // The old pair is deleted by the protocol it had: nothing of it is left.
    EXPECT_EQ(e.a().plane.entries().size(), 2U);
    EXPECT_EQ(e.b().plane.entries().size(), 2U);
  }
  EXPECT_NE(sa(e.a(), model::Direction::kOutbound).spi, before);
}

// RFC 4543 section 5.2: the keying material is the key and four octets of salt.
TEST(Ah, GmacTakesKeysWithSalt) {
  for (const auto& [id, octets] : std::map<std::uint16_t, std::size_t>{{9, 20}, {10, 28}, {11, 36}}) {
    Exchange e(with_ah(id));
    e.initiate(e.a());
    e.advance_and_run(1s);
    const auto& out = sa(e.a(), model::Direction::kOutbound);
    EXPECT_EQ(static_cast<std::uint16_t>(out.integrity), id);
    EXPECT_EQ(out.integrity_key.size(), octets);
    EXPECT_EQ(out.integrity_key, sa(e.b(), model::Direction::kInbound).integrity_key);
    EXPECT_EQ(out.iv_mask, 0U);
  }
}

TEST(Ah, EspAndAhDoNotMeet) {
  Exchange e(with_ah(), mirrored(tunnel("tun")));
  e.initiate(e.a());
  e.advance_and_run(60s);
  EXPECT_EQ(e.a().plane.outbound("tun", "tun"), nullptr);
  EXPECT_EQ(e.b().plane.outbound("tun", "tun"), nullptr);
}

TEST(Ah, OtherHashesDoNotMeet) {
  Exchange e(with_ah(12), mirrored(with_ah(14)));
  e.initiate(e.a());
  e.advance_and_run(60s);
  EXPECT_EQ(e.a().plane.outbound("tun", "tun"), nullptr);
}

TEST(Ah, ThroughANatItIsRefusedAndTheLogSaysWhy) {
  auto of_a = with_ah();
  auto of_b = mirrored(of_a);
  of_b.remote.host = {};
  of_a.local.host.address = address("10.0.0.1");
  Exchange e;
  e.nat = Nat{address("10.0.0.1"), address("203.0.113.9"), 20000, {}};
  e.add("A", "10.0.0.1", {of_a}, {secret("s3cret")});
  e.add("B", "198.51.100.1", {of_b}, {secret("s3cret")});
  e.initiate(e.a());
  e.advance_and_run(10s);
  EXPECT_EQ(e.a().plane.outbound("tun", "tun"), nullptr);
  EXPECT_EQ(e.b().plane.outbound("tun", "tun"), nullptr);
  EXPECT_TRUE(e.b().reported("ah-behind-nat"));
}

TEST(Tfc, PadsUnlessThePeerRefusesIt) {
  for (const bool refused : {false, true}) {
    auto mine = tunnel("tun");
    mine.children[0].tfc_octets = 1200;
    auto theirs = mirrored(tunnel("tun"));
    theirs.refuse_tfc = refused;
    Exchange e(mine, theirs);
    e.initiate(e.a());
    e.advance_and_run(1s);
    EXPECT_EQ(sa(e.a(), model::Direction::kOutbound).tfc_octets, refused ? 0U : 1200U);
    EXPECT_EQ(sa(e.a(), model::Direction::kInbound).tfc_octets, 0U);
    EXPECT_EQ(sa(e.b(), model::Direction::kOutbound).tfc_octets, 0U);
    // Whoever rekeys, it stays.
    e.rekey_child(e.b());
    e.advance_and_run(60s);
    EXPECT_EQ(sa(e.a(), model::Direction::kOutbound).tfc_octets, refused ? 0U : 1200U);
  }
}

// A Delete names the protocol, also where the child is gone here already: the peer would keep it else.
TEST(Ah, WhatIsGoneHereGoesAtThePeer) {
  const auto close = [](bool refused) {
    Exchange e(with_ah());
    e.initiate(e.a());
    e.advance_and_run(10s);
    const auto id = e.a().plane.specs().front().child;
    e.a().act(e.now(), [&](ike::IkeEndpoint& x) {
      if (refused) {
        x.on_child_refused(e.now(), id, "no route");
      } else {
        x.on_child_expiring(e.now(), id, true);
      }
    });
    e.advance_and_run(10s);
    EXPECT_EQ(e.a().plane.entries().size(), 0U) << refused;
    EXPECT_EQ(e.b().plane.entries().size(), 0U) << refused;
  };
  close(true);
  close(false);
}

TEST(Ah, WhatIsTakenDownWhileThePeerIsAskedGoesThere) {
  auto c = with_ah();
  c.children.push_back(c.children[0]);
  c.children[1].name = "lab";
  c.children[1].remote = child("lab", "10.1.0.0/16", "10.7.0.0/16").remote;
  Exchange e(c);
  e.initiate(e.a(), "tun", "tun");
  e.run();
  e.initiate(e.a(), "tun", "lab");
  e.terminate(e.a(), "tun", "lab");
  e.advance_and_run(60s);
  EXPECT_EQ(e.a().plane.entries().size(), 2U);
  EXPECT_EQ(e.b().plane.entries().size(), 2U);
}

}  // namespace
}  // namespace cygnet::test
