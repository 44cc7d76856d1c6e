// SPDX-License-Identifier: Apache-2.0
#pragma once

// What certificate, trust store, CRL and OCSP share of OpenSSL's X.509.
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509.h>

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/certificate.h"
#include "crypto/evp.h"

namespace cygnet::crypto {

using X509Handle = std::unique_ptr<X509, FreeWith<X509_free>>;
using X509CrlHandle = std::unique_ptr<X509_CRL, FreeWith<X509_CRL_free>>;
using BioHandle = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;

// The error queue of the thread is emptied: nothing of this may surface in an unrelated call.
[[nodiscard]] inline std::unexpected<Error> refuse(std::string message) {
  ERR_clear_error();
  return fail(std::move(message));
}

// DER of any OpenSSL object by its i2d function; empty if that fails.
template <typename T, typename Encoder>
[[nodiscard]] Bytes to_der(Encoder encode, T* object) {
  unsigned char* out = nullptr;
  const int octets = encode(object, &out);
  if (octets <= 0 || out == nullptr) {
    ERR_clear_error();
    return {};
  }
  Bytes der(out, out + octets);
  OPENSSL_free(out);
  return der;
}

// Reads exactly one object; null if there is none or something follows it.
template <typename Handle, typename Decoder>
[[nodiscard]] Handle from_der(Decoder decode, ByteView der) {
  const unsigned char* at = der.data();
  Handle object(decode(nullptr, &at, static_cast<long>(der.size())));
  if (object == nullptr || at != der.data() + der.size()) {
    ERR_clear_error();
    return nullptr;
  }
  return object;
}

[[nodiscard]] Bytes sha2_256(ByteView octets);
[[nodiscard]] Bytes sha1(ByteView octets);

// Seconds since 1970, dates beyond 2038 included; nothing if it is no date.
[[nodiscard]] std::optional<std::int64_t> seconds_of(const ASN1_TIME* time);
[[nodiscard]] std::optional<std::int64_t> seconds_of_generalized(const ASN1_GENERALIZEDTIME* time);

// The certificate as OpenSSL's object, which stays its own. (Certificate's header stays free of OpenSSL.)
[[nodiscard]] X509* x509_of(const Certificate& certificate);

}  // namespace cygnet::crypto
