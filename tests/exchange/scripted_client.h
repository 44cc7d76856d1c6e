// SPDX-License-Identifier: Apache-2.0
#pragma once

// An initiator that is no IkeEndpoint: a test says payload by payload what it sends, as some client out there would,
// and sees what comes back. It derives the keys itself.
#include <string>
#include <vector>

#include "crypto/key_exchange.h"
#include "exchange/arrows.h"
#include "ike/v2/keymat.h"

namespace cygnet::test {

class ScriptedClient {
 public:
  // Talks to side B of the exchange, from 203.0.113.50; on port 4500 with the non-ESP marker from the start.
  explicit ScriptedClient(Exchange& exchange, std::uint16_t port = 500);

  // One IKE_SA_INIT request; `others` stand behind SA, KE and Ni. Takes the keys into use if it is accepted.
  [[nodiscard]] wire::ike::Payloads init(const std::vector<model::Proposal>& proposals, model::KeGroup group,
                                         const wire::ike::Payloads& others);
  // A protected request of the next Message ID, and what stands in the answer.
  [[nodiscard]] wire::ike::Payloads request(wire::ike::ExchangeType type, const wire::ike::Payloads& inner);
  // A request of the server, opened; the newest that it sent, behind its answer to us perhaps.
  [[nodiscard]] Decoded from_server();
  void answer(const wire::ike::Header& request, const wire::ike::Payloads& inner);

  // What stands in AUTH (RFC 7296 section 2.15).
  [[nodiscard]] Bytes octets_to_sign(const model::Identity& own) const;
  [[nodiscard]] Bytes psk_auth(const model::Identity& own, std::string_view secret) const;
  [[nodiscard]] Bytes psk_auth_of_server(const model::Identity& server, std::string_view secret) const;

  [[nodiscard]] const model::ChosenIke& algorithms() const { return algorithms_; }
  [[nodiscard]] bool nothing_sent() const { return inbox_.empty(); }

 private:
  void send(const Bytes& bytes);
  void take_keys(const wire::ike::Message& answer);
  [[nodiscard]] wire::ike::Payloads opened() const;
  [[nodiscard]] wire::ike::Header header(wire::ike::ExchangeType type, bool response, MessageId id) const;

  Exchange& exchange_;
  ike::Path path_;  // as B sees it
  SeededRandom random_{77};
  IkeSpi spi_i_, spi_r_;
  crypto::KeyPair own_;
  Bytes nonce_i_, nonce_r_, init_request_, init_response_;
  model::ChosenIke algorithms_;
  ike::v2::IkeKeys keys_;
  std::uint32_t next_ = 1;
  std::vector<Bytes> inbox_;
};

}  // namespace cygnet::test
