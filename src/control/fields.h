// SPDX-License-Identifier: Apache-2.0
#pragma once

// Each control message described once: the visitor is called with the name and the member of every field, whether it
// writes them (S const) or reads them. Only messages.cc includes this.
#include <concepts>
#include <type_traits>

#include "control/messages.h"

namespace cygnet::control {

template <typename S, typename T>
concept Is = std::same_as<std::remove_const_t<S>, T>;

template <typename V, typename S>
  requires Is<S, UpRequest> || Is<S, DownRequest>
void fields(V& v, S& s) {
  v("connection", s.connection);
  v("child", s.child);
}
template <typename V, Is<RekeyRequest> S>
void fields(V& v, S& s) {
  v("connection", s.connection);
  v("child", s.child);
  v("ike_sa", s.ike_sa);
}
template <typename V, Is<StatusRequest> S>
void fields(V& v, S& s) {
  v("connection", s.connection);
  v("summary", s.summary);
}
template <typename V, Is<MonitorRequest> S>
void fields(V& v, S& s) {
  v("connection", s.connection);
}
template <typename V, typename S>
  requires Is<S, ListRequest> || Is<S, ReloadRequest> || Is<S, DropsRequest> || Is<S, DebugKeysRequest> ||
           Is<S, DebugTransitionsRequest> || Is<S, DoctorRequest> || Is<S, ShutdownRequest> || Is<S, CertsRequest> ||
           Is<S, LeasesRequest>
void fields(V&, S&) {}
template <typename V, Is<ExplainRequest> S>
void fields(V& v, S& s) {
  v("source", s.source);
  v("destination", s.destination);
  v("protocol", s.protocol);
  v("port", s.port);
}
template <typename V, Is<Traffic> S>
void fields(V& v, S& s) {
  v("packets", s.packets);
  v("bytes", s.bytes);
  v("errors", s.errors);
  v("idle_s", s.idle_s);
}
template <typename V, Is<TfsTraffic> S>
void fields(V& v, S& s) {
  v("payloads", s.payloads);
  v("packets", s.packets);
  v("fragments", s.fragments);
  v("empty", s.empty);
  v("padding_bytes", s.padding_bytes);
}
template <typename V, Is<TfsReport> S>
void fields(V& v, S& s) {
  v("rate_bits_s", s.rate_bits_s);
  v("most_bits_s", s.most_bits_s);
  v("congestion_control", s.congestion_control);
  v("packet_bytes", s.packet_bytes);
  v("in", s.in);
  v("out", s.out);
}
template <typename V, Is<ChildReport> S>
void fields(V& v, S& s) {
  v("name", s.name);
  v("spi_in", s.spi_in);
  v("spi_out", s.spi_out);
  v("algorithms", s.algorithms);
  v("mode", s.mode);
  v("local", s.local);
  v("remote", s.remote);
  v("device", s.device);
  v("udp_encapsulation", s.udp_encapsulation);
  v("established_s", s.established_s);
  v("rekey_in_s", s.rekey_in_s);
  v("rekeys", s.rekeys);
  v("resource", s.resource);
  v("in", s.in);
  v("out", s.out);
  v("iptfs", s.iptfs);
  v("diet_esp", s.diet_esp);
  v("traffic", s.traffic);
}
template <typename V, Is<IkeReport> S>
void fields(V& v, S& s) {
  v("state", s.state);
  v("initiator", s.initiator);
  v("spi_i", s.spi_i);
  v("spi_r", s.spi_r);
  v("local", s.local);
  v("remote", s.remote);
  v("local_id", s.local_id);
  v("remote_id", s.remote_id);
  v("algorithms", s.algorithms);
  v("nat", s.nat);
  v("assigned_local", s.assigned_local);
  v("assigned_remote", s.assigned_remote);
  v("dns", s.dns);
  v("established_s", s.established_s);
  v("rekey_in_s", s.rekey_in_s);
  v("pending", s.pending);
  v("children", s.children);
}
template <typename V, Is<InactiveChild> S>
void fields(V& v, S& s) {
  v("name", s.name);
  v("state", s.state);
  v("local", s.local);
  v("remote", s.remote);
}
template <typename V, Is<ConnectionReport> S>
void fields(V& v, S& s) {
  v("name", s.name);
  v("state", s.state);
  v("local", s.local);
  v("remote", s.remote);
  v("last_error", s.last_error);
  v("ike_sas", s.ike_sas);
  v("inactive", s.inactive);
  v("engine", s.engine);
}
template <typename V, Is<IkeCounters> S>
void fields(V& v, S& s) {
  v("datagrams_in", s.datagrams_in);
  v("datagrams_out", s.datagrams_out);
  v("malformed", s.malformed);
  v("unknown_spi", s.unknown_spi);
  v("retransmits_sent", s.retransmits_sent);
  v("retransmits_answered", s.retransmits_answered);
  v("cookies_sent", s.cookies_sent);
  v("half_open_refused", s.half_open_refused);
  v("integrity_failed", s.integrity_failed);
  v("half_open", s.half_open);
  v("established", s.established);
  v("negotiations_failed", s.negotiations_failed);
  v("cookies_refused", s.cookies_refused);
  v("crowd_refused", s.crowd_refused);
  v("puzzles_sent", s.puzzles_sent);
  v("puzzles_solved", s.puzzles_solved);
  v("puzzles_refused", s.puzzles_refused);
  v("identities_refused", s.identities_refused);
  v("auth_puzzles_sent", s.auth_puzzles_sent);
  v("auth_puzzles_solved", s.auth_puzzles_solved);
  v("auth_puzzles_refused", s.auth_puzzles_refused);
  v("fragments_in", s.fragments_in);
  v("fragments_out", s.fragments_out);
  v("fragments_refused", s.fragments_refused);
  v("fragments_late", s.fragments_late);
}
template <typename V, Is<ThreadReport> S>
void fields(V& v, S& s) {
  v("work", s.work);
  v("pinned", s.pinned);
  v("cpu", s.cpu);
  v("cpu_ms", s.cpu_ms);
  v("load_percent", s.load_percent);
}
template <typename V, Is<CipherReport> S>
void fields(V& v, S& s) {
  v("batches", s.batches);
  v("waits", s.waits);
  v("full", s.full);
  v("failed", s.failed);
}
template <typename V, Is<EspInterfaceReport> S>
void fields(V& v, S& s) {
  v("name", s.name);
  v("packets_in", s.packets_in);
  v("packets_out", s.packets_out);
}
template <typename V, Is<PoolRouteReport> S>
void fields(V& v, S& s) {
  v("pool", s.pool);
  v("left_to", s.left_to);
  v("proxyarp", s.proxyarp);
}
template <typename V, Is<CoveredLinkReport> S>
void fields(V& v, S& s) {
  v("network", s.network);
  v("device", s.device);
}
template <typename V, Is<StatusReport> S>
void fields(V& v, S& s) {
  v("version", s.version);
  v("uptime_s", s.uptime_s);
  v("engine_connected", s.engine_connected);
  v("clear_text_problem", s.clear_text_problem);
  v("outward_problem", s.outward_problem);
  v("held", s.held);
  v("connections", s.connections);
  v("threads", s.threads);
  v("ciphers", s.ciphers);
  v("esp_interfaces", s.esp_interfaces);
  v("pool_routes", s.pool_routes);
  v("covered_links", s.covered_links);
  v("ike_counters", s.ike);
}
template <typename V, Is<SummaryReport> S>
void fields(V& v, S& s) {
  v("version", s.version);
  v("uptime_s", s.uptime_s);
  v("engine_connected", s.engine_connected);
  v("connections", s.connections);
  v("ike_sas", s.ike_sas);
  v("children", s.children);
  v("initiating", s.initiating);
  v("waiting", s.waiting);
  v("ike_counters", s.ike);
}
template <typename V, Is<ListedChild> S>
void fields(V& v, S& s) {
  v("name", s.name);
  v("mode", s.mode);
  v("local", s.local);
  v("remote", s.remote);
  v("esp", s.proposals);
  v("auto", s.start);
  v("device", s.device);
}
template <typename V, Is<ListedConnection> S>
void fields(V& v, S& s) {
  v("name", s.name);
  v("source", s.source);
  v("local", s.local);
  v("remote", s.remote);
  v("local_id", s.local_id);
  v("remote_id", s.remote_id);
  v("ike", s.proposals);
  v("encapsulation", s.encapsulation);
  v("children", s.children);
}
template <typename V, Is<ListedPolicy> S>
void fields(V& v, S& s) {
  v("id", s.id);
  v("order", s.order);
  v("action", s.action);
  v("acquire", s.acquire);
  v("local", s.local);
  v("remote", s.remote);
  v("mode", s.mode);
  v("device", s.device);
  v("connection", s.connection);
  v("child", s.child);
}
template <typename V, Is<ListReport> S>
void fields(V& v, S& s) {
  v("connections", s.connections);
  v("policies", s.policies);
}
template <typename V, Is<ReloadReport> S>
void fields(V& v, S& s) {
  v("added", s.added);
  v("changed", s.changed);
  v("removed", s.removed);
  v("unchanged", s.unchanged);
  v("warnings", s.warnings);
}
template <typename V, Is<ExplainedSa> S>
void fields(V& v, S& s) {
  v("connection", s.connection);
  v("child", s.child);
  v("spi", s.spi);
  v("algorithms", s.algorithms);
  v("local", s.local);
  v("remote", s.remote);
  v("udp_encapsulation", s.udp_encapsulation);
  v("in_use", s.in_use);
  v("packets", s.packets);
}
template <typename V, Is<ExplainReport> S>
void fields(V& v, S& s) {
  v("question", s.question);
  v("verdict", s.verdict);
  v("policy", s.policy);
  v("sas", s.sas);
  v("route_device", s.route_device);
  v("route_source", s.route_source);
  v("route_via", s.route_via);
  v("route_reaches_engine", s.route_reaches_engine);
  v("why", s.why);
}
template <typename V, Is<DropsReport> S>
void fields(V& v, S& s) {
  v.drops("drops", s.drops);
  v("packets_out", s.packets_out);
  v("bytes_out", s.bytes_out);
  v("packets_in", s.packets_in);
  v("bytes_in", s.bytes_in);
  v("bypassed", s.bypassed);
  v("acquires", s.acquires);
}
template <typename V, Is<KeysReport> S>
void fields(V& v, S& s) {
  v("esp_sa", s.esp_sa);
  v("ikev2_decryption_table", s.ikev2_decryption_table);
}
template <typename V, Is<TransitionsReport> S>
void fields(V& v, S& s) {
  v("text", s.text);
}
template <typename V, Is<CertificateReport> S>
void fields(V& v, S& s) {
  v("name", s.name);
  v("source", s.source);
  v("subject", s.subject);
  v("issuer", s.issuer);
  v("serial", s.serial);
  v("key", s.key);
  v("names", s.names);
  v("authority", s.authority);
  v("valid_from", s.valid_from);
  v("valid_until", s.valid_until);
  v("expires_in_s", s.expires_in_s);
  v("own", s.own);
  v("private_key", s.private_key);
  v("key_on_token", s.key_on_token);
  v("connections", s.connections);
  v("fault", s.fault);
}
template <typename V, Is<CrlReport> S>
void fields(V& v, S& s) {
  v("source", s.source);
  v("issuer", s.issuer);
  v("ocsp", s.ocsp);
  v("issued", s.issued);
  v("good_until", s.good_until);
  v("fault", s.fault);
}
template <typename V, Is<CertsReport> S>
void fields(V& v, S& s) {
  v("certificates", s.certificates);
  v("authorities", s.authorities);
  v("crls", s.crls);
}
template <typename V, Is<ProcessFact> S>
void fields(V& v, S& s) {
  v("role", s.role);
  v("pid", s.pid);
  v("restarts", s.restarts);
}
template <typename V, Is<RouteFact> S>
void fields(V& v, S& s) {
  v("prefix", s.prefix);
  v("device", s.device);
  v("source", s.source);
}
template <typename V, Is<DoctorFacts> S>
void fields(V& v, S& s) {
  v("processes", s.processes);
  v("devices", s.devices);
  v("ike_port", s.ike_port);
  v("nat_port", s.nat_port);
  v("route_table", s.route_table);
  v("rule_priority", s.rule_priority);
  v("fwmark", s.fwmark);
  v("routes", s.routes);
  v("config_warnings", s.config_warnings);
  v("status", s.status);
  v("drops", s.drops);
  v("certs", s.certs);
}
template <typename V, Is<Progress> S>
void fields(V& v, S& s) {
  v("time_s", s.time_s);
  v("severity", s.severity);
  v("connection", s.connection);
  v("peer", s.peer);
  v("event", s.event);
  v("message", s.message);
}

template <typename V, Is<ReleaseLeaseRequest> S>
void fields(V& v, S& s) {
  v("address", s.address);
}
template <typename V, Is<LeaseReport> S>
void fields(V& v, S& s) {
  v("address", s.address);
  v("identity", s.identity);
  v("connection", s.connection);
  v("in_use", s.in_use);
  v("from", s.from);
  v("since_s", s.since_s);
}
template <typename V, Is<PoolReport> S>
void fields(V& v, S& s) {
  v("connection", s.connection);
  v("pool", s.pool);
  v("size", s.size);
  v("in_use", s.in_use);
  v("remembered", s.remembered);
}
template <typename V, Is<LeasesReport> S>
void fields(V& v, S& s) {
  v("pools", s.pools);
  v("leases", s.leases);
}

}  // namespace cygnet::control
