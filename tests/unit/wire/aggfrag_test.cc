// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "wire/aggfrag_header.h"

namespace cygnet::wire {
namespace {

[[nodiscard]] Bytes hex(std::string_view text) {
  Bytes bytes;
  EXPECT_TRUE(from_hex(text, bytes));
  return bytes;
}

TEST(Aggfrag, TheShortHeaderIsFourOctets) {
  const AggfragHeader header{.block_offset = 0x1234, .report = {}};
  ASSERT_EQ(header.octets(), 4U);
  Bytes out(4, 0xff);
  write_aggfrag_header(out.data(), header);
  EXPECT_EQ(out, hex("00001234"));
  EXPECT_EQ(parse_aggfrag_header(out), header);
  out[1] = 0xff;  // "ignored on receipt"
  EXPECT_EQ(parse_aggfrag_header(out), header);
}

TEST(Aggfrag, TheLongHeaderPacksThreeTimesIntoEightOctets) {
  const AggfragHeader header{.block_offset = 5,
                             .report = AggfragReport{.probing = true,
                                                     .congestion_experienced = true,
                                                     .loss_event_rate = 0x01020304,
                                                     .rtt_us = 0x2aaaaa,
                                                     .echo_delay_us = 0x155555,
                                                     .transmit_delay_us = 0x0f0f0f,
                                                     .value = 0xa1a2a3a4,
                                                     .echo = 0xb1b2b3b4}};
  ASSERT_EQ(header.octets(), 24U);
  Bytes out(24, 0xff);
  write_aggfrag_header(out.data(), header);
  // 1010101010101010101010 101010101010101010101 011110000111100001111
  EXPECT_EQ(out, hex("01030005"
                     "01020304"
                     "aaaaaaaa"
                     "aaaf0f0f"
                     "a1a2a3a4"
                     "b1b2b3b4"));
  EXPECT_EQ(parse_aggfrag_header(out), header);
}

TEST(Aggfrag, TimesThatDoNotFitAreTheLargestThatDo) {
  Bytes out(24);
  write_aggfrag_header(
      out.data(),
      {.block_offset = 0,
       .report = AggfragReport{.rtt_us = 0x400000, .echo_delay_us = 0x200000, .transmit_delay_us = UINT32_MAX}});
  const auto report = parse_aggfrag_header(out)->report.value();
  EXPECT_EQ(report.rtt_us, 0x3fffffU);
  EXPECT_EQ(report.echo_delay_us, 0x1fffffU);
  EXPECT_EQ(report.transmit_delay_us, 0x1fffffU);
}

TEST(Aggfrag, TooShortAndUnknownSubTypesAreNothing) {
  EXPECT_FALSE(parse_aggfrag_header({}));
  EXPECT_FALSE(parse_aggfrag_header(hex("000000")));
  EXPECT_FALSE(parse_aggfrag_header(hex("02000000")));
  EXPECT_FALSE(parse_aggfrag_header(Bytes(23, 1)));
  EXPECT_TRUE(parse_aggfrag_header(Bytes(24, 1)));
}

TEST(Aggfrag, DataBlocksTellTheirLength) {
  using Kind = DataBlock::Kind;
  const auto at = [](std::string_view text) { return data_block_at(hex(text)); };
  EXPECT_EQ(at("00").kind, Kind::kPad);
  EXPECT_EQ(at("0f4500").octets, 3U);
  EXPECT_EQ(at("45").kind, Kind::kUnknown);
  EXPECT_EQ(at("450005").kind, Kind::kUnknown);
  EXPECT_EQ(at("450005dc").kind, Kind::kPacket);
  EXPECT_EQ(at("450005dc").octets, 1500U);
  EXPECT_EQ(at("45000013").kind, Kind::kBad) << "shorter than its header";
  EXPECT_EQ(at("6000000000").kind, Kind::kUnknown);
  EXPECT_EQ(at("600000000010").octets, 56U);
  EXPECT_EQ(at("60000000ffff").octets, 65575U);
  for (const auto* other : {"10", "5000", "70", "f0"}) EXPECT_EQ(at(other).kind, Kind::kBad) << other;
}

}  // namespace
}  // namespace cygnet::wire
