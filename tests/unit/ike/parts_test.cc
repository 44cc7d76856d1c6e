// SPDX-License-Identifier: Apache-2.0
// Cookies, NAT detection, collisions, saved state, rate limits: the parts that need no second endpoint.
#include <gtest/gtest.h>

#include "ike/v2/collision.h"
#include "ike/v2/cookie.h"
#include "ike/v2/nat.h"
#include "ike/v2/request.h"
#include "ike/v2/serialize_state.h"

namespace cygnet::ike::v2 {
namespace {

using namespace std::chrono_literals;

Endpoint endpoint(std::uint32_t address, std::uint16_t port) { return {IpAddress::v4(address), port}; }

class CookieTest : public testing::Test {
 protected:
  CookieTest() : world(EndpointSettings{}, random) { world.now = Instant(1h); }
  SeededRandom random{7};
  World world;
  const Bytes nonce = Bytes(32, 1);
  const Endpoint peer{*IpAddress::parse("198.51.100.7"), 500};
};

TEST_F(CookieTest, GoodForWhomItWasMade) {
  const auto cookie = make_cookie(world, nonce, peer, IkeSpi(5), {});
  EXPECT_LE(cookie.size(), 64U);
  EXPECT_TRUE(read_cookie(world, cookie, nonce, peer, IkeSpi(5)));
  EXPECT_FALSE(read_cookie(world, cookie, nonce, peer, IkeSpi(6)));
  EXPECT_FALSE(read_cookie(world, cookie, Bytes(32, 2), peer, IkeSpi(5)));
  EXPECT_FALSE(read_cookie(world, cookie, nonce, {peer.address, 501}, IkeSpi(5)));
  EXPECT_FALSE(read_cookie(world, cookie, nonce, {*IpAddress::parse("198.51.100.8"), 500}, IkeSpi(5)));
  EXPECT_FALSE(read_cookie(world, {}, nonce, peer, IkeSpi(5)));
}

TEST_F(CookieTest, TheSecretBeforeStaysGoodForOneTurn) {
  const auto cookie = make_cookie(world, nonce, peer, IkeSpi(5), {});
  world.now += 61s;
  EXPECT_TRUE(read_cookie(world, cookie, nonce, peer, IkeSpi(5)));
  world.now += 61s;
  EXPECT_FALSE(read_cookie(world, cookie, nonce, peer, IkeSpi(5)));
}

TEST_F(CookieTest, AfterALongQuietTimeOldCookiesAreWorthless) {
  const auto cookie = make_cookie(world, nonce, peer, IkeSpi(5), {});
  world.now += 1h;
  EXPECT_FALSE(read_cookie(world, cookie, nonce, peer, IkeSpi(5)));
}

TEST_F(CookieTest, KeepsThePuzzleThatWasAskedFor) {
  const wire::ike::PuzzleDemand puzzle{model::PrfId::kHmacSha2_384, 17};
  auto cookie = make_cookie(world, nonce, peer, IkeSpi(5), puzzle);
  EXPECT_LE(cookie.size(), 64U);
  EXPECT_EQ(read_cookie(world, cookie, nonce, peer, IkeSpi(5)), puzzle);
  // An easier puzzle cannot be put in its place.
  cookie[1] = 1;
  EXPECT_EQ(read_cookie(world, cookie, nonce, peer, IkeSpi(5)), std::nullopt);
}

TEST(NatHash, IsSha1OfSpisAddressAndPort) {
  // SHA-1 over 0000000000000001 0000000000000002 c0000201 01f4, computed with sha1sum.
  EXPECT_EQ(to_hex(nat_hash(IkeSpi(1), IkeSpi(2), endpoint(0xc0000201, 500))),
            "e551650fd0b1c24a937f8f251b195b30fec944e4");
}

TEST(NatDetection, OneTrueSourceSuffices) {
  SeededRandom random(1);
  IkeSa sa;
  const Path path{endpoint(0xc0000201, 500), endpoint(0xc6336401, 500), false};
  const auto truth = nat_hash(IkeSpi(1), IkeSpi(0), path.remote);
  const auto here = nat_hash(IkeSpi(1), IkeSpi(0), path.local);
  using enum wire::ike::NotifyType;
  read_nat_detection(sa,
                     {notify(kNatDetectionSourceIp, Bytes(20, 9)), notify(kNatDetectionSourceIp, truth),
                      notify(kNatDetectionDestinationIp, here)},
                     IkeSpi(1), IkeSpi(0), path);
  EXPECT_FALSE(sa.nat_remote);
  EXPECT_FALSE(sa.nat_local);
  EXPECT_FALSE(sa.udp_encapsulation);
  read_nat_detection(sa, {notify(kNatDetectionSourceIp, Bytes(20, 9)), notify(kNatDetectionDestinationIp, here)},
                     IkeSpi(1), IkeSpi(0), path);
  EXPECT_TRUE(sa.nat_remote);
  EXPECT_FALSE(sa.nat_local);
  EXPECT_TRUE(sa.udp_encapsulation);
  read_nat_detection(sa, {notify(kNatDetectionSourceIp, truth), notify(kNatDetectionDestinationIp, Bytes(20, 9))},
                     IkeSpi(1), IkeSpi(0), path);
  EXPECT_FALSE(sa.nat_remote);
  EXPECT_TRUE(sa.nat_local);
}

TEST(Collision, TheLowestOfFourNoncesIsRedundant) {
  Task ours;
  Collision theirs;
  ours.nonce = {0x10, 0xff};
  ours.peer_nonce = {0x80};
  theirs.nonce_i = {0x10, 0xfe};
  theirs.nonce_r = {0x90};
  EXPECT_FALSE(ours_is_redundant(ours, theirs));
  ours.peer_nonce = {0x10, 0xfd};
  EXPECT_TRUE(ours_is_redundant(ours, theirs));
  theirs.nonce_r = {0x0f};
  EXPECT_FALSE(ours_is_redundant(ours, theirs));
}

TEST(RateLimit, LetsABurstThroughAndRefillsWithTime) {
  RateLimit limit(3, 1s);
  Instant now(1h);
  EXPECT_TRUE(limit.allow(now));
  EXPECT_TRUE(limit.allow(now));
  EXPECT_TRUE(limit.allow(now));
  EXPECT_FALSE(limit.allow(now));
  now += 1s;
  EXPECT_TRUE(limit.allow(now));
  EXPECT_FALSE(limit.allow(now));
}

std::unique_ptr<IkeSa> established() {
  auto sa = std::make_unique<IkeSa>();
  sa->state = State::kEstablished;
  sa->spi_i = IkeSpi(1);
  sa->spi_r = IkeSpi(2);
  sa->path = {endpoint(0xc0000201, 4500), endpoint(0xc6336401, 4500), true};
  auto connection = std::make_shared<model::Connection>();
  connection->name = "office";
  sa->connection = connection;
  sa->algorithms = {model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone, model::PrfId::kHmacSha2_256,
                    model::KeGroup::kX25519};
  IkeKeys keys;
  keys.d.assign(32, 1);
  keys.ei.assign(36, 2);
  keys.er.assign(36, 3);
  EXPECT_TRUE(set_keys(*sa, keys));
  sa->next_request = MessageId(7);
  sa->expected = MessageId(9);
  sa->last_response = {Bytes(80, 5), Bytes(20, 6)};
  sa->fragmentation = true;
  sa->established = Instant(2h);
  sa->rekey_at = Instant(3h);
  auto child = std::make_unique<ChildSa>();
  child->id = model::ChildId(4);
  child->connection = connection;
  child->name = "net";
  child->spi_in = Spi(0x1000);
  child->spi_out = Spi(0x2000);
  child->local = {*model::TrafficSelector::parse("10.1.0.0/16[tcp/80]")};
  child->remote = {*model::TrafficSelector::parse("2001:db8::/32")};
  sa->children.push_back(std::move(child));
  Task task;
  task.about = About::kRekeyChild;
  task.child = model::ChildId(4);
  task.nonce = Bytes(32, 6);
  task.own = crypto::KeyPair{model::KeGroup::kX25519, SecretBytes(32, 7), Bytes(32, 8)};
  task.collision = Collision{Bytes(16, 1), Bytes(16, 2), model::ChildId(5), IkeSpi(), true};
  task.want.connection = connection;
  sa->task = std::move(task);
  Outstanding out;
  out.id = MessageId(6);
  out.exchange = wire::ike::ExchangeType::kCreateChildSa;
  out.datagrams = {Bytes(100, 9), Bytes(50, 8)};
  sa->outstanding = out;
  return sa;
}

TEST(SavedState, ComesBackAsItWas) {
  const auto sa = established();
  const auto bytes = serialize_state(*sa);
  const auto back = parse_state(bytes);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(checkpoint_key(**back), "ike/0000000000000002");
  EXPECT_EQ((*back)->next_request, MessageId(7));
  EXPECT_EQ((*back)->keys.ei, sa->keys.ei);
  EXPECT_EQ((*back)->path, sa->path);
  ASSERT_EQ((*back)->children.size(), 1U);
  EXPECT_EQ((*back)->children[0]->local, sa->children[0]->local);
  EXPECT_EQ((*back)->task->collision->child, model::ChildId(5));
  EXPECT_EQ((*back)->outstanding->datagrams, (std::vector<Bytes>{Bytes(100, 9), Bytes(50, 8)}));
  EXPECT_EQ((*back)->last_response, (std::vector<Bytes>{Bytes(80, 5), Bytes(20, 6)}));
  EXPECT_TRUE((*back)->fragmentation);
  EXPECT_EQ(serialize_state(**back), bytes);
}

TEST(SavedState, EveryTruncationIsRefused) {
  const auto bytes = serialize_state(*established());
  for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(parse_state(ByteView(bytes).first(n))) << n;
  auto longer = bytes;
  longer.push_back(0);
  EXPECT_FALSE(parse_state(longer));
}

TEST(SavedState, EveryFlippedOctetIsRefusedOrRead) {
  const auto bytes = serialize_state(*established());
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    auto damaged = bytes;
    damaged[n] ^= 0xff;
    const auto back = parse_state(damaged);
    if (back) {
      EXPECT_LE((*back)->children.size(), 1U);
    }
  }
  auto other_version = bytes;
  other_version[0] = 99;
  EXPECT_FALSE(parse_state(other_version));
}

}  // namespace
}  // namespace cygnet::ike::v2
