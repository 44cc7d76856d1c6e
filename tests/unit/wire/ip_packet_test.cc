// SPDX-License-Identifier: Apache-2.0
#include "wire/ip_packet.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "wire/esp_header.h"
#include "wire/icmp_message.h"
#include "wire/ip_checksum.h"
#include "wire/ipv4_header.h"
#include "wire/ipv6_header.h"
#include "wire/tcp_header.h"
#include "wire/udp_header.h"

namespace cygnet::wire {
namespace {

[[nodiscard]] Bytes hex(std::string_view text) {
  Bytes b;
  EXPECT_TRUE(from_hex(text, b)) << text;
  return b;
}

TEST(IpChecksum, KnownHeader) {
  // RFC 1071 section 3: the sum of 00 01 f2 03 f4 f5 f6 f7 is ddf2.
  EXPECT_EQ(checksum_fold(checksum_add(0, hex("0001f203f4f5f6f7"))), 0xddf2);
  EXPECT_EQ(internet_checksum(hex("0001f203f4f5f6f7")), 0x220d);
}

TEST(IpChecksum, AgreesWithTheDefinitionForEveryLengthAndSplit) {
  SeededRandom random(1);
  for (std::size_t n = 0; n < 200; ++n) {
    const Bytes b = random.bytes(n);
    std::uint32_t plain = 0;
    for (std::size_t i = 0; i < n; i += 2) {
      plain += static_cast<std::uint32_t>(b[i] << 8) + (i + 1 < n ? b[i + 1] : 0U);
    }
    while (plain > 0xffff) plain = (plain & 0xffff) + (plain >> 16);
    EXPECT_EQ(checksum_fold(checksum_add(0, b)), plain) << n;
    const std::size_t half = n / 4 * 2;
    EXPECT_EQ(checksum_fold(checksum_add(checksum_add(0, ByteView(b).first(half)), ByteView(b).subspan(half))), plain);
    Bytes copy(n);
    EXPECT_EQ(checksum_fold(checksum_copy(0, copy.data(), b)), plain);
    EXPECT_EQ(copy, b);
  }
}

TEST(IpChecksum, AllOnesDoNotOverflow) {
  const Bytes b(65535, 0xff);
  EXPECT_EQ(checksum_fold(checksum_add(0, ByteView(b).first(65534))), 0xffff);
}

TEST(IpChecksum, UpdateEqualsRecomputation) {
  // RFC 1624 section 4: header checksum 0xdd2f, field 0x5555 becomes 0x3285: new checksum 0x0000.
  EXPECT_EQ(checksum_update(0xdd2f, 0x5555, 0x3285), 0x0000);
  SeededRandom random(2);
  for (int i = 0; i < 1000; ++i) {
    Bytes b = random.bytes(40);
    const auto before = internet_checksum(b);
    const auto old_word = load_be16(&b[12]);
    store_be16(&b[12], static_cast<std::uint16_t>(random.u32()));
    EXPECT_EQ(checksum_update(before, old_word, load_be16(&b[12])), internet_checksum(b));
  }
}

TEST(IpPacket, Ipv4) {
  // An ICMP echo request with DF; its header checksum comes from the sum of the other nine words.
  auto b =
      hex("4500001c3039400040010000"
          "0a000001"
          "0a000002"
          "0800f7ff00000000");
  store_be16(&b[10], internet_checksum(ByteView(b).first(20)));
  set_ipv4_tos(b.data(), 0xb8);
  const auto info = parse_ip_packet(b);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->family, Family::kV4);
  EXPECT_EQ(info->tos, 0xb8);
  EXPECT_EQ(info->ttl, 64);
  EXPECT_EQ(info->protocol, protocol::kIcmp);
  EXPECT_TRUE(info->dont_fragment);
  EXPECT_FALSE(info->fragment);
  EXPECT_EQ(info->identification, 0x3039U);
  EXPECT_EQ(info->header_octets, 20U);
  EXPECT_EQ(info->total_octets, 28U);
  EXPECT_TRUE(info->has_ports);
  EXPECT_EQ(info->source_port, 0x0800);
  EXPECT_EQ(info->destination_port, 0x0800);
  EXPECT_EQ(source_address(b).to_string(), "10.0.0.1");
  EXPECT_EQ(destination_address(b).to_string(), "10.0.0.2");
}

[[nodiscard]] Bytes v4(std::uint8_t proto, ByteView payload) {
  Bytes b(20);
  write_ipv4_header(b.data(), {.total_octets = static_cast<std::uint16_t>(20 + payload.size()),
                               .protocol = proto,
                               .source = IpAddress::v4(0x0a000001),
                               .destination = IpAddress::v4(0x0a000002)});
  append(b, payload);
  return b;
}

TEST(IpPacket, RefusesWhatContradictsItself) {
  const auto good = v4(17, hex("1234567800080000"));
  ASSERT_TRUE(parse_ip_packet(good));
  EXPECT_EQ(parse_ip_packet({}).error(), IpError::kTruncated);
  EXPECT_EQ(parse_ip_packet(ByteView(good).first(19)).error(), IpError::kTruncated);
  EXPECT_EQ(parse_ip_packet(ByteView(good).first(27)).error(), IpError::kTruncated);
  auto bad = good;
  bad[0] = 0x55;
  EXPECT_EQ(parse_ip_packet(bad).error(), IpError::kMalformed) << "version 5";
  bad = good;
  bad[0] = 0x44;
  EXPECT_EQ(parse_ip_packet(bad).error(), IpError::kMalformed) << "header of 16 octets";
  bad = good;
  set_ipv4_word(bad.data(), 2, 19);
  EXPECT_EQ(parse_ip_packet(bad).error(), IpError::kMalformed) << "total below header";
  bad = good;
  bad[8] = 9;
  EXPECT_EQ(parse_ip_packet(bad).error(), IpError::kMalformed) << "checksum";
  bad = good;
  set_ipv4_word(bad.data(), 6, 0x1fff);
  EXPECT_EQ(parse_ip_packet(bad).error(), IpError::kMalformed) << "ends beyond 65535";
}

TEST(IpPacket, TrailingOctetsAreNotPartOfIt) {
  auto b = v4(17, hex("1234567800080000"));
  b.resize(100);
  EXPECT_EQ(parse_ip_packet(b)->total_octets, 28U);
}

TEST(IpPacket, PortsOfEachProtocol) {
  for (const int proto : {6, 17, 33, 132, 136}) {
    const auto info = parse_ip_packet(v4(static_cast<std::uint8_t>(proto), hex("12345678")));
    ASSERT_TRUE(info && info->has_ports) << proto;
    EXPECT_EQ(info->source_port, 0x1234);
    EXPECT_EQ(info->destination_port, 0x5678);
  }
  EXPECT_FALSE(parse_ip_packet(v4(17, hex("123456")))->has_ports) << "too short for ports";
  EXPECT_FALSE(parse_ip_packet(v4(47, hex("12345678")))->has_ports) << "GRE has none";
  EXPECT_EQ(parse_ip_packet(v4(protocol::kMobility, hex("3b000500")))->source_port, 0x0500);
}

TEST(IpPacket, FirstFragmentHasPortsLaterOnesHaveNot) {
  auto b = v4(17, hex("1234567800080000"));
  set_ipv4_word(b.data(), 6, 0x2000);
  EXPECT_TRUE(parse_ip_packet(b)->first_fragment());
  EXPECT_TRUE(parse_ip_packet(b)->has_ports);
  set_ipv4_word(b.data(), 6, 0x0002);
  EXPECT_EQ(parse_ip_packet(b)->fragment_offset, 16);
  EXPECT_FALSE(parse_ip_packet(b)->has_ports);
}

[[nodiscard]] Bytes v6(std::uint8_t next, ByteView payload) {
  Bytes b(40);
  write_ipv6_header(b.data(), {.traffic_class = 0x5a,
                               .payload_octets = static_cast<std::uint16_t>(payload.size()),
                               .next_header = next,
                               .source = *IpAddress::parse("2001:db8::1"),
                               .destination = *IpAddress::parse("2001:db8::2")});
  append(b, payload);
  return b;
}

TEST(IpPacket, Ipv6) {
  const auto b = v6(17, hex("1234567800080000"));
  const auto info = parse_ip_packet(b);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->tos, 0x5a);
  EXPECT_EQ(info->protocol, 17);
  EXPECT_EQ(info->header_octets, 40U);
  EXPECT_EQ(info->destination_port, 0x5678);
  EXPECT_TRUE(info->dont_fragment);
  EXPECT_EQ(destination_address(b).to_string(), "2001:db8::2");
  auto marked = b;
  set_ipv6_traffic_class(marked.data(), 0xa5);
  EXPECT_EQ(parse_ip_packet(marked)->tos, 0xa5);
  marked[1] |= 0x0f;
  set_ipv6_traffic_class(marked.data(), 0);
  EXPECT_EQ(marked[1], 0x0f) << "the flow label stays";
  EXPECT_EQ(marked[0], 0x60);
}

TEST(IpPacket, Ipv6ExtensionHeadersAreWalked) {
  // hop-by-hop (8 octets) -> destination options (16 octets) -> UDP
  const auto b = v6(0, hex("3c00010400000000"
                           "11010104000000000104000000000000"
                           "12345678"));
  const auto info = parse_ip_packet(b);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->protocol, 17);
  EXPECT_EQ(info->header_octets, 64U);
  EXPECT_TRUE(info->has_extensions);
  EXPECT_EQ(info->source_port, 0x1234);
}

TEST(IpPacket, Ipv6Fragments) {
  const auto first = parse_ip_packet(v6(44, hex("11000001000000071234567800080000")));
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->first_fragment());
  EXPECT_EQ(first->identification, 7U);
  EXPECT_TRUE(first->has_ports);
  const auto later = parse_ip_packet(v6(44, hex("11000009000000071234567800080000")));
  ASSERT_TRUE(later);
  EXPECT_EQ(later->fragment_offset, 8);
  EXPECT_FALSE(later->has_ports);
  const auto atomic = parse_ip_packet(v6(44, hex("11000000000000071234567800080000")));
  ASSERT_TRUE(atomic);
  EXPECT_FALSE(atomic->fragment) << "RFC 6946";
}

TEST(IpPacket, Ipv6ChainsThatLieAreRefused) {
  EXPECT_FALSE(parse_ip_packet(v6(0, hex("3c00010400"))));
  EXPECT_FALSE(parse_ip_packet(v6(0, hex("3cff010400000000"))));
  EXPECT_FALSE(parse_ip_packet(v6(44, hex("2c00000100000007"
                                          "1100000100000007"
                                          "12345678"))))
      << "two fragment headers";
  Bytes endless;
  for (int i = 0; i < 40; ++i) append(endless, hex("3c00010400000000"));
  EXPECT_FALSE(parse_ip_packet(v6(60, endless)));
  auto b = v6(17, hex("12345678"));
  EXPECT_FALSE(parse_ip_packet(ByteView(b).first(43)));
}

TEST(Tcp, HeaderLengths) {
  Bytes tcp(24);
  tcp[12] = 0x60;
  EXPECT_EQ(tcp_header_octets(tcp), 24U);
  tcp[12] = 0x70;
  EXPECT_EQ(tcp_header_octets(tcp), std::nullopt);
  tcp[12] = 0x40;
  EXPECT_EQ(tcp_header_octets(tcp), std::nullopt);
  EXPECT_EQ(tcp_header_octets(ByteView(tcp).first(19)), std::nullopt);
}

TEST(Tcp, MssAtOddAndEvenOffsets) {
  for (const std::size_t nops : {0U, 1U, 2U, 3U}) {
    Bytes tcp(28);
    tcp[12] = 0x70;
    tcp[13] = tcp_flag::kSyn;
    for (std::size_t i = 0; i < nops; ++i) tcp[20 + i] = 1;
    const auto mss = hex("020405b4");
    std::ranges::copy(mss, tcp.begin() + 20 + static_cast<std::ptrdiff_t>(nops));
    store_be16(&tcp[16], internet_checksum(tcp));
    ASSERT_EQ(internet_checksum(tcp), 0);
    EXPECT_TRUE(clamp_tcp_mss(tcp, 1200));
    EXPECT_EQ(load_be16(&tcp[22 + nops]), 1200);
    EXPECT_EQ(internet_checksum(tcp), 0) << nops;
    EXPECT_FALSE(clamp_tcp_mss(tcp, 1200)) << "nothing left to do";
  }
}

TEST(Tcp, OnlySynsAndOnlySoundOptionsAreTouched) {
  Bytes tcp(24);
  tcp[12] = 0x60;
  const auto mss = hex("020405b4");
  std::ranges::copy(mss, tcp.begin() + 20);
  EXPECT_FALSE(clamp_tcp_mss(tcp, 500)) << "no SYN";
  tcp[13] = tcp_flag::kSyn;
  tcp[20] = 3;
  tcp[21] = 0;
  EXPECT_FALSE(clamp_tcp_mss(tcp, 500)) << "option of length 0";
  tcp[21] = 9;
  EXPECT_FALSE(clamp_tcp_mss(tcp, 500)) << "option beyond the header";
}

TEST(Udp, WhatLiesBehindThePort) {
  EXPECT_EQ(classify_udp_encapsulated(hex("ff")), UdpEncapsulated::kKeepalive);
  EXPECT_EQ(classify_udp_encapsulated(hex("fe")), UdpEncapsulated::kTooShort);
  EXPECT_EQ(classify_udp_encapsulated({}), UdpEncapsulated::kTooShort);
  EXPECT_EQ(classify_udp_encapsulated(hex("0000000011")), UdpEncapsulated::kIke);
  EXPECT_EQ(classify_udp_encapsulated(hex("00001001")), UdpEncapsulated::kEsp);
}

TEST(Esp, PaddingFillsBlocks) {
  EXPECT_EQ(esp_pad_octets(0, 4), 2U);
  EXPECT_EQ(esp_pad_octets(2, 4), 0U);
  EXPECT_EQ(esp_pad_octets(3, 4), 3U);
  EXPECT_EQ(esp_pad_octets(14, 16), 0U);
  EXPECT_EQ(esp_pad_octets(15, 16), 15U);
  Bytes trailer(5);
  write_esp_trailer(trailer.data(), 3, 41);
  EXPECT_EQ(to_hex(trailer), "0102030329");
}

TEST(Icmp, NoErrorAboutBroadcastMulticastFragmentsOrErrors) {
  Bytes to(kIcmpErrorOctets);
  const auto about = [&](Bytes b) { return write_too_big_error(to.data(), b, 1400); };
  EXPECT_EQ(about(v4(17, hex("1234567800080000"))), 56U);
  auto b = v4(17, hex("1234567800080000"));
  set_ipv4_word(b.data(), 16, 0xe000);
  EXPECT_EQ(about(b), 0U) << "multicast";
  b = v4(17, hex("1234567800080000"));
  set_ipv4_word(b.data(), 6, 5);
  EXPECT_EQ(about(b), 0U) << "later fragment";
  EXPECT_EQ(about(v4(1, hex("0304000000000000"))), 0U) << "unreachable";
  EXPECT_EQ(about(v4(1, hex("0800000000000000"))), 56U) << "echo";
  EXPECT_EQ(about(v6(58, hex("0200000000000000"))), 0U);
  EXPECT_EQ(about(hex("45")), 0U);
}

}  // namespace
}  // namespace cygnet::wire
