// SPDX-License-Identifier: Apache-2.0
// IP Payload Compression (RFC 3173, RFC 2394) inside ESP.
#include "engine/ipcomp.h"

#include <zlib.h>

#include "unit/engine/support.h"
#include "wire/ipcomp_header.h"

namespace cygnet::engine::test {
namespace {

constexpr std::size_t kMaxIp = 65535;

// Text like this shrinks to a fraction; noise does not.
[[nodiscard]] Bytes text(std::size_t octets) {
  static constexpr std::string_view kWords = "to be, or not to be: that is the question. ";
  Bytes out(octets);
  for (std::size_t i = 0; i < octets; ++i) out[i] = static_cast<std::uint8_t>(kWords[i % kWords.size()]);
  return out;
}
[[nodiscard]] Bytes noise(std::size_t octets, std::uint64_t seed = 1) { return SeededRandom(seed).bytes(octets); }

[[nodiscard]] Bytes tcp_with(Bytes payload, std::uint32_t sequence = 1000) {
  return tcp_packet("10.1.0.5", "10.2.0.6", {.sequence = sequence, .payload = std::move(payload)});
}

// zlib as the RFC names it, without our wrapper: raw DEFLATE with the window given.
[[nodiscard]] Bytes deflated(ByteView data, int window = -15) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes out(deflateBound(&z, data.size()));
  z.next_in = const_cast<Bytef*>(data.data());
  z.avail_in = static_cast<uInt>(data.size());
  z.next_out = out.data();
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

[[nodiscard]] Bytes with_header(std::uint8_t next_header, std::uint16_t cpi, ByteView compressed) {
  Bytes out(4);
  wire::write_ipcomp_header(out.data(), next_header, cpi);
  append(out, compressed);
  return out;
}

TEST(Ipcomp, HeaderAndStreamAreTheRfcs) {
  Ipcomp ipcomp;
  Compressibility memory;
  const auto clear = text(1400);
  const auto out = ipcomp.compress(clear, 4, 0x0abc, memory);
  ASSERT_GT(out.size(), 4U);
  EXPECT_EQ(to_hex(out.first(4)), "04000abc");
  // A receiver with a window of 2 KiB, as Linux's kernel has it, can expand it.
  z_stream z{};
  ASSERT_EQ(inflateInit2(&z, -11), Z_OK);
  Bytes back(2000);
  z.next_in = const_cast<Bytef*>(out.data() + 4);
  z.avail_in = static_cast<uInt>(out.size() - 4);
  z.next_out = back.data();
  z.avail_out = static_cast<uInt>(back.size());
  EXPECT_EQ(inflate(&z, Z_FINISH), Z_STREAM_END);
  back.resize(z.total_out);
  inflateEnd(&z);
  EXPECT_EQ(back, clear);
}

TEST(Ipcomp, TakesAnyWindow) {
  Ipcomp ipcomp;
  const auto clear = noise(9000);
  Bytes twice = clear;
  append(twice, clear);  // what repeats is further back than 2 KiB
  Bytes room(kMaxIp);
  ASSERT_EQ(ipcomp.decompress(deflated(twice), room), twice.size());
  EXPECT_TRUE(std::equal(twice.begin(), twice.end(), room.begin()));
}

TEST(Ipcomp, DamagedAndEndlessStreamsGiveNothing) {
  Ipcomp ipcomp;
  Bytes room(kMaxIp);
  const auto good = deflated(text(1400));
  for (std::size_t cut = 0; cut < good.size(); ++cut)
    EXPECT_EQ(ipcomp.decompress(ByteView(good).first(cut), room), 0U) << cut;
  EXPECT_EQ(ipcomp.decompress(noise(500, 7), room), 0U);
  // 100 octets that become 70,000: more than an IP packet can be.
  const auto bomb = deflated(Bytes(70000, 0));
  EXPECT_LT(bomb.size(), 200U);
  EXPECT_EQ(ipcomp.decompress(bomb, room), 0U);
  EXPECT_EQ(ipcomp.decompress(good, room), 1400U) << "and the next packet is fine";
}

TEST(Ipcomp, WhatDoesNotShrinkIsGivenUpForAWhile) {
  Ipcomp ipcomp;
  Compressibility memory;
  EXPECT_TRUE(ipcomp.compress(text(89), 4, 1000, memory).empty()) << "RFC 2394 section 4.2: below 90 octets";
  for (std::uint64_t i = 0; i < 8; ++i) EXPECT_TRUE(ipcomp.compress(noise(1400, i), 4, 1000, memory).empty());
  std::size_t tries = 0;
  while (ipcomp.compress(text(1400), 4, 1000, memory).empty()) ++tries;
  EXPECT_EQ(tries, 64U);
  EXPECT_FALSE(ipcomp.compress(text(1400), 4, 1000, memory).empty());
}

class IpcompTunnel : public TwoGateways {};

TEST_F(IpcompTunnel, TextShrinksAndNoiseGoesAsItIs) {
  for (const auto mode : {model::Mode::kTunnel, model::Mode::kTransport}) {
    const bool tunnel = mode == model::Mode::kTunnel;
    TunnelOptions options{.mode = mode, .ipcomp = true};
    if (!tunnel) {
      options.left = {"192.0.2.1"};
      options.right = {"192.0.2.2"};
    }
    connect(options);
    const auto packet_of = [&](Bytes payload) {
      return tcp_packet(tunnel ? "10.1.0.5" : "192.0.2.1", tunnel ? "10.2.0.6" : "192.0.2.2",
                        {.payload = std::move(payload)});
    };
    for (const auto& [payload, shrinks] : {std::pair{text(1300), true}, std::pair{noise(1300), false}}) {
      const auto packet = packet_of(payload);
      const auto sent = a.send(packet);
      ASSERT_EQ(sent.esp().size(), 1U);
      EXPECT_EQ(sent.esp()[0].size() < 400, shrinks) << sent.esp()[0].size();
      const auto arrived = b.receive(sent.esp()[0]);
      ASSERT_EQ(arrived.delivered.size(), 1U);
      const auto offset = wire::parse_ip_packet(packet).value().header_octets;
      EXPECT_EQ(Bytes(arrived.delivered[0].packet.begin() + static_cast<std::ptrdiff_t>(offset),
                      arrived.delivered[0].packet.end()),
                Bytes(packet.begin() + static_cast<std::ptrdiff_t>(offset), packet.end()));
    }
    disconnect();
  }
}

TEST_F(IpcompTunnel, SegmentsOfASuperPacketEachForItself) {
  connect({.ipcomp = true});
  auto packet = tcp_with(text(5000));
  const auto info = wire::parse_ip_packet(packet).value();
  store_be16(&packet[36],
             wire::checksum_fold(wire::pseudo_header_sum(wire::source_octets(packet), wire::destination_octets(packet),
                                                         info.protocol, info.payload_octets())));
  const auto sent = a.send(packet, {.needs_checksum = true,
                                    .gso = Offload::Gso::kTcpV4,
                                    .header_octets = 40,
                                    .segment_octets = 1300,
                                    .checksum_start = 20,
                                    .checksum_offset = 16});
  ASSERT_EQ(sent.esp().size(), 4U);
  Bytes stream;
  for (const auto& esp : sent.esp()) {
    EXPECT_LT(esp.size(), 400U);
    for (const auto& segment : b.receive(esp).packets()) {
      EXPECT_TRUE(checksum_right(segment));
      append(stream, ByteView(segment).subspan(40));
    }
  }
  EXPECT_EQ(stream, text(5000));
}

TEST_F(IpcompTunnel, HostilePacketsAreCountedByName) {
  connect({.ipcomp = true});
  const auto in_b = spec({.ipcomp = true}, true, model::Direction::kInbound);
  const auto inner = tcp_with(text(1000));
  std::uint64_t sequence = 0;
  const auto arrives = [&](const Bytes& payload) {
    return b.receive(seal_by_hand(in_b, ++sequence, payload, wire::protocol::kIpcomp));
  };
  EXPECT_EQ(arrives(with_header(4, 1000, deflated(inner))).delivered.size(), 1U);
  EXPECT_EQ(arrives(with_header(4, 999, deflated(inner))).delivered.size(), 1U)
      << "of the SA that replaces this one: DEFLATE, too";
  using Dropped = std::vector<DropReason>;
  EXPECT_EQ(arrives(with_header(4, 255, deflated(inner))).dropped, Dropped{DropReason::kBadCompression});
  EXPECT_EQ(arrives(with_header(4, 1000, {})).dropped, Dropped{DropReason::kBadCompression});
  EXPECT_EQ(arrives(Bytes{4, 0}).dropped, Dropped{DropReason::kBadCompression});
  EXPECT_EQ(arrives(with_header(4, 1000, noise(90))).dropped, Dropped{DropReason::kBadCompression});
  EXPECT_EQ(arrives(with_header(4, 1000, deflated(Bytes(70000, 0)))).dropped, Dropped{DropReason::kBadCompression});
  const auto nested = with_header(4, 1000, deflated(inner));
  EXPECT_EQ(arrives(with_header(wire::protocol::kIpcomp, 1000, deflated(nested))).dropped,
            Dropped{DropReason::kBadCompression});
  EXPECT_EQ(arrives(with_header(6, 1000, deflated(inner))).dropped, Dropped{DropReason::kBadNextHeader});
  // The selectors hold for what was compressed.
  const auto stranger = tcp_packet("10.9.0.5", "10.1.0.6", {.payload = text(500)});
  EXPECT_EQ(arrives(with_header(4, 1000, deflated(stranger))).dropped, Dropped{DropReason::kSelectorMismatch});
  EXPECT_EQ(b.drops(DropReason::kBadCompression), 6U);
}

TEST_F(IpcompTunnel, NobodyExpandsWhatWasNotAgreedOn) {
  connect({});
  const auto in_b = spec({}, true, model::Direction::kInbound);
  const auto packet = with_header(4, 1000, deflated(tcp_with(text(1000))));
  EXPECT_EQ(b.receive(seal_by_hand(in_b, 1, packet, wire::protocol::kIpcomp)).dropped,
            std::vector<DropReason>{DropReason::kBadCompression});
}

}  // namespace
}  // namespace cygnet::engine::test
