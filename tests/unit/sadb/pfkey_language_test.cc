// SPDX-License-Identifier: Apache-2.0
// engine=pfkey: what the kernel is asked over PF_KEY, octet for octet what KernelEngine wants, and back.
#include "sadb/kernel/pfkey_language.h"

#include <gtest/gtest.h>

#include "model/engine_limits.h"
#include "sadb/kernel/engine.h"

namespace cygnet::sadb::kernel {
namespace {

namespace pf = wire::pfkey;
namespace xfrm = wire::xfrm;
using model::Direction;

const IpAddress kUs = IpAddress::v4(0xc0000201);
const IpAddress kPeer = IpAddress::v4(0xc0000209);
constexpr std::uint32_t kReqid = kReqidBase | 7;
constexpr std::uint32_t kShortReqid = 0x2007;

model::TrafficSelectors selectors(std::initializer_list<std::string_view> list) {
  model::TrafficSelectors out;
  for (const auto text : list) out.push_back(*model::TrafficSelector::parse(text));
  return out;
}

model::SaSpec spec(Direction direction) {
  model::SaSpec s{.direction = direction, .spi = Spi(0xc1000001), .child = model::ChildId(1)};
  s.local = {kUs, 4500};
  s.remote = {kPeer, 61000};
  s.encryption = model::EncryptionId::kAesCbc;
  s.encryption_bits = 256;
  s.integrity = model::IntegrityId::kHmacSha2_512_256;
  s.encryption_key.assign(32, 0x11);
  s.integrity_key.assign(64, 0x22);
  s.local_selectors = selectors({"10.1.0.0/16"});
  s.remote_selectors = selectors({"10.2.0.0/16"});
  s.lifetime.soft_packets = 90;
  s.lifetime.hard_packets = 100;
  s.lifetime.hard_age_s = 3600;
  return s;
}

model::PolicySpec policy() {
  model::PolicySpec p{.id = model::PolicyId(1)};
  p.order = 1500;
  p.local = selectors({"10.1.0.0/16"});
  p.remote = selectors({"10.2.0.0/16"});
  p.outer_local = kUs;
  p.outer_remote = kPeer;
  return p;
}

// What goes to the kernel must be a message.
Result<pf::Message> question(const xfrm::Message& message) {
  auto out = PfkeyLanguage().question(message);
  if (!out) return out;
  const auto read = pf::Message::parse(out->serialize());
  EXPECT_TRUE(read) << (read ? "" : read.error().message);
  if (read) {
    auto expected = *out;
    expected.header.words = read->header.words;
    EXPECT_EQ(*read, expected);
  }
  return out;
}

xfrm::Message policy_message(const model::PolicySpec& spec, std::uint8_t direction = xfrm::kOut) {
  const auto list = kernel_selectors(spec.local, spec.remote);
  auto message = set_policy(spec, list->front(), direction, kReqid);
  std::get<xfrm::PolicyInfo>(message.body).index = 0x43500011;
  return message;
}

TEST(PfkeyLanguage, AnSaIsAdded) {
  const auto message = question(*new_sa(spec(Direction::kInbound), kReqid, 0x43590000));
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_EQ(message->header.type, pf::MessageType::kAdd);
  EXPECT_EQ(message->header.sa_type, pf::SaType::kEsp);
  EXPECT_EQ(message->sa->spi, Spi(0xc1000001));
  EXPECT_EQ(message->sa->replay, 32);  // of 1024
  EXPECT_EQ(message->sa->state, pf::SaState::kMature);
  EXPECT_EQ(message->sa->encrypt, pf::EncryptAlgorithm::kAesCbc);
  EXPECT_EQ(message->sa->auth, pf::AuthAlgorithm::kSha2_512);
  EXPECT_EQ(message->encrypt_key->bits, 256);
  EXPECT_EQ(message->auth_key->bits, 512);
  EXPECT_EQ(message->source->endpoint, (Endpoint{kPeer, 0}));
  EXPECT_EQ(message->destination->endpoint, (Endpoint{kUs, 0}));
  EXPECT_EQ(message->destination->prefix_length, 32);
  EXPECT_EQ(message->sa2->mode, pf::Mode::kTunnel);
  EXPECT_EQ(message->sa2->reqid, kShortReqid);
  EXPECT_EQ(message->soft->allocations, 90U);
  EXPECT_EQ(message->hard->allocations, 100U);
  EXPECT_EQ(message->hard->add_time, 3600U);
  EXPECT_FALSE(message->nat_type);
  EXPECT_FALSE(message->proxy);
}

TEST(PfkeyLanguage, EspInUdpHasItsPorts) {
  auto s = spec(Direction::kOutbound);
  s.udp_encapsulation = true;
  const auto message = question(*new_sa(s, kReqid, 0));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->nat_type->type, 2);
  EXPECT_EQ(message->nat_source_port->port, 4500);
  EXPECT_EQ(message->nat_destination_port->port, 61000);
  EXPECT_EQ(message->source->endpoint.address, kUs);
}

TEST(PfkeyLanguage, AnotherFamilyInsideIsToldByTheProxyAddress) {
  auto s = spec(Direction::kOutbound);
  s.local_selectors = selectors({"fd01::/64", "fd03::/64"});
  s.remote_selectors = selectors({"fd02::/64"});
  const auto message = question(*new_sa(s, kReqid, 0));
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_EQ(message->proxy->endpoint.address, *IpAddress::parse("::"));
  EXPECT_EQ(message->proxy->prefix_length, 0);
}

TEST(PfkeyLanguage, WhatItHasNoWordsForIsRefusedByName) {
  const auto why = [](model::SaSpec s) {
    const auto message = PfkeyLanguage().question(*new_sa(s, kReqid, 0));
    return message ? std::string("taken") : message.error().message;
  };
  auto s = spec(Direction::kOutbound);
  s.esn = true;
  EXPECT_NE(why(s).find("extended sequence numbers"), std::string::npos);
  s = spec(Direction::kOutbound);
  s.encryption = model::EncryptionId::kAesGcm16;
  EXPECT_NE(why(s).find("AEAD"), std::string::npos);
  s = spec(Direction::kOutbound);
  s.integrity = model::IntegrityId::kHmacSha2_256_128;
  EXPECT_EQ(why(s), "PF_KEY's hmac(sha256) has check values of 96 bits in Linux, not the 128 of RFC 4868");
  s.integrity = model::IntegrityId::kHmacSha2_256_96;
  EXPECT_EQ(why(s), "taken");
  s.integrity = model::IntegrityId::kAesCmac96;
  EXPECT_NE(why(s).find("cmac(aes)"), std::string::npos);
  s = spec(Direction::kOutbound);
  s.tfc_octets = 500;
  EXPECT_NE(why(s).find("padded"), std::string::npos);
  s = spec(Direction::kOutbound);
  s.copy_dscp = false;
  EXPECT_NE(why(s).find("DSCP"), std::string::npos);
  s = spec(Direction::kOutbound);
  s.remote_selectors = selectors({"10.2.0.0/16", "fd02::/64"});
  s.local_selectors = selectors({"10.1.0.0/16", "fd01::/64"});
  EXPECT_NE(why(s).find("one address family"), std::string::npos);
  auto moved = *new_sa(spec(Direction::kOutbound), kReqid, 0);
  moved.attributes.replay_esn->sent = 5;
  EXPECT_NE(PfkeyLanguage().question(moved).error().message.find("sequence numbers"), std::string::npos);
  xfrm::Message other;
  other.header.type = xfrm::MessageType::kMigrate;
  EXPECT_EQ(PfkeyLanguage().question(other).error().message, "PF_KEY has no words for MIGRATE");
}

TEST(PfkeyLanguage, APolicyIsSet) {
  const auto message = question(policy_message(policy()));
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_EQ(message->header.type, pf::MessageType::kSpdUpdate);
  EXPECT_EQ(message->source->endpoint.address, IpAddress::v4(0x0a010000));
  EXPECT_EQ(message->source->prefix_length, 16);
  EXPECT_EQ(message->source->protocol, 255);
  EXPECT_EQ(message->policy->type, pf::PolicyType::kIpsec);
  EXPECT_EQ(message->policy->direction, pf::PolicyDirection::kOut);
  EXPECT_EQ(message->policy->priority, 1500U);
  EXPECT_EQ(message->hard->allocations, 0x43500011U);
  ASSERT_EQ(message->policy->requests.size(), 1U);
  const auto& request = message->policy->requests.front();
  EXPECT_EQ(request.level, pf::Level::kUnique);
  EXPECT_EQ(request.reqid, kShortReqid);
  EXPECT_EQ(request.ends->destination.address, kPeer);
  const auto inward = question(policy_message(policy(), xfrm::kForward));
  EXPECT_EQ(inward->policy->direction, pf::PolicyDirection::kForward);
  EXPECT_EQ(inward->source->endpoint.address, IpAddress::v4(0x0a020000));
  EXPECT_TRUE(inward->policy->requests.front().ends->destination.address.is_unspecified());
}

TEST(PfkeyLanguage, PoliciesThatProtectNothing) {
  auto p = policy();
  p.action = model::PolicyAction::kBypass;
  EXPECT_EQ(question(policy_message(p))->policy->type, pf::PolicyType::kNone);
  p.action = model::PolicyAction::kDiscard;
  EXPECT_EQ(question(policy_message(p))->policy->type, pf::PolicyType::kDiscard);
  p.action = model::PolicyAction::kProtect;
  p.outer_remote = {};
  EXPECT_EQ(question(policy_message(p))->policy->type, pf::PolicyType::kDiscard);
}

TEST(PfkeyLanguage, ATunnelThatHoldsItsPeerIsRefused) {
  auto p = policy();
  p.remote = selectors({"0.0.0.0/0"});
  const auto message = PfkeyLanguage().question(policy_message(p));
  ASSERT_FALSE(message);
  EXPECT_NE(message.error().message.find("192.0.2.9 lies in the network behind it"), std::string::npos);
}

TEST(PfkeyLanguage, PortsAreOneOrAll) {
  auto p = policy();
  p.remote = selectors({"10.2.0.0/16"});
  p.remote.front().protocol = 6;
  p.remote.front().port_first = p.remote.front().port_last = 80;
  const auto one = question(policy_message(p));
  ASSERT_TRUE(one);
  EXPECT_EQ(one->destination->endpoint.port, 80);
  EXPECT_EQ(one->destination->protocol, 6);
  p.remote.front().port_last = 81;
  EXPECT_EQ(PfkeyLanguage().question(policy_message(p)).error().message,
            "a selector of PF_KEY has one port (not 0), or all");
}

pf::Message kernel_state(std::uint32_t packets) {
  pf::Message m;
  m.header = {.type = pf::MessageType::kGet, .sa_type = pf::SaType::kEsp};
  m.sa = pf::SaExtension{.spi = Spi(0xc1000001)};
  m.sa2 = pf::Sa2Extension{.mode = pf::Mode::kTunnel, .reqid = kShortReqid};
  m.source = pf::AddressExtension::host(kPeer);
  m.destination = pf::AddressExtension::host(kUs);
  m.current = pf::LifetimeExtension{.allocations = packets, .bytes = 84ULL * packets, .add_time = 1000};
  return m;
}

TEST(PfkeyLanguage, WhenAnSaWasUsedLastIsWhenItsCountGrew) {
  PfkeyLanguage language;
  const auto asked = name_sa(xfrm::MessageType::kGetSa, spec(Direction::kInbound));
  EXPECT_FALSE(language.answer(asked, kernel_state(0), 1000)->attributes.last_used);
  auto state = language.answer(asked, kernel_state(3), 1010);
  EXPECT_EQ(state->attributes.last_used, 1010U);
  const auto& info = std::get<xfrm::SaInfo>(state->body);
  EXPECT_EQ(info.reqid, kReqid);
  EXPECT_EQ(info.current.packets, 3U);
  EXPECT_EQ(info.current.bytes, 252U);
  EXPECT_EQ(info.id.destination.as(info.family), kUs);
  EXPECT_EQ(language.answer(asked, kernel_state(3), 1020)->attributes.last_used, 1010U);
  EXPECT_EQ(language.answer(asked, kernel_state(4), 1030)->attributes.last_used, 1030U);
  const auto gone = name_sa(xfrm::MessageType::kDelSa, spec(Direction::kInbound));
  EXPECT_FALSE(language.answer(gone, kernel_state(4), 1030));
  EXPECT_FALSE(language.answer(asked, kernel_state(0), 1040)->attributes.last_used);
}

TEST(PfkeyLanguage, AnAcquireNamesThePolicy) {
  PfkeyLanguage language;
  const auto asked = policy_message(policy());
  auto reply = *question(asked);
  reply.policy->id = 0x201;
  EXPECT_FALSE(language.answer(asked, reply, 0));
  pf::Message acquire;
  acquire.header = {.type = pf::MessageType::kAcquire, .sa_type = pf::SaType::kEsp};
  acquire.policy = pf::PolicyExtension{.type = pf::PolicyType::kIpsec, .id = 0x201};
  const auto notice = language.notice(acquire);
  ASSERT_TRUE(notice);
  const auto& body = std::get<xfrm::Acquire>(notice->body);
  EXPECT_EQ(body.policy.selector, std::get<xfrm::PolicyInfo>(asked.body).selector);
  EXPECT_EQ(traffic_of(body.selector).second.to_string(), "10.2.0.0/16");
  acquire.policy->id = 0x202;
  EXPECT_FALSE(language.notice(acquire));
}

TEST(PfkeyLanguage, ExpiryAndMapping) {
  auto expire = kernel_state(100);
  expire.header.type = pf::MessageType::kExpire;
  expire.soft = pf::LifetimeExtension{.allocations = 90};
  EXPECT_FALSE(std::get<xfrm::SaExpire>(PfkeyLanguage().notice(expire)->body).hard);
  expire.hard = std::exchange(expire.soft, std::nullopt);
  EXPECT_TRUE(std::get<xfrm::SaExpire>(PfkeyLanguage().notice(expire)->body).hard);

  pf::Message moved;
  moved.header = {.type = pf::MessageType::kNewMapping, .sa_type = pf::SaType::kEsp};
  moved.sa = pf::SaExtension{.spi = Spi(5)};
  moved.source = pf::AddressExtension::host(kPeer);
  moved.destination = pf::AddressExtension::host(IpAddress::v4(0xc6336401));
  moved.nat_source_port = pf::NatPortExtension{61000};
  EXPECT_FALSE(PfkeyLanguage().notice(moved));  // a new address without its port
  moved.nat_destination_port = pf::NatPortExtension{61001};
  const auto notice = PfkeyLanguage().notice(moved);
  const auto& mapping = std::get<xfrm::Mapping>(notice->body);
  EXPECT_EQ(mapping.new_source.as(xfrm::kFamilyV4), IpAddress::v4(0xc6336401));
  EXPECT_EQ(mapping.new_port, 61001);
  EXPECT_EQ(mapping.old_port, 61000);
  EXPECT_TRUE(mapping.id.destination.as(xfrm::kFamilyV4).is_unspecified());
}

TEST(PfkeyLanguage, WhatOthersRemoveIsTold) {
  auto gone = kernel_state(0);
  gone.header.type = pf::MessageType::kDelete;
  const auto notice = PfkeyLanguage().notice(gone);
  EXPECT_EQ(notice->header.type, xfrm::MessageType::kDelSa);
  EXPECT_EQ(std::get<xfrm::SaId>(notice->body),
            (xfrm::SaId{xfrm::Address::of(kUs), Spi(0xc1000001), xfrm::kFamilyV4, 50}));
  pf::Message flushed;
  flushed.header.type = pf::MessageType::kFlush;
  EXPECT_EQ(PfkeyLanguage().notice(flushed)->header.type, xfrm::MessageType::kFlushSa);
  for (const auto type : {pf::MessageType::kSpdDelete, pf::MessageType::kSpdDelete2, pf::MessageType::kSpdFlush}) {
    flushed.header.type = type;
    EXPECT_EQ(PfkeyLanguage().notice(flushed)->header.type, xfrm::MessageType::kFlushPolicy);
  }
  flushed.header.type = pf::MessageType::kSpdAdd;
  EXPECT_FALSE(PfkeyLanguage().notice(flushed));
}

TEST(PfkeyLanguage, OurPoliciesAreKnownByTheirMark) {
  const auto asked = policy_message(policy());
  xfrm::Message dump;
  dump.header = {xfrm::MessageType::kGetPolicy, xfrm::kRequest | xfrm::kDump, 0, 0};
  EXPECT_TRUE(PfkeyLanguage::is_dump(dump));
  EXPECT_EQ(question(dump)->header.type, pf::MessageType::kSpdDump);
  auto told = *question(asked);
  told.policy->id = 0x201;
  PfkeyLanguage language;
  const auto answer = language.answer(dump, told, 0);
  ASSERT_TRUE(answer);
  const auto& info = std::get<xfrm::PolicyInfo>(answer->body);
  EXPECT_EQ(info.index, 0x43500011U);
  EXPECT_EQ(info.selector, std::get<xfrm::PolicyInfo>(asked.body).selector);
  EXPECT_EQ(info.direction, xfrm::kOut);
  EXPECT_EQ(answer->attributes.templates->front().reqid, kReqid);
  EXPECT_EQ(answer->attributes.templates->front().id.destination.as(xfrm::kFamilyV4), kPeer);
}

TEST(PfkeyLanguage, ConnectionsAreRefusedWhenTheyAreLoaded) {
  model::Connection c;
  c.remote.host = {.kind = model::HostSpec::Kind::kAddress, .address = kPeer};
  auto& child = c.children.emplace_back();
  child.local = selectors({"10.1.0.0/16"});
  child.remote = selectors({"10.2.0.0/16"});
  EXPECT_EQ(why_not_pfkey(c), "");
  child.remote = selectors({"0.0.0.0/0"});
  EXPECT_NE(why_not_pfkey(c).find("its own peer's address"), std::string::npos);
  child.remote = selectors({"10.2.0.0/16", "fd02::/64"});
  EXPECT_NE(why_not_pfkey(c).find("both address families"), std::string::npos);
  child.remote = selectors({"10.2.0.0/16"});
  child.proposals.emplace_back().transforms.push_back({model::TransformType::kEsn, 1, 0});
  EXPECT_NE(why_not_pfkey(c).find("esn=no"), std::string::npos);
  child.proposals.clear();
  child.remote.front().protocol = 17;
  child.remote.front().port_last = 1023;
  EXPECT_NE(why_not_pfkey(c).find("range of ports"), std::string::npos);
  child.remote = selectors({"10.2.0.0/16"});
  c.mobike = true;
  EXPECT_NE(why_not_pfkey(c).find("mobike"), std::string::npos);
}

}  // namespace
}  // namespace cygnet::sadb::kernel
