// SPDX-License-Identifier: Apache-2.0
#pragma once

// The keys and certificates on tokens that the configuration names: found, watched, and made to sign.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/public_key.h"
#include "daemon/token_role/cryptoki.h"
#include "daemon/token_role/token_work.h"
#include "ike/auth/jobs.h"

namespace cygnet::daemon {

class TokenStore {
 public:
  // From now on these. Keys that were asked for already stay as they are, and a PIN that was wrong is not tried again;
  // certificates are read anew.
  void use(TokenWork work);
  // Looks for what is missing. True: something came, or another problem did.
  bool look();
  // SignatureProve with one of the keys.
  [[nodiscard]] ike::auth::AuthResult perform(const ike::auth::AuthJob& job);

  [[nodiscard]] std::vector<crypto::PublicKey> public_keys() const;
  [[nodiscard]] std::vector<TokenCertificate> certificates() const;
  // A sentence for each key and certificate that is not there.
  [[nodiscard]] std::vector<std::string> problems() const;

 private:
  struct Key {
    TokenKey configured;
    model::Pkcs11Uri uri;
    bool pin_refused = false;  // not tried again: tokens lock themselves after a few
    std::shared_ptr<Cryptoki> library;
    Cryptoki::Handle slot = 0, session = 0, object = 0;  // session 0: none
    bool always_authenticates = false;
    std::optional<crypto::PublicKey> public_key;  // known once seen, also when the token is gone
    std::string problem;
  };
  struct Certificate {
    std::string configured;
    model::Pkcs11Uri uri;
    Bytes der;
    std::string problem;
  };
  [[nodiscard]] Result<std::shared_ptr<Cryptoki>> library(const model::Pkcs11Uri& uri);
  [[nodiscard]] Result<void> open(Key& key);
  [[nodiscard]] Result<void> open_session(Key& key);
  void close(Key& key);
  void begin_idle_libraries_anew();
  [[nodiscard]] Result<Bytes> read(const Certificate& certificate);
  [[nodiscard]] Result<Bytes> sign(Key& key, crypto::SignatureScheme scheme, crypto::EcdsaForm form, ByteView octets);

  TokenWork work_;
  std::map<std::string, std::shared_ptr<Cryptoki>> libraries_;  // by path; kept until the process ends
  std::vector<Key> keys_;
  std::vector<Certificate> certificates_;
};

}  // namespace cygnet::daemon
