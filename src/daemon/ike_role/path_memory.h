// SPDX-License-Identifier: Apache-2.0
#pragma once

// The certificates of peers that came in, and who signed them: a peer that comes again is neither decoded nor its
// issuers' signatures checked again. Bounded; what was not asked for lately goes first. The pool's threads share it.
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "crypto/trust_store.h"

namespace cygnet::daemon {

class BoundedPathMemory final : public crypto::PathMemory {
 public:
  static constexpr std::size_t kMaxCertificates = 1024;
  static constexpr std::size_t kMaxOctets = 4U << 20U;  // of DER; decoded it is about four times as much
  static constexpr std::size_t kMaxIssuers = 4;         // of one certificate: cross-certified authorities

  [[nodiscard]] std::optional<crypto::Certificate> find(const Bytes& fingerprint) const override;
  [[nodiscard]] bool knows_signature(const crypto::Certificate& subject,
                                     const crypto::Certificate& issuer) const override;
  void keep(const std::vector<crypto::Certificate>& path) override;

  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::size_t octets() const;

 private:
  struct Entry {
    crypto::Certificate certificate;
    std::vector<Bytes> signed_by;  // fingerprints of issuers
    mutable bool asked_for = false;
  };
  // A fingerprint is evenly spread already.
  struct FirstOctets {
    std::size_t operator()(const Bytes& fingerprint) const;
  };
  void make_room();

  mutable std::mutex mutex_;
  std::unordered_map<Bytes, Entry, FirstOctets> entries_;
  std::deque<Bytes> order_;  // the next to go first
  std::size_t octets_ = 0;
};

}  // namespace cygnet::daemon
