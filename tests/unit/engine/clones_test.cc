// SPDX-License-Identifier: Apache-2.0
// SAs for single threads (RFC 9611): who sends on which.
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <thread>

#include "engine/lane.h"
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

class Lock final : public Turn {
 public:
  void take() override { mutex_.lock(); }
  void give() override { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

constexpr std::uint32_t kFirstClone = 0x7000;

class Clones : public TwoGateways {
 protected:
  void SetUp() override { connect({.udp = true}); }

  void share(std::size_t threads) {
    a.engine.share(lock_);
    lock_.take();
    while (lanes_.size() < threads) lanes_.push_back(a.engine.open_lane());
    lock_.give();
  }

  [[nodiscard]] static model::SaSpec clone(std::uint16_t number, model::Direction direction, std::uint32_t more = 0) {
    auto out = spec({.udp = true}, true, direction);
    out.child = model::ChildId{700 + number + more};
    out.spi = Spi{kFirstClone + number + more};
    out.resource = number;
    // Keys of its own.
    for (auto& octet : out.encryption_key) octet = static_cast<std::uint8_t>(octet + number + more + 1);
    return out;
  }
  void add(std::uint16_t number, std::uint32_t more = 0, bool standby = false) {
    auto out = clone(number, model::Direction::kOutbound, more);
    out.standby = standby;
    ok(a.engine.install_sa(out, a.now));
    ok(b.engine.install_sa(clone(number, model::Direction::kInbound, more), b.now));
  }

  // The SPI that a packet of this thread leaves with; B opens it.
  std::uint32_t sends(std::size_t thread, std::uint16_t port = 1000) {
    auto packet = udp_packet("10.1.0.1", "10.2.0.1", 64, {}, port);
    const auto before = packet;
    OutPacket out{packet, {}, a.device};
    Verdicts verdicts;
    a.engine.process_outbound(*lanes_.at(thread), {&out, 1}, a.now, verdicts);
    const auto esp = outcome_of(verdicts).esp();
    if (esp.size() != 1) return 0;
    auto sealed = esp[0];
    EXPECT_EQ(b.receive(sealed).packets().size(), 1U);
    return load_be32(esp[0].data());
  }

  Lock lock_;
  std::vector<Lane*> lanes_;
};

TEST_F(Clones, EachThreadSendsOnItsOwn) {
  share(3);
  const auto all = sends(0);
  EXPECT_LT(all, kFirstClone);
  add(0);
  add(1);
  EXPECT_EQ(sends(0), kFirstClone);
  EXPECT_EQ(sends(1), kFirstClone + 1);
  EXPECT_EQ(sends(2), all) << "a thread without one sends on that of all";
  EXPECT_EQ(sends(1), kFirstClone + 1) << "also a flow that is known";
  add(2);
  EXPECT_EQ(sends(2), kFirstClone + 2);
}

TEST_F(Clones, MoreOfThemThanThreads) {
  share(2);
  for (std::uint16_t number = 0; number < 4; ++number) add(number);
  EXPECT_EQ(sends(0), kFirstClone + 2) << "the newest of the thread";
  EXPECT_EQ(sends(1), kFirstClone + 3);
  ok(a.engine.remove_sa(model::Direction::kOutbound, Spi{kFirstClone + 2}, model::ChildId{702}));
  EXPECT_EQ(sends(0), kFirstClone);
}

TEST_F(Clones, OneThreadSendsOnTheSaOfAll) {
  add(0);
  share(1);
  EXPECT_LT(sends(0), kFirstClone);
  EXPECT_LT(load_be32(a.send(udp_packet("10.1.0.1", "10.2.0.1", 64)).esp().at(0).data()), kFirstClone);
}

TEST_F(Clones, ComeIntoUseAndGo) {
  share(2);
  const auto all = sends(1);
  add(1, 0, true);
  EXPECT_EQ(sends(1), all) << "on standby";
  ok(a.engine.activate(model::ChildId{701}));
  EXPECT_EQ(sends(1), kFirstClone + 1);
  // Rekeyed.
  add(1, 16, true);
  EXPECT_EQ(sends(1), kFirstClone + 1);
  ok(a.engine.activate(model::ChildId{717}));
  EXPECT_EQ(sends(1), kFirstClone + 17);
  ok(a.engine.remove_sa(model::Direction::kOutbound, Spi{kFirstClone + 17}, model::ChildId{717}));
  EXPECT_EQ(sends(1), kFirstClone + 1);
  ok(a.engine.remove_sa(model::Direction::kOutbound, Spi{kFirstClone + 1}, model::ChildId{701}));
  EXPECT_EQ(sends(1), all);
}

TEST_F(Clones, AtTheEndOfItsLifeTheSaOfAllTakesOver) {
  share(2);
  const auto all = sends(1);
  auto out = clone(1, model::Direction::kOutbound);
  out.lifetime.hard_packets = 1;
  ok(a.engine.install_sa(out, a.now));
  ok(b.engine.install_sa(clone(1, model::Direction::kInbound), b.now));
  EXPECT_EQ(sends(1), kFirstClone + 1);
  (void)sends(1);
  EXPECT_EQ(sends(1), all);
}

TEST_F(Clones, WithoutTheSaOfAllAnyOfThemServes) {
  share(2);
  add(1);
  ok(a.engine.remove_sa(model::Direction::kOutbound, spec({}, true, model::Direction::kOutbound).spi, kChild));
  EXPECT_EQ(sends(0), kFirstClone + 1);
  EXPECT_EQ(sends(1), kFirstClone + 1);
}

TEST_F(Clones, AmongManySasOfAPolicy) {
  share(2);
  // More than are walked one by one.
  for (std::uint32_t i = 0; i < 20; ++i) {
    auto other = spec({.udp = true}, true, model::Direction::kOutbound);
    other.child = model::ChildId{300 + i};
    other.spi = Spi{0x6000 + i};
    other.remote_selectors = selectors({"10.2." + std::to_string(100 + i) + ".0/24"});
    ok(a.engine.install_sa(other, a.now));
  }
  const auto all = sends(0);
  EXPECT_LT(all, 0x6000U);
  add(0);
  add(1);
  EXPECT_EQ(sends(0), kFirstClone);
  EXPECT_EQ(sends(1), kFirstClone + 1);
}

// Bursts of different threads share nothing that has an order: nobody waits for another to send first.
TEST_F(Clones, NobodyWaitsForAnother) {
  share(2);
  const auto burst = [&](std::size_t thread) {
    auto packet = udp_packet("10.1.0.1", "10.2.0.1", 64, {}, static_cast<std::uint16_t>(2000 + thread));
    OutPacket out{packet, {}, a.device};
    Verdicts verdicts;
    a.engine.process_outbound(*lanes_[thread], {&out, 1}, a.now, verdicts);
  };
  burst(0);
  burst(1);
  EXPECT_EQ(lanes_[1]->after[0], lanes_[0]->ticket) << "one SA: in order";
  add(0);
  add(1);
  burst(0);
  burst(1);
  EXPECT_EQ(lanes_[1]->after[0], 0U);
}

// Clones come and go while their threads send: every packet leaves once, on an SA of its own thread or that of all.
TEST_F(Clones, ComeAndGoUnderTraffic) {
  constexpr std::size_t kThreads = 3;
  constexpr std::uint32_t kEach = 2000;
  share(kThreads);
  const auto all = spec({.udp = true}, true, model::Direction::kOutbound).spi.value;
  std::array<std::map<std::uint32_t, std::uint32_t>, kThreads> sent;
  std::vector<std::thread> threads;
  for (std::size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      Verdicts verdicts;
      for (std::uint32_t i = 0; i < kEach; ++i) {
        auto packet = udp_packet("10.1.0.1", "10.2.0.1", 64, {}, static_cast<std::uint16_t>(1000 + thread));
        OutPacket out{packet, {}, a.device};
        verdicts.clear();
        a.engine.process_outbound(*lanes_[thread], {&out, 1}, a.now, verdicts);
        for (const auto& esp : outcome_of(verdicts).esp()) ++sent[thread][load_be32(esp.data())];
      }
    });
  }
  for (std::uint32_t round = 0; round < 300; ++round) {
    for (std::uint16_t number = 0; number < kThreads; ++number) {
      lock_.take();
      const auto more = round % 2 * 16;
      ok(a.engine.install_sa(clone(number, model::Direction::kOutbound, more), a.now));
      const auto other = 16 - more;
      if (round != 0 && round % 3 != 0) {
        (void)a.engine.remove_sa(model::Direction::kOutbound, Spi{kFirstClone + number + other},
                                 model::ChildId{700 + number + other});
      }
      lock_.give();
    }
  }
  for (auto& thread : threads) thread.join();
  for (std::size_t thread = 0; thread < kThreads; ++thread) {
    std::uint32_t total = 0;
    for (const auto& [spi, count] : sent[thread]) {
      total += count;
      EXPECT_TRUE(spi == all || (spi - kFirstClone) % 16 == thread) << spi;
    }
    EXPECT_EQ(total, kEach);
  }
}

}  // namespace
}  // namespace cygnet::engine::test
