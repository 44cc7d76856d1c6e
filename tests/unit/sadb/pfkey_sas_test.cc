// SPDX-License-Identifier: Apache-2.0
// SAs over PF_KEY (RFC 2367 section 3.1).
#include "unit/sadb/pfkey_fixture.h"

namespace cygnet::sadb::test {
namespace {

using Type = pf::MessageType;
using PfkeySas = PfkeyTest;

TEST_F(PfkeySas, AddInstallsTheDirectionThatTheAddressesSay) {
  const auto answer = ask(add("192.0.2.1", "192.0.2.2", 0x1000));
  EXPECT_EQ(answer.header.error, 0);
  ASSERT_TRUE(answer.sa);
  EXPECT_EQ(answer.sa->state, pf::SaState::kMature);
  EXPECT_FALSE(answer.encrypt_key) << "RFC 2367 section 3.1.3: no keys in the answer";
  const auto* out = engine.only(Direction::kOutbound);
  ASSERT_NE(out, nullptr);
  EXPECT_EQ(engine.only(Direction::kInbound), nullptr);
  EXPECT_EQ(out->spi, Spi{0x1000});
  EXPECT_EQ(out->local.address, ip("192.0.2.1"));
  EXPECT_EQ(out->remote.address, ip("192.0.2.2"));
  EXPECT_EQ(out->encryption, model::EncryptionId::kAesGcm16);
  EXPECT_EQ(out->encryption_bits, 128);
  EXPECT_EQ(to_hex(out->encryption_key), to_hex(key(20).key));
  EXPECT_EQ(out->mode, model::Mode::kTunnel);

  EXPECT_EQ(error_of(add("192.0.2.2", "192.0.2.1", 0x1000)), 0) << "the same SPI the other way is another SA";
  const auto* in = engine.only(Direction::kInbound);
  ASSERT_NE(in, nullptr);
  EXPECT_EQ(in->local.address, ip("192.0.2.1"));
  EXPECT_EQ(in->remote.address, ip("192.0.2.2"));
}

TEST_F(PfkeySas, OneOfForeignAddressesWaitsUntilTheyAreOurs) {
  EXPECT_EQ(error_of(add("198.51.100.1", "198.51.100.2", 0x1000)), 0);
  EXPECT_TRUE(engine.sas.empty());
  engine.local.insert(ip("198.51.100.2"));
  server.on_addresses_changed(time);
  ASSERT_NE(engine.only(Direction::kInbound), nullptr);
  EXPECT_EQ(engine.only(Direction::kOutbound), nullptr);
}

TEST_F(PfkeySas, AddTwiceIsRefused) {
  want_error_texts();
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000)), 0);
  expect_error(add("192.0.2.1", "192.0.2.2", 0x1000), EEXIST, "0x00001000");
  engine.others_spis.insert(Spi{0x2000});
  expect_error(add("192.0.2.2", "192.0.2.1", 0x2000), EEXIST, "in use");
  EXPECT_EQ(engine.sas.size(), 1U);
}

TEST_F(PfkeySas, SpisOfTheKernelAreRefusedByName) {
  want_error_texts();
  engine.foreign = 0x80000000U;
  expect_error(add("192.0.2.2", "192.0.2.1", 0xc0001000U), EINVAL, "choose one below 0x80000000");
  EXPECT_EQ(error_of(add("192.0.2.2", "192.0.2.1", 0x7fffffffU)), 0);
  // What the peer has chosen is the peer's.
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0xc0001000U)), 0);
  EXPECT_EQ(engine.sas.size(), 2U);
}

TEST_F(PfkeySas, WhatTheEngineCannotDoIsRefusedByName) {
  want_error_texts();
  auto m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.header.sa_type = static_cast<pf::SaType>(6);
  expect_error(m, EINVAL, "no type of SA");
  m.header.sa_type = pf::SaType::kAh;
  expect_error(m, EINVAL, "encrypts nothing");
  m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.sa->spi = Spi{255};
  expect_error(m, EINVAL, "reserved");
  m = add("192.0.2.1", "2001:db8::2", 0x1000);
  expect_error(m, EINVAL, "both be IPv4");
  m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.encrypt_key = key(19);
  expect_error(m, EINVAL, "160 to 288 bits (the last 32 are the salt), not 152");
  m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.sa->auth = pf::AuthAlgorithm::kSha2_256;
  m.auth_key = key(32);
  expect_error(m, EINVAL, "authenticates by itself");
  m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.sa->encrypt = pf::EncryptAlgorithm::kAesCbc;
  m.encrypt_key = key(16);
  expect_error(m, EINVAL, "add an authentication algorithm");
  m.sa->encrypt = pf::EncryptAlgorithm::kTwofish;
  expect_error(m, EINVAL, "253");
  m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.nat_type = pf::NatTypeExtension{1};
  expect_error(m, EOPNOTSUPP, "encapsulation type 1");
  m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.sa->flags = pf::kFlagDecapDscp;
  expect_error(m, EOPNOTSUPP, "decap-dscp");
  m.sa->flags = 0x200;
  expect_error(m, EOPNOTSUPP, "0x00000200");
  m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.security_context = pf::SecurityContextExtension{1, 1, to_bytes("x")};
  expect_error(m, EOPNOTSUPP, "labels");
  m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.sa.reset();
  expect_error(m, EINVAL, "SA extension is missing");
  m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.destination.reset();
  expect_error(m, EINVAL, "destination address is missing");
  engine.refuse_sas = "The engine holds 7 SAs and takes no more.";
  expect_error(add("192.0.2.1", "192.0.2.2", 0x1000), EINVAL, "takes no more");
  EXPECT_TRUE(engine.sas.empty());
  EXPECT_EQ(error_of(base(Type::kDump)), ENOENT) << "nothing is left behind";
}

TEST_F(PfkeySas, ErrorsAreBareForThoseWhoDidNotAsk) {
  const auto answer = ask(base(Type::kExpire));
  EXPECT_EQ(answer.header.error, EOPNOTSUPP);
  EXPECT_EQ(answer.header.words, 2);
}

TEST_F(PfkeySas, Sha256IsCutTo128BitsAndTo96OnlyIfAskedTo) {
  auto m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.sa->encrypt = pf::EncryptAlgorithm::kAesCbc;
  m.encrypt_key = key(16);
  m.sa->auth = pf::AuthAlgorithm::kSha2_256;
  m.auth_key = key(32);
  EXPECT_EQ(error_of(m), 0);
  EXPECT_EQ(engine.only(Direction::kOutbound)->integrity, model::IntegrityId::kHmacSha2_256_128);
  EXPECT_EQ(error_of(base(Type::kFlush)), 0);
  m.sa->auth = pf::AuthAlgorithm::kSha2_256_96;
  EXPECT_EQ(error_of(m), 0);
  EXPECT_EQ(engine.only(Direction::kOutbound)->integrity, model::IntegrityId::kHmacSha2_256_96);
}

TEST_F(PfkeySas, NullCipherWithAndWithoutItsEmptyKey) {
  auto m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.sa->encrypt = pf::EncryptAlgorithm::kNull;
  m.sa->auth = pf::AuthAlgorithm::kSha2_256;
  m.auth_key = key(32);
  m.encrypt_key = pf::KeyExtension{};
  EXPECT_EQ(error_of(m), 0);
  m.sa->spi = Spi{0x1001};
  m.encrypt_key.reset();
  EXPECT_EQ(error_of(m), 0);
  const auto got = ask(sa(Type::kGet, "192.0.2.1", "192.0.2.2", 0x1001));
  ASSERT_TRUE(got.encrypt_key);
  EXPECT_EQ(got.encrypt_key->bits, 0);
}

TEST_F(PfkeySas, AttributesReachTheEngine) {
  auto m = add("192.0.2.1", "192.0.2.2", 0x1000, pf::Mode::kTransport);
  m.sa->replay = 64;
  m.sa->flags = pf::kFlagEsn | pf::kFlagNoEcn | pf::kFlagNoPmtuDisc;
  m.hard = pf::LifetimeExtension{10, 1000, 3600, 0};
  m.soft = pf::LifetimeExtension{5, 500, 1800, 0};
  m.nat_type = pf::NatTypeExtension{2};
  m.nat_source_port = pf::NatPortExtension{4500};
  m.nat_destination_port = pf::NatPortExtension{4501};
  EXPECT_EQ(error_of(m), 0);
  const auto* out = engine.only(Direction::kOutbound);
  ASSERT_NE(out, nullptr);
  EXPECT_EQ(out->mode, model::Mode::kTransport);
  EXPECT_EQ(out->replay_window, 64U);
  EXPECT_TRUE(out->esn);
  EXPECT_FALSE(out->ecn);
  EXPECT_EQ(out->df, model::DfPolicy::kClear);
  EXPECT_TRUE(out->udp_encapsulation);
  EXPECT_EQ(out->local.port, 4500);
  EXPECT_EQ(out->remote.port, 4501);
  EXPECT_EQ(out->lifetime, (model::Lifetime{500, 1000, 5, 10, 1800, 3600}));
}

TEST_F(PfkeySas, GetSpiThenUpdate) {
  auto m = sa(Type::kGetSpi, "192.0.2.2", "192.0.2.1", 0);
  m.sa.reset();
  m.spi_range = pf::SpiRangeExtension{0x4000, 0x4001};
  const auto first = ask(m);
  const auto second = ask(m);
  ASSERT_TRUE(first.sa && second.sa);
  EXPECT_EQ(first.sa->state, pf::SaState::kLarval);
  EXPECT_EQ(first.sa->spi.value ^ second.sa->spi.value, 1U) << "both of the range, each once";
  EXPECT_EQ(first.sa->spi.value & ~1U, 0x4000U);
  want_error_texts();
  expect_error(m, EEXIST, "no SPI from 0x00004000 to 0x00004001 is free");
  EXPECT_TRUE(engine.sas.empty());
  auto grown = add("192.0.2.2", "192.0.2.1", first.sa->spi.value);
  expect_error(grown, EEXIST, "already");
  grown.header.type = Type::kUpdate;
  EXPECT_EQ(error_of(grown), 0);
  ASSERT_NE(engine.only(Direction::kInbound), nullptr);
  EXPECT_EQ(engine.only(Direction::kInbound)->spi, first.sa->spi);
  grown.sa->spi = Spi{0x5000};
  expect_error(grown, ESRCH, "0x00005000");
}

TEST_F(PfkeySas, SpisThatNobodyUsesExpire) {
  EXPECT_EQ(error_of(base(Type::kRegister, pf::SaType::kEsp)), 0);
  auto m = sa(Type::kGetSpi, "192.0.2.2", "192.0.2.1", 0);
  m.sa.reset();
  m.spi_range = pf::SpiRangeExtension{0x4000, 0x4000};
  EXPECT_EQ(error_of(m), 0);
  EXPECT_EQ(server.next_deadline(), time.now + 30s);
  pass(29);
  EXPECT_TRUE(read(me).empty());
  pass(1);
  const auto notices = read(me);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].header.type, Type::kExpire);
  EXPECT_EQ(notices[0].sa->spi, Spi{0x4000});
  EXPECT_EQ(error_of(m), 0) << "it is free again";
}

TEST_F(PfkeySas, LarvalSpisAreBounded) {
  auto m = sa(Type::kGetSpi, "192.0.2.2", "192.0.2.1", 0);
  m.sa.reset();
  for (std::size_t i = 0; i < PfkeySaTable::kMostLarval; ++i) {
    send(m, me);
    if (i % 1000 == 0) (void)read(me);
  }
  (void)read(me);
  EXPECT_EQ(error_of(m), ENOBUFS);
}

TEST_F(PfkeySas, UpdateKeepsCountersAndAge) {
  auto m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.hard = pf::LifetimeExtension{.bytes = 1000, .add_time = 100};
  EXPECT_EQ(error_of(m), 0);
  engine.counted.begin()->second = {.packets = 3, .bytes = 300};
  pass(40);
  m.header.type = Type::kUpdate;
  m.encrypt_key.reset();
  m.sa->encrypt = pf::EncryptAlgorithm::kNone;
  EXPECT_EQ(error_of(m), 0);
  const auto* out = engine.only(Direction::kOutbound);
  ASSERT_NE(out, nullptr);
  EXPECT_EQ(out->lifetime.hard_bytes, 700U);
  EXPECT_EQ(out->lifetime.hard_age_s, 60U);
  EXPECT_EQ(to_hex(out->encryption_key), to_hex(key(20).key)) << "what it leaves out stays";
  engine.counted.begin()->second = {.packets = 1, .bytes = 50};
  const auto got = ask(sa(Type::kGet, "192.0.2.1", "192.0.2.2", 0x1000));
  ASSERT_TRUE(got.current);
  EXPECT_EQ(got.current->bytes, 350U);
  EXPECT_EQ(got.current->allocations, 4U);
  EXPECT_EQ(got.current->add_time, 1'700'000'000U);
}

// As in the kernel: an update that is refused was none.
TEST_F(PfkeySas, AnUpdateThatTheEngineRefusesChangesNothing) {
  auto m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.hard = pf::LifetimeExtension{.add_time = 100, .use_time = 50};
  EXPECT_EQ(error_of(m), 0);
  engine.counted.begin()->second = {.packets = 3, .bytes = 300, .sequence = 3};
  const auto before = *engine.only(Direction::kOutbound);
  const auto other = server.add_client("other").value();
  send(base(Type::kRegister, pf::SaType::kEsp), other);
  (void)read(other);
  want_error_texts();
  m.header.type = Type::kUpdate;
  m.encrypt_key = key(20, 7);
  m.nat_type = pf::NatTypeExtension{2};
  m.nat_source_port = m.nat_destination_port = pf::NatPortExtension{4500};
  engine.refused_port = 4500;
  // Of the same group, and of another: then the old one has left the engine by the time it refuses.
  for (const std::uint32_t reqid : {0U, 9U}) {
    m.sa2->reqid = reqid;
    expect_error(m, EINVAL, "not to this port");
    const auto* now = engine.only(Direction::kOutbound);
    ASSERT_NE(now, nullptr) << reqid;
    EXPECT_EQ(to_hex(now->encryption_key), to_hex(before.encryption_key));
    EXPECT_FALSE(now->udp_encapsulation);
    EXPECT_EQ(now->sequence, reqid == 0 ? 0U : 3U) << "made anew it goes on behind what it has sent";
    const auto got = ask(sa(Type::kGet, "192.0.2.1", "192.0.2.2", 0x1000));
    EXPECT_EQ(got.header.error, 0);
    EXPECT_EQ(got.sa2->reqid, 0U);
    EXPECT_EQ(got.current->bytes, 300U);
  }
  EXPECT_TRUE(read(other).empty()) << "nothing has happened";
  // It is one of its group, and its limits are watched.
  EXPECT_EQ(error_of(tunnel("10.1.0.0/16", "10.2.0.0/16", pf::PolicyDirection::kOut, "192.0.2.1", "192.0.2.2")), 0);
  EXPECT_EQ(engine.policies.begin()->second.served_by(), engine.only(Direction::kOutbound)->policy);
  engine.counted.begin()->second.last_used = time.now;
  pass(1);
  pass(60);
  EXPECT_TRUE(engine.sas.empty()) << "50 s after its first packet it is over";
}

TEST_F(PfkeySas, AnUpdateThatIsRefusedHalfWayChangesNothing) {
  engine.local.insert(ip("192.0.2.7"));
  auto m = add("192.0.2.1", "192.0.2.7", 0x1000);
  EXPECT_EQ(error_of(m), 0);
  ASSERT_EQ(engine.sas.size(), 2U) << "from this machine to this machine";
  m.header.type = Type::kUpdate;
  m.encrypt_key = key(20, 7);
  for (auto& [name, counters] : engine.counted) counters = {.packets = 3, .bytes = 300, .sequence = 3};
  engine.refused_times = 1;
  engine.refused_outbound = Spi{0x1000};
  EXPECT_EQ(error_of(m), EINVAL);
  ASSERT_EQ(engine.sas.size(), 2U);
  for (const auto direction : {Direction::kInbound, Direction::kOutbound}) {
    EXPECT_EQ(to_hex(engine.only(direction)->encryption_key), to_hex(key(20).key));
    EXPECT_EQ(engine.only(direction)->sequence, 3U);
  }
  EXPECT_EQ(ask(sa(Type::kGet, "192.0.2.1", "192.0.2.7", 0x1000)).current->bytes, 600U);
}

TEST_F(PfkeySas, AnUpdateOfAnSpiThatTheEngineRefusesLeavesItWaiting) {
  auto m = sa(Type::kGetSpi, "192.0.2.2", "192.0.2.1", 0);
  m.sa.reset();
  m.spi_range = pf::SpiRangeExtension{0x4000, 0x4000};
  EXPECT_EQ(error_of(m), 0);
  auto grown = add("192.0.2.2", "192.0.2.1", 0x4000);
  grown.header.type = Type::kUpdate;
  engine.refuse_sas = "no memory";
  pass(10);
  EXPECT_EQ(error_of(grown), EINVAL);
  EXPECT_EQ(server.next_deadline(), time.now + 20s) << "as long as it would have";
  engine.refuse_sas.clear();
  EXPECT_EQ(error_of(grown), 0);
  EXPECT_NE(engine.only(Direction::kInbound), nullptr);
  EXPECT_EQ(error_of(sa(Type::kDelete, "192.0.2.2", "192.0.2.1", 0x4000)), 0);
  EXPECT_EQ(error_of(m), 0);
  EXPECT_EQ(error_of(grown), 0);
  pass(60);
  EXPECT_NE(engine.only(Direction::kInbound), nullptr) << "it has grown";
}

// RFC 4106 section 3.1: under one key an IV "MUST NOT" come twice, also if a script sets the same key again and the
// sequence number begins anew.
TEST_F(PfkeySas, TheSameKeysSetAgainHaveOtherInitializationVectors) {
  std::set<std::uint64_t> masks;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000)), 0);
    masks.insert(engine.only(Direction::kOutbound)->iv_mask);
    auto again = add("192.0.2.1", "192.0.2.2", 0x1000);
    again.header.type = Type::kUpdate;
    EXPECT_EQ(error_of(again), 0);
    masks.insert(engine.only(Direction::kOutbound)->iv_mask);
    EXPECT_EQ(error_of(sa(Type::kDelete, "192.0.2.1", "192.0.2.2", 0x1000)), 0);
  }
  EXPECT_EQ(masks.size(), 6U);
  EXPECT_FALSE(masks.contains(0));
}

TEST_F(PfkeySas, KeysAreShownOnlyToWhoUnlocksThem) {
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000)), 0);
  const auto get = sa(Type::kGet, "192.0.2.1", "192.0.2.2", 0x1000);
  auto got = ask(get);
  ASSERT_TRUE(got.encrypt_key);
  EXPECT_EQ(got.encrypt_key->bits, 160);
  EXPECT_EQ(to_hex(got.encrypt_key->key), std::string(40, '0'));
  want_error_texts(pf::OptionsExtension::kShowKeys);
  ASSERT_FALSE(log.lines.empty());
  EXPECT_NE(log.lines.back().find("me asked to see keys"), std::string::npos);
  got = ask(get);
  EXPECT_EQ(to_hex(got.encrypt_key->key), to_hex(key(20).key));
}

TEST_F(PfkeySas, DeleteByNameAndAllBetweenTwoAddresses) {
  for (const std::uint32_t spi : {0x1000, 0x1001, 0x1002}) {
    EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", spi)), 0);
  }
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.3", 0x1000)), 0);
  EXPECT_EQ(error_of(sa(Type::kDelete, "192.0.2.1", "192.0.2.2", 0x1001)), 0);
  EXPECT_EQ(error_of(sa(Type::kDelete, "192.0.2.1", "192.0.2.2", 0x1001)), ESRCH);
  EXPECT_EQ(engine.sas.size(), 3U);
  auto all = sa(Type::kDelete, "192.0.2.1", "192.0.2.2", 0);
  all.sa.reset();
  EXPECT_EQ(error_of(all), 0);
  ASSERT_EQ(engine.sas.size(), 1U);
  EXPECT_EQ(engine.sas.begin()->second.remote.address, ip("192.0.2.3"));
  EXPECT_EQ(error_of(all), ESRCH);
  EXPECT_EQ(error_of(base(Type::kFlush, pf::SaType::kAh)), 0);
  EXPECT_EQ(engine.sas.size(), 1U);
  EXPECT_EQ(error_of(base(Type::kFlush)), 0);
  EXPECT_TRUE(engine.sas.empty());
}

TEST_F(PfkeySas, SoftThenHardExpiryIsToldToKeyManagers) {
  EXPECT_EQ(error_of(base(Type::kRegister, pf::SaType::kEsp)), 0);
  auto m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.soft = pf::LifetimeExtension{.add_time = 10};
  m.hard = pf::LifetimeExtension{.add_time = 20};
  EXPECT_EQ(error_of(m), 0);
  const auto child = engine.only(Direction::kOutbound)->child;
  EXPECT_TRUE(server.on_event(SaExpiring{Spi{0x1000}, Direction::kOutbound, child, false}, time));
  auto notices = read(me);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].header.type, Type::kExpire);
  EXPECT_EQ(notices[0].sa->state, pf::SaState::kDying);
  EXPECT_EQ(notices[0].soft->add_time, 10U);
  EXPECT_FALSE(notices[0].hard);
  EXPECT_TRUE(server.on_event(SaExpiring{Spi{0x1000}, Direction::kOutbound, child, true}, time));
  notices = read(me);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].sa->state, pf::SaState::kDead);
  EXPECT_EQ(notices[0].hard->add_time, 20U);
  EXPECT_FALSE(notices[0].soft);
  EXPECT_EQ(error_of(sa(Type::kGet, "192.0.2.1", "192.0.2.2", 0x1000)), ESRCH);
  EXPECT_FALSE(server.on_event(SaExpiring{Spi{1}, Direction::kOutbound, model::ChildId{5}, true}, time)) << "ike's";
}

TEST_F(PfkeySas, TimeSinceFirstUseIsALimitToo) {
  EXPECT_EQ(error_of(base(Type::kRegister, pf::SaType::kEsp)), 0);
  auto m = add("192.0.2.1", "192.0.2.2", 0x1000);
  m.hard = pf::LifetimeExtension{.use_time = 5};
  EXPECT_EQ(error_of(m), 0);
  pass(60);
  EXPECT_TRUE(read(me).empty()) << "not used yet";
  engine.counted.begin()->second.last_used = time.now;
  for (int i = 0; i < 4; ++i) pass(1);
  EXPECT_TRUE(read(me).empty());
  pass(1);
  const auto notices = read(me);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].hard->use_time, 5U);
  EXPECT_TRUE(engine.sas.empty());
}

TEST_F(PfkeySas, RegisterListsWhatTheEngineCanDo) {
  const auto answer = ask(base(Type::kRegister, pf::SaType::kEsp));
  ASSERT_TRUE(answer.supported_auth && answer.supported_encrypt);
  EXPECT_EQ(answer.supported_auth->algorithms, (std::vector<pf::SupportedAlgorithm>{{5, 0, 256, 256},
                                                                                    {6, 0, 384, 384},
                                                                                    {7, 0, 512, 512},
                                                                                    {3, 0, 160, 160},
                                                                                    {240, 0, 256, 256},
                                                                                    {11, 0, 160, 160},
                                                                                    {12, 0, 224, 224},
                                                                                    {13, 0, 288, 288}}));
  EXPECT_EQ(
      answer.supported_encrypt->algorithms,
      (std::vector<pf::SupportedAlgorithm>{{20, 8, 128, 256}, {31, 8, 256, 256}, {12, 16, 128, 256}, {11, 0, 0, 0}}));
  const auto ah = ask(base(Type::kRegister, pf::SaType::kAh));
  EXPECT_EQ(ah.header.error, 0);
  EXPECT_EQ(ah.supported_auth, answer.supported_auth);
  EXPECT_FALSE(ah.supported_encrypt) << "AH encrypts nothing";
}

TEST_F(PfkeySas, NewMappingIsToldToKeyManagers) {
  EXPECT_EQ(error_of(base(Type::kRegister, pf::SaType::kEsp)), 0);
  auto m = add("192.0.2.2", "192.0.2.1", 0x1000);
  m.nat_type = pf::NatTypeExtension{2};
  m.nat_source_port = pf::NatPortExtension{4500};
  m.nat_destination_port = pf::NatPortExtension{4500};
  EXPECT_EQ(error_of(m), 0);
  const auto child = engine.only(Direction::kInbound)->child;
  EXPECT_TRUE(server.on_event(PeerMoved{child, {ip("192.0.2.9"), 1024}, {ip("192.0.2.1"), 4500}}, time));
  const auto notices = read(me);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].header.type, Type::kNewMapping);
  EXPECT_EQ(notices[0].source->endpoint.address, ip("192.0.2.2"));
  EXPECT_EQ(notices[0].nat_source_port->port, 4500);
  EXPECT_EQ(notices[0].destination->endpoint.address, ip("192.0.2.9"));
  EXPECT_EQ(notices[0].nat_destination_port->port, 1024);
}

}  // namespace
}  // namespace cygnet::sadb::test
