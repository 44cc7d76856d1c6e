// SPDX-License-Identifier: Apache-2.0
#pragma once

// A kernel that only remembers what it was given, and an engine over it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "sadb/kernel/engine.h"

namespace cygnet::sadb::kernel::test {

namespace xfrm = wire::xfrm;
using model::Direction;
using std::chrono::seconds;

class FakeKernel final : public KernelPort {
 public:
  using Answer = std::expected<std::vector<xfrm::Message>, KernelError>;
  using SaName = std::tuple<IpAddress, Spi>;

  Answer ask(const xfrm::Message& message) override {
    if (silent && (message.header.flags & xfrm::kDump) != 0) return refusal(EIO);
    // It goes over the wire: what cannot be said there must not be said.
    const auto read = xfrm::Message::parse(message.serialize());
    EXPECT_TRUE(read) << (read ? "" : read.error().message);
    if (!read) return std::unexpected(KernelError{EINVAL, ""});
    EXPECT_EQ(*read, message);
    log.push_back(name_of(message.header.type));
    asked.push_back(message);
    switch (message.header.type) {
      case xfrm::MessageType::kNewSa: return new_sa(message);
      case xfrm::MessageType::kUpdSa: sas[name_of_sa(message)] = message; return {};
      case xfrm::MessageType::kDelSa: return erase(message);
      case xfrm::MessageType::kMigrateState: return migrate(message);
      case xfrm::MessageType::kGetSa: return get(message);
      case xfrm::MessageType::kUpdPolicy: {
        if (refuse_policies) return std::unexpected(*refuse_policies);
        const auto& info = std::get<xfrm::PolicyInfo>(message.body);
        policies[{info.direction, key_of(info.selector)}] = message;
        return {};
      }
      case xfrm::MessageType::kDelPolicy: {
        const auto& id = std::get<xfrm::PolicyId>(message.body);
        if (policies.erase({id.direction, key_of(id.selector)}) == 0) return refusal(ENOENT);
        return {};
      }
      case xfrm::MessageType::kGetPolicy: {
        Answer all{std::in_place};
        for (const auto& [key, policy] : policies) all->push_back(policy);
        return all;
      }
      default: return refusal(EINVAL);
    }
  }

  [[nodiscard]] xfrm::SaInfo& info(const IpAddress& destination, Spi spi) {
    return std::get<xfrm::SaInfo>(sas.at({destination, spi}).body);
  }
  [[nodiscard]] const xfrm::Message& policy(std::uint8_t direction) const {
    for (const auto& [key, message] : policies) {
      if (key.first == direction) return message;
    }
    throw std::out_of_range("no policy of that direction");
  }

  std::map<SaName, xfrm::Message> sas;
  std::map<std::pair<std::uint8_t, std::string>, xfrm::Message> policies;
  std::vector<std::string> log;
  std::vector<xfrm::Message> asked;
  std::optional<KernelError> refuse_sas, refuse_policies;
  std::optional<IpAddress> refuse_destination, refuse_source;  // of new SAs
  bool silent = false;                                         // answers no dump
  std::uint32_t numbers = kReqidMask;
  Answer remove(const xfrm::Message& message) override {
    const auto before = sas;
    auto done = ask(message);
    if (!done || !tells_removed) return done;
    const auto& id = std::get<xfrm::SaId>(message.body);
    auto notice = before.at({id.destination.as(id.family), id.spi});
    notice.header.type = xfrm::MessageType::kDelSa;
    notice.attributes.sa = std::get<xfrm::SaInfo>(notice.body);
    // Until it was gone it went on.
    notice.attributes.replay_esn->sent += under_way;
    notice.attributes.sa->current.packets += under_way;
    notice.body = id;
    return Answer{std::in_place, {std::move(notice)}};
  }
  std::uint32_t under_way = 0;  // packets between the last look at an SA and its end
  [[nodiscard]] std::uint32_t reqids() const override { return numbers; }
  std::uint32_t interface = 0;
  bool card = true;            // the interface's driver has ESP
  bool whole_packets = false;  // and takes packets whole
  std::uint32_t cpus = 2;      // 0: it knows no SAs for single ones
  bool iptfs = true;           // it has the module for that mode
  bool migrates = false;       // it moves SAs by itself
  bool tells_removed = true;   // who removes one hears of its last state
  [[nodiscard]] std::uint32_t interface_of(const IpAddress&) override { return interface; }

 private:
  static std::unexpected<KernelError> refusal(int number) { return std::unexpected(KernelError{number, ""}); }
  static std::string key_of(const xfrm::Selector& s) {
    const auto [from, to] = traffic_of(s);
    return from.to_string() + "/" + std::to_string(s.source_length) + to.to_string() + "/" +
           std::to_string(s.destination_length) + ":" + std::to_string(s.destination_port_mask);
  }
  static SaName name_of_sa(const xfrm::Message& message) {
    const auto& info = std::get<xfrm::SaInfo>(message.body);
    return {info.id.destination.as(info.family), info.id.spi};
  }
  Answer new_sa(const xfrm::Message& message) {
    if (refuse_sas) return std::unexpected(*refuse_sas);
    const auto& info = std::get<xfrm::SaInfo>(message.body);
    if (refuse_destination && info.id.destination == xfrm::Address::of(*refuse_destination)) return refusal(ENOMEM);
    if (refuse_source && info.source == xfrm::Address::of(*refuse_source)) return refusal(ENOMEM);
    auto kept = message;
    if (!card) kept.attributes.offload.reset();
    if (kept.attributes.offload && !whole_packets) kept.attributes.offload->flags &= xfrm::kOffloadInbound;
    if (kept.attributes.cpu && *kept.attributes.cpu >= cpus && cpus != 0) return refusal(ERANGE);
    if (cpus == 0) kept.attributes.cpu.reset();
    if (!iptfs) {
      kept.attributes.iptfs_drop_time_us.reset();
      kept.attributes.iptfs_max_queue.reset();
    }
    if (!sas.try_emplace(name_of_sa(message), std::move(kept)).second) return refusal(EEXIST);
    return {};
  }
  Answer erase(const xfrm::Message& message) {
    const auto& id = std::get<xfrm::SaId>(message.body);
    return sas.erase({id.destination.as(id.family), id.spi}) == 0 ? Answer{refusal(ESRCH)} : Answer{};
  }
  Answer migrate(const xfrm::Message& message) {
    if (!migrates) return refusal(EINVAL);
    const auto& said = std::get<xfrm::SaMove>(message.body);
    const auto it = sas.find({said.id.destination.as(said.id.family), said.id.spi});
    if (it == sas.end()) return refusal(ESRCH);
    auto moved = it->second;
    auto& info = std::get<xfrm::SaInfo>(moved.body);
    info.id.destination = said.new_destination;
    info.source = said.new_source;
    info.selector = said.selector;
    info.reqid = said.reqid;
    info.family = said.new_family;
    if (const auto& encapsulation = message.attributes.encapsulation) {
      moved.attributes.encapsulation = encapsulation->type == 0 ? std::nullopt : encapsulation;
    }
    const auto name = name_of_sa(moved);
    if (name != it->first && sas.contains(name)) return refusal(EEXIST);
    sas.erase(it);
    sas.insert_or_assign(name, std::move(moved));
    return {};
  }
  Answer get(const xfrm::Message& message) {
    Answer all{std::in_place};
    if (const auto* id = std::get_if<xfrm::SaId>(&message.body)) {
      const auto it = sas.find({id->destination.as(id->family), id->spi});
      if (it == sas.end()) return refusal(ESRCH);
      all->push_back(it->second);
      return all;
    }
    for (const auto& [name, sa] : sas) all->push_back(sa);
    return all;
  }
};

inline const IpAddress kUs = IpAddress::v4(0xc0000201);
inline const IpAddress kPeer = IpAddress::v4(0xc0000209);
inline const IpAddress kElsewhere = IpAddress::v4(0xc6336401);
inline constexpr std::uint32_t kMark = 0x43590000;
inline constexpr Moment kAt{Instant(seconds(1000)), 1'700'000'000};

inline model::TrafficSelectors selectors(std::initializer_list<std::string_view> list) {
  model::TrafficSelectors out;
  for (const auto text : list) out.push_back(*model::TrafficSelector::parse(text));
  return out;
}

inline model::SaSpec spec(Direction direction, std::uint32_t spi, std::uint64_t child = 1) {
  model::SaSpec s{.direction = direction, .spi = Spi(spi), .child = model::ChildId(child)};
  s.connection = "office";
  s.child_name = "office";
  s.local = {kUs, 4500};
  s.remote = {kPeer, 61000};
  s.encryption = model::EncryptionId::kAesGcm16;
  s.encryption_bits = 128;
  s.encryption_key.assign(20, 7);
  s.local_selectors = selectors({"10.1.0.0/16"});
  s.remote_selectors = selectors({"10.2.0.0/16"});
  return s;
}

inline model::PolicySpec policy(std::uint32_t id) {
  return {.id = model::PolicyId(id),
          .order = 1100,
          .local = selectors({"10.1.0.0/16"}),
          .remote = selectors({"10.2.0.0/16"}),
          .connection = "office",
          .child_name = "office",
          .outer_local = kUs,
          .outer_remote = kPeer};
}

class KernelEngineTest : public testing::Test {
 protected:
  KernelEngineTest() {
    EXPECT_TRUE(engine.begin(kAt));
    EXPECT_EQ(kernel.policies.size(), 15U);  // neighbour discovery
    kernel.policies.clear();
    kernel.log.clear();
  }
  void install_pair() {
    ASSERT_TRUE(engine.install_sa(spec(Direction::kInbound, 0x1001), kAt));
    ASSERT_TRUE(engine.install_sa(spec(Direction::kOutbound, 0x2002), kAt));
    ASSERT_TRUE(engine.install_policy(policy(1)));
  }
  FakeKernel kernel;
  KernelEngine engine{kernel, kMark};
};

}  // namespace cygnet::sadb::kernel::test
