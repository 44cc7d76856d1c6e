// SPDX-License-Identifier: Apache-2.0
#pragma once

// Words about addresses that one end assigns to the other (RFC 7296 section 2.19).
#include "config/connection_draft.h"

namespace cygnet::config {

// leftsourceip=: addresses, %config (asked of the peer), or, for the other end, pools.
void read_source_addresses(const Entry& entry, model::End& end, Reporter& report);
// rightaddresspool=: ranges and prefixes, at most kMaxPools.
void read_address_pools(const Entry& entry, model::End& end, Reporter& report);
void read_dns_servers(const Entry& entry, model::Connection& connection, Reporter& report);
void read_dns_domains(const Entry& entry, model::Connection& connection, Reporter& report);

// What follows from these words together.
void finish_addresses(ConnectionDraft& draft, Reporter& report);
// An end that asks for an address and whose peer names no network wants to reach everything the peer lets it.
void ask_for_everything(ConnectionDraft& draft);

inline constexpr std::size_t kMaxPools = 64;
inline constexpr std::size_t kMaxDnsServers = 8;
inline constexpr std::size_t kMaxDnsDomains = 64;

}  // namespace cygnet::config
