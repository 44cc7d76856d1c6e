// SPDX-License-Identifier: Apache-2.0
#include "config/load.h"

#include "config/connection_draft.h"
#include "config/keywords.h"
#include "config/setup_words.h"
#include "model/any_cpu.h"
#include "unit/config/config_test_support.h"

namespace cygnet::config {
namespace {

using model::StartAction;

TEST(Load, AnOrdinaryStrongswanConnection) {
  const auto loaded = load_text(
      "config setup\n\tuniqueids=yes\nconn "
      "%default\n\tkeyexchange=ikev2\n\tike=aes256gcm16-prfsha256-ecp256!\n\tesp=aes256gcm16-ecp256!\n\tikelifetime="
      "3h\n"
      "\tkeylife=1h\n\trekeymargin=3m\n\tkeyingtries=%forever\n\nconn "
      "net-net\n\tleft=192.0.2.1\n\tleftid=@gw-a\n\tleftsubnet=10.1.0.0/16,2001:db8:1::/48\n\tleftauth=psk\n"
      "\tright=gw-b.example.org\n\trightid=@gw-b\n\trightsubnet=10.2.0.0/16,2001:db8:2::/"
      "48\n\trightauth=psk\n\tauto=start\n\tdpdaction=restart\n\tdpddelay=10s\n");
  EXPECT_EQ(lines_of(loaded.diagnostics), "");
  ASSERT_EQ(loaded.connections.size(), 1U);
  const auto& c = loaded.connections[0];
  EXPECT_EQ(c.name, "net-net");
  EXPECT_EQ(c.source, "/etc/ipsec.conf:12");
  EXPECT_EQ(c.local.host.to_string(), "192.0.2.1");
  EXPECT_EQ(c.remote.host.kind, model::HostSpec::Kind::kName);
  EXPECT_EQ(c.remote.host.name, "gw-b.example.org");
  EXPECT_EQ(c.local.id->to_string(), "gw-a");
  EXPECT_EQ(c.ike_lifetime_s, 10800U);
  EXPECT_EQ(c.rekey_margin_s, 180U);
  EXPECT_EQ(c.keying_tries, 0U);
  EXPECT_EQ(c.dpd_delay_s, 10U);
  EXPECT_EQ(c.dpd_action, model::DeadPeerAction::kRestart);
  ASSERT_EQ(c.children.size(), 1U);
  EXPECT_EQ(c.children[0].name, "net-net");
  EXPECT_EQ(model::to_string(c.children[0].local), "10.1.0.0/16, 2001:db8:1::/48");
  EXPECT_EQ(c.children[0].lifetime_s, 3600U);
  EXPECT_EQ(c.children[0].start, StartAction::kStart);
  ASSERT_EQ(c.children[0].proposals.size(), 1U);
  EXPECT_EQ(model::to_string(c.children[0].proposals[0].transforms[1]), "ECP_256");
}

TEST(Load, AnOrdinaryLibreswanConnection) {
  const auto loaded = load_text(
      "config setup\n\tprotostack=netkey\nconn "
      "base\n\tikev2=insist\n\tauthby=secret\n\tike=aes_gcm256-sha2_256;dh19\n\tphase2alg=aes_gcm256\n"
      "conn mesh\n\talso=base\n\tleft=%defaultroute\n\tleftid=@a\n\tleftsubnets={10.1.0.0/16 "
      "10.3.0.0/16}\n\tright=192.0.2.2\n\trightid=@b\n"
      "\trightsubnets={10.2.0.0/16,2001:db8:2::/"
      "48}\n\tauto=ondemand\n\tforceencaps=yes\n\tsalifetime=8h\n\tpfs=no\n\tikelifetime=8h\n");
  EXPECT_EQ(lines_of(loaded.diagnostics), "");
  ASSERT_EQ(loaded.connections.size(), 1U);
  const auto& c = loaded.connections[0];
  EXPECT_EQ(c.local.host.kind, model::HostSpec::Kind::kDefaultRoute);
  EXPECT_EQ(c.encapsulation, model::Encapsulation::kForce);
  // The IPv4 networks of left do not pair with the IPv6 one of right.
  ASSERT_EQ(c.children.size(), 2U);
  EXPECT_EQ(c.children[0].name, "mesh/1x1");
  EXPECT_EQ(c.children[1].name, "mesh/2x1");
  EXPECT_EQ(model::to_string(c.children[1].local), "10.3.0.0/16");
  EXPECT_EQ(c.children[1].start, StartAction::kOnDemand);
  EXPECT_EQ(c.dpd_action, model::DeadPeerAction::kHold);
  EXPECT_EQ(c.children[0].proposals[0].of(model::TransformType::kKeyExchange).size(), 0U);
  EXPECT_EQ(loaded.ignored, std::vector<std::string>{"base"});
}

TEST(Load, DefaultsOfAMinimalConnection) {
  const auto c = load_one("");
  EXPECT_EQ(c.children[0].start, StartAction::kAdd);
  EXPECT_EQ(c.keying_tries, 1U);
  EXPECT_EQ(c.dpd_action, model::DeadPeerAction::kClear);
  EXPECT_EQ(c.children[0].replay_window, 1024U);
  EXPECT_EQ(c.children[0].device, "ipsec0");
  EXPECT_EQ(c.rekey_margin_s, 360U);
  EXPECT_EQ(model::to_string(c.proposals[0].transforms[0]), "AES_GCM_16_256");
  // Key exchange when rekeying is offered, and left to the peer; extended sequence numbers are preferred.
  const auto& esp = c.children[0].proposals[0];
  EXPECT_EQ(model::to_string(esp.of(model::TransformType::kKeyExchange).front()), "CURVE_25519");
  EXPECT_EQ(model::to_string(esp.of(model::TransformType::kKeyExchange).back()), "NO_KE");
  EXPECT_EQ(model::to_string(esp.of(model::TransformType::kEsn).front()), "EXT_SEQ");
  EXPECT_EQ(esp.of(model::TransformType::kEsn).size(), 2U);
}

TEST(Load, PfsAndEsnWords) {
  const auto groups = [](const std::string& words) {
    std::string text;
    const auto c = load_one(words);
    for (const auto& t : c.children[0].proposals[0].of(model::TransformType::kKeyExchange))
      text += model::to_string(t) + " ";
    for (const auto& t : c.children[0].proposals[0].of(model::TransformType::kEsn)) text += model::to_string(t) + " ";
    return text;
  };
  EXPECT_EQ(groups("ike=aes256gcm16-x25519\npfs=yes\nesn=no"), "CURVE_25519 NO_EXT_SEQ ");
  EXPECT_EQ(groups("ike=aes256gcm16-x25519\nesp=aes128gcm16-ecp256\npfs=yes\nesn=yes"), "ECP_256 EXT_SEQ ");
  EXPECT_EQ(groups("ike=aes256gcm16-x25519\nesp=aes128gcm16-esn\npfs=no\nesn=no"), "EXT_SEQ ");
  EXPECT_EQ(groups("ike=aes256gcm16-x25519\nesp=aes128gcm16\nesn=no"), "CURVE_25519 NO_KE NO_EXT_SEQ ");
}

TEST(Load, WordsOfPackets) {
  const auto c = load_one(
      "replay_window=64\nmtu=1400\nencapsulation=no\nipsec-interface=7\ndf=clear\necn=no\ncopy-dscp=no\nclamp-"
      "mss=no\nnat-keepalive=no");
  EXPECT_EQ(c.children[0].replay_window, 64U);
  EXPECT_EQ(c.children[0].mtu, 1400U);
  EXPECT_EQ(c.encapsulation, model::Encapsulation::kNever);
  EXPECT_EQ(c.children[0].device, "ipsec7");
  EXPECT_EQ(c.children[0].df, model::DfPolicy::kClear);
  EXPECT_FALSE(c.children[0].ecn);
  EXPECT_FALSE(c.children[0].copy_dscp);
  EXPECT_FALSE(c.children[0].clamp_mss);
  EXPECT_EQ(c.keepalive_s, 0U);
}

TEST(Load, WordsOfFragmentation) {
  EXPECT_EQ(load_one("mtu=1400").fragmentation, model::Fragmentation::kYes);
  EXPECT_EQ(load_one("mtu=1400").fragment_octets, 0U);
  EXPECT_EQ(load_one("fragmentation=no").fragmentation, model::Fragmentation::kNo);
  EXPECT_EQ(load_one("ike-frag=force\nfragment-size=1400").fragmentation, model::Fragmentation::kForce);
  EXPECT_EQ(load_one("fragmentation=accept\nfragment-size=1400").fragment_octets, 1400U);
  EXPECT_EQ(load_one("fragment-size=0").fragment_octets, 0U);
  const auto refused = load_text(conn_with("fragmentation=perhaps\nfragment-size=399"));
  EXPECT_EQ(lines_of(refused.diagnostics),
            "7:16: error: 'perhaps' is no value of fragmentation=\n"
            "8:16: error: '399' is no value of fragment-size=\n");
}

TEST(Load, HowManyChildrenAPeerMayHave) {
  EXPECT_EQ(load_one("").max_children, 64U);
  EXPECT_EQ(load_one("max-children=3").max_children, 3U);
  EXPECT_FALSE(load_text(conn_with("max-children=0")).ok());
  // All that are written down have room, twice.
  std::string ours, theirs;
  for (int i = 0; i < 10; ++i) {
    ours += (i == 0 ? "" : ",") + std::string("10.1.") + std::to_string(i) + ".0/24";
    theirs += (i == 0 ? "" : ",") + std::string("10.2.") + std::to_string(i) + ".0/24";
  }
  const auto networks = "conn net\n\tleft=192.0.2.1\n\tright=192.0.2.2\n\tleftsubnets={" + ours +
                        "}\n\trightsubnets={" + theirs + "}\n\tauto=add\n";
  const auto loaded = load_text(networks);
  ASSERT_TRUE(loaded.ok()) << to_string(loaded.diagnostics);
  EXPECT_EQ(loaded.connections.at(0).children.size(), 100U);
  EXPECT_EQ(loaded.connections.at(0).max_children, 200U);
}

TEST(Load, WordsOfTime) {
  const auto c = load_one(
      "ikelifetime=60m\nlifetime=10m\nmargintime=1m\nrekeyfuzz=50%\nlifebytes=1G\nlifepackets=1000000\nretransmit-"
      "interval=200\nretransmit-timeout=10s\ndpddelay=0\nkeyingtries=3\nrekey=no");
  EXPECT_EQ(c.ike_lifetime_s, 3600U);
  EXPECT_EQ(c.children[0].lifetime_s, 600U);
  EXPECT_EQ(c.rekey_margin_s, 60U);
  EXPECT_EQ(c.rekey_fuzz_percent, 50U);
  EXPECT_EQ(c.children[0].lifetime_bytes, 1073741824U);
  EXPECT_EQ(c.children[0].lifetime_packets, 1000000U);
  EXPECT_EQ(c.retransmit_first_ms, 200U);
  EXPECT_EQ(c.retransmit_timeout_ms, 10000U);
  EXPECT_EQ(c.dpd_delay_s, 0U);
  EXPECT_EQ(c.keying_tries, 3U);
  EXPECT_FALSE(c.rekey);
}

TEST(Load, SetupWords) {
  const auto loaded = load_text(
      "config setup\n\tdevices=tun7, "
      "tun8\n\tallow-key-export=yes\n\tikeport=1500\n\tnat-ikeport=14500\n\tfwmark=0x77\n\troute-table=77\n\trule-"
      "priority=78\n"
      "\tcookie-threshold=0\n\thalf-open-limit=10\n\thalf-open-per-address=4\n\thalf-open-per-network=8\n\tike-sas-per-"
      "identity=3\n\tpuzzle-"
      "threshold=5\n\tpuzzle-difficulty=16\n\tauth-puzzle-threshold=30\n\tauth-puzzle-difficulty=7\n\thardest-puzzle="
      "24\n\tlog-level=debug\n\tkeep-alive=5s\n\tworkers=4\n\tworker-cpus=2,3 "
      "7\n\tbusy-poll=150\n" +
      conn_with("ipsec-interface=other"));
  EXPECT_EQ(lines_of(loaded.diagnostics),
            "3:2: warning: allow-key-export=yes lets root on this host read all session keys\n");
  EXPECT_EQ(loaded.setup.devices, (std::vector<std::string>{"tun7", "tun8", "other"}));
  EXPECT_TRUE(loaded.setup.allow_key_export);
  EXPECT_EQ(loaded.setup.ike_port, 1500);
  EXPECT_EQ(loaded.setup.nat_port, 14500);
  EXPECT_EQ(loaded.setup.fwmark, 0x77U);
  EXPECT_EQ(loaded.setup.route_table, 77U);
  EXPECT_EQ(loaded.setup.rule_priority, 78U);
  EXPECT_EQ(loaded.setup.cookie_threshold, 0U);
  EXPECT_EQ(loaded.setup.half_open_limit, 10U);
  EXPECT_EQ(loaded.setup.half_open_per_address, 4U);
  EXPECT_EQ(loaded.setup.half_open_per_network, 8U);
  EXPECT_EQ(loaded.setup.ike_sas_per_identity, 3U);
  EXPECT_EQ(loaded.setup.puzzle_threshold, 5U);
  EXPECT_EQ(loaded.setup.puzzle_difficulty, 16U);
  EXPECT_EQ(loaded.setup.auth_puzzle_threshold, 30U);
  EXPECT_EQ(loaded.setup.auth_puzzle_difficulty, 7U);
  EXPECT_EQ(loaded.setup.hardest_puzzle, 24U);
  EXPECT_EQ(loaded.setup.log_level, Severity::kDebug);
  EXPECT_EQ(loaded.connections[0].keepalive_s, 5U);
  EXPECT_EQ(loaded.threads.count, 4U);
  EXPECT_EQ(loaded.threads.busy_poll_us, 150U);
  EXPECT_EQ(loaded.threads.cpus, (std::vector<std::uint16_t>{2, 3, 7}));
}

TEST(Load, Workers) {
  const auto of = [](const std::string& words) { return load_text("config setup\n" + words + conn_with("")); };
  EXPECT_EQ(of("").threads.count, 1U);
  EXPECT_EQ(of("\tworkers=auto\n").threads.count, 0U);
  EXPECT_EQ(lines_of(of("\tworkers=0\n").diagnostics), "2:10: error: '0' is no value of workers=\n");
  EXPECT_EQ(lines_of(of("\tworkers=17\n").diagnostics), "2:10: error: '17' is no value of workers=\n");
  EXPECT_EQ(lines_of(of("\tworker-cpus=1,x\n").diagnostics), "2:16: error: 'x' is no CPU's number\n");
  EXPECT_EQ(lines_of(of("\tworkers=2\n\tworker-cpus=1,2,3\n").diagnostics),
            "3:2: error: worker-cpus= names 3 CPUs for workers=2\n");
  EXPECT_TRUE(of("").threads.cpus.empty());
  EXPECT_EQ(of("\tworker-cpus=any\n").threads.cpus, std::vector{model::kAnyCpu});
  EXPECT_EQ(of("\tworkers=2\n\tworker-cpus=any,3\n").threads.cpus, (std::vector<std::uint16_t>{model::kAnyCpu, 3}));
  EXPECT_EQ(lines_of(of("\tcrypto-threads=1\n\tcrypto-cpus=any\n").diagnostics),
            "3:14: error: 'any' is no CPU's number\n");
  EXPECT_TRUE(of("\tworkers=auto\n\tworker-cpus=1,2,3\n").ok());
}

TEST(Load, EspPath) {
  const auto of = [](const std::string& words) { return load_text("config setup\n" + words + conn_with("")); };
  EXPECT_FALSE(of("").threads.esp_over_xdp);
  EXPECT_FALSE(of("\tesp-path=xdp\n\tesp-path=socket\n").threads.esp_over_xdp);
  EXPECT_TRUE(of("\tesp-path=XDP\n").threads.esp_over_xdp);
  EXPECT_EQ(lines_of(of("\tesp-path=xdp\n").diagnostics), "");
  EXPECT_EQ(lines_of(of("\tesp-path=fast\n").diagnostics), "2:11: error: 'fast' is no value of esp-path=\n");
  for (const auto* other : {"workers=2", "workers=auto", "crypto-threads=1", "crypto-cpu=50"}) {
    EXPECT_EQ(lines_of(of("\tesp-path=xdp\n\t" + std::string(other) + '\n').diagnostics),
              "2:2: error: esp-path=xdp goes with one thread that does everything\n")
        << other;
  }
  EXPECT_EQ(lines_of(of("\tengine=xfrm\n\tesp-path=xdp\n").diagnostics),
            "3:2: error: esp-path=xdp is for Cygnet's own engine, and engine= names the kernel's\n");
  EXPECT_EQ(lines_of(of("\tengine=xfrm\n\tesp-path=socket\n").diagnostics), "");
}

TEST(Load, CryptoThreads) {
  const auto of = [](const std::string& words) { return load_text("config setup\n" + words + conn_with("")); };
  const auto threads = of("\tcrypto-threads=2\n\tcrypto-cpus=4,5\n\tcrypto-cpu=30%\n").threads;
  EXPECT_EQ(threads.crypto_count, 2U);
  EXPECT_EQ(threads.crypto_percent, 30U);
  EXPECT_EQ(threads.crypto_cpus, (std::vector<std::uint16_t>{4, 5}));
  EXPECT_EQ(of("").threads.crypto_count, 0U);
  // A limit without a number of threads is one of one thread; 0 threads are none.
  EXPECT_EQ(of("\tcrypto-cpu=100\n").threads.crypto_count, 1U);
  EXPECT_EQ(of("\tcrypto-cpu=100\n").threads.crypto_percent, 100U);
  EXPECT_EQ(of("\tcrypto-cpus=3\n").threads.crypto_count, 1U);
  EXPECT_EQ(of("\tcrypto-threads=0\n").threads.crypto_count, 0U);
  EXPECT_EQ(lines_of(of("\tcrypto-threads=0\n\tcrypto-cpu=50\n").diagnostics),
            "3:2: error: crypto-cpu= and crypto-cpus= say nothing with crypto-threads=0\n");
  EXPECT_EQ(lines_of(of("\tcrypto-threads=2\n\tcrypto-cpus=1,2,3\n").diagnostics),
            "3:2: error: crypto-cpus= names 3 CPUs for 2 threads\n");
  EXPECT_EQ(lines_of(of("\tcrypto-cpu=0\n").diagnostics), "2:13: error: '0' is no value of crypto-cpu=\n");
  EXPECT_EQ(lines_of(of("\tcrypto-cpu=101\n").diagnostics), "2:13: error: '101' is no value of crypto-cpu=\n");
  EXPECT_EQ(lines_of(of("\tcrypto-threads=8\n").diagnostics), "2:17: error: '8' is no value of crypto-threads=\n");
  EXPECT_EQ(lines_of(of("\tworkers=2\n\tcrypto-threads=1\n").diagnostics),
            "2:2: error: crypto-threads= and several workers= do not go together\n");
  EXPECT_EQ(lines_of(of("\tcrypto-threads=1\nconfig setup\n\tworkers=auto\n").diagnostics),
            "4:2: error: crypto-threads= and several workers= do not go together\n");
  EXPECT_EQ(lines_of(of("\tworkers=1\n\tcrypto-threads=1\n").diagnostics), "");
}

TEST(Load, Clones) {
  EXPECT_EQ(load_text(conn_with("")).connections.at(0).children.at(0).clones, std::nullopt);
  EXPECT_EQ(load_text(conn_with("clones=4")).connections.at(0).children.at(0).clones, 4U);
  EXPECT_EQ(load_text(conn_with("clones=0")).connections.at(0).children.at(0).clones, 0U);
  for (const auto* wrong : {"clones=65", "clones=-1", "clones=yes"}) {
    EXPECT_NE(lines_of(load_text(conn_with(wrong)).diagnostics).find("is no value of clones="), std::string::npos)
        << wrong;
  }
  EXPECT_NE(lines_of(load_text(conn_with("iptfs=yes\n\tclones=2")).diagnostics)
                .find("iptfs= sends on one SA alone, at its rate"),
            std::string::npos);
  EXPECT_NE(lines_of(load_text(conn_with("diet-esp=yes\n\tclones=2")).diagnostics)
                .find("diet-esp= is for small devices, clones= for large ones"),
            std::string::npos);
  const auto idle = [](const std::string& setup) {
    return lines_of(load_text(setup + conn_with("clones=2")).diagnostics)
               .find("with workers=1 only the peer sends on clones=") != std::string::npos;
  };
  EXPECT_TRUE(idle(""));
  EXPECT_FALSE(idle("config setup\n\tworkers=2\n"));
}

TEST(Load, WhatTrafficIsLike) {
  using model::Traffic;
  const auto of = [](const std::string& word) { return load_text(conn_with(word)).connections.at(0).children.at(0); };
  EXPECT_EQ(of("").traffic, Traffic::kUsual);
  EXPECT_EQ(of("traffic=latency").traffic, Traffic::kLatency);
  EXPECT_EQ(of("traffic=Throughput").traffic, Traffic::kThroughput);
  EXPECT_NE(lines_of(load_text(conn_with("traffic=latancy")).diagnostics).find("is no value of traffic="),
            std::string::npos);
  const auto said = [](const std::string& setup, const std::string& words) {
    return lines_of(load_text("config setup\n" + setup + conn_with(words)).diagnostics);
  };
  const std::string no_threads = "traffic=throughput lets crypto threads encrypt, and there are none";
  EXPECT_NE(said("", "traffic=throughput").find(no_threads), std::string::npos);
  EXPECT_EQ(said("\tcrypto-threads=1\n", "traffic=throughput").find("traffic="), std::string::npos);
  const std::string workers = "with several workers= traffic=latency changes nothing";
  EXPECT_NE(said("\tworkers=2\n", "traffic=latency").find(workers), std::string::npos);
  EXPECT_EQ(said("\tworkers=1\n", "traffic=latency").find("traffic="), std::string::npos);
  // Where the kernel carries it the word is refused, which is said elsewhere.
  EXPECT_EQ(said("", "traffic=throughput\n\tengine=xfrm").find(no_threads), std::string::npos);
}

TEST(Load, WhatCarriesThePackets) {
  using model::EngineKind;
  const auto load = [](const std::string& value) { return load_text("config setup\n\tengine=" + value + "\n"); };
  EXPECT_EQ(load_text("config setup\n").setup.engine, EngineKind::kUser);
  EXPECT_EQ(load("user").setup.engine, EngineKind::kUser);
  EXPECT_EQ(load("xfrm").setup.engine, EngineKind::kXfrm);
  EXPECT_EQ(load("Auto").setup.engine, EngineKind::kAuto);
  EXPECT_EQ(load("pfkey").setup.engine, EngineKind::kPfkey);
  EXPECT_EQ(lines_of(load("klips").diagnostics), "2:9: error: 'klips' is no value of engine=\n");
}

TEST(Load, ProtocolsAndPorts) {
  EXPECT_EQ(model::to_string(load_one("leftprotoport=tcp/http").children[0].local), "10.1.0.0/16[tcp/80]");
  EXPECT_EQ(model::to_string(load_one("leftprotoport=tcp/http").children[0].remote), "10.2.0.0/16[tcp]");
  EXPECT_EQ(model::to_string(load_one("leftprotoport=17/1701\nrightprotoport=udp/%any").children[0].local),
            "10.1.0.0/16[udp/1701]");
  EXPECT_EQ(faults_of("leftprotoport=tcp/80\nrightprotoport=udp/80"),
            "1:1: error: conn net: left and right name different protocols\n");
  EXPECT_EQ(faults_of("leftprotoport=tpc/80"), "7:16: error: 'tpc/80' is no protocol and port\n");
}

TEST(Load, AlsoIsInheritedAndOverridden) {
  const auto loaded = load_text(
      "conn %default\n\tikelifetime=1h\n\tauto=add\nconn "
      "a\n\talso=b\n\tlifetime=20m\n\tleft=192.0.2.1\n\tright=192.0.2.2\nconn "
      "b\n\talso=c\n\tkeylife=30m\n\tauto=ignore\n"
      "conn c\n\tauto=ignore\n\tikelifetime=2h\n\tdpddelay=7\n");
  EXPECT_TRUE(loaded.ok()) << to_string(loaded.diagnostics);
  // auto=ignore of the template is inherited too: a, which writes no auto= itself, is ignored.
  EXPECT_TRUE(loaded.connections.empty());
  const auto again = load_text(
      "conn %default\n\tikelifetime=1h\nconn "
      "a\n\talso=b\n\tlifetime=20m\n\tleft=192.0.2.1\n\tright=192.0.2.2\n\tauto=add\n\tdpddelay=\nconn "
      "b\n\talso=c\n\tkeylife=30m\n"
      "conn c\n\tikelifetime=2h\n\tdpddelay=7\n");
  ASSERT_EQ(again.connections.size(), 1U) << to_string(again.diagnostics);
  EXPECT_EQ(again.connections[0].ike_lifetime_s, 7200U);
  EXPECT_EQ(again.connections[0].children[0].lifetime_s, 1200U);
  EXPECT_EQ(again.connections[0].dpd_delay_s, 30U);  // the empty value took the inherited one back
}

TEST(Load, AnOwnWordWinsOverAnotherSpellingOfItInDefault) {
  const auto merged = [](const std::string& inherited, const std::string& own) {
    const auto loaded = load_text("conn %default\n\t" + inherited + '\n' + conn_with(own));
    EXPECT_TRUE(loaded.ok()) << to_string(loaded.diagnostics);
    return loaded.connections.empty() ? model::Connection{} : loaded.connections[0];
  };
  EXPECT_EQ(merged("ike-frag=yes", "fragmentation=no").fragmentation, model::Fragmentation::kNo);
  EXPECT_EQ(merged("fragmentation=no", "ike-frag=yes").fragmentation, model::Fragmentation::kYes);
  EXPECT_EQ(merged("nopmtudisc=yes", "df=set").children[0].df, model::DfPolicy::kSet);
  EXPECT_EQ(merged("df=set", "nopmtudisc=yes").children[0].df, model::DfPolicy::kClear);
  for (const auto* spelling : {"rightrsasigkey", "rightecdsakey", "rightsigkey", "rightpubkey"}) {
    const auto keys = faults_of(std::string("rightpubkey=%none\n") + spelling + "=%none");
    EXPECT_NE(keys.find(std::string(spelling) == "rightpubkey" ? "is set twice" : "are the same setting"),
              std::string::npos)
        << keys;
  }
}

TEST(Load, AlsoLoopsAndMissingSections) {
  const auto loaded = load_text("conn a\n\talso=b\nconn b\n\talso=a\nconn c\n\talso=bb\n");
  EXPECT_EQ(lines_of(loaded.diagnostics),
            "2:7: error: also=b leads back to itself\n4:7: error: also=a leads back to itself\n6:7: error: also=bb: "
            "there is no such conn section\n");
  EXPECT_EQ(loaded.diagnostics[2].hint, "did you mean 'b'?");
}

TEST(Load, UnknownUnbuiltAndIdleWords) {
  const auto loaded =
      load_text(conn_with("lefsubnet=10.9.0.0/"
                          "16\nleftckaid=a\nkeyexchange=ikev1\ncompress=yes\nnarrowing=yes\nx-note=mine\nauthby="
                          "eap\nikeport=500\nwibble=1"));
  EXPECT_EQ(lines_of(loaded.diagnostics),
            "7:2: error: 'lefsubnet' is not known\n"
            "8:2: error: 'leftckaid=a' is not built yet: name the certificate or key itself: leftcert=, leftpubkey=\n"
            "9:14: error: keyexchange=ikev1: IKEv1 is not built yet\n"
            "13:9: error: authby=eap: EAP and XAUTH are not built yet\n"
            "14:2: error: 'ikeport=' does not belong here\n"
            "15:2: error: 'wibble' is not known\n");
  EXPECT_EQ(loaded.diagnostics[0].hint, "did you mean 'leftsubnet'?");
  EXPECT_EQ(loaded.diagnostics[5].hint, "see ipsec.conf(5) for the words there are");
}

TEST(Load, WrongValuesNameTheRightOnes) {
  const auto loaded =
      load_text(conn_with("type=tunel\nreplay-window=70000\nlifetime=1x\nencapsulation=perhaps\nmtu=100\nleftid=a="
                          "b\nleftsourceip=%config\ndpdaction=\"hodl\""));
  EXPECT_EQ(lines_of(loaded.diagnostics),
            "7:7: error: 'tunel' is no value of type=\n"
            "8:16: error: '70000' is no value of replay-window=\n"
            "9:11: error: '1x' is no value of lifetime=\n"
            "10:16: error: 'perhaps' is no value of encapsulation=\n"
            "11:6: error: '100' is no value of mtu=\n"
            "12:9: error: 'a=b' is no identity\n"
            "14:12: error: 'hodl' is no value of dpdaction=\n");
  EXPECT_EQ(loaded.diagnostics[0].hint, "did you mean 'tunnel'? (tunnel or transport)");
  EXPECT_EQ(loaded.diagnostics[1].hint, "write a number from 0 to 65536");
  EXPECT_EQ(loaded.diagnostics[3].hint, "write auto, yes, no or force");
}

TEST(Load, ConflictsWithinAConnection) {
  const auto faults = [](const std::string& text) { return lines_of(load_text(text).diagnostics); };
  EXPECT_EQ(faults("conn a\n\tleft=192.0.2.1\n\tright=192.0.2.1\n\tauto=add\n\tleftsubnet=10.1.0.0/16\n"),
            "3:8: error: conn a: left= and right= are the same host\n");
  EXPECT_EQ(faults("conn a\n\tleft=192.0.2.1\n\tauto=add\n"), "1:1: error: conn a: right= is missing\n");
  EXPECT_EQ(faults("conn a\n\tleft=192.0.2.1\n\tright=%any\n\tauto=start\n\tleftsubnet=10.1.0.0/16\n"),
            "3:8: error: conn a: with right=%any there is nobody to call\n");
  EXPECT_EQ(faults("conn a\n\tleft=192.0.2.1\n\tright=2001:db8::1\n\tauto=add\n\tleftsubnet=10.1.0.0/16\n"),
            "3:8: error: conn a: left= and right= are addresses of different families\n");
  EXPECT_EQ(
      faults(conn_with("margintime=40m\nlifetime=1h")),
      "7:13: error: conn net: with rekeyfuzz= the margin grows up to 4800s, which is the whole lifetime of 3600s\n");
  EXPECT_EQ(faults(conn_with("lifetime=1h\nkeylife=2h")),
            "8:2: error: 'keylife=' and 'lifetime=' are the same setting\n");
  EXPECT_EQ(faults(conn_with("leftsourceip=10.9.0.1")),
            "7:15: warning: conn net: 10.9.0.1 lies in none of the networks of left: packets from it will not enter "
            "the tunnel\n");
  EXPECT_EQ(faults(conn_with("type=transport")),
            "4:13: error: conn net: type=transport protects the two hosts themselves, not networks behind them\n"
            "5:14: error: conn net: type=transport protects the two hosts themselves, not networks behind them\n");
  EXPECT_EQ(
      faults("conn "
             "a\n\tleft=192.0.2.1\n\tright=192.0.2.2\n\tleftsubnet=10.0.0.0/8\n\trightsubnet=10.0.0.0/8\n\tauto=add\n"),
      "1:1: error: conn a: both ends claim the same networks: 10.0.0.0/8\n");
  // Everything to everywhere is another matter, however it is written.
  EXPECT_EQ(faults("conn a\n\tleft=192.0.2.1\n\tright=192.0.2.2\n\tleftsubnet=0.0.0.0/1,128.0.0.0/1\n"
                   "\trightsubnet=0.0.0.0/1,128.0.0.0/1\n\tauto=add\n"),
            "");
  EXPECT_EQ(
      faults(
          "conn "
          "a\n\tleft=192.0.2.1\n\tright=192.0.2.2\n\tleftsubnet=10.0.0.0/8\n\trightsubnet=2001:db8::/32\n\tauto=add\n"),
      "1:1: error: conn a: the networks of left and right are of different address families\n");
  EXPECT_EQ(faults("conn "
                   "a\n\tleft=192.0.2.1\n\tright=192.0.2.2\n\tleftsubnet=10.1.2.3/16\n\trightsubnet=10.2.0.0/"
                   "255.255.0.0\n\tauto=add\n"),
            "4:13: warning: '10.1.2.3/16' has bits beyond its prefix length; 10.1.0.0/16 is taken\n");
}

TEST(Load, ConflictsBetweenConnections) {
  const auto one = [](const std::string& name, const std::string& peer) {
    return "conn " + name + "\n\tleft=192.0.2.1\n\tright=" + peer +
           "\n\tleftsubnet=10.1.0.0/16\n\trightsubnet=10.2.0.0/16\n\tauto=add\n";
  };
  EXPECT_EQ(lines_of(load_text(one("a", "192.0.2.2") + one("b", "192.0.2.3")).diagnostics),
            "7:1: warning: conn b carries 10.1.0.0/16 to 10.2.0.0/16, as conn a (/etc/ipsec.conf:1) does to another "
            "peer: the one that comes up last wins\n");
  EXPECT_EQ(
      lines_of(load_text(one("a", "192.0.2.2") + one("b", "192.0.2.2")).diagnostics),
      "7:1: warning: conn b carries 10.1.0.0/16 to 10.2.0.0/16, as conn a (/etc/ipsec.conf:1) to the same peer does\n");
  EXPECT_EQ(lines_of(load_text(one("a", "192.0.2.2") + one("a", "192.0.2.3")).diagnostics).substr(0, 47),
            "7:1: error: conn a stands here a second time\n7:");
}

TEST(Load, AForgottenAutoIsMentioned) {
  const auto loaded = load_text("conn a\n\tleft=192.0.2.1\n\tright=192.0.2.2\n");
  EXPECT_TRUE(loaded.connections.empty());
  EXPECT_EQ(lines_of(loaded.diagnostics), "1:1: warning: conn a is not loaded: it has no auto=\n");
}

TEST(Load, TransportBetweenHosts) {
  const auto loaded = load_text(
      "conn a\n\ttype=transport\n\tleft=192.0.2.1\n\tright=192.0.2.2\n\tleftprotoport=udp/l2tp\n\tauto=add\n");
  ASSERT_TRUE(loaded.ok()) << to_string(loaded.diagnostics);
  EXPECT_EQ(loaded.connections[0].children[0].mode, model::Mode::kTransport);
  EXPECT_EQ(model::to_string(loaded.connections[0].children[0].local), "192.0.2.1/32[udp/1701]");
  EXPECT_TRUE(loaded.connections[0].children[0].remote.empty());
}

TEST(Load, EveryFaultOfAnInheritedLineCountsOnce) {
  std::string text = "conn %default\n\tlifetime=never\n\tauto=add\n";
  for (int i = 0; i < 300; ++i) {
    const auto n = std::to_string(i);
    text += "conn c" + n + "\n\tleft=192.0.2.1\n\tright=198.51." + std::to_string(i / 200) + "." +
            std::to_string(i % 200 + 1) + "\n\trightsubnet=10." + std::to_string(i / 200) + "." +
            std::to_string(i % 200) + ".0/24\n";
  }
  EXPECT_EQ(lines_of(load_text(text).diagnostics), "2:11: error: 'never' is no value of lifetime=\n");
}

TEST(Keywords, EverySupportedWordIsAppliedAndNoOther) {
  for (const auto& keyword : all_keywords()) {
    const auto words =
        keyword.scope == Scope::kSetup ? applied_setup_words() : applied_words(keyword.scope == Scope::kEnd);
    const bool applied = std::find(words.begin(), words.end(), keyword.name) != words.end() ||
                         (keyword.scope == Scope::kConn && keyword.name == "also");
    EXPECT_EQ(applied, keyword.standing == Standing::kSupported) << keyword.name;
    if (keyword.standing != Standing::kSupported) {
      EXPECT_FALSE(keyword.note.empty()) << keyword.name;
    }
    int count = 0;
    for (const auto& other : all_keywords())
      count += other.scope == keyword.scope && other.name == keyword.name ? 1 : 0;
    EXPECT_EQ(count, 1) << keyword.name;
  }
}

TEST(Load, ANetworkWithoutItsLengthIsAskedAbout) {
  const auto of = [](const std::string& networks) {
    const auto loaded =
        load_text("conn c\n\tleft=192.0.2.1\n\tright=192.0.2.2\n\tleftsubnet=10.1.0.0/16\n\trightsubnet=" + networks +
                  "\n\tauto=add\n");
    EXPECT_EQ(loaded.connections.size(), 1U);
    std::string out;
    for (const auto& d : loaded.diagnostics) out += to_line(d) + " (" + d.hint + ")\n";
    return out;
  };
  EXPECT_EQ(of("10.2.0.0"),
            "/etc/ipsec.conf:5:14: warning: '10.2.0.0' has no prefix length: it is taken for one host (write "
            "10.2.0.0/16, or 10.2.0.0/32 if the host is meant)\n");
  EXPECT_NE(of("10.3.1.1,10.2.3.0").find("write 10.2.3.0/24,"), std::string::npos);
  EXPECT_NE(of("10.3.1.1,2001:db8:2::").find("write 2001:db8:2::/64,"), std::string::npos);
  EXPECT_EQ(of("10.2.0.0/32,10.2.0.1,10.3.0.0-10.3.0.9,2001:db8::1"), "");
}

// One fault, one message.
TEST(Load, AnEndThatIsNoneIsNotAnybody) {
  for (const auto* wrong : {"[2001:db8::2]", "192.0.2.256", "224.0.0.1", "%nobody", "192.0.2.0/24", "gw!b,192.0.2.3"}) {
    const auto loaded = load_text("conn c\n\tleft=%defaultroute\n\tright=" + std::string(wrong) +
                                  "\n\trightid=@b\n\trightsubnet=10.2.0.0/16\n\tauto=start\n");
    ASSERT_EQ(loaded.diagnostics.size(), 1U) << wrong << "\n" << lines_of(loaded.diagnostics);
    EXPECT_EQ(loaded.diagnostics[0].line, 3U);
  }
  const auto loaded = load_text("conn c\n\tleft=%defaultroute\n\tright=[2001:db8::2]\n\tauto=start\n");
  EXPECT_EQ(loaded.diagnostics.at(0).hint, "write it without brackets: 2001:db8::2");
}

}  // namespace
}  // namespace cygnet::config
