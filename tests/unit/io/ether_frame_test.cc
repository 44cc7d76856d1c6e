// SPDX-License-Identifier: Apache-2.0
#include "io/ether_frame.h"

#include <gtest/gtest.h>

#include <numeric>

namespace cygnet::io {
namespace {

constexpr MacAddress kOurs{0x02, 0, 0, 0, 0, 1};
constexpr MacAddress kTheirs{0x02, 0, 0, 0, 0, 2};

Bytes esp(std::size_t octets) {
  Bytes out(octets);
  std::iota(out.begin(), out.end(), std::uint8_t{0x10});
  return out;
}

// What write_esp_headers() makes, with its ESP.
Bytes frame_of(const EspHeaders& headers, const Bytes& content) {
  Bytes out(100);
  const auto front = write_esp_headers(out.data(), headers, content.size());
  out.resize(front);
  out.insert(out.end(), content.begin(), content.end());
  return out;
}

EspHeaders v4() {
  return {.source_mac = kOurs,
          .destination_mac = kTheirs,
          .source = *IpAddress::parse("192.0.2.2"),
          .destination = *IpAddress::parse("198.51.100.2"),
          .tos = 0xb9,
          .identification = 0x1234};
}
EspHeaders v6() {
  return {.source_mac = kOurs,
          .destination_mac = kTheirs,
          .source = *IpAddress::parse("2001:db8:a::2"),
          .destination = *IpAddress::parse("2001:db8:b::2"),
          .tos = 0xb9};
}

// RFC 791's sum over the header, carried out here in another way.
void mend_checksum(Bytes& frame) {
  frame[24] = frame[25] = 0;
  std::uint64_t sum = 0;
  for (std::size_t i = 14; i < 34; i += 2) sum += static_cast<std::uint64_t>(frame[i] * 256 + frame[i + 1]);
  const auto checksum = static_cast<std::uint16_t>(65535 - sum % 65535);
  frame[24] = static_cast<std::uint8_t>(checksum >> 8);
  frame[25] = static_cast<std::uint8_t>(checksum);
}

TEST(EtherFrame, V4OctetForOctet) {
  const Bytes expected{0x02, 0,    0,    0,    0,    2,    0x02, 0,    0,    0,  0,    1,    0x08, 0x00,  // Ethernet
                       0x45, 0xb9, 0x00, 0x24, 0x12, 0x34, 0x00, 0x00, 0x40, 50, 0x7c, 0xa8,              // RFC 791
                       192,  0,    2,    2,    198,  51,   100,  2};
  auto frame = frame_of(v4(), esp(16));
  Bytes with_right_sum = expected;
  mend_checksum(with_right_sum);
  EXPECT_EQ(Bytes(frame.begin(), frame.begin() + 34), with_right_sum);
  auto headers = v4();
  headers.dont_fragment = true;
  frame = frame_of(headers, esp(16));
  EXPECT_EQ(Bytes(frame.begin() + 18, frame.begin() + 22), (Bytes{0, 0, 0x40, 0}));
  EXPECT_TRUE(parse_esp_frame(frame));
}

TEST(EtherFrame, V6OctetForOctet) {
  const auto frame = frame_of(v6(), esp(16));
  ASSERT_EQ(frame.size(), 14U + 40 + 16);
  EXPECT_EQ(Bytes(frame.begin() + 12, frame.begin() + 22), (Bytes{0x86, 0xdd, 0x6b, 0x90, 0, 0, 0, 16, 50, 64}));
  EXPECT_EQ(IpAddress::from_bytes(ByteView(frame).subspan(22, 16)), v6().source);
  EXPECT_EQ(IpAddress::from_bytes(ByteView(frame).subspan(38, 16)), v6().destination);
}

TEST(EtherFrame, ReadsWhatItWrites) {
  for (const auto& headers : {v4(), v6()}) {
    auto frame = frame_of(headers, esp(16));
    frame.resize(frame.size() + 6);  // Ethernet's padding
    const auto parsed = parse_esp_frame(frame);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(Bytes(parsed->esp.begin(), parsed->esp.end()), esp(16));
    EXPECT_EQ(parsed->local, headers.destination);
    EXPECT_EQ(parsed->remote, headers.source);
    EXPECT_EQ(parsed->tos, 0xb9);
  }
}

TEST(EtherFrame, RefusesWhatIsForTheKernel) {
  struct Change {
    const char* what;
    std::size_t at;
    std::uint8_t to;
    bool mend;
  };
  for (const auto& change :
       {Change{"another EtherType", 13, 0x06, false}, Change{"options", 14, 0x46, true}, Change{"UDP", 23, 17, true},
        Change{"more fragments", 20, 0x20, true}, Change{"a later fragment", 21, 1, true},
        Change{"longer than the frame", 17, 0x25, true}, Change{"no room for SPI and number", 17, 27, true},
        Change{"a wrong checksum", 22, 63, false}}) {
    auto frame = frame_of(v4(), esp(16));
    frame[change.at] = change.to;
    if (change.mend) mend_checksum(frame);
    EXPECT_FALSE(parse_esp_frame(frame)) << change.what;
  }
  for (const auto& change : {Change{"another version", 14, 0x5b, false}, Change{"an extension header", 20, 60, false},
                             Change{"longer than the frame", 19, 17, false}, Change{"too short", 19, 7, false}}) {
    auto frame = frame_of(v6(), esp(16));
    frame[change.at] = change.to;
    EXPECT_FALSE(parse_esp_frame(frame)) << change.what;
  }
}

TEST(EtherFrame, EveryShorterFrameIsRefused) {
  for (const auto& headers : {v4(), v6()}) {
    const auto whole = frame_of(headers, esp(16));
    for (std::size_t n = 0; n < whole.size(); ++n) {
      Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
      EXPECT_FALSE(parse_esp_frame(cut)) << n;
    }
  }
}

}  // namespace
}  // namespace cygnet::io
