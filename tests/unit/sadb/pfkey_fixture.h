// SPDX-License-Identifier: Apache-2.0
#pragma once

// A PF_KEY server over an engine that writes down what it is told, and clients that speak to it in messages.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "sadb/pfkey/server.h"

namespace cygnet::sadb::test {

namespace pf = wire::pfkey;
using model::Direction;
using namespace std::chrono_literals;

inline IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }
inline IpPrefix prefix(std::string_view text) { return IpPrefix::parse(text).value(); }

class FakeEngine final : public PfkeyEngine {
 public:
  using Key = std::pair<Direction, std::uint64_t>;
  std::map<Key, model::SaSpec> sas;
  std::map<Key, model::SaCounters> counted;
  std::map<std::uint32_t, model::PolicySpec> policies;
  std::set<IpAddress> local = {ip("192.0.2.1"), ip("2001:db8::1")};
  std::set<Spi> others_spis;
  std::vector<std::uint32_t> failed_acquires;
  std::vector<std::string> routes;
  std::vector<std::string> clear_text;  // what may come in the clear, and what not
  std::string refuse_sas, refuse_moves;
  std::optional<Spi> refused_outbound;
  unsigned refused_times = 0;  // so often
  std::optional<std::uint16_t> refused_port;

  Result<void> install_sa(const model::SaSpec& spec, Instant) override {
    if (!refuse_sas.empty()) return fail(refuse_sas);
    if (spec.direction == Direction::kOutbound && spec.spi == refused_outbound && refused_times != 0) {
      --refused_times;
      return fail("not outbound");
    }
    if (spec.udp_encapsulation && spec.remote.port == refused_port) return fail("not to this port");
    sas[{spec.direction, spec.child.value}] = spec;
    counted[{spec.direction, spec.child.value}] = {};
    return {};
  }
  Result<void> remove_sa(Direction direction, Spi, model::ChildId child) override {
    return sas.erase({direction, child.value}) == 1 ? Result<void>{} : fail("none");
  }
  Result<void> update_endpoints(model::ChildId child, const Endpoint& from, const Endpoint& to, bool) override {
    if (!refuse_moves.empty()) return fail(refuse_moves);
    for (auto& [key, spec] : sas) {
      if (key.second == child.value) spec.local = from, spec.remote = to;
    }
    return {};
  }
  Result<void> set_selectors(model::ChildId child, const model::TrafficSelectors& ours,
                             const model::TrafficSelectors& theirs, bool paired) override {
    auto& spec = sas.at({Direction::kInbound, child.value});
    spec.local_selectors = ours;
    spec.remote_selectors = theirs;
    spec.paired_selectors = paired;
    return {};
  }
  std::optional<model::SaCounters> counters(Direction direction, model::ChildId child) const override {
    const auto it = counted.find({direction, child.value});
    return it == counted.end() ? std::nullopt : std::optional(it->second);
  }
  Result<void> install_policy(const model::PolicySpec& spec) override {
    policies[spec.id.value] = spec;
    return {};
  }
  Result<void> remove_policy(model::PolicyId id) override {
    policies.erase(id.value);
    return {};
  }
  void acquire_failed(model::PolicyId id) override { failed_acquires.push_back(id.value); }
  bool spi_in_use(Spi spi) const override {
    return others_spis.contains(spi) || std::ranges::any_of(sas, [&](const auto& entry) {
             return entry.first.first == Direction::kInbound && entry.second.spi == spi;
           });
  }
  std::uint32_t foreign = 0;
  std::uint32_t foreign_spis() const override { return foreign; }
  void expect_spi(Spi, Instant) override {}
  bool supports(model::EncryptionId encryption, std::uint16_t bits, model::IntegrityId integrity) const override {
    using E = model::EncryptionId;
    const bool cipher = (encryption == E::kAesCbc && (bits == 128 || bits == 256)) || encryption == E::kNull ||
                        encryption == E::kNone || (encryption == E::kAesGcm16 && (bits == 128 || bits == 256)) ||
                        encryption == E::kChaCha20Poly1305;
    const auto number = static_cast<unsigned>(integrity);
    if (encryption == E::kNone && number >= 9 && number <= 11) return true;
    return cipher && (number == 0 || number == 2 || number == 12 || number == 13 || number == 14 || number == 1025);
  }
  bool is_local(const IpAddress& address) const override { return local.contains(address); }
  void lead_into_device(const IpPrefix& source, const IpPrefix& destination, bool wanted) override {
    routes.push_back((wanted ? "+" : "-") + source.to_string() + ">" + destination.to_string());
  }

  void say_of_clear_text(const model::TrafficSelector& remote, const model::TrafficSelector& where, std::uint32_t,
                         bool allowed, bool wanted) override {
    clear_text.push_back(std::string(wanted ? "+" : "-") + (allowed ? "allow " : "refuse ") + remote.to_string() + ">" +
                         where.to_string());
  }

  [[nodiscard]] const model::SaSpec* only(Direction direction) const {
    const model::SaSpec* found = nullptr;
    for (const auto& [key, spec] : sas) {
      if (key.first != direction) continue;
      EXPECT_EQ(found, nullptr) << "more than one";
      found = &spec;
    }
    return found;
  }
};

struct Silent final : Logger {
  std::vector<std::string> lines;
  void write(const LogEntry& entry) override { lines.push_back(entry.message); }
};

class PfkeyTest : public ::testing::Test {
 protected:
  using Id = PfkeyServer::ClientId;

  FakeEngine engine;
  SeededRandom random{7};
  Silent log;
  PfkeyServer server{engine, random, log};
  PfkeyTime time{Instant{1h}, 1'700'000'000};
  Id me = server.add_client("me").value();

  void pass(std::int64_t seconds) {
    time.now += std::chrono::seconds(seconds);
    time.wall_s += seconds;
    server.on_timer(time);
  }
  // Everything that waits for the client.
  std::vector<pf::Message> read(Id id) {
    std::vector<pf::Message> out;
    while (const auto bytes = server.next(id, time)) {
      const auto message = pf::Message::parse(*bytes);
      EXPECT_TRUE(message) << message.error().message;
      if (message) out.push_back(*message);
      server.sent(id);
    }
    return out;
  }
  void send(const pf::Message& message, Id id) { server.on_datagram(id, message.serialize(), time); }
  // The answer to a request of mine, where there is but one.
  pf::Message ask(pf::Message message) {
    message.header.pid = 4711;
    message.header.sequence = ++sequence_;
    send(message, me);
    const auto answers = read(me);
    EXPECT_EQ(answers.size(), 1U);
    if (answers.empty()) return {};
    EXPECT_EQ(answers[0].header.pid, 4711U);
    EXPECT_EQ(answers[0].header.type, message.header.type);
    return answers[0];
  }
  int error_of(const pf::Message& message) { return ask(message).header.error; }

  [[nodiscard]] static pf::Message base(pf::MessageType type, pf::SaType sa_type = pf::SaType::kUnspecified) {
    pf::Message m;
    m.header.type = type;
    m.header.sa_type = sa_type;
    return m;
  }
  [[nodiscard]] static pf::Message sa(pf::MessageType type, std::string_view from, std::string_view to,
                                      std::uint32_t spi) {
    auto m = base(type, pf::SaType::kEsp);
    m.source = pf::AddressExtension::host(ip(from));
    m.destination = pf::AddressExtension::host(ip(to));
    m.sa = pf::SaExtension{.spi = Spi{spi}};
    return m;
  }
  [[nodiscard]] static pf::KeyExtension key(std::size_t octets, std::uint8_t first = 1) {
    pf::KeyExtension k{static_cast<std::uint16_t>(octets * 8), {}};
    for (std::size_t i = 0; i < octets; ++i) k.key.push_back(static_cast<std::uint8_t>(first + i));
    return k;
  }
  // AES-GCM with 128 bits.
  [[nodiscard]] static pf::Message add(std::string_view from, std::string_view to, std::uint32_t spi,
                                       pf::Mode mode = pf::Mode::kTunnel, std::uint32_t reqid = 0) {
    auto m = sa(pf::MessageType::kAdd, from, to, spi);
    m.sa->encrypt = pf::EncryptAlgorithm::kAesGcm16;
    m.encrypt_key = key(20);
    m.sa2 = pf::Sa2Extension{.mode = mode, .reqid = reqid};
    return m;
  }
  [[nodiscard]] static pf::Message spd(pf::MessageType type, std::string_view from, std::string_view to,
                                       pf::PolicyDirection direction) {
    auto m = base(type);
    const auto side = [](std::string_view text) {
      const auto p = prefix(text);
      return pf::AddressExtension{pf::kAnyProtocol, p.length, {p.address, 0}};
    };
    m.source = side(from);
    m.destination = side(to);
    m.policy = pf::PolicyExtension{.type = pf::PolicyType::kIpsec, .direction = direction};
    return m;
  }
  [[nodiscard]] static pf::Message tunnel(std::string_view from, std::string_view to, pf::PolicyDirection direction,
                                          std::string_view end1, std::string_view end2, std::uint32_t reqid = 0) {
    auto m = spd(pf::MessageType::kSpdAdd, from, to, direction);
    m.policy->requests = {{pf::kProtocolEsp, pf::Mode::kTunnel, reqid == 0 ? pf::Level::kRequire : pf::Level::kUnique,
                           reqid, pf::PolicyRequest::Ends{{ip(end1), 0}, {ip(end2), 0}}}};
    return m;
  }
  [[nodiscard]] static pf::Message transport(std::string_view from, std::string_view to, pf::PolicyDirection direction,
                                             pf::Level level = pf::Level::kRequire) {
    auto m = spd(pf::MessageType::kSpdAdd, from, to, direction);
    m.policy->requests = {{pf::kProtocolEsp, pf::Mode::kTransport, level, 0, std::nullopt}};
    return m;
  }
  void want_error_texts(std::uint32_t more = 0) {
    auto m = base(pf::MessageType::kCygnetOptions);
    m.options = pf::OptionsExtension{pf::OptionsExtension::kErrorText | more};
    EXPECT_EQ(error_of(m), 0);
  }
  void expect_error(const pf::Message& message, int error, std::string_view text) {
    const auto answer = ask(message);
    EXPECT_EQ(answer.header.error, error);
    ASSERT_TRUE(answer.error_text) << "errno " << int{answer.header.error};
    EXPECT_NE(answer.error_text->text.find(text), std::string::npos) << answer.error_text->text;
  }

 private:
  std::uint32_t sequence_ = 0;
};

}  // namespace cygnet::sadb::test
