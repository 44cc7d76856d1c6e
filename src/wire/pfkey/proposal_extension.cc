// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/proposal_extension.h"

namespace cygnet::wire::pfkey {
namespace {

constexpr std::size_t kCombinationOctets = 72;

Combination read_combination(Reader& reader) {
  Combination c;
  c.auth = static_cast<AuthAlgorithm>(reader.u8());
  c.encrypt = static_cast<EncryptAlgorithm>(reader.u8());
  c.flags = reader.u16();
  c.auth_min_bits = reader.u16();
  c.auth_max_bits = reader.u16();
  c.encrypt_min_bits = reader.u16();
  c.encrypt_max_bits = reader.u16();
  reader.skip(4);
  c.soft.allocations = reader.u32();
  c.hard.allocations = reader.u32();
  c.soft.bytes = reader.u64();
  c.hard.bytes = reader.u64();
  c.soft.add_time = reader.u64();
  c.hard.add_time = reader.u64();
  c.soft.use_time = reader.u64();
  c.hard.use_time = reader.u64();
  return c;
}

void write_combination(const Combination& c, Writer& writer) {
  writer.u8(static_cast<std::uint8_t>(c.auth));
  writer.u8(static_cast<std::uint8_t>(c.encrypt));
  writer.u16(c.flags);
  writer.u16(c.auth_min_bits);
  writer.u16(c.auth_max_bits);
  writer.u16(c.encrypt_min_bits);
  writer.u16(c.encrypt_max_bits);
  writer.u32(0);
  writer.u32(c.soft.allocations);
  writer.u32(c.hard.allocations);
  writer.u64(c.soft.bytes);
  writer.u64(c.hard.bytes);
  writer.u64(c.soft.add_time);
  writer.u64(c.hard.add_time);
  writer.u64(c.soft.use_time);
  writer.u64(c.hard.use_time);
}

}  // namespace

Parsed<ProposalExtension> ProposalExtension::parse(ByteView body) {
  Reader reader(body);
  ProposalExtension out;
  out.replay = reader.u8();
  reader.skip(3);
  if (reader.remaining() % kCombinationOctets != 0) {
    return refuse(Refusal::kBadExtension, "the combinations of a proposal have 72 octets each");
  }
  while (reader.remaining() != 0) out.combinations.push_back(read_combination(reader));
  return out;
}

void ProposalExtension::serialize(Writer& writer) const {
  writer.u8(replay);
  writer.zeros(3);
  for (const auto& combination : combinations) write_combination(combination, writer);
}

}  // namespace cygnet::wire::pfkey
