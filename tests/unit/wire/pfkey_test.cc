// SPDX-License-Identifier: Apache-2.0
// PF_KEY messages, octet for octet. The octets were written down by hand from RFC 2367 and <linux/pfkeyv2.h>, for a
// machine that keeps the low octet first.
#include <gtest/gtest.h>
#include <linux/ipsec.h>
#include <linux/pfkeyv2.h>

#include <bit>
#include <functional>

#include "wire/pfkey/message.h"

namespace cygnet::wire::pfkey {
namespace {

static_assert(std::endian::native == std::endian::little, "the octets below are those of a little-endian machine");

// The numbers are the kernel's.
static_assert(static_cast<int>(MessageType::kMigrate) == SADB_X_MIGRATE);
static_assert(static_cast<int>(MessageType::kSpdDelete2) == SADB_X_SPDDELETE2);
static_assert(static_cast<int>(MessageType::kNewMapping) == SADB_X_NAT_T_NEW_MAPPING);
static_assert(static_cast<int>(ExtensionType::kSpiRange) == SADB_EXT_SPIRANGE);
static_assert(static_cast<int>(ExtensionType::kPolicy) == SADB_X_EXT_POLICY);
static_assert(static_cast<int>(ExtensionType::kNatOriginalAddress) == SADB_X_EXT_NAT_T_OA);
static_assert(static_cast<int>(ExtensionType::kSecurityContext) == SADB_X_EXT_SEC_CTX);
static_assert(static_cast<int>(ExtensionType::kKmAddress) == SADB_X_EXT_KMADDRESS);
static_assert(static_cast<int>(ExtensionType::kFilter) == SADB_X_EXT_FILTER);
static_assert(static_cast<int>(SaType::kIpComp) == SADB_X_SATYPE_IPCOMP);
static_assert(static_cast<int>(AuthAlgorithm::kSha2_256) == SADB_X_AALG_SHA2_256HMAC);
static_assert(static_cast<int>(AuthAlgorithm::kAesXcbc) == SADB_X_AALG_AES_XCBC_MAC);
static_assert(static_cast<int>(EncryptAlgorithm::kAesGcm16) == SADB_X_EALG_AES_GCM_ICV16);
static_assert(static_cast<int>(EncryptAlgorithm::kAesGmac) == SADB_X_EALG_NULL_AES_GMAC);
static_assert(static_cast<int>(EncryptAlgorithm::kCamelliaCbc) == SADB_X_EALG_CAMELLIACBC);
static_assert(static_cast<int>(Level::kUnique) == IPSEC_LEVEL_UNIQUE);
static_assert(static_cast<int>(PolicyDirection::kForward) == IPSEC_DIR_FWD);
static_assert(kMaxManualReqid == IPSEC_MANUAL_REQID_MAX);

Bytes octets(std::string_view hex) {
  std::string digits;
  for (const char c : hex) {
    if (c != ' ' && c != '\n') digits += c;
  }
  Bytes out;
  EXPECT_TRUE(from_hex(digits, out));
  return out;
}

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

Message parsed(const Bytes& bytes) {
  auto message = Message::parse(bytes);
  EXPECT_TRUE(message) << message.error().message;
  return message ? *message : Message{};
}

void expect_refused(const Bytes& bytes, Refusal why, std::string_view text) {
  const auto message = Message::parse(bytes);
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().why, why) << message.error().message;
  EXPECT_NE(message.error().message.find(text), std::string::npos) << message.error().message;
}

constexpr std::string_view kAdd =
    "02 03 00 03 1200 0000 07000000 d2040000"  // ADD, ESP, 18 words, sequence 7, pid 1234
    "0200 0100 00001234 20 01 03 0c 00000020"  // SA: SPI 0x1234, window 32, mature, SHA-1, AES, NOPMTUDISC
    "0400 0300 00000000 0000000000000000 100e000000000000 0000000000000000"  // hard: 3600 s
    "0300 0500 00 20 0000 0200 0000 c0000201 0000000000000000"               // 192.0.2.1
    "0300 0600 00 20 0000 0200 0000 c0000202 0000000000000000"               // 192.0.2.2
    "0300 0900 8000 0000 000102030405060708090a0b0c0d0e0f"                   // key of 128 bits
    ;

TEST(PfkeyMessage, AddAsWrittenByHand) {
  auto hex = std::string(kAdd);
  hex.replace(hex.find("1200"), 4, "1100");
  const auto bytes = octets(hex);
  ASSERT_EQ(bytes.size(), 136U);
  const auto m = parsed(bytes);
  EXPECT_EQ(m.header.type, MessageType::kAdd);
  EXPECT_EQ(m.header.sa_type, SaType::kEsp);
  EXPECT_EQ(m.header.sequence, 7U);
  EXPECT_EQ(m.header.pid, 1234U);
  ASSERT_TRUE(m.sa);
  EXPECT_EQ(*m.sa, (SaExtension{Spi{0x1234}, 32, SaState::kMature, AuthAlgorithm::kSha1, EncryptAlgorithm::kAesCbc,
                                kFlagNoPmtuDisc}));
  ASSERT_TRUE(m.hard);
  EXPECT_EQ(*m.hard, (LifetimeExtension{.add_time = 3600}));
  EXPECT_FALSE(m.soft);
  ASSERT_TRUE(m.source && m.destination);
  EXPECT_EQ(*m.source, AddressExtension::host(ip("192.0.2.1")));
  EXPECT_EQ(*m.destination, AddressExtension::host(ip("192.0.2.2")));
  ASSERT_TRUE(m.encrypt_key);
  EXPECT_EQ(m.encrypt_key->bits, 128);
  EXPECT_EQ(to_hex(m.encrypt_key->key), "000102030405060708090a0b0c0d0e0f");
  EXPECT_EQ(to_hex(m.serialize()), to_hex(bytes));
}

TEST(PfkeyMessage, SpdAddOfAV6TunnelAsWrittenByHand) {
  const auto bytes = octets(
      "02 0e 00 00 1800 0000 01000000 02000000"
      "0500 0500 ff 30 0000 0a00 0000 00000000 20010db8000100000000000000000000 00000000 00000000"
      "0500 0600 06 40 0000 0a00 0050 00000000 20010db8000200010000000000000000 00000000 00000000"
      "0b00 1200 0200 02 00 00000000 00000080"  // ipsec, out, priority 0x80000000; 88 octets
      "4800 3200 02 03 0000 05000000 00000000"  // ESP, tunnel, unique, reqid 5
      "0a00 0000 00000000 20010db8000000000000000000000001 00000000"
      "0a00 0000 00000000 20010db8000000000000000000000002 00000000"
      "0100 c800");
  // The last word is cut off again: an extension shorter than a word is refused below.
  auto good = Bytes(bytes.begin(), bytes.end() - 4);
  good[4] = static_cast<std::uint8_t>(good.size() / 8);
  const auto m = parsed(good);
  EXPECT_EQ(m.header.type, MessageType::kSpdAdd);
  ASSERT_TRUE(m.source && m.destination && m.policy);
  EXPECT_EQ(*m.source, (AddressExtension{kAnyProtocol, 48, {ip("2001:db8:1::"), 0}}));
  EXPECT_EQ(*m.destination, (AddressExtension{6, 64, {ip("2001:db8:2:1::"), 80}}));
  EXPECT_EQ(m.policy->type, PolicyType::kIpsec);
  EXPECT_EQ(m.policy->direction, PolicyDirection::kOut);
  EXPECT_EQ(m.policy->priority, 0x80000000U);
  ASSERT_EQ(m.policy->requests.size(), 1U);
  EXPECT_EQ(m.policy->requests[0],
            (PolicyRequest{kProtocolEsp, Mode::kTunnel, Level::kUnique, 5,
                           PolicyRequest::Ends{{ip("2001:db8::1"), 0}, {ip("2001:db8::2"), 0}}}));
  EXPECT_EQ(to_hex(m.serialize()), to_hex(good));
}

TEST(PfkeyMessage, SmallExtensionsAsWrittenByHand) {
  struct Case {
    std::string_view hex;  // the extension alone
    std::function<void(const Message&)> check;
  };
  const std::vector<Case> cases = {
      {"0200 1000 00010000 ffff0000 00000000",
       [](const Message& m) { EXPECT_EQ(*m.spi_range, (SpiRangeExtension{0x100, 0xffff})); }},
      {"0200 1300 02 000000 2a000000 07000000",
       [](const Message& m) { EXPECT_EQ(*m.sa2, (Sa2Extension{Mode::kTunnel, 42, 7})); }},
      {"0100 0900 0000 0000", [](const Message& m) { EXPECT_EQ(*m.encrypt_key, KeyExtension{}); }},
      {"0100 1400 02 000000", [](const Message& m) { EXPECT_EQ(m.nat_type->type, 2); }},
      {"0100 1500 1194 0000", [](const Message& m) { EXPECT_EQ(m.nat_source_port->port, 4500); }},
      {"0100 1600 1195 0000", [](const Message& m) { EXPECT_EQ(m.nat_destination_port->port, 4501); }},
      {"0100 cc00 5005 0000", [](const Message& m) { EXPECT_EQ(m.nat_fragment->octets, 1360); }},
      {"0300 1700 00 20 0000 0200 0000 0a000001 0000000000000000",
       [](const Message& m) { EXPECT_EQ(m.nat_original->endpoint.address, ip("10.0.0.1")); }},
      {"0200 1800 01 01 0500 6c6162656c 000000",
       [](const Message& m) { EXPECT_EQ(*m.security_context, (SecurityContextExtension{1, 1, to_bytes("label")})); }},
      {"0500 1900 00000000 0200 01f4 c0000201 0000000000000000 0200 01f4 c0000202 0000000000000000",
       [](const Message& m) {
         EXPECT_EQ(*m.km_address, (KmAddressExtension{{ip("192.0.2.1"), 500}, {ip("192.0.2.2"), 500}}));
       }},
      {"0500 1a00 c0000200 000000000000000000000000 c6336400 000000000000000000000000 0200 18 1a",
       [](const Message& m) {
         EXPECT_EQ(m.filter->source.to_string(), "192.0.2.0/24");
         EXPECT_EQ(m.filter->destination.to_string(), "198.51.100.0/26");
       }},
      {"0400 0a00 0200 0000 0900000000000000 65782e6f7267 00 000000000000000000",
       [](const Message& m) { EXPECT_EQ(*m.source_identity, (IdentityExtension{2, 9, "ex.org"})); }},
      {"0200 c800 03000000 0000000000000000", [](const Message& m) { EXPECT_FALSE(m.options); }},
      {"0100 c800 03000000", [](const Message& m) { EXPECT_EQ(m.options->flags, 3U); }},
      {"0200 ca00 0a000000 0100000000000000", [](const Message& m) { EXPECT_EQ(*m.cursor, (CursorExtension{10, 1})); }},
      {"0200 0e00 00000000 05 00 0001 0001 0000",
       [](const Message& m) {
         ASSERT_EQ(m.supported_auth->algorithms.size(), 1U);
         EXPECT_EQ(m.supported_auth->algorithms[0], (SupportedAlgorithm{5, 0, 256, 256}));
       }},
      {"0300 0c00 01000000 02 01 03 00 00000000 aabbccddeeff0011",
       [](const Message& m) {
         EXPECT_EQ(*m.sensitivity, (SensitivityExtension{1, 2, 3, octets("aabbccddeeff0011"), {}}));
       }},
  };
  for (const auto& c : cases) {
    const auto extension = octets(c.hex);
    Bytes bytes = octets("02 08 00 03 0000 0000 00000000 00000000");
    append(bytes, extension);
    bytes[4] = static_cast<std::uint8_t>(bytes.size() / 8);
    if (c.hex.starts_with("0200 c800")) {
      expect_refused(bytes, Refusal::kBadExtension, "options");
      continue;
    }
    const auto m = parsed(bytes);
    c.check(m);
    auto back = m.serialize();
    if (c.hex.starts_with("0400 0a00"))
      back.resize(back.size() + 8), back[16] = 4, back[4] += 1;  // padding may be longer
    EXPECT_EQ(to_hex(back), to_hex(bytes)) << c.hex;
  }
}

TEST(PfkeyMessage, ProposalRoundTrip) {
  Message m;
  m.header.type = MessageType::kAcquire;
  m.header.sa_type = SaType::kEsp;
  m.proposal = ProposalExtension{32,
                                 {{.auth = AuthAlgorithm::kSha2_256,
                                   .encrypt = EncryptAlgorithm::kAesCbc,
                                   .auth_min_bits = 256,
                                   .auth_max_bits = 256,
                                   .encrypt_min_bits = 128,
                                   .encrypt_max_bits = 256,
                                   .hard = {.add_time = 28800}},
                                  {.encrypt = EncryptAlgorithm::kAesGcm16,
                                   .encrypt_min_bits = 160,
                                   .encrypt_max_bits = 288,
                                   .soft = {.bytes = 1}}}};
  const auto bytes = m.serialize();
  EXPECT_EQ(bytes.size(), 16U + 8U + 2U * 72U);
  m.header.words = static_cast<std::uint16_t>(bytes.size() / 8);
  EXPECT_EQ(parsed(bytes), m);
}

TEST(PfkeyMessage, PromiscEnclosesAMessage) {
  const auto inner = octets("02 0a 00 03 0200 0000 01000000 02000000");
  auto bytes = octets("02 0b 01 00 0400 0000 00000000 00000000");
  append(bytes, inner);
  const auto m = parsed(bytes);
  EXPECT_EQ(m.enclosed, inner);
  EXPECT_EQ(m.serialize(), bytes);
}

TEST(PfkeyMessage, UnknownExtensionsAreSkippedAndTold) {
  const auto m = parsed(octets("02 0a 00 03 0400 0000 00000000 00000000  0100 6300 00000000  0100 7700 00000000"));
  EXPECT_EQ(m.unknown, (std::vector<std::uint16_t>{0x63, 0x77}));
}

TEST(PfkeyRefusals, OfHeaders) {
  expect_refused({}, Refusal::kTruncated, "shorter than its header");
  expect_refused(octets("02 0a 00 03 0200 0000 00000000 000000"), Refusal::kTruncated, "15 octets");
  expect_refused(octets("01 0a 00 03 0200 0000 00000000 00000000"), Refusal::kBadVersion, "version 1");
  expect_refused(octets("02 0a 00 03 0100 0000 00000000 00000000"), Refusal::kBadLength, "less than its header");
  expect_refused(octets("02 0a 00 03 0300 0000 00000000 00000000"), Refusal::kBadLength, "16 are there");
}

TEST(PfkeyRefusals, OfExtensions) {
  const auto with = [](std::string_view hex) {
    auto bytes = octets("02 03 00 03 0000 0000 00000000 00000000");
    append(bytes, octets(hex));
    bytes[4] = static_cast<std::uint8_t>(bytes.size() / 8);
    return bytes;
  };
  expect_refused(with("0000 0100 00000000"), Refusal::kBadLength, "SA extension");
  expect_refused(with("0200 0100 00000000"), Refusal::kBadLength, "8 are left");
  expect_refused(with("0100 0100 00000000"), Refusal::kBadExtension, "16 octets");
  expect_refused(with("0200 0100 00001234 20 04 03 0c 00000000"), Refusal::kBadExtension, "larval, mature");
  expect_refused(with("0100 1400 02 000000  0100 1400 02 000000"), Refusal::kDuplicateExtension, "twice");
  expect_refused(with("0300 0500 00 20 0000 0100 0000 c0000201 0000000000000000"), Refusal::kBadAddress, "family 1");
  expect_refused(with("0300 0500 00 21 0000 0200 0000 c0000201 0000000000000000"), Refusal::kBadAddress, "33");
  expect_refused(with("0200 0500 00 20 0000 0200 0000 c0000201"), Refusal::kTruncated, "cut off");
  expect_refused(with("0400 0500 00 20 0000 0200 0000 c0000201 0000000000000000 0000000000000000"),
                 Refusal::kBadExtension, "another length");
  expect_refused(with("0200 0900 0000 0000 0000000000000000"), Refusal::kBadExtension, "0 bits");
  expect_refused(with("0200 0900 8000 0000 0000000000000000"), Refusal::kBadExtension, "128 bits");
  expect_refused(with("0300 0900 4000 0000 0000000000000000 0000000000000000"), Refusal::kBadExtension, "64 bits");
  expect_refused(with("0200 1000 02000000 01000000 00000000"), Refusal::kBadExtension, "begins at 2");
  expect_refused(with("0200 1300 04 000000 00000000 00000000"), Refusal::kBadExtension, "no mode 4");
  expect_refused(with("0200 1200 0500 01 00 00000000 00000000"), Refusal::kBadExtension, "type 5");
  expect_refused(with("0300 1200 0200 01 00 00000000 00000000 0000 3200 01 01 0000"), Refusal::kBadExtension,
                 "ipsecrequest of 0 octets");
  expect_refused(with("0300 0c00 01000000 02 09 03 00 00000000 aabbccddeeff0011"), Refusal::kBadExtension, "bitmaps");
  expect_refused(with("0300 0a00 0200 0000 0900000000000000 4141414141414141"), Refusal::kBadExtension, "no end");
  expect_refused(with("0200 1800 01 01 0900 6c6162656c 000000"), Refusal::kBadExtension,
                 "another length than its label");
}

TEST(PfkeyBatch, IsSplitAtItsMessages) {
  const auto one = octets("02 0a 00 03 0200 0000 01000000 02000000");
  const auto two = octets("02 09 00 03 0300 0000 01000000 02000000 0100 6300 00000000");
  auto both = one;
  append(both, two);
  const auto split = split_messages(both);
  ASSERT_TRUE(split);
  ASSERT_EQ(split->size(), 2U);
  EXPECT_EQ(Bytes((*split)[0].begin(), (*split)[0].end()), one);
  EXPECT_EQ(Bytes((*split)[1].begin(), (*split)[1].end()), two);
  both.pop_back();
  EXPECT_FALSE(split_messages(both));
}

TEST(PfkeyBatch, EveryTruncationIsRefused) {
  auto hex = std::string(kAdd);
  hex.replace(hex.find("1200"), 4, "1100");
  const auto whole = octets(hex);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    EXPECT_FALSE(Message::parse(ByteView(whole).first(n))) << n;
    auto told = Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n / 8 * 8));
    if (told.size() < 24) continue;
    told[4] = static_cast<std::uint8_t>(told.size() / 8);  // even if it tells the length that is there
    if (const auto cut = Message::parse(told)) {
      EXPECT_NE(*cut, *Message::parse(whole)) << n;
    }
  }
}

}  // namespace
}  // namespace cygnet::wire::pfkey
