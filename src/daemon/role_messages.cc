// SPDX-License-Identifier: Apache-2.0
#include "daemon/role_messages.h"

#include "sadb/archive.h"
#include "sadb/fields.h"

namespace cygnet::daemon {

namespace {

using sadb::Is;
using sadb::Reader;
using sadb::Writer;

template <typename A, Is<PassedSocket> V>
void fields(A& a, V& v) {
  a.enumeration(v.kind, io::OuterKind::kAh);
  // NOLINTNEXTLINE(misc-const-correctness): the reading archive sets it
  bool v6 = v.family == Family::kV6;
  a.flag(v6);
  if constexpr (A::kReads) {
    v.family = v6 ? Family::kV6 : Family::kV4;
  }
  a.number(v.port);
}
template <typename A, typename V>
void sockets(A& a, V& list) {
  a.list(list, [](A& each, auto& socket) { fields(each, socket); });
}
template <typename A, Is<StartEngine> V>
void fields(A& a, V& v) {
  a.list(v.devices, [](A& each, auto& name) { each.text(name); });
  sockets(a, v.sockets);
  a.enumeration(v.log_level, Severity::kError);
  a.list(v.cpus, [](A& each, auto& cpu) { each.number(cpu); });
  a.number(v.busy_poll_us);
  a.number(v.crypto_threads);
  a.number(v.crypto_percent);
  a.list(v.crypto_cpus, [](A& each, auto& cpu) { each.number(cpu); });
  a.number(v.nat_port);
  a.number(v.mark);
  a.enumeration(v.language, model::EngineKind::kPfkey);
  a.flag(v.esp_over_xdp);
  a.number(v.foreign_spis);
}
template <typename A, Is<EspInterface> V>
void fields(A& a, V& v) {
  a.number(v.index);
  a.text(v.name);
  a.number(v.frame_octets);
}
template <typename A, Is<EspInterfaceGone> V>
void fields(A& a, V& v) {
  a.number(v.index);
}
template <typename A, Is<NextHops> V>
void fields(A& a, V& v) {
  a.list(v.list, [](A& each, auto& hop) {
    each.address(hop.local);
    each.address(hop.remote);
    each.flag(hop.usable);
    each.number(hop.interface);
    each.address(hop.source);
    for (auto* mac : {&hop.source_mac, &hop.destination_mac}) {
      for (auto& octet : *mac) each.number(octet);
    }
    each.number(hop.mtu);
    if (hop.usable && hop.source.family() != hop.remote.family()) each.refuse();
  });
}
template <typename A, Is<WantNextHops> V>
void fields(A& a, V& v) {
  a.flag(v.anew);
  a.list(v.list, [](A& each, auto& way) {
    each.address(way.local);
    each.address(way.remote);
  });
  if (v.list.size() > kHopsTogether) a.refuse();
}
template <typename A, Is<StartIke> V>
void fields(A& a, V& v) {
  a.text(v.config_path);
  a.text(v.secrets_path);
  a.text(v.run_dir);
  sockets(a, v.sockets);
  a.octets(v.crash_secret);
  a.flag(v.engines.user);
  a.flag(v.engines.kernel);
  a.enumeration(v.engines.language, model::EngineKind::kPfkey);
  a.enumeration(v.engines.usual, model::EngineKind::kPfkey);
  a.enumeration(v.engines.automatic, model::EngineKind::kPfkey);
}
template <typename A, Is<StartKeys> V>
void fields(A& a, V& v) {
  a.text(v.secrets_path);
}
template <typename A, Is<TokenReport> V>
void fields(A& a, V& v) {
  a.list(v.problems, [](A& each, auto& line) { each.text(line); });
}
template <typename A, Is<NewConfiguration> V>
void fields(A& a, V& v) {
  a.text(v.error);
  a.list(v.secrets_warnings, [](A& each, auto& line) { each.text(line); });
}
template <typename A, Is<Processes> V>
void fields(A& a, V& v) {
  a.list(v.list, [](A& each, auto& process) {
    each.text(process.role);
    each.number(process.pid);
    each.number(process.restarts);
  });
}
template <typename A, Is<NetworkDone> V>
void fields(A& a, V& v) {
  a.number(v.request);
  a.number(v.count);
  a.list(v.failures, [](A& each, auto& failure) {
    each.number(failure.request);
    each.text(failure.why);
  });
}
template <typename A, Is<NetworkRequest> V>
void fields(A& a, V& v) {
  a.number(v.request);
  a.enumeration(v.what, NetworkRequest::What::kRemoveQuestions);
  a.address(v.prefix.address);
  a.number(v.prefix.length);
  if (v.prefix.length > v.prefix.address.bits()) {
    a.refuse();
  }
  a.text(v.device);
  // NOLINTNEXTLINE(misc-const-correctness): the reading archive sets it
  bool has_source = v.source.has_value();
  a.flag(has_source);
  // NOLINTNEXTLINE(misc-const-correctness): the reading archive sets it
  IpAddress source = v.source.value_or(IpAddress{});
  a.address(source);
  if constexpr (A::kReads) {
    v.source = has_source ? std::optional(source) : std::nullopt;
  }
  a.number(v.mtu);
  if (v.what >= NetworkRequest::What::kAddGuard) {
    sadb::fields(a, v.guarded_remote);
    sadb::fields(a, v.guarded_local);
    a.number(v.guard_order);
  }
}
template <typename A>
void prefix(A& a, auto& v) {
  a.address(v.address);
  a.number(v.length);
  if (v.length > v.address.bits()) a.refuse();
}
template <typename A, Is<PoolRoutes> V>
void fields(A& a, V& v) {
  a.list(v.list, [](A& each, auto& way) {
    prefix(each, way.pool);
    // NOLINTNEXTLINE(misc-const-correctness): the reading archive sets it
    bool left = way.left_to.has_value();
    each.flag(left);
    if (!left) return;
    // NOLINTNEXTLINE(misc-const-correctness): the reading archive sets it
    IpPrefix to = way.left_to.value_or(IpPrefix{});
    prefix(each, to);
    if constexpr (A::kReads) way.left_to = to;
  });
}
template <typename A, Is<CoveredLinks> V>
void fields(A& a, V& v) {
  a.list(v.list, [](A& each, auto& network) {
    prefix(each, network.prefix);
    each.text(network.device);
  });
}
template <typename A, Is<ClearTextRefused> V>
void fields(A& a, V& v) {
  a.text(v.problem);
  a.number(v.packets);
  a.text(v.outward_problem);
  a.number(v.held);
}
template <typename A, Is<NetworkRequests> V>
void fields(A& a, V& v) {
  a.list(v.list, [](A& each, auto& request) { fields(each, request); });
  if (v.list.size() > kMaxRequestsTogether) {
    a.refuse();
  }
}
template <typename A, Is<LeaseChanges> V>
void fields(A& a, V& v) {
  a.list(v.list, [](A& each, auto& change) {
    each.flag(change.forgotten);
    lease_fields(each, change.lease);
  });
}
template <typename A, Is<ResolverRequest> V>
void fields(A& a, V& v) {
  a.text(v.connection);
  a.text(v.device);
  a.list(v.servers, [](A& each, auto& server) { each.address(server); });
  a.list(v.domains, [](A& each, auto& domain) { each.text(domain); });
}
// Messages without members.
template <typename A, typename V>
  requires(std::is_empty_v<V>)
void fields(A& /*a*/, V& /*v*/) {}

template <typename Variant>
Bytes encode_variant(const Variant& message) {
  Writer writer;
  writer.number(static_cast<std::uint8_t>(message.index()));
  std::visit([&](const auto& value) { fields(writer, value); }, message);
  return std::move(writer).take();
}

template <typename Variant, std::size_t I = 0>
Result<Variant> decode_alternative(std::size_t index, Reader& reader) {
  if constexpr (I < std::variant_size_v<Variant>) {
    if (index != I) {
      return decode_alternative<Variant, I + 1>(index, reader);
    }
    std::variant_alternative_t<I, Variant> value{};
    fields(reader, value);
    if (reader.finished()) {
      return Variant(std::move(value));
    }
  }
  return fail("a message between the monitor and another process is malformed");
}

template <typename Variant>
Result<Variant> decode_variant(ByteView bytes) {
  Reader reader(bytes);
  std::uint8_t type = 0;
  reader.number(type);
  return decode_alternative<Variant>(type, reader);
}

}  // namespace

Bytes encode(const FromMonitor& message) { return encode_variant(message); }
Bytes encode(const ToMonitor& message) { return encode_variant(message); }
Result<FromMonitor> decode_from_monitor(ByteView bytes) { return decode_variant<FromMonitor>(bytes); }
Result<ToMonitor> decode_to_monitor(ByteView bytes) { return decode_variant<ToMonitor>(bytes); }

}  // namespace cygnet::daemon
