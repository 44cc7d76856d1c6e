// SPDX-License-Identifier: Apache-2.0
// Lets two IKE endpoints in memory negotiate and writes down every datagram, with the keys: tests/oracle/*.py make a
// capture of it and ask tshark. One JSON object a line in, one a line out.
//
//   {"encryption":"aes-gcm","bits":256,"integrity":"","prf":"sha2-256","groups":[31]}
//     -> {"datagrams":[{"arrow":"A -> B IKE_SA_INIT request 0: ...","source":["192.0.2.1",500],"destination":[...],
//                       "marked":false,"bytes":"..."}],
//         "ike":[{"spi_i":"...","spi_r":"...","sk_ei":"...","sk_er":"...","sk_ai":"...","sk_ar":"..."}],
//         "children":[{"side":"A","direction":"out","spi":4096,"encryption_key":"...","integrity_key":"..."}]}
//
// The story: IKE_SA_INIT, IKE_AUTH, a rekey of the child with a key exchange of its own, a rekey of the IKE SA, a
// packet each way, and the end.
#include <chrono>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "support/exchange.h"

namespace cygnet::test {
namespace {

using Json = nlohmann::json;

model::Connection connection_of(const Json& request) {
  static const std::map<std::string, model::EncryptionId> kEncryption = {
      {"aes-gcm", model::EncryptionId::kAesGcm16},
      {"aes-cbc", model::EncryptionId::kAesCbc},
      {"chacha20-poly1305", model::EncryptionId::kChaCha20Poly1305}};
  static const std::map<std::string, model::IntegrityId> kIntegrity = {
      {"", model::IntegrityId::kNone},
      {"sha2-256", model::IntegrityId::kHmacSha2_256_128},
      {"sha2-384", model::IntegrityId::kHmacSha2_384_192},
      {"sha2-512", model::IntegrityId::kHmacSha2_512_256}};
  static const std::map<std::string, model::PrfId> kPrf = {{"sha2-256", model::PrfId::kHmacSha2_256},
                                                           {"sha2-384", model::PrfId::kHmacSha2_384},
                                                           {"sha2-512", model::PrfId::kHmacSha2_512}};
  const auto encryption = kEncryption.at(request.at("encryption"));
  const auto bits = request.at("bits").get<std::uint16_t>();
  const auto integrity = kIntegrity.at(request.at("integrity"));
  std::vector<model::KeGroup> groups;
  for (const auto& number : request.at("groups"))
    groups.push_back(static_cast<model::KeGroup>(number.get<std::uint16_t>()));
  auto connection = tunnel("tun");
  connection.proposals = {ike_proposal(encryption, bits, integrity, kPrf.at(request.at("prf")), groups)};
  if (request.contains("clones")) connection.children[0].clones = request.at("clones").get<std::uint32_t>();
  connection.children[0].proposals = {esp_proposal(encryption, bits, integrity, groups, {model::EsnChoice::kNo})};
  return connection;
}

Json json_of(const Endpoint& endpoint) { return Json::array({endpoint.address.to_string(), endpoint.port}); }

class Story {
 public:
  explicit Story(const Json& request) : exchange_(connection_of(request)) {
    exchange_.on_wire = [this](Flight& flight) {
      datagrams_.push_back({{"arrow", flight.arrow},
                            {"source", json_of(flight.path.remote)},
                            {"destination", json_of(flight.path.local)},
                            {"marked", flight.path.marked},
                            {"bytes", to_hex(flight.bytes)}});
      return true;
    };
  }

  Json tell() {
    exchange_.initiate(exchange_.a());
    exchange_.advance_and_run(std::chrono::seconds(1));
    note_children();
    exchange_.rekey_child(exchange_.a());
    exchange_.run();
    note_children();
    exchange_.rekey_ike(exchange_.b());
    exchange_.run();
    const bool through =
        exchange_.packet(exchange_.a(), exchange_.b()) && exchange_.packet(exchange_.b(), exchange_.a());
    exchange_.terminate(exchange_.a());
    exchange_.run();
    Json ike = Json::array();
    for (const auto& [spis, k] : exchange_.a().keys().keys()) {
      ike.push_back({{"spi_i", spi_text(spis.first)},
                     {"spi_r", spi_text(spis.second)},
                     {"sk_ei", to_hex(k.sk_ei)},
                     {"sk_er", to_hex(k.sk_er)},
                     {"sk_ai", to_hex(k.sk_ai)},
                     {"sk_ar", to_hex(k.sk_ar)}});
    }
    return {{"datagrams", datagrams_}, {"ike", std::move(ike)}, {"children", children_}, {"through", through}};
  }

 private:
  static std::string spi_text(IkeSpi spi) {
    std::array<std::uint8_t, 8> octets{};
    store_be64(octets.data(), spi.value);
    return to_hex(octets);
  }

  void note_children() {
    for (auto* side : {&exchange_.a(), &exchange_.b()}) {
      for (const auto& spec : side->plane.specs()) {
        children_.push_back({{"side", side->name()},
                             {"direction", spec.direction == model::Direction::kOutbound ? "out" : "in"},
                             {"spi", spec.spi.value},
                             {"encryption_key", to_hex(spec.encryption_key)},
                             {"integrity_key", to_hex(spec.integrity_key)}});
      }
    }
  }

  Exchange exchange_;
  Json datagrams_ = Json::array();
  Json children_ = Json::array();
};

}  // namespace
}  // namespace cygnet::test

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    nlohmann::json answer;
    try {
      answer = cygnet::test::Story(nlohmann::json::parse(line)).tell();
    } catch (const std::exception& error) {
      answer = {{"error", std::string("bad request: ") + error.what()}};
    }
    std::cout << answer.dump() << std::endl;
  }
  return 0;
}
