// SPDX-License-Identifier: Apache-2.0
#pragma once

// A PKCS#11 library (OASIS, version 2.40) and what is asked of it. It is foreign code: whatever it answers is bounded
// and checked, and it runs in a process of its own.
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/public_key.h"
#include "model/pkcs11_uri.h"

namespace cygnet::daemon {

class Cryptoki {
 public:
  using Handle = unsigned long;  // of slots, sessions and objects
  enum class Kind : std::uint8_t { kPrivateKey, kPublicKey, kCertificate };
  enum class Attribute : std::uint8_t { kId, kValue, kModulus, kExponent, kCurve, kPoint };
  enum class LogIn : std::uint8_t { kDone, kWrongPin, kFailed };
  static constexpr std::size_t kMaxAttribute = 65536;

  [[nodiscard]] static Result<std::shared_ptr<Cryptoki>> load(const std::string& path);
  ~Cryptoki();
  Cryptoki(const Cryptoki&) = delete;
  Cryptoki& operator=(const Cryptoki&) = delete;

  // Many libraries find what was inserted only when they begin anew. Ends all sessions.
  [[nodiscard]] Result<void> begin_anew();

  // The one token that the URI describes: none and several are errors.
  [[nodiscard]] Result<Handle> find_slot(const model::Pkcs11Uri& uri);
  [[nodiscard]] Result<Handle> open_session(Handle slot);
  void close_session(Handle session);
  [[nodiscard]] LogIn log_in(Handle session, const SecretBytes& pin, std::string& why);
  // The one object of this kind with label and id of the URI.
  [[nodiscard]] Result<Handle> find_object(Handle session, Kind kind, const model::Pkcs11Uri& uri);
  [[nodiscard]] Result<Bytes> attribute(Handle session, Handle object, Attribute which);
  // Keys that want the PIN for each signature (PIV cards have one).
  [[nodiscard]] bool always_authenticates(Handle session, Handle key);

  [[nodiscard]] bool can_sign(Handle slot, crypto::SignatureScheme scheme);
  // ECDSA: r | s. `pin`: for a key that always authenticates; null else.
  [[nodiscard]] Result<Bytes> sign(Handle session, Handle key, crypto::SignatureScheme scheme, ByteView octets,
                                   const SecretBytes* pin);

 private:
  struct Library;
  explicit Cryptoki(std::unique_ptr<Library> library);
  std::unique_ptr<Library> library_;
};

}  // namespace cygnet::daemon
