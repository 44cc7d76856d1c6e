// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/doctor.h"

namespace cygnet::cli {

// Looks at this machine: /dev/net/tun, sysctls, links, routes, sockets. `daemon` names what to look for.
[[nodiscard]] HostFacts gather_host_facts(const std::optional<control::DoctorFacts>& daemon);

// Parts of it that read text, for tests.
[[nodiscard]] std::vector<std::uint16_t> udp_ports_in(const std::string& proc_net_udp);
[[nodiscard]] bool has_esp_socket(const std::string& proc_net_raw);
// Of `nft list ruleset`: a sentence if packets are dropped on input by default and IKE's ports are not mentioned.
[[nodiscard]] std::string firewall_hint_of(const std::string& ruleset, std::uint16_t ike_port, std::uint16_t nat_port);

}  // namespace cygnet::cli
