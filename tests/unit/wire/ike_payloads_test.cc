// SPDX-License-Identifier: Apache-2.0
// Each payload of RFC 7296 section 3, octet by octet: written down by hand from the drawings, read and written back.
#include <gtest/gtest.h>

#include <string_view>

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

// A chain of one payload.
Bytes chain(std::string_view body) {
  const Bytes content = hex(body);
  ByteWriter out;
  out.u8(0).u8(0).u16(static_cast<std::uint16_t>(4 + content.size())).bytes(content);
  return std::move(out).take();
}

template <typename T>
T parsed(PayloadType type, std::string_view body) {
  const auto payloads = parse_payloads(type, chain(body));
  if (!payloads) {
    ADD_FAILURE() << payloads.error().message;
    return {};
  }
  EXPECT_EQ(payloads->size(), 1U);
  const auto* found = std::get_if<T>(payloads->data());
  if (found == nullptr) {
    ADD_FAILURE() << "parsed as " << describe(*payloads);
    return {};
  }
  EXPECT_EQ(to_hex(serialize_payloads(*payloads)), to_hex(chain(body)));
  return *found;
}

void expect_malformed(PayloadType type, std::string_view body, std::string_view part_of_message) {
  const auto payloads = parse_payloads(type, chain(body));
  ASSERT_FALSE(payloads) << body;
  EXPECT_EQ(payloads.error().kind, ParseError::Kind::kMalformed);
  EXPECT_EQ(payloads.error().payload_type, static_cast<std::uint8_t>(type));
  EXPECT_NE(payloads.error().message.find(part_of_message), std::string::npos) << payloads.error().message;
}

constexpr std::string_view kIkeProposal =
    "02 00 0028 01 01 00 03"
    "  03 00 000c 01 00 0014 800e 0100"  // ENCR_AES_GCM_16, 256 bits
    "  03 00 0008 02 00 0005"            // PRF_HMAC_SHA2_256
    "  00 00 000c 04 00 001f 800e 0000"  // CURVE25519 with a Key Length of 0: not to be understood
    "00 00 0024 02 03 04 02 c0ffee01"
    "  03 00 0010 01 00 000c 800e 0080 0001 0000"  // an attribute of type 1, long form, empty
    "  00 00 0008 05 00 0001";                     // ESN

TEST(SaPayload, ReadsProposalsTransformsAndSpis) {
  const auto sa = parsed<SaPayload>(PayloadType::kSa, kIkeProposal);
  ASSERT_EQ(sa.proposals.size(), 2U);
  const auto& ike = sa.proposals[0];
  EXPECT_EQ(ike.number, 1);
  EXPECT_EQ(ike.proposal.protocol, model::Protocol::kIke);
  EXPECT_TRUE(ike.spi.empty());
  ASSERT_EQ(ike.proposal.transforms.size(), 3U);
  EXPECT_EQ(ike.proposal.transforms[0], (model::Transform{model::TransformType::kEncryption, 20, 256}));
  EXPECT_EQ(ike.proposal.transforms[1], (model::Transform{model::TransformType::kPrf, 5, 0}));
  EXPECT_EQ(ike.proposal.transforms[2], (model::Transform{model::TransformType::kKeyExchange, 31, 0}));
  const auto& esp = sa.proposals[1];
  EXPECT_EQ(esp.number, 2);
  EXPECT_EQ(esp.proposal.protocol, model::Protocol::kEsp);
  EXPECT_EQ(to_hex(esp.spi), "c0ffee01");
  ASSERT_EQ(esp.proposal.transforms.size(), 2U);
  EXPECT_EQ(esp.proposal.transforms[0], (model::Transform{model::TransformType::kEncryption, 12, 128}));
  EXPECT_EQ(esp.proposal.transforms[1], (model::Transform{model::TransformType::kEsn, 1, 0}));
}

TEST(SaPayload, TransformsWithForeignAttributesAreNotForChoosing) {
  const auto sa = parsed<SaPayload>(PayloadType::kSa, kIkeProposal);
  ASSERT_EQ(sa.proposals.size(), 2U);
  const auto ike = sa.proposals[0].understood();
  ASSERT_EQ(ike.transforms.size(), 2U);
  EXPECT_EQ(ike.transforms[1].type, model::TransformType::kPrf);
  const auto esp = sa.proposals[1].understood();
  ASSERT_EQ(esp.transforms.size(), 1U);
  EXPECT_EQ(esp.transforms[0].type, model::TransformType::kEsn);
  EXPECT_EQ(esp.protocol, model::Protocol::kEsp);
}

TEST(SaPayload, UnknownProtocolsAndTransformTypesAreKept) {
  const auto sa = parsed<SaPayload>(PayloadType::kSa, "00 00 0013 01 63 03 01 010203 00 00 0008 f1 00 ffff");
  ASSERT_EQ(sa.proposals.size(), 1U);
  EXPECT_EQ(static_cast<int>(sa.proposals[0].proposal.protocol), 0x63);
  EXPECT_EQ(to_hex(sa.proposals[0].spi), "010203");
  ASSERT_EQ(sa.proposals[0].proposal.transforms.size(), 1U);
  EXPECT_EQ(static_cast<int>(sa.proposals[0].proposal.transforms[0].type), 0xf1);
  EXPECT_EQ(sa.proposals[0].proposal.transforms[0].id, 0xffff);
}

TEST(SaPayload, RefusesContradictions) {
  expect_malformed(PayloadType::kSa, "", "without a proposal");
  expect_malformed(PayloadType::kSa, "00 00 0008 01 01 00", "inside the header of a proposal");
  expect_malformed(PayloadType::kSa, "00 00 0009 01 01 00 00", "a proposal runs past the payload");
  expect_malformed(PayloadType::kSa, "00 00 0007 01 01 00 00", "a proposal runs past the payload");
  expect_malformed(PayloadType::kSa, "02 00 0008 01 01 00 00", "Last Substruc");
  expect_malformed(PayloadType::kSa, "00 00 0008 01 01 00 00 00", "Last Substruc");
  expect_malformed(PayloadType::kSa, "00 00 0008 01 01 08 00", "SPI runs past");
  expect_malformed(PayloadType::kSa, "00 00 000c 01 01 04 00 01020304", "SPI of 4 octets does not fit");
  expect_malformed(PayloadType::kSa, "00 00 0008 01 03 00 00", "SPI of 0 octets does not fit");
  expect_malformed(PayloadType::kSa, "00 00 0008 01 01 00 01", "a transform runs past its proposal");
  expect_malformed(PayloadType::kSa, "00 00 0010 01 01 00 01 00 00 0007 01 00 0014",
                   "a transform runs past its proposal");
  expect_malformed(PayloadType::kSa, "00 00 0010 01 01 00 01 00 00 0009 01 00 0014",
                   "a transform runs past its proposal");
  expect_malformed(PayloadType::kSa, "00 00 0010 01 01 00 01 03 00 0008 01 00 0014", "contradicts their Last Substruc");
  expect_malformed(PayloadType::kSa, "00 00 0018 01 01 00 02 00 00 0008 01 00 0014 00 00 0008 01 00 0014",
                   "contradicts their Last Substruc");
  expect_malformed(PayloadType::kSa, "00 00 0012 01 01 00 01 00 00 0008 01 00 0014 0000", "behind the last transform");
  expect_malformed(PayloadType::kSa, "00 00 0012 01 01 00 01 00 00 000a 01 00 0014 800e", "attribute runs past");
  expect_malformed(PayloadType::kSa, "00 00 0014 01 01 00 01 00 00 000c 01 00 0014 000e 0002", "attribute runs past");
}

TEST(SaPayload, RefusesMoreProposalsOrTransformsThanTheLimits) {
  SaPayload sa;
  sa.proposals.assign(kMaxProposals, SaProposal{1, {}, {model::Protocol::kIke, {}}, {}});
  EXPECT_TRUE(parse_payloads(PayloadType::kSa, serialize_payloads({sa})));
  sa.proposals.push_back(sa.proposals.front());
  const auto many = parse_payloads(PayloadType::kSa, serialize_payloads({sa}));
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().message, "SA payload has more than 64 proposals");

  const model::Transform aes{model::TransformType::kEncryption, 20, 256};
  sa.proposals.assign(5, SaProposal{1, {}, {model::Protocol::kIke, std::vector<model::Transform>(204, aes)}, {}});
  EXPECT_TRUE(parse_payloads(PayloadType::kSa, serialize_payloads({sa})));  // 1020
  sa.proposals.back().proposal.transforms.resize(209, aes);                 // 1025
  const auto wide = parse_payloads(PayloadType::kSa, serialize_payloads({sa}));
  ASSERT_FALSE(wide);
  EXPECT_EQ(wide.error().message, "SA payload has more than 1024 transforms");
}

TEST(KePayload, ReadsGroupAndValue) {
  const auto ke = parsed<KePayload>(PayloadType::kKe, "001f 0000 a1b2c3");
  EXPECT_EQ(ke.group, model::KeGroup::kX25519);
  EXPECT_EQ(to_hex(ke.data), "a1b2c3");
  EXPECT_TRUE(parsed<KePayload>(PayloadType::kKe, "000e 0000").data.empty());
  expect_malformed(PayloadType::kKe, "001f 00", "too short for a group");
}

TEST(IdPayload, KeepsWhatAuthCovers) {
  const auto id = parsed<IdPayload>(PayloadType::kIdi, "02 000000 67774c656674");
  EXPECT_TRUE(id.initiator);
  EXPECT_EQ(id.identity.type, model::IdType::kFqdn);
  EXPECT_EQ(id.identity.data, to_bytes("gwLeft"));
  EXPECT_EQ(to_hex(id.rest), "0200000067774c656674");
  // RESERVED is ignored, yet part of the octets that AUTH is computed over.
  const auto odd = parsed<IdPayload>(PayloadType::kIdr, "0b 010203 ff");
  EXPECT_FALSE(odd.initiator);
  EXPECT_EQ(odd.identity.type, model::IdType::kKeyId);
  EXPECT_EQ(to_hex(odd.rest), "0b010203ff");
}

TEST(IdPayload, AddressesHaveTheLengthOfTheirFamily) {
  EXPECT_EQ(to_hex(parsed<IdPayload>(PayloadType::kIdi, "01 000000 c0000201").identity.data), "c0000201");
  expect_malformed(PayloadType::kIdi, "01 000000 c00002", "an address of 3 octets");
  expect_malformed(PayloadType::kIdr, "05 000000 c0000201", "an address of 4 octets");
  expect_malformed(PayloadType::kIdr, "02 0000", "too short for an ID type");
}

TEST(IdPayload, MakeIdFillsTheOctets) {
  const auto id = make_id(false, {model::IdType::kFqdn, to_bytes("b")});
  EXPECT_EQ(to_hex(id.rest), "0200000062");
  EXPECT_EQ(to_hex(serialize_payloads({id})), "000000090200000062");
  EXPECT_EQ(serialize_payloads({id}),
            serialize_payloads({IdPayload{false, {model::IdType::kFqdn, to_bytes("b")}, {}}}));
}

TEST(CertPayloads, AreOpaqueButForTheEncoding) {
  EXPECT_EQ(parsed<CertPayload>(PayloadType::kCert, "04 3082").encoding, 4);
  EXPECT_EQ(to_hex(parsed<CertReqPayload>(PayloadType::kCertReq, "04 aabb").authorities), "aabb");
  expect_malformed(PayloadType::kCert, "", "without an encoding");
  expect_malformed(PayloadType::kCertReq, "", "without an encoding");
}

TEST(AuthPayload, ReadsMethodAndData) {
  const auto auth = parsed<AuthPayload>(PayloadType::kAuth, "02 000000 0011");
  EXPECT_EQ(auth.method, AuthMethodId::kSharedKey);
  EXPECT_EQ(to_hex(auth.data), "0011");
  EXPECT_EQ(to_string(static_cast<AuthMethodId>(200)), "authentication method 200");
  expect_malformed(PayloadType::kAuth, "02 00", "too short for a method");
}

TEST(NoncePayload, HasSixteenTo256Octets) {
  const std::string octet = "5a";
  const auto of = [&](std::size_t n) {
    std::string text;
    for (std::size_t i = 0; i < n; ++i) text += octet;
    return text;
  };
  EXPECT_EQ(parsed<NoncePayload>(PayloadType::kNonce, of(16)).data.size(), 16U);
  EXPECT_EQ(parsed<NoncePayload>(PayloadType::kNonce, of(256)).data.size(), 256U);
  expect_malformed(PayloadType::kNonce, of(15), "a nonce of 15 octets");
  expect_malformed(PayloadType::kNonce, of(257), "a nonce of 257 octets");
  expect_malformed(PayloadType::kNonce, "", "a nonce of 0 octets");
}

TEST(NotifyPayload, ReadsSpiTypeAndData) {
  const auto rekey = parsed<NotifyPayload>(PayloadType::kNotify, "03 04 4009 11223344 00");
  EXPECT_EQ(rekey.protocol, model::Protocol::kEsp);
  EXPECT_EQ(to_hex(rekey.spi), "11223344");
  EXPECT_EQ(rekey.type, NotifyType::kRekeySa);
  EXPECT_EQ(to_hex(rekey.data), "00");
  const auto cookie = parsed<NotifyPayload>(PayloadType::kNotify, "00 00 4006 c00c");
  EXPECT_EQ(cookie.protocol, model::Protocol::kNone);
  EXPECT_EQ(to_hex(cookie.data), "c00c");
  expect_malformed(PayloadType::kNotify, "03 04 4009 112233", "too short for its SPI");
  expect_malformed(PayloadType::kNotify, "03 00 40", "too short");
}

TEST(NotifyPayload, ProtocolWithoutSpiIsIgnored) {
  const auto payloads = parse_payloads(PayloadType::kNotify, chain("01 00 000e"));
  ASSERT_TRUE(payloads);
  EXPECT_EQ(std::get<NotifyPayload>(payloads->front()).protocol, model::Protocol::kNone);
}

TEST(NotifyPayload, TypesHaveTheirNames) {
  EXPECT_EQ(to_string(NotifyType::kNoProposalChosen), "NO_PROPOSAL_CHOSEN");
  EXPECT_EQ(static_cast<int>(NotifyType::kNoProposalChosen), 14);
  EXPECT_EQ(to_string(NotifyType::kNatDetectionDestinationIp), "NAT_DETECTION_DESTINATION_IP");
  EXPECT_EQ(static_cast<int>(NotifyType::kNatDetectionDestinationIp), 16389);
  EXPECT_EQ(to_string(NotifyType::kChildSaNotFound), "CHILD_SA_NOT_FOUND");
  EXPECT_EQ(static_cast<int>(NotifyType::kChildSaNotFound), 44);
  EXPECT_EQ(to_string(static_cast<NotifyType>(40960)), "notify 40960");
  EXPECT_TRUE(is_error(NotifyType::kTemporaryFailure));
  EXPECT_TRUE(is_error(static_cast<NotifyType>(16383)));
  EXPECT_FALSE(is_error(NotifyType::kInitialContact));
}

TEST(DeletePayload, NamesTheIkeSaOrSpis) {
  EXPECT_EQ(parsed<DeletePayload>(PayloadType::kDelete, "01 00 0000").protocol, model::Protocol::kIke);
  const auto esp = parsed<DeletePayload>(PayloadType::kDelete, "03 04 0002 11111111 22222222");
  EXPECT_EQ(esp.protocol, model::Protocol::kEsp);
  EXPECT_EQ(esp.spis, (std::vector{Spi{0x11111111}, Spi{0x22222222}}));
  expect_malformed(PayloadType::kDelete, "03 04 0002 11111111", "number of SPIs contradicts");
  expect_malformed(PayloadType::kDelete, "03 04 0001 11111111 22", "number of SPIs contradicts");
  expect_malformed(PayloadType::kDelete, "03 08 0001 1111111122222222", "SPIs of 8 octets");
  expect_malformed(PayloadType::kDelete, "01 08 0001 1111111122222222", "SPIs of 8 octets");
  expect_malformed(PayloadType::kDelete, "09 04 0000", "for protocol 9");
  expect_malformed(PayloadType::kDelete, "03 04 00", "too short");
}

TEST(TsPayload, ReadsBothFamiliesPortsAndOpaque) {
  const auto ts =
      parsed<TsPayload>(PayloadType::kTsi,
                        "03 000000"
                        "07 06 0010 0050 0050 0a010000 0a01ffff"
                        "08 00 0028 0000 ffff 20010db8000000000000000000000000 20010db8ffffffffffffffffffffffff"
                        "07 3a 0010 ffff 0000 0a000001 0a000001");
  EXPECT_TRUE(ts.initiator);
  ASSERT_EQ(ts.selectors.size(), 3U);
  EXPECT_EQ(ts.selectors[0].protocol, 6);
  EXPECT_EQ(ts.selectors[0].port_first, 80);
  EXPECT_EQ(ts.selectors[0].port_last, 80);
  EXPECT_EQ(ts.selectors[0].range.first.to_string(), "10.1.0.0");
  EXPECT_EQ(ts.selectors[0].range.last.to_string(), "10.1.255.255");
  EXPECT_TRUE(ts.selectors[1].range.first.is_v6());
  EXPECT_TRUE(ts.selectors[1].all_ports());
  EXPECT_TRUE(ts.selectors[2].opaque_ports());
}

TEST(TsPayload, UnknownTypesAreKeptApart) {
  const auto ts =
      parsed<TsPayload>(PayloadType::kTsr, "02 000000 07 00 0010 0000 ffff 0a010000 0a01ffff 0a 00 0007 6c6162");
  EXPECT_FALSE(ts.initiator);
  EXPECT_EQ(ts.selectors.size(), 1U);
  ASSERT_EQ(ts.unknown.size(), 1U);
  EXPECT_EQ(ts.unknown[0].type, 10);
  EXPECT_EQ(ts.unknown[0].body, to_bytes("lab"));
}

TEST(TsPayload, RefusesContradictions) {
  expect_malformed(PayloadType::kTsi, "02 000000 07 00 0010 0000 ffff 0a010000 0a01ffff",
                   "number of traffic selectors");
  expect_malformed(PayloadType::kTsi, "00 000000 07 00 0010 0000 ffff 0a010000 0a01ffff",
                   "number of traffic selectors");
  expect_malformed(PayloadType::kTsr, "01 000000 07 00 0003", "shorter than its own header");
  expect_malformed(PayloadType::kTsr, "01 000000 07 00 0011 0000 ffff 0a010000 0a01ffff",
                   "number of traffic selectors");
  expect_malformed(PayloadType::kTsr, "01 000000 08 00 0010 0000 ffff 0a010000 0a01ffff", "wrong length for its type");
  expect_malformed(PayloadType::kTsr, "01 000000 07 00 0010 0000 ffff 0a010001 0a010000", "addresses run backwards");
  expect_malformed(PayloadType::kTsr, "01 000000 07 00 0010 0002 0001 0a010000 0a01ffff", "ports run backwards");
  expect_malformed(PayloadType::kTsr, "01 00", "number of traffic selectors");
}

TEST(ConfigurationPayload, ReadsAttributes) {
  const auto cp = parsed<ConfigurationPayload>(PayloadType::kConfiguration, "01 000000 0001 0000 0003 0004 08080808");
  EXPECT_EQ(cp.type, ConfigurationType::kRequest);
  ASSERT_EQ(cp.attributes.size(), 2U);
  EXPECT_EQ(cp.attributes[0].type, 1);
  EXPECT_TRUE(cp.attributes[0].value.empty());
  EXPECT_EQ(to_hex(cp.attributes[1].value), "08080808");
  expect_malformed(PayloadType::kConfiguration, "01 000000 0001 0001", "runs past");
  expect_malformed(PayloadType::kConfiguration, "01 000000 00", "runs past");
  expect_malformed(PayloadType::kConfiguration, "01 00", "runs past");
}

TEST(EapAndVendorId, AreOpaque) {
  EXPECT_EQ(to_hex(parsed<EapPayload>(PayloadType::kEap, "01000004").message), "01000004");
  EXPECT_EQ(to_hex(parsed<VendorIdPayload>(PayloadType::kVendorId, "beef").data), "beef");
  EXPECT_TRUE(parsed<VendorIdPayload>(PayloadType::kVendorId, "").data.empty());
}

TEST(PuzzlePayload, FourKeysOfOneSize) {
  EXPECT_EQ(to_hex(parsed<PuzzleSolutionPayload>(PayloadType::kPuzzleSolution, "0102030405060708").keys),
            "0102030405060708");
  EXPECT_FALSE(parse_puzzle_solution({}));
  EXPECT_FALSE(parse_puzzle_solution(Bytes(6, 1)));
  EXPECT_FALSE(parse_puzzle_solution(Bytes(260, 1)));
  EXPECT_TRUE(parse_puzzle_solution(Bytes(256, 1)));
  EXPECT_EQ(to_string(PayloadType::kPuzzleSolution), "PS");
}

TEST(PuzzlePayload, DemandIsAPrfAndADifficulty) {
  const PuzzleDemand demand{model::PrfId::kHmacSha2_512, 17};
  EXPECT_EQ(to_hex(serialize_puzzle_demand(demand)), "000711");
  EXPECT_EQ(parse_puzzle_demand(serialize_puzzle_demand(demand)), demand);
  EXPECT_EQ(parse_puzzle_demand(Bytes(2, 0)), std::nullopt);
  EXPECT_EQ(parse_puzzle_demand(Bytes(4, 0)), std::nullopt);
}

}  // namespace
}  // namespace cygnet::wire::ike
