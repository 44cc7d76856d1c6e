// SPDX-License-Identifier: Apache-2.0
// The engine behind a pipe: one JSON object a line in, one a line out. Asked by tests/oracle/*.py, which compare its
// packets with scapy's and tshark's.
//
//   {"op":"sa", ...SaSpec fields...}                          -> {"ok":true} or {"ok":false,"error":"..."}
//   {"op":"policy","id":1,"action":"protect","local":["10.0.0.0/8"],"remote":[...],"mode":"tunnel"}
//   {"op":"out","packets":["45..."]}                          -> {"verdicts":[...]}
//   {"op":"in","packets":[{"esp":"...","local":"192.0.2.1:4500","remote":"...","udp":true,"tos":0}]}
//   {"op":"seal","sequence":"4294967296",...SaSpec fields...,"packet":"..."} -> {"packet":"..."}: the cipher alone
//   {"op":"open", likewise}                                   -> {"packet":"..."} or {"error":"refused"}
//   {"op":"reset"}                                            a new engine, empty
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/drop_reason.h"
#include "base/random.h"
#include "crypto/esp_cipher.h"
#include "engine/engine.h"

namespace cygnet {
namespace {

using Json = nlohmann::json;

// A request that makes no sense is the test's mistake: said in the answer, never guessed around.
struct BadRequest : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Bytes bytes_of(const Json& text) {
  Bytes out;
  if (!from_hex(text.get<std::string>(), out)) throw BadRequest("not hexadecimal: " + text.get<std::string>());
  return out;
}

SecretBytes secret_of(const Json& request, const char* name) {
  if (!request.contains(name)) return {};
  const auto bytes = bytes_of(request.at(name));
  return {bytes.begin(), bytes.end()};
}

IpAddress address_of(const std::string& text) {
  const auto address = IpAddress::parse(text);
  if (!address) throw BadRequest("not an address: " + text);
  return *address;
}

Endpoint endpoint_of(const Json& request, const char* name) {
  const auto text = request.at(name);
  return {address_of(text.at(0)), text.at(1).get<std::uint16_t>()};
}

Json json_of(const Endpoint& endpoint) { return Json::array({endpoint.address.to_string(), endpoint.port}); }

model::TrafficSelectors selectors_of(const Json& list) {
  model::TrafficSelectors out;
  for (const auto& text : list) {
    const auto selector = model::TrafficSelector::parse(text.get<std::string>());
    if (!selector) throw BadRequest("not a selector: " + text.get<std::string>());
    out.push_back(*selector);
  }
  return out;
}

model::Mode mode_of(const Json& request) {
  const auto mode = request.value("mode", "tunnel");
  if (mode == "tunnel") return model::Mode::kTunnel;
  if (mode == "transport") return model::Mode::kTransport;
  throw BadRequest("not a mode: " + mode);
}

void read_algorithms(const Json& request, model::SaSpec& spec) {
  static const std::map<std::string, model::EncryptionId> kEncryption = {
      {"", model::EncryptionId::kNone},
      {"null", model::EncryptionId::kNull},
      {"aes-cbc", model::EncryptionId::kAesCbc},
      {"aes-ctr", model::EncryptionId::kAesCtr},
      {"3des", model::EncryptionId::k3DesCbc},
      {"aes-ccm", model::EncryptionId::kAesCcm16},
      {"aes-gmac", model::EncryptionId::kNullAesGmac},
      {"aes-gcm", model::EncryptionId::kAesGcm16},
      {"chacha20-poly1305", model::EncryptionId::kChaCha20Poly1305}};
  static const std::map<std::string, model::IntegrityId> kIntegrity = {
      {"", model::IntegrityId::kNone},
      {"md5-96", model::IntegrityId::kHmacMd5_96},
      {"sha1-96", model::IntegrityId::kHmacSha1_96},
      {"aes-cmac-96", model::IntegrityId::kAesCmac96},
      {"aes128-gmac", model::IntegrityId::kAes128Gmac},
      {"aes192-gmac", model::IntegrityId::kAes192Gmac},
      {"aes256-gmac", model::IntegrityId::kAes256Gmac},
      {"sha2-256-128", model::IntegrityId::kHmacSha2_256_128},
      {"sha2-384-192", model::IntegrityId::kHmacSha2_384_192},
      {"sha2-512-256", model::IntegrityId::kHmacSha2_512_256}};
  spec.encryption = kEncryption.at(request.at("encryption"));
  spec.encryption_key = secret_of(request, "encryption_key");
  spec.encryption_bits = request.value("bits", std::uint16_t{0});
  spec.integrity = kIntegrity.at(request.value("integrity", ""));
  spec.integrity_key = secret_of(request, "integrity_key");
  spec.esn = request.value("esn", false);
}

model::SaSpec sa_of(const Json& request) {
  model::SaSpec spec;
  read_algorithms(request, spec);
  spec.direction = request.at("direction") == "out" ? model::Direction::kOutbound : model::Direction::kInbound;
  spec.spi = Spi{request.at("spi").get<std::uint32_t>()};
  spec.child = model::ChildId{request.at("child").get<std::uint64_t>()};
  spec.policy = model::PolicyId{request.at("policy").get<std::uint32_t>()};
  spec.protocol = request.value("protocol", "esp") == "ah" ? model::SaProtocol::kAh : model::SaProtocol::kEsp;
  spec.mode = mode_of(request);
  spec.local = endpoint_of(request, "local");
  spec.remote = endpoint_of(request, "remote");
  spec.udp_encapsulation = request.value("udp", false);
  spec.replay_window = request.value("replay_window", std::uint32_t{1024});
  spec.local_selectors = selectors_of(request.at("local_selectors"));
  spec.remote_selectors = selectors_of(request.at("remote_selectors"));
  spec.connection = "oracle";
  if (request.contains("diet")) spec.diet = {.enabled = true, .sn_octets = request.at("diet").get<std::uint8_t>()};
  if (request.contains("iptfs")) {
    const auto& tfs = request.at("iptfs");
    spec.iptfs = {.enabled = true,
                  .fragment = tfs.value("fragment", true),
                  .packet_octets = tfs.value("packet_octets", std::uint32_t{0}),
                  .reorder_window = tfs.value("reorder_window", std::uint32_t{3}),
                  .reports = tfs.value("reports", false)};
  }
  return spec;
}

model::PolicySpec policy_of(const Json& request) {
  model::PolicySpec spec;
  spec.id = model::PolicyId{request.at("id").get<std::uint32_t>()};
  const auto action = request.value("action", "protect");
  spec.action = action == "protect"  ? model::PolicyAction::kProtect
                : action == "bypass" ? model::PolicyAction::kBypass
                                     : model::PolicyAction::kDiscard;
  spec.local = selectors_of(request.at("local"));
  spec.remote = selectors_of(request.at("remote"));
  spec.mode = mode_of(request);
  spec.connection = "oracle";
  return spec;
}

class Oracle {
 public:
  Json answer(const Json& request);

 private:
  Json out(const Json& request);
  Json in(const Json& request);
  Json cipher(const Json& request, bool seal) const;
  Json verdicts_json();
  Json action_json(const engine::Action& action) const;

  SeededRandom random_{1};
  std::unique_ptr<engine::Engine> engine_ = std::make_unique<engine::Engine>(engine::EngineSettings{}, random_);
  engine::Verdicts verdicts_;
  Instant now_{std::chrono::seconds(1000)};
};

Json done(const Result<void>& result) {
  return result ? Json{{"ok", true}} : Json{{"ok", false}, {"error", result.error().message}};
}

Json Oracle::answer(const Json& request) {
  const auto op = request.at("op").get<std::string>();
  now_ += std::chrono::milliseconds(1);
  if (op == "sa") return done(engine_->install_sa(sa_of(request), now_));
  if (op == "policy") return done(engine_->install_policy(policy_of(request)));
  if (op == "out") return out(request);
  if (op == "in") return in(request);
  if (op == "seal" || op == "open") return cipher(request, op == "seal");
  if (op == "reset") {
    engine_ = std::make_unique<engine::Engine>(engine::EngineSettings{}, random_);
    return {{"ok", true}};
  }
  throw BadRequest("no such op: " + op);
}

Json Oracle::out(const Json& request) {
  std::vector<Bytes> buffers;
  for (const auto& text : request.at("packets")) buffers.push_back(bytes_of(text));
  std::vector<engine::OutPacket> packets;
  for (auto& buffer : buffers)
    packets.push_back({.bytes = buffer, .offload = {}, .device = engine_->device_id("ipsec0")});
  verdicts_.clear();
  engine_->process_outbound(packets, now_, verdicts_);
  return verdicts_json();
}

Json Oracle::in(const Json& request) {
  std::vector<Bytes> buffers;
  for (const auto& packet : request.at("packets")) buffers.push_back(bytes_of(packet.at("esp")));
  std::vector<engine::InPacket> packets;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const auto& packet = request.at("packets").at(i);
    packets.push_back({.bytes = buffers[i],
                       .local = endpoint_of(packet, "local"),
                       .remote = endpoint_of(packet, "remote"),
                       .udp = packet.value("udp", false),
                       .tos = packet.value("tos", std::uint8_t{0}),
                       .ah = packet.value("ah", false)});
  }
  verdicts_.clear();
  engine_->process_inbound(packets, now_, verdicts_);
  return verdicts_json();
}

// The cipher alone: a whole ESP packet, whose IV and ICV octets are placeholders when sealing.
Json Oracle::cipher(const Json& request, bool seal) const {
  model::SaSpec spec;
  read_algorithms(request, spec);
  const auto provider =
      request.value("provider", "best") == "openssl" ? crypto::EspProvider::kOpenSsl : crypto::EspProvider::kBest;
  const auto cipher = crypto::create_esp_cipher(spec, provider);
  if (!cipher) return {{"error", cipher.error().message}};
  auto packet = bytes_of(request.at("packet"));
  crypto::EspJob job{.esp = packet.data(),
                     .octets = packet.size(),
                     .sequence = std::stoull(request.at("sequence").get<std::string>())};
  seal ? (*cipher)->seal({&job, 1}) : (*cipher)->open({&job, 1});
  if (!job.ok) return {{"error", "refused"}};
  return {{"packet", to_hex(packet)}};
}

Json Oracle::verdicts_json() {
  Json list = Json::array();
  for (const auto& verdict : verdicts_) {
    auto entry = action_json(verdict.action);
    entry["packet"] = verdict.packet == engine::Verdict::kNoPacket ? Json(nullptr) : Json(verdict.packet);
    list.push_back(std::move(entry));
  }
  return {{"verdicts", std::move(list)}};
}

Json Oracle::action_json(const engine::Action& action) const {
  if (const auto* send = std::get_if<engine::SendToPeer>(&action)) {
    Json packets = Json::array();
    const std::size_t step = send->segment_octets == 0 ? send->data.size() : send->segment_octets;
    for (auto rest = send->data; !rest.empty(); rest = rest.subspan(std::min(step, rest.size()))) {
      packets.push_back(to_hex(rest.first(std::min(step, rest.size()))));
    }
    return {{"kind", "send"},
            {"esp", std::move(packets)},
            {"udp", send->udp},
            {"whole_packet", send->whole_packet},
            {"tos", send->tos},
            {"dont_fragment", send->dont_fragment},
            {"local", json_of(send->local)},
            {"remote", json_of(send->remote)}};
  }
  if (const auto* deliver = std::get_if<engine::DeliverToDevice>(&action)) {
    return {
        {"kind", "deliver"}, {"device", engine_->device_name(deliver->device)}, {"clear", to_hex(deliver->gather())}};
  }
  if (const auto* bypass = std::get_if<engine::Bypass>(&action))
    return {{"kind", "bypass"}, {"clear", to_hex(bypass->data)}};
  if (std::holds_alternative<engine::Held>(action)) return {{"kind", "held"}};
  return {{"kind", "drop"}, {"reason", info(std::get<engine::Drop>(action).reason).name}};
}

int serve() {
  Oracle oracle;
  for (std::string line; std::getline(std::cin, line);) {
    Json answer;
    try {
      answer = oracle.answer(Json::parse(line));
    } catch (const std::exception& error) {
      answer = {{"ok", false}, {"error", std::string("bad request: ") + error.what()}};
    }
    std::cout << answer.dump() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace cygnet

int main() { return cygnet::serve(); }
