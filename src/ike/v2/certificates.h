// SPDX-License-Identifier: Apache-2.0
#pragma once

// Certificates and what asks for them in the exchanges (RFC 7296 sections 3.6 and 3.7, RFC 4945, RFC 4806, RFC 7670).
#include <string>
#include <vector>

#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

// IANA "IKEv2 Certificate Encodings": those that are spoken, and two that are not.
enum class CertEncoding : std::uint8_t {
  kX509Signature = 4,
  kCrl = 7,
  kHashAndUrl = 12,
  kHashAndUrlBundle = 13,
  kOcspContent = 14,
  kRawPublicKey = 15
};

// The answer to IKE_SA_INIT is not protected and must not amplify; IKE_AUTH has room.
inline constexpr std::size_t kAuthoritiesInInit = 20;
inline constexpr std::size_t kAuthoritiesInAuth = 100;

// CERTREQ, where one of these connections wants a certificate of the peer and an authority is trusted here. At most
// `most` authorities, those that the connections name first. Another for OCSP responses, unless nobody asks for them.
void ask_for_certificate(const World& world, const std::vector<ConnectionPtr>& candidates, std::size_t most,
                         wire::ike::Payloads& payloads);
// What the peer asks for.
void read_certificate_requests(Handshake& handshake, const wire::ike::Payloads& payloads);

// CERT: our own certificate with what leads to its authority, or our raw public key, as leftsendcert= says.
void add_own_certificates(World& world, const IkeSa& sa, wire::ike::Payloads& payloads);

// The peer's CERT payloads: certificates, CRLs, OCSP responses, raw public key. What is ignored is reported.
void read_certificates(World& world, const IkeSa& sa, const wire::ike::Payloads& payloads, auth::SignatureVerify& out);

}  // namespace cygnet::ike::v2
