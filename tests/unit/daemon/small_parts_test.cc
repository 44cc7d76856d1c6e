// SPDX-License-Identifier: Apache-2.0

// Command line, messages between the processes, configuration bundles, key exchange jobs.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "daemon/config_bundle.h"
#include "daemon/ike_role/acknowledgements.h"
#include "daemon/ike_role/key_jobs.h"
#include "daemon/monitor/own_directory.h"
#include "daemon/options.h"
#include "daemon/role_messages.h"
#include "io/unix_socket.h"

namespace cygnet::daemon {
namespace {

TEST(Options, BothWaysOfWritingAValue) {
  const auto options = parse_options({"--config", "a.conf", "--run-dir=/run/x", "--foreground"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->config, "a.conf");
  EXPECT_EQ(options->run_dir, "/run/x");
  EXPECT_EQ(options->secrets, "/etc/cygnet/ipsec.secrets");
  EXPECT_TRUE(options->foreground);
}

TEST(Options, WhatIsUnknownOrUnfinishedIsRefused) {
  EXPECT_NE(parse_options({"--conf"}).error().message.find("unknown option '--conf'"), std::string::npos);
  EXPECT_NE(parse_options({"--config"}).error().message.find("--config needs a value"), std::string::npos);
  EXPECT_FALSE(parse_options({"--foreground=yes"}));
}

// What stands in the run directory is believed.
TEST(OwnDirectory, NobodyElseMayWriteThere) {
  const std::string path = "/tmp/cygnet-own-directory-" + std::to_string(::getpid());
  ASSERT_TRUE(make_own_directory(path + "/run", "the run directory"));
  ASSERT_TRUE(make_own_directory(path + "/run", "the run directory"));
  for (const mode_t mode : {0777, 0770, 0707}) {
    ASSERT_EQ(::chmod((path + "/run").c_str(), mode), 0);
    const auto made = make_own_directory(path + "/run", "the run directory");
    ASSERT_FALSE(made) << std::oct << mode;
    EXPECT_NE(made.error().message.find("others than root may write into the run directory " + path),
              std::string::npos);
  }
  ASSERT_EQ(::chmod((path + "/run").c_str(), 0755), 0);
  EXPECT_TRUE(make_own_directory(path + "/run", "the run directory"));
  constexpr uid_t kNobody = 65534;
  if (::chown((path + "/run").c_str(), kNobody, kNobody) == 0) {
    EXPECT_FALSE(make_own_directory(path + "/run", "the run directory"));
  }
  EXPECT_FALSE(make_own_directory("/dev/null", "the run directory"));
  // One that it makes itself is its own, whatever the umask.
  const auto before = ::umask(0002);
  EXPECT_TRUE(make_own_directory(path + "/fresh", "the run directory"));
  EXPECT_TRUE(make_own_directory(path + "/fresh", "the run directory"));
  ::umask(before);
  std::filesystem::remove_all(path);
}

TEST(RoleMessages, EveryMessageTravels) {
  const std::vector<FromMonitor> down{
      StartEngine{.devices = {"ipsec0", "ipsec1"},
                  .sockets = {{io::OuterKind::kEsp, Family::kV6, 0}},
                  .log_level = Severity::kDebug,
                  .cpus = {3, 1},
                  .busy_poll_us = 50,
                  .crypto_threads = 2,
                  .crypto_percent = 40,
                  .crypto_cpus = {7}},
      EngineWorker{},
      StartIke{.config_path = "c",
               .secrets_path = "s",
               .run_dir = "r",
               .sockets = {{io::OuterKind::kUdp, Family::kV4, 500}},
               .engines = {.kernel = true,
                           .language = model::EngineKind::kPfkey,
                           .usual = model::EngineKind::kXfrm,
                           .automatic = model::EngineKind::kAuto}},
      KernelPeer{},
      StartKeys{"s"},
      NewPeer{},
      KeysPeer{},
      NewConfiguration{"bad", {"w"}},
      ShutDown{},
      NetworkChanged{},
      Processes{{{"ike", 17, 2}}},
      NetworkDone{3, 2, {{2, "no"}, {3, "neither"}}},
      PoolRoutes{{{*IpPrefix::parse("10.9.0.0/24"), std::nullopt}, {*IpPrefix::parse("2001:db8::/64"), IpPrefix{}}}},
      ClearTextRefused{"no", 7, "neither", 9},
      CoveredLinks{{{*IpPrefix::parse("10.8.0.0/24"), "lan"}, {*IpPrefix::parse("2001:db8::/64"), "wan"}}},
      EspInterface{7, "wan", 2048},
      EspInterfaceGone{7},
      NextHops{{NextHop{}}}};
  for (const auto& message : down) {
    const auto bytes = encode(message);
    const auto decoded = decode_from_monitor(bytes);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->index(), message.index());
    EXPECT_EQ(encode(*decoded), bytes);
    auto longer = bytes;
    longer.push_back(0);
    EXPECT_FALSE(decode_from_monitor(longer));
  }
  const auto decoded = decode_from_monitor(encode(down[0]));
  EXPECT_EQ(std::get<StartEngine>(*decoded).sockets[0].family, Family::kV6);
  EXPECT_EQ(std::get<StartEngine>(*decoded).busy_poll_us, 50U);
  EXPECT_EQ(std::get<StartEngine>(*decoded).crypto_percent, 40U);
  EXPECT_EQ(std::get<StartEngine>(*decoded).crypto_cpus, std::vector<std::uint16_t>{7});
  EXPECT_EQ(std::get<StartEngine>(*decoded).cpus, (std::vector<std::uint16_t>{3, 1}));
}

TEST(RoleMessages, NextHopsOfOneFamilyTravel) {
  const NextHop hop{.local = *IpAddress::parse("192.0.2.2"),
                    .remote = *IpAddress::parse("198.51.100.2"),
                    .usable = true,
                    .interface = 7,
                    .source = *IpAddress::parse("192.0.2.2"),
                    .source_mac = {2, 0, 0, 0, 0, 1},
                    .destination_mac = {2, 0, 0, 0, 0, 2},
                    .mtu = 1500};
  const auto decoded = decode_from_monitor(encode(FromMonitor(NextHops{{hop}})));
  ASSERT_TRUE(decoded);
  const auto& got = std::get<NextHops>(*decoded).list.at(0);
  EXPECT_TRUE(got.local == hop.local && got.remote == hop.remote && got.usable && got.source == hop.source);
  EXPECT_EQ(got.interface, 7U);
  EXPECT_EQ(got.source_mac, hop.source_mac);
  EXPECT_EQ(got.destination_mac, hop.destination_mac);
  EXPECT_EQ(got.mtu, 1500U);
  auto mixed = hop;
  mixed.source = *IpAddress::parse("2001:db8::1");
  EXPECT_FALSE(decode_from_monitor(encode(FromMonitor(NextHops{{mixed}}))));
  WantNextHops wanted{.anew = true, .list = {{hop.local, hop.remote}}};
  const auto asked = decode_to_monitor(encode(ToMonitor(wanted)));
  ASSERT_TRUE(asked);
  EXPECT_TRUE(std::get<WantNextHops>(*asked).anew);
  EXPECT_EQ(std::get<WantNextHops>(*asked).list, wanted.list);
  wanted.list.resize(kHopsTogether + 1, wanted.list[0]);
  EXPECT_FALSE(decode_to_monitor(encode(ToMonitor(wanted))));
}

TEST(RoleMessages, LeasesTravelInMessagesThatFit) {
  std::vector<store::LeaseChange> changes;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    changes.push_back({{IpAddress::v4(0x0a090000U + i),
                        {model::IdType::kDerAsn1Dn, Bytes(i % 500, static_cast<std::uint8_t>(i))},
                        1'700'000'000U + i},
                       i % 7 == 0});
  }
  // Nobody has such a name; it stays in memory.
  changes.push_back({{IpAddress::v4(1), {model::IdType::kKeyId, Bytes(kMaxStoredIdentity + 1)}, 1}, false});
  const auto messages = split_to_messages(changes);
  std::vector<store::LeaseChange> arrived;
  for (const auto& message : messages) {
    const auto bytes = encode(ToMonitor(message));
    EXPECT_LE(bytes.size(), io::kMaxMessage);
    const auto decoded = decode_to_monitor(bytes);
    ASSERT_TRUE(decoded);
    const auto& list = std::get<LeaseChanges>(*decoded).list;
    arrived.insert(arrived.end(), list.begin(), list.end());
  }
  changes.pop_back();
  EXPECT_EQ(arrived, changes);

  std::vector<store::LeaseRecord> records;
  for (const auto& change : changes) records.push_back(change.lease);
  const auto text = encode_leases(records);
  EXPECT_EQ(*decode_leases(text), records);
  EXPECT_TRUE(decode_leases("")->empty());
  EXPECT_FALSE(decode_leases(text.substr(0, text.size() - 1)));
}

TEST(RoleMessages, WhatTheResolverIsAskedTravels) {
  const ResolverRequest request{
      "office", "ipsec0", {*IpAddress::parse("10.2.0.53"), *IpAddress::parse("fd02::53")}, {"office.example"}};
  const auto decoded = decode_to_monitor(encode(ToMonitor(request)));
  ASSERT_TRUE(decoded);
  const auto& arrived = std::get<ResolverRequest>(*decoded);
  EXPECT_EQ(arrived.connection, request.connection);
  EXPECT_EQ(arrived.device, request.device);
  EXPECT_EQ(arrived.servers, request.servers);
  EXPECT_EQ(arrived.domains, request.domains);
}

TEST(RoleMessages, AnImpossiblePrefixIsRefused) {
  NetworkRequest request{.request = 1,
                         .prefix = *IpPrefix::parse("10.0.0.0/8"),
                         .device = "ipsec0",
                         .source = IpAddress::parse("10.1.0.1"),
                         .mtu = 1300};
  auto second = request;
  second.request = 2;
  const auto good = decode_to_monitor(encode(ToMonitor{NetworkRequests{{request, second}}}));
  ASSERT_TRUE(good);
  const auto& arrived = std::get<NetworkRequests>(*good).list;
  ASSERT_EQ(arrived.size(), 2U);
  EXPECT_EQ(arrived[0].source, request.source);
  EXPECT_EQ(arrived[1].request, 2U);
  second.prefix.length = 33;
  EXPECT_FALSE(decode_to_monitor(encode(ToMonitor{NetworkRequests{{request, second}}})));
}

TEST(RoleMessages, MoreRequestsThanTravelTogetherAreRefused) {
  const NetworkRequest one{.request = 1, .prefix = *IpPrefix::parse("10.0.0.0/8"), .device = "ipsec0"};
  NetworkRequests many{std::vector<NetworkRequest>(kMaxRequestsTogether, one)};
  EXPECT_TRUE(decode_to_monitor(encode(ToMonitor{many})));
  many.list.push_back(one);
  EXPECT_FALSE(decode_to_monitor(encode(ToMonitor{many})));
}

TEST(ConfigBundle, TheOtherSideReadsTheSameAndNothingElse) {
  config::MemoryFiles disk(std::map<std::string, std::string>{{"/etc/ipsec.conf", "include /etc/ipsec.d/*.conf\n"},
                                                              {"/etc/ipsec.d/a.conf", std::string("x\0y", 3)},
                                                              {"/etc/shadow", "root"}});
  RecordingFiles recording(disk);
  EXPECT_TRUE(recording.read("/etc/ipsec.conf"));
  const auto found = recording.glob("/etc/ipsec.d/*.conf");
  EXPECT_TRUE(recording.read("/etc/ipsec.d/a.conf"));
  EXPECT_FALSE(recording.read("/etc/none"));
  auto bundle = BundledFiles::from_text(recording.to_text());
  ASSERT_TRUE(bundle);
  EXPECT_EQ(*bundle->read("/etc/ipsec.d/a.conf"), std::string("x\0y", 3));
  EXPECT_EQ(bundle->glob("/etc/ipsec.d/*.conf"), found);
  EXPECT_FALSE(bundle->read("/etc/none"));
  EXPECT_FALSE(bundle->read("/etc/shadow"));
}

TEST(ConfigBundle, ACutOneIsRefused) {
  config::MemoryFiles disk(std::map<std::string, std::string>{{"a", "text"}});
  RecordingFiles recording(disk);
  (void)recording.read("a");
  const auto text = recording.to_text();
  for (std::size_t n = 0; n < text.size(); ++n) {
    EXPECT_FALSE(BundledFiles::from_text(text.substr(0, n))) << n;
  }
}

TEST(KeyJobs, TwoSidesAgreeInOneStepOrTwo) {
  for (const auto group : {model::KeGroup::kX25519, model::KeGroup::kEcp256, model::KeGroup::kModp2048}) {
    ike::KeyExchangeJob initiator{.job = 1, .group = group, .seed = SecretBytes(64, 1)};
    const auto half = run_key_job(initiator);
    ASSERT_EQ(half.error, "");
    EXPECT_FALSE(half.shared_secret);
    const auto responder = run_key_job(
        {.job = 2, .group = group, .own = {}, .peer_public = half.own->public_value, .seed = SecretBytes(64, 2)});
    ASSERT_EQ(responder.error, "");
    const auto whole = run_key_job(
        {.job = 3, .group = group, .own = half.own, .peer_public = responder.own->public_value, .seed = {}});
    EXPECT_EQ(whole.shared_secret, responder.shared_secret);
    EXPECT_EQ(whole.job, 3U);
    // Same seed, same key; another seed, another key.
    EXPECT_EQ(run_key_job(initiator).own->public_value, half.own->public_value);
    EXPECT_NE(responder.own->public_value, half.own->public_value);
  }
}

TEST(KeyJobs, ABadPublicValueIsAnErrorNotASecret) {
  const auto result = run_key_job(
      {.job = 9, .group = model::KeGroup::kX25519, .own = {}, .peer_public = Bytes(31, 1), .seed = SecretBytes(64, 2)});
  EXPECT_NE(result.error, "");
  EXPECT_FALSE(result.shared_secret);
}

// What depends on both engines waits for both, whichever answers first.
TEST(Acknowledgements, OfTwoEnginesComeInAnyOrder) {
  Acknowledgements of;
  EXPECT_TRUE(of.has_all_to(0)) << "nothing was asked before it";
  EXPECT_EQ(of.ask(), 1U);  // an SA for the kernel
  EXPECT_EQ(of.ask(), 2U);  // a checkpoint for our own engine
  EXPECT_EQ(of.asked(), 2U);
  EXPECT_EQ(of.ask(), 3U);
  of.acknowledge(2);
  EXPECT_FALSE(of.has_all_to(1));
  EXPECT_FALSE(of.has_all_to(2)) << "as many have come as were asked for, but not those";
  of.acknowledge(3);
  EXPECT_FALSE(of.has_all_to(3));
  of.acknowledge(1);
  EXPECT_TRUE(of.has_all_to(3));
  EXPECT_FALSE(of.has_all_to(4));
  of.acknowledge(of.ask());
  EXPECT_TRUE(of.has_all_to(4));
}

}  // namespace
}  // namespace cygnet::daemon
