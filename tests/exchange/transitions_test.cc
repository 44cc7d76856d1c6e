// SPDX-License-Identifier: Apache-2.0
// Rows of the transition table that no ordinary life passes through.
#include <gtest/gtest.h>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

using namespace wire::ike;

// A message of one side's making, sealed with the keys the sides agreed on.
Bytes sealed(Side& by, const ike::IkeStatus& sa, bool from_initiator, bool response, ExchangeType exchange,
             std::uint32_t id, const Payloads& payloads) {
  Header header;
  header.spi_i = sa.spi_i;
  header.spi_r = sa.spi_r;
  header.exchange = exchange;
  header.initiator = from_initiator;
  header.response = response;
  header.message_id = MessageId(id);
  const auto bytes = by.keys().seal(header, payloads);
  EXPECT_TRUE(bytes);
  return bytes.value_or(Bytes{});
}

TEST(Transitions, TheResponderWantsEap) {
  Exchange e(tunnel("tun"));
  e.initiate(e.a());
  e.deliver();
  e.deliver();
  const Flight request = e.drop("IKE_AUTH request");
  const auto sa = e.a().endpoint().status().at(0);
  const auto idr = make_id(false, {model::IdType::kFqdn, to_bytes("b.test")});
  EapPayload eap;
  eap.message = {1, 1, 0, 4};
  e.inject(e.a(), {request.path.remote, request.path.local, request.path.marked},
           sealed(e.a(), sa, false, true, ExchangeType::kIkeAuth, 1, {idr, eap}));
  EXPECT_TRUE(e.a().reported("eap-wanted"));
  EXPECT_FALSE(last_done(e.a()).ok);
  EXPECT_TRUE(contains(last_done(e.a()).message, "pre-shared key")) << last_done(e.a()).message;
  EXPECT_TRUE(e.a().endpoint().status().empty());
}

TEST(Transitions, AReplacedIkeSaTakesNoNewWork) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const auto old = e.a().endpoint().status().at(0);
  e.rekey_ike(e.a());
  e.deliver("A -> B CREATE_CHILD_SA request 2");
  (void)e.drop("A <- B CREATE_CHILD_SA response 2");
  e.inject(e.b(), e.b().endpoint().status().at(0).path,
           sealed(e.a(), old, true, false, ExchangeType::kCreateChildSa, 3, {NoncePayload{Bytes(32, 1)}}));
  e.expect_in_the_air({"A <- B CREATE_CHILD_SA response 3: N(TEMPORARY_FAILURE)"});
}

TEST(Transitions, ASignOfLifeOnAReplacedIkeSa) {
  const auto a = tunnel("tun");
  auto b = mirrored(a);
  b.dpd_delay_s = 30;
  Exchange e(a, b);
  e.bring_up();
  e.advance(32s);
  e.deliver("A <- B INFORMATIONAL request 0");
  const Flight answer = e.drop("A -> B INFORMATIONAL response 0");
  e.rekey_ike(e.a());
  e.deliver("A -> B CREATE_CHILD_SA request 2");
  EXPECT_EQ(e.b().endpoint().status().size(), 2U);
  e.inject(answer);
  for (const auto& sa : e.b().endpoint().status()) EXPECT_TRUE(sa.pending.empty()) << sa.state;
  e.run();
  EXPECT_EQ(e.b().endpoint().status().size(), 1U);
  e.expect_tunnel();
}

}  // namespace
}  // namespace cygnet::test
