// SPDX-License-Identifier: Apache-2.0
#include "sim/credentials.h"

#include <map>
#include <utility>

#include "support/test_pki.h"

namespace cygnet::sim {
namespace {

using test::kDay;
using test::kPkiNow;

// Before the first and after the last of these all the rest of a life fits.
constexpr std::int64_t kValidBefore = 30 * kDay, kValidAfter = 365 * kDay;

const test::TestCertificate& authority(bool false_one) {
  static const auto good = test::make_authority("C=DE, O=Example, CN=Root");
  static const auto bad = test::make_authority("C=DE, O=Example, CN=Another Root");
  return false_one ? bad : good;
}

Credentials make(const std::string& name, bool impostor) {
  test::CertificateOptions options;
  options.subject = "C=DE, O=Example, OU=VPN, CN=" + name;
  options.names = "DNS:" + name;
  options.key = test::test_key(crypto::KeyKind::kEd25519, name[0] + (impostor ? 100 : 0));
  options.not_before = kPkiNow - kValidBefore;
  options.not_after = kPkiNow + kValidAfter;
  const auto own = test::make_certificate(options, &authority(impostor));
  Credentials out;
  out.shown.certificates.push_back({kOwnCertificate, own.der, "/etc/ipsec.d/certs/own.pem"});
  out.shown.authorities.push_back({"ca.pem", authority(false).der, "/etc/ipsec.d/cacerts/ca.pem"});
  model::PrivateKeySource key;
  key.bytes = own.key_pem();
  key.source = "test.secrets:1";
  out.keys.push_back(std::move(key));
  return out;
}

}  // namespace

const Credentials& credentials_of(const std::string& name, bool impostor) {
  static std::map<std::pair<std::string, bool>, Credentials> made;
  const auto [it, fresh] = made.try_emplace({name, impostor});
  if (fresh) it->second = make(name, impostor);
  return it->second;
}

bool are_valid(std::int64_t wrong_s) { return wrong_s > -kValidBefore && wrong_s < kValidAfter - kDay; }
bool are_invalid(std::int64_t wrong_s) { return wrong_s <= -kValidBefore - kDay || wrong_s >= kValidAfter; }

}  // namespace cygnet::sim
