// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/sa_payload.h"

#include <algorithm>
#include <string>

#include "wire/ike/payload_type.h"

namespace cygnet::wire::ike {
namespace {

constexpr auto kType = static_cast<std::uint8_t>(PayloadType::kSa);
constexpr std::uint8_t kMoreProposals = 2;
constexpr std::uint8_t kMoreTransforms = 3;
constexpr std::uint16_t kAttributeFormatBit = 0x8000;
constexpr std::uint16_t kKeyLengthAttribute = 14;

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |A|       Attribute Type        |    AF=0  Attribute Length     |
// |F|                             |    AF=1  Attribute Value      |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                   AF=0  Attribute Value                       |
// |                   AF=1  Not Transmitted                       |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// (section 3.3.5)
ParseResult<void> parse_attributes(ByteView bytes, model::Transform& transform, Bytes& foreign) {
  ByteReader in(bytes);
  while (in.remaining() > 0) {
    const ByteView here = bytes.subspan(bytes.size() - in.remaining());
    const std::uint16_t type = in.u16();
    const std::uint16_t value_or_length = in.u16();
    const bool short_form = (type & kAttributeFormatBit) != 0;
    const ByteView long_value = short_form ? ByteView{} : in.take(value_or_length);
    if (!in.ok()) return malformed(kType, "SA payload: a transform attribute runs past its transform");
    const bool key_length = short_form && (type & ~kAttributeFormatBit) == kKeyLengthAttribute;
    if (key_length && transform.key_bits == 0 && value_or_length != 0) {
      transform.key_bits = value_or_length;
    } else {
      append(foreign, here.first(4 + long_value.size()));
    }
  }
  return {};
}

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Last Substruc |   RESERVED    |        Transform Length       |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |Transform Type |   RESERVED    |          Transform ID         |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                      Transform Attributes                     ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// (section 3.3.2)
ParseResult<void> parse_transform(ByteReader& in, bool last, SaProposal& proposal) {
  const std::uint8_t more = in.u8();
  in.skip(1);
  const std::uint16_t length = in.u16();
  model::Transform transform;
  transform.type = static_cast<model::TransformType>(in.u8());
  in.skip(1);
  transform.id = in.u16();
  if (!in.ok() || length < 8 || length - 8U > in.remaining()) {
    return malformed(kType, "SA payload: a transform runs past its proposal");
  }
  if (more != (last ? 0 : kMoreTransforms)) {
    return malformed(kType, "SA payload: the number of transforms contradicts their Last Substruc fields");
  }
  Bytes foreign;
  if (auto done = parse_attributes(in.take(length - 8U), transform, foreign); !done) return done;
  if (!foreign.empty()) proposal.foreign.push_back({proposal.proposal.transforms.size(), std::move(foreign)});
  proposal.proposal.transforms.push_back(transform);
  return {};
}

bool spi_size_fits(model::Protocol protocol, std::size_t octets) {
  // RFC 7296 section 3.3.1: zero for an initial IKE SA negotiation, else "the size, in octets, of the SPI of the
  // corresponding protocol (8 for IKE, 4 for ESP and AH)". Of protocols not known here any size will do.
  switch (protocol) {
    case model::Protocol::kIke: return octets == 0 || octets == 8;
    case model::Protocol::kAh:
    case model::Protocol::kEsp: return octets == 4;
    case model::Protocol::kNone: break;
  }
  return true;
}

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Last Substruc |   RESERVED    |         Proposal Length       |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Proposal Num  |  Protocol ID  |    SPI Size   |Num  Transforms|
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                        SPI (variable)                         ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                        <Transforms>                           ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// (section 3.3.1)
ParseResult<SaProposal> parse_proposal(ByteView bytes) {
  ByteReader in(bytes);
  in.skip(4);
  SaProposal proposal;
  proposal.number = in.u8();
  proposal.proposal.protocol = static_cast<model::Protocol>(in.u8());
  const std::uint8_t spi_octets = in.u8();
  const std::uint8_t transforms = in.u8();
  const ByteView spi = in.take(spi_octets);
  if (!in.ok()) return malformed(kType, "SA payload: a proposal's SPI runs past the proposal");
  if (!spi_size_fits(proposal.proposal.protocol, spi_octets)) {
    return malformed(kType,
                     "SA payload: an SPI of " + std::to_string(spi_octets) + " octets does not fit its protocol");
  }
  proposal.spi.assign(spi.begin(), spi.end());
  for (unsigned i = 0; i < transforms; ++i) {
    if (auto done = parse_transform(in, i + 1 == transforms, proposal); !done) {
      return std::unexpected<ParseError>(done.error());
    }
  }
  if (in.remaining() != 0) return malformed(kType, "SA payload: octets behind the last transform of a proposal");
  return proposal;
}

void serialize_transform(const model::Transform& transform, const ForeignAttributes* foreign, bool last,
                         ByteWriter& out) {
  const std::size_t start = out.size();
  out.u8(last ? 0 : kMoreTransforms).u8(0).u16(0);
  out.u8(static_cast<std::uint8_t>(transform.type)).u8(0).u16(transform.id);
  if (transform.key_bits != 0) out.u16(kAttributeFormatBit | kKeyLengthAttribute).u16(transform.key_bits);
  if (foreign != nullptr) out.bytes(foreign->attributes);
  out.patch_u16(start + 2, static_cast<std::uint16_t>(out.size() - start));
}

void serialize_proposal(const SaProposal& proposal, bool last, ByteWriter& out) {
  const std::size_t start = out.size();
  const auto& transforms = proposal.proposal.transforms;
  out.u8(last ? 0 : kMoreProposals).u8(0).u16(0);
  out.u8(proposal.number)
      .u8(static_cast<std::uint8_t>(proposal.proposal.protocol))
      .u8(static_cast<std::uint8_t>(proposal.spi.size()))
      .u8(static_cast<std::uint8_t>(transforms.size()))
      .bytes(proposal.spi);
  for (std::size_t i = 0; i < transforms.size(); ++i) {
    const auto foreign = std::ranges::find(proposal.foreign, i, &ForeignAttributes::transform_index);
    serialize_transform(transforms[i], foreign == proposal.foreign.end() ? nullptr : &*foreign,
                        i + 1 == transforms.size(), out);
  }
  out.patch_u16(start + 2, static_cast<std::uint16_t>(out.size() - start));
}

}  // namespace

model::Proposal SaProposal::understood() const {
  model::Proposal out{proposal.protocol, {}};
  for (std::size_t i = 0; i < proposal.transforms.size(); ++i) {
    const bool known = std::ranges::find(foreign, i, &ForeignAttributes::transform_index) == foreign.end();
    if (known) out.transforms.push_back(proposal.transforms[i]);
  }
  return out;
}

ParseResult<SaPayload> parse_sa(ByteView body) {
  SaPayload payload;
  std::size_t transforms = 0;
  while (!body.empty()) {
    if (body.size() < 8) return malformed(kType, "SA payload ends inside the header of a proposal");
    const std::uint8_t more = body[0];
    const std::uint16_t length = load_be16(body.data() + 2);
    if (length < 8 || length > body.size()) return malformed(kType, "SA payload: a proposal runs past the payload");
    if (more != (length == body.size() ? 0 : kMoreProposals)) {
      return malformed(kType, "SA payload: a Last Substruc field contradicts the payload's length");
    }
    if (payload.proposals.size() == kMaxProposals) {
      return malformed(kType, "SA payload has more than " + std::to_string(kMaxProposals) + " proposals");
    }
    auto proposal = parse_proposal(body.first(length));
    if (!proposal) return std::unexpected<ParseError>(proposal.error());
    transforms += proposal->proposal.transforms.size();
    if (transforms > kMaxTransforms) {
      return malformed(kType, "SA payload has more than " + std::to_string(kMaxTransforms) + " transforms");
    }
    payload.proposals.push_back(std::move(*proposal));
    body = body.subspan(length);
  }
  // RFC 7296 section 2.7: "An SA payload consists of one or more proposals."
  if (payload.proposals.empty()) return malformed(kType, "SA payload without a proposal");
  return payload;
}

void serialize(const SaPayload& payload, ByteWriter& out) {
  for (std::size_t i = 0; i < payload.proposals.size(); ++i) {
    serialize_proposal(payload.proposals[i], i + 1 == payload.proposals.size(), out);
  }
}

}  // namespace cygnet::wire::ike
