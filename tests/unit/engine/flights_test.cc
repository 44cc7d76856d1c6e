// SPDX-License-Identifier: Apache-2.0
// Ciphers elsewhere: batches come back in any order, late, undone, after their SA has gone; what is sent and delivered
// is what an engine that does all by itself sends and delivers, in the same order.
#include "engine/flights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

// An accelerator: has the keys of each SA itself, from the first batch on, and gives batches back as chance has it.
class ChanceProvider final : public crypto::AsyncCipher {
 public:
  struct Habits {
    std::size_t room = 1000;         // batches that it holds
    std::uint32_t delay = 3;         // each look gives one back with a chance of 1 in this many
    std::uint32_t fails_one_of = 0;  // 0: none
    bool refuses_packets = false;    // all come back as not ok
  };
  ChanceProvider(std::uint64_t seed, const Habits& habits) : random_(seed), habits_(habits) {}

  bool submit(crypto::CipherBatch& batch) override {
    if (held_.size() >= habits_.room) return false;
    held_.push_back(&batch);
    most_held = std::max(most_held, held_.size());
    return true;
  }
  std::size_t completed(std::span<crypto::CipherBatch*> done) override {
    std::size_t count = 0;
    for (std::size_t looks = held_.size(); looks > 0 && count < done.size(); --looks) {
      if (!rest_comes && chance(habits_.delay) != 0) continue;
      const std::size_t at = chance(static_cast<std::uint32_t>(held_.size()));
      auto* batch = held_[at];
      held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(at));
      work(*batch);
      done[count++] = batch;
    }
    return count;
  }
  [[nodiscard]] std::size_t holds() const { return held_.size(); }

  bool rest_comes = false;  // gives all back
  std::size_t most_held = 0;
  std::size_t failed = 0;

 private:
  [[nodiscard]] std::uint32_t chance(std::uint32_t of) {
    std::array<std::uint8_t, 4> octets{};
    random_.fill(octets);
    return load_be32(octets.data()) % of;
  }
  void work(crypto::CipherBatch& batch) {
    if (habits_.fails_one_of != 0 && chance(habits_.fails_one_of) == 0) {
      batch.failed = true;
      ++failed;
      return;
    }
    for (const auto& task : batch.tasks) {
      for (auto& job : task.jobs) job.ok = false;
      if (habits_.refuses_packets) continue;
      auto& session = sessions_[task.serial];
      if (session == nullptr) session = crypto::create_esp_cipher(*task.spec).value();
      batch.seal ? session->ready().seal(task.jobs) : session->ready().open(task.jobs);
    }
  }

  SeededRandom random_;
  Habits habits_;
  std::vector<crypto::CipherBatch*> held_;
  std::map<std::uint64_t, std::unique_ptr<crypto::EspCipher>> sessions_;
};

// Threads that do the work.
class ThreadsProvider final : public crypto::AsyncCipher {
 public:
  explicit ThreadsProvider(std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  }
  ~ThreadsProvider() override {
    {
      const std::lock_guard hold(mutex_);
      over_ = true;
    }
    more_.notify_all();
    for (auto& thread : threads_) thread.join();
  }
  bool submit(crypto::CipherBatch& batch) override {
    const std::lock_guard hold(mutex_);
    to_do_.push_back(&batch);
    more_.notify_one();
    return true;
  }
  std::size_t completed(std::span<crypto::CipherBatch*> done) override {
    const std::lock_guard hold(mutex_);
    const std::size_t count = std::min(done.size(), done_.size());
    std::copy_n(done_.begin(), count, done.begin());
    done_.erase(done_.begin(), done_.begin() + static_cast<std::ptrdiff_t>(count));
    return count;
  }

 private:
  void run() {
    std::unique_lock hold(mutex_);
    for (;;) {
      more_.wait(hold, [this] { return over_ || !to_do_.empty(); });
      if (to_do_.empty()) return;
      auto* batch = to_do_.front();
      to_do_.pop_front();
      hold.unlock();
      crypto::work_on(*batch);
      hold.lock();
      done_.push_back(batch);
    }
  }

  std::mutex mutex_;
  std::condition_variable more_;
  bool over_ = false;
  std::deque<crypto::CipherBatch*> to_do_, done_;
  std::vector<std::thread> threads_;
};

// What has to be done around flights: buffers, and verdicts carried out in turn.
class Pilot {
 public:
  Pilot(Gateway& gateway, crypto::AsyncCipher& provider, std::size_t each_way)
      : gateway_(gateway), flights(gateway.engine, provider, each_way, 1U << 20U) {
    for (auto& buffers : buffers_) buffers.resize(Flights::kMostEachWay);
  }

  // False: nothing was free.
  [[nodiscard]] bool send(const std::vector<Bytes>& packets, const Offload& offload = {}) {
    auto* flight = flights.take(Way::kOut);
    if (flight == nullptr) return false;
    auto& buffers = buffers_of(*flight) = packets;
    for (auto& b : buffers) {
      const std::size_t octets = b.size();
      b.resize(octets + 40);
      flight->out.push_back({MutableByteView(b).first(octets), offload, gateway_.device, 40});
    }
    flights.launch(*flight, gateway_.now);
    return true;
  }
  [[nodiscard]] bool receive(const std::vector<Bytes>& esp) {
    auto* flight = flights.take(Way::kIn);
    if (flight == nullptr) return false;
    auto& buffers = buffers_of(*flight) = esp;
    for (auto& b : buffers) {
      flight->in.push_back({b, 0, gateway_.from_local, gateway_.from_remote, gateway_.from_udp, gateway_.outer_tos});
    }
    flights.launch(*flight, gateway_.now);
    return true;
  }
  void tick() {
    auto* flight = flights.take(Way::kOut);
    ASSERT_NE(flight, nullptr);
    flights.launch_timer(*flight, gateway_.now);
  }
  // Whatever can be carried out now.
  void look() {
    flights.poll();
    for (const auto way : {Way::kOut, Way::kIn}) {
      while (auto* flight = flights.next(way)) {
        auto outcome = outcome_of(flight->verdicts);
        for (auto& e : outcome.esp()) sent.push_back(std::move(e));
        for (auto& p : outcome.packets()) delivered.push_back(std::move(p));
        flights.give_back(*flight);
      }
    }
  }
  void land() {
    while (flights.busy()) look();
  }

 private:
  [[nodiscard]] std::vector<Bytes>& buffers_of(const Flight& flight) {
    return buffers_[static_cast<std::size_t>(flight.way)][flight.number];
  }
  Gateway& gateway_;
  std::array<std::vector<std::vector<Bytes>>, 2> buffers_;

 public:
  Flights flights;
  std::vector<Bytes> sent;
  std::vector<Bytes> delivered;
};

class FlightsTest : public TwoGateways {
 protected:
  void SetUp() override {
    if (!crypto::is_available(crypto::EspProvider::kIpsecMb)) GTEST_SKIP() << "no cipher here is shareable";
  }
  [[nodiscard]] std::uint32_t chance(std::uint32_t of) {
    std::array<std::uint8_t, 4> octets{};
    random_.fill(octets);
    return load_be32(octets.data()) % of;
  }
  [[nodiscard]] Bytes numbered(std::uint32_t number, std::size_t octets = 64) {
    auto packet = udp_packet("10.1.0.1", "10.2.0.1", octets, {}, 1000);
    store_be32(&packet[28], number);
    fill_checksum(packet);
    return packet;
  }
  [[nodiscard]] static std::uint32_t number_of(ByteView packet) { return load_be32(&packet[28]); }
  // Another tunnel beside the first, with a cipher that cannot be shared.
  void add_unshareable(Gateway& gateway, bool at_a) {
    const TunnelOptions o{.encryption = model::EncryptionId::kAesCtr,
                          .integrity = model::IntegrityId::kHmacSha1_96,
                          .left = {"10.3.0.0/16"},
                          .right = {"10.4.0.0/16"}};
    auto p = policy(o, at_a);
    p.id = model::PolicyId{8};
    ok(gateway.engine.install_policy(p));
    for (const auto direction : {model::Direction::kOutbound, model::Direction::kInbound}) {
      auto s = spec(o, at_a == (direction == model::Direction::kOutbound), direction);
      s.spi = Spi{s.spi.value + 0x100};
      s.child = model::ChildId{43};
      s.policy = p.id;
      ok(gateway.engine.install_sa(s, gateway.now));
    }
  }
  // One burst of all sorts.
  [[nodiscard]] std::vector<Bytes> burst() {
    std::vector<Bytes> packets;
    for (std::uint32_t i = 1 + chance(32); i > 0; --i) {
      switch (chance(8)) {
        case 0: packets.push_back(udp_packet("10.3.0.1", "10.4.0.1", chance(300))); break;
        case 1: packets.push_back(udp_packet("10.9.0.1", "10.2.0.1", 10)); break;    // no policy
        case 2: packets.push_back(pattern(chance(40))); break;                       // no packet
        case 3: packets.push_back(udp_packet("10.1.0.1", "10.2.0.1", 1600)); break;  // fragments
        case 4: packets.push_back(tcp_packet("10.1.0.2", "10.2.0.2", {.payload = pattern(chance(1000))})); break;
        default: packets.push_back(udp_packet("10.1.0.1", "10.2.0.1", chance(1200))); break;
      }
    }
    return packets;
  }
  // As connect(), for one more that stands at the place of a or b.
  void settle(Gateway& gateway, bool at_a, const TunnelOptions& o) {
    ok(gateway.engine.install_policy(policy(o, at_a)));
    ok(gateway.engine.install_sa(spec(o, at_a, model::Direction::kOutbound), gateway.now));
    ok(gateway.engine.install_sa(spec(o, !at_a, model::Direction::kInbound), gateway.now));
    add_unshareable(gateway, at_a);
    const auto sa = spec(o, at_a, model::Direction::kOutbound);
    arrive(gateway, sa.local, sa.remote, o.udp);
  }

  SeededRandom random_{11};
};

struct Chance {
  std::uint64_t seed;
  ChanceProvider::Habits habits;
};
class FlightsByChance : public FlightsTest, public ::testing::WithParamInterface<Chance> {};

TEST_P(FlightsByChance, WhatLeavesIsWhatAnEngineAloneSends) {
  random_ = SeededRandom(GetParam().seed);
  ChanceProvider provider(GetParam().seed, GetParam().habits);
  Gateway alone{1};
  settle(a, true, {});
  settle(alone, true, {});
  Pilot pilot(a, provider, 6);
  std::vector<Bytes> expected;
  for (int round = 0; round < 60; ++round) {
    const auto packets = burst();
    for (auto& esp : alone.send_all(packets).esp()) expected.push_back(std::move(esp));
    while (!pilot.send(packets)) pilot.look();
    if (chance(3) == 0) pilot.look();
  }
  pilot.land();
  EXPECT_EQ(pilot.sent, expected);
  EXPECT_EQ(a.engine.statistics().drops, alone.engine.statistics().drops);
  EXPECT_EQ(a.engine.statistics().packets_out, alone.engine.statistics().packets_out);
  EXPECT_EQ(pilot.flights.counters().failed, provider.failed);
  EXPECT_GT(pilot.flights.counters().batches, 30U);
}

TEST_P(FlightsByChance, SuperPacketsLeaveInOrderToo) {
  ChanceProvider provider(GetParam().seed, GetParam().habits);
  Gateway alone{1};
  settle(a, true, {});
  settle(alone, true, {});
  Pilot pilot(a, provider, 4);
  const Offload offload{.needs_checksum = true,
                        .gso = Offload::Gso::kTcpV4,
                        .segment_octets = 1000,
                        .checksum_start = 20,
                        .checksum_offset = 16};
  std::vector<Bytes> expected;
  for (std::uint32_t i = 0; i < 20; ++i) {
    const std::vector<Bytes> packets(
        3, tcp_packet("10.1.0.2", "10.2.0.2", {.sequence = i * 60000, .payload = pattern(60000)}));
    for (auto& esp : alone.send_all(packets, offload).esp()) expected.push_back(std::move(esp));
    while (!pilot.send(packets, offload)) pilot.look();
  }
  pilot.land();
  ASSERT_EQ(expected.size(), 20U * 3 * 60);
  EXPECT_EQ(pilot.sent, expected);
  // A large burst is divided: several threads share it.
  EXPECT_GT(pilot.flights.counters().batches, 20U * 3);
}

// Copies, forgeries, packets of nobody, and the order of the network.
TEST_P(FlightsByChance, WhatIsDeliveredIsWhatAnEngineAloneDelivers) {
  random_ = SeededRandom(GetParam().seed);
  ChanceProvider provider(GetParam().seed, GetParam().habits);
  Gateway alone{2};
  settle(a, true, {.replay_window = 4096});
  settle(b, false, {.replay_window = 4096});
  settle(alone, false, {.replay_window = 4096});
  Pilot pilot(b, provider, 6);
  std::vector<Bytes> expected;
  std::vector<Bytes> before;
  for (int round = 0; round < 60; ++round) {
    auto esp = a.send_all(burst()).esp();
    if (esp.size() > 32) esp.resize(32);
    for (auto& e : esp) {
      if (chance(8) == 0 && !before.empty())
        e = before[chance(static_cast<std::uint32_t>(before.size()))];
      else if (chance(16) == 0)
        e[e.size() - 1 - chance(8)] ^= 1;  // never seen again
      else
        before.push_back(e);
    }
    if (esp.size() > 2) std::swap(esp[chance(2)], esp[2]);
    if (esp.empty()) continue;
    for (auto& packet : alone.receive_all(esp).packets()) expected.push_back(std::move(packet));
    while (!pilot.receive(esp)) pilot.look();
    if (chance(3) == 0) pilot.look();
  }
  pilot.land();
  EXPECT_EQ(pilot.delivered, expected);
  EXPECT_EQ(b.engine.statistics().drops, alone.engine.statistics().drops);
  EXPECT_GT(b.drops(DropReason::kReplaySeen), 0U);
  EXPECT_GT(b.drops(DropReason::kIntegrityFailed), 0U);
  EXPECT_EQ(b.engine.statistics().packets_in, alone.engine.statistics().packets_in);
  for (const auto child : {kChild, model::ChildId{43}}) {
    const auto ours = b.engine.sa_state(model::Direction::kInbound, child)->counters;
    const auto theirs = alone.engine.sa_state(model::Direction::kInbound, child)->counters;
    EXPECT_EQ(ours.packets, theirs.packets);
    EXPECT_EQ(ours.bytes, theirs.bytes);
    EXPECT_EQ(ours.errors, theirs.errors);
    EXPECT_EQ(ours.sequence, theirs.sequence);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, FlightsByChance,
                         ::testing::Values(Chance{1, {}}, Chance{2, {.room = 1}}, Chance{3, {.delay = 20}},
                                           Chance{4, {.fails_one_of = 3}}, Chance{5, {.room = 2, .fails_one_of = 1}},
                                           Chance{6, {.room = 3, .delay = 1, .fails_one_of = 10}}));

// The shortest window there is, and every packet of it in a burst of its own: nothing may overtake.
TEST_F(FlightsTest, ShortWindowsLoseNothing) {
  connect({.replay_window = 32});
  ChanceProvider to_seal(1, {.delay = 8});
  ChanceProvider to_open(2, {.delay = 8});
  Pilot out(a, to_seal, Flights::kMostEachWay);
  Pilot in(b, to_open, Flights::kMostEachWay);
  constexpr std::uint32_t kPackets = 1000;
  for (std::uint32_t i = 0; i < kPackets; ++i) {
    while (!out.send({numbered(i)})) out.look();
    for (auto& esp : std::exchange(out.sent, {})) {
      while (!in.receive({esp})) in.look();
    }
  }
  out.land();
  for (auto& esp : out.sent) {
    while (!in.receive({esp})) in.look();
  }
  in.land();
  ASSERT_EQ(in.delivered.size(), kPackets);
  for (std::uint32_t i = 0; i < kPackets; ++i) ASSERT_EQ(number_of(in.delivered[i]), i);
  EXPECT_EQ(counters(b.engine, model::Direction::kInbound).packets, kPackets);
  EXPECT_EQ(counters(b.engine, model::Direction::kInbound).errors, 0U);
}

// RFC 9611 and ciphers elsewhere: a peer's threads send on SAs of their own, whose bursts are under way together; one
// thread moves packets here, so it answers on the SA of all.
TEST_F(FlightsTest, ClonesOfAPeerComeInBesideEachOther) {
  constexpr std::uint32_t kThreads = 3;
  constexpr std::uint32_t kBursts = 200;
  const auto clone = [](std::uint32_t number, bool from_a, model::Direction direction) {
    auto sa = spec({}, from_a, direction);
    sa.child = model::ChildId{700 + number};
    sa.spi = Spi{(from_a ? 0x7000U : 0x7100U) + number};
    for (auto& octet : sa.encryption_key) octet = static_cast<std::uint8_t>(octet + number + 1);
    return sa;
  };
  settle(b, false, {});
  Gateway alone{2};
  settle(alone, false, {});
  // Each thread of the peer, as it looks from here.
  std::vector<std::unique_ptr<Gateway>> peer;
  for (std::uint32_t number = 0; number < kThreads; ++number) {
    ok(peer.emplace_back(std::make_unique<Gateway>(10 + number))->engine.install_policy(policy({}, true)));
    ok(peer.back()->engine.install_sa(clone(number, true, model::Direction::kOutbound), peer.back()->now));
    for (auto* gateway : {&b, &alone}) {
      for (auto sa :
           {clone(number, true, model::Direction::kInbound), clone(number, false, model::Direction::kOutbound)}) {
        sa.resource = static_cast<std::uint16_t>(number);
        ok(gateway->engine.install_sa(sa, gateway->now));
      }
    }
  }
  ChanceProvider provider(5, {.delay = 8});
  Pilot pilot(b, provider, 8);
  std::vector<Bytes> expected;
  for (std::uint32_t i = 0; i < kBursts; ++i) {
    std::vector<Bytes> esp;
    for (std::uint32_t k = 0; k < 1 + chance(6); ++k) {
      auto sealed = peer[chance(kThreads)]->send(numbered(i * 10 + k)).esp();
      ASSERT_EQ(sealed.size(), 1U);
      esp.push_back(std::move(sealed[0]));
    }
    for (auto& packet : alone.receive_all(esp).packets()) expected.push_back(std::move(packet));
    while (!pilot.receive(esp)) pilot.look();
    while (!pilot.send({udp_packet("10.2.0.1", "10.1.0.1", 64)})) pilot.look();
  }
  pilot.land();
  EXPECT_EQ(pilot.delivered, expected);
  EXPECT_GT(expected.size(), std::size_t{kBursts});
  for (std::uint32_t number = 0; number < kThreads; ++number) {
    const auto came = b.engine.sa_state(model::Direction::kInbound, model::ChildId{700 + number})->counters;
    EXPECT_EQ(
        came.packets,
        peer[number]->engine.sa_state(model::Direction::kOutbound, model::ChildId{700 + number})->counters.packets);
    EXPECT_EQ(came.errors, 0U);
  }
  ASSERT_EQ(pilot.sent.size(), kBursts);
  for (std::uint32_t i = 0; i < kBursts; ++i) {
    EXPECT_EQ(load_be32(pilot.sent[i].data()), spec({}, false, model::Direction::kOutbound).spi.value);
    EXPECT_EQ(load_be32(pilot.sent[i].data() + 4), i + 1);
  }
}

// The same packet in two bursts that are both under way: the window decides when the second one is finished.
TEST_F(FlightsTest, CopiesInDifferentBurstsComeThroughOnce) {
  connect();
  const auto esp = a.send(numbered(7)).esp();
  ChanceProvider provider(1, {});
  Pilot pilot(b, provider, 4);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(pilot.receive(esp));
  pilot.land();
  EXPECT_EQ(pilot.delivered.size(), 1U);
  EXPECT_EQ(b.drops(DropReason::kReplaySeen), 2U);
}

TEST_F(FlightsTest, SasThatGoMeanwhileStayForTheirPackets) {
  connect();
  ChanceProvider provider(1, {});
  Pilot out(a, provider, 4);
  for (std::uint32_t i = 0; i < 4; ++i) ASSERT_TRUE(out.send({numbered(i), numbered(100 + i)}));
  EXPECT_EQ(provider.holds(), 4U);
  ok(a.engine.remove_sa(model::Direction::kOutbound, kSpiToB, kChild));
  ok(a.engine.remove_sa(model::Direction::kInbound, kSpiToA, kChild));
  // Enough changes that what is retired would be freed, if nobody had it.
  for (std::uint32_t i = 0; i < 200; ++i) {
    auto other = spec({}, true, model::Direction::kOutbound);
    other.spi = Spi{0x7000 + i};
    other.child = model::ChildId{500 + i};
    ok(a.engine.install_sa(other, a.now));
    ok(a.engine.remove_sa(model::Direction::kOutbound, other.spi, other.child));
  }
  out.land();
  ASSERT_EQ(out.sent.size(), 8U);
  ChanceProvider to_open(2, {});
  Pilot in(b, to_open, 4);
  ASSERT_TRUE(in.receive(out.sent));
  ok(b.engine.remove_sa(model::Direction::kInbound, kSpiToB, kChild));
  ok(b.engine.remove_sa(model::Direction::kOutbound, kSpiToA, kChild));
  in.land();
  EXPECT_EQ(in.delivered.size(), 8U);
  // The next ones find no SA.
  EXPECT_TRUE(out.send({numbered(9)}));
  EXPECT_TRUE(in.receive({out.sent[0]}));
  out.land();
  in.land();
  EXPECT_EQ(out.sent.size(), 8U);
  EXPECT_EQ(b.drops(DropReason::kUnknownSpi), 1U);
}

TEST_F(FlightsTest, ThereIsAnEndToWhatIsUnderWay) {
  connect();
  ChanceProvider provider(1, {.room = 2});
  Pilot pilot(a, provider, 4);
  for (std::uint32_t i = 0; i < 4; ++i) ASSERT_TRUE(pilot.send({numbered(i)}));
  EXPECT_FALSE(pilot.send({numbered(9)}));
  EXPECT_FALSE(pilot.send({numbered(9)}));
  // The other way has room of its own.
  auto* inward = pilot.flights.take(Way::kIn);
  ASSERT_NE(inward, nullptr);
  pilot.flights.give_back(*inward);
  const auto& counted = pilot.flights.counters();
  EXPECT_EQ(counted.waits, 2U);
  EXPECT_EQ(counted.bursts, 4U);
  EXPECT_EQ(counted.batches, 4U);
  EXPECT_EQ(counted.full, 2U);
  EXPECT_EQ(provider.most_held, 2U);
  pilot.land();
  EXPECT_EQ(pilot.sent.size(), 4U);
  EXPECT_EQ(provider.most_held, 2U);
  EXPECT_TRUE(pilot.send({numbered(9)}));
  pilot.land();
}

// Should a provider give a packet back as not sealed, then nothing of it leaves in the clear.
TEST_F(FlightsTest, WhatIsNotSealedIsNotSent) {
  connect();
  ChanceProvider provider(1, {.refuses_packets = true});
  Pilot pilot(a, provider, 2);
  ASSERT_TRUE(pilot.send({numbered(1)}));
  pilot.land();
  ASSERT_EQ(pilot.sent.size(), 1U);
  EXPECT_TRUE(std::ranges::all_of(ByteView(pilot.sent[0]).subspan(8), [](auto octet) { return octet == 0; }));
  EXPECT_EQ(a.drops(DropReason::kCipherFailed), 1U);
}

// What waited for an SA has higher numbers than what is under way on it, and leaves behind it.
TEST_F(FlightsTest, TimersSendInTurn) {
  connect({.replay_window = 32});
  auto narrow = policy({}, true);
  narrow.id = model::PolicyId{9};
  narrow.order = 10;
  narrow.acquire = true;
  narrow.remote = selectors({"10.2.9.0/24"});
  ok(a.engine.install_policy(narrow));
  (void)a.send(udp_packet("10.1.0.1", "10.2.9.1", 20));
  ChanceProvider provider(1, {});
  Pilot pilot(a, provider, 4);
  ASSERT_TRUE(pilot.send({numbered(1)}));
  ok(a.engine.remove_policy(narrow.id));  // what it held goes to the tunnel now
  pilot.tick();
  ASSERT_TRUE(pilot.send({numbered(2)}));
  pilot.land();
  ASSERT_EQ(pilot.sent.size(), 3U);
  for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(wire::esp_sequence_low(pilot.sent[i].data()), i + 1);
}

// A bug that ThreadSanitizer would see: flights over real threads, SAs and policies coming and going.
TEST_F(FlightsTest, RealThreadsWhileSasAndPoliciesChange) {
  connect({.replay_window = 32});
  ThreadsProvider to_seal(2);
  ThreadsProvider to_open(2);
  {
    Pilot out(a, to_seal, 8);
    Pilot in(b, to_open, 8);
    std::uint32_t next = 0;
    for (std::uint32_t round = 0; round < 400; ++round) {
      std::vector<Bytes> packets;
      for (int i = 0; i < 8; ++i) packets.push_back(numbered(next++));
      while (!out.send(packets)) out.look();
      out.look();
      for (auto& esp : std::exchange(out.sent, {})) {
        while (!in.receive({esp})) in.look();
      }
      auto other = spec({}, true, model::Direction::kOutbound);
      other.child = model::ChildId{100 + round % 7};
      other.spi = Spi{0x5000 + round % 7};
      other.policy = model::PolicyId{8 + round % 3};
      auto wide = policy({}, true);
      wide.id = other.policy;
      wide.local = selectors({"10.3.0.0/16"});
      ok(a.engine.install_policy(wide));
      ok(a.engine.install_sa(other, a.now));
      if (round % 2 == 0) ok(a.engine.remove_sa(model::Direction::kOutbound, other.spi, other.child));
    }
    out.land();
    for (auto& esp : out.sent) {
      while (!in.receive({esp})) in.look();
    }
    in.land();
    ASSERT_EQ(in.delivered.size(), next);
    for (std::uint32_t i = 0; i < next; ++i) ASSERT_EQ(number_of(in.delivered[i]), i);
  }
}

}  // namespace
}  // namespace cygnet::engine::test
