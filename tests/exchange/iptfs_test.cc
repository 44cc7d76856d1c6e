// SPDX-License-Identifier: Apache-2.0
// Agreeing on IP-TFS: USE_AGGFRAG (RFC 9347 section 5.1).
#include <gtest/gtest.h>

#include "exchange/arrows.h"
#include "ike/v2/aggfrag.h"

namespace cygnet::test {
namespace {

model::Connection with(const model::IpTfs& tfs) {
  auto c = tunnel("tun");
  c.children[0].iptfs = tfs;
  return c;
}

const model::SaSpec& sa(const Side& side, model::Direction direction) {
  const auto* out = side.plane.outbound("tun", "tun");
  return direction == model::Direction::kOutbound ? out->spec
                                                  : side.plane.find(out->spec.child, model::Direction::kInbound)->spec;
}

void expect_all(Exchange& e, bool enabled) {
  for (auto* side : {&e.a(), &e.b()}) {
    for (const auto direction : {model::Direction::kInbound, model::Direction::kOutbound}) {
      EXPECT_EQ(sa(*side, direction).iptfs.enabled, enabled);
    }
  }
}

TEST(IpTfs, AgreedOnInTheFirstChildAndInEachRekey) {
  const model::IpTfs mine{.enabled = true, .packet_octets = 1200};
  const model::IpTfs theirs{.enabled = true, .bits_per_s = 1'000'000, .reorder_window = 9};
  Exchange e(with(mine), mirrored(with(theirs)));
  e.initiate(e.a());
  e.advance_and_run(1s);
  expect_all(e, true);
  // RFC 9347 section 4: what is configured is of the end that sends.
  EXPECT_EQ(sa(e.a(), model::Direction::kOutbound).iptfs, mine);
  EXPECT_EQ(sa(e.b(), model::Direction::kOutbound).iptfs, theirs);
  EXPECT_EQ(sa(e.b(), model::Direction::kInbound).iptfs.reorder_window, 9U);
  for (auto* who : {&e.a(), &e.b()}) {
    const auto before = sa(e.a(), model::Direction::kOutbound).spi;
    e.rekey_child(*who);
    e.advance_and_run(60s);
    EXPECT_NE(sa(e.a(), model::Direction::kOutbound).spi, before);
    expect_all(e, true);
  }
}

TEST(IpTfs, RequirementsOfOneEndBindTheOther) {
  Exchange e(with({.enabled = true, .fragment = false, .congestion_control = true}), mirrored(with({.enabled = true})));
  e.initiate(e.a());
  e.advance_and_run(1s);
  const auto& a = sa(e.a(), model::Direction::kOutbound).iptfs;
  const auto& b = sa(e.b(), model::Direction::kOutbound).iptfs;
  EXPECT_FALSE(a.fragment) << "not cut here";
  EXPECT_FALSE(b.fragment) << "and not taken either: the peer must not";
  EXPECT_TRUE(b.reports);
  EXPECT_FALSE(b.congestion_control);
  EXPECT_FALSE(a.reports);
  EXPECT_TRUE(a.congestion_control);
}

// The kernel's IP-TFS sends no reports: nothing is agreed on that would not be kept.
TEST(IpTfs, TheKernelAgreesOnNoReports) {
  for (const bool required : {false, true}) {
    Exchange e;
    e.add("A", "192.0.2.1", {with({.enabled = true, .bits_per_s = 1'000'000, .congestion_control = true})},
          {secret("s3cret")});
    ike::EndpointSettings kernel;
    kernel.in_kernel = [](const model::Connection&) { return true; };
    e.add("B", "198.51.100.1", {mirrored(with({.enabled = true, .required = required}))}, {secret("s3cret")}, kernel);
    e.initiate(e.a());
    e.advance_and_run(1s);
    EXPECT_EQ(e.b().reported("iptfs-required"), required);
    EXPECT_EQ(e.b().reported("iptfs-declined"), !required);
    if (!required) expect_all(e, false);
  }
}

TEST(IpTfs, TheOctetOfFlags) {
  const auto said = [](const Bytes& data) {
    wire::ike::NotifyPayload notify;
    notify.type = wire::ike::NotifyType::kUseAggfrag;
    notify.data = data;
    wire::ike::Payloads payloads;
    payloads.emplace_back(notify);
    return ike::v2::aggfrag_in(payloads);
  };
  EXPECT_TRUE(said({}).agreed) << "Libreswan leaves it out";
  EXPECT_TRUE(said({0}).peer_takes_fragments);
  EXPECT_FALSE(said({1}).peer_takes_fragments);
  EXPECT_TRUE(said({2}).peer_wants_reports);
  for (const Bytes& odd : {Bytes{4}, Bytes{0x80}, Bytes{0, 0}}) {
    EXPECT_FALSE(said(odd).agreed);
    EXPECT_TRUE(said(odd).not_understood);
  }
  EXPECT_FALSE(ike::v2::aggfrag_in({}).not_understood);
  wire::ike::Payloads reports;
  reports.emplace_back(ike::v2::use_aggfrag({.enabled = true, .congestion_control = true}));
  EXPECT_FALSE(ike::v2::aggfrag_in(reports, false).agreed);
  EXPECT_TRUE(ike::v2::aggfrag_in(reports, false).not_understood);
  EXPECT_EQ(ike::v2::use_aggfrag({.enabled = true}).data, Bytes{0});
  EXPECT_EQ(ike::v2::use_aggfrag({.enabled = true, .fragment = false, .congestion_control = true}).data, Bytes{3});
}

TEST(IpTfs, WithoutItOnOneEndThereIsAPlainTunnel) {
  for (const bool initiator : {true, false}) {
    const auto yes = with({.enabled = true});
    const auto no = with({});
    Exchange e(initiator ? yes : no, mirrored(initiator ? no : yes));
    e.initiate(e.a());
    e.advance_and_run(1s);
    expect_all(e, false);
    EXPECT_EQ(e.a().reported("iptfs-declined"), initiator);
    EXPECT_EQ(e.b().reported("iptfs-declined"), !initiator);
  }
}

TEST(IpTfs, WhoRequiresItTakesNoPlainTunnel) {
  for (const bool initiator : {true, false}) {
    const auto yes = with({.enabled = true, .required = true});
    const auto no = with({});
    Exchange e(initiator ? yes : no, mirrored(initiator ? no : yes));
    e.initiate(e.a());
    e.advance_and_run(5s);
    EXPECT_EQ(e.a().plane.outbound("tun", "tun"), nullptr);
    EXPECT_EQ(e.b().plane.outbound("tun", "tun"), nullptr);
    EXPECT_EQ(e.a().reported("iptfs-required"), initiator);
    EXPECT_EQ(e.b().reported("iptfs-required"), !initiator);
  }
  Exchange e(with({.enabled = true, .required = true}), mirrored(with({.enabled = true, .required = true})));
  e.initiate(e.a());
  e.advance_and_run(1s);
  expect_all(e, true);
}

}  // namespace
}  // namespace cygnet::test
