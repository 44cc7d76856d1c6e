// SPDX-License-Identifier: Apache-2.0
#include "support/connections.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace cygnet::test {
namespace {

template <typename T>
T must(std::optional<T> value, std::string_view text) {
  if (!value) {
    (void)std::fprintf(stderr, "a test is wrong: cannot read '%.*s'\n", static_cast<int>(text.size()), text.data());
    std::abort();
  }
  return *std::move(value);
}

model::Identity fqdn(std::string_view name) { return {model::IdType::kFqdn, to_bytes(name)}; }

model::End end(std::string_view host, std::string_view id) {
  model::End out;
  out.host.kind = model::HostSpec::Kind::kAddress;
  out.host.address = address(host);
  out.host.resolved = true;
  out.id = fqdn(id);
  return out;
}

void add(model::Proposal& proposal, model::TransformType type, std::uint16_t id, std::uint16_t bits = 0) {
  proposal.transforms.push_back({type, id, bits});
}

}  // namespace

IpAddress address(std::string_view text) { return must(IpAddress::parse(text), text); }
model::TrafficSelector selector(std::string_view text) { return must(model::TrafficSelector::parse(text), text); }
model::TrafficSelectors selectors(std::initializer_list<std::string_view> texts) {
  model::TrafficSelectors out;
  for (const auto text : texts) out.push_back(selector(text));
  return out;
}

model::Proposal ike_proposal(model::EncryptionId encryption, std::uint16_t bits, model::IntegrityId integrity,
                             model::PrfId prf, const std::vector<model::KeGroup>& groups) {
  model::Proposal out{model::Protocol::kIke, {}};
  add(out, model::TransformType::kEncryption, static_cast<std::uint16_t>(encryption), bits);
  if (integrity != model::IntegrityId::kNone)
    add(out, model::TransformType::kIntegrity, static_cast<std::uint16_t>(integrity));
  add(out, model::TransformType::kPrf, static_cast<std::uint16_t>(prf));
  for (const auto group : groups) add(out, model::TransformType::kKeyExchange, static_cast<std::uint16_t>(group));
  return out;
}

model::Proposal ike_proposal() {
  return ike_proposal(model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone, model::PrfId::kHmacSha2_256,
                      {model::KeGroup::kX25519});
}

model::Proposal esp_proposal(model::EncryptionId encryption, std::uint16_t bits, model::IntegrityId integrity,
                             const std::vector<model::KeGroup>& groups, const std::vector<model::EsnChoice>& esn) {
  model::Proposal out{model::Protocol::kEsp, {}};
  add(out, model::TransformType::kEncryption, static_cast<std::uint16_t>(encryption), bits);
  if (integrity != model::IntegrityId::kNone)
    add(out, model::TransformType::kIntegrity, static_cast<std::uint16_t>(integrity));
  for (const auto group : groups) add(out, model::TransformType::kKeyExchange, static_cast<std::uint16_t>(group));
  for (const auto choice : esn) add(out, model::TransformType::kEsn, static_cast<std::uint16_t>(choice));
  return out;
}

model::Proposal esp_proposal() {
  return esp_proposal(model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone, {}, {model::EsnChoice::kNo});
}

model::Child child(std::string name, std::string_view local, std::string_view remote) {
  model::Child out;
  out.name = std::move(name);
  out.local = {selector(local)};
  out.remote = {selector(remote)};
  out.proposals = {esp_proposal()};
  out.lifetime_s = 36000;
  return out;
}

model::Connection tunnel(std::string name) {
  model::Connection out;
  out.source = name + ".conf:1";
  out.local = end("192.0.2.1", "a.test");
  out.remote = end("198.51.100.1", "b.test");
  out.proposals = {ike_proposal()};
  out.children = {child(name, "10.1.0.0/16", "10.2.0.0/16")};
  out.name = std::move(name);
  out.ike_lifetime_s = 86400;
  out.dpd_delay_s = 0;
  out.dpd_action = model::DeadPeerAction::kClear;
  out.keying_tries = 1;
  out.fragmentation = model::Fragmentation::kNo;
  return out;
}

model::Connection mirrored(const model::Connection& connection) {
  model::Connection out = connection;
  std::swap(out.local, out.remote);
  for (auto& each : out.children) std::swap(each.local, each.remote);
  return out;
}

model::SharedSecret secret(std::string_view text) {
  model::SharedSecret out;
  out.ids = {fqdn("a.test"), fqdn("b.test")};
  out.secret.assign(text.begin(), text.end());
  out.source = "test.secrets:1";
  return out;
}

}  // namespace cygnet::test
