// SPDX-License-Identifier: Apache-2.0
// IPComp (RFC 3173) in the kernel: an SA of its own inside that of ESP, which come and go together.
#include "kernel_fixture.h"
#include "model/engine_limits.h"
#include "sadb/kernel/compression.h"
#include "sadb/kernel/pfkey_language.h"

namespace cygnet::sadb::kernel::test {
namespace {

constexpr std::uint16_t kOurCpi = 0x1234;
constexpr std::uint16_t kPeersCpi = 0x4321;
constexpr auto kPassed = seconds(61);

model::SaSpec squeezed(Direction direction, std::uint32_t spi, std::uint64_t child = 1) {
  auto s = spec(direction, spi, child);
  s.ipcomp_cpi = direction == Direction::kInbound ? kOurCpi : kPeersCpi;
  return s;
}

const xfrm::SaInfo& info_of(const xfrm::Message& message) { return std::get<xfrm::SaInfo>(message.body); }

// Protocol, mode, optional, reqid of what a policy asks for, the first one inside.
using Wanted = std::vector<std::tuple<int, int, bool, bool>>;
Wanted wanted(const xfrm::Message& policy) {
  Wanted out;
  for (const auto& t : *policy.attributes.templates) {
    out.emplace_back(t.id.protocol, t.mode, t.optional, t.reqid != 0);
  }
  return out;
}
const Wanted kEspAlone{{50, xfrm::kTunnel, false, true}};
const Wanted kSqueezedOut{{108, xfrm::kTunnel, false, true}, {50, xfrm::kTransport, false, true}};
const Wanted kSqueezedIn{{108, xfrm::kTunnel, true, false}, {50, xfrm::kTransport, false, true}};

TEST(KernelCompression, TheTunnelIsIpCompsAndEspIsInTransportMode) {
  auto s = squeezed(Direction::kOutbound, 0x2002);
  s.df = model::DfPolicy::kClear;
  s.ecn = s.copy_dscp = false;
  s.lifetime.hard_packets = 7;
  const auto esp = new_sa(s, 9, kMark);
  ASSERT_TRUE(esp) << esp.error().message;
  EXPECT_EQ(info_of(*esp).mode, xfrm::kTransport);
  EXPECT_EQ(info_of(*esp).flags & (xfrm::kSaNoPmtuDisc | xfrm::kSaAnyFamily), 0);
  EXPECT_EQ(info_of(*esp).selector.destination.as(xfrm::kFamilyV4), *IpAddress::parse("10.2.0.0"))
      << "what may pass is still said there";
  const auto ipcomp = new_compression(s, 9, kMark);
  const auto& info = info_of(ipcomp);
  EXPECT_EQ(info.id, (xfrm::SaAddress{xfrm::Address::of(kPeer), Spi(kPeersCpi), 108}));
  EXPECT_EQ(info.source, xfrm::Address::of(kUs));
  EXPECT_EQ(info.mode, xfrm::kTunnel);
  EXPECT_EQ(info.reqid, 9U);
  EXPECT_EQ(info.flags, xfrm::kSaNoEcn | xfrm::kSaNoPmtuDisc);
  EXPECT_EQ(info.selector, xfrm::Selector{}) << "the kernel's SA for what did not shrink is shared, and takes it over";
  EXPECT_EQ(info.limits.hard_packets, xfrm::kInfinite);
  EXPECT_EQ(ipcomp.attributes.compress, (xfrm::Algorithm{"deflate", {}, 0}));
  EXPECT_EQ(ipcomp.attributes.set_mark, kMark) << "the route is looked for here";
  EXPECT_EQ(ipcomp.attributes.extra_flags, xfrm::kExtraDontEncapDscp);
  EXPECT_FALSE(ipcomp.attributes.replay_esn) << "Linux: 'ESN replay not supported with this protocol'";
  const auto inbound = new_compression(squeezed(Direction::kInbound, 0x1001), 9, kMark);
  EXPECT_EQ(info_of(inbound).id, (xfrm::SaAddress{xfrm::Address::of(kUs), Spi(kOurCpi), 108}));
  EXPECT_FALSE(inbound.attributes.set_mark);
  s.mode = model::Mode::kTransport;
  EXPECT_EQ(info_of(new_compression(s, 9, kMark)).mode, xfrm::kTransport);
}

TEST(KernelCompression, WhatTheKernelHasNoRoomForIsRefusedByName) {
  auto s = squeezed(Direction::kOutbound, 0x2002);
  s.local_selectors = selectors({"fd01::/64"});
  s.remote_selectors = selectors({"fd02::/64"});
  EXPECT_NE(new_sa(s, 1, 0).error().message.find("of that family only"), std::string::npos);
  s = squeezed(Direction::kOutbound, 0x2002);
  s.resource = 1;
  EXPECT_NE(new_sa(s, 1, 0).error().message.find("clones=0"), std::string::npos);
  const auto why = [](auto change) {
    model::Child child;
    child.compress = true;
    child.local = selectors({"10.1.0.0/16"});
    child.remote = selectors({"10.2.0.0/16"});
    change(child);
    return model::why_not_kernel(child);
  };
  EXPECT_EQ(why([](auto&) {}), "");
  EXPECT_EQ(why([](auto& c) { c.clones = 2; }), "compress=yes with clones=");
  EXPECT_EQ(why([](auto& c) { c.interface_number = 3; }), "compress=yes with ipsec-interface=");
  EXPECT_EQ(why([](auto& c) { c.interface_id_in = 3; }), "compress=yes with if_id_in= or if_id_out=");
  EXPECT_EQ(why([](auto& c) { c.nic_offload = model::NicOffload::kCrypto; }), "compress=yes with nic-offload=");
  EXPECT_EQ(why([](auto& c) { c.nic_offload = model::NicOffload::kAuto; }), "");
  const auto both = [](auto& c) { c.local = selectors({"10.1.0.0/16", "fd01::/64"}); };
  EXPECT_EQ(why(both), "compress=yes with subnets of both address families in one child");
}

TEST_F(KernelEngineTest, PoliciesAskForWhatTheNewestSaIs) {
  ASSERT_TRUE(engine.install_policy(policy(1)));
  EXPECT_EQ(wanted(kernel.policy(xfrm::kOut)), kEspAlone);
  ASSERT_TRUE(engine.install_sa(squeezed(Direction::kInbound, 0x1001), kAt));
  EXPECT_EQ(wanted(kernel.policy(xfrm::kOut)), kEspAlone);
  for (const auto direction : {xfrm::kIn, xfrm::kForward}) EXPECT_EQ(wanted(kernel.policy(direction)), kSqueezedIn);
  ASSERT_TRUE(engine.install_sa(squeezed(Direction::kOutbound, 0x2002), kAt));
  EXPECT_EQ(wanted(kernel.policy(xfrm::kOut)), kSqueezedOut);
  const auto& templates = *kernel.policy(xfrm::kOut).attributes.templates;
  EXPECT_EQ(templates[0].id.destination, xfrm::Address::of(kPeer));
  EXPECT_EQ(templates[0].source, xfrm::Address::of(kUs));
  EXPECT_EQ(templates[1].id.destination, xfrm::Address{});
  EXPECT_EQ(kernel.sas.size(), 4U);

  // Rekeyed with a peer that compresses no more: on standby the old one goes on sending.
  auto plain = spec(Direction::kOutbound, 0x2003, 2);
  plain.standby = true;
  ASSERT_TRUE(engine.install_sa(plain, kAt));
  EXPECT_EQ(wanted(kernel.policy(xfrm::kOut)), kSqueezedOut);
  ASSERT_TRUE(engine.activate(plain.child, kAt));
  EXPECT_EQ(wanted(kernel.policy(xfrm::kOut)), kEspAlone);
  ASSERT_TRUE(engine.remove_sa(Direction::kOutbound, Spi(0x2002), model::ChildId(1)));
  EXPECT_FALSE(kernel.sas.contains({kPeer, Spi(kPeersCpi)}));

  // What is as it was asked for is left alone when others change something.
  engine.on_messages_lost();
  EXPECT_EQ(engine.put_back().overwritten, 0U);
}

TEST_F(KernelEngineTest, BothHalvesComeAndGoTogether) {
  ASSERT_TRUE(engine.install_sa(squeezed(Direction::kInbound, 0x1001), kAt));
  auto later = squeezed(Direction::kOutbound, 0x2002);
  later.standby = true;
  ASSERT_TRUE(engine.install_sa(later, kAt));
  EXPECT_EQ(kernel.sas.size(), 2U) << "on standby neither half is there";
  ASSERT_TRUE(engine.remove_sa(Direction::kOutbound, Spi(0x2002), model::ChildId(1)));
  EXPECT_EQ(kernel.sas.size(), 2U);
  // The kernel lets it expire.
  kernel.sas.erase({kUs, Spi(0x1001)});
  xfrm::SaExpire expire;
  expire.state.id = {xfrm::Address::of(kUs), Spi(0x1001), 50};
  expire.state.family = xfrm::kFamilyV4;
  expire.hard = true;
  xfrm::Message message;
  message.header.type = xfrm::MessageType::kExpire;
  message.body = expire;
  engine.on_message(message);
  EXPECT_TRUE(kernel.sas.empty());
  // One half is refused: the other does not stay.
  kernel.refuse_source = kPeer;
  EXPECT_FALSE(engine.install_sa(squeezed(Direction::kInbound, 0x1001), kAt));
  kernel.refuse_source.reset();
  EXPECT_TRUE(kernel.sas.empty());
  ASSERT_TRUE(kernel.ask(*new_sa(spec(Direction::kInbound, 0x1001), 1, 0)));
  EXPECT_FALSE(engine.install_sa(squeezed(Direction::kInbound, 0x1001), kAt)) << "an SPI of somebody else";
  EXPECT_EQ(kernel.sas.size(), 1U);
  kernel.sas.clear();
  // At the end nothing is left.
  ASSERT_TRUE(engine.install_sa(squeezed(Direction::kInbound, 0x1001), kAt));
  ASSERT_TRUE(engine.install_sa(squeezed(Direction::kOutbound, 0x2002), kAt));
  engine.end();
  EXPECT_TRUE(kernel.sas.empty());
}

TEST_F(KernelEngineTest, ACpiThatIsTakenIsTold) {
  ASSERT_TRUE(engine.install_sa(squeezed(Direction::kOutbound, 0x2002), kAt));
  EXPECT_EQ(
      engine.install_sa(squeezed(Direction::kOutbound, 0x2003, 2), kAt).error().message,
      "the kernel refused IPComp inside the outbound SA 00002003: there is one with this CPI already: whoever chose "
      "it must choose another");
  EXPECT_EQ(kernel.sas.size(), 2U);
  auto bare = spec(Direction::kOutbound, 0x2004, 3);
  bare.ipcomp_cpi = 999;
  kernel.refuse_sas = KernelError{EPROTONOSUPPORT, "Requested type not found"};
  EXPECT_EQ(probe(kernel, bare).error().message,
            "the kernel refused IPComp inside the outbound SA 00002004: it has no IPComp with DEFLATE (modules ipcomp, "
            "ipcomp6, xfrm4_tunnel, xfrm6_tunnel, deflate): Requested type not found");
  kernel.refuse_sas.reset();
  ASSERT_TRUE(probe(kernel, bare));
  EXPECT_EQ(kernel.sas.size(), 2U) << "and nothing of it stays";
}

// Others remove one half of it: it carries nothing any more, and counts as expired.
TEST_F(KernelEngineTest, HalfAnSaIsNone) {
  ASSERT_TRUE(engine.install_sa(squeezed(Direction::kInbound, 0x1001), kAt));
  ASSERT_TRUE(engine.install_sa(squeezed(Direction::kOutbound, 0x2002), kAt));
  const auto gone = name_compression(xfrm::MessageType::kDelSa, squeezed(Direction::kOutbound, 0x2002));
  kernel.sas.erase({kPeer, Spi(kPeersCpi)});
  engine.on_message(gone);
  EXPECT_EQ(engine.put_back().sas, 1U);
  EXPECT_EQ(std::get<SaExpiring>(engine.events().back()).spi, Spi(0x2002));
  EXPECT_FALSE(kernel.sas.contains({kPeer, Spi(0x2002)}));
  EXPECT_TRUE(kernel.sas.contains({kUs, Spi(0x1001)}));
}

TEST_F(KernelEngineTest, BothHalvesMove) {
  for (const bool migrates : {false, true}) {
    SCOPED_TRACE(migrates);
    kernel.migrates = migrates;
    KernelEngine moving(kernel, kMark);
    ASSERT_TRUE(moving.install_sa(squeezed(Direction::kInbound, 0x1001), kAt));
    ASSERT_TRUE(moving.install_sa(squeezed(Direction::kOutbound, 0x2002), kAt));
    const auto to = [&](const IpAddress& local, const IpAddress& remote, std::uint16_t port) {
      return moving.update_endpoints(model::ChildId(1), {local, 4500}, {remote, port}, true, 0).has_value();
    };
    ASSERT_TRUE(to(kUs, kElsewhere, 4501));
    EXPECT_EQ(kernel.info(kUs, Spi(kOurCpi)).source, xfrm::Address::of(kElsewhere));
    EXPECT_EQ(kernel.info(kElsewhere, Spi(kPeersCpi)).source, xfrm::Address::of(kUs));
    EXPECT_EQ(kernel.sas.size(), 4U);
    // A port alone is ESP's.
    kernel.asked.clear();
    ASSERT_TRUE(to(kUs, kElsewhere, 4502));
    for (const auto& message : kernel.asked) EXPECT_FALSE(message.attributes.compress);
    // Refused: all of it is where it was.
    kernel.refuse_destination = kPeer;
    EXPECT_FALSE(to(kUs, kPeer, 4501));
    kernel.refuse_destination.reset();
    EXPECT_EQ(kernel.info(kUs, Spi(kOurCpi)).source, xfrm::Address::of(kElsewhere));
    EXPECT_TRUE(kernel.sas.contains({kElsewhere, Spi(kPeersCpi)}));
    EXPECT_EQ(kernel.sas.size(), 4U);
    EXPECT_EQ(moving.put_back().sas, 0U);
    moving.end();
    EXPECT_TRUE(kernel.sas.empty());
  }
}

// A daemon that was killed: its policies go on asking for both, and what it left goes in the end.
TEST_F(KernelEngineTest, WhatAKilledOneLeftIsTakenOverWithItsCompression) {
  ASSERT_TRUE(engine.install_sa(squeezed(Direction::kInbound, 0x1001), kAt));
  ASSERT_TRUE(engine.install_sa(squeezed(Direction::kOutbound, 0x2002), kAt));
  ASSERT_TRUE(engine.install_policy(policy(1)));
  const auto left = kernel.policies;
  KernelEngine next(kernel, kMark);
  ASSERT_TRUE(next.begin(kAt));
  ASSERT_TRUE(next.install_policy(policy(1)));
  for (const auto& [name, before] : left) {
    EXPECT_EQ(kernel.policies.at(name).attributes.templates, before.attributes.templates);
  }
  next.on_timer({kAt.now + kPassed, kAt.wall_s});
  EXPECT_TRUE(kernel.sas.empty());
}

TEST(KernelCompression, PfKeyHasWordsForIt) {
  PfkeyLanguage language;
  auto s = squeezed(Direction::kInbound, 0x1001);
  const auto sa = language.question(new_compression(s, kReqidBase | 7, kMark));
  ASSERT_TRUE(sa) << sa.error().message;
  EXPECT_EQ(sa->header.sa_type, wire::pfkey::SaType::kIpComp);
  EXPECT_EQ(sa->sa->spi, Spi(kOurCpi));
  EXPECT_EQ(sa->sa->encrypt, wire::pfkey::kCompressDeflate);
  EXPECT_EQ(sa->sa->replay, 0);
  EXPECT_EQ(sa->sa2->mode, wire::pfkey::Mode::kTunnel);
  EXPECT_FALSE(sa->encrypt_key);
  for (const auto direction : {xfrm::kOut, xfrm::kIn}) {
    const auto selector = kernel_selectors(s.local_selectors, s.remote_selectors)->front();
    const auto asked = set_policy(policy(1), selector, direction, kReqidBase | 7, 0, Form::kCompressed);
    const auto said = language.question(asked);
    ASSERT_TRUE(said) << said.error().message;
    ASSERT_EQ(said->policy->requests.size(), 2U);
    const bool out = direction == xfrm::kOut;
    EXPECT_EQ(said->policy->requests[0].level, out ? wire::pfkey::Level::kUnique : wire::pfkey::Level::kUse);
    EXPECT_EQ(said->policy->requests[1].level, wire::pfkey::Level::kUnique);
    EXPECT_TRUE(said->policy->requests[0].ends);
    EXPECT_FALSE(said->policy->requests[1].ends);
    // And what comes back says the same.
    auto reply = *said;
    reply.header.type = wire::pfkey::MessageType::kSpdUpdate;
    const auto back = language.notice(reply);
    ASSERT_TRUE(back);
    EXPECT_EQ(wanted(*back), wanted(asked));
    EXPECT_TRUE(says_the_same(asked, *back));
  }
}

}  // namespace
}  // namespace cygnet::sadb::kernel::test
