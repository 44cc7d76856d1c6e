// SPDX-License-Identifier: Apache-2.0
// What the monitor has the packet filter refuse: clear text of what must come protected.
#include "unit/daemon/network_fixture.h"

namespace cygnet::daemon {
namespace {

// ---- what comes from outside in the clear. udp: 9000 -> 9001
constexpr const char* kUdp = " 17 23282329000c0000deadbeef";

TEST_F(NetworkTest, ClearTextOfAProtectedNetworkIsRefused) {
  ASSERT_EQ(network->gate().problem(), "");
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp}), 0U);
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp, std::string("10.2.0.5 10.1.0.77") + kUdp}), 2U);
  EXPECT_EQ(refused({std::string("198.51.100.1 10.1.0.1") + kUdp}), 0U);
  ASSERT_TRUE(ask(kRemoveRoute, "10.2.0.0/16"));
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp}), 0U);
}

// A tunnel that covers its own peer, and everybody else.
TEST_F(NetworkTest, WhatIsNotClearTextAndWhatIsAttachedComesIn) {
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  ASSERT_TRUE(ask(kAddRoute, "::/0"));
  ASSERT_EQ(space.shell("ip addr add 2001:db8::1/64 dev wan nodad"), 0);
  const std::string from = "198.51.100.9 192.0.2.1 ";
  EXPECT_EQ(refused({from + "50 1111111100000001", from + "51 1111111100000001", from + "17 01f401f4000c000000000000",
                     from + "17 c3501194000c000000000000"}),
            0U);
  // An attached host; neighbour discovery of one that a tunnel is for.
  EXPECT_EQ(refused({std::string("192.0.2.77 192.0.2.1") + kUdp, "fe80::1 ff02::1 17 23282329000c0000deadbeef",
                     "2001:db8:9::9 2001:db8::1 58 8700000000000000" + std::string(32, '0')}),
            0U);
  // Routers say what became of our ESP and our UDP 4500; of anything else they may not.
  const std::string quoted = "4500002000000000401100000a0000010a000002";
  const std::string quoted_esp = "4500002000000000403200000a0000010a000002";
  EXPECT_EQ(refused({from + "1 0304000000000578" + quoted_esp + "1111111100000001",
                     from + "1 0304000000000578" + quoted + "1194119400080000"}),
            0U);
  EXPECT_EQ(refused({from + "1 0304000000000578" + quoted + "0035119400080000"}), 1U);
  // A server beyond the link renews a lease; of what is behind us it is nobody's.
  EXPECT_EQ(refused({from + "17 00430044000c000000000000", "2001:db8:9::9 2001:db8::1 17 02230222000c000000000000"}),
            0U);
  EXPECT_EQ(refused({"198.51.100.9 10.1.0.77 17 00430044000c000000000000"}), 1U);
  EXPECT_EQ(
      refused({from + "17 01f50035000c000000000000", "198.51.100.9 10.1.0.77 17 119411940008000000000000",
               "198.51.100.9 10.1.0.77 50 1111111100000001", "2001:db8:9::9 2001:db8::1 17 23282329000c0000deadbeef"}),
      4U);
}

TEST_F(NetworkTest, WhereSomePortsAreProtectedOnlyThoseAreRefused) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.2.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.2.3.0/24"));  // inside the other
  ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, "10.2.0.0/16[udp/9000]", "10.1.0.0/16[udp]"));
  ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, "10.2.0.0/16[icmp/8]", "10.1.0.0/16[icmp]"));
  ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, "10.2.0.0/16[tcp]", "10.1.0.0/16[tcp/80-90]"));
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp}), 1U);
  EXPECT_EQ(refused({"10.2.0.5 10.1.0.1 17 23272329000c0000deadbeef"}), 0U);
  EXPECT_EQ(refused({std::string("10.2.0.5 192.0.2.1") + kUdp}), 0U);  // not to a network that is protected
  EXPECT_EQ(refused({"10.2.0.5 10.1.0.1 1 0800f7ff00000000"}), 1U);
  EXPECT_EQ(refused({"10.2.0.5 10.1.0.1 1 0000ffff00000000"}), 0U);
  EXPECT_EQ(refused({"10.2.0.5 10.1.0.1 6 1234005a" + std::string(32, '0')}), 1U);
  EXPECT_EQ(refused({"10.2.0.5 10.1.0.1 6 1234005b" + std::string(32, '0')}), 0U);
  // Of equal order, what refuses goes first; of lower order, what allows.
  ASSERT_TRUE(guard(NetworkRequest::What::kAddExempt, "10.2.0.0/16[udp/9000]", "10.1.0.0/16[udp]"));
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp}), 1U);
  ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, "10.2.0.0/16", "10.1.0.0/16", 7));
  EXPECT_EQ(refused({"10.2.0.5 10.1.0.1 17 23272329000c0000deadbeef"}), 1U);
  ASSERT_TRUE(guard(NetworkRequest::What::kAddExempt, "10.2.0.0/16", "10.1.0.0/16", 6));
  EXPECT_EQ(refused({"10.2.0.5 10.1.0.1 17 23272329000c0000deadbeef"}), 0U);
  ASSERT_TRUE(guard(NetworkRequest::What::kRemoveGuard, "10.2.0.0/16[udp/9000]", "10.1.0.0/16[udp]"));
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp}), 0U);
  ASSERT_TRUE(ask(NetworkRequest::What::kRemoveClear, "10.2.0.0/16"));
  // Now 10.2.3.0/24 alone is clear, and of it all, as of order 6.
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp, std::string("10.2.3.5 10.1.0.1") + kUdp}), 1U);
}

// One type of Mobile IPv6 message (RFC 6275 section 6.1): its third octet.
TEST_F(NetworkTest, WhereOneTypeOfMobilityHeaderIsProtectedOnlyThatIsRefused) {
  ASSERT_TRUE(ask(kAddRoute, "fd02::/64"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "fd02::/64"));
  ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, "fd02::/64[135/5]", "fd01::/64[135/5]"));
  ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, "fd02::7/128[135/6]", "fd01::/64[135]"));
  ASSERT_EQ(space.shell("ip addr add fd01::1/64 dev wan nodad"), 0);
  const auto message = [](const std::string& from, const std::string& type) {
    return from + " fd01::1 135 3b01" + type + "00" + std::string(24, '0');
  };
  EXPECT_EQ(refused({message("fd02::5", "05")}), 1U);
  EXPECT_EQ(refused({message("fd02::5", "01"), message("fd02::5", "06")}), 0U);
  EXPECT_EQ(refused({message("fd02::7", "05"), message("fd02::7", "06")}), 2U);
}

// Peers may name any protocol, with whatever stands where others have ports. The library reads back what is there.
TEST_F(NetworkTest, NoProtocolOfAPeerEndsThePacketFiltersLibrary) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.2.0.0/16"));
  constexpr int kProtocols = 256;
  for (int i = 1; i < kProtocols; ++i) {
    auto remote = model::TrafficSelector::of(*IpPrefix::parse("10.2.0.0/16"));
    remote.protocol = static_cast<std::uint8_t>(i);
    auto local = model::TrafficSelector::of(*IpPrefix::parse("10.1.0.0/16"));
    local.protocol = remote.protocol;
    remote.port_first = local.port_first = 0x0500;
    remote.port_last = local.port_last = 0x06ff;
    network->gate().want_guard({.order = 1, .remote = remote, .local = local}, true);
    remote.range = IpRange::of(*IpAddress::parse("10.2.0.9"));
    remote.port_last = remote.port_first;
    network->gate().want_guard({.order = 2, .remote = remote, .local = local}, true);
  }
  // Told, read back, and told once more.
  for (const bool wanted : {true, false}) {
    const auto one = model::TrafficSelector::of(*IpPrefix::parse("10.2.0.7/32"));
    network->gate().want_guard({.order = 3, .remote = one, .local = one}, wanted);
    space.in([&] {
      network->gate().settle();
      network->gate().look();
    });
    EXPECT_EQ(network->gate().problem(), "");
  }
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp}), 0U);
}

TEST_F(NetworkTest, ThePacketFilterIsToldOnceHoweverMuchIsAsked) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  space.in([&] { network->settle_gate(); });
  EXPECT_FALSE(network->gate_unsettled());
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.2.0.0/16"));
  ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, "10.2.0.0/16[udp/9000]", "10.1.0.0/16[udp]"));
  EXPECT_TRUE(network->gate_unsettled());
  EXPECT_NE(space.shell("nft list set inet cygnet_4359 clear4 | grep -q 10.2.0.0"), 0);
  space.in([&] { network->settle_gate(); });
  EXPECT_FALSE(network->gate_unsettled());
  EXPECT_EQ(space.shell("nft list set inet cygnet_4359 clear4 | grep -q 10.2.0.0"), 0);
}

TEST_F(NetworkTest, WhatDiffersInTheRemoteEndAloneIsOneRule) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.2.0.0/16"));
  const auto rules = [&] {
    const auto text = network->gate().exceptions_text(false);
    std::size_t count = 0;
    for (auto at = text.find("add rule"); at != std::string::npos; at = text.find("add rule", at + 1)) ++count;
    return count;
  };
  EXPECT_EQ(rules(), 1U);
  for (int i = 0; i < 300; ++i) {
    const auto host = "10.2.0." + std::to_string(i % 250);
    const auto port = std::to_string(5000 + i);
    ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, (host + "[udp/" + port + "]").c_str(), "10.1.0.1[udp/1701]"));
    ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, ("10.2." + std::to_string(i % 250) + ".0/25[udp]").c_str(),
                      "10.1.0.77[udp/1702]"));
  }
  EXPECT_EQ(rules(), 3U);
  const auto l2tp = [&](const char* from, int source, const char* to, int destination) {
    std::ostringstream load;
    load << from << ' ' << to << " 17 " << std::hex << std::setfill('0') << std::setw(4) << source << std::setw(4)
         << destination << "000c0000deadbeef";
    return load.str();
  };
  EXPECT_EQ(refused({l2tp("10.2.0.7", 5007, "10.1.0.1", 1701), l2tp("10.2.0.7", 5257, "10.1.0.1", 1701),
                     l2tp("10.2.9.127", 1, "10.1.0.77", 1702)}),
            3U);
  EXPECT_EQ(refused({l2tp("10.2.0.7", 5008, "10.1.0.1", 1701), l2tp("10.2.0.7", 5007, "10.1.0.1", 1702),
                     l2tp("10.2.9.128", 1, "10.1.0.77", 1702)}),
            0U);
}

// Above the limit: what is protected is refused, and said; what has nothing to do with it comes in.
TEST_F(NetworkTest, MorePoliciesThanThePacketFilterTakesAreRefusedAsAWhole) {
  std::vector<NetworkRequest> requests;
  const auto add = [&](NetworkRequest::What what, const char* remote, const std::string& local) {
    NetworkRequest request{.what = what, .prefix = {}, .device = "ipsec0", .source = {}};
    request.guarded_remote = *model::TrafficSelector::parse(remote);
    request.guarded_local = *model::TrafficSelector::parse(local);
    requests.push_back(request);
  };
  for (int port = 1; port <= 2010; ++port) {
    add(NetworkRequest::What::kAddGuard, "10.2.3.0/24[udp]", "10.1.0.1[udp/" + std::to_string(port) + "]");
  }
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.2.0.0/16"));
  ASSERT_TRUE(space.in([&] { return network->apply(requests); }).empty());
  EXPECT_EQ(refused({"10.2.3.5 10.1.0.1 17 2328000a000c0000deadbeef", std::string("10.2.3.5 10.1.0.1") + kUdp}), 2U);
  EXPECT_NE(log.text.find("of the remote networks of the rest all clear text is refused"), std::string::npos);
  ASSERT_TRUE(ask(kAddRoute, "10.6.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.6.0.0/16"));
  EXPECT_EQ(refused({std::string("10.2.4.5 10.1.0.1") + kUdp, std::string("10.6.0.5 10.1.0.1") + kUdp}), 0U);
  for (auto& request : requests) request.what = NetworkRequest::What::kRemoveGuard;
  ASSERT_TRUE(space.in([&] { return network->apply(requests); }).empty());
  EXPECT_EQ(refused({std::string("10.2.3.5 10.1.0.1") + kUdp}), 0U);
}

// A process that was taken over asks for whatever it can.
TEST_F(NetworkTest, TheTextForThePacketFilterIsBounded) {
  std::vector<NetworkRequest> requests;
  for (std::uint32_t i = 0; i < Network::kMostGuarded + 5; ++i) {
    NetworkRequest request{.what = NetworkRequest::What::kAddGuard, .prefix = {}, .device = "ipsec0", .source = {}};
    request.guarded_remote = model::TrafficSelector::of(IpRange::of(IpAddress::v4(0x0a000000 + 2 * i)));
    request.guarded_local = *model::TrafficSelector::parse("10.1.0.0/16");
    requests.push_back(request);
  }
  EXPECT_EQ(space.in([&] { return network->apply(requests); }).size(), 5U);
  requests.resize(1);
  requests[0].what = NetworkRequest::What::kRemoveGuard;
  EXPECT_TRUE(space.in([&] { return network->apply(requests); }).empty());
  EXPECT_TRUE(guard(NetworkRequest::What::kAddGuard, "10.200.0.0/16", "10.1.0.0/16"));
}

TEST_F(NetworkTest, ProgramsDoNotOpenWhatIkeProtects) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.3.0/24"));
  ASSERT_TRUE(ask(kAddRoute, "10.4.0.0/16"));
  const std::vector<std::string> packets{std::string("10.2.3.5 10.1.0.1") + kUdp,
                                         std::string("10.2.9.5 10.1.0.1") + kUdp,
                                         std::string("10.4.7.5 10.1.0.1") + kUdp};
  programs_lead("10.2.0.0/16");  // around one of ike's
  programs_lead("10.4.7.0/24");  // inside the other
  EXPECT_EQ(refused(packets), 1U);
  // What ike lets in itself is its own business.
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.2.3.0/24"));
  EXPECT_EQ(refused(packets), 0U);
  ASSERT_TRUE(ask(NetworkRequest::What::kRemoveClear, "10.2.3.0/24"));
  EXPECT_EQ(refused(packets), 1U);
  // The same network of both.
  programs_lead("10.4.0.0/16");
  EXPECT_EQ(refused(packets), 2U);
  // A new ike has not asked yet: it stays as it was.
  network->begin_sync();
  EXPECT_EQ(refused(packets), 2U);
  space.in([&] { network->end_sync(); });
  EXPECT_EQ(refused(packets), 0U);
}

TEST_F(NetworkTest, WhatProgramsLetInEndsWithTheEngine) {
  programs_lead("10.2.0.0/16");
  ASSERT_TRUE(ask(kAddRoute, "10.4.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.4.0.0/16"));
  programs_lead("10.4.0.0/16");
  const std::vector<std::string> packets{std::string("10.2.0.5 10.1.0.1") + kUdp,
                                         std::string("10.4.0.5 10.1.0.1") + kUdp};
  EXPECT_EQ(refused(packets), 0U);
  space.in([&] { network->on_engine_gone(); });
  EXPECT_EQ(refused(packets), 1U);
  EXPECT_TRUE(leads_to("10.2.0.1", "ipsec0"));
  // The program is back, and ends in order.
  programs_lead("10.2.0.0/16");
  EXPECT_EQ(refused(packets), 0U);
  programs_ask(NetworkRequest::What::kRemoveClear, "10.2.0.0/16");
  programs_ask(kRemoveRoute, "10.2.0.0/16");
  EXPECT_TRUE(leads_to("10.2.0.1", "wan"));
}

// Networks between tunnel ends, at cloud providers.
TEST_F(NetworkTest, LinkLocalAddressesOfATunnelAreRefusedInTheClear) {
  EXPECT_EQ(refused({std::string("169.254.10.1 10.1.0.1") + kUdp}), 0U);
  ASSERT_TRUE(ask(kAddRoute, "169.254.10.0/30"));
  EXPECT_EQ(refused({std::string("169.254.10.1 10.1.0.1") + kUdp}), 1U);
}

TEST_F(NetworkTest, AFlushedPacketFilterIsPutBack) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp}), 1U);
  ASSERT_EQ(space.shell("nft flush ruleset"), 0);
  space.in([&] { network->gate().look(); });
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp}), 1U);
  EXPECT_EQ(network->gate().refused(), 2U);
  space.in([&] { network->close(); });
  EXPECT_NE(space.shell("nft list table inet cygnet_4359 >/dev/null 2>&1"), 0);
}

}  // namespace
}  // namespace cygnet::daemon
