// SPDX-License-Identifier: Apache-2.0
// SAs, selectors and policies as messages to the kernel.
#include "kernel_fixture.h"
#include "model/engine_limits.h"

namespace cygnet::sadb::kernel::test {
namespace {

// ---- SAs as messages
TEST(KernelTranslate, AnInboundSaBehindNat) {
  auto s = spec(Direction::kInbound, 0x1001);
  s.udp_encapsulation = true;
  s.esn = true;
  s.replay_window = 128;
  s.lifetime = {.soft_bytes = 10, .hard_bytes = 20, .hard_packets = 40, .soft_age_s = 50, .hard_age_s = 60};
  const auto message = new_sa(s, 0x43500007, kMark);
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_EQ(message->header, (xfrm::Header{xfrm::MessageType::kNewSa, xfrm::kRequest | xfrm::kAck, 0, 0}));
  const auto& info = std::get<xfrm::SaInfo>(message->body);
  EXPECT_EQ(info.id, (xfrm::SaAddress{xfrm::Address::of(kUs), Spi(0x1001), 50}));
  EXPECT_EQ(info.source, xfrm::Address::of(kPeer));
  EXPECT_EQ(info.mode, xfrm::kTunnel);
  EXPECT_EQ(info.reqid, 0x43500007U);
  EXPECT_EQ(info.flags, xfrm::kSaEsn);
  EXPECT_EQ(info.limits, (xfrm::LifetimeLimits{10, 20, xfrm::kInfinite, 40, 50, 60, 0, 0}));
  // One pair of prefixes: the SA itself says what may come out of it.
  EXPECT_EQ(info.selector.source.as(xfrm::kFamilyV4), *IpAddress::parse("10.2.0.0"));
  EXPECT_EQ(info.selector.source_length, 16);
  const auto& a = message->attributes;
  EXPECT_EQ(a.aead, (xfrm::Algorithm{"rfc4106(gcm(aes))", SecretBytes(20, 7), 128}));
  EXPECT_EQ(a.encapsulation, (xfrm::Encapsulation{xfrm::kEspInUdp, 61000, 4500, {}}));
  EXPECT_EQ(a.replay_esn, (xfrm::ReplayStateEsn{0, 0, 128, std::vector<std::uint32_t>(4)}));
  EXPECT_FALSE(a.set_mark);
}

TEST(KernelTranslate, AnOutboundSaMarksItsPackets) {
  auto s = spec(Direction::kOutbound, 0x2002);
  s.local_selectors = selectors({"10.1.0.0/16", "2001:db8:1::/48"});
  s.remote_selectors = selectors({"10.2.0.0/16", "2001:db8:2::/48"});
  s.encryption = model::EncryptionId::kAesCbc;
  s.encryption_key.assign(32, 1);
  s.integrity = model::IntegrityId::kHmacSha2_256_128;
  s.integrity_key.assign(32, 2);
  s.tfc_octets = 1000;
  s.copy_dscp = false;
  const auto message = new_sa(s, 1, kMark);
  ASSERT_TRUE(message);
  const auto& info = std::get<xfrm::SaInfo>(message->body);
  EXPECT_EQ(info.id.destination, xfrm::Address::of(kPeer));
  EXPECT_EQ(info.flags, xfrm::kSaAnyFamily);
  EXPECT_EQ(info.selector, xfrm::Selector{});
  const auto& a = message->attributes;
  EXPECT_EQ(a.crypt, (xfrm::Algorithm{"cbc(aes)", SecretBytes(32, 1), 0}));
  EXPECT_EQ(a.auth_truncated, (xfrm::Algorithm{"hmac(sha256)", SecretBytes(32, 2), 128}));
  EXPECT_EQ(a.set_mark, kMark);
  EXPECT_EQ(a.set_mark_mask, ~0U);
  EXPECT_EQ(a.tfc_pad, 1000U);
  EXPECT_EQ(a.extra_flags, xfrm::kExtraDontEncapDscp);
  EXPECT_FALSE(a.encapsulation);
}

TEST(KernelTranslate, WhatTheKernelCannotIsRefusedWithWords) {
  auto s = spec(Direction::kInbound, 1);
  s.encryption = model::EncryptionId::kAesGcm16ImplicitIv;
  EXPECT_NE(new_sa(s, 1, 0).error().message.find("engine=user"), std::string::npos);
  model::Child child;
  EXPECT_EQ(why_not_kernel(child), "");
  child.remote = selectors({"fd02::/64[135]"});
  EXPECT_EQ(why_not_kernel(child), "");
  child.remote = selectors({"fd02::/64[135/5]"});
  EXPECT_NE(why_not_kernel(child).find("Mobile IPv6"), std::string::npos);
  child = {.traffic = model::Traffic::kLatency};
  EXPECT_EQ(why_not_kernel(child), "traffic=latency");
  child.traffic = model::Traffic::kThroughput;
  EXPECT_EQ(why_not_kernel(child), "traffic=throughput");
}

std::vector<std::string> described(const Result<std::vector<xfrm::Selector>>& list) {
  std::vector<std::string> out;
  for (const auto& s : list ? *list : std::vector<xfrm::Selector>{}) {
    out.push_back(s.source.as(s.family).to_string() + "/" + std::to_string(s.source_length) + " " +
                  s.destination.as(s.family).to_string() + "/" + std::to_string(s.destination_length) + " " +
                  std::to_string(s.protocol) + " " + std::to_string(s.source_port) + "&" +
                  to_hex(Bytes{static_cast<std::uint8_t>(s.source_port_mask >> 8U),
                               static_cast<std::uint8_t>(s.source_port_mask)}) +
                  " " + std::to_string(s.destination_port) + "&" +
                  to_hex(Bytes{static_cast<std::uint8_t>(s.destination_port_mask >> 8U),
                               static_cast<std::uint8_t>(s.destination_port_mask)}));
  }
  return out;
}

TEST(KernelTranslate, SelectorsBecomePrefixesAndBlocksOfPorts) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(described(kernel_selectors(selectors({"10.0.0.1-10.0.0.2"}), selectors({"10.2.0.0/16[tcp/1000-1003]"}))),
            (Lines{"10.0.0.1/32 10.2.0.0/16 6 0&0000 1000&fffc", "10.0.0.2/32 10.2.0.0/16 6 0&0000 1000&fffc"}));
  EXPECT_EQ(described(kernel_selectors(selectors({"10.0.0.0/8[udp]"}), selectors({"10.2.0.0/16[udp/7-8]"}))),
            (Lines{"10.0.0.0/8 10.2.0.0/16 17 0&0000 7&ffff", "10.0.0.0/8 10.2.0.0/16 17 0&0000 8&ffff"}));
  // Families do not mix, and neither do protocols.
  EXPECT_EQ(described(kernel_selectors(selectors({"10.0.0.0/8"}), selectors({"::/0"}))), Lines{});
  EXPECT_EQ(described(kernel_selectors(selectors({"10.0.0.0/8[tcp]"}), selectors({"10.2.0.0/16[udp]"}))), Lines{});
  // Echo requests, of one code.
  EXPECT_EQ(described(kernel_selectors(selectors({"10.0.0.0/8[icmp/8.0]"}), selectors({"10.2.0.0/16[icmp/8.0]"}))),
            (Lines{"10.0.0.0/8 10.2.0.0/16 1 8&ffff 0&ffff"}));
  // Mobile IPv6: all of it, for newer kernels read no type of what they forward and what comes in.
  EXPECT_EQ(described(kernel_selectors(selectors({"2001:db8:1::/48[135]"}), selectors({"2001:db8:2::/48[135]"}))),
            (Lines{"2001:db8:1::/48 2001:db8:2::/48 135 0&0000 0&0000"}));
  EXPECT_FALSE(kernel_selectors(selectors({"2001:db8:1::/48[135/5]"}), selectors({"2001:db8:2::/48[135/5]"})));
  EXPECT_FALSE(kernel_selectors(selectors({"0.0.0.1-255.255.255.254[tcp/1-65534]"}), selectors({"0.0.0.0/0[tcp]"})));
  auto opaque = selectors({"10.0.0.0/8[tcp]"});
  opaque[0].port_first = 65535;
  opaque[0].port_last = 0;
  EXPECT_FALSE(kernel_selectors(opaque, selectors({"10.2.0.0/16"})));
}

TEST(KernelTranslate, AllTunnelsAreLedIntoAnInterfaceOfOurOwn) {
  auto p = policy(1);
  p.remote = selectors({"10.2.0.0/16[tcp/80]"});
  p.interface_in = p.interface_out = 7;
  EXPECT_FALSE(leads_through_device(p));
  EXPECT_TRUE(leads_through_device(p, true));
  p.mode = model::Mode::kTransport;
  EXPECT_FALSE(leads_through_device(p, true));
}

TEST(KernelTranslate, OnlyWholeTunnelsAreLedThroughTheDevice) {
  auto p = policy(1);
  EXPECT_TRUE(leads_through_device(p));
  p.mode = model::Mode::kTransport;
  EXPECT_FALSE(leads_through_device(p));
  p = policy(1);
  p.remote = selectors({"10.2.0.0/16[tcp/80]"});
  EXPECT_FALSE(leads_through_device(p));
}

TEST(KernelTranslate, MarksAndInterfaces) {
  model::Child child;
  EXPECT_EQ(needs_kernel(child), "");
  child.mark_in = {7, 0xff};
  child.mark_out = {9, ~0U};
  child.interface_id_in = 5;
  child.interface_id_out = 6;
  EXPECT_EQ(needs_kernel(child), "mark=");
  auto out = spec(Direction::kOutbound, 0x2002);
  apply_terms(child, out);
  auto message = new_sa(out, 1, kMark);
  EXPECT_EQ(message->attributes.mark, (xfrm::Mark{9, ~0U}));
  EXPECT_EQ(message->attributes.interface_id, 6U);
  // The kernel finds it by the mark, too.
  EXPECT_EQ(name_sa(xfrm::MessageType::kDelSa, out).attributes.mark, (xfrm::Mark{9, ~0U}));
  EXPECT_FALSE(name_sa(xfrm::MessageType::kDelSa, out).attributes.interface_id);
  // Packets come in with whatever mark.
  auto in = spec(Direction::kInbound, 0x1001);
  apply_terms(child, in);
  message = new_sa(in, 1, kMark);
  EXPECT_FALSE(message->attributes.mark);
  EXPECT_EQ(message->attributes.interface_id, 5U);
  auto p = policy(1);
  apply_terms(child, p);
  EXPECT_FALSE(leads_through_device(p));
  const auto selector = kernel_selectors(p.local, p.remote)->front();
  EXPECT_EQ(set_policy(p, selector, xfrm::kOut, 1).attributes.mark, (xfrm::Mark{9, ~0U}));
  EXPECT_EQ(set_policy(p, selector, xfrm::kOut, 1).attributes.interface_id, 6U);
  EXPECT_EQ(set_policy(p, selector, xfrm::kForward, 1).attributes.mark, (xfrm::Mark{7, 0xff}));
  EXPECT_EQ(set_policy(p, selector, xfrm::kIn, 1).attributes.interface_id, 5U);
}

}  // namespace
}  // namespace cygnet::sadb::kernel::test
