// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/policy_extension.h"

namespace cygnet::wire::pfkey {
namespace {

constexpr std::size_t kRequestOctets = 16;

Parsed<PolicyRequest> parse_request(Reader& reader) {
  const std::size_t length = reader.u16();
  if (!reader.ok() || length < kRequestOctets || length - 2 > reader.remaining()) {
    return refuse(Refusal::kBadExtension,
                  "an ipsecrequest of " + std::to_string(length) + " octets does not fit into its policy");
  }
  Reader body(reader.take(length - 2));
  PolicyRequest request;
  request.protocol = body.u16();
  request.mode = static_cast<Mode>(body.u8());
  request.level = static_cast<Level>(body.u8());
  body.skip(2);
  request.reqid = body.u32();
  body.skip(4);
  if (request.mode > Mode::kBeet || request.level > Level::kUnique) {
    return refuse(Refusal::kBadExtension,
                  "an ipsecrequest has mode " + std::to_string(static_cast<unsigned>(request.mode)) + " and level " +
                      std::to_string(static_cast<unsigned>(request.level)) + ", and one of them is none that there is");
  }
  if (body.remaining() == 0) return request;
  const auto source = parse_socket_address(body);
  if (!source) return std::unexpected(source.error());
  const auto destination = parse_socket_address(body);
  if (!destination) return std::unexpected(destination.error());
  if (source->address.family() != destination->address.family()) {
    return refuse(Refusal::kBadAddress, "the ends of an ipsecrequest are of different address families");
  }
  if (body.remaining() >= kWord) {
    return refuse(Refusal::kBadExtension, "an ipsecrequest is longer than its two addresses");
  }
  request.ends = PolicyRequest::Ends{*source, *destination};
  return request;
}

void write_request(const PolicyRequest& request, Writer& writer) {
  const auto start = writer.size();
  writer.u16(0);
  writer.u16(request.protocol);
  writer.u8(static_cast<std::uint8_t>(request.mode));
  writer.u8(static_cast<std::uint8_t>(request.level));
  writer.u16(0);
  writer.u32(request.reqid);
  writer.u32(0);
  if (request.ends) {
    serialize_socket_address(request.ends->source, writer);
    serialize_socket_address(request.ends->destination, writer);
  }
  writer.patch_u16(start, static_cast<std::uint16_t>(writer.size() - start));
}

}  // namespace

Parsed<PolicyExtension> PolicyExtension::parse(ByteView body) {
  Reader reader(body);
  PolicyExtension policy;
  policy.type = static_cast<PolicyType>(reader.u16());
  policy.direction = static_cast<PolicyDirection>(reader.u8());
  reader.skip(1);
  policy.id = reader.u32();
  policy.priority = reader.u32();
  if (!reader.ok()) return refuse(Refusal::kBadExtension, "a policy extension has at least 16 octets");
  if (policy.type > PolicyType::kBypass || policy.direction > PolicyDirection::kForward) {
    return refuse(Refusal::kBadExtension, "a policy has type " + std::to_string(static_cast<unsigned>(policy.type)) +
                                              " and direction " +
                                              std::to_string(static_cast<unsigned>(policy.direction)) +
                                              ", and one of them is none that there is");
  }
  while (reader.remaining() != 0) {
    auto request = parse_request(reader);
    if (!request) return std::unexpected(request.error());
    policy.requests.push_back(*request);
    if (policy.requests.size() > kMostRequests) {
      return refuse(Refusal::kBadExtension, "a policy asks for a bundle of more than 16 SAs");
    }
  }
  return policy;
}

void PolicyExtension::serialize(Writer& writer) const {
  writer.u16(static_cast<std::uint16_t>(type));
  writer.u8(static_cast<std::uint8_t>(direction));
  writer.u8(0);
  writer.u32(id);
  writer.u32(priority);
  for (const auto& request : requests) write_request(request, writer);
}

}  // namespace cygnet::wire::pfkey
