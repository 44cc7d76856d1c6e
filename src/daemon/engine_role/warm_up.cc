// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/warm_up.h"

#include "crypto/esp_cipher.h"
#include "model/legacy.h"
#include "model/sa_spec.h"

namespace cygnet::daemon {

void warm_up_ciphers() {
  struct Kind {
    model::EncryptionId encryption;
    model::IntegrityId integrity;
  };
  for (const auto& kind : {Kind{model::EncryptionId::kAesGcm16, model::IntegrityId::kNone},
                           Kind{model::EncryptionId::kAesCbc, model::IntegrityId::kHmacSha2_256_128},
                           Kind{model::EncryptionId::kAesCtr, model::IntegrityId::kHmacSha1_96},
                           Kind{model::EncryptionId::kAesCcm16, model::IntegrityId::kNone},
                           Kind{model::EncryptionId::kNull, model::IntegrityId::kAesCmac96},
                           Kind{model::EncryptionId::kChaCha20Poly1305, model::IntegrityId::kNone}}) {
    model::SaSpec spec{.encryption = kind.encryption, .encryption_bits = 256, .integrity = kind.integrity};
    spec.encryption_key.resize(model::key_octets(kind.encryption, 256) + model::salt_octets(kind.encryption));
    spec.integrity_key.resize(model::key_octets(kind.integrity));
    const auto cipher = crypto::create_esp_cipher(spec);
    if (!cipher) {
      continue;
    }
    Bytes packet(8 + (*cipher)->iv_octets() + 32 + (*cipher)->icv_octets());
    crypto::EspJob job{.esp = packet.data(), .octets = packet.size(), .sequence = 1};
    (*cipher)->seal({&job, 1});
  }
}

}  // namespace cygnet::daemon
