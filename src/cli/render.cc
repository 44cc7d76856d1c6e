// SPDX-License-Identifier: Apache-2.0
#include "cli/render.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "model/traffic_selector.h"

namespace cygnet::cli {
namespace {

using control::ChildReport;
using control::ConnectionReport;
using control::IkeReport;
using control::State;

Tone tone_of(State state) {
  switch (state) {
    case State::kUp: return Tone::kGood;
    case State::kConnecting:
    case State::kWaiting: return Tone::kWarn;
    case State::kDown: return Tone::kBad;
  }
  return Tone::kPlain;
}

std::string spi_text(Spi spi) {
  char text[16];
  (void)std::snprintf(text, sizeof text, "%08x", spi.value);
  return text;
}
std::string spi_text(IkeSpi spi) {
  char text[20];
  (void)std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(spi.value));
  return text;
}

std::string nat_text(const std::string& nat) {
  if (nat == "local") return "NAT in front of us";
  if (nat == "remote") return "NAT in front of the peer";
  if (nat == "both") return "NAT in front of both";
  return "no NAT";
}

std::string rekey_text(const std::optional<std::uint64_t>& rekey_in_s) {
  return rekey_in_s ? ", rekey in " + duration_text(*rekey_in_s) : std::string();
}

std::vector<std::string> traffic_row(const char* direction, Spi spi, const control::Traffic& traffic) {
  const auto last = traffic.idle_s ? "last " + duration_text(*traffic.idle_s) + " ago" : std::string("none yet");
  return {direction,
          spi_text(spi),
          count_text(traffic.packets, "packet"),
          bytes_text(traffic.bytes),
          last,
          traffic.errors == 0 ? "" : count_text(traffic.errors, "error")};
}

std::vector<std::string> tfs_row(const char* direction, const control::TfsTraffic& traffic) {
  return {direction,
          count_text(traffic.payloads, "payload"),
          "with " + count_text(traffic.packets, "packet"),
          count_text(traffic.fragments, "fragment"),
          grouped(traffic.empty) + " empty",
          bytes_text(traffic.padding_bytes) + " of padding"};
}

std::string rate_text(const control::TfsReport& tfs) {
  if (tfs.rate_bits_s == 0 && !tfs.congestion_control) return "as there is traffic";
  auto text = (tfs.congestion_control ? "now " : "") + grouped(tfs.rate_bits_s) + " bit/s";
  if (tfs.congestion_control) {
    text += tfs.most_bits_s == 0 ? ", as the path takes it" : " of at most " + grouped(tfs.most_bits_s);
  }
  return text;
}

std::string child_shape_text(const ChildReport& child) {
  std::string text;
  if (child.diet_esp) text += "    Diet-ESP, " + count_text(*child.diet_esp, "octet") + " of the sequence number\n";
  if (!child.traffic.empty()) text += "    traffic=" + child.traffic + '\n';
  if (!child.iptfs) return text;
  text += "    IP-TFS, " + rate_text(*child.iptfs);
  if (child.iptfs->packet_bytes != 0) text += ", outer packets of " + bytes_text(child.iptfs->packet_bytes);
  text += '\n';
  Table table;
  if (child.iptfs->in) table.add(tfs_row("in", *child.iptfs->in));
  if (child.iptfs->out) table.add(tfs_row("out", *child.iptfs->out));
  return text + (table.empty() ? std::string() : table.to_string("      "));
}

std::string child_text(const ChildReport& child) {
  const auto clone = child.resource ? " (clone " + std::to_string(*child.resource) + ")" : std::string();
  auto text =
      "  " + child.name + clone + ": " + joined(child.local, ", ") + " === " + joined(child.remote, ", ") + '\n';
  // An integrity algorithm alone is AH's: ESP names a cipher first.
  const bool ah = child.algorithms.starts_with("HMAC_") || child.algorithms.starts_with("AES_XCBC") ||
                  child.algorithms.starts_with("AES_CMAC");
  text += std::string("    ") + (ah ? "AH " : "ESP ") + child.mode + " " + child.algorithms +
          (child.udp_encapsulation ? " in UDP" : "") + " on " + child.device + ", up " +
          duration_text(child.established_s) + rekey_text(child.rekey_in_s);
  if (child.rekeys != 0) text += ", rekeyed " + count_text(child.rekeys, "time");
  text += '\n';
  Table table;
  table.add(traffic_row("in", child.spi_in, child.in));
  table.add(traffic_row("out", child.spi_out, child.out));
  return text + table.to_string("    ") + child_shape_text(child);
}

std::string ike_text(const IkeReport& ike) {
  std::string text = "  IKE " + ike.local.to_string() + " (" + ike.local_id + ") === " + ike.remote.to_string() + " (" +
                     ike.remote_id + ")\n";
  text += "    " + ike.state + ", " + (ike.initiator ? "initiator" : "responder");
  if (!ike.algorithms.empty()) text += ", " + ike.algorithms;
  text += ", " + nat_text(ike.nat) + ", up " + duration_text(ike.established_s) + rekey_text(ike.rekey_in_s) + '\n';
  text += "    SPIs " + spi_text(ike.spi_i) + " " + spi_text(ike.spi_r) + '\n';
  if (!ike.assigned_local.empty()) text += "    our address from the peer: " + joined(ike.assigned_local, ", ") + '\n';
  if (!ike.dns.empty()) text += "    DNS from the peer: " + joined(ike.dns, ", ") + '\n';
  if (!ike.assigned_remote.empty())
    text += "    the peer's address from us: " + joined(ike.assigned_remote, ", ") + '\n';
  if (!ike.pending.empty()) text += "    under way: " + joined(ike.pending, ", ") + '\n';
  for (const auto& child : ike.children) text += child_text(child);
  return text;
}

bool is_kernels(const std::string& engine) { return engine == "xfrm" || engine == "pfkey"; }

std::string connection_text(const ConnectionReport& connection, const Style& style) {
  auto text = style.paint(Tone::kBold, connection.name) + "  " +
              style.paint(tone_of(connection.state), control::to_string(connection.state)) + "  " + connection.local +
              " === " + connection.remote +
              (is_kernels(connection.engine) ? ", in the kernel (" + connection.engine + ")" : "") + '\n';
  for (const auto& ike : connection.ike_sas) text += ike_text(ike);
  for (const auto& child : connection.inactive) {
    text += "  " + child.name + ": " + style.paint(tone_of(child.state), control::to_string(child.state)) + "  " +
            child.local + " === " + child.remote + '\n';
  }
  if (!connection.last_error.empty())
    text += style.paint(Tone::kWarn, "  last attempt failed:") + "\n" + indented(connection.last_error, "    ");
  return text;
}

// Which threads the engine has, where they run, and how busy they were since the last question.
std::string threads_text(const control::StatusReport& status) {
  std::string text;
  for (const auto& [work, what] : {std::pair{"packets", "moving packets"}, std::pair{"ciphers", "encrypting"}}) {
    std::string each;
    for (const auto& thread : status.threads) {
      if (thread.work != work) continue;
      each += (each.empty() ? "" : ", ") + std::to_string(thread.load_percent) + " %" +
              (thread.pinned ? " on CPU " + std::to_string(thread.cpu) : "");
    }
    if (!each.empty()) text += (text.empty() ? "engine threads " : "; ") + std::string(what) + ": " + each;
  }
  if (text.empty()) return text;
  const auto& c = status.ciphers;
  if (c.batches != 0) text += "; " + grouped(c.batches) + " batches handed over";
  if (c.waits + c.full != 0) text += ", " + grouped(c.waits + c.full) + " times packets had to wait for that";
  if (c.failed != 0) text += ", " + grouped(c.failed) + " came back undone";
  return text + '\n';
}

// Where plain ESP goes past the kernel's stack.
std::string esp_interfaces_text(const control::StatusReport& status) {
  std::string each;
  for (const auto& one : status.esp_interfaces) {
    each += (each.empty() ? "" : "; ") + one.name + " " + grouped(one.packets_in) + " in, " + grouped(one.packets_out) +
            " out";
  }
  return each.empty() ? each : "plain ESP over XDP (packets): " + each + '\n';
}

// Where packets go for addresses of pools that no peer has.
std::string pool_routes_text(const control::StatusReport& status) {
  std::string refused;
  std::string left;
  for (const auto& pool : status.pool_routes) {
    if (pool.left_to.empty()) {
      refused += (refused.empty() ? "" : ", ") + pool.pool;
    } else {
      left += (left.empty() ? "" : ", ") + pool.pool + " (" + pool.left_to + ')';
    }
  }
  std::string text;
  if (!refused.empty()) text += "packets for addresses that no peer has are refused: " + refused + '\n';
  if (!left.empty()) text += "packets for addresses that no peer has go where they are routed: " + left + '\n';
  return text;
}

}  // namespace

std::string render(const control::StatusReport& status, const Style& style) {
  std::string text;
  std::size_t up = 0;
  std::size_t tunnels = 0;
  for (const auto& connection : status.connections) {
    text += connection_text(connection, style) + '\n';
    up += connection.state == State::kUp ? 1 : 0;
    for (const auto& ike : connection.ike_sas) tunnels += ike.children.size();
  }
  text += count_text(status.connections.size(), "connection") + ", " + grouped(up) + " up with " +
          (tunnels == 1 ? "1 child" : grouped(tunnels) + " children") + "; cygnetd " + status.version + ", running " +
          duration_text(status.uptime_s) + '\n';
  text += threads_text(status) + esp_interfaces_text(status) + pool_routes_text(status);
  if (!status.engine_connected)
    text += style.paint(Tone::kBad, "The packet engine is not running: no packet passes until it is back.") + '\n';
  if (!status.clear_text_problem.empty()) {
    text += style.paint(Tone::kBad, "Clear text from outside for protected networks is NOT refused: " +
                                        status.clear_text_problem + " (cygnet doctor says more).") +
            '\n';
  }
  if (status.held != 0) {
    text += grouped(status.held) + (status.held == 1 ? " packet" : " packets") +
            " for protected networks would have left in the clear by another device, and " +
            (status.held == 1 ? "was" : "were") + " refused\n";
  }
  if (status.clear_text_problem.empty() && !status.outward_problem.empty()) {
    text += style.paint(Tone::kBad, "Clear text that leaves by another device than a tunnel's is NOT refused: " +
                                        status.outward_problem + " (cygnet doctor says more).") +
            '\n';
  }
  return text;
}

std::string render(const control::SummaryReport& s, const Style& style) {
  std::string text = count_text(s.connections, "connection") + ", " + count_text(s.ike_sas, "IKE SA") + " with " +
                     (s.children == 1 ? "1 child" : grouped(s.children) + " children") + ", " + grouped(s.initiating) +
                     " initiating, " + grouped(s.waiting) + " waiting for their turn, " + grouped(s.ike.half_open) +
                     " half-open; cygnetd " + s.version + ", running " + duration_text(s.uptime_s) + '\n';
  if (!s.engine_connected)
    text += style.paint(Tone::kBad, "The packet engine is not running: no packet passes until it is back.") + '\n';
  return text;
}

std::string render(const control::ListReport& list, const Style& style) {
  std::string text = style.paint(Tone::kBold, "Connections") + '\n';
  for (const auto& c : list.connections) {
    text += "  " + c.name + "  " + c.local + " (" + c.local_id + ") === " + c.remote + " (" + c.remote_id + ")  " +
            style.paint(Tone::kDim, c.source) + '\n';
    Table table;
    for (const auto& child : c.children)
      table.add({child.name, child.local + " === " + child.remote, child.mode, child.device, "auto=" + child.start});
    text += table.to_string("    ");
  }
  if (list.connections.empty()) text += "  none\n";
  text += style.paint(Tone::kBold, "Policies, in the order in which they are looked at") + '\n';
  Table table;
  for (const auto& p : list.policies) {
    table.add({std::to_string(p.order), p.action + (p.acquire ? " (on demand)" : ""), p.local + " === " + p.remote,
               p.mode, p.device, p.child});
  }
  text += table.empty() ? "  none\n" : table.to_string("  ");
  return text;
}

std::string render(const control::LeasesReport& leases, const Style& style) {
  std::string text;
  for (const auto& pool : leases.pools) {
    text += style.paint(Tone::kBold, pool.pool) + " of " + pool.connection + ": " + grouped(pool.in_use) + " in use, " +
            grouped(pool.remembered) + " remembered, of " +
            (pool.size > 0xffffffffULL ? "more than 4,000,000,000" : grouped(pool.size)) + '\n';
  }
  Table table;
  for (const auto& lease : leases.leases) {
    table.add({lease.address, lease.identity,
               lease.in_use ? "in use from " + lease.from : "away for " + duration_text(lease.since_s),
               lease.connection.empty() ? "of no pool any more" : lease.connection});
  }
  text += table.to_string("  ");
  return text.empty() ? "no connection gives addresses (rightaddresspool=), and none is remembered\n" : text;
}

std::string render(const control::ReloadReport& reload, const Style& style) {
  std::string text;
  const auto line = [&](const char* what, const std::vector<std::string>& names) {
    if (!names.empty()) text += std::string(what) + joined(names, ", ") + '\n';
  };
  for (const auto& warning : reload.warnings) text += style.paint(Tone::kWarn, warning) + '\n';
  line("added:     ", reload.added);
  line("changed:   ", reload.changed);
  line("removed:   ", reload.removed);
  line("unchanged: ", reload.unchanged);
  return text.empty() ? "nothing is configured\n" : text;
}

namespace {

std::string question_text(const control::ExplainRequest& question) {
  auto text = question.source.to_string() + " -> " + question.destination.to_string();
  if (question.protocol != 0) text += " " + model::ip_protocol_name(question.protocol);
  if (question.port) {
    const bool icmp = question.protocol == 1 || question.protocol == 58;
    text += " " + (icmp ? std::to_string(*question.port >> 8) + "." + std::to_string(*question.port & 0xff)
                        : std::to_string(*question.port));
  }
  return text;
}

Tone verdict_tone(const std::string& verdict) {
  if (verdict == "protect") return Tone::kGood;
  return verdict == "bypass" || verdict == "acquire" ? Tone::kWarn : Tone::kBad;
}

std::string route_text(const control::ExplainReport& explain) {
  if (explain.route_device.empty()) return "none";
  auto text = "dev " + explain.route_device;
  if (!explain.route_via.empty()) text += " via " + explain.route_via;
  if (!explain.route_source.empty()) text += " src " + explain.route_source;
  return text + (explain.route_reaches_engine ? "" : "  (not into the tunnel)");
}

}  // namespace

std::string render(const control::ExplainReport& explain, const Style& style) {
  auto text = question_text(explain.question) + ": " + style.paint(verdict_tone(explain.verdict), explain.verdict);
  if (explain.policy && !explain.policy->connection.empty()) text += " by " + explain.policy->connection;
  text += '\n';
  Table table;
  table.add({"route", route_text(explain)});
  if (explain.policy) {
    const auto& p = *explain.policy;
    table.add({"policy", p.action + " " + p.local + " === " + p.remote + " (order " + std::to_string(p.order) + ", " +
                             p.mode + ", " + p.device + ")"});
  } else {
    table.add({"policy", "none"});
  }
  for (const auto& sa : explain.sas) {
    // Ports mean something only to UDP.
    const auto path = sa.udp_encapsulation
                          ? " in UDP " + sa.local.to_string() + " -> " + sa.remote.to_string()
                          : " " + sa.local.address.to_string() + " -> " + sa.remote.address.to_string();
    table.add({sa.in_use ? "SA" : "standby", spi_text(sa.spi) + " " + sa.algorithms + path + ", " +
                                                 count_text(sa.packets, "packet") + ", child " + sa.child});
  }
  if (explain.sas.empty()) table.add({"SA", "none"});
  for (std::size_t i = 0; i < explain.why.size(); ++i) table.add({i == 0 ? "why" : "", explain.why[i]});
  return text + table.to_string("  ");
}

std::string render(const control::DropsReport& drops, const Style& style) {
  std::string text;
  for (std::size_t i = 0; i < drops.drops.size(); ++i) {
    if (drops.drops[i] == 0) continue;
    const auto& row = info(static_cast<DropReason>(i));
    text += style.paint(Tone::kBold, row.name) + "  " + grouped(drops.drops[i]) + '\n';
    text += "  why: " + std::string(row.why) + "\n  do:  " + std::string(row.remedy) + '\n';
  }
  if (text.empty()) text = "No packet was dropped.\n";
  text += "passed: " + count_text(drops.packets_out, "packet") + " (" + bytes_text(drops.bytes_out) + ") out, " +
          count_text(drops.packets_in, "packet") + " (" + bytes_text(drops.bytes_in) + ") in";
  if (drops.bypassed != 0) text += ", " + grouped(drops.bypassed) + " bypassed";
  return text + '\n';
}

std::string render(const control::KeysReport& keys, const Style&) {
  std::string text = "# Wireshark: file esp_sa in its configuration folder\n";
  for (const auto& line : keys.esp_sa) text += line + '\n';
  text += "# Wireshark: file ikev2_decryption_table\n";
  for (const auto& line : keys.ikev2_decryption_table) text += line + '\n';
  return text;
}

std::string render(const control::TransitionsReport& transitions, const Style&) {
  return transitions.text.ends_with('\n') ? transitions.text : transitions.text + '\n';
}

std::string render(const control::Progress& progress, const Style& style, bool with_time) {
  std::string head;
  if (with_time) {
    const std::time_t time = progress.time_s;
    std::tm local{};
    char clock[16] = "";
    if (::localtime_r(&time, &local) != nullptr) (void)std::strftime(clock, sizeof clock, "%H:%M:%S", &local);
    head = std::string(clock) + "  " + (progress.connection.empty() ? progress.peer : progress.connection) + "  ";
  }
  auto message = harmless(progress.message.empty() ? progress.event : progress.message);
  while (message.ends_with('\n')) message.pop_back();
  std::string rest;
  if (const auto end = message.find('\n'); end != std::string::npos) {
    rest = indented(std::string_view(message).substr(end + 1), "    ");
    message.resize(end);
  }
  const auto tone = progress.severity == Severity::kError     ? Tone::kBad
                    : progress.severity == Severity::kWarning ? Tone::kWarn
                                                              : Tone::kPlain;
  return harmless(head) + style.paint(tone, message) + '\n' + rest;
}

}  // namespace cygnet::cli
