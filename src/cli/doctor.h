// SPDX-License-Identifier: Apache-2.0
#pragma once

// `cygnet doctor`: facts in, findings out. Pure; host_facts.h gathers what the daemon does not know.
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "cli/format.h"
#include "cli/xfrm_counters.h"
#include "control/messages.h"

namespace cygnet::cli {

// How this machine is set up, as far as `cygnet` can see from its own network namespace.
struct HostFacts {
  struct Device {
    std::string name;
    bool present = false;
    bool up = false;
    std::uint32_t mtu = 0;
    int rp_filter = -1;  // of this device; -1: unknown
    bool operator==(const Device&) const = default;
  };
  bool tun_present = true;
  std::string tun_error;
  bool same_network_namespace = true;   // as the daemon
  std::vector<std::int64_t> dead_pids;  // of those the daemon named
  std::vector<Device> devices;          // those the daemon named
  std::vector<IpAddress> own_addresses;
  bool routes_known = false;
  std::vector<std::string> routes;        // prefixes in the daemon's table
  std::vector<Family> rules;              // families with the daemon's rule
  std::vector<std::string> rules_before;  // of others: "100: from all lookup 7"
  std::vector<std::uint16_t> udp_ports;   // bound
  bool esp_socket = false;                // a raw socket for protocol 50
  int rp_filter_all = -1, src_valid_mark = -1, forward_v4 = -1, forward_v6 = -1;
  std::string firewall_hint;  // empty: nothing suspicious
  bool ports_known = false;
  std::vector<XfrmCounter> xfrm_counters;      // those of the kernel's IPsec that are not zero
  std::optional<std::uint64_t> pfkey_backlog;  // octets that a PF_KEY socket has not read; unset: there is no PF_KEY
};

enum class Finding { kFine, kNote, kProblem };
struct Check {
  std::string name;  // kebab-case, stable
  Finding finding = Finding::kFine;
  std::string what;    // what was seen
  std::string why;     // why it matters; empty when fine
  std::string remedy;  // what to do; empty when fine
};

// `daemon` unset: it could not be reached, for the reason given.
[[nodiscard]] std::vector<Check> examine(const std::optional<control::DoctorFacts>& daemon,
                                         const std::string& no_daemon_reason, const HostFacts& host);
[[nodiscard]] std::string render(const std::vector<Check>& checks, const Style& style);
[[nodiscard]] std::string to_json_text(const std::vector<Check>& checks);
[[nodiscard]] bool has_problem(const std::vector<Check>& checks);

}  // namespace cygnet::cli
