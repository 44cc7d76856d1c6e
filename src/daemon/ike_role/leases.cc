// SPDX-License-Identifier: Apache-2.0

// Addresses: those we give (leases, kept by the monitor, shown to the command line), and those given to us.
#include <algorithm>
#include <map>

#include "daemon/ike_role/ike_process.h"
#include "io/process.h"

namespace cygnet::daemon {

namespace {

constexpr Duration kGathering = std::chrono::milliseconds(100);
constexpr std::size_t kMaxLeases = std::size_t{1} << 30U;  // octets of the file the monitor hands over

// The ranges that several peers share, and the addresses that belong to one identity.
class PoolTable {
 public:
  explicit PoolTable(const std::vector<model::Connection>& connections) {
    for (const auto& connection : connections) {
      for (const auto& pool : connection.remote.pools) {
        if (pool.is_single()) {
          singles_.emplace(pool.range.first, connection.name);
        } else if (std::ranges::find(rows_, pool.text, &control::PoolReport::pool) == rows_.end()) {
          ranges_.push_back(pool.range);
          rows_.push_back({.connection = connection.name, .pool = pool.text, .size = policy::size_of(pool.range)});
        }
      }
    }
  }
  // Counts the lease, and says whose pool it is of; empty: no pool has this address any more.
  std::string count(const policy::Lease& lease) {
    const auto single = singles_.find(lease.address);
    const auto it = std::ranges::find_if(ranges_, [&](const auto& range) { return range.contains(lease.address); });
    if (it != ranges_.end()) {
      auto& row = rows_[static_cast<std::size_t>(it - ranges_.begin())];
      ++(lease.in_use ? row.in_use : row.remembered);
      if (single == singles_.end()) return row.connection;
    }
    return single == singles_.end() ? std::string() : single->second;
  }
  [[nodiscard]] std::vector<control::PoolReport> rows() && { return std::move(rows_); }

 private:
  std::map<IpAddress, std::string> singles_;
  std::vector<IpRange> ranges_;
  std::vector<control::PoolReport> rows_;
};

}  // namespace

void IkeProcess::take_over_leases(const io::UniqueFd& file) {
  auto text = file ? io::read_memory_file(file.get(), kMaxLeases) : fail("no leases arrived from the monitor");
  auto leases = text ? decode_leases(*text) : std::unexpected(text.error());
  if (!leases) {
    log_.warning("leases", leases.error().message + ": peers may get other addresses than before");
    return;
  }
  for (const auto& lease : *leases) address_pools_.pools().remember(lease.address, lease.peer, lease.last_used_s);
}

void IkeProcess::keep_leases() {
  if (address_pools_.changed() && !std::exchange(leases_timer_, true)) {
    loop_.after(kGathering, [this] {
      leases_timer_ = false;
      send_leases();
    });
  }
}

void IkeProcess::send_leases() {
  for (const auto& message : split_to_messages(address_pools_.take_changes())) tell_monitor(message);
}

void IkeProcess::answer(ClientId client, const control::LeasesRequest& /*request*/) {
  control::LeasesReport report;
  PoolTable table(connections_);
  const auto now = static_cast<std::uint64_t>(clock_.wall_seconds());
  for (const auto& lease : address_pools_.pools().leases()) {
    const auto connection = table.count(lease);
    report.leases.push_back({.address = lease.address.to_string(),
                             .identity = lease.peer.to_string(),
                             .connection = connection,
                             .in_use = lease.in_use,
                             .from = lease.in_use ? lease.from.to_string() : std::string(),
                             .since_s = now > lease.last_used_s ? now - lease.last_used_s : 0});
  }
  report.pools = std::move(table).rows();
  done(client, true, "", std::move(report));
}

void IkeProcess::answer(ClientId client, const control::ReleaseLeaseRequest& request) {
  const auto text = request.address.to_string();
  const auto lease = address_pools_.pools().find(request.address);
  if (!lease) return done(client, false, text + " is nobody's: `cygnet leases` shows what is given");
  if (!address_pools_.forget(request.address)) {
    return done(client, false,
                text + " is in use by '" + lease->peer.to_string() + "' at " + lease->from.to_string() +
                    ": take its connection down first (cygnet status names it, cygnet down ends it)");
  }
  keep_leases();
  done(client, true, text + " is free again; it was remembered for '" + lease->peer.to_string() + "'");
}

void IkeProcess::perform(const ike::AddressesAssigned& action) {
  std::erase_if(assigned_,
                [&](const auto& a) { return a.connection == action.connection && a.holder == action.holder; });
  assigned_.push_back(action);
  tell_resolver(action.connection);
}

// The addresses themselves leave the device with the policies that use them.
void IkeProcess::perform(const ike::AddressesWithdrawn& action) {
  std::erase_if(assigned_,
                [&](const auto& a) { return a.connection == action.connection && a.holder == action.holder; });
  tell_resolver(action.connection);
}

// What the newest holder of a connection was told counts.
void IkeProcess::tell_resolver(const std::string& connection) {
  const auto* known = find_connection(connection);
  const auto newest =
      std::ranges::find(assigned_.rbegin(), assigned_.rend(), connection, &ike::AddressesAssigned::connection);
  ResolverRequest request{.connection = connection};
  if (known != nullptr && !known->children.empty()) request.device = known->children.front().device;
  if (newest != assigned_.rend()) {
    request.servers = newest->dns;
    request.domains = newest->domains;
  }
  tell_monitor(request);
}

}  // namespace cygnet::daemon
