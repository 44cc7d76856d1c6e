// SPDX-License-Identifier: Apache-2.0
// Addresses that the responder assigns (RFC 7296 sections 2.19 and 3.15).
#include <gtest/gtest.h>

#include "exchange/arrows.h"
#include "wire/ike/configuration_payload.h"

namespace cygnet::test {
namespace {

namespace wi = wire::ike;

model::AddressPool pool(const char* text) { return {model::usable_range(*IpPrefix::parse(text)), text}; }

model::Connection client(bool v6 = false) {
  auto c = tunnel("tun");
  c.local.request_ip4 = true;
  c.local.request_ip6 = v6;
  c.children[0].local = {};
  c.children[0].remote = selectors({"0.0.0.0/0"});
  if (v6) c.children[0].remote.push_back(selector("::/0"));
  return c;
}

model::Connection server(std::initializer_list<const char*> pools) {
  auto c = mirrored(tunnel("tun"));
  c.children[0].local = selectors({"10.2.0.0/16", "2001:db8:2::/48"});
  c.children[0].remote = {};
  for (const auto* text : pools) c.remote.pools.push_back(pool(text));
  return c;
}

std::string only_remote(const Side& side) {
  const auto status = side.endpoint().status();
  return status.size() == 1 && status[0].assigned_remote.size() == 1 ? status[0].assigned_remote[0].to_string()
                                                                     : std::string();
}

TEST(Addresses, TheClientGetsOneOfEachFamilyAndTheTunnelCarriesNothingElse) {
  auto b = server({"10.9.0.7/32", "2001:db8:9::7/128"});
  b.dns = {address("10.2.0.53")};
  b.dns_domains = {"corp.example"};
  Exchange e(client(true), b);
  e.initiate(e.a());
  e.expect(kInitExchange + std::vector<std::string>{"A -> B IKE_AUTH request 1: IDi N(INITIAL_CONTACT) IDr AUTH CP SA "
                                                    "TSi TSr",
                                                    "A <- B IKE_AUTH response 1: IDr AUTH CP SA TSi TSr"});
  ASSERT_EQ(e.a().assigned.size(), 1U);
  const auto& got = e.a().assigned[0];
  ASSERT_EQ(got.addresses.size(), 2U);
  EXPECT_EQ(got.addresses[0].to_string(), "10.9.0.7");
  EXPECT_EQ(got.addresses[1].to_string(), "2001:db8:9::7");
  ASSERT_EQ(got.dns.size(), 1U);
  EXPECT_EQ(got.dns[0].to_string(), "10.2.0.53");
  EXPECT_EQ(got.domains, std::vector<std::string>{"corp.example"});
  ASSERT_EQ(e.a().child_ups.size(), 1U);
  EXPECT_EQ(model::to_string(e.a().child_ups[0].local), "10.9.0.7/32, 2001:db8:9::7/128");
  EXPECT_EQ(model::to_string(e.a().child_ups[0].remote), "10.2.0.0/16, 2001:db8:2::/48");
  ASSERT_EQ(e.b().child_ups.size(), 1U);
  EXPECT_EQ(e.b().child_ups[0].remote, e.a().child_ups[0].local);
  EXPECT_TRUE(e.packet(e.a(), e.b()));
  e.terminate(e.a());
  e.run();
  EXPECT_EQ(e.a().withdrawn.size(), 1U);
  EXPECT_EQ(e.b().addresses.pools.in_use(), 0U);
}

TEST(Addresses, RekeyingKeepsThemAndTheNextSessionHasTheSame) {
  Exchange e(client(), server({"10.9.0.0/24"}));
  e.initiate(e.a());
  e.run();
  const auto first = only_remote(e.b());
  ASSERT_FALSE(first.empty());
  e.rekey_ike(e.a());
  e.run();
  e.rekey_child(e.b());
  e.run();
  e.rekey_child(e.a());
  e.run();
  e.advance_and_run(30s);
  EXPECT_EQ(only_remote(e.b()), first);
  EXPECT_EQ(e.b().addresses.pools.in_use(), 1U);
  EXPECT_EQ(e.a().withdrawn.size(), 0U);
  EXPECT_TRUE(e.packet(e.b(), e.a()));
  e.terminate(e.a());
  e.run();
  e.advance_and_run(30s);
  EXPECT_EQ(e.b().addresses.pools.in_use(), 0U);
  e.initiate(e.a());
  e.run();
  EXPECT_EQ(only_remote(e.b()), first);
}

TEST(Addresses, TheySurviveTheDeathOfEitherProcess) {
  Exchange e(client(), server({"10.9.0.0/24"}));
  e.initiate(e.a());
  e.run();
  const auto first = only_remote(e.b());
  e.b().crash();
  e.b().restart(e.now());
  e.a().crash();
  e.a().forget_history();
  e.a().restart(e.now());
  e.run();
  EXPECT_EQ(only_remote(e.b()), first);
  EXPECT_EQ(e.b().addresses.pools.in_use(), 1U);
  ASSERT_FALSE(e.a().assigned.empty());
  EXPECT_EQ(e.a().assigned.back().addresses.at(0).to_string(), first);
  e.terminate(e.a());
  e.run();
  EXPECT_EQ(e.b().addresses.pools.in_use(), 0U);
}

TEST(Addresses, AnExhaustedPoolIsNamedOnBothEnds) {
  Exchange e(client(), server({"10.9.0.7/32"}));
  e.b().addresses.claim(*model::Identity::parse("@other.test"), address("192.0.2.77"), address("10.9.0.7"), 1);
  e.initiate(e.a());
  e.run();
  EXPECT_TRUE(contains(e.b().messages("no-address-free"), "every address of 10.9.0.7/32 is in use"))
      << e.b().messages("no-address-free");
  EXPECT_TRUE(contains(last_done(e.a()).message, "the peer has no address for us")) << last_done(e.a()).message;
  EXPECT_TRUE(e.a().child_ups.empty());
}

TEST(Addresses, APeerThatAsksForNoneIsToldSo) {
  Exchange e(tunnel("tun"), server({"10.9.0.0/24"}));
  e.initiate(e.a());
  e.run();
  EXPECT_TRUE(e.b().reported("configuration-required"));
  EXPECT_TRUE(contains(last_done(e.a()).message, "insists on handing out an address")) << last_done(e.a()).message;
  EXPECT_EQ(e.b().child_ups.size(), 0U);
}

TEST(Addresses, AServerWithoutPoolLeavesTheClientWithASentence) {
  auto b = server({});
  b.children[0].remote = selectors({"0.0.0.0/0"});
  Exchange e(client(), b);
  e.initiate(e.a());
  e.run();
  EXPECT_TRUE(contains(last_done(e.a()).message, "assigned no address")) << last_done(e.a()).message;
  EXPECT_TRUE(e.a().child_ups.empty());
  e.advance_and_run(60s);
  EXPECT_EQ(e.b().plane.entries().size(), 0U);
}

// What a peer may claim of a pool is the address it has, however wide rightsubnet= is written.
TEST(Addresses, NobodyTakesTheWholePool) {
  auto b = server({"10.9.0.0/24"});
  b.children[0].remote = selectors({"10.9.0.0/16", "10.77.0.0/24"});
  auto a = client();
  a.children[0].local = selectors({"10.9.0.0/16", "10.77.0.0/24"});
  Exchange e(a, b);
  e.initiate(e.a());
  e.run();
  ASSERT_EQ(e.b().child_ups.size(), 1U);
  EXPECT_EQ(model::to_string(e.b().child_ups[0].remote), only_remote(e.b()) + "/32, 10.77.0.0/24");
}

// A hostile or broken server: each of these values must be left out, and counted.
TEST(Addresses, ValuesThatNoHostCanUseAreLeftOut) {
  Exchange e(client(true), server({"127.0.0.9/32", "2001:db8:9::7/128"}));
  e.side(1).addresses.pools = {};
  e.initiate(e.a());
  e.run();
  EXPECT_TRUE(contains(e.a().messages("configuration-unusable"), "sent 1 configuration attributes"))
      << e.a().messages("configuration-unusable");
  ASSERT_EQ(e.a().assigned.size(), 1U);
  ASSERT_EQ(e.a().assigned[0].addresses.size(), 1U);
  EXPECT_EQ(e.a().assigned[0].addresses[0].to_string(), "2001:db8:9::7");
}

// Other connections of the client, beside the one that gets its address from a pool.
class AmongOthers : public testing::Test {
 protected:
  static model::Connection other(const char* name, const char* peer, const char* network) {
    auto c = tunnel(name);
    c.remote.host = {.kind = model::HostSpec::Kind::kAddress, .address = address(peer)};
    c.children[0].local = selectors({"10.1.0.0/24"});
    c.children[0].remote = selectors({network});
    return c;
  }
  // What the client says of the address that its gateway gives it; empty: it takes it.
  std::string verdict(const char* given) {
    auto road = client();
    road.children[0].remote = selectors({networks});
    auto gateway = server({given});
    gateway.children[0].local = selectors({"0.0.0.0/0"});
    Exchange e(road, gateway);
    auto all = others;
    all.insert(all.begin(), road);
    e.a().configure(e.now(), all, {secret("s3cret")});
    e.initiate(e.a());
    e.run();
    EXPECT_EQ(e.a().assigned.empty(), e.a().child_ups.empty());
    EXPECT_EQ(e.a().assigned.empty(), !e.a().messages("configuration-unusable").empty());
    const auto refused = e.a().messages("no-address-assigned");
    EXPECT_EQ(e.a().assigned.empty(), !refused.empty());
    return refused;
  }
  const char* networks = "0.0.0.0/0";
  std::vector<model::Connection> others;
};

// Whoever is at the other end of one connection has no say about another.
TEST_F(AmongOthers, AnAddressThatAnotherConnectionHasIsRefused) {
  others = {other("bank", "203.0.113.9", "10.7.0.0/24")};
  EXPECT_TRUE(contains(verdict("203.0.113.9/32"), "203.0.113.9: the peer of connection bank has it"));
  EXPECT_TRUE(
      contains(verdict("10.7.0.5/32"), "10.7.0.5: it is in 10.7.0.0/24, which is behind the peer of connection bank"));
  EXPECT_EQ(verdict("10.8.0.5/32"), "");
  others[0].remote.alternatives = {{.kind = model::HostSpec::Kind::kAddress, .address = address("203.0.113.10")}};
  EXPECT_TRUE(contains(verdict("203.0.113.10/32"), "the peer of connection bank has it"));
  // An address that we give to others.
  others[0].remote.pools = {pool("10.8.0.0/24")};
  EXPECT_TRUE(contains(verdict("10.8.0.5/32"), "connection bank has it in its pool"));
}

TEST_F(AmongOthers, WhatItsGatewayMayReachAnywayIsTaken) {
  // All addresses are nobody's in particular.
  others = {other("rest", "203.0.113.9", "0.0.0.0/0")};
  networks = "10.2.0.0/16";
  EXPECT_EQ(verdict("10.9.0.5/32"), "");
  // In a network of the connection's own that is as narrow.
  others = {other("backup", "203.0.113.9", "10.0.0.0/8")};
  networks = "10.0.0.0/8";
  EXPECT_EQ(verdict("10.9.0.5/32"), "");
  networks = "10.9.0.0/16";
  EXPECT_EQ(verdict("10.9.0.5/32"), "");
  networks = "10.2.0.0/16";
  EXPECT_TRUE(contains(verdict("10.9.0.5/32"), "connection backup"));
  // Behind the same gateway.
  others[0].remote = client().remote;
  EXPECT_EQ(verdict("10.9.0.5/32"), "");
}

// The responder narrows the client's 0.0.0.0/0 to what it has; a server elsewhere would be asked in the clear.
TEST(Addresses, DnsServersOutsideTheTunnelAreNotUsed) {
  auto b = server({"10.9.0.7/32"});
  b.dns = {address("10.2.0.53"), address("8.8.8.8"), address("2001:db8:99::53")};
  Exchange e(client(), b);
  e.initiate(e.a());
  e.run();
  ASSERT_EQ(e.a().assigned.size(), 1U);
  EXPECT_EQ(e.a().assigned[0].dns, std::vector{address("10.2.0.53")});
  const auto told = e.a().messages("dns-outside-tunnel");
  EXPECT_TRUE(contains(told, "8.8.8.8")) << told;
  EXPECT_FALSE(contains(told, "10.2.0.53")) << told;

  b.dns = {address("8.8.8.8")};
  b.dns_domains = {"corp.example"};
  Exchange none(client(), b);
  none.initiate(none.a());
  none.run();
  ASSERT_EQ(none.a().assigned.size(), 1U);
  EXPECT_TRUE(none.a().assigned[0].dns.empty());
  EXPECT_TRUE(none.a().assigned[0].domains.empty());

  // With everything in the tunnel, as Windows and strongSwan do it, any server is inside.
  b.children[0].local = selectors({"0.0.0.0/0"});
  Exchange all(client(), b);
  all.initiate(all.a());
  all.run();
  ASSERT_EQ(all.a().assigned.size(), 1U);
  EXPECT_EQ(all.a().assigned[0].dns, std::vector{address("8.8.8.8")});
  EXPECT_EQ(all.a().messages("dns-outside-tunnel"), "");

  // Another child of the connection may be the way there.
  auto two = client();
  two.children.push_back(two.children[0]);
  two.children[1].name = "dns";
  two.children[1].remote = selectors({"8.8.8.0/24"});
  two.children[0].remote = selectors({"10.2.0.0/16"});
  Exchange children(two, b);
  children.initiate(children.a());
  children.run();
  ASSERT_FALSE(children.a().assigned.empty());
  EXPECT_EQ(children.a().assigned[0].dns, std::vector{address("8.8.8.8")});
}

}  // namespace
}  // namespace cygnet::test
