// SPDX-License-Identifier: Apache-2.0
#include "cli/check_credentials.h"

#include "crypto/certificate.h"
#include "crypto/revocation.h"

namespace cygnet::cli {
namespace {

using config::Level;

class Findings {
 public:
  explicit Findings(std::int64_t now) : now_(now) {}

  void add(Level level, const model::NamedObject& object, std::string message, std::string hint) {
    found_.push_back({.level = level, .file = object.source, .message = std::move(message), .hint = std::move(hint)});
  }
  void certificate(const model::NamedObject& object, bool authority) {
    const auto parsed = crypto::Certificate::parse(object.der);
    if (!parsed) {
      // An authority that is not one is left out; a connection without its certificate does not work.
      return add(authority ? Level::kWarning : Level::kError, object, parsed.error().message,
                 "look at it with: openssl x509 -text -noout -in " + object.source);
    }
    const auto name = "'" + parsed->subject_text() + "' ";
    if (parsed->not_after() < now_) {
      add(Level::kWarning, object, name + "has expired", "renew it");
    } else if (parsed->not_before() > now_) {
      add(Level::kWarning, object, name + "is not valid yet", "look at the clock of this host");
    }
    if (authority && !parsed->is_authority()) {
      add(Level::kWarning, object, name + "is no authority (basicConstraints): only itself is trusted",
          "put the certificate that issued it into cacerts/");
    }
  }
  void crl(const model::NamedObject& object) {
    const auto parsed = crypto::Crl::parse(object.der);
    if (!parsed) {
      add(Level::kWarning, object, parsed.error().message, "fetch it again");
    } else if (parsed->next_update() != 0 && parsed->next_update() < now_) {
      add(Level::kWarning, object, "this CRL is out of date: only what it revokes counts", "fetch a newer one");
    }
  }
  void public_key(const model::NamedObject& object) {
    if (const auto parsed = crypto::PublicKey::from_spki(object.der); !parsed)
      add(Level::kError, object, parsed.error().message, "give the key as PEM or DER, or 0s and its base64");
  }
  [[nodiscard]] config::Diagnostics take() { return std::move(found_); }

 private:
  std::int64_t now_;
  config::Diagnostics found_;
};

}  // namespace

config::Diagnostics check_credentials(const model::PublicCredentials& credentials, std::int64_t now) {
  Findings findings(now);
  for (const auto& object : credentials.certificates) findings.certificate(object, false);
  for (const auto& object : credentials.authorities) findings.certificate(object, true);
  for (const auto& object : credentials.crls) findings.crl(object);
  for (const auto& object : credentials.public_keys) findings.public_key(object);
  return findings.take();
}

}  // namespace cygnet::cli
