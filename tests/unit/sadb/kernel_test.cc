// SPDX-License-Identifier: Apache-2.0
// The kernel as an engine, against a kernel that only remembers what it was given.
#include "kernel_fixture.h"

namespace cygnet::sadb::kernel::test {
namespace {

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

TEST_F(KernelEngineTest, PoliciesOfOtherMarksStandSideBySide) {
  auto marked = policy(1);
  marked.mark_out = {9, ~0U};
  auto other = policy(2);
  other.mark_out = {10, ~0U};
  ASSERT_TRUE(engine.install_policy(marked));
  ASSERT_TRUE(engine.install_policy(other));
  // What was the first one's alone goes as it was set; inward the other takes its place.
  kernel.asked.clear();
  ASSERT_TRUE(engine.remove_policy(model::PolicyId(1)));
  ASSERT_EQ(kernel.asked.size(), 3U);
  EXPECT_EQ(kernel.asked.front().header.type, xfrm::MessageType::kDelPolicy);
  EXPECT_EQ(kernel.asked.front().attributes.mark, (xfrm::Mark{9, ~0U}));
  EXPECT_EQ(kernel.asked.back().header.type, xfrm::MessageType::kUpdPolicy);
}

TEST_F(KernelEngineTest, NumbersThatTiePoliciesToSasRunOut) {
  kernel.numbers = 2;
  ASSERT_TRUE(engine.install_policy(policy(1)));
  auto second = policy(2);
  second.child_name = "second";
  ASSERT_TRUE(engine.install_policy(second));
  auto third = policy(3);
  third.child_name = "third";
  const auto refused = engine.install_policy(third);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, kNoReqid);
  // One that is free again is used again.
  ASSERT_TRUE(engine.remove_policy(model::PolicyId(1)));
  EXPECT_TRUE(engine.install_policy(third));
}

TEST_F(KernelEngineTest, AMappingWithoutOurAddressIsFoundByItsSpi) {
  install_pair();
  xfrm::Message message;
  message.header.type = xfrm::MessageType::kMapping;
  message.body = xfrm::Mapping{{{}, Spi(0x1001), xfrm::kFamilyV4, 50}, 0, {}, xfrm::Address::of(kElsewhere), 1, 61001};
  engine.on_message(message);
  ASSERT_EQ(engine.events().size(), 1U);
  EXPECT_EQ(std::get<PeerMoved>(engine.events().front()).remote, (Endpoint{kElsewhere, 61001}));
}

TEST_F(KernelEngineTest, ACardTakesAnSaOrIsNamed) {
  auto s = spec(Direction::kInbound, 0x1001);
  s.nic_offload = model::NicOffload::kCrypto;
  auto refused = engine.install_sa(s, kAt);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("no interface has this address"), std::string::npos);
  // A driver without ESP: the kernel takes the SA and says nothing.
  kernel.interface = 3;
  kernel.card = false;
  refused = engine.install_sa(s, kAt);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("192.0.2.1 takes no SA (nic-offload=): its driver has no ESP"),
            std::string::npos);
  EXPECT_TRUE(kernel.sas.empty());
  s.nic_offload = model::NicOffload::kAuto;
  EXPECT_TRUE(engine.install_sa(s, kAt));
  EXPECT_EQ(kernel.sas.size(), 1U);
  ASSERT_TRUE(engine.remove_sa(Direction::kInbound, Spi(0x1001), model::ChildId(1)));
  kernel.card = true;
  s.nic_offload = model::NicOffload::kCrypto;
  ASSERT_TRUE(engine.install_sa(s, kAt));
  EXPECT_EQ(kernel.sas.begin()->second.attributes.offload, (xfrm::Offload{3, xfrm::kOffloadInbound}));
}

TEST(KernelEngine, ACardThatTakesWholePacketsHasThePolicyToo) {
  FakeKernel kernel;
  kernel.interface = 3;
  KernelEngine engine(kernel, kMark);
  ASSERT_TRUE(engine.install_policy(policy(1)));
  EXPECT_FALSE(kernel.policy(xfrm::kOut).attributes.offload);
  auto s = spec(Direction::kOutbound, 0x2002);
  s.nic_offload = model::NicOffload::kPacket;
  const auto refused = engine.install_sa(s, {});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("192.0.2.1 takes no SA (nic-offload=): its driver takes no whole packets"),
            std::string::npos)
      << refused.error().message;
  EXPECT_TRUE(kernel.sas.empty());
  kernel.whole_packets = true;
  ASSERT_TRUE(engine.install_sa(s, {}));
  EXPECT_EQ(kernel.sas.begin()->second.attributes.offload, (xfrm::Offload{3, xfrm::kOffloadPacket}));
  EXPECT_EQ(kernel.policy(xfrm::kOut).attributes.offload, (xfrm::Offload{3, xfrm::kOffloadPacket}));
  EXPECT_EQ(kernel.policy(xfrm::kIn).attributes.offload, (xfrm::Offload{3, xfrm::kOffloadPacket}));
  EXPECT_FALSE(kernel.policy(xfrm::kForward).attributes.offload);
  // The next one does without.
  s.spi = Spi(0x2003);
  s.nic_offload = model::NicOffload::kNo;
  ASSERT_TRUE(engine.install_sa(s, {}));
  EXPECT_FALSE(kernel.policy(xfrm::kOut).attributes.offload);
}

TEST(KernelEngine, SasOfSingleCpusAreThatOrAreNotThere) {
  FakeKernel kernel;
  KernelEngine engine(kernel, kMark);
  ASSERT_TRUE(engine.install_sa(spec(Direction::kOutbound, 0x2002), {}));
  auto s = spec(Direction::kOutbound, 0x2003);
  s.resource = 1;
  ASSERT_TRUE(engine.install_sa(s, {}));
  EXPECT_EQ(kernel.sas.at({kPeer, Spi(0x2003)}).attributes.cpu, 1U);
  EXPECT_FALSE(kernel.sas.at({kPeer, Spi(0x2002)}).attributes.cpu);
  // Linux 7.3: "SA_PCPU only supported with SA_DIR", and an SA that says it sends may have no window.
  EXPECT_EQ(kernel.sas.at({kPeer, Spi(0x2003)}).attributes.direction, xfrm::kSaOut);
  EXPECT_EQ(kernel.sas.at({kPeer, Spi(0x2003)}).attributes.replay_esn, xfrm::ReplayStateEsn{});
  EXPECT_EQ(kernel.info(kPeer, Spi(0x2003)).reqid, kernel.info(kPeer, Spi(0x2002)).reqid);
  // What comes in is anybody's.
  auto in = spec(Direction::kInbound, 0x1003);
  in.resource = 1;
  ASSERT_TRUE(engine.install_sa(in, {}));
  EXPECT_FALSE(kernel.sas.at({kUs, Spi(0x1003)}).attributes.cpu);
  s.spi = Spi(0x2004);
  s.resource = 2;
  EXPECT_EQ(engine.install_sa(s, {}).error().message, "the kernel refused the outbound SA 00002004: there is no CPU 2");
  kernel.cpus = 0;
  s.resource = 0;
  EXPECT_EQ(engine.install_sa(s, {}).error().message,
            "the kernel refused the outbound SA 00002004: it has no SAs for single CPUs (clones=, Linux 6.13)");
  EXPECT_EQ(kernel.sas.size(), 3U) << "and none of them is left";
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
  (void)engine.on_timer(kAt);
  EXPECT_FALSE(kernel.sas.contains({kPeer, Spi(0x2004)}));
  kernel.info(kUs, Spi(0x1003)).current.packets = 1;
  (void)engine.on_timer(kAt);
  EXPECT_TRUE(kernel.sas.contains({kPeer, Spi(0x2004)}));
  EXPECT_FALSE(engine.has_standby());
  ASSERT_EQ(engine.events().size(), 1U);
  EXPECT_EQ(std::get<ChildActivated>(engine.events().front()).child, model::ChildId(2));
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
  acquire.selector.source_length = acquire.selector.destination_length = 32;
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
  (void)engine.on_timer(kAt);
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

TEST_F(KernelEngineTest, APeerTakesNobodyElsesSaAway) {
  install_pair();
  const auto before = kernel.sas;
  const auto done = engine.install_sa(spec(Direction::kOutbound, 0x2002, 99), kAt);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("must choose another"), std::string::npos);
  EXPECT_EQ(kernel.sas, before);
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
  (void)next.on_timer(kAt);
  EXPECT_EQ(kernel.sas.size(), 4U);
  (void)next.on_timer({kAt.now + seconds(3), kAt.wall_s + 3});
  EXPECT_EQ(kernel.sas.size(), 2U);
  EXPECT_TRUE(kernel.sas.contains({kPeer, Spi(0x2006)}));
  (void)next.on_timer({kAt.now + seconds(60), kAt.wall_s + 60});
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
  (void)next.on_timer({kAt.now + seconds(59), 0});
  EXPECT_EQ(kernel.sas.size(), 3U);
  (void)next.on_timer({kAt.now + seconds(60), 0});
  EXPECT_EQ(kernel.sas.size(), 1U);
  EXPECT_TRUE(kernel.sas.contains({kUs, Spi(0x7777)}));
  EXPECT_EQ(kernel.policies.size(), 1U + 15U);
  next.end();
  EXPECT_EQ(kernel.policies.size(), 1U);
}

}  // namespace
}  // namespace cygnet::sadb::kernel::test
