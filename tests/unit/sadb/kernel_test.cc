// SPDX-License-Identifier: Apache-2.0
// The kernel as an engine, against a kernel that only remembers what it was given.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "sadb/kernel/engine.h"

namespace cygnet::sadb::kernel {
namespace {

namespace xfrm = wire::xfrm;
using model::Direction;
using std::chrono::seconds;

class FakeKernel final : public KernelPort {
 public:
  using Answer = std::expected<std::vector<xfrm::Message>, KernelError>;
  using SaName = std::tuple<IpAddress, Spi>;

  Answer ask(const xfrm::Message& message) override {
    if (silent && (message.header.flags & xfrm::kDump) != 0) return refusal(EIO);
    // It goes over the wire: what cannot be said there must not be said.
    const auto read = xfrm::Message::parse(message.serialize());
    EXPECT_TRUE(read) << (read ? "" : read.error().message);
    if (!read) return std::unexpected(KernelError{EINVAL, ""});
    EXPECT_EQ(*read, message);
    log.push_back(name_of(message.header.type));
    switch (message.header.type) {
      case xfrm::MessageType::kNewSa: return new_sa(message);
      case xfrm::MessageType::kUpdSa: sas[name_of_sa(message)] = message; return {};
      case xfrm::MessageType::kDelSa: return erase(message);
      case xfrm::MessageType::kGetSa: return get(message);
      case xfrm::MessageType::kUpdPolicy: {
        const auto& info = std::get<xfrm::PolicyInfo>(message.body);
        policies[{info.direction, key_of(info.selector)}] = message;
        return {};
      }
      case xfrm::MessageType::kDelPolicy: {
        const auto& id = std::get<xfrm::PolicyId>(message.body);
        if (policies.erase({id.direction, key_of(id.selector)}) == 0) return refusal(ENOENT);
        return {};
      }
      case xfrm::MessageType::kGetPolicy: {
        Answer all{std::in_place};
        for (const auto& [key, policy] : policies) all->push_back(policy);
        return all;
      }
      default: return refusal(EINVAL);
    }
  }

  [[nodiscard]] xfrm::SaInfo& info(const IpAddress& destination, Spi spi) {
    return std::get<xfrm::SaInfo>(sas.at({destination, spi}).body);
  }
  [[nodiscard]] const xfrm::Message& policy(std::uint8_t direction) const {
    for (const auto& [key, message] : policies) {
      if (key.first == direction) return message;
    }
    throw std::out_of_range("no policy of that direction");
  }

  std::map<SaName, xfrm::Message> sas;
  std::map<std::pair<std::uint8_t, std::string>, xfrm::Message> policies;
  std::vector<std::string> log;
  std::optional<KernelError> refuse_sas;
  std::optional<IpAddress> refuse_destination, refuse_source;  // of new SAs
  bool silent = false;                                         // answers no dump

 private:
  static std::unexpected<KernelError> refusal(int number) { return std::unexpected(KernelError{number, ""}); }
  static std::string key_of(const xfrm::Selector& s) {
    const auto [from, to] = traffic_of(s);
    return from.to_string() + "/" + std::to_string(s.source_length) + to.to_string() + "/" +
           std::to_string(s.destination_length) + ":" + std::to_string(s.destination_port_mask);
  }
  static SaName name_of_sa(const xfrm::Message& message) {
    const auto& info = std::get<xfrm::SaInfo>(message.body);
    return {info.id.destination.as(info.family), info.id.spi};
  }
  Answer new_sa(const xfrm::Message& message) {
    if (refuse_sas) return std::unexpected(*refuse_sas);
    const auto& info = std::get<xfrm::SaInfo>(message.body);
    if (refuse_destination && info.id.destination == xfrm::Address::of(*refuse_destination)) return refusal(ENOMEM);
    if (refuse_source && info.source == xfrm::Address::of(*refuse_source)) return refusal(ENOMEM);
    if (!sas.try_emplace(name_of_sa(message), message).second) return refusal(EEXIST);
    return {};
  }
  Answer erase(const xfrm::Message& message) {
    const auto& id = std::get<xfrm::SaId>(message.body);
    return sas.erase({id.destination.as(id.family), id.spi}) == 0 ? Answer{refusal(ESRCH)} : Answer{};
  }
  Answer get(const xfrm::Message& message) {
    Answer all{std::in_place};
    if (const auto* id = std::get_if<xfrm::SaId>(&message.body)) {
      const auto it = sas.find({id->destination.as(id->family), id->spi});
      if (it == sas.end()) return refusal(ESRCH);
      all->push_back(it->second);
      return all;
    }
    for (const auto& [name, sa] : sas) all->push_back(sa);
    return all;
  }
};

const IpAddress kUs = IpAddress::v4(0xc0000201);
const IpAddress kPeer = IpAddress::v4(0xc0000209);
const IpAddress kElsewhere = IpAddress::v4(0xc6336401);
constexpr std::uint32_t kMark = 0x43590000;
constexpr Moment kAt{Instant(seconds(1000)), 1'700'000'000};

model::TrafficSelectors selectors(std::initializer_list<std::string_view> list) {
  model::TrafficSelectors out;
  for (const auto text : list) out.push_back(*model::TrafficSelector::parse(text));
  return out;
}

model::SaSpec spec(Direction direction, std::uint32_t spi, std::uint64_t child = 1) {
  model::SaSpec s{.direction = direction, .spi = Spi(spi), .child = model::ChildId(child)};
  s.connection = "office";
  s.child_name = "office";
  s.local = {kUs, 4500};
  s.remote = {kPeer, 61000};
  s.encryption = model::EncryptionId::kAesGcm16;
  s.encryption_bits = 128;
  s.encryption_key.assign(20, 7);
  s.local_selectors = selectors({"10.1.0.0/16"});
  s.remote_selectors = selectors({"10.2.0.0/16"});
  return s;
}

model::PolicySpec policy(std::uint32_t id) {
  return {.id = model::PolicyId(id),
          .order = 1100,
          .local = selectors({"10.1.0.0/16"}),
          .remote = selectors({"10.2.0.0/16"}),
          .connection = "office",
          .child_name = "office",
          .outer_local = kUs,
          .outer_remote = kPeer};
}

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
  s.ipcomp_cpi = 5;
  EXPECT_NE(new_sa(s, 1, 0).error().message.find("IPComp"), std::string::npos);
  s = spec(Direction::kInbound, 1);
  s.iptfs.enabled = true;
  EXPECT_NE(new_sa(s, 1, 0).error().message.find("IP-TFS"), std::string::npos);
  s = spec(Direction::kInbound, 1);
  s.encryption = model::EncryptionId::kAesGcm16ImplicitIv;
  EXPECT_NE(new_sa(s, 1, 0).error().message.find("engine=user"), std::string::npos);
  model::Child child;
  EXPECT_EQ(why_not(child), "");
  child.compress = true;
  EXPECT_EQ(why_not(child), "compress=yes");
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
  EXPECT_FALSE(kernel_selectors(selectors({"0.0.0.1-255.255.255.254[tcp/1-65534]"}), selectors({"0.0.0.0/0[tcp]"})));
  auto opaque = selectors({"10.0.0.0/8[tcp]"});
  opaque[0].port_first = 65535;
  opaque[0].port_last = 0;
  EXPECT_FALSE(kernel_selectors(opaque, selectors({"10.2.0.0/16"})));
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

// ---- the engine
class KernelEngineTest : public testing::Test {
 protected:
  KernelEngineTest() {
    EXPECT_TRUE(engine.begin(kAt));
    EXPECT_EQ(kernel.policies.size(), 15U);  // neighbour discovery
    kernel.policies.clear();
    kernel.log.clear();
  }
  void install_pair() {
    ASSERT_TRUE(engine.install_sa(spec(Direction::kInbound, 0x1001), kAt));
    ASSERT_TRUE(engine.install_sa(spec(Direction::kOutbound, 0x2002), kAt));
    ASSERT_TRUE(engine.install_policy(policy(1)));
  }
  FakeKernel kernel;
  KernelEngine engine{kernel, kMark};
};

TEST_F(KernelEngineTest, OneReqidTiesSasToTheirPolicies) {
  install_pair();
  const auto reqid = kernel.info(kUs, Spi(0x1001)).reqid;
  EXPECT_EQ(reqid & ~kReqidMask, kReqidBase);
  EXPECT_EQ(kernel.info(kPeer, Spi(0x2002)).reqid, reqid);
  ASSERT_EQ(kernel.policies.size(), 3U);
  const auto& out = kernel.policy(xfrm::kOut);
  EXPECT_EQ(std::get<xfrm::PolicyInfo>(out.body).priority, 1100U);
  EXPECT_EQ(std::get<xfrm::PolicyInfo>(out.body).index & ~kReqidMask, kIndexBase);
  EXPECT_EQ(std::get<xfrm::PolicyInfo>(out.body).index & 7U, xfrm::kOut);
  const auto& entry = out.attributes.templates->front();
  EXPECT_EQ(entry.reqid, reqid);
  EXPECT_EQ(entry.id.destination, xfrm::Address::of(kPeer));
  EXPECT_EQ(entry.source, xfrm::Address::of(kUs));
  const auto& in = kernel.policy(xfrm::kIn);
  EXPECT_EQ(in.attributes.templates->front().reqid, reqid);
  EXPECT_EQ(in.attributes.templates->front().id.destination, xfrm::Address{});
  EXPECT_EQ(std::get<xfrm::PolicyInfo>(in.body).selector.source.as(xfrm::kFamilyV4), *IpAddress::parse("10.2.0.0"));
  // A rekeyed pair has the same one; another child has another.
  ASSERT_TRUE(engine.install_sa(spec(Direction::kInbound, 0x1003, 2), kAt));
  EXPECT_EQ(kernel.info(kUs, Spi(0x1003)).reqid, reqid);
  auto other = spec(Direction::kInbound, 0x1004, 3);
  other.remote_selectors = selectors({"10.3.0.0/16"});
  ASSERT_TRUE(engine.install_sa(other, kAt));
  EXPECT_NE(kernel.info(kUs, Spi(0x1004)).reqid, reqid);
}

TEST_F(KernelEngineTest, RemovedIsRemoved) {
  install_pair();
  EXPECT_TRUE(engine.remove_sa(Direction::kOutbound, Spi(0x2002), model::ChildId(1)));
  EXPECT_TRUE(engine.remove_sa(Direction::kInbound, Spi(0x1001), model::ChildId(1)));
  EXPECT_TRUE(engine.remove_policy(model::PolicyId(1)));
  EXPECT_TRUE(kernel.sas.empty());
  EXPECT_TRUE(kernel.policies.empty());
  EXPECT_FALSE(engine.remove_sa(Direction::kInbound, Spi(0x1001), model::ChildId(1)));
  EXPECT_FALSE(engine.remove_policy(model::PolicyId(1)));
}

TEST_F(KernelEngineTest, TheSameSaAgainTakesThePlaceOfTheFirst) {
  install_pair();
  auto again = spec(Direction::kInbound, 0x1001, 9);
  again.encryption_key.assign(20, 8);
  EXPECT_TRUE(engine.install_sa(again, kAt));
  EXPECT_EQ(kernel.sas.size(), 2U);
  EXPECT_EQ(kernel.sas.at({kUs, Spi(0x1001)}).attributes.aead->key, SecretBytes(20, 8));
}

TEST_F(KernelEngineTest, AStandbySaComesWhenThePeerHasUsedTheNewOne) {
  install_pair();
  auto standby = spec(Direction::kOutbound, 0x2004, 2);
  standby.standby = true;
  ASSERT_TRUE(engine.install_sa(spec(Direction::kInbound, 0x1003, 2), kAt));
  ASSERT_TRUE(engine.install_sa(standby, kAt));
  EXPECT_TRUE(engine.has_standby());
  engine.on_timer(kAt);
  EXPECT_FALSE(kernel.sas.contains({kPeer, Spi(0x2004)}));
  kernel.info(kUs, Spi(0x1003)).current.packets = 1;
  engine.on_timer(kAt);
  EXPECT_TRUE(kernel.sas.contains({kPeer, Spi(0x2004)}));
  EXPECT_FALSE(engine.has_standby());
  ASSERT_EQ(engine.events().size(), 1U);
  EXPECT_EQ(std::get<ChildActivated>(engine.events().front()).child, model::ChildId(2));
}

TEST_F(KernelEngineTest, APeerThatMovesKeepsItsSequenceNumbers) {
  install_pair();
  auto& state = kernel.sas.at({kPeer, Spi(0x2002)});
  state.attributes.replay_esn->sent = 77;
  ASSERT_TRUE(engine.update_endpoints(model::ChildId(1), {kUs, 4500}, {kElsewhere, 4501}, true, 20));
  EXPECT_FALSE(kernel.sas.contains({kPeer, Spi(0x2002)}));
  const auto& moved = kernel.sas.at({kElsewhere, Spi(0x2002)});
  EXPECT_EQ(moved.attributes.replay_esn->sent, 77U + 65536U);
  EXPECT_EQ(moved.attributes.encapsulation, (xfrm::Encapsulation{xfrm::kEspInUdp, 4500, 4501, {}}));
  EXPECT_EQ(kernel.info(kUs, Spi(0x1001)).source, xfrm::Address::of(kElsewhere));
  EXPECT_EQ(kernel.policy(xfrm::kOut).attributes.templates->front().id.destination, xfrm::Address::of(kElsewhere));
  EXPECT_EQ(engine.keepalives(), (std::set<KernelEngine::Keepalive>{{{kUs, 4500}, {kElsewhere, 4501}, 20}}));
  // Another port alone: the SA stays and is told.
  kernel.log.clear();
  ASSERT_TRUE(engine.update_endpoints(model::ChildId(1), {kUs, 4500}, {kElsewhere, 4502}, true, 20));
  EXPECT_EQ(std::ranges::count(kernel.log, "NEWSA"), 0);
  EXPECT_EQ(std::ranges::count(kernel.log, "UPDSA"), 2);
  // One that is at its end does not move.
  kernel.sas.at({kElsewhere, Spi(0x2002)}).attributes.replay_esn->sent = 0xffff'0000;
  EXPECT_FALSE(engine.update_endpoints(model::ChildId(1), {kUs, 4500}, {kPeer, 4501}, true, 20));
}

TEST_F(KernelEngineTest, OfTwoPoliciesWithOneSelectorTheFirstIsInForce) {
  install_pair();
  auto first = policy(2);
  first.connection = "branch";
  first.order = 1000;
  first.outer_remote = kElsewhere;
  ASSERT_TRUE(engine.install_policy(first));
  EXPECT_EQ(kernel.policies.size(), 3U);
  EXPECT_EQ(kernel.policy(xfrm::kOut).attributes.templates->front().id.destination, xfrm::Address::of(kElsewhere));
  ASSERT_TRUE(engine.remove_policy(model::PolicyId(2)));
  EXPECT_EQ(kernel.policy(xfrm::kOut).attributes.templates->front().id.destination, xfrm::Address::of(kPeer));
}

TEST_F(KernelEngineTest, APolicyThatChangesLeavesNothingBehind) {
  install_pair();
  auto changed = policy(1);
  changed.remote = selectors({"10.3.0.0/16", "10.4.0.0/16"});
  ASSERT_TRUE(engine.install_policy(changed));
  EXPECT_EQ(kernel.policies.size(), 6U);
  ASSERT_TRUE(engine.remove_policy(model::PolicyId(1)));
  EXPECT_TRUE(kernel.policies.empty());
}

TEST_F(KernelEngineTest, WhatNobodyCanProtectIsBlocked) {
  auto unknown = policy(3);
  unknown.outer_remote = {};
  ASSERT_TRUE(engine.install_policy(unknown));
  EXPECT_EQ(std::get<xfrm::PolicyInfo>(kernel.policy(xfrm::kOut).body).action, xfrm::kBlock);
  EXPECT_FALSE(kernel.policy(xfrm::kOut).attributes.templates);
  // And nothing comes in in the clear.
  EXPECT_EQ(kernel.policy(xfrm::kIn).attributes.templates->size(), 1U);
  // On demand ike is asked: it may know the peer by another name.
  unknown.acquire = true;
  ASSERT_TRUE(engine.install_policy(unknown));
  const auto& out = kernel.policy(xfrm::kOut);
  EXPECT_EQ(std::get<xfrm::PolicyInfo>(out.body).action, xfrm::kAllow);
  EXPECT_EQ(out.attributes.templates->front().id.destination, xfrm::Address{});
  unknown.outer_remote = kPeer;
  ASSERT_TRUE(engine.install_policy(unknown));
  EXPECT_EQ(kernel.policy(xfrm::kOut).attributes.templates->front().id.destination, xfrm::Address::of(kPeer));
}

TEST_F(KernelEngineTest, AcquireNamesThePolicyAndThePacket) {
  auto waiting = policy(4);
  waiting.acquire = true;
  ASSERT_TRUE(engine.install_policy(waiting));
  xfrm::Acquire acquire;
  acquire.policy = std::get<xfrm::PolicyInfo>(kernel.policy(xfrm::kOut).body);
  acquire.selector.family = xfrm::kFamilyV4;
  acquire.selector.source = xfrm::Address::of(*IpAddress::parse("10.1.0.5"));
  acquire.selector.destination = xfrm::Address::of(*IpAddress::parse("10.2.0.7"));
  acquire.selector.protocol = 6;
  acquire.selector.source_port = 5000;
  acquire.selector.destination_port = 80;
  acquire.selector.source_port_mask = acquire.selector.destination_port_mask = 0xffff;
  xfrm::Message message;
  message.body = acquire;
  engine.on_message(message);
  ASSERT_EQ(engine.events().size(), 1U);
  const auto& event = std::get<Acquire>(engine.events().front());
  EXPECT_EQ(event.policy, model::PolicyId(4));
  EXPECT_EQ(event.local.to_string(), "10.1.0.5/32[tcp/5000]");
  EXPECT_EQ(event.remote.to_string(), "10.2.0.7/32[tcp/80]");
  EXPECT_EQ(engine.statistics(kAt).acquires, 1U);
}

TEST_F(KernelEngineTest, ExpiryAndMappingAreTold) {
  install_pair();
  xfrm::Message message;
  message.body = xfrm::SaExpire{kernel.info(kUs, Spi(0x1001)), false};
  engine.on_message(message);
  message.body = xfrm::SaExpire{kernel.info(kPeer, Spi(0x2002)), true};
  engine.on_message(message);
  xfrm::Mapping mapping;
  mapping.id = {xfrm::Address::of(kUs), Spi(0x1001), xfrm::kFamilyV4, 50};
  mapping.new_source = xfrm::Address::of(kElsewhere);
  mapping.new_port = 1234;
  message.body = mapping;
  engine.on_message(message);
  ASSERT_EQ(engine.events().size(), 3U);
  const auto& soft = std::get<SaExpiring>(engine.events()[0]);
  EXPECT_EQ(soft.direction, Direction::kInbound);
  EXPECT_FALSE(soft.hard);
  const auto& hard = std::get<SaExpiring>(engine.events()[1]);
  EXPECT_EQ(hard.spi, Spi(0x2002));
  EXPECT_TRUE(hard.hard);
  EXPECT_FALSE(engine.remove_sa(Direction::kOutbound, Spi(0x2002), model::ChildId(1)));  // it is gone already
  const auto& moved = std::get<PeerMoved>(engine.events()[2]);
  EXPECT_EQ(moved.remote, (Endpoint{kElsewhere, 1234}));
  EXPECT_EQ(moved.local, (Endpoint{kUs, 4500}));
}

TEST_F(KernelEngineTest, WhatIsGoneWhenNoticesWereLostHasExpired) {
  install_pair();
  kernel.sas.erase({kPeer, Spi(0x2002)});
  engine.on_messages_lost();
  // As long as the kernel does not say which are there, none is believed to be gone.
  kernel.silent = true;
  EXPECT_EQ(engine.put_back().sas, 0U);
  EXPECT_TRUE(engine.events().empty());
  EXPECT_EQ(engine.dump(false, kAt).sas.size(), 2U);
  kernel.silent = false;
  engine.on_timer(kAt);
  ASSERT_EQ(engine.events().size(), 1U);
  EXPECT_EQ(std::get<SaExpiring>(engine.events().front()).spi, Spi(0x2002));
}

TEST_F(KernelEngineTest, WhatIsThereIsNotKnownWithoutAnAnswer) {
  install_pair();
  kernel.silent = true;
  KernelEngine next(kernel, kMark);
  const auto begun = next.begin(kAt);
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().message, "the kernel does not say which SAs it has");
}

// An SA of another protocol with the same SPI is another SA.
TEST_F(KernelEngineTest, ProtocolsHaveSpisOfTheirOwn) {
  install_pair();
  auto ah = kernel.sas.at({kUs, Spi(0x1001)});
  std::get<xfrm::SaInfo>(ah.body).id.protocol = xfrm::kProtocolAh;
  kernel.sas.at({kUs, Spi(0x1001)}) = ah;
  engine.on_messages_lost();
  EXPECT_EQ(engine.put_back().sas, 1U);
  ASSERT_EQ(engine.events().size(), 1U);
  EXPECT_EQ(std::get<SaExpiring>(engine.events().front()).spi, Spi(0x1001));
}

TEST_F(KernelEngineTest, PoliciesThatOthersTakeAwayAreSetAgain) {
  install_pair();
  auto told = kernel.policy(xfrm::kIn);
  const auto before = kernel.policies;
  xfrm::Message removed;
  removed.header.type = xfrm::MessageType::kDelPolicy;
  const auto& info = std::get<xfrm::PolicyInfo>(told.body);
  removed.body = xfrm::PolicyId{info.selector, 0, info.direction};
  removed.attributes.policy = info;
  ASSERT_TRUE(engine.put_back().policies == 0U);
  std::erase_if(kernel.policies, [](const auto& entry) { return entry.first.first == xfrm::kIn; });
  engine.on_message(removed);
  const auto first = engine.put_back();
  EXPECT_EQ(first.policies, 1U + 15U);  // the fixture took neighbour discovery away
  EXPECT_EQ(first.sas, 0U);
  EXPECT_EQ(kernel.policies.size(), 3U + 15U);
  EXPECT_EQ(kernel.policy(xfrm::kIn), before.lower_bound({xfrm::kIn, ""})->second);
  // All at once.
  kernel.policies.clear();
  xfrm::Message flushed;
  flushed.header.type = xfrm::MessageType::kFlushPolicy;
  engine.on_message(flushed);
  EXPECT_EQ(engine.put_back().policies, 3U + 15U);
  // Those of others are no reason to look.
  removed.attributes.policy->index = 77;
  kernel.log.clear();
  engine.on_message(removed);
  EXPECT_EQ(engine.put_back().policies, 0U);
  EXPECT_TRUE(kernel.log.empty());
}

TEST_F(KernelEngineTest, SasThatOthersTakeAwayHaveExpired) {
  install_pair();
  xfrm::Message removed;
  removed.header.type = xfrm::MessageType::kDelSa;
  removed.body = xfrm::SaId{xfrm::Address::of(kPeer), Spi(0x2002), xfrm::kFamilyV4, xfrm::kProtocolAh};
  engine.on_message(removed);
  EXPECT_TRUE(engine.events().empty());
  std::get<xfrm::SaId>(removed.body).protocol = xfrm::kProtocolEsp;
  engine.on_message(removed);
  EXPECT_EQ(engine.put_back().sas, 1U);
  ASSERT_EQ(engine.events().size(), 1U);
  EXPECT_TRUE(std::get<SaExpiring>(engine.events().front()).hard);
  kernel.sas.clear();
  xfrm::Message flushed;
  flushed.header.type = xfrm::MessageType::kFlushSa;
  flushed.body = xfrm::SaFlush{};
  engine.on_message(flushed);
  EXPECT_EQ(engine.put_back().sas, 1U);
  EXPECT_EQ(std::get<SaExpiring>(engine.events().back()).spi, Spi(0x1001));
}

// Both halves move, or none.
TEST_F(KernelEngineTest, AMoveThatTheKernelRefusesIsTakenBack) {
  install_pair();
  const auto policies = kernel.policies;
  for (const bool outbound : {true, false}) {
    SCOPED_TRACE(outbound);
    (outbound ? kernel.refuse_destination : kernel.refuse_source) = kElsewhere;
    EXPECT_FALSE(engine.update_endpoints(model::ChildId(1), {kUs, 4500}, {kElsewhere, 4501}, true, 20));
    EXPECT_EQ(kernel.sas.size(), 2U);
    EXPECT_EQ(kernel.info(kUs, Spi(0x1001)).source, xfrm::Address::of(kPeer));
    EXPECT_TRUE(kernel.sas.contains({kPeer, Spi(0x2002)}));
    EXPECT_EQ(kernel.policies, policies);
    kernel.refuse_destination.reset();
    kernel.refuse_source.reset();
  }
  EXPECT_EQ(engine.put_back().sas, 0U);
  ASSERT_TRUE(engine.update_endpoints(model::ChildId(1), {kUs, 4500}, {kElsewhere, 4501}, true, 20));
  // Neither there nor back: it has expired, and is not in the kernel either.
  kernel.refuse_destination = kPeer;
  kernel.refuse_source = kElsewhere;
  EXPECT_FALSE(engine.update_endpoints(model::ChildId(1), {kUs, 4500}, {kPeer, 4501}, true, 20));
  EXPECT_EQ(engine.put_back().sas, 1U);
  EXPECT_EQ(std::get<SaExpiring>(engine.events().back()).spi, Spi(0x1001));
  EXPECT_EQ(kernel.sas.size(), 1U);
}

TEST_F(KernelEngineTest, CountersAndTimesComeFromTheKernel) {
  install_pair();
  auto& state = kernel.sas.at({kUs, Spi(0x1001)});
  auto& info = std::get<xfrm::SaInfo>(state.body);
  info.current = {5000, 5, 0, 0};
  info.errors = {1, 2, 3};
  state.attributes.last_used = kAt.wall_s + 90;
  state.attributes.replay_esn->seen = 5;
  const Moment later{kAt.now + seconds(100), kAt.wall_s + 100};
  const auto usage = engine.usage({Spi(0x1001), Spi(0x9999)}, later);
  ASSERT_EQ(usage.size(), 1U);
  EXPECT_EQ(usage[0].inbound, later.now - seconds(10));
  EXPECT_EQ(usage[0].outbound, Instant{});
  const auto dump = engine.dump(false, later);
  ASSERT_EQ(dump.sas.size(), 2U);
  EXPECT_EQ(dump.sas[0].counters.packets, 5U);
  EXPECT_EQ(dump.sas[0].counters.bytes, 5000U);
  EXPECT_EQ(dump.sas[0].counters.errors, 6U);
  EXPECT_EQ(dump.sas[0].counters.sequence, 5U);
  EXPECT_EQ(dump.sas[0].counters.installed, kAt.now);
  EXPECT_TRUE(dump.sas[0].spec.encryption_key.empty());
  EXPECT_EQ(engine.dump(true, later).sas[0].spec.encryption_key.size(), 20U);
  EXPECT_EQ(engine.statistics(later).packets_in, 5U);
  // They outlive their SA.
  EXPECT_TRUE(engine.remove_sa(Direction::kInbound, Spi(0x1001), model::ChildId(1)));
  EXPECT_EQ(engine.statistics(later).packets_in, 5U);
}

TEST_F(KernelEngineTest, ExplainsWhatAPacketMeets) {
  install_pair();
  const auto ask = [&](std::string_view from, std::string_view to) {
    return engine.explain(*model::TrafficSelector::parse(from), *model::TrafficSelector::parse(to), kAt);
  };
  const auto inside = ask("10.1.0.5[tcp/1]", "10.2.0.5[tcp/2]");
  EXPECT_TRUE(inside.found);
  EXPECT_EQ(inside.verdict, "protect");
  ASSERT_EQ(inside.outbound.size(), 1U);
  EXPECT_EQ(inside.outbound[0].spec.spi, Spi(0x2002));
  EXPECT_EQ(ask("10.1.0.5[tcp/1]", "10.9.0.5[tcp/2]").verdict, "bypass");
}

TEST_F(KernelEngineTest, ARefusalOfTheKernelsHasWords) {
  kernel.refuse_sas = KernelError{ENOSYS, ""};
  const auto refused = engine.install_sa(spec(Direction::kInbound, 1), kAt);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "the kernel refused the inbound SA 00000001: it lacks an algorithm that this needs (is its module there?)");
  kernel.refuse_sas = KernelError{EINVAL, "Invalid mode"};
  EXPECT_EQ(engine.install_sa(spec(Direction::kInbound, 1), kAt).error().message,
            "the kernel refused the inbound SA 00000001: Invalid mode");
  EXPECT_FALSE(probe(kernel, spec(Direction::kOutbound, 7)));
  kernel.refuse_sas.reset();
  EXPECT_TRUE(probe(kernel, spec(Direction::kOutbound, 7)));
  EXPECT_TRUE(kernel.sas.empty());
}

TEST_F(KernelEngineTest, WhatAKilledDaemonLeftGoesOnUntilItIsReplaced) {
  install_pair();
  const auto reqid = kernel.info(kPeer, Spi(0x2002)).reqid;
  KernelEngine next(kernel, kMark);
  ASSERT_TRUE(next.begin(kAt));
  EXPECT_EQ(kernel.sas.size(), 2U);
  auto waiting = policy(1);
  waiting.acquire = true;
  ASSERT_TRUE(next.install_policy(waiting));
  EXPECT_EQ(kernel.policies.size(), 3U + 15U);
  EXPECT_EQ(kernel.policy(xfrm::kIn).attributes.templates->front().reqid, reqid);
  // The new pair takes over; the old one drains.
  ASSERT_TRUE(next.install_sa(spec(Direction::kInbound, 0x1005), kAt));
  ASSERT_TRUE(next.install_sa(spec(Direction::kOutbound, 0x2006), kAt));
  EXPECT_EQ(kernel.info(kPeer, Spi(0x2006)).reqid, reqid);
  next.on_timer(kAt);
  EXPECT_EQ(kernel.sas.size(), 4U);
  next.on_timer({kAt.now + seconds(3), kAt.wall_s + 3});
  EXPECT_EQ(kernel.sas.size(), 2U);
  EXPECT_TRUE(kernel.sas.contains({kPeer, Spi(0x2006)}));
  next.on_timer({kAt.now + seconds(60), kAt.wall_s + 60});
  EXPECT_EQ(kernel.policies.size(), 3U + 15U);
}

TEST_F(KernelEngineTest, WhatNobodyTakesOverGoesAndWhatIsOthersStays) {
  install_pair();
  const auto foreign = new_sa(spec(Direction::kInbound, 0x7777), 12, 0);
  (void)kernel.ask(*foreign);
  auto theirs = set_policy(policy(1), kernel_selectors(policy(1).local, policy(1).remote)->front(), xfrm::kOut, 12);
  std::get<xfrm::PolicyInfo>(theirs.body).selector.protocol = 6;
  (void)kernel.ask(theirs);
  KernelEngine next(kernel, kMark);
  ASSERT_TRUE(next.begin(kAt));
  next.on_timer({kAt.now + seconds(59), 0});
  EXPECT_EQ(kernel.sas.size(), 3U);
  next.on_timer({kAt.now + seconds(60), 0});
  EXPECT_EQ(kernel.sas.size(), 1U);
  EXPECT_TRUE(kernel.sas.contains({kUs, Spi(0x7777)}));
  EXPECT_EQ(kernel.policies.size(), 1U + 15U);
  next.end();
  EXPECT_EQ(kernel.policies.size(), 1U);
}

}  // namespace
}  // namespace cygnet::sadb::kernel
