// SPDX-License-Identifier: Apache-2.0
// Whole IKEv2 messages: header, chain, encryption, limits, and what hostile ones are told.
#include <gtest/gtest.h>

#include "base/random.h"
#include "wire/ike/describe.h"
#include "wire/ike/message.h"

namespace cygnet::wire::ike {
namespace {

Bytes hex(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c != ' ') digits += c;
  }
  Bytes out;
  EXPECT_TRUE(from_hex(digits, out)) << text;
  return out;
}

Header request(ExchangeType exchange, std::uint32_t id) {
  Header header;
  header.spi_i = IkeSpi{0x1122334455667788};
  header.spi_r = IkeSpi{0x99aabbccddeeff00};
  header.exchange = exchange;
  header.initiator = true;
  header.message_id = MessageId{id};
  return header;
}

Message sample_init() {
  SaPayload sa;
  sa.proposals.push_back({1,
                          {},
                          {model::Protocol::kIke,
                           {{model::TransformType::kEncryption, 20, 256},
                            {model::TransformType::kPrf, 5, 0},
                            {model::TransformType::kKeyExchange, 31, 0}}},
                          {}});
  return {request(ExchangeType::kIkeSaInit, 0),
          {sa, KePayload{model::KeGroup::kX25519, Bytes(32, 0xaa)}, NoncePayload{Bytes(32, 0xbb)},
           NotifyPayload{model::Protocol::kNone, {}, NotifyType::kNatDetectionSourceIp, Bytes(20, 0xcc)},
           VendorIdPayload{to_bytes("cygnet")}}};
}

// Stands in for a cipher: IV of 4 octets, every octet flipped, ICV = sum of everything.
struct ToyCipher {
  [[nodiscard]] std::size_t sealed_octets(std::size_t plaintext) const { return 4 + plaintext + 1; }
  static std::uint8_t sum(ByteView a, ByteView b) {
    std::uint8_t total = 0;
    for (const auto octet : a) total = static_cast<std::uint8_t>(total * 31 + octet);
    for (const auto octet : b) total = static_cast<std::uint8_t>(total * 31 + octet);
    return total;
  }
  [[nodiscard]] Result<Bytes> seal(ByteView header, ByteView plaintext, ByteView iv) const {
    Bytes out(iv.begin(), iv.end());
    for (const auto octet : plaintext) out.push_back(octet ^ 0xffU);
    out.push_back(sum(header, out));
    return out;
  }
  [[nodiscard]] Result<SecretBytes> open(ByteView header, ByteView body) const {
    if (body.size() < 5 || sum(header, body.first(body.size() - 1)) != body.back())
      return fail("integrity check failed");
    SecretBytes out;
    for (const auto octet : body.subspan(4, body.size() - 5)) out.push_back(octet ^ 0xffU);
    return out;
  }
};

TEST(IkeHeader, IsLaidOutAsDrawn) {
  const auto header = parse_header(hex("1122334455667788 99aabbccddeeff00 21 20 23 28 00000007 0000001c"));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->spi_i.value, 0x1122334455667788U);
  EXPECT_EQ(header->spi_r.value, 0x99aabbccddeeff00U);
  EXPECT_EQ(header->next_payload, PayloadType::kSa);
  EXPECT_EQ(header->major_version, 2);
  EXPECT_EQ(header->minor_version, 0);
  EXPECT_EQ(header->exchange, ExchangeType::kIkeAuth);
  EXPECT_TRUE(header->initiator);
  EXPECT_TRUE(header->response);
  EXPECT_FALSE(header->higher_version);
  EXPECT_EQ(header->message_id.value, 7U);
  EXPECT_EQ(header->length, 28U);
  ByteWriter out;
  serialize_header(*header, out);
  EXPECT_EQ(to_hex(out.view()), "112233445566778899aabbccddeeff0021202328000000070000001c");
}

TEST(IkeHeader, ReservedFlagsAreIgnoredAndCleared) {
  const auto header = parse_header(hex("0000000000000001 0000000000000000 00 2f 22 c7 00000000 0000001c"));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->minor_version, 15);
  EXPECT_FALSE(header->initiator);
  EXPECT_FALSE(header->response);
  ByteWriter out;
  serialize_header(*header, out);
  EXPECT_EQ(out.view()[19], 0);
}

TEST(IkeMessage, GoldenInitRequest) {
  const Bytes bytes = serialize_message(sample_init());
  EXPECT_EQ(to_hex(bytes),
            "112233445566778899aabbccddeeff0021202208000000000000"
            "00b6"
            "22000028"
            "0000002401010003"
            "0300000c01000014800e0100"
            "0300000802000005"
            "000000080400001f"
            "28000028"
            "001f0000"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "29000024"
            "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
            "2b00001c"
            "00004004"
            "cccccccccccccccccccccccccccccccccccccccc"
            "0000000a"
            "6379676e6574");
  const auto message = parse_message(bytes);
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_EQ(message->payloads, sample_init().payloads);
  EXPECT_EQ(describe(message->header, message->payloads),
            "IKE_SA_INIT request 0: SA KE Ni N(NAT_DETECTION_SOURCE_IP) V");
}

TEST(IkeMessage, EveryTruncationAndEveryLongerOneIsRefused) {
  const Bytes bytes = serialize_message(sample_init());
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const auto cut = parse_message(ByteView(bytes).first(n));
    ASSERT_FALSE(cut) << n;
    EXPECT_EQ(cut.error().kind, ParseError::Kind::kMalformed);
    // The same with a Length field that agrees with the datagram.
    Bytes agreed(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    if (n < kHeaderOctets) continue;
    store_be32(agreed.data() + 24, static_cast<std::uint32_t>(n));
    EXPECT_FALSE(parse_message(agreed)) << n;
  }
  Bytes longer = bytes;
  longer.push_back(0);
  EXPECT_FALSE(parse_message(longer));
  store_be32(longer.data() + 24, static_cast<std::uint32_t>(longer.size()));
  const auto behind = parse_message(longer);
  ASSERT_FALSE(behind);
  EXPECT_EQ(behind.error().message, "1 octets behind the last payload");
}

TEST(IkeMessage, EverySingleOctetChangedParsesOrFailsButNeverCrashes) {
  const Bytes bytes = serialize_message(sample_init());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (const unsigned flip : {0x01U, 0x80U, 0xffU}) {
      Bytes changed = bytes;
      changed[i] = static_cast<std::uint8_t>(changed[i] ^ flip);
      const auto message = parse_message(changed);
      if (!message) continue;
      const auto again = parse_message(serialize_message(*message));
      ASSERT_TRUE(again) << i;
      EXPECT_EQ(again->payloads, message->payloads) << i;
    }
  }
}

TEST(IkeMessage, OtherMajorVersionsAreToldApart) {
  Bytes bytes = serialize_message(sample_init());
  for (const auto version : {std::uint8_t{0x10}, std::uint8_t{0x30}, std::uint8_t{0x00}}) {
    bytes[17] = version;
    const auto message = parse_message(bytes);
    ASSERT_FALSE(message);
    EXPECT_EQ(message.error().kind, ParseError::Kind::kMajorVersion);
  }
  bytes[17] = 0x25;  // minor versions are ignored
  EXPECT_TRUE(parse_message(bytes));
}

TEST(IkeMessage, UnknownPayloadsAreSkippedUnlessCritical) {
  Message message = sample_init();
  message.payloads.insert(message.payloads.begin() + 1,
                          UnknownPayload{static_cast<PayloadType>(99), false, Bytes(3, 7)});
  const auto skipped = parse_message(serialize_message(message));
  ASSERT_TRUE(skipped);
  EXPECT_EQ(skipped->payloads, message.payloads);
  EXPECT_EQ(describe(skipped->payloads), "SA payload 99 KE No N(NAT_DETECTION_SOURCE_IP) V");

  std::get<UnknownPayload>(message.payloads[1]).critical = true;
  const auto refused = parse_message(serialize_message(message));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ParseError::Kind::kUnsupportedCritical);
  EXPECT_EQ(refused.error().payload_type, 99);
}

TEST(IkeMessage, TypesOfIkev1AreUnknownHere) {
  Message message{request(ExchangeType::kInformational, 1), {UnknownPayload{static_cast<PayloadType>(1), true, {}}}};
  const auto refused = parse_message(serialize_message(message));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().payload_type, 1);
}

TEST(IkeMessage, CriticalBitOnKnownPayloadsIsIgnored) {
  Bytes bytes = serialize_message(sample_init());
  bytes[kHeaderOctets + 1] = 0xff;
  const auto message = parse_message(bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->payloads, sample_init().payloads);
}

TEST(IkeMessage, MorePayloadsThanTheLimitAreRefused) {
  Message message{request(ExchangeType::kInformational, 1), Payloads(kMaxPayloads, VendorIdPayload{})};
  EXPECT_TRUE(parse_message(serialize_message(message)));
  message.payloads.emplace_back(VendorIdPayload{});
  const auto refused = parse_message(serialize_message(message));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "more than 64 payloads");
}

TEST(IkeMessage, EmptyMessageIsFine) {
  const auto message = parse_message(serialize_message({request(ExchangeType::kInformational, 3), {}}));
  ASSERT_TRUE(message);
  EXPECT_TRUE(message->payloads.empty());
  EXPECT_EQ(message->header.length, 28U);
}

TEST(IkeMessage, SealAndOpen) {
  const Payloads inner = {make_id(true, {model::IdType::kFqdn, to_bytes("a")}),
                          AuthPayload{AuthMethodId::kSharedKey, Bytes(32, 1)}};
  const auto sealed = seal_message(request(ExchangeType::kIkeAuth, 1), inner, ToyCipher{}, Bytes{1, 2, 3, 4});
  ASSERT_TRUE(sealed);
  EXPECT_EQ(load_be32(sealed->data() + 24), sealed->size());
  EXPECT_EQ((*sealed)[16], 46);             // SK
  EXPECT_EQ((*sealed)[kHeaderOctets], 35);  // its first inner payload: IDi
  const auto outer = parse_message(*sealed);
  ASSERT_TRUE(outer) << outer.error().message;
  EXPECT_EQ(describe(outer->header, outer->payloads), "IKE_AUTH request 1: SK");
  EXPECT_EQ(std::get<EncryptedPayload>(outer->payloads.back()).header_octets, 32U);
  const auto opened = open_message(*sealed, *outer, ToyCipher{});
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(*opened, inner);
}

TEST(IkeMessage, SealedEmptyMessage) {
  const auto sealed = seal_message(request(ExchangeType::kInformational, 2), {}, ToyCipher{}, Bytes(4, 0));
  ASSERT_TRUE(sealed);
  const auto outer = parse_message(*sealed);
  ASSERT_TRUE(outer);
  const auto opened = open_message(*sealed, *outer, ToyCipher{});
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->empty());
}

TEST(IkeMessage, EveryChangedOctetOfASealedMessageIsNoticed) {
  const auto sealed =
      seal_message(request(ExchangeType::kIkeAuth, 1), {NoncePayload{Bytes(16, 9)}}, ToyCipher{}, Bytes(4, 5));
  ASSERT_TRUE(sealed);
  for (std::size_t i = 0; i < sealed->size(); ++i) {
    Bytes changed = *sealed;
    changed[i] = static_cast<std::uint8_t>(changed[i] + 1);
    const auto outer = parse_message(changed);
    if (!outer) continue;
    const auto opened = open_message(changed, *outer, ToyCipher{});
    ASSERT_FALSE(opened) << i;
    EXPECT_EQ(opened.error().kind, ParseError::Kind::kNotAuthentic) << i;
  }
}

TEST(IkeMessage, WhatIsInsideMayBeMalformedOrCriticalToo) {
  const Payloads critical = {UnknownPayload{static_cast<PayloadType>(200), true, {}}};
  const auto sealed = seal_message(request(ExchangeType::kInformational, 5), critical, ToyCipher{}, Bytes(4, 5));
  ASSERT_TRUE(sealed);
  const auto opened = open_message(*sealed, *parse_message(*sealed), ToyCipher{});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ParseError::Kind::kUnsupportedCritical);
  EXPECT_EQ(opened.error().payload_type, 200);

  const auto nested = parse_payloads(PayloadType::kEncrypted,
                                     serialize_payloads({EncryptedPayload{PayloadType::kNone, Bytes(8, 1), 0}}));
  ASSERT_FALSE(nested);
  EXPECT_EQ(nested.error().message, "an Encrypted payload inside an Encrypted payload");
}

TEST(IkeMessage, NothingMayFollowTheEncryptedPayload) {
  Message message{request(ExchangeType::kInformational, 1),
                  {EncryptedPayload{PayloadType::kNone, Bytes(20, 1), 32}, VendorIdPayload{to_bytes("x")}}};
  const auto refused = parse_message(serialize_message(message));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "5 octets behind the last payload");
}

TEST(IkeMessage, FragmentsAreRecognised) {
  Message message{request(ExchangeType::kIkeAuth, 1),
                  {EncryptedFragmentPayload{PayloadType::kIdi, 1, 2, Bytes(20, 1), 36}}};
  const auto parsed = parse_message(serialize_message(message));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->payloads, message.payloads);
  EXPECT_EQ(describe(parsed->payloads), "SKF(1/2)");
  for (const auto& [number, total] : {std::pair{0, 1}, std::pair{3, 2}}) {
    message.payloads = {EncryptedFragmentPayload{PayloadType::kIdi, static_cast<std::uint16_t>(number),
                                                 static_cast<std::uint16_t>(total), Bytes(20, 1), 36}};
    EXPECT_FALSE(parse_message(serialize_message(message)));
  }
}

TEST(IkeMessage, FindsPayloads) {
  const Payloads payloads = {TsPayload{true, {}, {}},
                             TsPayload{false, {}, {}},
                             make_id(false, {}),
                             make_id(true, {}),
                             NotifyPayload{{}, {}, NotifyType::kInitialContact, {}},
                             NotifyPayload{{}, {}, NotifyType::kTsUnacceptable, {}}};
  EXPECT_EQ(find_ts(payloads, false), std::get_if<TsPayload>(&payloads[1]));
  EXPECT_EQ(find_id(payloads, true), std::get_if<IdPayload>(&payloads[3]));
  EXPECT_EQ(find_error_notify(payloads), std::get_if<NotifyPayload>(&payloads[5]));
  EXPECT_EQ(find_notify(payloads, NotifyType::kInitialContact), std::get_if<NotifyPayload>(&payloads[4]));
  EXPECT_EQ(find_notify(payloads, NotifyType::kCookie), nullptr);
  EXPECT_EQ(find_payload<AuthPayload>(payloads), nullptr);
}

TEST(IkeMessage, RandomBytesNeverPassForMoreThanTheyAre) {
  SeededRandom random(7);
  unsigned parsed = 0;
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes = random.bytes(28 + random.below(64));
    bytes[16] = static_cast<std::uint8_t>(33 + random.below(16));
    bytes[17] = 0x20;
    store_be32(bytes.data() + 24, static_cast<std::uint32_t>(bytes.size()));
    if (bytes.size() >= 32) store_be16(bytes.data() + 30, static_cast<std::uint16_t>(bytes.size() - 28));
    if (bytes.size() >= 32) bytes[28] = 0;
    const auto message = parse_message(bytes);
    if (!message) continue;
    ++parsed;
    const auto again = parse_message(serialize_message(*message));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->payloads, message->payloads);
  }
  EXPECT_GT(parsed, 1000U);
}

}  // namespace
}  // namespace cygnet::wire::ike
