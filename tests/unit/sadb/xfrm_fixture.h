// SPDX-License-Identifier: Apache-2.0
#pragma once

// A NETLINK_XFRM server beside a PF_KEY server, both over one engine that writes down what it is told.
#include "pfkey_fixture.h"
#include "sadb/xfrm_server/server.h"

namespace cygnet::sadb::test {

namespace xf = wire::xfrm;

class XfrmTest : public PfkeyTest {
 protected:
  using Type = xf::MessageType;
  static constexpr std::uint32_t kPort = 4242;
  XfrmServer xfrm{server, log};
  Id program = join(0, kPort);

  // A client with these groups (bits).
  Id join(std::uint32_t groups, std::uint32_t port) {
    const auto id = xfrm.add_client("program").value();
    wrap(id, xf::WrapType::kGroups, groups, port);
    return id;
  }
  void wrap(Id id, xf::WrapType type, std::uint32_t value, std::uint32_t port) {
    const xf::WrapMessage said{sizeof said, static_cast<std::uint16_t>(type), 0, 0, port, value, 0};
    Bytes bytes(sizeof said);
    std::memcpy(bytes.data(), &said, sizeof said);
    xfrm.on_datagram(id, bytes, time);
  }
  static constexpr std::uint32_t bit(xf::Group group) { return 1U << (static_cast<unsigned>(group) - 1); }

  std::vector<xf::Message> hear(Id id) {
    std::vector<xf::Message> out;
    while (const auto bytes = xfrm.next(id, time)) {
      const auto message = xf::Message::parse(*bytes);
      EXPECT_TRUE(message) << message.error().message;
      if (message) out.push_back(*message);
      xfrm.sent(id);
    }
    return out;
  }
  // What a request is answered with.
  std::vector<xf::Message> request(Type type, xf::Body body, xf::Attributes attributes = {}, std::uint16_t flags = 0) {
    xf::Message message;
    message.header = {type, static_cast<std::uint16_t>(flags | xf::kRequest | xf::kAck), ++sequence_, 0};
    message.body = std::move(body);
    message.attributes = std::move(attributes);
    xfrm.on_datagram(program, message.serialize(), time);
    auto answers = hear(program);
    for (const auto& answer : answers) {
      EXPECT_EQ(answer.header.sequence, sequence_);
      EXPECT_EQ(answer.header.port, kPort);
    }
    return answers;
  }
  // The errno of the acknowledgement, as a positive number; text: what it says.
  int error_of(Type type, xf::Body body, xf::Attributes attributes = {}) {
    const auto answers = request(type, std::move(body), std::move(attributes));
    if (answers.empty()) return -1;
    const auto* error = std::get_if<xf::ErrorReply>(&answers.back().body);
    text = error == nullptr ? "no acknowledgement" : error->text;
    return error == nullptr ? -1 : -error->error;
  }
  std::string text;

  [[nodiscard]] static xf::SaInfo sa_info(std::string_view from, std::string_view to, std::uint32_t spi,
                                          std::uint32_t reqid = 1, std::uint8_t mode = xf::kTunnel) {
    xf::SaInfo info;
    info.family = xf::family_of(ip(to));
    info.source = xf::Address::of(ip(from));
    info.id = {xf::Address::of(ip(to)), Spi{spi}, xf::kProtocolEsp};
    info.reqid = reqid;
    info.mode = mode;
    info.replay_window = 32;
    info.flags = xf::kSaAnyFamily;
    return info;
  }
  [[nodiscard]] static xf::Attributes gcm() {
    xf::Attributes out;
    out.aead = xf::Algorithm{"rfc4106(gcm(aes))", SecretBytes(20, 7), 128};
    return out;
  }
  [[nodiscard]] static xf::SaId id_of(std::string_view to, std::uint32_t spi) {
    return {xf::Address::of(ip(to)), Spi{spi}, xf::family_of(ip(to)), xf::kProtocolEsp};
  }
  [[nodiscard]] static xf::Selector selector(std::string_view from, std::string_view to) {
    const auto source = prefix(from);
    const auto destination = prefix(to);
    xf::Selector out;
    out.family = xf::family_of(source.address);
    out.source = xf::Address::of(source.address);
    out.source_length = source.length;
    out.destination = xf::Address::of(destination.address);
    out.destination_length = destination.length;
    return out;
  }
  [[nodiscard]] static xf::PolicyInfo policy_info(std::string_view from, std::string_view to, std::uint8_t direction) {
    xf::PolicyInfo out;
    out.selector = selector(from, to);
    out.direction = direction;
    out.priority = 3000;
    return out;
  }
  [[nodiscard]] static xf::Attributes tunnel_template(std::string_view from, std::string_view to,
                                                      std::uint32_t reqid = 1) {
    xf::Template t;
    t.id.destination = xf::Address::of(ip(to));
    t.id.protocol = xf::kProtocolEsp;
    t.source = xf::Address::of(ip(from));
    t.family = xf::family_of(ip(to));
    t.reqid = reqid;
    t.mode = xf::kTunnel;
    xf::Attributes out;
    out.templates = {t};
    return out;
  }

 private:
  std::uint32_t sequence_ = 100;
};

}  // namespace cygnet::sadb::test
