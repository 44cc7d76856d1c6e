// SPDX-License-Identifier: Apache-2.0
// What peers and the network hand to the trust store: certificates, CRLs, OCSP responses, AlgorithmIdentifiers; and
// PKCS#12 and key files. The first octet chooses. Nothing crashes, nothing hostile becomes trusted.
#include <cstdlib>

#include "crypto/private_key.h"
#include "crypto/trust_store.h"

using namespace cygnet;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void certificate(ByteView bytes) {
  const auto parsed = crypto::Certificate::parse(bytes);
  if (!parsed) return;
  check(parsed->der() == Bytes(bytes.begin(), bytes.end()));
  for (const auto c : parsed->names_text()) check(c >= 0x20 && c < 0x7f);
  for (const auto& name : parsed->alternative_names()) check(parsed->carries(name));
  crypto::TrustStore empty;
  check(!empty.validate({.leaf = parsed->der(), .intermediates = {parsed->der()}, .now = 1'800'000'000}).has_value());
  check(empty.add_authority(parsed->der()).has_value());
  (void)empty.validate({.leaf = parsed->der(), .intermediates = {parsed->der()}, .now = 1'800'000'000});
}

void list(ByteView bytes) {
  if (const auto crl = crypto::Crl::parse(bytes)) {
    crypto::TrustStore store;
    check(store.add_crl(bytes).has_value());
  }
}

void identifier(ByteView bytes) {
  const auto scheme = crypto::parse_algorithm_identifier(bytes);
  if (scheme) check(crypto::parse_algorithm_identifier(crypto::algorithm_identifier(*scheme)) == scheme);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView bytes(data + 1, size - 1);
  switch (data[0] % 6) {
    case 0: certificate(bytes); break;
    case 1: list(bytes); break;
    case 2: (void)crypto::OcspResponse::parse(bytes); break;
    case 3: identifier(bytes); break;
    case 4: (void)crypto::parse_pkcs12(bytes, view_of("open sesame")); break;
    default: (void)crypto::PrivateKey::load(bytes, {}); break;
  }
  return 0;
}
