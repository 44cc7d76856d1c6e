// SPDX-License-Identifier: Apache-2.0
#include "crypto/certificate.h"

#include <openssl/x509v3.h>

#include <algorithm>
#include <optional>

#include "crypto/x509.h"
#include "model/distinguished_name.h"

namespace cygnet::crypto {

struct Certificate::Parts {
  X509Handle x509;
  Bytes der, subject, issuer, fingerprint, key_identifier;
  std::string serial;
  std::int64_t not_before = 0, not_after = 0;
  std::optional<PublicKey> public_key;
  bool authority = false, strong_hash = false;
  std::vector<model::Identity> names;
  std::vector<std::string> units, crl_urls, ocsp_urls;
  std::string cannot_authenticate;  // empty: it may
};

namespace {

constexpr int kMaxNames = 256;

template <typename T, auto Free>
std::unique_ptr<T, FreeWith<Free>> extension_of(X509* certificate, int nid) {
  return std::unique_ptr<T, FreeWith<Free>>(static_cast<T*>(X509_get_ext_d2i(certificate, nid, nullptr, nullptr)));
}

std::string text_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

Bytes octets_of(const ASN1_STRING* text) {
  const auto* data = ASN1_STRING_get0_data(text);
  return {data, data + ASN1_STRING_length(text)};
}

void add_name(const GENERAL_NAME* name, std::vector<model::Identity>& names) {
  int kind = 0;
  const void* value = GENERAL_NAME_get0_value(name, &kind);
  if (kind != GEN_DNS && kind != GEN_EMAIL && kind != GEN_IPADD) return;
  auto octets = octets_of(static_cast<const ASN1_STRING*>(value));
  if (octets.empty()) return;
  if (kind == GEN_DNS) {
    names.push_back({model::IdType::kFqdn, std::move(octets)});
  } else if (kind == GEN_EMAIL) {
    names.push_back({model::IdType::kRfc822Addr, std::move(octets)});
  } else if (octets.size() == 4) {
    names.push_back({model::IdType::kIpv4Addr, std::move(octets)});
  } else if (octets.size() == 16) {
    names.push_back({model::IdType::kIpv6Addr, std::move(octets)});
  }
}

Result<void> read_names(X509* certificate, std::vector<model::Identity>& names) {
  int critical = -1;
  const std::unique_ptr<GENERAL_NAMES, FreeWith<GENERAL_NAMES_free>> all(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, nullptr)));
  if (all == nullptr) {
    return critical == -1 ? Result<void>{} : refuse("the subjectAltName of the certificate cannot be read");
  }
  if (sk_GENERAL_NAME_num(all.get()) > kMaxNames) return refuse("the certificate has more than 256 alternative names");
  for (int i = 0; i < sk_GENERAL_NAME_num(all.get()); ++i) add_name(sk_GENERAL_NAME_value(all.get(), i), names);
  return {};
}

// Only http can be asked: https would have to check a certificate to check a certificate.
void add_url(const GENERAL_NAME* name, std::vector<std::string>& urls) {
  int kind = 0;
  const void* value = GENERAL_NAME_get0_value(name, &kind);
  if (kind != GEN_URI || urls.size() >= 8) return;
  auto url = text_of(static_cast<const ASN1_STRING*>(value));
  const bool printable = std::all_of(url.begin(), url.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (printable && url.size() <= 1024 && (url.starts_with("http://") || url.starts_with("https://"))) {
    urls.push_back(std::move(url));
  }
}

std::vector<std::string> read_crl_urls(X509* certificate) {
  std::vector<std::string> urls;
  const auto points = extension_of<CRL_DIST_POINTS, CRL_DIST_POINTS_free>(certificate, NID_crl_distribution_points);
  for (int i = 0; points != nullptr && i < sk_DIST_POINT_num(points.get()); ++i) {
    const DIST_POINT* point = sk_DIST_POINT_value(points.get(), i);
    // A point that is signed by somebody else or covers some reasons only settles nothing.
    if (point->distpoint == nullptr || point->distpoint->type != 0 || point->CRLissuer != nullptr ||
        point->reasons != nullptr) {
      continue;
    }
    const GENERAL_NAMES* names = point->distpoint->name.fullname;
    for (int k = 0; k < sk_GENERAL_NAME_num(names); ++k) add_url(sk_GENERAL_NAME_value(names, k), urls);
  }
  return urls;
}

std::vector<std::string> read_ocsp_urls(X509* certificate) {
  std::vector<std::string> urls;
  const auto access = extension_of<AUTHORITY_INFO_ACCESS, AUTHORITY_INFO_ACCESS_free>(certificate, NID_info_access);
  for (int i = 0; access != nullptr && i < sk_ACCESS_DESCRIPTION_num(access.get()); ++i) {
    const ACCESS_DESCRIPTION* entry = sk_ACCESS_DESCRIPTION_value(access.get(), i);
    if (OBJ_obj2nid(entry->method) == NID_ad_OCSP) add_url(entry->location, urls);
  }
  return urls;
}

std::vector<std::string> read_units(X509* certificate) {
  std::vector<std::string> units;
  const X509_NAME* subject = X509_get_subject_name(certificate);
  for (int at = X509_NAME_get_index_by_NID(subject, NID_organizationalUnitName, -1); at >= 0;
       at = X509_NAME_get_index_by_NID(subject, NID_organizationalUnitName, at)) {
    unsigned char* text = nullptr;
    const int octets = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (octets < 0) continue;
    units.emplace_back(text, text + octets);
    OPENSSL_free(text);
  }
  return units;
}

bool allows_ike(const EXTENDED_KEY_USAGE* usages) {
  for (int i = 0; i < sk_ASN1_OBJECT_num(usages); ++i) {
    switch (OBJ_obj2nid(sk_ASN1_OBJECT_value(usages, i))) {
      case NID_anyExtendedKeyUsage:
      case NID_ipsec_IKE:
      case NID_server_auth:
      case NID_client_auth: return true;
      default: break;
    }
  }
  return false;
}

std::string why_it_cannot_authenticate(X509* certificate) {
  // RFC 4945 section 5.1.3.2: IKE implementations accept digitalSignature or nonRepudiation.
  const auto usage = X509_get_key_usage(certificate);
  if (usage != UINT32_MAX && (usage & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION)) == 0) {
    return "its keyUsage allows neither digitalSignature nor nonRepudiation";
  }
  // RFC 4945 section 5.1.3.12 takes ipsecIKE and anyExtendedKeyUsage. serverAuth and clientAuth are what public and
  // company authorities issue and what Windows, Apple and Android ask for: a certificate for TLS at this name is taken.
  const auto usages = extension_of<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free>(certificate, NID_ext_key_usage);
  const bool present = X509_get_ext_by_NID(certificate, NID_ext_key_usage, -1) >= 0;
  if (present && (usages == nullptr || !allows_ike(usages.get()))) {
    return "its extendedKeyUsage names none of ipsecIKE, serverAuth, clientAuth and anyExtendedKeyUsage";
  }
  return {};
}

bool strong_hash(X509* certificate) {
  int security_bits = 0;
  return X509_get_signature_info(certificate, nullptr, nullptr, &security_bits, nullptr) == 1 && security_bits >= 100;
}

// OpenSSL has decoded the key with the certificate; doing that a second time takes as long again.
Result<PublicKey> read_key(X509* certificate) {
  const auto spki = to_der(i2d_X509_PUBKEY, X509_get_X509_PUBKEY(certificate));
  EVP_PKEY* key = X509_get0_pubkey(certificate);
  if (key == nullptr || EVP_PKEY_up_ref(key) != 1) return PublicKey::from_spki(spki);
  return PublicKey::from_handle(std::shared_ptr<EVP_PKEY>(key, EVP_PKEY_free), spki);
}

}  // namespace

Result<Certificate> Certificate::parse(ByteView der) {
  if (der.size() > kMaxOctets) return fail("the certificate is longer than 64 KiB and is refused");
  auto x509 = from_der<X509Handle>(d2i_X509, der);
  if (x509 == nullptr) return fail("this is no X.509 certificate, or it is damaged");
  auto parts = std::make_shared<Parts>();
  auto key = read_key(x509.get());
  if (!key) return refuse("certificate: " + key.error().message);
  parts->public_key = std::move(*key);
  parts->der = Bytes(der.begin(), der.end());
  parts->subject = to_der(i2d_X509_NAME, X509_get_subject_name(x509.get()));
  parts->issuer = to_der(i2d_X509_NAME, X509_get_issuer_name(x509.get()));
  parts->fingerprint = sha2_256(der);
  parts->serial = to_hex(octets_of(X509_get0_serialNumber(x509.get())));
  const auto not_before = seconds_of(X509_get0_notBefore(x509.get()));
  const auto not_after = seconds_of(X509_get0_notAfter(x509.get()));
  if (!not_before || !not_after) return refuse("the certificate's dates cannot be read");
  parts->not_before = *not_before;
  parts->not_after = *not_after;
  if (auto read = read_names(x509.get(), parts->names); !read) return std::unexpected(read.error());
  const auto flags = X509_get_extension_flags(x509.get());
  if ((flags & EXFLAG_INVALID) != 0) return refuse("an extension of the certificate is damaged or stands there twice");
  parts->authority = (flags & EXFLAG_BCONS) != 0 && (flags & EXFLAG_CA) != 0;
  parts->strong_hash = strong_hash(x509.get());
  parts->units = read_units(x509.get());
  parts->crl_urls = read_crl_urls(x509.get());
  parts->ocsp_urls = read_ocsp_urls(x509.get());
  if (const auto* id = X509_get0_subject_key_id(x509.get()); id != nullptr) parts->key_identifier = octets_of(id);
  parts->cannot_authenticate = why_it_cannot_authenticate(x509.get());
  parts->x509 = std::move(x509);
  ERR_clear_error();
  Certificate certificate;
  certificate.parts_ = std::move(parts);
  return certificate;
}

const Bytes& Certificate::der() const { return parts_->der; }
const Bytes& Certificate::subject() const { return parts_->subject; }
const Bytes& Certificate::issuer() const { return parts_->issuer; }
std::string Certificate::subject_text() const { return model::distinguished_name_to_string(parts_->subject); }
std::string Certificate::issuer_text() const { return model::distinguished_name_to_string(parts_->issuer); }
std::string Certificate::serial_text() const { return parts_->serial; }
std::int64_t Certificate::not_before() const { return parts_->not_before; }
std::int64_t Certificate::not_after() const { return parts_->not_after; }
const PublicKey& Certificate::public_key() const { return *parts_->public_key; }
bool Certificate::is_authority() const { return parts_->authority; }
bool Certificate::is_self_issued() const { return model::distinguished_names_equal(parts_->subject, parts_->issuer); }
const std::vector<model::Identity>& Certificate::alternative_names() const { return parts_->names; }
std::vector<std::string> Certificate::organizational_units() const { return parts_->units; }
const std::vector<std::string>& Certificate::crl_urls() const { return parts_->crl_urls; }
const std::vector<std::string>& Certificate::ocsp_urls() const { return parts_->ocsp_urls; }
const Bytes& Certificate::fingerprint() const { return parts_->fingerprint; }
bool Certificate::signed_with_strong_hash() const { return parts_->strong_hash; }

Result<void> Certificate::may_authenticate() const {
  return parts_->cannot_authenticate.empty() ? Result<void>{} : fail(parts_->cannot_authenticate);
}

bool Certificate::carries(const model::Identity& identity) const {
  using model::IdType;
  if (identity.type == IdType::kDerAsn1Dn) return model::distinguished_names_match(identity.data, parts_->subject);
  if (identity.type == IdType::kKeyId) {
    return !parts_->key_identifier.empty() && identity.data == parts_->key_identifier;
  }
  return std::any_of(parts_->names.begin(), parts_->names.end(),
                     [&](const auto& name) { return name.matches(identity); });
}

bool Certificate::operator==(const Certificate& other) const {
  return parts_ == other.parts_ || parts_->der == other.parts_->der;
}

x509_st* x509_of(const Certificate& certificate) { return certificate.parts_->x509.get(); }

std::string Certificate::names_text() const {
  auto text = subject_text();
  for (std::size_t i = 0; i < parts_->names.size(); ++i) {
    text += (i == 0 ? " (also " : ", ") + parts_->names[i].to_string();
  }
  return parts_->names.empty() ? text : text + ")";
}

}  // namespace cygnet::crypto
