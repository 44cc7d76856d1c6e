// SPDX-License-Identifier: Apache-2.0
// IKE_SA_INIT and IKE_AUTH in which somebody has changed payloads: notifications, CERT, CERTREQ, AUTH, identities, SA,
// TS, CP. Whatever is read of them, nobody is let in by a proof that was not made for what was said.
//
// Input: octet 0: bit 0: A's request (0) or B's answer (1); bit 1: of IKE_AUTH (0) or IKE_SA_INIT (1); bit 2: both
// prove themselves with certificates. Then records of one octet (how: 0 added, 1 in the place of the first of its type,
// 2 taken out, 3 in front of all), one octet (payload type), one octet (length), and that many octets of the payload's
// body.
#include <cstdlib>
#include <memory>
#include <optional>

#include "crypto/private_key.h"
#include "support/exchange.h"
#include "support/test_pki.h"
#include "wire/ike/message.h"

using namespace cygnet;

namespace {

namespace wi = wire::ike;

constexpr std::size_t kMaxRecords = 16;

void check(bool holds) {
  if (!holds) std::abort();
}

struct Certificates {
  test::TestCertificate root = test::make_authority("C=DE, O=Example, CN=Root");
  test::TestCertificate a = issue("a.test", 1), b = issue("b.test", 2);

  [[nodiscard]] test::TestCertificate issue(const std::string& host, int which) const {
    return test::make_certificate({.subject = "C=DE, O=Example, CN=" + host,
                                   .key = test::test_key(crypto::KeyKind::kEd25519, which),
                                   .names = "DNS:" + host},
                                  &root);
  }
};

const Certificates& certificates() {
  static const Certificates all;
  return all;
}

void configure(test::Exchange& exchange, test::Side& side, const model::Connection& connection,
               const test::TestCertificate& own) {
  model::PublicCredentials credentials;
  credentials.certificates.push_back({"own.pem", own.der, "own.pem"});
  credentials.authorities.push_back({"ca.pem", certificates().root.der, "ca.pem"});
  model::PrivateKeySource key;
  key.bytes = own.key_pem();
  key.source = "ipsec.secrets:1";
  side.configure(exchange.now(), {connection}, {}, std::move(credentials), {std::move(key)});
}

// What a message says of who its sender is.
struct Proof {
  std::optional<wi::AuthPayload> auth;
  std::optional<wi::IdPayload> id;
  bool operator==(const Proof&) const = default;
};

// As its receiver reads it; nothing: it cannot be read.
std::optional<Proof> proof_in(const wi::Payloads& payloads, bool of_initiator) {
  const auto read = wi::parse_payloads(wi::first_type(payloads), wi::serialize_payloads(payloads));
  if (!read) return std::nullopt;
  Proof out;
  if (const auto* auth = wi::find_payload<wi::AuthPayload>(*read)) out.auth = *auth;
  if (const auto* id = wi::find_id(*read, of_initiator)) out.id = *id;
  return out;
}

struct Bent {
  bool same_proof = true;
  Bytes bytes;
};

std::size_t place_of(const wi::Payloads& payloads, wi::PayloadType type) {
  std::size_t i = 0;
  while (i < payloads.size() && wi::first_type({payloads[i]}) != type) ++i;
  return i;
}

void bend(wi::Payloads& payloads, ByteView records) {
  ByteReader in(records);
  for (std::size_t i = 0; i < kMaxRecords && in.remaining() >= 3; ++i) {
    const auto how = in.u8() % 4;
    const auto type = static_cast<wi::PayloadType>(in.u8());
    const std::size_t length = in.u8();
    const auto body = in.take(std::min(length, in.remaining()));
    const wi::UnknownPayload payload{type, false, Bytes(body.begin(), body.end())};
    const auto at = static_cast<std::ptrdiff_t>(place_of(payloads, type));
    const bool there = static_cast<std::size_t>(at) < payloads.size();
    if (how == 0 || (how == 1 && !there)) payloads.emplace_back(payload);
    if (how == 3) payloads.insert(payloads.begin(), payload);
    if (how == 1 && there) payloads[static_cast<std::size_t>(at)] = payload;
    if (how == 2 && there) payloads.erase(payloads.begin() + at);
  }
}

// The datagram with other payloads in it; as it was, if none of that can be written.
Bent rewrite(test::Exchange& exchange, const test::Flight& flight, ByteView records) {
  auto payloads = flight.decoded.payloads;
  const bool of_initiator = !flight.decoded.header.response;
  const auto honest = proof_in(payloads, of_initiator);
  bend(payloads, records);
  Bent out{proof_in(payloads, of_initiator) == honest, flight.bytes};
  if (flight.decoded.header.exchange == wi::ExchangeType::kIkeSaInit) {
    out.bytes = wi::serialize_message({flight.decoded.header, payloads});
  } else if (auto sealed = exchange.side(flight.from).keys().seal(flight.decoded.header, payloads)) {
    out.bytes = std::move(*sealed);
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const bool answer = (data[0] & 1U) != 0;
  const auto which = (data[0] & 2U) != 0 ? wi::ExchangeType::kIkeSaInit : wi::ExchangeType::kIkeAuth;
  const bool signed_proofs = (data[0] & 4U) != 0;

  test::Exchange e;
  e.toy_key_exchange = true;
  auto of_a = test::tunnel("tun");
  of_a.fragmentation = model::Fragmentation::kNo;
  if (signed_proofs) of_a.local.auth = of_a.remote.auth = model::AuthMethod::kSignature;
  auto of_b = test::mirrored(of_a);
  if (signed_proofs) of_a.local.certificate = of_b.local.certificate = "own.pem";
  e.add("A", "192.0.2.1", {of_a}, {test::secret("s3cret")});
  e.add("B", "198.51.100.1", {of_b}, {test::secret("s3cret")});
  if (signed_proofs) {
    configure(e, e.a(), of_a, certificates().a);
    configure(e, e.b(), of_b, certificates().b);
  }
  Bent bent;
  unsigned first_requests = 0;
  bool same = true;
  e.on_wire = [&](test::Flight& flight) {
    const auto& header = flight.decoded.header;
    if (header.exchange == wi::ExchangeType::kIkeSaInit && !header.response) ++first_requests;
    if (!bent.bytes.empty() || header.exchange != which || header.response != answer) return true;
    bent = rewrite(e, flight, ByteView(data + 1, size - 1));
    same = bent.bytes == flight.bytes;
    flight.bytes = bent.bytes;
    return true;
  };
  e.initiate(e.a());
  e.run();
  auto& victim = answer ? e.a() : e.b();
  const auto up = victim.endpoint().counters().established;
  check(up <= 1 && victim.plane.entries().size() <= 2 && victim.plane.faults.empty());
  if (size == 1) check(up == 1);  // nothing was changed
  // RFC 7296 section 2.15: the proof covers the whole first message, and the identity. (Who is asked for a cookie or
  // another group asks again, and that message is another one.)
  const bool first = which == wi::ExchangeType::kIkeSaInit;
  if (!same && first && first_requests == 1) check(up == 0);
  if (!first && !bent.same_proof) check(up == 0);
  e.advance(std::chrono::seconds(200));
  // Two: an answer with AUTH_LIFETIME (RFC 4478) has A authenticate again beside the first.
  check(e.a().endpoint().status().size() <= 2 && e.b().endpoint().status().size() <= 2);
  return 0;
}
