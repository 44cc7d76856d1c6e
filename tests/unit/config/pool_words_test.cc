// SPDX-License-Identifier: Apache-2.0
#include "unit/config/config_test_support.h"

namespace cygnet::config {
namespace {

const std::string kServer =
    "conn rw\n\tleft=192.0.2.1\n\tleftsubnet=10.1.0.0/16\n\tright=%any\n\tauthby=secret\n\tauto=add\n";
const std::string kClient = "conn rw\n\tleft=%defaultroute\n\tright=192.0.2.1\n\tauthby=secret\n\tauto=add\n";

TEST(PoolWords, AServerOfBothDialects) {
  for (const auto* word : {"rightsourceip", "rightaddresspool"}) {
    const auto loaded = load_text(kServer + "\t" + word +
                                  "=10.9.0.0/24,2001:db8:9::/64,10.8.0.5-10.8.0.9\n\tmodecfgdns=\"10.1.0.53, "
                                  "2001:db8:1::53\"\n\tmodecfgdomains=\"corp.example, lab.example\"\n");
    ASSERT_EQ(lines_of(loaded.diagnostics), "");
    const auto& c = loaded.connections.at(0);
    ASSERT_EQ(c.remote.pools.size(), 3U);
    EXPECT_EQ(c.remote.pools[0].range.first.to_string(), "10.9.0.1");
    EXPECT_EQ(c.remote.pools[0].range.last.to_string(), "10.9.0.254");
    EXPECT_EQ(c.remote.pools[1].range.first.to_string(), "2001:db8:9::1");
    EXPECT_EQ(c.remote.pools[2].range.first.to_string(), "10.8.0.5");
    EXPECT_EQ(c.remote.pools[2].range.last.to_string(), "10.8.0.9");
    EXPECT_TRUE(c.remote.source_ips.empty());
    ASSERT_EQ(c.dns.size(), 2U);
    EXPECT_EQ(c.dns[1].to_string(), "2001:db8:1::53");
    EXPECT_EQ(c.dns_domains, (std::vector<std::string>{"corp.example", "lab.example"}));
  }
}

TEST(PoolWords, OneAddressForOneRoadwarriorIsAPoolOfOne) {
  const auto loaded = load_text(kServer + "\trightid=@carol\n\trightsourceip=10.9.0.7\n");
  ASSERT_EQ(lines_of(loaded.diagnostics), "");
  const auto& end = loaded.connections.at(0).remote;
  ASSERT_EQ(end.pools.size(), 1U);
  EXPECT_TRUE(end.pools[0].is_single());
  EXPECT_EQ(end.pools[0].range.first.to_string(), "10.9.0.7");
  EXPECT_TRUE(end.source_ips.empty());
}

TEST(PoolWords, AClientAsksForAddressesAndForEverythingBehindThePeer) {
  const auto both = load_text(kClient + "\tleftsourceip=%config\n");
  ASSERT_EQ(lines_of(both.diagnostics), "");
  EXPECT_TRUE(both.connections.at(0).local.request_ip4);
  EXPECT_TRUE(both.connections.at(0).local.request_ip6);
  EXPECT_EQ(model::to_string(both.connections[0].children.at(0).remote), "0.0.0.0/0, ::/0");
  EXPECT_TRUE(both.connections[0].children[0].local.empty());
  const auto v4 = load_text(kClient + "\tleftsourceip=%config4\n\trightsubnet=10.1.0.0/16\n");
  ASSERT_EQ(lines_of(v4.diagnostics), "");
  EXPECT_FALSE(v4.connections.at(0).local.request_ip6);
  EXPECT_EQ(model::to_string(v4.connections[0].children.at(0).remote), "10.1.0.0/16");
  const auto libreswan = load_text(kClient + "\tleftmodecfgclient=yes\n\tmodecfgpull=yes\n\tignore-peer-dns=yes\n");
  ASSERT_EQ(lines_of(libreswan.diagnostics), "");
  EXPECT_TRUE(libreswan.connections.at(0).local.request_ip4);
  EXPECT_TRUE(libreswan.connections[0].ignore_peer_dns);
}

TEST(PoolWords, LocalNetworksStayOutsideUnlessTheFileSaysNo) {
  EXPECT_TRUE(load_text(kClient).connections.at(0).local_networks);
  const auto none = load_text(kClient + "\tleftsourceip=%config\n\tlocal-networks=no\n");
  ASSERT_EQ(lines_of(none.diagnostics), "");
  EXPECT_FALSE(none.connections.at(0).local_networks);
  EXPECT_NE(lines_of(load_text(kClient + "\tlocal-networks=some\n").diagnostics), "");
}

TEST(PoolWords, FaultsAreNamed) {
  const auto fault = [](const std::string& text) { return lines_of(load_text(text).diagnostics); };
  const auto has = [](const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; };
  EXPECT_TRUE(has(fault(kServer + "\trightaddresspool=10.9.0.9-10.9.0.1\n"),
                  "7:19: error: '10.9.0.9-10.9.0.1' is no "
                  "pool of addresses"));
  EXPECT_TRUE(has(fault(kServer + "\trightaddresspool=224.0.0.0/24\n"), "no peer can have the addresses"));
  EXPECT_TRUE(has(fault(kServer + "\trightaddresspool=10.9.0.0/24,10.9.0.8-10.9.0.9\n"), "overlap"));
  EXPECT_TRUE(has(fault(kServer + "\trightsourceip=%pool\n"), "'%pool' is not known"));
  EXPECT_TRUE(has(fault(kServer + "\tmodecfgdns=corp\n"), "'corp' is not the address of a DNS server"));
  EXPECT_TRUE(has(fault(kServer + "\tmodecfgdomains=a..b\n"), "'a..b' is no domain name"));
  EXPECT_TRUE(has(fault(kClient + "\tleftsourceip=%config,10.0.0.1\n"), "either asked of the peer"));
  EXPECT_TRUE(has(fault(kClient + "\tleftaddresspool=10.9.0.0/24\n"), "a pool belongs to the end"));
  EXPECT_TRUE(has(fault(kClient + "\tleftsourceip=%config\n\ttype=transport\n"), "needs a tunnel"));
}

TEST(PoolWords, ProxyArpNeedsAPool) {
  const auto loaded = load_text(kServer + "\trightaddresspool=10.1.0.200-10.1.0.220\n\tproxyarp=yes\n");
  ASSERT_EQ(lines_of(loaded.diagnostics), "");
  EXPECT_TRUE(loaded.connections.at(0).proxy_arp);
  const auto without = lines_of(load_text(kServer + "\tproxyarp=yes\n").diagnostics);
  EXPECT_NE(without.find("proxyarp=yes is for addresses that peers get from here"), std::string::npos) << without;
}

TEST(PoolWords, UniqueIdsOfBothDialects) {
  using model::UniqueIds;
  const auto value = [](const std::string& text) {
    const auto loaded = load_text("config setup\n" + text + kClient + "\tleftsourceip=%config\n");
    EXPECT_EQ(lines_of(loaded.diagnostics), "") << text;
    return loaded.setup.unique_ids;
  };
  EXPECT_EQ(value(""), UniqueIds::kInitialContact);
  EXPECT_EQ(value("\tuniqueids=yes\n"), UniqueIds::kReplace);
  EXPECT_EQ(value("\tuniqueids=replace\n"), UniqueIds::kReplace);
  EXPECT_EQ(value("\tuniqueids=no\n"), UniqueIds::kInitialContact);
  EXPECT_EQ(value("\tuniqueids=keep\n"), UniqueIds::kKeep);
  EXPECT_EQ(value("\tuniqueids=never\n"), UniqueIds::kNever);
  EXPECT_NE(lines_of(load_text("config setup\n\tuniqueids=maybe\n" + kClient).diagnostics)
                .find("'maybe' is no value of uniqueids="),
            std::string::npos);
}

}  // namespace
}  // namespace cygnet::config
