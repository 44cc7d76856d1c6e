// SPDX-License-Identifier: Apache-2.0
#include "daemon/token_role/token_store.h"

#include <algorithm>

#include "crypto/certificate.h"
#include "crypto/signature.h"
#include "daemon/token_role/spki.h"
#include "ike/auth/signature_proof.h"

namespace cygnet::daemon {
namespace {

using Attribute = Cryptoki::Attribute;
using Kind = Cryptoki::Kind;

// p11-kit is itself a PKCS#11 library: it asks all that the system has installed.
constexpr const char* kDefaultLibrary = "libp11-kit.so.0";

Result<Bytes> rsa_info(Cryptoki& library, Cryptoki::Handle session, Cryptoki::Handle key) {
  const auto modulus = library.attribute(session, key, Attribute::kModulus);
  const auto exponent = library.attribute(session, key, Attribute::kExponent);
  if (!modulus || !exponent || modulus->empty()) return fail("it is no RSA key that tells its public half");
  return rsa_public_key_info(*modulus, *exponent);
}

// The private key knows its curve; the point stands in the public key or the certificate with the same CKA_ID.
Result<Bytes> ec_info(Cryptoki& library, Cryptoki::Handle session, Cryptoki::Handle key) {
  const auto curve = library.attribute(session, key, Attribute::kCurve);
  if (!curve || curve->empty()) return fail("the key is neither RSA nor ECDSA, or does not tell");
  auto id = library.attribute(session, key, Attribute::kId);
  if (!id || id->empty()) return fail("the key has no CKA_ID, so that its public half cannot be found: give it one");
  model::Pkcs11Uri same;
  same.id = std::move(*id);
  if (const auto half = library.find_object(session, Kind::kPublicKey, same)) {
    const auto point = library.attribute(session, *half, Attribute::kPoint);
    if (point) return ec_public_key_info(*curve, *point);
  }
  const auto holder = library.find_object(session, Kind::kCertificate, same);
  const auto der = holder ? library.attribute(session, *holder, Attribute::kValue) : std::unexpected(holder.error());
  const auto certificate = der ? crypto::Certificate::parse(*der) : std::unexpected(der.error());
  if (certificate) return certificate->public_key().spki();
  return fail("neither a public key nor a certificate with the CKA_ID of the key (" + to_hex(same.id) +
              ") is on the token: write one of them to it");
}

Result<crypto::PublicKey> read_public_half(Cryptoki& library, Cryptoki::Handle session, Cryptoki::Handle key) {
  auto info = rsa_info(library, session, key);
  if (!info) info = ec_info(library, session, key);
  if (!info) return std::unexpected(info.error());
  return crypto::PublicKey::from_spki(*info);
}

}  // namespace

void TokenStore::use(TokenWork work) {
  auto old = std::move(keys_);
  keys_.clear();
  certificates_.clear();
  const bool same_library = work.module == work_.module;
  for (const auto& wanted : work.keys) {
    const auto known = std::ranges::find_if(old, [&](const Key& key) { return key.configured == wanted; });
    if (known != old.end() && same_library) {
      keys_.push_back(std::move(*known));
      known->session = 0;
    } else {
      auto uri = model::Pkcs11Uri::parse(wanted.uri);
      Key key;
      key.configured = wanted;
      if (uri) key.uri = std::move(*uri);
      keys_.push_back(std::move(key));
    }
  }
  for (auto& key : old) close(key);
  for (const auto& wanted : work.certificates) {
    auto uri = model::Pkcs11Uri::parse(wanted);
    // Read anew, as files are: a renewed certificate may stand in the same place.
    if (uri) certificates_.push_back({wanted, std::move(*uri), {}, {}});
  }
  work_ = std::move(work);
}

Result<std::shared_ptr<Cryptoki>> TokenStore::library(const model::Pkcs11Uri& uri) {
  const auto& path = !uri.module_path.empty() ? uri.module_path
                     : !work_.module.empty()  ? work_.module
                                              : kDefaultLibrary;
  if (const auto known = libraries_.find(path); known != libraries_.end()) return known->second;
  auto loaded = Cryptoki::load(path);
  if (loaded) libraries_.emplace(path, *loaded);
  return loaded;
}

void TokenStore::close(Key& key) {
  if (key.session != 0) key.library->close_session(key.session);
  key.session = 0;
}

Result<void> TokenStore::open(Key& key) {
  if (key.session != 0) return {};
  if (key.pin_refused) return fail(key.problem);
  auto opened = open_session(key);
  if (!opened) close(key);
  return opened;
}

Result<void> TokenStore::open_session(Key& key) {
  auto found = library(key.uri);
  if (!found) return std::unexpected(found.error());
  key.library = std::move(*found);
  const auto slot = key.library->find_slot(key.uri);
  if (!slot) return std::unexpected(slot.error());
  const auto session = key.library->open_session(*slot);
  if (!session) return std::unexpected(session.error());
  key.slot = *slot;
  key.session = *session;
  if (!key.configured.pin.empty()) {
    std::string why;
    const auto logged_in = key.library->log_in(key.session, key.configured.pin, why);
    key.pin_refused = logged_in == Cryptoki::LogIn::kWrongPin;
    if (key.pin_refused) return fail(why + "; it is not tried again until the line in ipsec.secrets changes");
    if (logged_in == Cryptoki::LogIn::kFailed) return fail(why);
  }
  const auto object = key.library->find_object(key.session, Kind::kPrivateKey, key.uri);
  if (!object) return std::unexpected(object.error());
  key.object = *object;
  key.always_authenticates = key.library->always_authenticates(key.session, key.object);
  auto half = read_public_half(*key.library, key.session, key.object);
  if (!half) return std::unexpected(half.error());
  key.public_key = std::move(*half);
  return {};
}

Result<Bytes> TokenStore::read(const Certificate& certificate) {
  const auto found = library(certificate.uri);
  if (!found) return std::unexpected(found.error());
  auto& from = **found;
  const auto slot = from.find_slot(certificate.uri);
  const auto session = slot ? from.open_session(*slot) : std::unexpected(slot.error());
  if (!session) return std::unexpected(session.error());
  const auto object = from.find_object(*session, Kind::kCertificate, certificate.uri);
  auto der = object ? from.attribute(*session, *object, Attribute::kValue) : std::unexpected(object.error());
  from.close_session(*session);
  if (der && der->empty()) return fail("the certificate on the token is empty");
  return der;
}

// What is missing now was missing before: a library that nobody has a session with may look again from the beginning.
void TokenStore::begin_idle_libraries_anew() {
  const bool missing = std::ranges::any_of(keys_, [](const Key& k) { return !k.problem.empty() && !k.pin_refused; }) ||
                       std::ranges::any_of(certificates_, [](const auto& c) { return !c.problem.empty(); });
  if (!missing) return;
  for (auto& [path, library] : libraries_) {
    const bool busy = std::ranges::any_of(keys_, [&](const Key& k) { return k.session != 0 && k.library == library; });
    if (!busy) (void)library->begin_anew();  // what is wrong shows when it is asked
  }
}

bool TokenStore::look() {
  bool changed = false;
  begin_idle_libraries_anew();
  const auto note = [&](std::string& problem, std::string now) {
    changed = changed || problem != now;
    problem = std::move(now);
  };
  for (auto& key : keys_) {
    const bool had = key.session != 0;
    const auto opened = open(key);
    changed = changed || had != (key.session != 0);
    note(key.problem, opened ? std::string() : opened.error().message);
  }
  for (auto& certificate : certificates_) {
    if (!certificate.der.empty()) continue;
    auto der = read(certificate);
    note(certificate.problem, der ? std::string() : der.error().message);
    if (!der) continue;
    certificate.der = std::move(*der);
    changed = true;
  }
  return changed;
}

Result<Bytes> TokenStore::sign(Key& key, crypto::SignatureScheme scheme, crypto::EcdsaForm form, ByteView octets) {
  const auto* pin = key.always_authenticates ? &key.configured.pin : nullptr;
  auto signature = key.library->sign(key.session, key.object, scheme, octets, pin);
  if (!signature) {
    // The token may have been taken out and put back: once more, from the beginning.
    const auto why = signature.error();
    close(key);
    if (auto opened = open(key); !opened) {
      key.problem = opened.error().message;
      return fail(why.message + "; " + key.problem);
    }
    signature = key.library->sign(key.session, key.object, scheme, octets, pin);
    if (!signature) return signature;
  }
  const auto half = crypto::ecdsa_half_octets(key.public_key->kind());
  if (half == 0 || form == crypto::EcdsaForm::kFixed) return signature;
  auto der = crypto::ecdsa_to_der(*signature, half);
  return der.empty() ? fail("the token made a signature of another size than its key") : Result<Bytes>(std::move(der));
}

ike::auth::AuthResult TokenStore::perform(const ike::auth::AuthJob& job) {
  ike::auth::AuthResult out;
  const auto* what = std::get_if<ike::auth::SignatureProve>(&job.what);
  const auto at = what == nullptr ? keys_.end() : std::ranges::find_if(keys_, [&](const Key& key) {
    return key.public_key && key.public_key->key_id() == what->key_id;
  });
  if (at == keys_.end()) {
    out.error = "no token has the private key for this";
  } else if (auto opened = open(*at); !opened) {
    at->problem = opened.error().message;
    out.error = "the key on " + at->uri.token_text() + " (" + at->configured.source + "): " + at->problem;
  } else {
    auto& key = *at;
    out = ike::auth::prove_by_signature(
        *what, {.public_key = *key.public_key,
                .source = "key on " + key.uri.token_text() + " (" + key.configured.source + ")",
                .can = [&key](crypto::SignatureScheme scheme) { return key.library->can_sign(key.slot, scheme); },
                .sign = [this, &key](crypto::SignatureScheme scheme, crypto::EcdsaForm form,
                                     ByteView octets) { return sign(key, scheme, form, octets); }});
  }
  out.job = job.job;
  return out;
}

std::vector<crypto::PublicKey> TokenStore::public_keys() const {
  std::vector<crypto::PublicKey> out;
  for (const auto& key : keys_) {
    if (key.public_key) out.push_back(*key.public_key);
  }
  return out;
}

std::vector<TokenCertificate> TokenStore::certificates() const {
  std::vector<TokenCertificate> out;
  for (const auto& certificate : certificates_) {
    if (!certificate.der.empty()) out.push_back({certificate.configured, certificate.der});
  }
  return out;
}

std::vector<std::string> TokenStore::problems() const {
  std::vector<std::string> out;
  for (const auto& key : keys_) {
    if (!key.problem.empty())
      out.push_back(key.configured.source + ": the key on " + key.uri.token_text() + " is not there: " + key.problem);
  }
  for (const auto& certificate : certificates_) {
    if (!certificate.problem.empty())
      out.push_back("the certificate " + certificate.configured + " is not there: " + certificate.problem);
  }
  return out;
}

}  // namespace cygnet::daemon
