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

}  // namespace
}  // namespace cygnet::test
