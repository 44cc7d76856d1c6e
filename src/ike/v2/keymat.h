// SPDX-License-Identifier: Apache-2.0
#pragma once

// Key derivation of IKEv2 (RFC 7296 sections 2.13 to 2.18).
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "base/strong.h"
#include "model/proposal.h"

namespace cygnet::ike::v2 {

// SK_*, in the order in which they are taken from prf+ (section 2.14).
struct IkeKeys {
  SecretBytes d, ai, ar, ei, er, pi, pr;
};

// Of one CHILD_SA; `i` is the initiator of the exchange that created it. Encryption keys carry their salt behind them.
struct ChildKeys {
  SecretBytes encryption_i, integrity_i;  // initiator to responder
  SecretBytes encryption_r, integrity_r;  // responder to initiator
};

// SKEYSEED = prf(Ni | Nr, g^ir), section 2.14.
[[nodiscard]] SecretBytes initial_skeyseed(model::PrfId prf, ByteView nonce_i, ByteView nonce_r,
                                           ByteView shared_secret);
// SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr), section 2.18; prf is the old IKE SA's.
[[nodiscard]] SecretBytes rekeyed_skeyseed(model::PrfId old_prf, ByteView old_sk_d, ByteView nonce_i, ByteView nonce_r,
                                           ByteView shared_secret);
// {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+ (SKEYSEED, Ni | Nr | SPIi | SPIr), section 2.14.
[[nodiscard]] Result<IkeKeys> derive_ike_keys(const model::ChosenIke& algorithms, ByteView skeyseed, ByteView nonce_i,
                                              ByteView nonce_r, IkeSpi spi_i, IkeSpi spi_r);
// KEYMAT = prf+(SK_d, [ g^ir (new) | ] Ni | Nr), section 2.17.
[[nodiscard]] Result<ChildKeys> derive_child_keys(const model::ChosenEsp& algorithms, model::PrfId prf, ByteView sk_d,
                                                  ByteView nonce_i, ByteView nonce_r, ByteView shared_secret);

// <InitiatorSignedOctets> or <ResponderSignedOctets>, section 2.15: the signer's own first message, the other side's
// nonce, prf(SK_p, RestOfIDPayload).
[[nodiscard]] Bytes signed_octets(model::PrfId prf, ByteView first_message, ByteView peer_nonce, ByteView sk_p,
                                  ByteView id_rest);

}  // namespace cygnet::ike::v2
