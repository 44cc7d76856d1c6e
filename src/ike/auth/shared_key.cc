// SPDX-License-Identifier: Apache-2.0
#include "ike/auth/shared_key.h"

#include <array>

#include "crypto/prf.h"

namespace cygnet::ike::auth {

SecretBytes shared_key_auth(model::PrfId prf, ByteView secret, ByteView signed_octets) {
  const std::array<ByteView, 1> pad{view_of("Key Pad for IKEv2")};
  const auto key = crypto::prf(prf, secret, pad);
  const std::array<ByteView, 1> octets{signed_octets};
  return crypto::prf(prf, ByteView(key), octets);
}

}  // namespace cygnet::ike::auth
