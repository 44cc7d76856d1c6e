// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/control.h"

#include <algorithm>
#include <iterator>

#include "sadb/pfkey/engine_port.h"

namespace cygnet::daemon {

namespace {

constexpr std::size_t kMostExplained = 16;  // SAs of one policy

sadb::SaState translate(const engine::SaState& state) { return {state.spec, state.counters}; }

sadb::Event translate_one(const engine::AcquireEvent& e) { return sadb::Acquire{e.policy, e.local, e.remote}; }
sadb::Event translate_one(const engine::SaExpiringEvent& e) {
  return sadb::SaExpiring{e.spi, e.direction, e.child, e.hard};
}
sadb::Event translate_one(const engine::PeerMovedEvent& e) { return sadb::PeerMoved{e.child, e.remote, e.local}; }
sadb::Event translate_one(const engine::UnknownSpiEvent& e) {
  return sadb::UnknownSpi{e.spi, e.local, e.remote, e.udp};
}
sadb::Event translate_one(const engine::ChildActivatedEvent& e) { return sadb::ChildActivated{e.child}; }

}  // namespace

sadb::Event translate(const engine::Event& event) {
  return std::visit([](const auto& e) { return translate_one(e); }, event);
}

bool EngineControl::on_message(ByteView message, Instant now) {
  auto decoded = sadb::decode_request(message);
  if (!decoded) {
    log_.error("", decoded.error().message);
    return false;
  }
  const auto number = decoded->first;
  std::visit(
      [&](const auto& request) {
        using T = std::decay_t<decltype(request)>;
        if constexpr (std::is_same_v<T, sadb::QuerySasRequest>) {
          answer_dump(number, request.with_keys);
        } else if constexpr (std::is_same_v<T, sadb::QueryUsageRequest>) {
          answer_usage(number, request);
        } else if constexpr (std::is_same_v<T, sadb::QueryStatisticsRequest>) {
          answer_statistics(number);
        } else if constexpr (std::is_same_v<T, sadb::ExplainRequest>) {
          answer_explain(number, request);
        } else {
          const Result<void> done = perform(request, now);
          answer(number, sadb::Acknowledgement{done ? std::string{} : done.error().message});
        }
      },
      decoded->second);
  return true;
}

Result<void> EngineControl::perform(const sadb::InstallSaRequest& r, Instant now) {
  return engine_.install_sa(r.spec, now);
}
Result<void> EngineControl::perform(const sadb::RemoveSaRequest& r, Instant /*now*/) {
  return engine_.remove_sa(r.direction, r.spi, r.child);
}
Result<void> EngineControl::perform(const sadb::ActivateRequest& r, Instant /*now*/) {
  return engine_.activate(r.child);
}
Result<void> EngineControl::perform(const sadb::ExpectSpiRequest& r, Instant now) {
  engine_.expect_spi(r.spi, now);
  return {};
}
Result<void> EngineControl::perform(const sadb::UpdateEndpointsRequest& r, Instant /*now*/) {
  return engine_.update_endpoints(r.child, r.local, r.remote, r.udp_encapsulation, r.keepalive_s);
}
Result<void> EngineControl::perform(const sadb::InstallPolicyRequest& r, Instant /*now*/) {
  return engine_.install_policy(r.spec);
}
Result<void> EngineControl::perform(const sadb::RemovePolicyRequest& r, Instant /*now*/) {
  return engine_.remove_policy(r.id);
}
Result<void> EngineControl::perform(const sadb::AcquireFailedRequest& r, Instant /*now*/) {
  return engine_.acquire_failed(r.id);
}

Result<void> EngineControl::perform(const sadb::PutCheckpointRequest& r, Instant /*now*/) {
  return checkpoints_.put(r);
}
Result<void> EngineControl::perform(const sadb::DropCheckpointRequest& r, Instant /*now*/) {
  checkpoints_.drop(r.key);
  return {};
}

void EngineControl::answer(std::uint32_t request, const sadb::Reply& reply) {
  auto bytes = encode(request, reply);
  if (bytes.size() > sadb::kMaxEncoded) {
    bytes = encode(request, sadb::Reply{sadb::Acknowledgement{"the answer is too long for one message"}});
  }
  queue_.push_back(std::move(bytes));
}

void EngineControl::answer_dump(std::uint32_t request, bool with_keys) {
  const auto held = engine_.dump(with_keys);
  sadb::Dump dump;
  // What came over PF_KEY is not ike's: it must neither adopt nor remove it.
  for (const auto& sa : held.sas) {
    if (!sadb::is_pfkey(sa.spec.child)) dump.sas.push_back(translate(sa));
  }
  std::ranges::copy_if(held.policies, std::back_inserter(dump.policies),
                       [](const auto& policy) { return !sadb::is_pfkey(policy.id); });
  if (with_keys) {
    dump.checkpoints = checkpoints_.all();
  }
  for (auto& piece : encode_dump(request, dump)) {
    queue_.push_back(std::move(piece));
  }
}

void EngineControl::answer_usage(std::uint32_t request, const sadb::QueryUsageRequest& r) {
  sadb::UsageReply reply;
  for (const auto& usage : engine_.usage(r.spis)) {
    reply.list.push_back({usage.spi, usage.inbound, usage.outbound});
  }
  answer(request, std::move(reply));
}

void EngineControl::answer_statistics(std::uint32_t request) {
  const auto& s = engine_.statistics();
  sadb::StatisticsReply reply{{.drops = s.drops,
                               .packets_out = s.packets_out,
                               .bytes_out = s.bytes_out,
                               .packets_in = s.packets_in,
                               .bytes_in = s.bytes_in,
                               .bypassed = s.bypassed,
                               .acquires = s.acquires,
                               .threads = {},
                               .ciphers = {}}};
  if (add_threads_) add_threads_(reply.statistics);
  queue_.push_back(encode(request, sadb::Reply{std::move(reply)}));
}

void EngineControl::answer_explain(std::uint32_t request, const sadb::ExplainRequest& r) {
  const auto e = engine_.explain(r.local, r.remote);
  sadb::ExplainReply reply{{.found = e.found, .policy = e.policy, .outbound = {}, .verdict = e.verdict}};
  auto& outbound = reply.explanation.outbound;
  for (const auto& sa : e.outbound) {
    if (outbound.size() < kMostExplained) outbound.push_back(translate(sa));
  }
  // The one in use stands first; peers may have given the others long lists of selectors.
  while (outbound.size() > 1 && encode(request, sadb::Reply{reply}).size() > sadb::kMaxEncoded) outbound.pop_back();
  answer(request, reply);
}

void EngineControl::collect_events() {
  if (!engine_.has_events() || queue_.size() >= kMaxQueued) {
    return;
  }
  for (const auto& event : engine_.take_events()) {
    queue_.push_back(encode(translate(event)));
  }
}

}  // namespace cygnet::daemon
