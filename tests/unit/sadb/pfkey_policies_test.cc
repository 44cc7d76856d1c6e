// SPDX-License-Identifier: Apache-2.0
// Policies over PF_KEY, and what they mean for SAs and for the engine.
#include "unit/sadb/pfkey_fixture.h"

namespace cygnet::sadb::test {
namespace {

using Type = pf::MessageType;
using pf::PolicyDirection;
using PfkeyPolicies = PfkeyTest;

TEST_F(PfkeyPolicies, OutboundTunnelPolicyServedByTheSaOfItsEnds) {
  const auto answer = ask(tunnel("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut, "192.0.2.1", "192.0.2.2"));
  EXPECT_EQ(answer.header.error, 0);
  ASSERT_TRUE(answer.policy);
  EXPECT_EQ(answer.policy->id, 9U) << "Linux's numbers: the low bits are the direction";
  ASSERT_EQ(engine.policies.size(), 1U);
  const auto& policy = engine.policies.begin()->second;
  EXPECT_EQ(policy.action, model::PolicyAction::kProtect);
  EXPECT_TRUE(policy.acquire);
  EXPECT_EQ(model::to_string(policy.local), "10.1.0.0/16");
  EXPECT_EQ(model::to_string(policy.remote), "10.2.0.0/16");
  EXPECT_EQ(engine.routes, std::vector<std::string>{"+10.1.0.0/16>10.2.0.0/16"});

  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000)), 0);
  EXPECT_EQ(engine.only(Direction::kOutbound)->policy, policy.served_by());
  // Another policy with the same ends is served by the same SA; one with a reqid by none of them.
  EXPECT_EQ(error_of(tunnel("10.3.0.0/16", "10.4.0.0/16", PolicyDirection::kOut, "192.0.2.1", "192.0.2.2")), 0);
  EXPECT_EQ(error_of(tunnel("10.5.0.0/16", "10.6.0.0/16", PolicyDirection::kOut, "192.0.2.1", "192.0.2.2", 7)), 0);
  std::vector<model::PolicyId> groups;
  for (const auto& [id, spec] : engine.policies) groups.push_back(spec.served_by());
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_EQ(groups[0], groups[1]);
  EXPECT_NE(groups[0], groups[2]);
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1001, pf::Mode::kTunnel, 7)), 0);
  std::set<std::uint32_t> served;
  for (const auto& [key, spec] : engine.sas) served.insert(spec.policy.value);
  EXPECT_EQ(served, (std::set<std::uint32_t>{groups[0].value, groups[2].value}));
}

TEST_F(PfkeyPolicies, InboundSaLetsThroughWhatInPoliciesCover) {
  EXPECT_EQ(error_of(add("192.0.2.2", "192.0.2.1", 0x1000)), 0);
  const auto* in = engine.only(Direction::kInbound);
  ASSERT_NE(in, nullptr);
  EXPECT_TRUE(in->paired_selectors && in->local_selectors.empty()) << "a tunnel without a policy carries nothing";
  EXPECT_EQ(error_of(tunnel("10.2.0.0/16", "10.1.0.0/16", PolicyDirection::kIn, "192.0.2.2", "192.0.2.1")), 0);
  EXPECT_EQ(error_of(tunnel("10.4.0.0/16", "10.3.0.0/16", PolicyDirection::kForward, "192.0.2.2", "192.0.2.1")), 0);
  EXPECT_EQ(error_of(tunnel("10.8.0.0/16", "10.9.0.0/16", PolicyDirection::kIn, "192.0.2.3", "192.0.2.1")), 0);
  EXPECT_TRUE(in->paired_selectors);
  EXPECT_EQ(model::to_string(in->local_selectors), "10.1.0.0/16, 10.3.0.0/16");
  EXPECT_EQ(model::to_string(in->remote_selectors), "10.2.0.0/16, 10.4.0.0/16");
  EXPECT_TRUE(engine.policies.empty()) << "only outbound policies are the engine's";
  EXPECT_TRUE(engine.routes.empty());
  auto gone = spd(Type::kSpdDelete, "10.2.0.0/16", "10.1.0.0/16", PolicyDirection::kIn);
  EXPECT_EQ(error_of(gone), 0);
  EXPECT_EQ(model::to_string(in->local_selectors), "10.3.0.0/16");
  EXPECT_EQ(error_of(add("192.0.2.2", "192.0.2.1", 0x1001)), 0);
  for (const auto& [key, spec] : engine.sas) EXPECT_EQ(model::to_string(spec.local_selectors), "10.3.0.0/16");
}

// RFC 4301 section 5.2: what is protected must not come in the clear; `use` and `none` let it.
TEST_F(PfkeyPolicies, InPoliciesSayWhatMayComeInTheClear) {
  EXPECT_EQ(error_of(tunnel("10.2.0.0/16", "10.1.0.0/16", PolicyDirection::kIn, "192.0.2.2", "192.0.2.1")), 0);
  EXPECT_EQ(engine.clear_text, std::vector<std::string>{"+refuse 10.2.0.0/16>10.1.0.0/16"});
  auto tcp = transport("192.0.2.2/32", "192.0.2.1/32", PolicyDirection::kIn, pf::Level::kUse);
  tcp.source->protocol = 6;
  EXPECT_EQ(error_of(tcp), 0);
  EXPECT_EQ(engine.clear_text.back(), "+allow 192.0.2.2/32[tcp]>192.0.2.1/32[tcp]");
  // Replaced by one that insists.
  tcp.header.type = Type::kSpdUpdate;
  tcp.policy->requests[0].level = pf::Level::kRequire;
  EXPECT_EQ(error_of(tcp), 0);
  ASSERT_EQ(engine.clear_text.size(), 4U);
  EXPECT_EQ(engine.clear_text[2], "-allow 192.0.2.2/32[tcp]>192.0.2.1/32[tcp]");
  EXPECT_EQ(engine.clear_text[3], "+refuse 192.0.2.2/32[tcp]>192.0.2.1/32[tcp]");
  tcp.header.type = Type::kSpdDelete;
  EXPECT_EQ(error_of(tcp), 0);
  EXPECT_EQ(engine.clear_text.back(), "-refuse 192.0.2.2/32[tcp]>192.0.2.1/32[tcp]");
  EXPECT_EQ(error_of(tunnel("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut, "192.0.2.1", "192.0.2.2")), 0);
  EXPECT_EQ(engine.clear_text.size(), 5U);
}

TEST_F(PfkeyPolicies, TransportWithAndWithoutInPolicies) {
  EXPECT_EQ(error_of(add("192.0.2.2", "192.0.2.1", 0x1000, pf::Mode::kTransport)), 0);
  const auto* in = engine.only(Direction::kInbound);
  EXPECT_FALSE(in->paired_selectors) << "without a policy all between the two, as in Linux";
  auto wide = transport("192.0.2.0/24", "192.0.2.1/32", PolicyDirection::kIn);
  wide.source->protocol = 6;
  EXPECT_EQ(error_of(wide), 0);
  EXPECT_TRUE(in->paired_selectors);
  EXPECT_EQ(model::to_string(in->remote_selectors), "192.0.2.0/24[tcp]");
  wide.header.type = Type::kSpdDelete;
  EXPECT_EQ(error_of(wide), 0);
  EXPECT_FALSE(in->paired_selectors);
}

TEST_F(PfkeyPolicies, LevelUseProtectsWhileThereIsAnSa) {
  EXPECT_EQ(error_of(transport("192.0.2.1/32", "192.0.2.2/32", PolicyDirection::kOut, pf::Level::kUse)), 0);
  const auto action = [&] { return engine.policies.begin()->second.action; };
  EXPECT_EQ(action(), model::PolicyAction::kBypass);
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.9", 0x1000, pf::Mode::kTransport)), 0);
  EXPECT_EQ(action(), model::PolicyAction::kBypass) << "an SA to somebody else";
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000, pf::Mode::kTransport)), 0);
  EXPECT_EQ(action(), model::PolicyAction::kProtect);
  EXPECT_EQ(error_of(sa(Type::kDelete, "192.0.2.1", "192.0.2.2", 0x1000)), 0);
  EXPECT_EQ(action(), model::PolicyAction::kBypass);
}

TEST_F(PfkeyPolicies, SelectorsWithPortsAndIcmp) {
  auto m = transport("192.0.2.1/32", "192.0.2.2/32", PolicyDirection::kOut);
  m.source->protocol = m.destination->protocol = 17;
  m.destination->endpoint.port = 53;
  EXPECT_EQ(error_of(m), 0);
  EXPECT_EQ(model::to_string(engine.policies.begin()->second.remote), "192.0.2.2/32[udp/53]");
  EXPECT_EQ(model::to_string(engine.policies.begin()->second.local), "192.0.2.1/32[udp]");
  EXPECT_EQ(error_of(base(Type::kSpdFlush)), 0);
  m = transport("2001:db8::1/128", "::/0", PolicyDirection::kOut);
  m.source->protocol = 58;
  m.source->endpoint.port = 135;
  EXPECT_EQ(error_of(m), 0);
  const auto& remote = engine.policies.begin()->second.remote.front();
  EXPECT_EQ(remote.port_first, 135 << 8);
  EXPECT_EQ(remote.port_last, (135 << 8) | 255);
  // Mobile IPv6's binding updates.
  EXPECT_EQ(error_of(base(Type::kSpdFlush)), 0);
  m.source->protocol = m.destination->protocol = 135;
  m.source->endpoint.port = 5;
  EXPECT_EQ(error_of(m), 0);
  EXPECT_EQ(engine.policies.begin()->second.remote.front().port_first, 5 << 8);
  EXPECT_EQ(engine.policies.begin()->second.local.front().port_last, (5 << 8) | 255);
}

TEST_F(PfkeyPolicies, DuplicatesAndUpdates) {
  want_error_texts();
  auto m = tunnel("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut, "192.0.2.1", "192.0.2.2");
  EXPECT_EQ(error_of(m), 0);
  expect_error(m, EEXIST, "id 9");
  m.source->endpoint.address = ip("10.1.9.9");
  expect_error(m, EEXIST, "id 9");
  m.header.type = Type::kSpdUpdate;
  m.policy->priority = 77;
  m.policy->requests[0].ends->destination.address = ip("192.0.2.3");
  EXPECT_EQ(error_of(m), 0);
  ASSERT_EQ(engine.policies.size(), 1U);
  EXPECT_EQ(engine.policies.begin()->second.order, 77U);
  EXPECT_EQ(engine.routes.size(), 1U);
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.3", 0x1000)), 0);
  EXPECT_EQ(engine.only(Direction::kOutbound)->policy, engine.policies.begin()->second.served_by());
  m.policy->type = pf::PolicyType::kNone;
  m.policy->requests.clear();
  EXPECT_EQ(error_of(m), 0);
  EXPECT_EQ(engine.policies.begin()->second.action, model::PolicyAction::kBypass);
  EXPECT_EQ(engine.routes.back(), "-10.1.0.0/16>10.2.0.0/16");
}

TEST_F(PfkeyPolicies, OverlappingOnesStandByPriorityThenAge) {
  auto m = tunnel("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut, "192.0.2.1", "192.0.2.2");
  m.policy->priority = 0x80000000;
  EXPECT_EQ(error_of(m), 0);
  auto wider = spd(Type::kSpdAdd, "10.0.0.0/8", "10.0.0.0/8", PolicyDirection::kOut);
  wider.policy->type = pf::PolicyType::kDiscard;
  wider.policy->priority = 0x80000000;
  EXPECT_EQ(error_of(wider), 0);
  ASSERT_EQ(engine.policies.size(), 2U);
  const auto& first = engine.policies.begin()->second;
  const auto& second = std::next(engine.policies.begin())->second;
  EXPECT_EQ(first.order, second.order);
  EXPECT_LT(first.id, second.id);
  EXPECT_EQ(second.action, model::PolicyAction::kDiscard);
}

TEST_F(PfkeyPolicies, WhatTheEngineCannotDoIsRefusedByName) {
  want_error_texts();
  const auto good = tunnel("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut, "192.0.2.1", "192.0.2.2");
  auto m = good;
  m.policy->requests[0].protocol = pf::kProtocolIpComp;
  expect_error(m, EOPNOTSUPP, "ipcomp by itself");
  m.policy->requests[0].protocol = 6;
  expect_error(m, EINVAL, "protocol 6");
  m = good;
  m.policy->requests.push_back(m.policy->requests[0]);
  expect_error(m, EOPNOTSUPP, "each once");
  m = good;
  m.policy->requests.clear();
  expect_error(m, EINVAL, "must say how");
  m = good;
  m.policy->requests[0].ends.reset();
  expect_error(m, EINVAL, "both ends");
  m = good;
  m.policy->requests[0].level = pf::Level::kUse;
  expect_error(m, EINVAL, "optional");
  expect_error(transport("10.0.0.0/8", "10.0.0.0/8", PolicyDirection::kOut, pf::Level::kUse), EOPNOTSUPP, "one host");
  m = good;
  m.policy->type = pf::PolicyType::kEntrust;
  expect_error(m, EINVAL, "entrust");
  m = spd(Type::kSpdAdd, "10.0.0.0/8", "10.0.0.0/8", PolicyDirection::kIn);
  m.policy->type = pf::PolicyType::kDiscard;
  expect_error(m, EOPNOTSUPP, "firewall");
  m = good;
  m.destination = pf::AddressExtension{255, 64, {ip("2001:db8::"), 0}};
  expect_error(m, EINVAL, "both be IPv4");
  m = good;
  m.hard = pf::LifetimeExtension{.use_time = 5};
  expect_error(m, EOPNOTSUPP, "age");
  m = good;
  m.source->protocol = m.destination->protocol = 47;
  m.destination->endpoint.port = 7;
  expect_error(m, EOPNOTSUPP, "GRE keys");
  m = good;
  m.policy.reset();
  expect_error(m, EINVAL, "policy extension is missing");
  EXPECT_TRUE(engine.policies.empty());
  EXPECT_TRUE(engine.routes.empty());
}

TEST_F(PfkeyPolicies, GetDeleteById) {
  EXPECT_EQ(error_of(tunnel("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut, "192.0.2.1", "192.0.2.2")), 0);
  auto m = base(Type::kSpdGet);
  m.policy = pf::PolicyExtension{.id = 9};
  const auto got = ask(m);
  ASSERT_TRUE(got.policy && got.source);
  EXPECT_EQ(got.policy->requests.size(), 1U);
  EXPECT_EQ(got.source->prefix_length, 16);
  m.header.type = Type::kSpdDelete2;
  EXPECT_EQ(error_of(m), 0);
  EXPECT_EQ(error_of(m), ESRCH);
  EXPECT_TRUE(engine.policies.empty());
  EXPECT_EQ(engine.routes.back(), "-10.1.0.0/16>10.2.0.0/16");
}

TEST_F(PfkeyPolicies, UniqueWithoutANumberGetsOne) {
  auto m = tunnel("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut, "192.0.2.1", "192.0.2.2", 1);
  m.policy->requests[0].reqid = 0;
  EXPECT_EQ(ask(m).policy->requests[0].reqid, 16384U);
  m.source->endpoint.address = ip("10.9.0.0");
  EXPECT_EQ(ask(m).policy->requests[0].reqid, 16385U);
}

TEST_F(PfkeyPolicies, ExpireByAge) {
  EXPECT_EQ(error_of(base(Type::kRegister, pf::SaType::kEsp)), 0);
  auto m = tunnel("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut, "192.0.2.1", "192.0.2.2");
  m.hard = pf::LifetimeExtension{.add_time = 30};
  EXPECT_EQ(error_of(m), 0);
  EXPECT_EQ(server.next_deadline(), time.now + 30s);
  pass(30);
  const auto notices = read(me);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].header.type, Type::kSpdExpire);
  EXPECT_TRUE(engine.policies.empty());
}

TEST_F(PfkeyPolicies, AcquireGoesToKeyManagersAndItsFailureToTheEngine) {
  EXPECT_EQ(error_of(tunnel("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut, "192.0.2.1", "192.0.2.2", 5)), 0);
  const auto id = engine.policies.begin()->second.id;
  const Acquire acquire{id, model::TrafficSelector::of(prefix("10.1.0.1/32")),
                        model::TrafficSelector::of(prefix("10.2.0.1/32"))};
  EXPECT_TRUE(server.on_event(acquire, time));
  EXPECT_EQ(engine.failed_acquires, std::vector{id.value}) << "nobody is there to negotiate";
  EXPECT_EQ(error_of(base(Type::kRegister, pf::SaType::kEsp)), 0);
  EXPECT_TRUE(server.on_event(acquire, time));
  const auto asked = read(me);
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].header.type, Type::kAcquire);
  EXPECT_EQ(asked[0].header.pid, 0U);
  EXPECT_EQ(asked[0].source->endpoint.address, ip("192.0.2.1"));
  EXPECT_EQ(asked[0].destination->endpoint.address, ip("192.0.2.2"));
  EXPECT_EQ(asked[0].policy->id, 9U);
  EXPECT_EQ(asked[0].sa2->reqid, 5U);
  ASSERT_TRUE(asked[0].proposal);
  EXPECT_EQ(asked[0].proposal->combinations[0].encrypt, pf::EncryptAlgorithm::kAesGcm16);
  auto failure = base(Type::kAcquire, pf::SaType::kEsp);
  failure.header.error = ETIMEDOUT;
  failure.header.sequence = asked[0].header.sequence;
  send(failure, me);
  EXPECT_EQ(engine.failed_acquires.size(), 2U);
  EXPECT_TRUE(server.on_event(acquire, time));
  (void)read(me);
  pass(30);
  EXPECT_EQ(engine.failed_acquires.size(), 3U) << "nobody answered";
  EXPECT_FALSE(server.on_event(Acquire{model::PolicyId{3}, {}, {}}, time)) << "ike's";
}

TEST_F(PfkeyPolicies, MigrateMovesPolicyAndSas) {
  EXPECT_EQ(error_of(tunnel("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut, "192.0.2.1", "192.0.2.2")), 0);
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000)), 0);
  auto m = spd(Type::kMigrate, "10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut);
  const auto ends = [](std::string_view a, std::string_view b) {
    return pf::PolicyRequest{pf::kProtocolEsp, pf::Mode::kTunnel, pf::Level::kRequire, 0,
                             pf::PolicyRequest::Ends{{ip(a), 0}, {ip(b), 0}}};
  };
  m.policy->requests = {ends("192.0.2.1", "192.0.2.7"), ends("192.0.2.1", "192.0.2.9")};
  EXPECT_EQ(error_of(m), ESRCH);
  m.policy->requests[0] = ends("192.0.2.1", "192.0.2.2");
  EXPECT_EQ(error_of(m), 0);
  const auto* out = engine.only(Direction::kOutbound);
  ASSERT_NE(out, nullptr);
  EXPECT_EQ(out->remote.address, ip("192.0.2.9"));
  EXPECT_EQ(out->policy, engine.policies.begin()->second.served_by());
  EXPECT_EQ(error_of(sa(Type::kGet, "192.0.2.1", "192.0.2.9", 0x1000)), 0);
  EXPECT_EQ(error_of(sa(Type::kGet, "192.0.2.1", "192.0.2.2", 0x1000)), ESRCH);
}

TEST_F(PfkeyPolicies, AnSaThatTheEngineDoesNotMoveIsWhatItWas) {
  EXPECT_EQ(error_of(tunnel("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut, "192.0.2.1", "192.0.2.2")), 0);
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000)), 0);
  auto m = spd(Type::kMigrate, "10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut);
  for (const auto* peer : {"192.0.2.2", "192.0.2.9"}) {
    m.policy->requests.push_back({pf::kProtocolEsp, pf::Mode::kTunnel, pf::Level::kRequire, 0,
                                  pf::PolicyRequest::Ends{{ip("192.0.2.1"), 0}, {ip(peer), 0}}});
  }
  engine.refuse_moves = "no";
  EXPECT_EQ(error_of(m), 0) << "the policy has moved";
  EXPECT_EQ(engine.only(Direction::kOutbound)->remote.address, ip("192.0.2.2"));
  EXPECT_EQ(error_of(sa(Type::kGet, "192.0.2.1", "192.0.2.2", 0x1000)), 0);
  // It is still the engine's, and goes with its name.
  EXPECT_EQ(error_of(sa(Type::kDelete, "192.0.2.1", "192.0.2.2", 0x1000)), 0);
  EXPECT_TRUE(engine.sas.empty());
}

TEST_F(PfkeyPolicies, FlushTakesAllBack) {
  EXPECT_EQ(error_of(tunnel("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut, "192.0.2.1", "192.0.2.2")), 0);
  EXPECT_EQ(error_of(tunnel("10.2.0.0/16", "10.1.0.0/16", PolicyDirection::kIn, "192.0.2.2", "192.0.2.1")), 0);
  EXPECT_EQ(error_of(base(Type::kSpdFlush)), 0);
  EXPECT_TRUE(engine.policies.empty());
  EXPECT_EQ(error_of(base(Type::kSpdDump)), ENOENT);
}

}  // namespace
}  // namespace cygnet::sadb::test
