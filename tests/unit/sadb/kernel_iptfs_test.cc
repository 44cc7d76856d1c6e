// SPDX-License-Identifier: Apache-2.0
// IP-TFS (RFC 9347) in the kernel: a mode of its own, which policies and SAs must agree on.
#include "kernel_fixture.h"
#include "model/engine_limits.h"
#include "sadb/kernel/translate.h"

namespace cygnet::sadb::kernel::test {
namespace {

constexpr auto kPassed = seconds(61);

model::SaSpec tfs(Direction direction, std::uint32_t spi, bool enabled = true) {
  auto s = spec(direction, spi);
  s.iptfs = {.enabled = enabled,
             .packet_octets = 1200,
             .max_queue_octets = 0x20000,
             .init_delay_us = 2000,
             .reorder_window = 5,
             .drop_time_us = 0x0a0b0c};
  return s;
}

std::uint8_t mode_of(const xfrm::Message& policy) { return policy.attributes.templates->front().mode; }

std::vector<int> modes(const FakeKernel& kernel) {
  std::vector<int> out;
  for (const auto direction : {xfrm::kOut, xfrm::kIn, xfrm::kForward}) out.push_back(mode_of(kernel.policy(direction)));
  return out;
}

bool contains(const Bytes& all, const Bytes& part) { return !std::ranges::search(all, part).empty(); }

TEST(KernelIpTfs, EachDirectionHasItsOwnAttributes) {
  // Length, type, value: of this host's order, as all of NETLINK.
  const auto in = new_sa(tfs(Direction::kInbound, 1), 1, kMark)->serialize();
  EXPECT_TRUE(contains(in, {5, 0, 33, 0, 1, 0, 0, 0})) << "SA_DIR in";
  EXPECT_TRUE(contains(in, {8, 0, 36, 0, 0x0c, 0x0b, 0x0a, 0})) << "IPTFS_DROP_TIME";
  EXPECT_TRUE(contains(in, {6, 0, 37, 0, 5, 0, 0, 0})) << "IPTFS_REORDER_WINDOW";
  for (const auto type : Bytes{39, 40, 41}) EXPECT_FALSE(contains(in, {8, 0, type, 0})) << int{type};

  auto spec = tfs(Direction::kOutbound, 2);
  const auto out = new_sa(spec, 1, kMark)->serialize();
  EXPECT_TRUE(contains(out, {5, 0, 33, 0, 2, 0, 0, 0})) << "SA_DIR out";
  EXPECT_TRUE(contains(out, {8, 0, 39, 0, 0xd0, 0x07, 0, 0})) << "IPTFS_INIT_DELAY";
  EXPECT_TRUE(contains(out, {8, 0, 40, 0, 0, 0, 2, 0})) << "IPTFS_MAX_QSIZE";
  // What the kernel adds to this is 18 octets: trailer and check value of AES-GCM.
  EXPECT_TRUE(contains(out, {8, 0, 41, 0, 0x9e, 0x04, 0, 0})) << "IPTFS_PKT_SIZE";
  EXPECT_FALSE(contains(out, {8, 0, 36, 0}));
  EXPECT_FALSE(contains(out, {6, 0, 37, 0}));
  EXPECT_FALSE(contains(out, {4, 0, 38, 0})) << "IPTFS_DONT_FRAG";
  spec.iptfs.fragment = false;
  EXPECT_TRUE(contains(new_sa(spec, 1, kMark)->serialize(), {4, 0, 38, 0}));
}

TEST(KernelIpTfs, NoOuterPacketIsLargerThanWasAskedFor) {
  const auto size = [](std::uint32_t octets, model::EncryptionId cipher, model::IntegrityId integrity) {
    auto s = tfs(Direction::kOutbound, 2);
    s.iptfs.packet_octets = octets;
    s.encryption = cipher;
    s.integrity = integrity;
    s.encryption_key.assign(cipher == model::EncryptionId::kAesCbc ? 16 : 20, 7);
    s.integrity_key.assign(model::key_octets(integrity), 7);
    return new_sa(s, 1, kMark)->attributes.iptfs_packet_size.value();
  };
  using enum model::EncryptionId;
  EXPECT_EQ(size(0, kAesGcm16, {}), 0U) << "what the path takes";
  EXPECT_EQ(size(1200, kAesGcm16, {}), 1182U);
  EXPECT_EQ(size(1203, kAesGcm16, {}), 1182U);
  EXPECT_EQ(size(1200, kAesCbc, model::IntegrityId::kHmacSha2_256_128), 1200U - 16 - 2 - 12);
  // The least there is has room for the headers of IPv6 and UDP.
  EXPECT_GT(size(128, kAesCbc, model::IntegrityId::kHmacSha2_512_256), 40U + 8 + 8 + 16 + 4);
}

TEST(KernelIpTfs, NothingOfTheOtherDirectionIsSaid) {
  auto in = tfs(Direction::kInbound, 1);
  in.df = model::DfPolicy::kClear;
  auto message = new_sa(in, 1, kMark);
  const auto& info = std::get<xfrm::SaInfo>(message->body);
  EXPECT_EQ(info.mode, 5);
  EXPECT_EQ(info.flags & xfrm::kSaNoPmtuDisc, 0) << "Linux: 'Flag NOPMTUDISC should not be set for input SA'";
  EXPECT_EQ(message->attributes.replay_esn->window, 1024U);
  message = new_sa(tfs(Direction::kOutbound, 2), 1, kMark);
  EXPECT_EQ(message->attributes.replay_esn, xfrm::ReplayStateEsn{});
  // Others say no direction, as ever: kernels before 6.10 know none.
  EXPECT_FALSE(new_sa(tfs(Direction::kInbound, 1, false), 1, kMark)->attributes.direction);
  EXPECT_FALSE(new_sa(tfs(Direction::kOutbound, 2, false), 1, kMark)->attributes.direction);
}

TEST(KernelIpTfs, WhatItHasNotIsRefusedByName) {
  auto s = tfs(Direction::kOutbound, 1);
  s.iptfs.bits_per_s = 1'000'000;
  EXPECT_NE(new_sa(s, 1, 0).error().message.find("iptfs-rate="), std::string::npos);
  s = tfs(Direction::kOutbound, 1);
  s.iptfs.reports = true;
  EXPECT_NE(new_sa(s, 1, 0).error().message.find("reports nothing"), std::string::npos);
  model::Child child;
  child.iptfs.enabled = true;
  EXPECT_EQ(model::why_not_kernel(child), "");
  child.iptfs.bits_per_s = 1'000'000;
  EXPECT_EQ(model::why_not_kernel(child), "iptfs-rate= (its IP-TFS sends as there is traffic)");
  model::Connection connection;
  connection.children = {child};
  EXPECT_NE(model::why_not_pfkey(connection).find("iptfs="), std::string::npos);
}

TEST_F(KernelEngineTest, AKernelThatPassesOverIpTfsIsFoundOut) {
  kernel.iptfs = false;
  const std::string none = "it has no IP-TFS (Linux 6.14 with CONFIG_XFRM_IPTFS, module xfrm_iptfs)";
  EXPECT_EQ(engine.install_sa(tfs(Direction::kOutbound, 0x2002), kAt).error().message,
            "the kernel refused the outbound SA 00002002: " + none);
  EXPECT_TRUE(kernel.sas.empty()) << "and none of it is left";
  kernel.refuse_sas = KernelError{EINVAL, "Unsupported mode"};
  EXPECT_EQ(engine.install_sa(tfs(Direction::kInbound, 0x1001), kAt).error().message,
            "the kernel refused the inbound SA 00001001: " + none);
}

// iptfs=yes: what the peer takes is known with the SAs, and each direction's policies follow its newest one.
TEST_F(KernelEngineTest, PoliciesHaveTheModeThatWasAgreedOn) {
  ASSERT_TRUE(engine.install_policy(policy(1)));
  EXPECT_EQ(modes(kernel), (std::vector<int>{xfrm::kTunnel, xfrm::kTunnel, xfrm::kTunnel}));
  ASSERT_TRUE(engine.install_sa(tfs(Direction::kInbound, 0x1001), kAt));
  EXPECT_EQ(modes(kernel), (std::vector<int>{xfrm::kTunnel, xfrm::kIptfs, xfrm::kIptfs}));
  ASSERT_TRUE(engine.install_sa(tfs(Direction::kOutbound, 0x2002), kAt));
  EXPECT_EQ(modes(kernel), (std::vector<int>{xfrm::kIptfs, xfrm::kIptfs, xfrm::kIptfs}));

  // Rekeyed with a peer that does it no more: on standby the old one goes on sending.
  auto plain = tfs(Direction::kOutbound, 0x2003, false);
  plain.child = model::ChildId(2);
  plain.standby = true;
  ASSERT_TRUE(engine.install_sa(plain, kAt));
  EXPECT_EQ(mode_of(kernel.policy(xfrm::kOut)), xfrm::kIptfs);
  ASSERT_TRUE(engine.activate(plain.child, kAt));
  EXPECT_EQ(modes(kernel), (std::vector<int>{xfrm::kTunnel, xfrm::kIptfs, xfrm::kIptfs}));

  // One that is put back has it, too.
  kernel.policies.clear();
  engine.on_messages_lost();
  (void)engine.put_back();
  EXPECT_EQ(modes(kernel).back(), xfrm::kIptfs);
}

TEST_F(KernelEngineTest, WhatAKilledDaemonLeftGoesOnInItsMode) {
  ASSERT_TRUE(engine.install_sa(tfs(Direction::kInbound, 0x1001), kAt));
  ASSERT_TRUE(engine.install_sa(tfs(Direction::kOutbound, 0x2002), kAt));
  ASSERT_TRUE(engine.install_policy(policy(1)));
  const auto left = kernel.policies;
  KernelEngine next(kernel, kMark);
  ASSERT_TRUE(next.begin(kAt));
  ASSERT_TRUE(next.install_policy(policy(1)));
  for (const auto& [name, before] : left) {
    const auto& now = kernel.policies.at(name);
    EXPECT_EQ(mode_of(now), xfrm::kIptfs);
    EXPECT_EQ(now.attributes.templates, before.attributes.templates);
  }
  // And the numbers of those that nobody took over are free of it.
  (void)next.remove_policy(model::PolicyId(1));
  next.on_timer({kAt.now + kPassed, kAt.wall_s});
  ASSERT_TRUE(next.install_policy(policy(1)));
  EXPECT_EQ(mode_of(kernel.policy(xfrm::kOut)), xfrm::kTunnel);
}

}  // namespace
}  // namespace cygnet::sadb::kernel::test
