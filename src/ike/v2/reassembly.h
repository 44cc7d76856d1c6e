// SPDX-License-Identifier: Apache-2.0
#pragma once

// The pieces of one fragmented message of the peer, until all of them are there (RFC 7383 section 2.6). Only pieces
// whose ICV was good are kept.
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "base/address.h"
#include "base/bytes.h"
#include "base/strong.h"
#include "base/time.h"
#include "wire/ike/encrypted_payload.h"
#include "wire/ike/header.h"

namespace cygnet::ike::v2 {

class Reassembly {
 public:
  // Octets of plaintext of one message.
  static constexpr std::size_t kMostOctets = 65535;
  // How long the first piece waits for the last.
  static constexpr Duration kPatience = std::chrono::seconds(30);

  // `stranger_at`: where the sender is, if it has not proven yet who it is.
  Reassembly(const wire::ike::Header& header, std::uint16_t total, Instant now,
             std::optional<IpAddress> stranger_at = std::nullopt)
      : id_(header.message_id),
        exchange_(header.exchange),
        response_(header.response),
        total_(total),
        expires_(now + kPatience),
        stranger_at_(stranger_at) {}

  [[nodiscard]] bool is_of(const wire::ike::Header& header) const {
    return id_ == header.message_id && exchange_ == header.exchange && response_ == header.response;
  }
  // Is it worth looking at the piece's ICV? Not if it is there already, or of a set that was given up.
  [[nodiscard]] bool wants(const wire::ike::EncryptedFragmentPayload& piece) const;
  // Keeps an authentic piece. False: the message grows too large.
  [[nodiscard]] bool take(const wire::ike::EncryptedFragmentPayload& piece, SecretBytes plaintext);

  [[nodiscard]] bool complete() const { return pieces_.size() == total_; }
  // The whole plaintext, in order; first_inner() is the type of its first payload. Once complete.
  [[nodiscard]] SecretBytes plaintext() const;
  [[nodiscard]] wire::ike::PayloadType first_inner() const { return first_inner_; }
  [[nodiscard]] std::size_t octets() const { return octets_; }
  [[nodiscard]] Instant expires() const { return expires_; }
  [[nodiscard]] const std::optional<IpAddress>& stranger_at() const { return stranger_at_; }

 private:
  MessageId id_;
  wire::ike::ExchangeType exchange_;
  bool response_;
  std::uint16_t total_;
  wire::ike::PayloadType first_inner_ = wire::ike::PayloadType::kNone;
  std::map<std::uint16_t, SecretBytes> pieces_;
  std::size_t octets_ = 0;
  Instant expires_;
  std::optional<IpAddress> stranger_at_;
};

}  // namespace cygnet::ike::v2
