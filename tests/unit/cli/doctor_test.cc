// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor.h"

#include <gtest/gtest.h>

#include "cli/host_facts.h"

namespace cygnet::cli {
namespace {

using control::State;

// A daemon and a host with nothing wrong: one tunnel up, traffic both ways.
control::DoctorFacts sound_daemon() {
  control::ChildReport child;
  child.name = "net";
  child.local = {"10.1.0.0/16"};
  child.remote = {"10.2.0.0/16"};
  child.udp_encapsulation = true;
  child.in.packets = 10;
  child.out.packets = 10;
  control::IkeReport ike;
  ike.remote = {*IpAddress::parse("192.0.2.2"), 4500};
  ike.children = {child};
  control::DoctorFacts facts;
  facts.processes = {{"monitor", 10, 0}, {"ike", 11, 0}, {"engine", 12, 0}};
  facts.devices = {"ipsec0"};
  facts.route_table = 4359;
  facts.rule_priority = 4359;
  facts.routes = {{"10.2.0.0/16", "ipsec0", ""}};
  facts.status.version = "0.1.0";
  facts.status.connections = {{"net", State::kUp, "192.0.2.1", "192.0.2.2", "", {ike}, {}}};
  return facts;
}

HostFacts sound_host() {
  HostFacts host;
  host.devices = {{"ipsec0", true, true, 1400, 0}};
  host.routes_known = true;
  host.routes = {"10.2.0.0/16"};
  host.rules = {Family::kV4, Family::kV6};
  host.ports_known = true;
  host.udp_ports = {500, 4500};
  host.esp_socket = true;
  host.rp_filter_all = 0;
  host.src_valid_mark = 0;
  host.forward_v4 = 1;
  host.forward_v6 = 1;
  return host;
}

// "name: what" of all that is not fine.
std::string complaints(const control::DoctorFacts& daemon, const HostFacts& host) {
  std::string text;
  for (const auto& check : examine(daemon, "", host)) {
    if (check.finding == Finding::kFine) continue;
    EXPECT_FALSE(check.why.empty());
    EXPECT_FALSE(check.remedy.empty());
    text += std::string(check.finding == Finding::kNote ? "note " : "problem ") + check.name + ": " + check.what + "\n";
  }
  return text;
}

TEST(Doctor, NothingToComplainAbout) {
  EXPECT_EQ(complaints(sound_daemon(), sound_host()), "");
  const auto checks = examine(sound_daemon(), "", sound_host());
  EXPECT_FALSE(has_problem(checks));
  EXPECT_NE(render(checks, Style{}).find("No problem found.\n"), std::string::npos);
  EXPECT_EQ(to_json_text(checks).substr(0, 14), "{\n  \"ok\": true");
}

TEST(Doctor, NoDaemon) {
  const auto checks = examine(std::nullopt, "nobody listens", HostFacts{});
  ASSERT_EQ(checks.size(), 1U);
  EXPECT_TRUE(has_problem(checks));
  EXPECT_EQ(checks[0].why, "nobody listens");
}

TEST(Doctor, ProcessesAndDevices) {
  auto daemon = sound_daemon();
  auto host = sound_host();
  host.dead_pids = {12};
  daemon.processes[1].restarts = 2;
  daemon.status.engine_connected = false;
  host.tun_present = false;
  host.tun_error = "Permission denied";
  host.devices = {{"ipsec0", true, false, 1400, 0}, {"ipsec1", false, false, 0, 0}};
  EXPECT_EQ(complaints(daemon, host),
            "note processes: ike was restarted 2 times\n"
            "problem processes: engine (PID 12) is not running\n"
            "problem processes: the packet engine is not connected\n"
            "problem tun: /dev/net/tun cannot be used: Permission denied\n"
            "problem device: ipsec0 is down\n"
            "problem device: ipsec1 does not exist\n");
}

TEST(Doctor, PortsAndFirewall) {
  auto host = sound_host();
  host.udp_ports = {500};
  host.esp_socket = false;
  host.firewall_hint = "nftables drops";
  EXPECT_EQ(complaints(sound_daemon(), host),
            "problem ports: UDP port 4500 is not open\nnote ports: there is no raw socket for protocol 50\nproblem "
            "firewall: nftables drops\n");
}

TEST(Doctor, RoutesAndRules) {
  auto host = sound_host();
  host.routes.clear();
  host.rules = {Family::kV6};
  EXPECT_EQ(complaints(sound_daemon(), host),
            "problem routes: the route to 10.2.0.0/16 over ipsec0 is gone from table 4359\n"
            "problem routes: the rule with priority 4359 that leads to table 4359 is gone\n");
}

TEST(Doctor, RulesThatAreAskedBeforeOurs) {
  auto host = sound_host();
  host.rules_before = {"100: from 10.1.0.0/24 lookup 7"};
  EXPECT_EQ(complaints(sound_daemon(), host),
            "note routes: the rule `100: from 10.1.0.0/24 lookup 7` is asked before the one that leads to the "
            "tunnels\n");
}

TEST(Doctor, ReversePathFilter) {
  auto daemon = sound_daemon();
  auto host = sound_host();
  host.rp_filter_all = 1;
  EXPECT_EQ(complaints(daemon, host), "note rp-filter: rp_filter is strict on ipsec0\n");
  daemon.routes = {{"0.0.0.0/0", "ipsec0", ""}};
  host.routes = {"0.0.0.0/0"};
  host.devices[0].rp_filter = 2;
  EXPECT_EQ(complaints(daemon, host),
            "problem rp-filter: rp_filter is strict, and the tunnel net covers its own peer 192.0.2.2\n");
  host.src_valid_mark = 1;
  EXPECT_EQ(complaints(daemon, host), "");
}

TEST(Doctor, Certificates) {
  auto daemon = sound_daemon();
  const auto add = [&](const std::string& name, std::int64_t left, std::optional<bool> key) {
    control::CertificateReport one;
    one.subject = "CN=" + name;
    one.source = name + ".pem";
    one.expires_in_s = left;
    one.own = true;
    one.private_key = key;
    daemon.certs.certificates.push_back(one);
  };
  add("fine", 31 * 86400, true);
  EXPECT_EQ(complaints(daemon, sound_host()), "");
  add("month", 30 * 86400, {});
  add("week", 7 * 86400, true);
  add("gone", 0, true);
  add("keyless", 31 * 86400, false);
  control::CertificateReport bad;
  bad.name = "bad.pem";
  bad.source = "/x/bad.pem";
  bad.fault = "this is no certificate";
  daemon.certs.authorities = {bad};
  daemon.certs.crls = {{"http://o/", "", true, 0, {}, "the server answers 404"}};
  EXPECT_EQ(complaints(daemon, sound_host()),
            "note certificates: 'CN=month' (month.pem) expires in 30d\n"
            "problem certificates: 'CN=week' (week.pem) expires in 7d\n"
            "problem certificates: 'CN=gone' (gone.pem) has expired\n"
            "problem certificates: 'CN=keyless' (keyless.pem): there is no private key for it\n"
            "problem certificates: 'bad.pem' (/x/bad.pem): this is no certificate\n"
            "note certificates: http://o/: the server answers 404\n");
}

TEST(Doctor, ForwardingIsNeededForNetworksOnly) {
  auto daemon = sound_daemon();
  auto host = sound_host();
  host.forward_v4 = 0;
  EXPECT_EQ(complaints(daemon, host), "problem forwarding: net.ipv4.ip_forward is 0\n");
  host.own_addresses = {*IpAddress::parse("10.1.0.1")};
  daemon.status.connections[0].ike_sas[0].children[0].local = {"10.1.0.1/32"};
  EXPECT_EQ(complaints(daemon, host), "");
}

TEST(Doctor, CountersOfOneSideOnly) {
  auto daemon = sound_daemon();
  auto& child = daemon.status.connections[0].ike_sas[0].children[0];
  child.in.packets = 0;
  EXPECT_EQ(complaints(daemon, sound_host()), "problem traffic: net: 10 packets out, none in\n");
  child.in.packets = 10;
  child.out.packets = 0;
  child.in.errors = 5;
  EXPECT_EQ(complaints(daemon, sound_host()),
            "problem traffic: net: 10 packets in, none out\nnote traffic: net: 5 errors in\n");
}

TEST(Doctor, PoolsThatOthersRoute) {
  auto daemon = sound_daemon();
  daemon.status.pool_routes = {{"10.9.0.0/24", "", false}, {"10.1.0.128/26", "10.1.0.0/24", true}};
  EXPECT_EQ(complaints(daemon, sound_host()), "");
  daemon.status.pool_routes.push_back({"10.1.0.64/26", "10.1.0.0/24", false});
  EXPECT_EQ(complaints(daemon, sound_host()), "note pools: the pool 10.1.0.64/26 is routed by 10.1.0.0/24 as well\n");
}

TEST(Doctor, WhatWouldLeaveBesideTheTunnels) {
  auto daemon = sound_daemon();
  daemon.rule_priority = 210;
  daemon.status.held = 3;
  daemon.status.covered_links = {{"10.8.0.0/24", "lan"}};
  const std::string held =
      "note clear-text: 3 packets for protected networks would have left in the clear by another device\n";
  const std::string link = "note local-networks: 10.8.0.0/24 is on lan, and no address of this machine lies in it\n";
  EXPECT_EQ(complaints(daemon, sound_host()), link + held);
  daemon.status.held = 0;
  daemon.status.covered_links.clear();
  daemon.status.outward_problem = "no nft_reject";
  EXPECT_EQ(complaints(daemon, sound_host()),
            "problem clear-text: what leaves in the clear by another device than a tunnel's is not refused: no "
            "nft_reject\n");
}

TEST(Doctor, DropsConnectionsAndWarnings) {
  auto daemon = sound_daemon();
  daemon.drops.drops[static_cast<std::size_t>(DropReason::kReplayOld)] = 7;
  daemon.drops.drops[static_cast<std::size_t>(DropReason::kDummy)] = 9;
  daemon.status.connections.push_back({"lab", State::kDown, "", "", "wrong PSK\nsecond line", {}, {}});
  daemon.config_warnings = {"f:1:1: warning: w"};
  EXPECT_EQ(complaints(daemon, sound_host()),
            "problem connections: lab is down: wrong PSK\nnote drops: 7 packets dropped: replay-old\nnote "
            "configuration: f:1:1: warning: w\n");
}

TEST(HostFacts, ReadsProcNet) {
  const std::string udp =
      "  sl  local_address rem_address   st\n   99: 00000000:01F4 00000000:0000 07 0\n  100: "
      "00000000000000000000000000000000:1194 0000:0000 07\nnonsense\n  1: nothing\n";
  EXPECT_EQ(udp_ports_in(udp), (std::vector<std::uint16_t>{500, 4500}));
  EXPECT_TRUE(has_esp_socket("  50: 00000000:0032 00000000:0000 07\n"));
  EXPECT_FALSE(has_esp_socket("  50: 00000000:0001 00000000:0000 07\n"));
}

TEST(HostFacts, FirewallThatDropsWithoutNamingThePorts) {
  const std::string drop = "chain input {\n type filter hook input priority filter; policy drop;\n";
  EXPECT_EQ(firewall_hint_of("", 500, 4500), "");
  EXPECT_EQ(firewall_hint_of("type filter hook input priority filter; policy accept;", 500, 4500), "");
  EXPECT_EQ(firewall_hint_of(drop, 500, 4500),
            "nftables drops incoming packets by default, and no rule names UDP 500 and 4500");
  EXPECT_EQ(firewall_hint_of(drop + "udp dport { 500, 4500 } accept\n", 500, 4500), "");
}

TEST(Doctor, TheKernelsOwnCountersAreExplained) {
  auto host = sound_host();
  host.xfrm_counters = xfrm_counters_in("XfrmInError 0\nXfrmInNoStates 4\n");
  EXPECT_EQ(complaints(sound_daemon(), host), "note kernel-ipsec: XfrmInNoStates: 4 packets\n");
}

TEST(Doctor, WhoCarriesThePackets) {
  auto daemon = sound_daemon();
  auto host = sound_host();
  const auto said = [&](const std::string& name) {
    std::string out;
    for (const auto& check : examine(daemon, "", host)) {
      if (check.name == name) out += check.what + '\n';
    }
    return out;
  };
  EXPECT_EQ(said("engines"), "");
  daemon.status.connections = {{.name = "a", .engine = "user"}, {.name = "b", .engine = "xfrm"}};
  EXPECT_EQ(said("engines"), "the kernel (xfrm) carries 1 connection, Cygnet's own engine 1 connection\n");
  // The kernel counts what our own engine carries, too.
  daemon.status.connections[0].ike_sas = {{.children = {{.udp_encapsulation = false}}}};
  host.xfrm_counters = xfrm_counters_in("XfrmInNoStates 4\n");
  EXPECT_EQ(said("kernel-ipsec"),
            "XfrmInNoStates: 4 packets, among them all plain ESP that Cygnet's own engine carries\n");
  daemon.status.connections = {{.name = "b", .engine = "pfkey"}, {.name = "c", .engine = "pfkey"}};
  EXPECT_EQ(said("engines"), "the kernel (pfkey) carries 2 connections\n");
  EXPECT_EQ(said("pf-key"), "the kernel has no PF_KEY any more\n");
  host.pfkey_backlog = 0;
  EXPECT_EQ(said("pf-key"), "what the kernel says over PF_KEY is read in time; anti-replay windows have 32 packets\n");
  host.pfkey_backlog = 2'000'000;
  EXPECT_EQ(said("pf-key"), "a PF_KEY socket has 2.0 MB that its program has not read\n");
}

}  // namespace
}  // namespace cygnet::cli
