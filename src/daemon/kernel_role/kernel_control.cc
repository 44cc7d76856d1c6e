// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel_role/kernel_control.h"

namespace cygnet::daemon {

bool KernelControl::on_message(ByteView message, const Moment& at) {
  auto decoded = sadb::decode_request(message);
  if (!decoded) {
    log_.error("", decoded.error().message);
    return false;
  }
  const auto number = decoded->first;
  const auto& request = decoded->second;
  if (const auto* dump = std::get_if<sadb::QuerySasRequest>(&request)) {
    answer_dump(number, dump->with_keys, at);
  } else if (const auto* usage = std::get_if<sadb::QueryUsageRequest>(&request)) {
    answer(number, sadb::UsageReply{engine_.usage(usage->spis, at)});
  } else if (std::holds_alternative<sadb::QueryStatisticsRequest>(request)) {
    answer(number, sadb::StatisticsReply{statistics(at)});
  } else if (const auto* question = std::get_if<sadb::ExplainRequest>(&request)) {
    answer(number, sadb::ExplainReply{engine_.explain(question->local, question->remote, at)});
  } else {
    const auto done = perform(request, at);
    answer(number, sadb::Acknowledgement{done ? std::string{} : done.error().message});
  }
  return true;
}

Result<void> KernelControl::perform(const sadb::Request& request, const Moment& at) {
  return std::visit(
      [&](const auto& r) -> Result<void> {
        using T = std::decay_t<decltype(r)>;
        if constexpr (std::is_same_v<T, sadb::InstallSaRequest>) {
          return engine_.install_sa(r.spec, at);
        } else if constexpr (std::is_same_v<T, sadb::RemoveSaRequest>) {
          return engine_.remove_sa(r.direction, r.spi, r.child);
        } else if constexpr (std::is_same_v<T, sadb::ActivateRequest>) {
          return engine_.activate(r.child, at);
        } else if constexpr (std::is_same_v<T, sadb::UpdateEndpointsRequest>) {
          return engine_.update_endpoints(r.child, r.local, r.remote, r.udp_encapsulation, r.keepalive_s);
        } else if constexpr (std::is_same_v<T, sadb::InstallPolicyRequest>) {
          return engine_.install_policy(r.spec);
        } else if constexpr (std::is_same_v<T, sadb::RemovePolicyRequest>) {
          return engine_.remove_policy(r.id);
        } else if constexpr (std::is_same_v<T, sadb::PutCheckpointRequest>) {
          return checkpoints_.put(r);
        } else if constexpr (std::is_same_v<T, sadb::DropCheckpointRequest>) {
          checkpoints_.drop(r.key);
          return {};
        } else {
          // The kernel holds no packet for an SPI that is still to come, and drops by its own clock what waits for an
          // SA (net.core.xfrm_acq_expires).
          return {};
        }
      },
      request);
}

void KernelControl::answer(std::uint32_t request, const sadb::Reply& reply) {
  auto bytes = encode(request, reply);
  if (bytes.size() > sadb::kMaxEncoded) {
    bytes = encode(request, sadb::Reply{sadb::Acknowledgement{"the answer is too long for one message"}});
  }
  queue_.push_back(std::move(bytes));
}

void KernelControl::answer_dump(std::uint32_t request, bool with_keys, const Moment& at) {
  auto dump = engine_.dump(with_keys, at);
  if (with_keys) dump.checkpoints = checkpoints_.all();
  for (auto& piece : encode_dump(request, dump)) queue_.push_back(std::move(piece));
}

sadb::Statistics KernelControl::statistics(const Moment& at) {
  auto out = engine_.statistics(at);
  out.drops.at(static_cast<std::size_t>(DropReason::kPolicyDiscard)) += strays_;
  return out;
}

void KernelControl::collect_events() {
  auto& events = engine_.events();
  for (; !events.empty(); events.pop_front()) queue_.push_back(encode(events.front()));
}

}  // namespace cygnet::daemon
