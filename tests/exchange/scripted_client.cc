// SPDX-License-Identifier: Apache-2.0
#include "exchange/scripted_client.h"

#include <gtest/gtest.h>

#include <array>

#include "crypto/ike_cipher.h"
#include "crypto/prf.h"
#include "model/selection.h"

namespace cygnet::test {

namespace wi = wire::ike;

ScriptedClient::ScriptedClient(Exchange& exchange, std::uint16_t port)
    : exchange_(exchange),
      path_{{address("198.51.100.1"), port}, {address("203.0.113.50"), port}, port != 500},
      spi_i_(random_.u64()) {
  exchange_.b().on_send = [this](const ike::SendDatagram& datagram) {
    if (datagram.path.remote == path_.remote) inbox_.push_back(datagram.bytes);
  };
}

void ScriptedClient::send(const Bytes& bytes) {
  inbox_.clear();
  exchange_.inject(exchange_.b(), path_, bytes);
}

wi::Payloads ScriptedClient::init(const std::vector<model::Proposal>& proposals, model::KeGroup group,
                                  const wi::Payloads& others) {
  own_ = *crypto::generate_key_pair(group, random_);
  nonce_i_ = random_.bytes(48);
  wi::SaPayload sa;
  for (const auto& proposal : proposals) {
    wi::SaProposal p;
    p.number = static_cast<std::uint8_t>(sa.proposals.size() + 1);
    p.proposal = proposal;
    sa.proposals.push_back(std::move(p));
  }
  wi::Message message;
  message.header.spi_i = spi_i_;
  message.header.exchange = wi::ExchangeType::kIkeSaInit;
  message.header.initiator = true;
  message.payloads = {sa, wi::KePayload{group, own_.public_value}, wi::NoncePayload{nonce_i_}};
  message.payloads.insert(message.payloads.end(), others.begin(), others.end());
  init_request_ = wi::serialize_message(message);
  send(init_request_);
  if (inbox_.size() != 1) return {};
  init_response_ = inbox_.front();
  const auto answer = wi::parse_message(init_response_);
  EXPECT_TRUE(answer);
  if (wi::find_payload<wi::KePayload>(answer->payloads) != nullptr) {
    const auto chosen =
        model::accept_ike(wi::find_payload<wi::SaPayload>(answer->payloads)->proposals.at(0).proposal, proposals);
    EXPECT_TRUE(chosen);
    algorithms_ = chosen.value_or(model::ChosenIke{});
    take_keys(*answer);
  }
  return answer->payloads;
}

void ScriptedClient::take_keys(const wi::Message& answer) {
  spi_r_ = answer.header.spi_r;
  nonce_r_ = wi::find_payload<wi::NoncePayload>(answer.payloads)->data;
  const auto secret = crypto::derive_shared_secret(own_, wi::find_payload<wi::KePayload>(answer.payloads)->data);
  ASSERT_TRUE(secret);
  const auto seed = ike::v2::initial_skeyseed(algorithms_.prf, nonce_i_, nonce_r_, *secret);
  auto keys = ike::v2::derive_ike_keys(algorithms_, seed, nonce_i_, nonce_r_, spi_i_, spi_r_);
  ASSERT_TRUE(keys);
  keys_ = std::move(*keys);
}

wi::Header ScriptedClient::header(wi::ExchangeType type, bool response, MessageId id) const {
  wi::Header out;
  out.spi_i = spi_i_;
  out.spi_r = spi_r_;
  out.exchange = type;
  out.initiator = true;
  out.response = response;
  out.message_id = id;
  return out;
}

wi::Payloads ScriptedClient::request(wi::ExchangeType type, const wi::Payloads& inner) {
  const auto bytes = exchange_.b().keys().seal(header(type, false, MessageId(next_++)), inner);
  EXPECT_TRUE(bytes);
  if (!bytes) return {};
  send(*bytes);
  if (inbox_.empty()) return {};
  return opened();
}

// One message, or the pieces of one (RFC 7383).
wi::Payloads ScriptedClient::opened() const {
  if (inbox_.size() == 1) return exchange_.b().keys().decode(inbox_.front()).payloads;
  const auto cipher = crypto::IkeCipher::create(
      {algorithms_.encryption, algorithms_.encryption_bits, algorithms_.integrity}, keys_.er, keys_.ar);
  EXPECT_TRUE(cipher);
  Bytes whole;
  auto first = wi::PayloadType::kNone;
  for (const auto& datagram : inbox_) {
    const auto outer = wi::parse_message(datagram);
    const auto* piece = outer ? wi::find_payload<wi::EncryptedFragmentPayload>(outer->payloads) : nullptr;
    EXPECT_NE(piece, nullptr);
    if (piece == nullptr) return {};
    if (piece->fragment_number == 1) first = piece->first_inner;
    const auto part = wi::open_fragment(datagram, *piece, *cipher);
    EXPECT_TRUE(part);
    append(whole, ByteView(*part));
  }
  return wi::parse_payloads(first, whole).value_or(wi::Payloads{});
}

Decoded ScriptedClient::from_server() {
  if (inbox_.empty()) return {};
  const auto newest = exchange_.b().keys().decode(inbox_.back());
  return newest.header.response ? Decoded{} : newest;
}

void ScriptedClient::answer(const wi::Header& request, const wi::Payloads& inner) {
  const auto bytes = exchange_.b().keys().seal(header(request.exchange, true, request.message_id), inner);
  ASSERT_TRUE(bytes);
  send(*bytes);
}

Bytes ScriptedClient::octets_to_sign(const model::Identity& own) const {
  return ike::v2::signed_octets(algorithms_.prf, init_request_, nonce_r_, keys_.pi, wi::make_id(true, own).rest);
}

namespace {

Bytes shared_key_auth(model::PrfId prf, std::string_view secret, const Bytes& octets) {
  const std::array<ByteView, 1> pad{view_of("Key Pad for IKEv2")};
  const auto key = crypto::prf(prf, view_of(secret), pad);
  const std::array<ByteView, 1> data{octets};
  const auto out = crypto::prf(prf, key, data);
  return {out.begin(), out.end()};
}

}  // namespace

Bytes ScriptedClient::psk_auth(const model::Identity& own, std::string_view secret) const {
  return shared_key_auth(algorithms_.prf, secret, octets_to_sign(own));
}

Bytes ScriptedClient::psk_auth_of_server(const model::Identity& server, std::string_view secret) const {
  return shared_key_auth(
      algorithms_.prf, secret,
      ike::v2::signed_octets(algorithms_.prf, init_response_, nonce_i_, keys_.pr, wi::make_id(false, server).rest));
}

}  // namespace cygnet::test
