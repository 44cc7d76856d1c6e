// SPDX-License-Identifier: Apache-2.0
// Congestion control of IP-TFS: loss events (RFC 5348 section 5), the rate they allow (section 3.1), and two engines
// that tell each other (RFC 9347 section 3).
#include "engine/tfs_congestion.h"

#include "unit/engine/support.h"
#include "wire/aggfrag_header.h"

namespace cygnet::engine::test {
namespace {

TEST(LossMeter, NoLossIsZero) {
  LossMeter meter;
  meter.on_received(1000);
  meter.on_lost(0, Instant{1s}, 10ms);
  EXPECT_EQ(meter.loss_event_rate(), 0U);
}

TEST(LossMeter, LossesWithinARoundTripAreOneEvent) {
  LossMeter meter;
  meter.on_received(100);
  meter.on_lost(1, Instant{1s}, 10ms);
  EXPECT_EQ(meter.loss_event_rate(), 100U) << "the interval before the loss";
  meter.on_received(50);
  meter.on_lost(2, Instant{1s} + 9ms, 10ms);
  EXPECT_EQ(meter.loss_event_rate(), 100U);
  meter.on_received(47);
  meter.on_lost(1, Instant{1s} + 11ms, 10ms);
  // Intervals of 1 (growing), 100 and 100: the growing one is left out, for it makes the mean smaller.
  EXPECT_EQ(meter.loss_event_rate(), 100U);
  meter.on_received(499);
  EXPECT_EQ(meter.loss_event_rate(), 300U) << "(500 + 100) / 2: a long time without loss counts";
}

TEST(LossMeter, OldIntervalsWeighLessAndAreForgotten) {
  LossMeter meter;
  Instant now{1s};
  meter.on_received(1'000'000);
  for (int event = 0; event < 20; ++event) {
    meter.on_lost(1, now += 1s, 10ms);
    meter.on_received(9);
  }
  EXPECT_EQ(meter.loss_event_rate(), 10U);
}

TEST(RateControl, TheEquationOfRfc5348) {
  RateControl rate(1000, 0);
  EXPECT_EQ(rate.octets_per_s(), 4000U) << "before a round trip is known";
  // R = 100 ms, p = 1/100: 1000 / (0.1*sqrt(0.02/3) + 0.4*3*sqrt(0.03/8)*0.01*(1+32*0.0001)) = 112332.
  rate.on_report(100'000, 100, Instant{1s});
  EXPECT_NEAR(static_cast<double>(rate.octets_per_s()), 112332, 2);
  EXPECT_EQ(rate.rtt_us(), 100'000U);
  EXPECT_NEAR(static_cast<double>(rate.interval().count()), 8902172, 500);
  // R = 0.9 * 100 + 0.1 * 200.
  rate.on_report(200'000, 100, Instant{2s});
  EXPECT_EQ(rate.rtt_us(), 110'000U);
}

TEST(RateControl, DoublesWithoutLossUpToTheMost) {
  RateControl rate(1000, 100'000);
  Instant now{1s};
  rate.on_report(50'000, 0, now);
  EXPECT_EQ(rate.octets_per_s(), 8000U);
  rate.on_report(50'000, 0, now + 10ms);
  EXPECT_EQ(rate.octets_per_s(), 8000U) << "once a round trip";
  for (int i = 0; i < 10; ++i) rate.on_report(50'000, 0, now += 60ms);
  EXPECT_EQ(rate.octets_per_s(), 100'000U);
  rate.on_report(50'000, 1, now);
  EXPECT_LT(rate.octets_per_s(), 5000U) << "every packet lost";
}

TEST(RateControl, HalvesWithoutReports) {
  RateControl rate(1000, 0);
  Instant now{1s};
  rate.on_report(100'000, 100, now);
  const auto before = rate.octets_per_s();
  rate.on_time(now + 399ms);
  EXPECT_EQ(rate.octets_per_s(), before);
  rate.on_time(now + 400ms);
  EXPECT_EQ(rate.octets_per_s(), before / 2);
  for (int i = 0; i < 100; ++i) rate.on_time(now += 1000s);
  EXPECT_EQ(rate.octets_per_s(), 15U) << "one packet in 64 seconds is the least";
}

class CongestionControl : public TwoGateways {
 protected:
  // Both ends follow; delay each way, every lose_nth packet of a is lost.
  void run(Duration time, Duration delay, std::size_t lose_nth) {
    struct Flight {
      Instant arrives;
      bool to_b = false;
      Bytes esp;
    };
    std::vector<Flight> flights;
    std::size_t sent = 0;
    const auto send = [&](Gateway& from, const Outcome& outcome, bool to_b) {
      for (auto& esp : outcome.esp()) {
        if (to_b && lose_nth != 0 && ++sent % lose_nth == 0) continue;
        flights.push_back({from.now + delay, to_b, esp});
      }
    };
    const Instant end = a.now + time;
    for (; a.now < end; b.now = a.now) {
      for (auto it = flights.begin(); it != flights.end();) {
        if (it->arrives > a.now) {
          ++it;
          continue;
        }
        (it->to_b ? b : a).receive(it->esp);
        it = flights.erase(it);
      }
      send(a, a.tick(), true);
      send(b, b.tick(), false);
      a.now += 1ms;
    }
    b.now = a.now;
  }
  [[nodiscard]] std::uint64_t sent_by_a() { return counters(a.engine, model::Direction::kOutbound).packets; }
};

TEST_F(CongestionControl, TheRateRisesWithoutLossAndFallsWithIt) {
  TunnelOptions o;
  o.iptfs = {.enabled = true, .bits_per_s = 12'000'000, .congestion_control = true};
  connect(o);
  // Slow start: 4 packets a second doubled each round trip of 40 ms reach 1000 a second within a second.
  run(5s, 20ms, 0);
  const auto before = sent_by_a();
  run(1s, 20ms, 0);
  EXPECT_NEAR(static_cast<double>(sent_by_a() - before), 1000, 20);
  // Every tenth lost: RFC 5348's equation for p = 1/10 and R = 40 ms says 47 packets a second.
  run(10s, 20ms, 10);
  const auto lossy = sent_by_a();
  run(4s, 20ms, 10);
  const auto rate = static_cast<double>(sent_by_a() - lossy) / 4;
  EXPECT_GT(rate, 25);
  EXPECT_LT(rate, 100);
}

TEST_F(CongestionControl, WhoIsAskedForReportsSendsThemWithoutTrafficOfItsOwn) {
  TunnelOptions o;
  o.iptfs = {.enabled = true};
  connect(o);
  using enum model::Direction;
  auto asking = spec(o, true, kOutbound);
  asking.iptfs.congestion_control = true;
  asking.iptfs.bits_per_s = 1'000'000'000;
  ok(a.engine.install_sa(asking, a.now));
  auto answering = spec(o, false, kOutbound);
  answering.iptfs.reports = true;
  ok(b.engine.install_sa(answering, b.now));
  const auto first = a.tick().esp();
  ASSERT_EQ(first.size(), 1U);
  b.now = a.now + 7ms;
  EXPECT_TRUE(b.receive(first[0]).packets().empty());
  const auto answer = b.tick(3ms).esp();
  ASSERT_EQ(answer.size(), 1U);
  const auto sequence = load_be32(&answer[0][4]);
  const auto [payload, next_header] = open_by_hand(spec(o, false, kOutbound), answer[0], sequence);
  EXPECT_EQ(next_header, wire::kAggfrag);
  const auto report = wire::parse_aggfrag_header(payload)->report;
  ASSERT_TRUE(report);
  EXPECT_EQ(report->loss_event_rate, 0U);
  EXPECT_EQ(report->echo, static_cast<std::uint32_t>(3'600'000'000ULL) | 1U) << "a's clock";
  EXPECT_EQ(report->echo_delay_us, 3000U);
  EXPECT_EQ(b.engine.next_deadline(), kNever) << "and no more before something comes";
}

}  // namespace
}  // namespace cygnet::engine::test
