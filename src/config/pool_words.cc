// SPDX-License-Identifier: Apache-2.0
#include "config/pool_words.h"

#include <algorithm>

#include "config/values.h"

namespace cygnet::config {
namespace {

using model::AddressPool;

std::optional<AddressPool> parse_pool(std::string_view text) {
  AddressPool pool;
  pool.text = std::string(text);
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) {
    const auto prefix = IpPrefix::parse(text);
    if (!prefix) return std::nullopt;
    pool.range = model::usable_range({prefix->network(), prefix->length});
    return pool;
  }
  const auto first = IpAddress::parse(text.substr(0, dash));
  const auto last = IpAddress::parse(text.substr(dash + 1));
  if (!first || !last) return std::nullopt;
  pool.range = {*first, *last};
  return pool.range.valid() ? std::optional(pool) : std::nullopt;
}

void add_pool(const Entry& entry, const Piece& piece, model::End& end, Reporter& report) {
  const auto place = entry.value_place(piece.offset);
  const auto pool = parse_pool(piece.text);
  if (!pool) {
    return report.error(place, "'" + std::string(piece.text) + "' is no pool of addresses",
                        "for example: 10.9.0.0/24, 10.9.0.10-10.9.0.99 or 2001:db8:9::/64");
  }
  if (!model::is_assignable(pool->range.first) || !model::is_assignable(pool->range.last)) {
    return report.error(place, "no peer can have the addresses of " + std::string(piece.text),
                        "use unicast addresses: 10.9.0.0/24 or 2001:db8:9::/64");
  }
  if (end.pools.size() == kMaxPools)
    return report.error(place, "more than " + std::to_string(kMaxPools) + " pools", "join neighbouring ranges");
  const auto meets = std::find_if(end.pools.begin(), end.pools.end(), [&](const AddressPool& other) {
    return other.range.intersect(pool->range).has_value();
  });
  if (meets != end.pools.end()) {
    return report.error(place, "the pools " + meets->text + " and " + pool->text + " overlap",
                        "give each address to one pool");
  }
  end.pools.push_back(*pool);
}

bool asks(std::string_view text, model::End& end) {
  const bool any =
      text == "%config" || text == "%modeconfig" || text == "%modecfg" || text == "%cfg" || text == "%mode";
  if (!any && text != "%config4" && text != "%config6") return false;
  end.request_ip4 = end.request_ip4 || any || text == "%config4";
  end.request_ip6 = end.request_ip6 || any || text == "%config6";
  return true;
}

}  // namespace

void read_source_addresses(const Entry& entry, model::End& end, Reporter& report) {
  for (const auto& piece : split(entry.value, ", ")) {
    if (asks(piece.text, end)) continue;
    if (piece.text.starts_with('%')) {
      report.error(entry.value_place(piece.offset), "'" + std::string(piece.text) + "' is not known",
                   "write %config (also %config4, %config6), an address, or a pool such as 10.9.0.0/24");
    } else if (const auto address = IpAddress::parse(piece.text)) {
      end.source_ips.push_back(*address);
    } else if (piece.text.find_first_of("-/") != std::string_view::npos) {
      add_pool(entry, piece, end, report);
    } else {
      report.error(entry.value_place(piece.offset), "'" + std::string(piece.text) + "' is not an address");
    }
  }
  if (end.requests_address() && (!end.source_ips.empty() || !end.pools.empty())) {
    report.error(entry.value_place(), "an address is either asked of the peer (%config) or written",
                 "keep one of them");
  }
}

void read_address_pools(const Entry& entry, model::End& end, Reporter& report) {
  for (const auto& piece : split(entry.value, ", ")) add_pool(entry, piece, end, report);
}

void read_dns_servers(const Entry& entry, model::Connection& connection, Reporter& report) {
  for (const auto& piece : split(entry.value, ", ")) {
    const auto address = IpAddress::parse(piece.text);
    const auto place = entry.value_place(piece.offset);
    if (!address || address->is_unspecified() || address->is_multicast()) {
      report.error(place, "'" + std::string(piece.text) + "' is not the address of a DNS server",
                   "for example: " + entry.key + "=10.1.0.53");
    } else if (connection.dns.size() == kMaxDnsServers) {
      report.error(place, "more than " + std::to_string(kMaxDnsServers) + " DNS servers");
    } else if (std::find(connection.dns.begin(), connection.dns.end(), *address) == connection.dns.end()) {
      connection.dns.push_back(*address);
    }
  }
}

void read_dns_domains(const Entry& entry, model::Connection& connection, Reporter& report) {
  for (const auto& piece : split(entry.value, ", ")) {
    const auto place = entry.value_place(piece.offset);
    if (!model::is_domain_name(piece.text)) {
      report.error(place, "'" + std::string(piece.text) + "' is no domain name", "for example: corp.example");
    } else if (connection.dns_domains.size() == kMaxDnsDomains) {
      report.error(place, "more than " + std::to_string(kMaxDnsDomains) + " domains");
    } else {
      connection.dns_domains.emplace_back(piece.text);
    }
  }
}

void finish_addresses(ConnectionDraft& draft, Reporter& report) {
  auto& conn = draft.connection;
  const std::pair<EndDraft*, model::End*> ends[] = {{&draft.left, &conn.local}, {&draft.right, &conn.remote}};
  for (const auto& [end_draft, end] : ends) {
    if (end_draft->modecfg_client && !end->requests_address()) {
      end->request_ip4 = end->request_ip6 = true;
    }
    const bool ours = end->host.kind == model::HostSpec::Kind::kDefaultRoute;
    if (ours && !end->pools.empty()) {
      const auto& entry = end_draft->addresspool ? end_draft->addresspool : end_draft->sourceip;
      report.error(entry ? entry->value_place() : draft.place,
                   "conn " + conn.name + ": a pool belongs to the end that gets addresses from it, the peer",
                   "move it to the other end, or write " + end_draft->side + "sourceip=%config to ask for an address");
    }
    // One address for the peer is a pool of one: it is assigned, not set here.
    const bool peer_is_any = end->host.kind == model::HostSpec::Kind::kAny;
    if (peer_is_any && end == &conn.remote) {
      for (const auto& address : std::exchange(end->source_ips, {}))
        end->pools.push_back({IpRange::of(address), address.to_string()});
    }
  }
  if (conn.proxy_arp && conn.local.pools.empty() && conn.remote.pools.empty()) {
    report.error(draft.place, "conn " + conn.name + ": proxyarp=yes is for addresses that peers get from here",
                 "write rightaddresspool= with addresses of your network, or remove proxyarp=");
  }
  if (draft.child.mode == model::Mode::kTransport &&
      (conn.local.requests_address() || conn.remote.requests_address() || !conn.remote.pools.empty())) {
    report.error(draft.place, "conn " + conn.name + ": an assigned address needs a tunnel", "write type=tunnel");
  }
}

void ask_for_everything(ConnectionDraft& draft) {
  auto& conn = draft.connection;
  const auto all = [](const model::End& end) {
    model::TrafficSelectors out;
    if (end.request_ip4) out.push_back(model::TrafficSelector::of(IpRange::all(Family::kV4)));
    if (end.request_ip6) out.push_back(model::TrafficSelector::of(IpRange::all(Family::kV6)));
    return out;
  };
  for (auto& child : conn.children) {
    if (conn.local.requests_address() && child.remote.empty()) child.remote = all(conn.local);
    if (conn.remote.requests_address() && child.local.empty()) child.local = all(conn.remote);
  }
}

}  // namespace cygnet::config
