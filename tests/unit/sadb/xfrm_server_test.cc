// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "xfrm_fixture.h"

namespace cygnet::sadb::test {
namespace {

constexpr auto kOurs = "192.0.2.1";
constexpr auto kTheirs = "198.51.100.2";

TEST_F(XfrmTest, InboundSaIsAnSpiThatGrowsUp) {
  auto range = xf::SpiRange{sa_info(kTheirs, kOurs, 0), 0xc0000000, 0xcfffffff};
  auto answers = request(Type::kAllocSpi, range);
  ASSERT_EQ(answers.size(), 2U);  // NEWSA, and the acknowledgement asked for
  EXPECT_EQ(answers[0].header.type, Type::kNewSa);
  const auto spi = std::get<xf::SaInfo>(answers[0].body).id.spi;
  EXPECT_GE(spi.value, 0xc0000000U);
  EXPECT_LE(spi.value, 0xcfffffffU);
  EXPECT_TRUE(engine.sas.empty());

  auto info = sa_info(kTheirs, kOurs, spi.value);
  info.limits.hard_add_s = 3600;
  info.limits.soft_bytes = 1000000;
  auto attributes = gcm();
  attributes.encapsulation = xf::Encapsulation{.source_port = 1024, .destination_port = 4500, .original_address = {}};
  EXPECT_EQ(error_of(Type::kNewSa, info, attributes), EEXIST);
  EXPECT_EQ(error_of(Type::kUpdSa, info, attributes), 0);
  const auto* spec = engine.only(Direction::kInbound);
  ASSERT_NE(spec, nullptr);
  EXPECT_EQ(spec->spi, spi);
  EXPECT_EQ(spec->mode, model::Mode::kTunnel);
  EXPECT_EQ(spec->encryption, model::EncryptionId::kAesGcm16);
  EXPECT_EQ(spec->encryption_bits, 128);
  EXPECT_EQ(spec->encryption_key, SecretBytes(20, 7));
  EXPECT_TRUE(spec->udp_encapsulation);
  EXPECT_EQ(spec->remote, (Endpoint{ip(kTheirs), 1024}));
  EXPECT_EQ(spec->local, (Endpoint{ip(kOurs), 4500}));
  EXPECT_EQ(spec->lifetime.hard_age_s, 3600U);
  EXPECT_EQ(spec->lifetime.soft_bytes, 1000000U);
  EXPECT_EQ(spec->lifetime.hard_bytes, 0U);  // XFRM_INF
  EXPECT_EQ(spec->replay_window, 32U);
}

TEST_F(XfrmTest, AlgorithmsByTheKernelsNames) {
  struct Case {
    xf::Attributes attributes;
    model::EncryptionId encryption;
    std::uint16_t bits;
    model::IntegrityId integrity;
  };
  const auto pair = [](const char* cipher, std::size_t key, const char* mac, std::size_t mac_key, std::uint32_t bits) {
    xf::Attributes out;
    out.crypt = xf::Algorithm{cipher, SecretBytes(key, 1), 0};
    (bits == 0 ? out.auth : out.auth_truncated) = xf::Algorithm{mac, SecretBytes(mac_key, 2), bits};
    return out;
  };
  xf::Attributes chacha;
  chacha.aead = xf::Algorithm{"rfc7539esp(chacha20,poly1305)", SecretBytes(36, 3), 128};
  using E = model::EncryptionId;
  using I = model::IntegrityId;
  const Case cases[] = {
      {pair("cbc(aes)", 16, "hmac(sha256)", 32, 128), E::kAesCbc, 128, I::kHmacSha2_256_128},
      {pair("aes", 32, "sha256", 32, 0), E::kAesCbc, 256, I::kHmacSha2_256_96},  // the kernel's length by default
      {pair("cbc(aes)", 32, "hmac(sha512)", 64, 256), E::kAesCbc, 256, I::kHmacSha2_512_256},
      {pair("ecb(cipher_null)", 0, "hmac(sha1)", 20, 96), E::kNull, 0, I::kHmacSha1_96},
      {chacha, E::kChaCha20Poly1305, 0, I::kNone},
  };
  std::uint32_t spi = 0x1000;
  for (const auto& c : cases) {
    ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, ++spi), c.attributes), 0) << spi;
    const auto* spec = engine.only(Direction::kOutbound);
    ASSERT_NE(spec, nullptr);
    EXPECT_EQ(spec->encryption, c.encryption);
    EXPECT_EQ(spec->encryption_bits, c.bits);
    EXPECT_EQ(spec->integrity, c.integrity);
    EXPECT_EQ(error_of(Type::kDelSa, id_of(kTheirs, spi)), 0);
    EXPECT_TRUE(engine.sas.empty());
  }
}

TEST_F(XfrmTest, WhatTheEngineDoesNotDoIsRefusedByName) {
  wrap(program, xf::WrapType::kExtendedAck, 1, kPort);
  const auto refused = [&](const xf::SaInfo& info, const xf::Attributes& attributes, int error, const char* words) {
    EXPECT_EQ(error_of(Type::kNewSa, info, attributes), error) << words;
    EXPECT_NE(text.find(words), std::string::npos) << text;
  };
  const auto good = sa_info(kOurs, kTheirs, 0x1000);
  auto a = gcm();
  a.mark = xf::Mark{1, 0xff};
  refused(good, a, EOPNOTSUPP, "marks");
  a = gcm();
  a.interface_id = 5;
  refused(good, a, EOPNOTSUPP, "if_id");
  a = gcm();
  a.offload = xf::Offload{3, 0};
  refused(good, a, EOPNOTSUPP, "network cards");
  a = gcm();
  a.replay_esn = xf::ReplayStateEsn{.sent = 1ULL << 33U, .seen = 0, .window = 64, .bitmap = {0, 0}};
  refused(good, a, EINVAL, "sequence number");
  a = gcm();
  a.aead->name = "rfc9999(sponge)";
  refused(good, a, ENOSYS, "rfc9999(sponge)");
  auto info = good;
  info.id.protocol = xf::kProtocolAh;
  refused(info, gcm(), EINVAL, "AH");
  info.id.protocol = xf::kProtocolIpComp;
  refused(info, gcm(), EPROTONOSUPPORT, "IPComp");
  info = good;
  info.mode = xf::kRouteOptimization;
  refused(info, gcm(), EOPNOTSUPP, "mode 2");
  info = good;
  info.id.spi = Spi{200};
  refused(info, gcm(), EINVAL, "256");
  a = gcm();
  a.aead->key.resize(3);
  refused(good, a, EINVAL, "key");
  xf::Attributes bare;
  bare.crypt = xf::Algorithm{"cbc(aes)", SecretBytes(16, 1), 0};
  refused(good, bare, EINVAL, "protects nothing");
  EXPECT_TRUE(engine.sas.empty());
  // Without NETLINK_EXT_ACK there is the number alone.
  wrap(program, xf::WrapType::kExtendedAck, 0, kPort);
  EXPECT_EQ(error_of(Type::kNewSa, info, gcm()), EINVAL);
  EXPECT_EQ(text, "");
}

TEST_F(XfrmTest, PoliciesShareGroupsWithTheirSas) {
  ASSERT_EQ(error_of(Type::kNewPolicy, policy_info("10.1.0.0/24", "10.2.0.0/24", xf::kOut),
                     tunnel_template(kOurs, kTheirs, 0x4001)),
            0);
  ASSERT_EQ(engine.policies.size(), 1U);
  const auto& policy = engine.policies.begin()->second;
  EXPECT_EQ(policy.action, model::PolicyAction::kProtect);
  EXPECT_EQ(policy.order, 3000U);
  EXPECT_TRUE(policy.acquire);
  EXPECT_EQ(engine.routes, std::vector<std::string>{"+10.1.0.0/24>10.2.0.0/24"});
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, 0x1000, 0x4001), gcm()), 0);
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, 0x1001, 7), gcm()), 0);
  for (const auto& [key, spec] : engine.sas) EXPECT_EQ(spec.policy == policy.group, spec.spi.value == 0x1000);
  // What comes in is checked against the `in` and `fwd` policies of the same reqid.
  ASSERT_EQ(error_of(Type::kNewPolicy, policy_info("10.2.0.0/24", "10.1.0.0/24", xf::kForward),
                     tunnel_template(kTheirs, kOurs, 0x4001)),
            0);
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kTheirs, kOurs, 0x2000, 0x4001), gcm()), 0);
  const auto* in = engine.only(Direction::kInbound);
  ASSERT_NE(in, nullptr);
  ASSERT_EQ(in->remote_selectors.size(), 1U);
  EXPECT_EQ(in->remote_selectors[0], model::TrafficSelector::of(prefix("10.2.0.0/24")));
  EXPECT_TRUE(in->paired_selectors);
}

TEST_F(XfrmTest, PoliciesAreNewReplacedFoundAndGone) {
  const auto info = policy_info("10.1.0.0/24", "10.2.0.0/24", xf::kOut);
  EXPECT_EQ(error_of(Type::kNewPolicy, info, tunnel_template(kOurs, kTheirs)), 0);
  EXPECT_EQ(error_of(Type::kNewPolicy, info, tunnel_template(kOurs, kTheirs)), EEXIST);
  auto other = info;
  other.priority = 5;
  EXPECT_EQ(error_of(Type::kUpdPolicy, other, tunnel_template(kOurs, kTheirs)), 0);
  const auto answers = request(Type::kGetPolicy, xf::PolicyId{info.selector, 0, xf::kOut});
  ASSERT_EQ(answers.size(), 2U);
  const auto& shown = std::get<xf::PolicyInfo>(answers[0].body);
  EXPECT_EQ(shown.priority, 5U);
  EXPECT_EQ(shown.selector, info.selector);
  EXPECT_EQ(shown.index & 7U, 1U);  // out, as the kernel numbers them
  EXPECT_EQ(answers[0].attributes.templates, tunnel_template(kOurs, kTheirs).templates);
  EXPECT_EQ(error_of(Type::kDelPolicy, xf::PolicyId{{}, shown.index, xf::kOut}), 0);
  EXPECT_EQ(error_of(Type::kDelPolicy, xf::PolicyId{info.selector, 0, xf::kOut}), ENOENT);
  EXPECT_TRUE(engine.policies.empty());
}

TEST_F(XfrmTest, KeysAreShownToWhoBroughtThem) {
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, 0x1000), gcm()), 0);
  const auto mine = request(Type::kGetSa, id_of(kTheirs, 0x1000));
  ASSERT_EQ(mine.size(), 2U);
  EXPECT_EQ(mine[0].attributes.aead, gcm().aead);
  const auto other = join(0, kPort + 1);
  xf::Message ask;
  ask.header = {Type::kGetSa, xf::kRequest, 5, 0};
  ask.body = id_of(kTheirs, 0x1000);
  xfrm.on_datagram(other, ask.serialize(), time);
  const auto theirs = hear(other);
  ASSERT_EQ(theirs.size(), 1U);  // no acknowledgement asked for
  EXPECT_EQ(theirs[0].attributes.aead->key, SecretBytes(20, 0));
  EXPECT_EQ(theirs[0].attributes.aead->name, "rfc4106(gcm(aes))");
}

TEST_F(XfrmTest, DumpsEndWithDone) {
  for (std::uint32_t spi = 0x1000; spi < 0x1003; ++spi) {
    ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, spi), gcm()), 0);
  }
  const auto answers = request(Type::kGetSa, xf::Nothing{}, {}, xf::kDump);
  ASSERT_EQ(answers.size(), 4U);
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(answers[i].header.type, Type::kNewSa);
    EXPECT_EQ(answers[i].header.flags, xf::kMulti);
    EXPECT_EQ(std::get<xf::SaInfo>(answers[i].body).id.spi.value, 0x1000 + i);
  }
  EXPECT_EQ(answers[3].header.type, Type::kDone);
  EXPECT_EQ(answers[3].header.flags, xf::kMulti);
  const auto policies = request(Type::kGetPolicy, xf::Nothing{}, {}, xf::kDump);
  ASSERT_EQ(policies.size(), 1U);
  EXPECT_EQ(policies[0].header.type, Type::kDone);
}

TEST_F(XfrmTest, BothServicesTellOfEachOther) {
  const auto listener = join(bit(xf::Group::kSa) | bit(xf::Group::kPolicy), kPort + 1);
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, 0x1000), gcm()), 0);
  auto told = read(me);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].header.type, pf::MessageType::kAdd);
  EXPECT_EQ(told[0].sa->spi.value, 0x1000U);
  EXPECT_FALSE(told[0].encrypt_key);
  auto heard = hear(listener);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(heard[0].header.type, Type::kNewSa);
  EXPECT_EQ(heard[0].header.port, 0U);

  send(add(kOurs, kTheirs, 0x1001), me);
  ASSERT_EQ(read(me).size(), 1U);
  heard = hear(listener);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(std::get<xf::SaInfo>(heard[0].body).id.spi.value, 0x1001U);
  EXPECT_EQ(heard[0].attributes.aead->key, SecretBytes(20, 0));

  send(base(pf::MessageType::kFlush, pf::SaType::kEsp), me);
  heard = hear(listener);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(heard[0].header.type, Type::kFlushSa);
  (void)read(me);
  ASSERT_EQ(
      error_of(Type::kNewPolicy, policy_info("10.1.0.0/24", "10.2.0.0/24", xf::kOut), tunnel_template(kOurs, kTheirs)),
      0);
  told = read(me);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].header.type, pf::MessageType::kSpdAdd);
  EXPECT_EQ(hear(listener).size(), 1U);
}

TEST_F(XfrmTest, AcquireIsHeardAndAnsweredByAnSa) {
  ASSERT_EQ(error_of(Type::kNewPolicy, policy_info("10.1.0.0/24", "10.2.0.0/24", xf::kOut),
                     tunnel_template(kOurs, kTheirs, 9)),
            0);
  const auto id = engine.policies.begin()->second.id;
  const auto packet = Acquire{id, model::TrafficSelector::of(IpPrefix::host(ip("10.1.0.7"))),
                              model::TrafficSelector::of(IpPrefix::host(ip("10.2.0.8")))};
  // Nobody sets up SAs: it fails at once.
  EXPECT_TRUE(server.on_event(packet, time));
  EXPECT_EQ(engine.failed_acquires.size(), 1U);
  const auto manager = join(bit(xf::Group::kAcquire), kPort + 1);
  EXPECT_TRUE(server.on_event(packet, time));
  auto heard = hear(manager);
  ASSERT_EQ(heard.size(), 1U);
  const auto& acquire = std::get<xf::Acquire>(heard[0].body);
  EXPECT_EQ(acquire.id.destination.as(xf::kFamilyV4), ip(kTheirs));
  EXPECT_EQ(acquire.source.as(xf::kFamilyV4), ip(kOurs));
  EXPECT_EQ(acquire.selector.source.as(xf::kFamilyV4), ip("10.1.0.7"));
  EXPECT_EQ(acquire.selector.destination.as(xf::kFamilyV4), ip("10.2.0.8"));
  EXPECT_EQ(acquire.policy.index, static_cast<std::uint32_t>(id.value & 0xfffffff) * 8 + 1);
  ASSERT_TRUE(heard[0].attributes.templates);
  EXPECT_EQ((*heard[0].attributes.templates)[0].reqid, 9U);
  // An SA that serves the policy is an answer, though it names no sequence number.
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, 0x1000, 9), gcm()), 0);
  pass(40);
  EXPECT_EQ(engine.failed_acquires.size(), 1U);
}

TEST_F(XfrmTest, ExpiryAndMappingAreHeard) {
  const auto listener = join(bit(xf::Group::kExpire) | bit(xf::Group::kMapping), kPort + 1);
  auto attributes = gcm();
  attributes.encapsulation = xf::Encapsulation{.source_port = 1024, .destination_port = 4500, .original_address = {}};
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kTheirs, kOurs, 0x2000), attributes), 0);
  const auto child = engine.only(Direction::kInbound)->child;
  EXPECT_TRUE(server.on_event(PeerMoved{child, {ip("203.0.113.9"), 777}, {ip(kOurs), 4500}}, time));
  EXPECT_TRUE(server.on_event(SaExpiring{Spi{0x2000}, Direction::kInbound, child, false}, time));
  EXPECT_TRUE(server.on_event(SaExpiring{Spi{0x2000}, Direction::kInbound, child, true}, time));
  const auto heard = hear(listener);
  ASSERT_EQ(heard.size(), 3U);
  const auto& mapping = std::get<xf::Mapping>(heard[0].body);
  EXPECT_EQ(mapping.old_port, 1024);
  EXPECT_EQ(mapping.new_port, 777);
  EXPECT_EQ(mapping.new_source.as(xf::kFamilyV4), ip("203.0.113.9"));
  EXPECT_EQ(mapping.id.spi.value, 0x2000U);
  EXPECT_FALSE(std::get<xf::SaExpire>(heard[1].body).hard);
  EXPECT_TRUE(std::get<xf::SaExpire>(heard[2].body).hard);
  EXPECT_EQ(error_of(Type::kDelSa, id_of(kOurs, 0x2000)), ESRCH);
}

TEST_F(XfrmTest, AnSaFromElsewhereGoesOnBehindItsNumbers) {
  auto attributes = gcm();
  attributes.replay = xf::ReplayState{4000, 17, 0};
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, 0x1000), attributes), 0);
  EXPECT_EQ(engine.only(Direction::kOutbound)->sequence, 4000U);
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kTheirs, kOurs, 0x2000), attributes), 0);
  EXPECT_EQ(engine.only(Direction::kInbound)->sequence, 17U);
  // Asked by who will move it: strongSwan takes the numbers from here.
  engine.counted.begin()->second.sequence = 18;
  const auto inbound = engine.only(Direction::kInbound)->child;
  engine.counted[{Direction::kInbound, inbound.value}].sequence = 18;
  const auto answers = request(Type::kGetAe, xf::AeventId{id_of(kOurs, 0x2000), {}, xf::kAeReplayValue, 0});
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].header.type, Type::kNewAe);
  EXPECT_EQ(answers[0].attributes.replay, (xf::ReplayState{0, 18, 0}));
}

TEST_F(XfrmTest, NoNumberComesTwiceUnderOneKey) {
  auto attributes = gcm();
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, 0x1000), attributes), 0);
  const auto outbound = [&]() -> model::SaCounters& {
    return engine.counted[{Direction::kOutbound, engine.only(Direction::kOutbound)->child.value}];
  };
  // Read at 10, taken away at 15, brought back as at 10.
  outbound().sequence = 15;
  ASSERT_EQ(error_of(Type::kDelSa, id_of(kTheirs, 0x1000)), 0);
  attributes.replay = xf::ReplayState{10, 0, 0};
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, "203.0.113.9", 0x1000), attributes), 0);
  EXPECT_EQ(engine.only(Direction::kOutbound)->sequence, 15U);
  // The same over PF_KEY, and by flushing.
  outbound().sequence = 20;
  send(base(pf::MessageType::kFlush, pf::SaType::kEsp), me);
  auto again = add(kOurs, kTheirs, 0x1000);
  again.encrypt_key->key = SecretBytes(20, 7);
  send(again, me);
  EXPECT_EQ(engine.only(Direction::kOutbound)->sequence, 20U);
  // Other keys begin at the beginning, and so does what comes in, unless it is said to go on.
  ASSERT_EQ(error_of(Type::kDelSa, id_of(kTheirs, 0x1000)), 0);
  attributes.replay.reset();
  attributes.aead->key = SecretBytes(20, 8);
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, 0x1000), attributes), 0);
  EXPECT_EQ(engine.only(Direction::kOutbound)->sequence, 0U);
}

// Nothing was sent under it.
TEST_F(XfrmTest, AnSaThatWasRefusedUsesUpNoNumbers) {
  auto attributes = gcm();
  attributes.replay = xf::ReplayState{0xfffffff0, 0, 0};
  engine.refuse_sas = "no";
  EXPECT_NE(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, 0x1000), attributes), 0);
  engine.refuse_sas.clear();
  attributes.replay.reset();
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, 0x1000), attributes), 0);
  EXPECT_EQ(engine.only(Direction::kOutbound)->sequence, 0U);
  // One that was in force is still there after an update that is refused, and what it has sent is remembered.
  engine.counted[{Direction::kOutbound, engine.only(Direction::kOutbound)->child.value}].sequence = 30;
  attributes.replay = xf::ReplayState{0xfffffff0, 0, 0};
  engine.refuse_sas = "no";
  EXPECT_NE(error_of(Type::kUpdSa, sa_info(kOurs, kTheirs, 0x1000), attributes), 0);
  engine.refuse_sas.clear();
  attributes.replay.reset();
  ASSERT_EQ(error_of(Type::kDelSa, id_of(kTheirs, 0x1000)), 0);
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, 0x1000), attributes), 0);
  EXPECT_EQ(engine.only(Direction::kOutbound)->sequence, 30U);
}

TEST_F(XfrmTest, AhByTheKernelsNames) {
  xf::Attributes attributes;
  attributes.auth_truncated = xf::Algorithm{"hmac(sha256)", SecretBytes(32, 5), 128};
  auto info = sa_info(kOurs, kTheirs, 0x1000);
  info.id.protocol = xf::kProtocolAh;
  ASSERT_EQ(error_of(Type::kNewSa, info, attributes), 0) << text;
  const auto* spec = engine.only(Direction::kOutbound);
  ASSERT_NE(spec, nullptr);
  EXPECT_EQ(spec->protocol, model::SaProtocol::kAh);
  EXPECT_EQ(spec->integrity, model::IntegrityId::kHmacSha2_256_128);
  EXPECT_EQ(error_of(Type::kDelSa, id_of(kTheirs, 0x1000)), ESRCH);  // that would be ESP
  auto id = id_of(kTheirs, 0x1000);
  id.protocol = xf::kProtocolAh;
  EXPECT_EQ(error_of(Type::kDelSa, id), 0);
  EXPECT_TRUE(engine.sas.empty());
}

TEST_F(XfrmTest, BeetSasWaitForTheirPolicyNoLongerThanThat) {
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, 0x1000, 1, xf::kBeet), gcm()), 0) << text;
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kTheirs, kOurs, 0x2000, 1, xf::kBeet), gcm()), 0);
  for (const auto direction : {xf::kOut, xf::kIn}) {
    const bool out = direction == xf::kOut;
    auto t = out ? tunnel_template(kOurs, kTheirs) : tunnel_template(kTheirs, kOurs);
    (*t.templates)[0].mode = xf::kBeet;
    ASSERT_EQ(
        error_of(Type::kNewPolicy,
                 policy_info(out ? "10.1.0.1/32" : "10.2.0.1/32", out ? "10.2.0.1/32" : "10.1.0.1/32", direction), t),
        0);
  }
  EXPECT_EQ(engine.sas.size(), 2U);
}

TEST_F(XfrmTest, PoliciesOfSocketsAreRefused) {
  EXPECT_EQ(error_of(Type::kNewPolicy, policy_info("10.1.0.0/24", "10.2.0.0/24", 3), tunnel_template(kOurs, kTheirs)),
            EINVAL);
  EXPECT_TRUE(engine.policies.empty());
}

TEST_F(XfrmTest, TunnelsMigrate) {
  ASSERT_EQ(error_of(Type::kNewPolicy, policy_info("10.1.0.0/24", "10.2.0.0/24", xf::kOut),
                     tunnel_template(kOurs, kTheirs, 9)),
            0);
  ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, 0x1000, 9), gcm()), 0);
  xf::Migration m;
  m.old_source = xf::Address::of(ip(kOurs));
  m.old_destination = xf::Address::of(ip(kTheirs));
  m.new_source = xf::Address::of(ip(kOurs));
  m.new_destination = xf::Address::of(ip("203.0.113.9"));
  m.reqid = 9;
  m.old_family = m.new_family = xf::kFamilyV4;
  xf::Attributes attributes;
  attributes.migrations = {m};
  EXPECT_EQ(error_of(Type::kMigrate, xf::PolicyId{selector("10.1.0.0/24", "10.2.0.0/24"), 0, xf::kOut}, attributes), 0);
  EXPECT_EQ(engine.only(Direction::kOutbound)->remote.address, ip("203.0.113.9"));
  EXPECT_EQ(request(Type::kGetSa, id_of("203.0.113.9", 0x1000)).size(), 2U);
}

TEST_F(XfrmTest, CountsAndDefaults) {
  auto answers = request(Type::kGetSpdInfo, xf::SpdInfo{});
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(std::get<xf::SpdInfo>(answers[0].body).counts->out, 0U);
  answers = request(Type::kGetSadInfo, xf::SadInfo{});
  EXPECT_EQ(std::get<xf::SadInfo>(answers[0].body).count, 0U);
  EXPECT_EQ(error_of(Type::kSetDefault, xf::PolicyDefaults{0, 2, 2}), 0);
  EXPECT_EQ(error_of(Type::kSetDefault, xf::PolicyDefaults{1, 2, 2}), EOPNOTSUPP);
  EXPECT_EQ(error_of(Type::kNewAe, xf::AeventId{}), EOPNOTSUPP);
}

TEST_F(XfrmTest, NonsenseIsAnsweredAndCounted) {
  const Bytes half = {9, 0, 0};
  xfrm.on_datagram(program, half, time);
  auto heard = hear(program);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(std::get<xf::ErrorReply>(heard[0].body).error, -EINVAL);
  xf::Message message;
  message.header = {Type::kNewSa, xf::kRequest, 1, 0};
  message.body = sa_info(kOurs, kTheirs, 0x1000);
  auto bytes = message.serialize();
  bytes.resize(bytes.size() - 8);
  const auto length = static_cast<std::uint32_t>(bytes.size());
  std::memcpy(bytes.data(), &length, sizeof length);
  xfrm.on_datagram(program, bytes, time);
  heard = hear(program);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(std::get<xf::ErrorReply>(heard[0].body).error, -EINVAL);
  EXPECT_NE(xfrm.statistics().find("xfrm-refused-truncated 2\n"), std::string::npos) << xfrm.statistics();
}

// As the kernel does: what it passes over it acknowledges all the same to whom wants that.
TEST_F(XfrmTest, WhatIsNoRequestIsAcknowledgedIfAsked) {
  xf::Message message;
  message.header = {Type::kGetSadInfo, xf::kAck, 9, kPort};
  message.body = xf::SadInfo{};
  const auto no_request = message.serialize();
  auto noop = no_request;
  constexpr std::uint16_t kNoop = 1, kAsked = xf::kRequest | xf::kAck;
  std::memcpy(noop.data() + 4, &kNoop, sizeof kNoop);
  std::memcpy(noop.data() + 6, &kAsked, sizeof kAsked);
  for (const auto& bytes : {no_request, noop}) {
    xfrm.on_datagram(program, bytes, time);
    const auto heard = hear(program);
    ASSERT_EQ(heard.size(), 1U);
    EXPECT_EQ(heard[0].header.sequence, 9U);
    EXPECT_EQ(std::get<xf::ErrorReply>(heard[0].body).error, 0);
  }
  message.header.flags = 0;
  xfrm.on_datagram(program, message.serialize(), time);
  EXPECT_TRUE(hear(program).empty());
}

TEST_F(XfrmTest, AThousandPrograms) {
  std::vector<Id> all;
  for (std::uint32_t i = 1; i <= 1000; ++i) all.push_back(join(bit(xf::Group::kSa), kPort + i));
  EXPECT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, 0x1000), gcm()), 0);
  for (const auto id : all) {
    const auto heard = hear(id);
    ASSERT_EQ(heard.size(), 1U);
    EXPECT_EQ(heard[0].header.type, Type::kNewSa);
    xfrm.remove_client(id);
  }
  EXPECT_EQ(error_of(Type::kDelSa, id_of(kTheirs, 0x1000)), 0);
}

TEST_F(XfrmTest, WhoNeverReadsIsCutOffAlone) {
  const auto idle = join(bit(xf::Group::kSa), kPort + 1);
  for (std::uint32_t spi = 0x1000; xfrm.statistics().find("xfrm-clients-cut-off 0\n") != std::string::npos; ++spi) {
    ASSERT_LT(spi, 0x1000U + 2 * Outboxes::kMostWaiting);
    ASSERT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, spi), gcm()), 0);
    (void)read(me);
    ASSERT_EQ(error_of(Type::kDelSa, id_of(kTheirs, spi)), 0);
    (void)read(me);
  }
  EXPECT_EQ(xfrm.take_cut_off(), std::vector<Id>{idle});
  EXPECT_EQ(error_of(Type::kNewSa, sa_info(kOurs, kTheirs, 0x9000), gcm()), 0);
}

}  // namespace
}  // namespace cygnet::sadb::test
