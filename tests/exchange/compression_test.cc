// SPDX-License-Identifier: Apache-2.0
// IPCOMP_SUPPORTED (RFC 7296 section 2.22).
#include "ike/v2/compression.h"

#include <gtest/gtest.h>

#include <set>

#include "exchange/arrows.h"
#include "wire/ipcomp_header.h"

namespace cygnet::test {
namespace {

model::Connection compressing(bool compress = true) {
  auto c = tunnel("tun");
  c.children[0].compress = compress;
  return c;
}

const model::SaSpec& sa(const Side& side, model::Direction direction) {
  const auto* out = side.plane.outbound("tun", "tun");
  return direction == model::Direction::kOutbound ? out->spec
                                                  : side.plane.find(out->spec.child, model::Direction::kInbound)->spec;
}

// Each end's CPI is what the other one writes into its packets.
void expect_agreed(Exchange& e) {
  const auto a_out = sa(e.a(), model::Direction::kOutbound).ipcomp_cpi;
  const auto b_out = sa(e.b(), model::Direction::kOutbound).ipcomp_cpi;
  EXPECT_GE(a_out, wire::kFirstNegotiatedCpi);
  EXPECT_LE(a_out, wire::kLastNegotiatedCpi);
  EXPECT_GE(b_out, wire::kFirstNegotiatedCpi);
  EXPECT_EQ(sa(e.b(), model::Direction::kInbound).ipcomp_cpi, a_out);
  EXPECT_EQ(sa(e.a(), model::Direction::kInbound).ipcomp_cpi, b_out);
}

void expect_none(Exchange& e) {
  for (auto* side : {&e.a(), &e.b()}) {
    EXPECT_EQ(sa(*side, model::Direction::kInbound).ipcomp_cpi, 0);
    EXPECT_EQ(sa(*side, model::Direction::kOutbound).ipcomp_cpi, 0);
  }
}

TEST(Compression, AgreedOnInTheFirstChildAndInEachRekey) {
  Exchange e(compressing());
  e.initiate(e.a());
  e.expect(kInitExchange +
           std::vector<std::string>{
               "A -> B IKE_AUTH request 1: IDi N(INITIAL_CONTACT) IDr AUTH N(IPCOMP_SUPPORTED) SA TSi TSr",
               "A <- B IKE_AUTH response 1: IDr AUTH N(IPCOMP_SUPPORTED) SA TSi TSr"});
  e.expect_tunnel();
  expect_agreed(e);
  const auto before = sa(e.a(), model::Direction::kOutbound).spi;
  for (auto* who : {&e.a(), &e.b()}) {
    e.rekey_child(*who);
    e.advance_and_run(60s);
    expect_agreed(e);
  }
  EXPECT_NE(sa(e.a(), model::Direction::kOutbound).spi, before);
}

TEST(Compression, WhoDoesNotWantItIsNotAskedAndNotAnswered) {
  {
    Exchange e(compressing(), mirrored(compressing(false)));
    e.initiate(e.a());
    e.advance_and_run(60s);
    e.expect_tunnel();
    expect_none(e);
  }
  Exchange e(compressing(false), mirrored(compressing()));
  e.initiate(e.a());
  e.advance_and_run(60s);
  e.expect_tunnel();
  expect_none(e);
}

TEST(Compression, SurvivesACrash) {
  Exchange e(compressing());
  e.initiate(e.a());
  e.advance_and_run(60s);
  e.a().crash();
  e.a().restart(e.now());
  e.rekey_child(e.a());
  e.advance_and_run(60s);
  expect_agreed(e);
}

// In the kernel ESP is in transport mode inside IPComp's tunnel: its packets are of the family of its ends.
TEST(Compression, TheKernelCompressesTheFamilyOfItsEnds) {
  ike::EndpointSettings kernel;
  kernel.in_kernel = [](const model::Connection&) { return true; };
  for (const bool initiator : {true, false}) {
    for (const bool other_family : {true, false}) {
      auto c = compressing();
      if (other_family) {
        c.children[0].local = {*model::TrafficSelector::parse("2001:db8:1::/48")};
        c.children[0].remote = {*model::TrafficSelector::parse("2001:db8:2::/48")};
      }
      Exchange e;
      e.add("A", "192.0.2.1", {c}, {secret("s3cret")}, initiator ? kernel : ike::EndpointSettings{});
      e.add("B", "198.51.100.1", {mirrored(c)}, {secret("s3cret")}, initiator ? ike::EndpointSettings{} : kernel);
      e.initiate(e.a());
      e.advance_and_run(1s);
      auto& in_kernel = initiator ? e.a() : e.b();
      EXPECT_EQ(in_kernel.reported("not-compressed"), other_family);
      other_family ? expect_none(e) : expect_agreed(e);
      e.rekey_child(e.a());
      e.advance_and_run(60s);
      other_family ? expect_none(e) : expect_agreed(e);
    }
  }
}

// There a CPI names one SA, whoever the peer is.
TEST(Compression, NoTwoSasInTheKernelHaveOneCpi) {
  ike::EndpointSettings kernel;
  kernel.in_kernel = [](const model::Connection&) { return true; };
  SeededRandom random(7);
  ike::v2::World world(kernel, random);
  const auto c = compressing();
  std::set<std::uint16_t> cpis;
  // By chance alone some of so many would have one that is there already.
  for (int i = 0; i < 2000; ++i) EXPECT_TRUE(cpis.insert(ike::v2::cpi_of(world.new_esp_spi(c))).second) << i;
}

}  // namespace
}  // namespace cygnet::test
