// SPDX-License-Identifier: Apache-2.0
// Puzzles before IKE_AUTH (RFC 8019 section 7.2), of a responder whose newcomers mostly send rubbish.
#include <gtest/gtest.h>

#include <array>

#include "crypto/prf.h"
#include "exchange/arrows.h"
#include "ike/puzzle.h"
#include "support/newcomers.h"
#include "wire/ike/describe.h"

namespace cygnet::test {
namespace {

namespace wi = wire::ike;
constexpr auto kPrf = model::PrfId::kHmacSha2_256;
constexpr unsigned kBits = 6;

const std::string kAskedTwice = "A <- B IKE_SA_INIT response 0: SA KE Nr N(PUZZLE) " + kNat;
const std::vector<std::string> kFirstPuzzle = {"A -> B IKE_SA_INIT request 0: SA KE Ni " + kNat,
                                               "A <- B IKE_SA_INIT response 0: N(COOKIE) N(PUZZLE)",
                                               "A -> B IKE_SA_INIT request 0: N(COOKIE) PS SA KE Ni " + kNat};
const std::vector<std::string> kAuthWithSolution = {
    "A -> B IKE_AUTH request 1: PS IDi N(INITIAL_CONTACT) IDr AUTH SA TSi TSr",
    "A <- B IKE_AUTH response 1: IDr AUTH SA TSi TSr"};

class AuthPuzzle : public testing::Test {
 protected:
  void begin(model::Connection of_a = tunnel("tun"), std::uint32_t bits = kBits) {
    ike::EndpointSettings busy;
    busy.setup.cookie_threshold = 0;
    busy.setup.puzzle_threshold = 1;
    busy.setup.puzzle_difficulty = 2;
    busy.setup.auth_puzzle_difficulty = bits;
    auto of_b = mirrored(of_a);
    of_b.remote.host = {};  // anybody may knock
    e.add("A", "192.0.2.1", {std::move(of_a)}, {secret("s3cret")});
    e.add("B", "198.51.100.1", {of_b}, {secret("s3cret")}, busy);
  }

  // From one of many addresses; B's answer, if there is one.
  std::optional<wi::Message> ask(const wi::Message& message, std::uint8_t from) {
    std::vector<Bytes> answers;
    const auto usual =
        std::exchange(e.b().on_send, [&](const ike::SendDatagram& sent) { answers.push_back(sent.bytes); });
    e.inject(e.b(), {{e.b().address(), 500}, {address("203.0.113." + std::to_string(from)), 500}, false},
             wi::serialize_message(message));
    e.b().on_send = usual;
    return answers.empty() ? std::nullopt : std::optional(*wi::parse_message(answers.front()));
  }

  // Somebody begins an IKE SA, does what is asked for, and sends rubbish as IKE_AUTH. Gives B's IKE_SA_INIT response.
  wi::Message knock(std::uint8_t number, bool with_solution = true) {
    auto request = sample;
    request.header.spi_i = IkeSpi(1000U + number);
    auto answer = ask(request, number);
    const auto* cookie = answer ? wi::find_notify(answer->payloads, wi::NotifyType::kCookie) : nullptr;
    if (cookie == nullptr) return answer.value_or(wi::Message{});
    const auto* puzzle = wi::find_notify(answer->payloads, wi::NotifyType::kPuzzle);
    if (puzzle != nullptr && with_solution)
      request.payloads.insert(request.payloads.begin(), wi::PuzzleSolutionPayload{*ike::solve_puzzle(
                                                            kPrf, puzzle->data[2], ByteView(cookie->data))});
    request.payloads.insert(request.payloads.begin(), *cookie);
    paid = request;
    answer = ask(request, number);
    if (!answer) return {};
    (void)ask(test::unreadable_auth(answer->header), number);
    return *answer;
  }

  // Seventeen that send rubbish: from then on those who solve a first puzzle get a second one.
  void attack() {
    e.initiate(e.a());
    const auto first = e.drop();
    sample = {first.decoded.header, first.decoded.payloads};
    for (std::uint8_t i = 1; i <= 17; ++i) EXPECT_FALSE(knock(i).payloads.empty()) << int{i};
    e.terminate(e.a());
    (void)e.run();
    EXPECT_EQ(counters().auth_puzzles_sent, 1U) << "the seventeenth";
    EXPECT_EQ(counters().integrity_failed, 16U);
    EXPECT_EQ(counters().auth_puzzles_refused, 1U);
    EXPECT_TRUE(e.b().reported("auth-puzzles-on"));
  }
  // Up to the answer that asks for the second puzzle, which A has.
  void up_to_the_puzzle() {
    e.initiate(e.a());
    for (const auto& arrow : kFirstPuzzle) {
      e.expect_in_the_air({arrow});
      e.deliver();
    }
    e.expect_in_the_air({kAskedTwice});
    e.deliver();
  }

  [[nodiscard]] const ike::EndpointCounters& counters() { return e.b().endpoint().counters(); }
  [[nodiscard]] std::string state_at_b(IkeSpi spi_i) {
    for (const auto& sa : e.b().endpoint().status())
      if (sa.spi_i == spi_i) return sa.state;
    return "none";
  }

  Exchange e;
  wi::Message sample, paid;
};

TEST_F(AuthPuzzle, WhoWorkedWorksAgainBeforeIkeAuth) {
  begin();
  attack();
  Bytes text;  // Nr | SPIr
  Bytes solution;
  e.on_wire = [&](Flight& flight) {
    const auto message = wi::parse_message(flight.bytes);
    if (const auto* nonce = wi::find_payload<wi::NoncePayload>(message->payloads);
        nonce != nullptr && message->header.response) {
      text = nonce->data;
      text.resize(text.size() + 8);
      store_be64(text.data() + text.size() - 8, message->header.spi_r.value);
    }
    if (const auto* ps = wi::find_payload<wi::PuzzleSolutionPayload>(message->payloads)) solution = ps->keys;
    return true;
  };
  e.initiate(e.a());
  e.expect(kFirstPuzzle + std::vector<std::string>{kAskedTwice} + kAuthWithSolution);
  EXPECT_TRUE(e.packet(e.a(), e.b()));
  EXPECT_TRUE(e.packet(e.b(), e.a()));
  EXPECT_EQ(counters().auth_puzzles_sent, 2U);
  EXPECT_EQ(counters().auth_puzzles_solved, 1U);
  EXPECT_EQ(counters().auth_puzzles_refused, 1U);
  EXPECT_TRUE(contains(e.a().messages("puzzle-received"), "difficulty 6 with IKE_AUTH"));
  ASSERT_EQ(solution.size(), 32U);
  for (std::size_t i = 0; i < 4; ++i) {
    const std::array<ByteView, 1> data{text};
    EXPECT_EQ(crypto::prf(kPrf, ByteView(solution).subspan(i * 8, 8), data).back() % (1U << kBits), 0U) << i;
  }
}

TEST_F(AuthPuzzle, NothingIsComputedForThoseWhoBringNoSolution) {
  begin();
  attack();
  up_to_the_puzzle();
  const auto flight = e.drop("IKE_AUTH request");
  const auto spi_i = flight.decoded.header.spi_i;
  EXPECT_EQ(state_at_b(spi_i), "INIT_GUARDED");
  e.b().hold_jobs = true;
  const auto outer = *wi::parse_message(flight.bytes);
  auto bent = outer;
  const auto refused = [&](const wi::Message& message) {
    const auto before = counters().auth_puzzles_refused;
    e.inject(e.b(), flight.path, wi::serialize_message(message));
    EXPECT_EQ(counters().auth_puzzles_refused, before + 1) << wi::describe(message.payloads);
    EXPECT_EQ(e.b().waiting_jobs(), 0U);
    EXPECT_EQ(state_at_b(spi_i), "INIT_GUARDED");
  };
  bent.payloads.erase(bent.payloads.begin());  // none
  refused(bent);
  bent = outer;
  std::get<wi::PuzzleSolutionPayload>(bent.payloads.front()).keys[7] ^= 1;  // a wrong one
  refused(bent);
  auto& keys = std::get<wi::PuzzleSolutionPayload>(bent.payloads.front()).keys;
  keys = std::get<wi::PuzzleSolutionPayload>(outer.payloads.front()).keys;
  std::copy_n(keys.begin(), 8, keys.begin() + 8);  // one key twice
  refused(bent);
  bent = outer;
  bent.header.message_id = MessageId(2);
  refused(bent);
  bent = outer;
  bent.header.exchange = wi::ExchangeType::kInformational;
  refused(bent);
  bent = outer;
  bent.header.response = true;
  refused(bent);
  e.expect_in_the_air({});  // RFC 8019 section 7.2.4: silently
  e.inject(flight);
  EXPECT_EQ(e.b().waiting_jobs(), 1U);
  EXPECT_EQ(state_at_b(spi_i), "GUARD_DERIVING");
  e.inject(flight);  // again, while the keys are made
  EXPECT_EQ(e.b().waiting_jobs(), 1U);
  e.b().hold_jobs = false;
  e.b().finish_jobs(e.now());
  (void)e.run();
  e.expect_tunnel();
  EXPECT_EQ(counters().auth_puzzles_solved, 1U);
}

// RFC 8019 section 7.2.4: the keys stay while the peer says it again.
TEST_F(AuthPuzzle, AForgedMessageWithAGoodSolutionTakesNothingFromThePeer) {
  begin();
  attack();
  up_to_the_puzzle();
  auto flight = e.drop("IKE_AUTH request");
  auto forged = flight;
  forged.bytes.back() ^= 1;
  e.inject(forged);
  EXPECT_EQ(counters().auth_puzzles_solved, 1U);
  EXPECT_EQ(counters().integrity_failed, 17U);
  e.expect_in_the_air({});
  EXPECT_EQ(state_at_b(flight.decoded.header.spi_i), "INIT_ANSWERED");
  e.b().hold_jobs = true;
  // The solution may be missing now: there is nothing left to compute.
  e.inject(flight);
  EXPECT_EQ(e.b().waiting_jobs(), 1U) << "the check of its proof, no other key exchange";
  e.b().hold_jobs = false;
  e.b().finish_jobs(e.now());
  (void)e.run();
  e.expect_tunnel();
  EXPECT_EQ(counters().auth_puzzles_solved, 1U);
}

// RFC 8019 section 7.2.2: "the PS payload MUST be present only in the first IKE Fragment message".
TEST_F(AuthPuzzle, TheFirstFragmentBringsTheSolution) {
  auto connection = tunnel("tun");
  connection.fragmentation = model::Fragmentation::kYes;
  connection.fragment_octets = 200;  // 172 of them IKE
  begin(connection);
  attack();
  e.initiate(e.a());
  for (int i = 0; i < 4; ++i) e.deliver();
  auto air = e.in_the_air();
  ASSERT_EQ(air.size(), 3U);
  EXPECT_TRUE(contains(air[0], "PS SKF")) << air[0];
  EXPECT_FALSE(contains(air[1], "PS")) << air[1];
  EXPECT_FALSE(contains(air[2], "PS")) << air[2];
  std::vector<Flight> pieces;
  for (int i = 0; i < 3; ++i) pieces.push_back(e.take_at(0));
  for (const auto& piece : pieces) EXPECT_LE(piece.bytes.size(), 172U);
  // What overtakes the first one is dropped, and comes again.
  e.inject(pieces[2]);
  EXPECT_EQ(counters().fragments_in, 0U);
  EXPECT_EQ(counters().auth_puzzles_refused, 2U);
  e.inject(pieces[0]);
  e.inject(pieces[1]);
  EXPECT_EQ(counters().fragments_in, 2U);
  EXPECT_EQ(counters().auth_puzzles_solved, 1U);
  e.expect_in_the_air({});
  (void)e.advance_and_run(2s);
  e.expect_tunnel();
  EXPECT_EQ(counters().auth_puzzles_solved, 1U);
}

// On a path that swallows large datagrams the same solution goes with the smaller pieces.
TEST_F(AuthPuzzle, SmallerPiecesBringTheSameSolution) {
  auto connection = tunnel("tun");
  connection.fragmentation = model::Fragmentation::kYes;
  for (int i = 0; i < 30; ++i)
    connection.children[0].local.push_back(selector("10." + std::to_string(100 + i) + ".0.0/16"));
  begin(connection);
  attack();
  e.initiate(e.a());
  for (int i = 0; i < 4; ++i) e.deliver();
  std::size_t lost = 0;
  e.on_wire = [&](Flight& flight) {
    const bool fits = flight.bytes.size() <= 548;
    lost += fits ? 0 : 1;
    return fits;
  };
  (void)e.drop();
  (void)e.advance_and_run(20s);
  EXPECT_GT(lost, 0U);
  EXPECT_TRUE(e.a().reported("smaller-fragments"));
  e.expect_tunnel();
  EXPECT_EQ(counters().auth_puzzles_solved, 1U);
}

// RFC 8019 section 7.2.1: "The Responder MUST NOT use puzzles in the IKE_AUTH exchange unless a puzzle has been
// previously presented and solved in the preceding IKE_SA_INIT exchange."
TEST_F(AuthPuzzle, WhoKnowsNoPuzzlesIsNotAsked) {
  begin();
  attack();
  const auto sent = counters().auth_puzzles_sent;
  const auto answer = knock(40, false);
  EXPECT_EQ(wi::describe(answer.payloads), "SA KE No " + kNat);
  EXPECT_EQ(counters().auth_puzzles_sent, sent);
}

TEST_F(AuthPuzzle, OnceTheAttackIsOverThereAreNone) {
  begin();
  attack();
  e.advance(40s);  // all that was half-open is gone, and hardly any of it counts
  EXPECT_EQ(counters().half_open, 0U);
  (void)knock(60);  // one is half-open: there are puzzles before IKE_SA_INIT
  e.initiate(e.a());
  e.expect(kFirstPuzzle + std::vector<std::string>{"A <- B IKE_SA_INIT response 0: SA KE Nr " + kNat} + kAuthExchange);
  e.expect_tunnel();
  EXPECT_EQ(counters().auth_puzzles_sent, 1U);
  EXPECT_TRUE(e.b().reported("auth-puzzles-off"));
}

// RFC 8019 section 10: what was paid once is not paid with again, once the half-open IKE SA is gone.
TEST_F(AuthPuzzle, ASolutionPaysOnce) {
  begin();
  attack();
  const auto last = paid;
  e.advance(31s);
  EXPECT_EQ(counters().half_open, 0U);
  EXPECT_FALSE(knock(50).payloads.empty());  // one is half-open: there are puzzles
  const auto refused = counters().puzzles_refused;
  EXPECT_FALSE(ask(last, 17));
  EXPECT_EQ(counters().puzzles_refused, refused + 1);
  EXPECT_EQ(counters().half_open, 1U);
}

// Whatever comes for a guarded IKE SA: nothing is computed for it.
TEST_F(AuthPuzzle, RubbishCostsNothing) {
  begin(tunnel("tun"), 10);
  attack();
  up_to_the_puzzle();
  const auto flight = e.drop("IKE_AUTH request");
  e.b().hold_jobs = true;
  SeededRandom random(5);
  const auto bend = [&](Bytes& bytes, std::size_t from, std::size_t count) {
    bytes[from + random.below(count)] ^= static_cast<std::uint8_t>(1 + random.below(255));
  };
  for (int i = 0; i < 5000; ++i) {
    auto bent = flight.bytes;
    bend(bent, 32, 8);  // the first of the four keys, and the second
    bend(bent, 40, 8);
    if (i % 2 == 0) bend(bent, 17, 15);  // the IKE header, and the payload's
    if (i % 4 == 0) bent.resize(28 + random.below(bent.size() - 28));
    store_be32(bent.data() + 24, static_cast<std::uint32_t>(bent.size()));
    e.inject(e.b(), flight.path, bent);
    ASSERT_EQ(e.b().waiting_jobs(), 0U) << i;
  }
  e.b().hold_jobs = false;
  e.inject(flight);
  (void)e.run();
  e.expect_tunnel();
}

// What an initiator does with demands that are not fair: it waits for a better answer, and says why it gives up.
struct Unfair {
  std::string_view data, words;
};
class UnfairAuthPuzzle : public testing::TestWithParam<Unfair> {};

TEST_P(UnfairAuthPuzzle, IsRefusedByName) {
  Exchange e(tunnel("tun"));
  e.initiate(e.a());
  e.deliver();
  const auto honest = e.drop("IKE_SA_INIT response");
  wi::Message bent{honest.decoded.header, honest.decoded.payloads};
  wi::NotifyPayload puzzle;
  puzzle.type = wi::NotifyType::kPuzzle;
  ASSERT_TRUE(from_hex(GetParam().data, puzzle.data));
  bent.payloads.insert(bent.payloads.begin() + 3, puzzle);
  e.inject(e.a(), honest.path, wi::serialize_message(bent));
  e.expect_in_the_air({});
  EXPECT_TRUE(contains(e.a().messages("puzzle-refused"), GetParam().words)) << e.a().messages("puzzle-refused");
  e.inject(honest);
  (void)e.run();
  e.expect_tunnel();
}

INSTANTIATE_TEST_SUITE_P(Puzzles, UnfairAuthPuzzle,
                         testing::Values(Unfair{"000515", "difficulty 21, and hardest-puzzle=20"},
                                         Unfair{"000606", "a PRF that we did not offer"},
                                         Unfair{"ffff06", "a PRF that we did not offer"},
                                         Unfair{"0005", "makes no sense"}, Unfair{"00050600", "makes no sense"}));

// A demand that leaves it to us is solved with 12 bits, if hardest-puzzle= allows that many.
TEST(AuthPuzzles, NoneIsSolvedWhereNoneMayBe) {
  for (const auto& [hardest, refused] : {std::pair{0U, true}, std::pair{11U, true}, std::pair{12U, false}}) {
    ike::EndpointSettings settings;
    settings.setup.hardest_puzzle = hardest;
    Exchange e;
    e.add("A", "192.0.2.1", {tunnel("tun")}, {secret("s3cret")}, settings);
    e.add("B", "198.51.100.1", {mirrored(tunnel("tun"))}, {secret("s3cret")});
    e.initiate(e.a());
    e.deliver();
    const auto honest = e.drop("IKE_SA_INIT response");
    wi::Message bent{honest.decoded.header, honest.decoded.payloads};
    wi::NotifyPayload puzzle;
    puzzle.type = wi::NotifyType::kPuzzle;
    puzzle.data = {0, 5, 0};
    bent.payloads.insert(bent.payloads.begin() + 3, puzzle);
    e.inject(e.a(), honest.path, wi::serialize_message(bent));
    EXPECT_EQ(contains(e.a().messages("puzzle-refused"), "hardest-puzzle="), refused) << hardest;
  }
}

TEST(AuthPuzzles, OnlyUnfairAnswersEndTheAttempt) {
  Exchange e(tunnel("tun"));
  e.initiate(e.a());
  e.deliver();
  const auto honest = e.drop("IKE_SA_INIT response");
  wi::Message bent{honest.decoded.header, honest.decoded.payloads};
  wi::NotifyPayload puzzle;
  puzzle.type = wi::NotifyType::kPuzzle;
  puzzle.data = {0, 5, 21};
  bent.payloads.insert(bent.payloads.begin() + 3, puzzle);
  e.inject(e.a(), honest.path, wi::serialize_message(bent));
  e.advance(3s);
  EXPECT_FALSE(last_done(e.a()).ok);
  EXPECT_TRUE(contains(last_done(e.a()).message, "raise it")) << last_done(e.a()).message;
}

}  // namespace
}  // namespace cygnet::test
