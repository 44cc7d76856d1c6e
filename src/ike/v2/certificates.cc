// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/certificates.h"

#include <algorithm>

#include "crypto/trust_store.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;
using crypto::Certificate;

constexpr std::size_t kHashOctets = 20;

bool wants_certificate(const model::End& peer) {
  return peer.auth == model::AuthMethod::kSignature && peer.public_key.empty();
}

bool is_named(const Certificate& authority, const std::vector<ConnectionPtr>& candidates) {
  const model::Identity subject{model::IdType::kDerAsn1Dn, authority.subject()};
  return std::any_of(candidates.begin(), candidates.end(),
                     [&](const auto& c) { return c->remote.authority && c->remote.authority->covers(subject); });
}

// The certificate above this one, of those that came in the same file first; null: there is none but perhaps the
// anchor, which is for the peer to have.
const Certificate* issuer_of(const Credentials& credentials, const std::string& name, const Certificate& below) {
  const Certificate* found = nullptr;
  const auto look_at = [&](const Certificate& c) {
    if (found == nullptr && c.is_authority() && !c.is_self_issued() && c.subject() == below.issuer()) found = &c;
  };
  for (std::size_t i = 2;; ++i) {
    const auto* c = credentials.find_certificate(name + "#" + std::to_string(i));
    if (c == nullptr) break;
    look_at(*c);
  }
  for (const auto& [other, c] : credentials.certificates) look_at(c);
  for (const auto& c : credentials.authorities) look_at(c);
  return found;
}

std::vector<const Certificate*> chain_of(const Credentials& credentials, const std::string& name,
                                         const Certificate& own) {
  std::vector<const Certificate*> out{&own};
  while (!out.back()->is_self_issued() && out.size() < crypto::TrustStore::kMaxPath) {
    const auto* next = issuer_of(credentials, name, *out.back());
    if (next == nullptr || std::find(out.begin(), out.end(), next) != out.end()) break;
    out.push_back(next);
  }
  return out;
}

// Does the peer trust somebody that leads to our certificate, as far as its CERTREQ tells?
bool peer_knows_authority(const Credentials& credentials, const Bytes& wanted,
                          const std::vector<const Certificate*>& chain) {
  const auto lists = [&](const Certificate& c) {
    const auto& hash = c.public_key().authority_hash();
    for (std::size_t at = 0; at + kHashOctets <= wanted.size(); at += kHashOctets) {
      if (std::equal(hash.begin(), hash.end(), wanted.begin() + static_cast<std::ptrdiff_t>(at))) return true;
    }
    return false;
  };
  if (std::any_of(chain.begin() + 1, chain.end(), [&](const auto* c) { return lists(*c); })) return true;
  const auto& top = *chain.back();
  bool anchor_known = false;
  for (const auto& anchor : credentials.authorities) {
    if (anchor.subject() != top.issuer()) continue;
    anchor_known = true;
    if (lists(anchor)) return true;
  }
  return !anchor_known;  // whoever issued it is a stranger here: nothing can be said
}

void send_certificate(World& world, const IkeSa& sa, const Certificate& own, wi::Payloads& payloads) {
  const auto& end = sa.connection->local;
  const auto& h = *sa.handshake;
  if (end.send_certificate == model::SendCertificate::kNever) return;
  if (end.send_certificate == model::SendCertificate::kIfAsked && !h.certificate_wanted) return;
  const auto chain = chain_of(world.credentials, end.certificate, own);
  // RFC 7296 section 3.7: "there may be cases where there is a preferred CA sent in the CERTREQ, but an alternate might
  // be acceptable".
  if (!h.wanted_authorities.empty() && !peer_knows_authority(world.credentials, h.wanted_authorities, chain)) {
    world.report(sa, Severity::kNotice, "authority-not-asked-for",
                 sa.peer() + " asks for certificates of other authorities than '" + chain.back()->issuer_text() +
                     "', which leads to ours ('" + own.subject_text() +
                     "'): if it refuses us, give it the certificate of this authority");
  }
  // RFC 7296 section 3.6: "multiple CERT payloads are used, only the first of which holds the public key used to
  // validate the sender's AUTH payload".
  for (const auto* c : chain)
    payloads.emplace_back(wi::CertPayload{static_cast<std::uint8_t>(CertEncoding::kX509Signature), c->der()});
  // RFC 4806 section 2: a CERTREQ of "OCSP Content" asks for it, whichever responders it lists. Behind the
  // certificates: the first CERT holds the key.
  const auto status = world.status_responses.find(own.fingerprint());
  if (h.status_wanted && status != world.status_responses.end())
    payloads.emplace_back(wi::CertPayload{static_cast<std::uint8_t>(CertEncoding::kOcspContent), status->second});
}

void send_raw_key(const World& world, const IkeSa& sa, wi::Payloads& payloads) {
  const auto& end = sa.connection->local;
  if (end.send_certificate == model::SendCertificate::kNever || !sa.handshake->raw_key_wanted) return;
  // RFC 7670 section 3: the Certificate Data field holds the SubjectPublicKeyInfo.
  if (const auto* key = world.credentials.find_key(end.public_key))
    payloads.emplace_back(wi::CertPayload{static_cast<std::uint8_t>(CertEncoding::kRawPublicKey), key->spki()});
}

std::string printable(ByteView text) {
  std::string out;
  for (const auto c : text.first(std::min<std::size_t>(text.size(), 200)))
    out += c > 0x20 && c < 0x7f ? static_cast<char>(c) : '?';
  return out;
}

void report_ignored(World& world, const IkeSa& sa, const wi::CertPayload& payload) {
  const auto encoding = static_cast<CertEncoding>(payload.encoding);
  if (encoding == CertEncoding::kHashAndUrl || encoding == CertEncoding::kHashAndUrlBundle) {
    // RFC 7296 section 3.6: a SHA-1 hash, then the URL. Nobody has proven anything yet: its URLs are not followed.
    const auto url = payload.data.size() > kHashOctets ? ByteView(payload.data).subspan(kHashOctets) : ByteView();
    return world.report(sa, Severity::kWarning, "certificate-url-ignored",
                        sa.peer() + " sent where its certificate is (" + printable(url) +
                            ") instead of the certificate; nothing is fetched for a peer that has proven nothing: "
                            "let it send the certificate itself");
  }
  world.report(sa, Severity::kWarning, "certificate-encoding-ignored",
               sa.peer() + " sent a certificate in encoding " + std::to_string(payload.encoding) +
                   ", which is not read: let it send X.509 certificates (encoding 4)");
}

}  // namespace

void ask_for_certificate(const World& world, const std::vector<ConnectionPtr>& candidates, std::size_t most,
                         wi::Payloads& payloads) {
  const auto& authorities = world.credentials.authorities;
  if (authorities.empty()) return;
  const bool wanted =
      std::any_of(candidates.begin(), candidates.end(), [](const auto& c) { return wants_certificate(c->remote); });
  if (!wanted) return;
  wi::CertReqPayload request;
  request.encoding = static_cast<std::uint8_t>(CertEncoding::kX509Signature);
  // RFC 7296 section 3.7: "a concatenated list of SHA-1 hashes of the public keys of trusted Certification
  // Authorities".
  for (const bool named : {true, false}) {
    for (const auto& authority : authorities) {
      if (request.authorities.size() >= most * kHashOctets) break;
      if (is_named(authority, candidates) == named)
        append(request.authorities, authority.public_key().authority_hash());
    }
  }
  payloads.emplace_back(std::move(request));
  const bool revocation = std::any_of(candidates.begin(), candidates.end(), [](const auto& c) {
    return wants_certificate(c->remote) && c->remote.revocation != model::Revocation::kIgnore;
  });
  // RFC 4806 section 3.1: the peer may bring the OCSP response itself. No responder is named: any will do that the
  // authority of the certificate vouches for.
  if (revocation) payloads.emplace_back(wi::CertReqPayload{static_cast<std::uint8_t>(CertEncoding::kOcspContent), {}});
}

void read_certificate_requests(Handshake& handshake, const wi::Payloads& payloads) {
  for (const auto& payload : payloads) {
    const auto* request = std::get_if<wi::CertReqPayload>(&payload);
    if (request == nullptr) continue;
    if (request->encoding == static_cast<std::uint8_t>(CertEncoding::kRawPublicKey)) handshake.raw_key_wanted = true;
    if (request->encoding == static_cast<std::uint8_t>(CertEncoding::kOcspContent)) handshake.status_wanted = true;
    if (request->encoding != static_cast<std::uint8_t>(CertEncoding::kX509Signature)) continue;
    handshake.certificate_wanted = true;
    const auto room = kAuthoritiesInAuth * kHashOctets - handshake.wanted_authorities.size();
    append(
        handshake.wanted_authorities,
        ByteView(request->authorities).first(std::min(room, request->authorities.size() / kHashOctets * kHashOctets)));
  }
}

void add_own_certificates(World& world, const IkeSa& sa, wi::Payloads& payloads) {
  const auto& own = sa.connection->local;
  if (own.auth != model::AuthMethod::kSignature) return;
  if (const auto* certificate = world.credentials.find_certificate(own.certificate)) {
    send_certificate(world, sa, *certificate, payloads);
  } else {
    send_raw_key(world, sa, payloads);
  }
}

void read_certificates(World& world, const IkeSa& sa, const wi::Payloads& payloads, auth::SignatureVerify& out) {
  bool reported = false;
  for (const auto& payload : payloads) {
    const auto* cert = std::get_if<wi::CertPayload>(&payload);
    if (cert == nullptr) continue;
    switch (static_cast<CertEncoding>(cert->encoding)) {
      case CertEncoding::kX509Signature: out.certificates.push_back(cert->data); break;
      case CertEncoding::kCrl: out.crls.push_back(cert->data); break;
      case CertEncoding::kOcspContent: out.ocsp_responses.push_back(cert->data); break;
      case CertEncoding::kRawPublicKey:
        if (out.raw_public_key.empty()) out.raw_public_key = cert->data;
        break;
      default:
        if (!reported) report_ignored(world, sa, *cert);
        reported = true;
    }
  }
}

}  // namespace cygnet::ike::v2
