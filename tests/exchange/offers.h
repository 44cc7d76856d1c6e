// SPDX-License-Identifier: Apache-2.0
#pragma once

// Payloads as peers of other make send them: transforms by their numbers, for what we have no name for is sent too.
#include <gtest/gtest.h>

#include <initializer_list>
#include <string_view>
#include <vector>

#include "model/proposal.h"
#include "support/connections.h"
#include "wire/ike/message.h"

namespace cygnet::test {

inline wire::ike::NotifyPayload note(wire::ike::NotifyType type, Bytes data = {}) {
  wire::ike::NotifyPayload out;
  out.type = type;
  out.data = std::move(data);
  return out;
}
inline wire::ike::VendorIdPayload vendor(std::string_view hex) {
  wire::ike::VendorIdPayload out;
  EXPECT_TRUE(from_hex(hex, out.data));
  return out;
}
inline wire::ike::ConfigurationPayload asks_for(std::initializer_list<std::uint16_t> types) {
  wire::ike::ConfigurationPayload out;
  for (const auto type : types) out.attributes.push_back({type, {}});
  return out;
}
inline wire::ike::SaPayload esp(const std::vector<model::Proposal>& proposals, std::uint32_t spi) {
  wire::ike::SaPayload out;
  for (const auto& proposal : proposals) {
    wire::ike::SaProposal p;
    p.number = static_cast<std::uint8_t>(out.proposals.size() + 1);
    p.spi.resize(4);
    store_be32(p.spi.data(), spi);
    p.proposal = proposal;
    out.proposals.push_back(std::move(p));
  }
  return out;
}
inline wire::ike::TsPayload everything(bool initiator) { return {initiator, selectors({"0.0.0.0/0", "::/0"})}; }

inline model::Proposal proposal(model::Protocol protocol, std::initializer_list<model::Transform> transforms) {
  return {protocol, transforms};
}
inline model::Transform numbered(model::TransformType type, int id, int bits = 0) {
  return {type, static_cast<std::uint16_t>(id), static_cast<std::uint16_t>(bits)};
}
inline model::Transform encr(int id, int bits = 0) { return numbered(model::TransformType::kEncryption, id, bits); }
inline model::Transform integ(int id) { return numbered(model::TransformType::kIntegrity, id); }
inline model::Transform prf(int id) { return numbered(model::TransformType::kPrf, id); }
inline model::Transform ke(int id) { return numbered(model::TransformType::kKeyExchange, id); }
inline constexpr model::Transform kNoEsn{model::TransformType::kEsn, 0, 0};

}  // namespace cygnet::test
