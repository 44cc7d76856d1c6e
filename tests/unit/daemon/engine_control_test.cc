// SPDX-License-Identifier: Apache-2.0
// Answers of the engine to ike that would not fit into a message.
#include <gtest/gtest.h>

#include "base/random.h"
#include "daemon/engine_role/control.h"
#include "sadb/packing.h"

namespace cygnet::daemon {
namespace {

class SilentLog final : public Logger {
 public:
  void write(const LogEntry& /*entry*/) override {}
};

class EngineControlTest : public ::testing::Test {
 protected:
  // The engine's answer to one request.
  sadb::Reply ask(const sadb::Request& request) {
    EXPECT_TRUE(control.on_message(sadb::encode(++number, request), Instant(std::chrono::hours(1))));
    // A dump may come in pieces: the last one is meant.
    EXPECT_GE(control.queue().size(), 1U);
    const auto bytes = control.queue().back();
    for (const auto& piece : control.queue()) EXPECT_LE(piece.size() + sadb::kLengthOctets, io::kMaxMessage);
    control.queue().clear();
    EXPECT_LE(bytes.size(), sadb::kMaxEncoded);
    auto decoded = sadb::decode_from_engine(bytes);
    EXPECT_TRUE(decoded);
    if (!decoded) return {};
    EXPECT_EQ(decoded->first, number);
    return std::get<sadb::Reply>(decoded->second);
  }
  std::string error_of(const sadb::Request& request) { return std::get<sadb::Acknowledgement>(ask(request)).error; }
  std::vector<std::pair<std::string, Bytes>> checkpoints() {
    return std::get<sadb::DumpPiece>(ask(sadb::QuerySasRequest{true})).part.checkpoints;
  }

  SeededRandom random{1};
  engine::Engine engine{engine::EngineSettings{}, random};
  SilentLog log;
  EngineControl control{engine, log};
  std::uint32_t number = 0;
};

model::TrafficSelectors many_networks(std::uint32_t first) {
  model::TrafficSelectors out;
  for (std::uint32_t i = 0; i < 255; ++i) {
    out.push_back(model::TrafficSelector::of(IpRange::of(IpAddress::v4(first + 2 * i))));
  }
  return out;
}

TEST_F(EngineControlTest, AnExplanationOfManySasWithManySelectorsIsShortened) {
  const model::PolicySpec policy{.id = model::PolicyId(1),
                                 .local = {model::TrafficSelector::of(IpRange::all(Family::kV4))},
                                 .remote = {model::TrafficSelector::of(IpRange::all(Family::kV4))}};
  ASSERT_EQ(error_of(sadb::InstallPolicyRequest{policy}), "");
  for (std::uint32_t i = 0; i < 20; ++i) {
    model::SaSpec sa{.direction = model::Direction::kOutbound,
                     .spi = Spi(1000 + i),
                     .child = model::ChildId(i + 1),
                     .policy = policy.id,
                     .encryption = model::EncryptionId::kAesGcm16,
                     .encryption_bits = 128,
                     .local_selectors = many_networks(0x0a010000),
                     .remote_selectors = many_networks(0x0a020000)};
    sa.encryption_key.resize(20, static_cast<std::uint8_t>(i));
    sa.remote = {IpAddress::v4(0xc0000201), 4500};
    ASSERT_EQ(error_of(sadb::InstallSaRequest{sa}), "") << i;
  }
  const auto reply = ask(sadb::ExplainRequest{model::TrafficSelector::of(IpRange::of(IpAddress::v4(0x0a010000))),
                                              model::TrafficSelector::of(IpRange::of(IpAddress::v4(0x0a020000)))});
  const auto& explanation = std::get<sadb::ExplainReply>(reply).explanation;
  EXPECT_TRUE(explanation.found);
  EXPECT_GE(explanation.outbound.size(), 1U);
  EXPECT_LT(explanation.outbound.size(), 20U);
}

TEST_F(EngineControlTest, ACheckpointInPiecesTakesThePlaceOfTheOlderOneOnceItIsWhole) {
  const Bytes piece(50000, 2);
  ASSERT_EQ(error_of(sadb::PutCheckpointRequest{"ike", Bytes(100, 1)}), "");
  ASSERT_EQ(error_of(sadb::PutCheckpointRequest{"ike", piece, 0, true}), "");
  ASSERT_EQ(error_of(sadb::PutCheckpointRequest{"ike", piece, 50000, true}), "");
  ASSERT_EQ(checkpoints().size(), 1U);
  EXPECT_EQ(checkpoints()[0].second, Bytes(100, 1));
  ASSERT_EQ(error_of(sadb::PutCheckpointRequest{"ike", Bytes(7, 3), 100000}), "");
  // It comes back in pieces as well.
  auto whole = Bytes(100000, 2);
  whole.insert(whole.end(), 7, 3);
  ASSERT_TRUE(control.on_message(sadb::encode(++number, sadb::Request{sadb::QuerySasRequest{true}}), Instant{}));
  EXPECT_EQ(control.queue().size(), 2U);
  Bytes seen;
  for (; !control.queue().empty(); control.queue().pop_front()) {
    EXPECT_LE(control.queue().front().size(), sadb::kMaxEncoded);
    const auto decoded = sadb::decode_from_engine(control.queue().front());
    ASSERT_TRUE(decoded);
    for (const auto& [key, value] :
         std::get<sadb::DumpPiece>(std::get<sadb::Reply>(decoded->second)).part.checkpoints) {
      EXPECT_EQ(key, "ike");
      seen.insert(seen.end(), value.begin(), value.end());
    }
  }
  EXPECT_EQ(seen, whole);
}

TEST_F(EngineControlTest, PiecesOfACheckpointThatDoNotFitTogetherLeaveNoOlderOneBehind) {
  const auto begin = [&] {
    ASSERT_EQ(error_of(sadb::PutCheckpointRequest{"ike", Bytes(100, 1)}), "");
    ASSERT_EQ(error_of(sadb::PutCheckpointRequest{"ike", Bytes(1000, 2), 0, true}), "");
  };
  begin();
  EXPECT_NE(error_of(sadb::PutCheckpointRequest{"ike", Bytes(10, 3), 999}), "");
  EXPECT_TRUE(checkpoints().empty());
  begin();
  EXPECT_NE(error_of(sadb::PutCheckpointRequest{"ike", Bytes(10, 3), 1001}), "");
  EXPECT_TRUE(checkpoints().empty());
  // Another one that begins takes the place of what never ended.
  begin();
  EXPECT_EQ(error_of(sadb::PutCheckpointRequest{"other", Bytes(10, 3)}), "");
  EXPECT_NE(error_of(sadb::PutCheckpointRequest{"ike", Bytes(10, 3), 1000}), "");
  ASSERT_EQ(checkpoints().size(), 1U);
  EXPECT_EQ(checkpoints()[0].first, "other");
}

TEST_F(EngineControlTest, ACheckpointThatIsTooLongLeavesNoOlderOneBehind) {
  ASSERT_EQ(error_of(sadb::PutCheckpointRequest{"ike", Bytes(100, 1)}), "");
  const Bytes piece(50000, 2);
  std::uint32_t offset = 0;
  std::string error;
  for (; error.empty(); offset += 50000) {
    error = error_of(sadb::PutCheckpointRequest{"ike", piece, offset, true});
    ASSERT_LE(offset, sadb::kMaxCheckpoint);
  }
  EXPECT_NE(error.find("too long"), std::string::npos) << error;
  EXPECT_GT(offset, sadb::kMaxCheckpoint);
  EXPECT_TRUE(checkpoints().empty());
}

}  // namespace
}  // namespace cygnet::daemon
