// SPDX-License-Identifier: Apache-2.0
#include "sadb/messages.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace cygnet::sadb {
namespace {

model::SaSpec full_spec() {
  model::SaSpec spec{
      .direction = model::Direction::kOutbound,
      .spi = Spi(0xdeadbeef),
      .child = model::ChildId(0x1122334455667788),
      .policy = model::PolicyId(9),
      .connection = "office",
      .child_name = "office-net",
      .protocol = model::SaProtocol::kAh,
      .mode = model::Mode::kBeet,
      .local = {*IpAddress::parse("192.0.2.1"), 4500},
      .remote = {*IpAddress::parse("2001:db8::2"), 61000},
      .inner_local = *IpAddress::parse("10.9.0.1"),
      .inner_remote = *IpAddress::parse("2001:db8:9::1"),
      .udp_encapsulation = true,
      .keepalive_s = 20,
      .encryption = model::EncryptionId::kAesCbc,
      .encryption_bits = 256,
      .integrity = model::IntegrityId::kHmacSha2_512_256,
      .encryption_key = SecretBytes(32, 0xaa),
      .integrity_key = SecretBytes(64, 0xbb),
      .esn = true,
      .sequence = 0x123456789a,
      .tfc_octets = model::kTfcToMtu,
      .iptfs = {.enabled = true,
                .fragment = false,
                .packet_octets = 1400,
                .bits_per_s = 8'000'000'000,
                .max_queue_octets = 70000,
                .init_delay_us = 11,
                .reorder_window = 7,
                .drop_time_us = 13,
                .required = true,
                .congestion_control = true,
                .reports = true},
      .inside_ah = true,
      .nic_offload = model::NicOffload::kPacket,
      .replay_window = 4096,
      .lifetime =
          {.soft_bytes = 1, .hard_bytes = 2, .soft_packets = 3, .hard_packets = 4, .soft_age_s = 5, .hard_age_s = 6},
      .local_selectors = {*model::TrafficSelector::parse("10.1.0.0/16[tcp/80]")},
      .remote_selectors = {*model::TrafficSelector::parse("10.2.0.1-10.2.0.9"),
                           *model::TrafficSelector::parse("2001:db8:2::/48")},
      .device = "ipsec7",
      .mtu = 1300,
      .clamp_mss = false,
      .copy_dscp = false,
      .ecn = false,
      .df = model::DfPolicy::kClear,
      .traffic = model::Traffic::kThroughput,
      .mark = 0x42,
      .kernel_mark = {.value = 0x40, .mask = 0xff},
      .interface_id = 0x80000001,
      .resource = 3,
      .standby = true};
  return spec;
}

model::PolicySpec full_policy() {
  return {.id = model::PolicyId(3),
          .action = model::PolicyAction::kBypass,
          .order = 77,
          .local = {*model::TrafficSelector::parse("0.0.0.0/0")},
          .remote = {*model::TrafficSelector::parse("::/0[ipv6-icmp/128]")},
          .mode = model::Mode::kTransport,
          .device = "ipsec1",
          .acquire = true,
          .connection = "c",
          .child_name = "d",
          .interface_in = 9,
          .interface_out = 10,
          .mark_in = {.value = 1, .mask = 3},
          .mark_out = {.value = 2, .mask = 3}};
}

// What arrives says the same as what was sent: written again it gives the same octets.
template <typename T>
T request_round_trip(const T& request) {
  const auto bytes = encode(7, Request{request});
  const auto decoded = decode_request(bytes);
  EXPECT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->first, 7U);
  EXPECT_EQ(encode(7, decoded->second), bytes);
  return std::get<T>(decoded->second);
}

TEST(SadbMessages, AnSaTravelsWhole) {
  const auto sent = full_spec();
  EXPECT_EQ(encode_install(7, sent), encode(7, Request{InstallSaRequest{sent}}));
  const auto got = request_round_trip(InstallSaRequest{sent}).spec;
  EXPECT_EQ(got.direction, sent.direction);
  EXPECT_EQ(got.spi, sent.spi);
  EXPECT_EQ(got.child, sent.child);
  EXPECT_EQ(got.connection, "office");
  EXPECT_EQ(got.protocol, model::SaProtocol::kAh);
  EXPECT_EQ(got.mode, model::Mode::kBeet);
  EXPECT_EQ(got.inner_local, sent.inner_local);
  EXPECT_EQ(got.inner_remote, sent.inner_remote);
  EXPECT_EQ(got.tfc_octets, model::kTfcToMtu);
  EXPECT_EQ(got.iptfs, sent.iptfs);
  EXPECT_TRUE(got.inside_ah);
  EXPECT_EQ(got.sequence, sent.sequence);
  EXPECT_EQ(got.nic_offload, model::NicOffload::kPacket);
  EXPECT_EQ(got.remote, sent.remote);
  EXPECT_EQ(got.encryption_key, sent.encryption_key);
  EXPECT_EQ(got.integrity_key, sent.integrity_key);
  EXPECT_EQ(got.lifetime, sent.lifetime);
  EXPECT_EQ(got.remote_selectors, sent.remote_selectors);
  EXPECT_EQ(got.df, model::DfPolicy::kClear);
  EXPECT_EQ(got.mark, std::optional<std::uint32_t>(0x42));
  EXPECT_EQ(got.kernel_mark, (model::SaMark{.value = 0x40, .mask = 0xff}));
  EXPECT_EQ(got.interface_id, 0x80000001U);
  EXPECT_EQ(got.resource, std::optional<std::uint16_t>(3));
  EXPECT_TRUE(got.standby);
  EXPECT_FALSE(got.clamp_mss);
}

TEST(SadbMessages, EveryRequestTravels) {
  EXPECT_EQ(request_round_trip(InstallPolicyRequest{full_policy()}).spec, full_policy());
  EXPECT_EQ(encode_install(7, full_policy()), encode(7, Request{InstallPolicyRequest{full_policy()}}));
  EXPECT_EQ(request_round_trip(RemoveSaRequest{model::Direction::kOutbound, Spi(5), model::ChildId(6)}).spi, Spi(5));
  EXPECT_EQ(request_round_trip(ActivateRequest{model::ChildId(8)}).child, model::ChildId(8));
  EXPECT_TRUE(request_round_trip(UpdateEndpointsRequest{model::ChildId(8), full_spec().local, full_spec().remote, true})
                  .udp_encapsulation);
  EXPECT_EQ(request_round_trip(RemovePolicyRequest{model::PolicyId(4)}).id, model::PolicyId(4));
  EXPECT_EQ(request_round_trip(AcquireFailedRequest{model::PolicyId(4)}).id, model::PolicyId(4));
  EXPECT_EQ(request_round_trip(PutCheckpointRequest{"k", {1, 2, 3}}).value, (Bytes{1, 2, 3}));
  EXPECT_EQ(request_round_trip(DropCheckpointRequest{"k"}).key, "k");
  EXPECT_TRUE(request_round_trip(QuerySasRequest{true}).with_keys);
  EXPECT_EQ(request_round_trip(ExpectSpiRequest{Spi(77)}).spi, Spi(77));
  EXPECT_EQ(request_round_trip(QueryUsageRequest{{Spi(1), Spi(2)}}).spis, (std::vector{Spi(1), Spi(2)}));
  (void)request_round_trip(QueryStatisticsRequest{});
  EXPECT_EQ(request_round_trip(ExplainRequest{full_policy().local[0], full_policy().remote[0]}).remote,
            full_policy().remote[0]);
}

TEST(SadbMessages, EveryEventTravels) {
  const auto selector = *model::TrafficSelector::parse("10.1.0.1[udp/53]");
  const Endpoint a{*IpAddress::parse("192.0.2.1"), 4500};
  for (const Event& event : {Event{Acquire{model::PolicyId(1), selector, selector}},
                             Event{SaExpiring{Spi(1), model::Direction::kOutbound, model::ChildId(2), true}},
                             Event{PeerMoved{model::ChildId(2), a, a}}, Event{ChildActivated{model::ChildId(3)}},
                             Event{IkeDatagram{a, a, Bytes(2000, 7)}}, Event{UnknownSpi{Spi(9), a, a, true}}}) {
    const auto bytes = encode(event);
    const auto decoded = decode_from_engine(bytes);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(std::get<Event>(decoded->second).index(), event.index());
    EXPECT_EQ(encode(std::get<Event>(decoded->second)), bytes);
  }
}

TEST(SadbMessages, UsageTravels) {
  const auto decoded =
      decode_from_engine(encode(3, Reply{UsageReply{{{Spi(7), Instant(Duration(5)), Instant(Duration(9))}}}}));
  ASSERT_TRUE(decoded);
  const auto& got = std::get<UsageReply>(std::get<Reply>(decoded->second)).list;
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].spi, Spi(7));
  EXPECT_EQ(got[0].inbound, Instant(Duration(5)));
  EXPECT_EQ(got[0].outbound, Instant(Duration(9)));
}

TEST(SadbMessages, StatisticsKeepEveryCounterApart) {
  Statistics statistics{
      .packets_out = 1000, .bytes_out = 1001, .packets_in = 1002, .bytes_in = 1003, .bypassed = 1004, .acquires = 1005};
  for (std::size_t i = 0; i < statistics.drops.size(); ++i) {
    statistics.drops[i] = i + 1;
  }
  statistics.threads = {{"packets", true, 3, 1200, 45}, {"ciphers", false, 0, 7, 1}};
  statistics.esp_interfaces = {{"eth0", 1234, 7}};
  statistics.ciphers = {1006, 1007, 1008, 1009};
  const auto decoded = decode_from_engine(encode(1, Reply{StatisticsReply{statistics}}));
  ASSERT_TRUE(decoded);
  const auto& got = std::get<StatisticsReply>(std::get<Reply>(decoded->second)).statistics;
  EXPECT_EQ(got.drops, statistics.drops);
  EXPECT_EQ(got.bytes_in, 1003U);
  EXPECT_EQ(got.acquires, 1005U);
  EXPECT_EQ(got.threads, statistics.threads);
  EXPECT_EQ(got.esp_interfaces, statistics.esp_interfaces);
  EXPECT_EQ(got.ciphers, statistics.ciphers);
}

TEST(SadbMessages, ALargeDumpComesInPiecesAndLosesNothing) {
  Dump dump;
  for (std::uint32_t i = 0; i < 3000; ++i) {
    auto spec = full_spec();
    spec.spi = Spi(i);
    dump.sas.push_back({spec, {.packets = i}});
  }
  dump.policies.assign(5, full_policy());
  dump.checkpoints.assign(7, {"key", Bytes(50000, 1)});
  const auto pieces = encode_dump(3, dump);
  EXPECT_GT(pieces.size(), 10U);
  Dump whole;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    EXPECT_LE(pieces[i].size(), kMaxEncoded);
    const auto decoded = decode_from_engine(pieces[i]);
    ASSERT_TRUE(decoded) << decoded.error().message;
    const auto& piece = std::get<DumpPiece>(std::get<Reply>(decoded->second));
    EXPECT_EQ(piece.last, i + 1 == pieces.size());
    whole.sas.insert(whole.sas.end(), piece.part.sas.begin(), piece.part.sas.end());
    whole.policies.insert(whole.policies.end(), piece.part.policies.begin(), piece.part.policies.end());
    whole.checkpoints.insert(whole.checkpoints.end(), piece.part.checkpoints.begin(), piece.part.checkpoints.end());
  }
  ASSERT_EQ(whole.sas.size(), 3000U);
  for (std::uint32_t i = 0; i < 3000; ++i) {
    EXPECT_EQ(whole.sas[i].spec.spi, Spi(i));
    EXPECT_EQ(whole.sas[i].counters.packets, i);
  }
  EXPECT_EQ(whole.policies.size(), 5U);
  EXPECT_EQ(whole.checkpoints.size(), 7U);
}

TEST(SadbMessages, NothingShorterOrLongerIsTaken) {
  const auto bytes = encode(7, Request{InstallSaRequest{full_spec()}});
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_FALSE(decode_request(ByteView(bytes).first(n))) << n;
  }
  auto longer = bytes;
  longer.push_back(0);
  EXPECT_FALSE(decode_request(longer));
}

TEST(SadbMessages, WrongVersionTypeAndValuesAreRefused) {
  const auto good = encode(7, Request{RemoveSaRequest{}});
  auto version = good;
  version[0] = kVersion + 1;
  EXPECT_EQ(decode_request(version).error().message,
            "ike and engine speak different versions (5, here 4): restart cygnetd");
  auto type = good;
  type[1] = 0x7f;
  EXPECT_FALSE(decode_request(type));
  auto direction = good;
  direction[7] = 2;  // low octet of the enumeration behind the header
  EXPECT_FALSE(decode_request(direction));
  EXPECT_FALSE(decode_from_engine(good));  // a request is no answer
}

TEST(SadbMessages, ARangeOfTwoFamiliesIsRefused) {
  auto policy = full_policy();
  policy.local[0].range.first = *IpAddress::parse("::1");
  EXPECT_FALSE(decode_request(encode(1, Request{InstallPolicyRequest{policy}})));
}

// One thing is written in one way: what a changed octet leaves readable is written back as it came.
TEST(SadbMessages, WhateverIsTakenIsWrittenBackAsItCame) {
  auto bare = full_spec();
  bare.mark.reset();
  bare.resource.reset();
  for (const auto& request : {Request{InstallSaRequest{full_spec()}}, Request{InstallSaRequest{bare}},
                              Request{InstallPolicyRequest{full_policy()}}, Request{PutCheckpointRequest{}}}) {
    auto bytes = encode(7, request);
    for (auto& octet : bytes) {
      const auto before = octet;
      for (const int other : {0, 1, 2, 0x80, 0xff}) {
        octet = static_cast<std::uint8_t>(other);
        if (const auto taken = decode_request(bytes)) {
          EXPECT_EQ(encode(taken->first, taken->second), bytes) << &octet - bytes.data() << " = " << other;
        }
      }
      octet = before;
    }
  }
}

TEST(SadbMessages, RandomOctetsDoNoHarm) {
  SeededRandom random(1);
  for (int i = 0; i < 20000; ++i) {
    auto bytes = random.bytes(6 + random.below(120));
    bytes[0] = kVersion;
    bytes[1] = static_cast<std::uint8_t>((i % 2 == 0 ? 0x10 : 0x40) + random.below(0x26));
    (void)decode_request(bytes);
    (void)decode_from_engine(bytes);
  }
}

}  // namespace
}  // namespace cygnet::sadb
