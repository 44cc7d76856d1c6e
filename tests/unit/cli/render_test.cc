// SPDX-License-Identifier: Apache-2.0
#include "cli/render.h"

#include <gtest/gtest.h>

namespace cygnet::cli {
namespace {

using control::State;

TEST(Format, NumbersForPeople) {
  EXPECT_EQ(duration_text(0), "0s");
  EXPECT_EQ(duration_text(723), "12m 3s");
  EXPECT_EQ(duration_text(7500), "2h 5m");
  EXPECT_EQ(duration_text(273600), "3d 4h");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(1234), "1.2 KB");
  EXPECT_EQ(bytes_text(999999), "999.9 KB");
  EXPECT_EQ(bytes_text(3400000000ULL), "3.4 GB");
  EXPECT_EQ(bytes_text(18446744073709551615ULL), "18.4 EB");
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(count_text(1, "packet"), "1 packet");
  EXPECT_EQ(count_text(2, "packet"), "2 packets");
}

TEST(Format, TablesAlignWhateverTheColour) {
  const Style style{true};
  Table table;
  table.add({style.paint(Tone::kGood, "up"), "x"});
  table.add({"größer", "y", ""});
  EXPECT_EQ(table.to_string(" "), " \x1b[32mup\x1b[0m      x\n größer  y\n");
}

TEST(Format, ControlCharactersDoNotReachTheTerminal) { EXPECT_EQ(harmless("a\x1b[2Jb\nc\x07"), "a?[2Jb\nc?"); }

control::StatusReport one_connection() {
  control::ChildReport child;
  child.name = "net";
  child.spi_in = Spi(0xc0000001);
  child.spi_out = Spi(0x1f);
  child.algorithms = "AES_GCM_16_256";
  child.mode = "tunnel";
  child.local = {"10.1.0.0/16"};
  child.remote = {"10.2.0.0/16", "10.3.0.0/16"};
  child.device = "ipsec0";
  child.udp_encapsulation = true;
  child.established_s = 70;
  child.rekey_in_s = 3000;
  child.rekeys = 1;
  child.in = {1234, 1234567, 2, 3};
  child.out = {5, 500, 0, std::nullopt};
  control::IkeReport ike;
  ike.state = "established";
  ike.initiator = true;
  ike.spi_i = IkeSpi(1);
  ike.spi_r = IkeSpi(2);
  ike.local = {*IpAddress::parse("192.0.2.1"), 4500};
  ike.remote = {*IpAddress::parse("192.0.2.2"), 4500};
  ike.local_id = "gw-a";
  ike.remote_id = "gw-b";
  ike.algorithms = "AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE_25519";
  ike.nat = "local";
  ike.established_s = 70;
  ike.children = {child};
  control::StatusReport status;
  status.version = "0.1.0";
  status.uptime_s = 90;
  status.connections = {{"net", State::kUp, "192.0.2.1", "192.0.2.2", "", {ike}, {}}};
  return status;
}

TEST(Render, Summary) {
  control::SummaryReport summary{.version = "0.2.0", .uptime_s = 90, .connections = 10000, .ike_sas = 1};
  summary.children = 2;
  summary.initiating = 128;
  summary.waiting = 9871;
  summary.ike.half_open = 3;
  EXPECT_EQ(render(summary, Style{}),
            "10,000 connections, 1 IKE SA with 2 children, 128 initiating, 9,871 waiting for their turn, 3 half-open; "
            "cygnetd 0.2.0, running 1m 30s\n");
}

TEST(Render, WhatATunnelHidesAndLeavesOut) {
  auto status = one_connection();
  auto& child = status.connections[0].ike_sas[0].children[0];
  child.diet_esp = 1;
  auto& tfs = child.iptfs.emplace();
  const auto text = [&] { return render(status, Style{}); };
  EXPECT_NE(
      text().find("    Diet-ESP, 1 octet of the sequence number\n    IP-TFS, as there is traffic\n\n1 connection"),
      std::string::npos)
      << text();
  child.traffic = "throughput";
  EXPECT_NE(text().find("number\n    traffic=throughput\n    IP-TFS"), std::string::npos) << text();
  tfs.rate_bits_s = 2000000;
  tfs.packet_bytes = 1400;
  tfs.in = control::TfsTraffic{1000, 2, 1, 998, 1400000};
  tfs.out = control::TfsTraffic{1, 1, 0, 0, 10};
  EXPECT_NE(text().find("    IP-TFS, 2,000,000 bit/s, outer packets of 1.4 KB\n"
                        "      in   1,000 payloads  with 2 packets  1 fragment   998 empty  1.4 MB of padding\n"
                        "      out  1 payload       with 1 packet   0 fragments  0 empty    10 B of padding\n"),
            std::string::npos)
      << text();
  tfs.congestion_control = true;
  EXPECT_NE(text().find("IP-TFS, now 2,000,000 bit/s, as the path takes it, outer"), std::string::npos) << text();
  tfs.most_bits_s = 3000000;
  EXPECT_NE(text().find("IP-TFS, now 2,000,000 bit/s of at most 3,000,000, outer"), std::string::npos) << text();
}

TEST(Render, Status) {
  auto status = one_connection();
  status.connections.push_back({"lab",
                                State::kWaiting,
                                "192.0.2.1",
                                "gw.example",
                                "no answer\nfrom gw",
                                {},
                                {{"lab", State::kWaiting, "10.1.0.0/16", "10.9.0.0/16"}}});
  EXPECT_EQ(render(status, Style{}),
            "net  up  192.0.2.1 === 192.0.2.2\n"
            "  IKE 192.0.2.1:4500 (gw-a) === 192.0.2.2:4500 (gw-b)\n"
            "    established, initiator, AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE_25519, NAT in front of us, up 1m 10s\n"
            "    SPIs 0000000000000001 0000000000000002\n"
            "  net: 10.1.0.0/16 === 10.2.0.0/16, 10.3.0.0/16\n"
            "    ESP tunnel AES_GCM_16_256 in UDP on ipsec0, up 1m 10s, rekey in 50m, rekeyed 1 time\n"
            "    in   c0000001  1,234 packets  1.2 MB  last 3s ago  2 errors\n"
            "    out  0000001f  5 packets      500 B   none yet\n"
            "\n"
            "lab  waiting  192.0.2.1 === gw.example\n"
            "  lab: waiting  10.1.0.0/16 === 10.9.0.0/16\n"
            "  last attempt failed:\n"
            "    no answer\n"
            "    from gw\n"
            "\n"
            "2 connections, 1 up with 1 child; cygnetd 0.1.0, running 1m 30s\n");
}

TEST(Render, EngineThreads) {
  control::StatusReport status{.version = "0.2.0", .uptime_s = 90};
  const std::string first = "0 connections, 0 up with 0 children; cygnetd 0.2.0, running 1m 30s\n";
  status.esp_interfaces = {{"eth0", 1234, 7}, {"eth1", 0, 1}};
  EXPECT_EQ(render(status, Style{}), first + "plain ESP over XDP (packets): eth0 1,234 in, 7 out; eth1 0 in, 1 out\n");
  status.esp_interfaces.clear();
  status.pool_routes = {
      {"10.9.0.0/24", "", false}, {"10.1.0.64/26", "10.1.0.0/24", true}, {"2001:db8:9::/64", "", false}};
  EXPECT_EQ(render(status, Style{}),
            first +
                "packets for addresses that no peer has are refused: 10.9.0.0/24, 2001:db8:9::/64\n"
                "packets for addresses that no peer has go where they are routed: 10.1.0.64/26 (10.1.0.0/24)\n");
  status.pool_routes.clear();
  status.held = 1;
  EXPECT_EQ(
      render(status, Style{}),
      first + "1 packet for protected networks would have left in the clear by another device, and was refused\n");
  status.held = 0;
  status.outward_problem = "no nft_reject";
  EXPECT_EQ(render(status, Style{}), first +
                                         "Clear text that leaves by another device than a tunnel's is NOT refused: no "
                                         "nft_reject (cygnet doctor says more).\n");
  status.outward_problem.clear();
  status.threads = {{"packets", false, 0, 1200, 45}};
  EXPECT_EQ(render(status, Style{}), first + "engine threads moving packets: 45 %\n");
  status.threads.push_back({"ciphers", true, 4, 0, 99});
  status.threads.push_back({"ciphers", true, 5, 0, 7});
  status.ciphers.batches = 12345;
  EXPECT_EQ(render(status, Style{}),
            first +
                "engine threads moving packets: 45 %; encrypting: 99 % on CPU 4, 7 % on CPU 5; "
                "12,345 batches handed over\n");
  status.ciphers.waits = 3;
  status.ciphers.failed = 2;
  EXPECT_TRUE(render(status, Style{})
                  .ends_with("12,345 batches handed over, 3 times packets had to wait for that, 2 came back undone\n"));
}

TEST(Render, ColourOnlyWhenAskedFor) {
  EXPECT_EQ(render(one_connection(), Style{}).find('\x1b'), std::string::npos);
  EXPECT_NE(render(one_connection(), Style{true}).find("\x1b[32mup\x1b[0m"), std::string::npos);
}

TEST(Render, Explain) {
  control::ExplainReport explain;
  explain.question = {*IpAddress::parse("10.1.0.5"), *IpAddress::parse("10.2.0.5"), 6, 443};
  explain.verdict = "protect";
  explain.policy = {7, 1000, "protect", true, "10.1.0.0/16", "10.2.0.0/16", "tunnel", "ipsec0", "net", "net"};
  explain.sas = {{"net",
                  "net",
                  Spi(0xc1),
                  "AES_GCM_16_256",
                  {*IpAddress::parse("192.0.2.1"), 4500},
                  {*IpAddress::parse("192.0.2.2"), 4500},
                  true,
                  true,
                  9}};
  explain.route_device = "ipsec0";
  explain.route_source = "10.1.0.1";
  explain.route_reaches_engine = true;
  explain.why = {"first", "second"};
  EXPECT_EQ(render(explain, Style{}),
            "10.1.0.5 -> 10.2.0.5 tcp 443: protect by net\n"
            "  route   dev ipsec0 src 10.1.0.1\n"
            "  policy  protect 10.1.0.0/16 === 10.2.0.0/16 (order 1000, tunnel, ipsec0)\n"
            "  SA      000000c1 AES_GCM_16_256 in UDP 192.0.2.1:4500 -> 192.0.2.2:4500, 9 packets, child net\n"
            "  why     first\n"
            "          second\n");
  control::ExplainReport nothing;
  nothing.question = {*IpAddress::parse("10.1.0.5"), *IpAddress::parse("8.8.8.8"), 1, 0x0800};
  nothing.verdict = "policy-discard";
  nothing.route_device = "eth0";
  nothing.route_via = "192.0.2.254";
  EXPECT_EQ(render(nothing, Style{}),
            "10.1.0.5 -> 8.8.8.8 icmp 8.0: policy-discard\n"
            "  route   dev eth0 via 192.0.2.254  (not into the tunnel)\n"
            "  policy  none\n"
            "  SA      none\n");
}

TEST(Render, Drops) {
  control::DropsReport drops;
  drops.packets_in = 1;
  EXPECT_EQ(render(drops, Style{}), "No packet was dropped.\npassed: 0 packets (0 B) out, 1 packet (0 B) in\n");
  drops.drops[static_cast<std::size_t>(DropReason::kIntegrityFailed)] = 1200;
  const auto text = render(drops, Style{});
  EXPECT_EQ(text.substr(0, text.find('.') + 1),
            "integrity-failed  1,200\n  why: The integrity check value does not verify.");
  EXPECT_NE(text.find("\n  do:  Changed on the way"), std::string::npos);
}

TEST(Render, ProgressKeepsTheFurtherLinesIndented) {
  const control::Progress progress{
      0, Severity::kInfo, "net", "192.0.2.2:500", "x", "no common proposal\npeer: a\nours: b\n"};
  EXPECT_EQ(render(progress, Style{}, false), "no common proposal\n    peer: a\n    ours: b\n");
}

TEST(Render, Certificates) {
  EXPECT_EQ(render(control::CertsReport{}, Style{}),
            "Certificates\n  none\nAuthorities\n  none\nCRLs and OCSP responses\n  none\n");
  control::CertificateReport moon;
  moon.name = "moon.pem";
  moon.source = "/etc/cygnet/certs/moon.pem";
  moon.subject = "CN=moon";
  moon.issuer = "CN=Root";
  moon.serial = "1234";
  moon.key = "RSA 2048";
  moon.names = {"moon.example.org", "192.0.2.1"};
  moon.valid_until = 1'800'000'000;
  moon.expires_in_s = 40 * 86400;
  moon.own = true;
  moon.private_key = true;
  moon.connections = {"office", "road"};
  auto gone = moon;
  gone.name = "gone.pem";
  gone.names.clear();
  gone.expires_in_s = 0;
  gone.private_key = false;
  gone.connections.clear();
  control::CertificateReport bad;
  bad.name = "bad.pem";
  bad.source = "/etc/cygnet/cacerts/bad.pem";
  bad.fault = "this is no certificate";
  const control::CertsReport certs{{moon, gone},
                                   {bad},
                                   {{"root.crl", "CN=Root", false, 1'799'913'600, 1'800'000'000, ""},
                                    {"http://o/", "", true, 0, {}, "the server answers 404"}}};
  EXPECT_EQ(render(certs, Style{}),
            "Certificates\n"
            "  moon.pem  CN=moon (moon.example.org, 192.0.2.1)\n"
            "    valid until 2027-01-15 08:00 UTC, 40 days left; its private key is here\n"
            "    RSA 2048, serial 1234, issued by CN=Root\n"
            "    used by office, road\n"
            "    /etc/cygnet/certs/moon.pem\n"
            "  gone.pem  CN=moon\n"
            "    expired on 2027-01-15 08:00 UTC; its private key is missing\n"
            "    RSA 2048, serial 1234, issued by CN=Root\n"
            "    /etc/cygnet/certs/moon.pem\n"
            "Authorities\n"
            "  bad.pem  \n"
            "    not used: this is no certificate\n"
            "    /etc/cygnet/cacerts/bad.pem\n"
            "CRLs and OCSP responses\n"
            "  root.crl  CN=Root\n"
            "    issued 2027-01-14 08:00 UTC, good until 2027-01-15 08:00 UTC\n"
            "  http://o/  (OCSP)\n"
            "    the server answers 404\n");
}

TEST(Render, ReloadAndList) {
  EXPECT_EQ(render(control::ReloadReport{{"a", "b"}, {}, {"c"}, {}, {"f:1:1: warning: w"}}, Style{}),
            "f:1:1: warning: w\nadded:     a, b\nremoved:   c\n");
  control::ListReport list;
  EXPECT_EQ(render(list, Style{}), "Connections\n  none\nPolicies, in the order in which they are looked at\n  none\n");
}

}  // namespace
}  // namespace cygnet::cli
