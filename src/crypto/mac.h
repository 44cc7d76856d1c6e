// SPDX-License-Identifier: Apache-2.0
#pragma once

// The integrity algorithms of ESP and AH: a key prepared once, then one packet after the other. HMAC (RFC 2403, 2404,
// 4868), AES-XCBC-MAC (RFC 3566), AES-CMAC (RFC 4494) and, for AH, AES-GMAC (RFC 4543).
#include <array>
#include <memory>

#include "base/bytes.h"
#include "crypto/hmac.h"
#include "model/transform.h"

namespace cygnet::crypto {

class Mac {
 public:
  Mac() = default;
  virtual ~Mac() = default;
  Mac(const Mac&) = delete;
  Mac& operator=(const Mac&) = delete;
  // AES-GMAC takes an IV of model::iv_octets(id) octets that never comes twice under its key; the others take none.
  virtual void start(ByteView iv) = 0;
  void start() { start(ByteView{}); }
  virtual void update(ByteView data) = 0;
  // Writes the whole output (at least model::icv_octets() octets): truncation is the caller's.
  virtual void finish(std::array<std::uint8_t, kMaxDigestOctets>& out) = 0;
};

// Whether this build can compute it.
[[nodiscard]] bool is_known_mac(model::IntegrityId id);
// Null where it cannot. The key has model::key_octets(id) octets.
[[nodiscard]] std::unique_ptr<Mac> create_mac(model::IntegrityId id, ByteView key);

}  // namespace cygnet::crypto
