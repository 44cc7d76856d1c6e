// SPDX-License-Identifier: Apache-2.0
#include "ike/auth/signature_proof.h"

namespace cygnet::ike::auth {
namespace {

// For peers without RFC 7427. Ed25519 and Ed448 have none: schemes_for() offers them nothing then.
wire::ike::AuthMethodId classic_method(crypto::KeyKind kind) {
  switch (kind) {
    case crypto::KeyKind::kEcdsaP256: return wire::ike::AuthMethodId::kEcdsaP256;
    case crypto::KeyKind::kEcdsaP384: return wire::ike::AuthMethodId::kEcdsaP384;
    case crypto::KeyKind::kEcdsaP521: return wire::ike::AuthMethodId::kEcdsaP521;
    default: return wire::ike::AuthMethodId::kRsaSignature;
  }
}

}  // namespace

AuthResult prove_by_signature(const SignatureProve& what, const SigningKey& key) {
  AuthResult out;
  const auto kind = key.public_key.kind();
  const auto name = key.public_key.to_string();
  auto schemes = crypto::schemes_for(kind, key.public_key.bits(),
                                     what.digital_signature ? what.hashes : std::vector<crypto::HashId>{});
  if (schemes.empty()) {
    out.error = "the peer lists no hash that goes with our key (" + name + ")";
    return out;
  }
  if (key.can) std::erase_if(schemes, [&](crypto::SignatureScheme scheme) { return !key.can(scheme); });
  if (schemes.empty()) {
    out.error =
        key.source + ": it can make none of the signatures that the peer takes from a key like ours (" + name + ")";
    return out;
  }
  const auto form = what.digital_signature ? crypto::EcdsaForm::kDer : crypto::EcdsaForm::kFixed;
  const auto signature = key.sign(schemes.front(), form, ByteView(what.octets));
  if (!signature) {
    out.error = key.source + ": " + signature.error().message;
    return out;
  }
  if (what.digital_signature) {
    // RFC 7427 section 3: "ASN.1 Length" is one octet, then AlgorithmIdentifier, then the signature.
    const auto algorithm = crypto::algorithm_identifier(schemes.front());
    out.auth.push_back(static_cast<std::uint8_t>(algorithm.size()));
    out.auth.insert(out.auth.end(), algorithm.begin(), algorithm.end());
  }
  out.auth.insert(out.auth.end(), signature->begin(), signature->end());
  out.method = what.digital_signature ? wire::ike::AuthMethodId::kDigitalSignature : classic_method(kind);
  out.source = std::string(crypto::to_string(schemes.front())) + ", " + name + ", " + key.source;
  out.ok = true;
  return out;
}

}  // namespace cygnet::ike::auth
