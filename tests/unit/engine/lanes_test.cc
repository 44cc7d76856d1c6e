// SPDX-License-Identifier: Apache-2.0
// Several threads, one engine: an SA serves all of them, and still its packets leave in the order of their sequence
// numbers and no copy comes through; SAs come and go meanwhile. ThreadSanitizer watches.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
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

constexpr std::size_t kThreads = 3;
constexpr std::uint32_t kBursts = 300;
constexpr std::uint32_t kPackets = 8;  // a burst
constexpr std::size_t kPayload = 20 + 8;

// The flow (source port) and the number of a packet of ours.
[[nodiscard]] std::pair<std::uint16_t, std::uint32_t> name_of(ByteView packet) {
  return {load_be16(&packet[20]), load_be32(&packet[kPayload])};
}

[[nodiscard]] Bytes packet_of(std::size_t flow, std::uint32_t number) {
  auto packet = udp_packet("10.1.0.1", "10.2.0.1", 64, {}, static_cast<std::uint16_t>(1000 + flow));
  store_be32(&packet[kPayload], number);
  fill_checksum(packet);
  return packet;
}

class Lanes : public TwoGateways {
 protected:
  void share(Gateway& gateway) {
    gateway.engine.share(lock_);
    lock_.take();
    for (auto& lane : lanes_) lane = gateway.engine.open_lane();
    lock_.give();
    for (auto& done : done_) done = 0;
  }

  // What a sender has to do: wait for the bursts that go before.
  void send(const Lane& lane, const Verdicts& verdicts) {
    for (std::size_t i = 0; i < kThreads; ++i) {
      while (done_[i].load() < lane.after[i]) std::this_thread::yield();
    }
    const std::lock_guard hold(wire_mutex_);
    for (auto& esp : outcome_of(verdicts).esp()) wire_.push_back(std::move(esp));
  }
  void finish(const Lane& lane) { done_[lane.number] = lane.ticket; }

  void seal(std::size_t thread) {
    auto& lane = *lanes_[thread];
    Verdicts verdicts;
    for (std::uint32_t burst = 0; burst < kBursts; ++burst) {
      std::vector<Bytes> packets;
      for (std::uint32_t i = 0; i < kPackets; ++i) packets.push_back(packet_of(thread, burst * kPackets + i));
      std::vector<OutPacket> out;
      out.reserve(kPackets);
      for (auto& p : packets) out.push_back({p, {}, a.device});
      verdicts.clear();
      a.engine.process_outbound(lane, out, a.now, verdicts);
      send(lane, verdicts);
      finish(lane);
    }
  }

  // Other SAs and policies come and go, and this one is told its path again.
  void change(const std::atomic<bool>& done) {
    auto other = spec({.udp = true}, true, model::Direction::kOutbound);
    auto inbound = spec({.udp = true}, false, model::Direction::kInbound);
    auto wide = policy({}, true);
    for (std::uint32_t round = 0; !done.load(); ++round) {
      const Hold hold(lock_);
      other.child = inbound.child = model::ChildId{100 + round % 7};
      other.spi = inbound.spi = Spi{0x5000 + round % 7};
      other.policy = wide.id = model::PolicyId{8 + round % 3};
      wide.local = selectors({"10.3.0.0/16"});
      ok(a.engine.install_policy(wide));
      ok(a.engine.install_sa(other, a.now));
      ok(a.engine.install_sa(inbound, a.now));
      const auto same = spec({.udp = true}, true, model::Direction::kOutbound);
      ok(a.engine.update_endpoints(kChild, same.local, same.remote, true));
      if (round % 5 == 0) (void)a.engine.dump(true);
      if (round % 2 == 0) {
        ok(a.engine.remove_sa(model::Direction::kOutbound, other.spi, other.child));
        ok(a.engine.remove_sa(model::Direction::kInbound, other.spi, other.child));
      }
    }
  }

  // Holds the turn as the daemon's control thread does.
  class Hold {
   public:
    explicit Hold(Turn& turn) : turn_(turn) { turn_.take(); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() { turn_.give(); }

   private:
    Turn& turn_;
  };

  template <typename Work>
  void on_all_threads(Work work) {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kThreads; ++i) threads.emplace_back([&, i] { work(i); });
    for (auto& thread : threads) thread.join();
  }

  Lock lock_;
  std::array<Lane*, kThreads> lanes_{};
  std::array<std::atomic<std::uint64_t>, kThreads> done_{};
  std::mutex wire_mutex_;
  std::vector<Bytes> wire_;
};

TEST_F(Lanes, OneSaOfManyThreadsKeepsItsOrder) {
  // The shortest window a peer may have: what leaves out of order is lost there.
  connect({.udp = true, .replay_window = 32});
  share(a);
  std::atomic<bool> done{false};
  std::thread control([&] { change(done); });
  on_all_threads([&](std::size_t thread) { seal(thread); });
  done = true;
  control.join();

  constexpr std::uint32_t kEach = kBursts * kPackets;
  ASSERT_EQ(wire_.size(), kThreads * kEach);
  std::uint32_t sequence = 0;
  std::map<std::uint16_t, std::uint32_t> next;
  for (auto& esp : wire_) {
    ASSERT_EQ(wire::esp_sequence_low(esp.data()), ++sequence);
    const auto arrived = b.receive(esp).packets();
    ASSERT_EQ(arrived.size(), 1U);
    const auto [flow, number] = name_of(arrived[0]);
    ASSERT_EQ(number, next[flow]++);
  }
  EXPECT_EQ(next.size(), kThreads);
  EXPECT_EQ(b.drops(DropReason::kReplayOld), 0U);
  EXPECT_EQ(counters(b.engine, model::Direction::kInbound).packets, kThreads * kEach);
  EXPECT_EQ(a.engine.statistics().packets_out, kThreads * kEach);
}

// Each thread is given every packet; each packet comes through once.
TEST_F(Lanes, ReplayWindowHoldsAcrossThreads) {
  connect({.udp = true, .replay_window = 4096});
  std::vector<Bytes> sealed;
  for (std::uint32_t i = 0; i < kBursts; ++i) sealed.push_back(a.send(packet_of(0, i)).esp().at(0));
  share(b);
  std::array<std::vector<Bytes>, kThreads> delivered;
  on_all_threads([&](std::size_t thread) {
    Verdicts verdicts;
    for (std::size_t first = 0; first < sealed.size(); first += kPackets) {
      std::vector<Bytes> copies(
          sealed.begin() + static_cast<std::ptrdiff_t>(first),
          sealed.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(first + kPackets, sealed.size())));
      std::vector<InPacket> in;
      in.reserve(copies.size());
      for (auto& c : copies) in.push_back({c, 0, b.from_local, b.from_remote, true, 0});
      verdicts.clear();
      b.engine.process_inbound(*lanes_[thread], in, b.now, verdicts);
      for (auto& packet : outcome_of(verdicts).packets()) delivered[thread].push_back(std::move(packet));
    }
  });
  std::set<std::uint32_t> seen;
  std::size_t count = 0;
  for (const auto& packets : delivered) {
    for (const auto& packet : packets) {
      seen.insert(name_of(packet).second);
      ++count;
    }
  }
  EXPECT_EQ(count, kBursts);
  EXPECT_EQ(seen.size(), kBursts);
  EXPECT_EQ(b.drops(DropReason::kReplaySeen), (kThreads - 1) * kBursts);
  EXPECT_EQ(b.engine.statistics().packets_in, kBursts);
}

// A cipher that may not be called by two threads at once works within the turn: nothing is lost, nothing forged.
TEST_F(Lanes, CiphersThatCannotBeSharedAreNot) {
  connect({.encryption = model::EncryptionId::kAesCtr,
           .integrity = model::IntegrityId::kHmacSha1_96,
           .udp = true,
           .replay_window = 32});
  share(a);
  on_all_threads([&](std::size_t thread) { seal(thread); });
  for (auto& esp : wire_) ASSERT_EQ(b.receive(esp).packets().size(), 1U);
  EXPECT_EQ(counters(b.engine, model::Direction::kInbound).packets, kThreads * kBursts * kPackets);
}

TEST_F(Lanes, TimersSendBehindWhatWasSealedBefore) {
  connect({.udp = true});
  share(a);
  auto packet = packet_of(0, 0);
  const OutPacket out{packet, {}, a.device};
  std::array one{out};
  Verdicts verdicts;
  a.engine.process_outbound(*lanes_[1], one, a.now, verdicts);
  auto again = packet_of(1, 0);
  one[0].bytes = again;
  Verdicts later;
  a.engine.process_outbound(*lanes_[0], one, a.now, later);
  EXPECT_EQ(lanes_[0]->after[1], lanes_[1]->ticket);
  EXPECT_EQ(lanes_[1]->after[0], 0U);
  EXPECT_FALSE(lanes_[0]->held);
  Verdicts none;
  a.engine.on_timer(*lanes_[2], a.now, none);
  EXPECT_TRUE(none.empty());
  EXPECT_GT(lanes_[2]->ticket, lanes_[0]->ticket);
}

TEST_F(Lanes, ThereAreNotMoreThanFit) {
  const Hold hold(lock_);
  a.engine.share(lock_);
  for (std::size_t i = 0; i < Lane::kMost; ++i) {
    const auto* lane = a.engine.open_lane();
    ASSERT_NE(lane, nullptr);
    EXPECT_EQ(lane->number, i);
  }
  EXPECT_EQ(a.engine.open_lane(), nullptr);
}

}  // namespace
}  // namespace cygnet::engine::test
