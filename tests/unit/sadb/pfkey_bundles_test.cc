// SPDX-License-Identifier: Apache-2.0
// AH, IPComp and BEET over PF_KEY, and policies that ask for several of them around one packet.
#include "unit/sadb/pfkey_fixture.h"

namespace cygnet::sadb::test {
namespace {

using Type = pf::MessageType;
using pf::PolicyDirection;
using pf::PolicyRequest;

class PfkeyBundles : public PfkeyTest {
 protected:
  [[nodiscard]] static pf::Message ah(std::string_view from, std::string_view to, std::uint32_t spi,
                                      pf::Mode mode = pf::Mode::kTransport) {
    auto m = sa(Type::kAdd, from, to, spi);
    m.header.sa_type = pf::SaType::kAh;
    m.sa->auth = pf::AuthAlgorithm::kSha2_256;
    m.auth_key = key(32);
    m.sa2 = pf::Sa2Extension{.mode = mode};
    return m;
  }
  [[nodiscard]] static pf::Message ipcomp(std::string_view from, std::string_view to, std::uint32_t cpi) {
    auto m = sa(Type::kAdd, from, to, cpi);
    m.header.sa_type = pf::SaType::kIpComp;
    m.sa->encrypt = static_cast<pf::EncryptAlgorithm>(2);
    return m;
  }
  [[nodiscard]] static PolicyRequest request(std::uint16_t protocol, pf::Mode mode, bool inbound = false) {
    PolicyRequest r{.protocol = protocol, .mode = mode, .level = pf::Level::kRequire};
    if (mode != pf::Mode::kTransport) {
      r.ends = PolicyRequest::Ends{{ip("192.0.2.1"), 0}, {ip("192.0.2.2"), 0}};
      if (inbound) std::swap(r.ends->source, r.ends->destination);
    }
    return r;
  }
  [[nodiscard]] pf::Message policy(std::string_view from, std::string_view to, PolicyDirection direction,
                                   std::vector<PolicyRequest> requests) {
    auto m = spd(Type::kSpdAdd, from, to, direction);
    m.policy->requests = std::move(requests);
    return m;
  }
  [[nodiscard]] const model::SaSpec* engine_sa(Direction direction, std::uint32_t spi) const {
    for (const auto& [key, spec] : engine.sas) {
      if (key.first == direction && spec.spi.value == spi) return &spec;
    }
    return nullptr;
  }
};

TEST_F(PfkeyBundles, AhIsAnSaOfItsOwnKind) {
  EXPECT_EQ(error_of(ah("192.0.2.1", "192.0.2.2", 0x1000, pf::Mode::kTunnel)), 0);
  const auto* out = engine.only(Direction::kOutbound);
  ASSERT_NE(out, nullptr);
  EXPECT_EQ(out->protocol, model::SaProtocol::kAh);
  EXPECT_EQ(out->encryption, model::EncryptionId::kNone);
  EXPECT_EQ(out->integrity, model::IntegrityId::kHmacSha2_256_128);
  EXPECT_EQ(out->mode, model::Mode::kTunnel);
  want_error_texts();
  auto get = sa(Type::kGet, "192.0.2.1", "192.0.2.2", 0x1000);
  expect_error(get, ESRCH, "no esp SA");
  get.header.sa_type = pf::SaType::kAh;
  const auto shown = ask(get);
  EXPECT_EQ(shown.header.sa_type, pf::SaType::kAh);
  EXPECT_FALSE(shown.encrypt_key);
  // A policy for ESP does not take it, one for AH does.
  EXPECT_EQ(error_of(policy("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut,
                            {request(pf::kProtocolEsp, pf::Mode::kTunnel)})),
            0);
  EXPECT_EQ(error_of(policy("10.3.0.0/16", "10.4.0.0/16", PolicyDirection::kOut,
                            {request(pf::kProtocolAh, pf::Mode::kTunnel)})),
            0);
  std::size_t served = 0;
  for (const auto& [id, spec] : engine.policies) {
    const bool is_ah = model::to_string(spec.local) == "10.3.0.0/16";
    EXPECT_EQ(spec.served_by() == out->policy, is_ah);
    ++served;
  }
  EXPECT_EQ(served, 2U);
  auto flush = base(Type::kFlush, pf::SaType::kEsp);
  EXPECT_EQ(error_of(flush), 0);
  EXPECT_EQ(engine.sas.size(), 1U) << "of AH";
  flush.header.sa_type = pf::SaType::kAh;
  EXPECT_EQ(error_of(flush), 0);
  EXPECT_TRUE(engine.sas.empty());
}

TEST_F(PfkeyBundles, AhRefusesWhatItCannotBe) {
  want_error_texts();
  auto m = ah("192.0.2.1", "192.0.2.2", 0x1000);
  m.nat_type = pf::NatTypeExtension{2};
  expect_error(m, EINVAL, "cannot pass a NAT");
  m = ah("192.0.2.1", "192.0.2.2", 0x1000);
  m.auth_key = key(20);
  expect_error(m, EINVAL, "256 bits");
  m = ah("192.0.2.1", "192.0.2.2", 0x1000);
  m.sa->encrypt = pf::EncryptAlgorithm::kAesCbc;
  m.encrypt_key = key(16);
  expect_error(m, EINVAL, "encrypts nothing");
  EXPECT_TRUE(engine.sas.empty());
}

TEST_F(PfkeyBundles, AcquireForAhAsksThoseWhoRegisteredForIt) {
  EXPECT_EQ(error_of(base(Type::kRegister, pf::SaType::kAh)), 0);
  EXPECT_EQ(error_of(policy("10.3.0.0/16", "10.4.0.0/16", PolicyDirection::kOut,
                            {request(pf::kProtocolAh, pf::Mode::kTunnel)})),
            0);
  const auto id = engine.policies.begin()->second.id;
  const auto one = [](std::string_view a) { return model::TrafficSelector::of(IpPrefix::host(ip(a))); };
  EXPECT_TRUE(server.on_event(Acquire{id, one("10.3.0.1"), one("10.4.0.1")}, time));
  const auto told = read(me);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].header.sa_type, pf::SaType::kAh);
  ASSERT_TRUE(told[0].proposal);
  for (const auto& combination : told[0].proposal->combinations) {
    EXPECT_EQ(combination.encrypt, pf::EncryptAlgorithm::kNone);
    EXPECT_NE(combination.auth, pf::AuthAlgorithm::kNone);
  }
}

TEST_F(PfkeyBundles, AhAroundEsp) {
  const std::vector outbound{request(pf::kProtocolEsp, pf::Mode::kTunnel),
                             request(pf::kProtocolAh, pf::Mode::kTransport)};
  const std::vector inbound{request(pf::kProtocolEsp, pf::Mode::kTunnel, true),
                            request(pf::kProtocolAh, pf::Mode::kTransport)};
  EXPECT_EQ(error_of(policy("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut, outbound)), 0);
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000)), 0);
  EXPECT_EQ(error_of(ah("192.0.2.1", "192.0.2.2", 0x1001)), 0);
  EXPECT_EQ(error_of(add("192.0.2.2", "192.0.2.1", 0x2000)), 0);
  EXPECT_EQ(error_of(ah("192.0.2.2", "192.0.2.1", 0x2001)), 0);
  ASSERT_NE(engine_sa(Direction::kInbound, 0x2000), nullptr);
  EXPECT_FALSE(engine_sa(Direction::kInbound, 0x2000)->inside_ah);
  EXPECT_EQ(error_of(policy("10.2.0.0/16", "10.1.0.0/16", PolicyDirection::kIn, inbound)), 0);
  EXPECT_TRUE(engine_sa(Direction::kInbound, 0x2000)->inside_ah) << "ESP alone is not enough any more";
  const auto* ah_in = engine_sa(Direction::kInbound, 0x2001);
  EXPECT_TRUE(ah_in->paired_selectors && ah_in->local_selectors.empty()) << "and AH alone neither";
  const auto& spec = engine.policies.begin()->second;
  EXPECT_EQ(spec.served_by(), engine_sa(Direction::kOutbound, 0x1000)->policy);
  EXPECT_EQ(spec.ah_group, engine_sa(Direction::kOutbound, 0x1001)->policy);
  EXPECT_EQ(error_of(spd(Type::kSpdDelete, "10.2.0.0/16", "10.1.0.0/16", PolicyDirection::kIn)), 0);
  EXPECT_FALSE(engine_sa(Direction::kInbound, 0x2000)->inside_ah);
}

TEST_F(PfkeyBundles, IpcompInsideEsp) {
  const auto bundle = [&](bool in) {
    return std::vector{request(pf::kProtocolIpComp, pf::Mode::kTunnel, in),
                       request(pf::kProtocolEsp, pf::Mode::kTransport)};
  };
  EXPECT_EQ(error_of(policy("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut, bundle(false))), 0);
  EXPECT_EQ(error_of(policy("10.2.0.0/16", "10.1.0.0/16", PolicyDirection::kIn, bundle(true))), 0);
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000, pf::Mode::kTransport)), 0);
  EXPECT_EQ(error_of(add("192.0.2.2", "192.0.2.1", 0x2000, pf::Mode::kTransport)), 0);
  EXPECT_EQ(error_of(ipcomp("192.0.2.1", "192.0.2.2", 0x3e8)), 0);
  EXPECT_EQ(error_of(ipcomp("192.0.2.2", "192.0.2.1", 0x3e9)), 0);
  EXPECT_EQ(engine.sas.size(), 2U) << "IPComp belongs to the ESP SA";
  const auto* out = engine_sa(Direction::kOutbound, 0x1000);
  const auto* in = engine_sa(Direction::kInbound, 0x2000);
  EXPECT_EQ(out->mode, model::Mode::kTunnel);
  EXPECT_EQ(out->ipcomp_cpi, 0x3e8);
  EXPECT_TRUE(out->local_selectors.empty());
  EXPECT_EQ(out->policy, engine.policies.begin()->second.served_by());
  EXPECT_EQ(in->mode, model::Mode::kTunnel);
  EXPECT_EQ(in->ipcomp_cpi, 0x3e9);
  EXPECT_EQ(model::to_string(in->remote_selectors), "10.2.0.0/16");
  auto gone = sa(Type::kDelete, "192.0.2.1", "192.0.2.2", 0x3e8);
  gone.header.sa_type = pf::SaType::kIpComp;
  EXPECT_EQ(error_of(gone), 0);
  EXPECT_EQ(engine_sa(Direction::kOutbound, 0x1000)->ipcomp_cpi, 0);
}

TEST_F(PfkeyBundles, BeetKnowsTheInnerAddressesFromItsPolicies) {
  auto m = add("192.0.2.1", "192.0.2.2", 0x1000, pf::Mode::kBeet);
  EXPECT_EQ(error_of(m), 0);
  EXPECT_TRUE(engine.sas.empty()) << "nobody has said who is inside";
  EXPECT_EQ(error_of(policy("10.9.0.1/32", "10.9.0.2/32", PolicyDirection::kOut,
                            {request(pf::kProtocolEsp, pf::Mode::kBeet)})),
            0);
  const auto* out = engine.only(Direction::kOutbound);
  ASSERT_NE(out, nullptr);
  EXPECT_EQ(out->mode, model::Mode::kBeet);
  EXPECT_EQ(out->inner_local, ip("10.9.0.1"));
  EXPECT_EQ(out->inner_remote, ip("10.9.0.2"));
  EXPECT_EQ(out->policy, engine.policies.begin()->second.served_by());
  want_error_texts();
  expect_error(
      policy("10.9.0.0/24", "10.9.0.2/32", PolicyDirection::kOut, {request(pf::kProtocolEsp, pf::Mode::kBeet)}), EINVAL,
      "one host");
}

TEST_F(PfkeyBundles, OneNumberForSeveralProtocols) {
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000)), 0);
  EXPECT_EQ(error_of(ipcomp("192.0.2.1", "192.0.2.2", 0x1000)), 0);
  auto cpi = sa(Type::kGetSpi, "192.0.2.1", "192.0.2.2", 0);
  cpi.header.sa_type = pf::SaType::kIpComp;
  cpi.sa.reset();
  const auto given = ask(cpi);
  ASSERT_TRUE(given.sa);
  EXPECT_LE(given.sa->spi.value, 0xffffU);
  auto gone = sa(Type::kDelete, "192.0.2.1", "192.0.2.2", 0x1000);
  EXPECT_EQ(error_of(gone), 0);
  gone.header.sa_type = pf::SaType::kIpComp;
  EXPECT_EQ(error_of(gone), 0);
}

TEST_F(PfkeyBundles, WhatMakesNoSenseIsRefused) {
  want_error_texts();
  const auto refused = [&](std::vector<PolicyRequest> requests, int error, std::string_view text) {
    expect_error(policy("10.1.0.0/16", "10.2.0.0/16", PolicyDirection::kOut, std::move(requests)), error, text);
  };
  const auto esp = request(pf::kProtocolEsp, pf::Mode::kTunnel);
  const auto ah_transport = request(pf::kProtocolAh, pf::Mode::kTransport);
  refused({ah_transport, esp}, EOPNOTSUPP, "in this order");
  refused({esp, esp}, EOPNOTSUPP, "each once");
  refused({esp, request(pf::kProtocolAh, pf::Mode::kTunnel)}, EOPNOTSUPP, "no second tunnel");
  refused({request(pf::kProtocolIpComp, pf::Mode::kTransport), esp}, EOPNOTSUPP, "ipcomp/tunnel");
  refused({request(pf::kProtocolIpComp, pf::Mode::kTransport), ah_transport}, EOPNOTSUPP, "inside esp only");
  refused({request(pf::kProtocolAh, pf::Mode::kBeet)}, EOPNOTSUPP, "no BEET");
  auto m = ipcomp("192.0.2.1", "192.0.2.2", 0x12345);
  expect_error(m, EINVAL, "16 bits");
  m = ipcomp("192.0.2.1", "192.0.2.2", 1000);
  m.sa->encrypt = static_cast<pf::EncryptAlgorithm>(3);
  expect_error(m, EINVAL, "deflate");
  EXPECT_TRUE(engine.policies.empty());
}

}  // namespace
}  // namespace cygnet::sadb::test
