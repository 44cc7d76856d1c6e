// SPDX-License-Identifier: Apache-2.0
#pragma once

// The members of everything that travels between ike and engine, in order. `V` is T when reading, const T when writing.
#include <array>

#include "sadb/archive.h"
#include "sadb/messages.h"

namespace cygnet::sadb {

template <typename V, typename T>
concept Is = std::is_same_v<std::remove_const_t<V>, T>;

template <typename A, Is<Endpoint> V>
void fields(A& a, V& v) {
  a.address(v.address);
  a.number(v.port);
}

template <typename A, Is<model::TrafficSelector> V>
void fields(A& a, V& v) {
  a.address(v.range.first);
  a.address(v.range.last);
  a.number(v.protocol);
  a.number(v.port_first);
  a.number(v.port_last);
  if (!v.range.valid()) {
    a.refuse();
  }
}

template <typename A, Is<model::TrafficSelectors> V>
void fields(A& a, V& v) {
  a.list(v, [](A& each, auto& selector) { fields(each, selector); });
}

template <typename A, Is<model::Lifetime> V>
void fields(A& a, V& v) {
  a.number(v.soft_bytes);
  a.number(v.hard_bytes);
  a.number(v.soft_packets);
  a.number(v.hard_packets);
  a.number(v.soft_age_s);
  a.number(v.hard_age_s);
}

template <typename A, typename V>
void optional_number(A& a, V& optional) {
  bool set = optional.has_value();
  a.flag(set);
  auto value = optional.value_or(0);
  a.number(value);
  if (!set && value != 0) {
    a.refuse();  // one thing is written in one way
  }
  if constexpr (A::kReads) {
    optional = set ? std::optional(value) : std::nullopt;
  }
}

template <typename A, Is<model::IpTfs> V>
void fields(A& a, V& v) {
  a.flag(v.enabled);
  a.flag(v.fragment);
  a.number(v.packet_octets);
  a.number(v.bits_per_s);
  a.number(v.max_queue_octets);
  a.number(v.init_delay_us);
  a.number(v.reorder_window);
  a.number(v.drop_time_us);
  a.flag(v.required);
  a.flag(v.congestion_control);
  a.flag(v.reports);
}

template <typename A, Is<model::DietEsp> V>
void fields(A& a, V& v) {
  a.flag(v.enabled);
  a.number(v.sn_octets);
}

template <typename A, Is<model::SaMark> V>
void fields(A& a, V& v) {
  a.number(v.value);
  a.number(v.mask);
}

template <typename A, Is<model::SaSpec> V>
void fields(A& a, V& v) {
  a.enumeration(v.direction, model::Direction::kOutbound);
  a.number(v.spi.value);
  a.number(v.child.value);
  a.number(v.policy.value);
  a.text(v.connection);
  a.text(v.child_name);
  a.enumeration(v.protocol, model::SaProtocol::kAh);
  a.enumeration(v.mode, model::Mode::kBeet);
  fields(a, v.local);
  fields(a, v.remote);
  a.address(v.inner_local);
  a.address(v.inner_remote);
  a.flag(v.udp_encapsulation);
  a.number(v.keepalive_s);
  a.enumeration(v.encryption, model::EncryptionId{0xffff});
  a.number(v.encryption_bits);
  a.enumeration(v.integrity, model::IntegrityId{0xffff});
  a.octets(v.encryption_key);
  a.octets(v.integrity_key);
  a.flag(v.esn);
  a.number(v.sequence);
  a.number(v.iv_mask);
  a.number(v.ipcomp_cpi);
  a.number(v.tfc_octets);
  fields(a, v.iptfs);
  fields(a, v.diet);
  a.flag(v.inside_ah);
  a.enumeration(v.nic_offload, model::NicOffload::kPacket);
  a.number(v.replay_window);
  fields(a, v.lifetime);
  fields(a, v.local_selectors);
  fields(a, v.remote_selectors);
  a.text(v.device);
  a.number(v.mtu);
  a.flag(v.clamp_mss);
  a.flag(v.copy_dscp);
  a.flag(v.ecn);
  a.enumeration(v.df, model::DfPolicy::kClear);
  a.enumeration(v.traffic, model::Traffic::kThroughput);
  optional_number(a, v.mark);
  fields(a, v.kernel_mark);
  a.number(v.interface_id);
  optional_number(a, v.resource);
  a.flag(v.standby);
}

template <typename A, Is<model::PolicySpec> V>
void fields(A& a, V& v) {
  a.number(v.id.value);
  a.enumeration(v.action, model::PolicyAction::kDiscard);
  a.number(v.order);
  fields(a, v.local);
  fields(a, v.remote);
  a.enumeration(v.mode, model::Mode::kBeet);
  a.text(v.device);
  a.flag(v.acquire);
  a.text(v.connection);
  a.text(v.child_name);
  a.enumeration(v.protocol, model::SaProtocol::kAh);
  a.address(v.outer_local);
  a.address(v.outer_remote);
  a.number(v.interface_in);
  a.number(v.interface_out);
  fields(a, v.mark_in);
  fields(a, v.mark_out);
}

template <typename A, Is<model::TfsCounters> V>
void fields(A& a, V& v) {
  a.number(v.payloads);
  a.number(v.packets);
  a.number(v.fragments);
  a.number(v.empty);
  a.number(v.padding);
  a.number(v.rate);
}

template <typename A, Is<SaState> V>
void fields(A& a, V& v) {
  fields(a, v.spec);
  a.number(v.counters.packets);
  a.number(v.counters.bytes);
  a.number(v.counters.errors);
  a.instant(v.counters.last_used);
  a.instant(v.counters.installed);
  a.number(v.counters.sequence);
  a.flag(v.counters.standby);
  fields(a, v.counters.tfs);
}

template <typename A, Is<EngineThread> V>
void fields(A& a, V& v) {
  a.text(v.work);
  a.flag(v.pinned);
  a.number(v.cpu);
  a.number(v.cpu_ms);
  a.number(v.load);
}
template <typename A, Is<EspInterface> V>
void fields(A& a, V& v) {
  a.text(v.name);
  a.number(v.packets_in);
  a.number(v.packets_out);
}
template <typename A, Is<Statistics> V>
void fields(A& a, V& v) {
  for (auto& count : v.drops) {
    a.number(count);
  }
  a.number(v.packets_out);
  a.number(v.bytes_out);
  a.number(v.packets_in);
  a.number(v.bytes_in);
  a.number(v.bypassed);
  a.number(v.acquires);
  a.list(v.threads, [](A& each, auto& thread) { fields(each, thread); });
  a.number(v.ciphers.batches);
  a.number(v.ciphers.waits);
  a.number(v.ciphers.full);
  a.number(v.ciphers.failed);
  a.list(v.esp_interfaces, [](A& each, auto& one) { fields(each, one); });
}

template <typename A, Is<Dump> V>
void fields(A& a, V& v) {
  a.list(v.sas, [](A& each, auto& state) { fields(each, state); });
  a.list(v.policies, [](A& each, auto& policy) { fields(each, policy); });
  a.list(v.checkpoints, [](A& each, auto& checkpoint) {
    each.text(checkpoint.first);
    each.octets(checkpoint.second);
  });
}

// ---- requests
template <typename A, Is<InstallSaRequest> V>
void fields(A& a, V& v) {
  fields(a, v.spec);
}
template <typename A, Is<RemoveSaRequest> V>
void fields(A& a, V& v) {
  a.enumeration(v.direction, model::Direction::kOutbound);
  a.number(v.spi.value);
  a.number(v.child.value);
}
template <typename A, Is<ActivateRequest> V>
void fields(A& a, V& v) {
  a.number(v.child.value);
}
template <typename A, Is<UpdateEndpointsRequest> V>
void fields(A& a, V& v) {
  a.number(v.child.value);
  fields(a, v.local);
  fields(a, v.remote);
  a.flag(v.udp_encapsulation);
  a.number(v.keepalive_s);
}
template <typename A, Is<InstallPolicyRequest> V>
void fields(A& a, V& v) {
  fields(a, v.spec);
}
template <typename A, Is<RemovePolicyRequest> V>
void fields(A& a, V& v) {
  a.number(v.id.value);
}
template <typename A, Is<AcquireFailedRequest> V>
void fields(A& a, V& v) {
  a.number(v.id.value);
}
template <typename A, Is<PutCheckpointRequest> V>
void fields(A& a, V& v) {
  a.text(v.key);
  a.octets(v.value);
  a.number(v.offset);
  a.flag(v.more);
}
template <typename A, Is<DropCheckpointRequest> V>
void fields(A& a, V& v) {
  a.text(v.key);
}
template <typename A, Is<QuerySasRequest> V>
void fields(A& a, V& v) {
  a.flag(v.with_keys);
}
template <typename A, Is<QueryStatisticsRequest> V>
void fields(A& /*a*/, V& /*v*/) {}
template <typename A, Is<ExplainRequest> V>
void fields(A& a, V& v) {
  fields(a, v.local);
  fields(a, v.remote);
}

template <typename A, Is<ExpectSpiRequest> V>
void fields(A& a, V& v) {
  a.number(v.spi.value);
}
template <typename A, Is<QueryUsageRequest> V>
void fields(A& a, V& v) {
  a.list(v.spis, [](A& each, auto& spi) { each.number(spi.value); });
}

// ---- replies
template <typename A, Is<Acknowledgement> V>
void fields(A& a, V& v) {
  a.text(v.error);
}
template <typename A, Is<DumpPiece> V>
void fields(A& a, V& v) {
  fields(a, v.part);
  a.flag(v.last);
}
template <typename A, Is<StatisticsReply> V>
void fields(A& a, V& v) {
  fields(a, v.statistics);
}
template <typename A, Is<ExplainReply> V>
void fields(A& a, V& v) {
  a.flag(v.explanation.found);
  fields(a, v.explanation.policy);
  a.list(v.explanation.outbound, [](A& each, auto& state) { fields(each, state); });
  a.text(v.explanation.verdict);
}

template <typename A, Is<UsageReply> V>
void fields(A& a, V& v) {
  a.list(v.list, [](A& each, auto& usage) {
    each.number(usage.spi.value);
    each.instant(usage.inbound);
    each.instant(usage.outbound);
  });
}

// ---- events
template <typename A, Is<Acquire> V>
void fields(A& a, V& v) {
  a.number(v.policy.value);
  fields(a, v.local);
  fields(a, v.remote);
}
template <typename A, Is<SaExpiring> V>
void fields(A& a, V& v) {
  a.number(v.spi.value);
  a.enumeration(v.direction, model::Direction::kOutbound);
  a.number(v.child.value);
  a.flag(v.hard);
}
template <typename A, Is<PeerMoved> V>
void fields(A& a, V& v) {
  a.number(v.child.value);
  fields(a, v.remote);
  fields(a, v.local);
}
template <typename A, Is<ChildActivated> V>
void fields(A& a, V& v) {
  a.number(v.child.value);
}
template <typename A, Is<IkeDatagram> V>
void fields(A& a, V& v) {
  fields(a, v.local);
  fields(a, v.remote);
  a.octets(v.bytes);
}
template <typename A, Is<BackendLost> V>
void fields(A& a, V& v) {
  a.text(v.reason);
}
template <typename A, Is<UnknownSpi> V>
void fields(A& a, V& v) {
  a.number(v.spi.value);
  fields(a, v.local);
  fields(a, v.remote);
  a.flag(v.udp);
}

}  // namespace cygnet::sadb
