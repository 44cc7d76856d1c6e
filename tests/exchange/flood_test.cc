// SPDX-License-Identifier: Apache-2.0
// The gate in front of IKE_SA_INIT: cookies (RFC 7296 section 2.6), puzzles (RFC 8019), limits by address and network.
#include <gtest/gtest.h>

#include "exchange/arrows.h"
#include "ike/puzzle.h"
#include "wire/ike/describe.h"

namespace cygnet::test {
namespace {

namespace wi = wire::ike;

// A sends IKE_SA_INIT requests of its own making to B, which answers anybody.
class Flood : public testing::Test {
 protected:
  void begin(const model::Setup& setup) {
    ike::EndpointSettings settings;
    settings.setup = setup;
    const auto connection = tunnel("tun");
    auto of_b = mirrored(connection);
    of_b.remote.host = {};
    e.add("A", "192.0.2.1", {connection}, {secret("s3cret")});
    e.add("B", "198.51.100.1", {of_b}, {secret("s3cret")}, settings);
    e.initiate(e.a());
    const auto sample = e.drop();
    request = {sample.decoded.header, sample.decoded.payloads};
    e.b().hold_jobs = true;  // stay half-open
  }
  // The answer, if there is one; nothing: dropped, or an IKE SA is half-open.
  std::optional<wi::Message> send(const wi::Message& message, std::string_view from) {
    answers.clear();
    e.b().on_send = [&](const ike::SendDatagram& datagram) { answers.push_back(datagram.bytes); };
    e.inject(e.b(), {{address("198.51.100.1"), 500}, {address(from), 500}, false}, wi::serialize_message(message));
    if (answers.empty()) return std::nullopt;
    return *wi::parse_message(answers[0]);
  }
  wi::Message numbered(std::uint64_t spi) const {
    auto out = request;
    out.header.spi_i = IkeSpi(spi);
    return out;
  }
  static wi::Message with(const wi::Message& message, const wi::Message& demand) {
    auto out = message;
    out.payloads.insert(out.payloads.begin(), *wi::find_notify(demand.payloads, wi::NotifyType::kCookie));
    return out;
  }
  [[nodiscard]] const ike::EndpointCounters& counters() { return e.b().endpoint().counters(); }

  Exchange e;
  wi::Message request;
  std::vector<Bytes> answers;
};

model::Setup setup(std::uint32_t cookies, std::uint32_t puzzles, std::uint32_t limit = 5000) {
  model::Setup out;
  out.cookie_threshold = cookies;
  out.puzzle_threshold = puzzles;
  out.half_open_limit = limit;
  return out;
}

TEST_F(Flood, CookiesFromTheThresholdOn) {
  begin(setup(3, 0));
  for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_FALSE(send(numbered(i), "203.0.113.1"));
  EXPECT_EQ(counters().half_open, 3U);
  const auto demand = send(numbered(4), "203.0.113.1");
  ASSERT_TRUE(demand);
  EXPECT_EQ(wi::describe(demand->payloads), "N(COOKIE)");
  EXPECT_EQ(demand->header.spi_i, IkeSpi(4));
  EXPECT_TRUE(demand->header.spi_r.is_zero());
  EXPECT_TRUE(demand->header.response);
  EXPECT_FALSE(demand->header.initiator);
  EXPECT_EQ(counters().half_open, 3U);
  EXPECT_FALSE(send(with(numbered(4), *demand), "203.0.113.1"));
  EXPECT_EQ(counters().half_open, 4U);
  EXPECT_EQ(counters().cookies_refused, 0U);
  // What was asked of one SPI is worth nothing for another.
  EXPECT_TRUE(send(with(numbered(5), *demand), "203.0.113.1"));
  EXPECT_EQ(counters().cookies_refused, 1U);
  EXPECT_EQ(counters().half_open, 4U);
}

TEST_F(Flood, ARetransmissionNeedsNoCookie) {
  begin(setup(1, 0));
  EXPECT_FALSE(send(numbered(1), "203.0.113.1"));
  EXPECT_FALSE(send(numbered(1), "203.0.113.1"));  // still being worked on
  e.b().finish_jobs(e.now());
  const auto again = send(numbered(1), "203.0.113.1");
  ASSERT_TRUE(again);
  EXPECT_EQ(wi::find_notify(again->payloads, wi::NotifyType::kCookie), nullptr);
  EXPECT_EQ(counters().half_open, 1U);
  // The same SPI and address with another nonce is no retransmission.
  auto other = numbered(1);
  for (auto& payload : other.payloads)
    if (auto* nonce = std::get_if<wi::NoncePayload>(&payload)) nonce->data[0] ^= 1;
  const auto demand = send(other, "203.0.113.1");
  ASSERT_TRUE(demand);
  EXPECT_EQ(wi::describe(demand->payloads), "N(COOKIE)");
  EXPECT_EQ(counters().half_open, 1U);
}

// A forged source gets a longer answer than what was sent: it is not for ever.
TEST_F(Flood, ARetransmissionIsAnsweredAsOftenAsAnHonestOneComes) {
  begin(setup(100, 0));
  EXPECT_FALSE(send(numbered(1), "203.0.113.1"));
  e.b().finish_jobs(e.now());
  int answered = 0;
  for (int i = 0; i < 50; ++i) answered += send(numbered(1), "203.0.113.1") ? 1 : 0;
  EXPECT_EQ(answered, 8);
  EXPECT_EQ(counters().half_open, 1U);
  // Others do not suffer from it.
  EXPECT_FALSE(send(numbered(2), "203.0.113.1"));
  e.b().finish_jobs(e.now());
  EXPECT_TRUE(send(numbered(2), "203.0.113.1"));
}

TEST_F(Flood, OneAddressDoesNotTakeAll) {
  auto limits = setup(1000, 0);
  limits.half_open_per_address = 4;
  limits.half_open_per_network = 6;
  begin(limits);
  std::uint64_t spi = 0;
  // Two without a cookie, then with one.
  const auto try_one = [&](std::string_view from) {
    const auto message = numbered(++spi);
    if (const auto demand = send(message, from)) (void)send(with(message, *demand), from);
  };
  for (int i = 0; i < 10; ++i) try_one("203.0.113.1");
  EXPECT_EQ(counters().half_open, 4U);
  EXPECT_EQ(counters().cookies_sent, 8U);
  EXPECT_EQ(counters().crowd_refused, 6U);
  // Its network has room for two more.
  for (int i = 0; i < 10; ++i) try_one("203.0.113.2");
  EXPECT_EQ(counters().half_open, 6U);
  EXPECT_EQ(counters().crowd_refused, 14U);
  // Others have not noticed.
  EXPECT_FALSE(send(numbered(++spi), "192.0.2.9"));
  EXPECT_EQ(counters().half_open, 7U);
}

TEST_F(Flood, ForgedNeighboursDoNotShutOutAnHonestPeer) {
  auto limits = setup(1000, 0);
  limits.half_open_per_address = 4;
  limits.half_open_per_network = 8;
  begin(limits);
  for (std::uint64_t i = 1; i <= 500; ++i) (void)send(numbered(i), "203.0.113." + std::to_string(i % 200));
  EXPECT_EQ(counters().half_open, 4U);  // half of what the network may have
  const auto demand = send(numbered(1000), "203.0.113.250");
  ASSERT_TRUE(demand);
  EXPECT_FALSE(send(with(numbered(1000), *demand), "203.0.113.250"));
  EXPECT_EQ(counters().half_open, 5U);
}

TEST_F(Flood, NobodyGetsInBeyondTheLimit) {
  begin(setup(2, 0, 4));
  std::uint64_t spi = 0;
  for (int i = 0; i < 8; ++i) {
    const auto message = numbered(++spi);
    const auto from = "203.0." + std::to_string(i) + ".1";
    if (const auto demand = send(message, from)) (void)send(with(message, *demand), from);
  }
  EXPECT_EQ(counters().half_open, 4U);
  EXPECT_EQ(counters().half_open_refused, 4U);
  // Half-open ones go, and there is room again.
  e.advance(31s);
  EXPECT_EQ(counters().half_open, 0U);
  EXPECT_FALSE(send(numbered(++spi), "203.0.113.1"));
  EXPECT_EQ(counters().half_open, 1U);
}

TEST_F(Flood, PuzzlesFromTheSecondThresholdOn) {
  auto limits = setup(1, 2, 10);
  limits.puzzle_difficulty = 3;
  begin(limits);
  EXPECT_FALSE(send(numbered(1), "203.0.113.1"));
  const auto cookie = send(numbered(2), "203.0.113.1");
  ASSERT_TRUE(cookie);
  EXPECT_EQ(wi::describe(cookie->payloads), "N(COOKIE)");
  EXPECT_FALSE(send(with(numbered(2), *cookie), "203.0.113.1"));
  const auto demand = send(numbered(3), "203.0.113.1");
  ASSERT_TRUE(demand);
  EXPECT_EQ(wi::describe(demand->payloads), "N(COOKIE) N(PUZZLE)");
  const auto* puzzle = wi::find_notify(demand->payloads, wi::NotifyType::kPuzzle);
  EXPECT_EQ(to_hex(puzzle->data), "000503");  // PRF_HMAC_SHA2_256, difficulty 3
  EXPECT_TRUE(e.b().reported("puzzles-on"));
  // A wrong solution is refused; the right one is taken.
  auto answer = with(numbered(3), *demand);
  answer.payloads.insert(answer.payloads.begin() + 1, wi::PuzzleSolutionPayload{Bytes(32, 9)});
  EXPECT_FALSE(send(answer, "203.0.113.1"));
  EXPECT_EQ(counters().puzzles_refused, 1U);
  EXPECT_EQ(counters().half_open, 2U);
  const auto& asked = wi::find_notify(demand->payloads, wi::NotifyType::kCookie)->data;
  answer.payloads[1] = wi::PuzzleSolutionPayload{*ike::solve_puzzle(model::PrfId::kHmacSha2_256, 3, asked)};
  EXPECT_FALSE(send(answer, "203.0.113.1"));
  EXPECT_EQ(counters().puzzles_solved, 1U);
  EXPECT_EQ(counters().half_open, 3U);
  EXPECT_EQ(counters().puzzles_sent, 1U);
}

TEST_F(Flood, PuzzlesBecomeHarder) {
  auto limits = setup(0, 1, 13);
  limits.puzzle_difficulty = 2;
  begin(limits);
  std::vector<unsigned> seen;
  for (std::uint64_t i = 1; i <= 13; ++i) {
    const auto from = "203.0." + std::to_string(i) + ".1";
    const auto demand = send(numbered(i), from);
    ASSERT_TRUE(demand) << i;
    auto answer = with(numbered(i), *demand);
    if (const auto* puzzle = wi::find_notify(demand->payloads, wi::NotifyType::kPuzzle)) {
      seen.push_back(puzzle->data[2]);
      const auto& cookie = wi::find_notify(demand->payloads, wi::NotifyType::kCookie)->data;
      answer.payloads.insert(answer.payloads.begin() + 1, wi::PuzzleSolutionPayload{*ike::solve_puzzle(
                                                              model::PrfId::kHmacSha2_256, puzzle->data[2], cookie)});
    }
    EXPECT_FALSE(send(answer, from)) << i;
  }
  EXPECT_EQ(counters().half_open, 13U);
  EXPECT_EQ(seen, (std::vector<unsigned>{2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7}));
}

TEST_F(Flood, AFewThatKnowNoPuzzlesAreServed) {
  auto limits = setup(0, 1, 5000);
  begin(limits);
  std::uint64_t spi = 0;
  const auto try_one = [&] {
    const auto from = "203.0." + std::to_string(spi % 250) + ".1";
    const auto message = numbered(++spi);
    if (const auto demand = send(message, from)) (void)send(with(message, *demand), from);
  };
  for (int i = 0; i < 100; ++i) try_one();
  EXPECT_EQ(counters().half_open, 6U);  // the first, and five that were lucky
  EXPECT_EQ(counters().puzzles_refused, 94U);
  e.advance(1s);
  for (int i = 0; i < 100; ++i) try_one();
  EXPECT_EQ(counters().half_open, 11U);
}

TEST(Puzzles, TheInitiatorSolvesWhatItIsAsked) {
  Exchange e;
  ike::EndpointSettings busy;
  busy.setup.cookie_threshold = 0;
  busy.setup.puzzle_threshold = 1;
  busy.setup.puzzle_difficulty = 5;
  const auto connection = tunnel("tun");
  auto other = tunnel("other");
  other.local.host.address = address("192.0.2.2");
  other.local.id = model::Identity{model::IdType::kFqdn, to_bytes("c.test")};
  e.add("A", "192.0.2.1", {connection}, {secret("s3cret")});
  e.add("B", "198.51.100.1", {mirrored(connection), mirrored(other)}, {secret("s3cret")}, busy);
  e.add("C", "192.0.2.2", {other}, {secret("s3cret")});
  e.initiate(e.side(2), "other");
  e.deliver();
  e.deliver();
  e.deliver();  // one is half-open
  EXPECT_EQ(e.b().endpoint().counters().half_open, 1U);
  (void)e.drop();
  e.side(2).crash();
  e.a().hold_jobs = true;
  e.initiate(e.a());
  e.a().finish_jobs(e.now());
  e.expect_in_the_air({"A -> B IKE_SA_INIT request 0: SA KE Ni " + kNat});
  e.deliver();
  e.expect_in_the_air({"A <- B IKE_SA_INIT response 0: N(COOKIE) N(PUZZLE)"});
  e.deliver();
  // Solving takes its time, and nothing is sent meanwhile.
  e.expect_in_the_air({});
  ASSERT_EQ(e.a().endpoint().status().size(), 1U);
  EXPECT_EQ(e.a().endpoint().status()[0].state, "INIT_SOLVING");
  e.advance(5s);
  e.expect_in_the_air({});
  e.a().hold_jobs = false;
  e.a().finish_jobs(e.now());
  e.expect(std::vector<std::string>{"A -> B IKE_SA_INIT request 0: N(COOKIE) PS SA KE Ni " + kNat,
                                    "A <- B IKE_SA_INIT response 0: SA KE Nr " + kNat} +
           kAuthExchange);
  EXPECT_TRUE(e.packet(e.a(), e.b()));
  EXPECT_EQ(e.b().endpoint().counters().puzzles_solved, 1U);
}

// What somebody asks for who may not be the responder at all.
class StrangePuzzle : public testing::TestWithParam<std::string_view> {};

TEST_P(StrangePuzzle, GetsTheCookieAlone) {
  Exchange e(tunnel("tun"));
  e.initiate(e.a());
  const auto request = e.drop();
  wi::Message demand;
  demand.header = request.decoded.header;
  demand.header.initiator = false;
  demand.header.response = true;
  wi::NotifyPayload cookie, puzzle;
  cookie.type = wi::NotifyType::kCookie;
  cookie.data = Bytes(16, 3);
  puzzle.type = wi::NotifyType::kPuzzle;
  ASSERT_TRUE(from_hex(GetParam(), puzzle.data));
  demand.payloads = {cookie, puzzle};
  e.inject(e.a(), {request.path.remote, request.path.local, false}, wi::serialize_message(demand));
  e.expect_in_the_air({"A -> B IKE_SA_INIT request 0: N(COOKIE) SA KE Ni " + kNat});
  e.run();
  e.expect_tunnel();
}

// Too hard; a PRF that was not offered; one that nobody has; too short; too long.
INSTANTIATE_TEST_SUITE_P(Puzzles, StrangePuzzle, testing::Values("000515", "000608", "ffff08", "0005", "00050800"));

TEST_F(Flood, OneCookiePaysForOneHalfOpenIkeSa) {
  begin(setup(0, 0));
  const auto demand = send(numbered(7), "192.0.2.1");
  ASSERT_TRUE(demand);
  auto again = with(numbered(7), *demand);
  (void)send(again, "192.0.2.1");
  EXPECT_EQ(counters().half_open, 1U);
  for (int i = 0; i < 5; ++i) {
    again.payloads.emplace_back(wi::VendorIdPayload{});
    EXPECT_FALSE(send(again, "192.0.2.1"));
  }
  EXPECT_EQ(counters().half_open, 1U);
  EXPECT_EQ(counters().crowd_refused, 5U);
}

// What the parser takes and the gate cannot judge must not pass it: many payloads, an Encrypted payload with another
// one inside.
TEST_F(Flood, StrangeButSoundRequestsNeedACookieToo) {
  begin(setup(0, 0));
  auto many = numbered(7);
  for (int i = 0; i < 40; ++i) many.payloads.emplace_back(wi::VendorIdPayload{});
  ASSERT_TRUE(wi::parse_message(wi::serialize_message(many)));
  const auto demand = send(many, "192.0.2.1");
  EXPECT_EQ(counters().half_open, 0U);
  ASSERT_TRUE(demand);
  EXPECT_NE(wi::find_notify(demand->payloads, wi::NotifyType::kCookie), nullptr);
  auto sealed = numbered(8);
  wi::EncryptedPayload inside;
  inside.first_inner = wi::PayloadType::kSa;
  inside.body = Bytes(40, 1);
  sealed.payloads.emplace_back(inside);
  ASSERT_TRUE(wi::parse_message(wi::serialize_message(sealed)));
  (void)send(sealed, "192.0.2.1");
  EXPECT_EQ(counters().half_open, 0U);
  auto broken = numbered(9);
  std::erase_if(broken.payloads, [](const auto& p) { return std::holds_alternative<wi::NoncePayload>(p); });
  EXPECT_FALSE(send(broken, "192.0.2.1"));
  EXPECT_EQ(counters().half_open, 0U);
}

TEST(Puzzles, TheGateReadsWhateverComes) {
  Exchange e;
  ike::EndpointSettings busy;
  busy.setup.cookie_threshold = 0;
  const auto connection = tunnel("tun");
  e.add("A", "192.0.2.1", {connection}, {secret("s3cret")});
  e.add("B", "198.51.100.1", {mirrored(connection)}, {secret("s3cret")}, busy);
  e.initiate(e.a());
  const auto request = e.drop();
  SeededRandom random(11);
  for (int i = 0; i < 20000; ++i) {
    auto bent = request.bytes;
    for (int n = 0; n < 3; ++n) bent[16 + random.below(bent.size() - 16)] = static_cast<std::uint8_t>(random.u32());
    if (i % 3 == 0) bent.resize(random.below(bent.size()));
    if (i % 2 == 0 && bent.size() >= 28) store_be32(bent.data() + 24, static_cast<std::uint32_t>(bent.size()));
    e.b().endpoint().handle_datagram(e.now(), request.path, bent);
    (void)e.b().endpoint().take_actions();
  }
  EXPECT_EQ(e.b().endpoint().counters().half_open, 0U);
  EXPECT_TRUE(e.b().endpoint().status().empty());
}

}  // namespace
}  // namespace cygnet::test
