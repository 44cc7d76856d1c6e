// SPDX-License-Identifier: Apache-2.0
#pragma once

// Names under which IKE SAs and connections are found again, so that the work of a set-up does not grow with how many
// there are. A name is a hash: whoever looks up compares what he gets, exactly.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/flat_map.h"
#include "base/strong.h"
#include "ike/v2/child_sa.h"
#include "model/identity.h"

namespace cygnet::ike::v2 {

// Equal for identities that match each other.
[[nodiscard]] std::uint64_t hash_of(const model::Identity& identity);

class SaIndex {
 public:
  using Name = std::uint64_t;
  SaIndex();
  [[nodiscard]] static Name of_ends(const model::Identity& local, const model::Identity& remote) {
    return of_ends(hash_of(local), hash_of(remote));
  }
  [[nodiscard]] static Name of_peer(const IpAddress& remote, const model::Identity& local) {
    return of_peer(remote, hash_of(local));
  }
  // With what hash_of() says of the identities.
  [[nodiscard]] static Name of_ends(std::uint64_t local, std::uint64_t remote);
  [[nodiscard]] static Name of_peer(const IpAddress& remote, std::uint64_t local);
  [[nodiscard]] static Name of_address(const IpAddress& remote);
  [[nodiscard]] static Name of_connection(const std::string& name);

  // `names`, which this sorts, are what the SA is known by from now on; `known` what it was known by, and becomes them.
  void rename(IkeSpi spi, std::vector<Name>& known, std::vector<Name>& names);
  // In the order of their SPIs: the order of a hash table must not show in what is done.
  [[nodiscard]] std::vector<IkeSpi> find(Name name) const;
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  // Most names are one SA's.
  struct Named {
    IkeSpi first;
    std::unique_ptr<FlatSet<IkeSpi>> others;
  };
  void insert(Name name, IkeSpi spi);
  void erase(Name name, IkeSpi spi);

  FlatMap<Name, Named> spis_;
  std::size_t size_ = 0;
};

class ConnectionIndex {
 public:
  void rebuild(const std::vector<ConnectionPtr>& connections);
  [[nodiscard]] ConnectionPtr find(const std::string& name) const;
  // In the order of the configuration: all that may expect this identity, and some that do not.
  [[nodiscard]] std::vector<ConnectionPtr> expecting(const model::Identity& peer) const;
  // The first of each kind of proposals and proofs among those whose hosts may have these addresses: with the peer's
  // address before those without, then with ours, then in the order of the configuration.
  [[nodiscard]] std::vector<ConnectionPtr> by_path(const IpAddress& local, const IpAddress& remote) const;

 private:
  struct Placed {
    std::size_t place = 0;
    ConnectionPtr connection;
  };
  // Unset: any address.
  using Addresses = std::pair<std::optional<IpAddress>, std::optional<IpAddress>>;  // remote, local

  std::unordered_map<std::string, ConnectionPtr> by_name_;
  std::map<Addresses, std::vector<ConnectionPtr>> by_addresses_;
  std::unordered_map<std::uint64_t, std::vector<Placed>> by_identity_;  // that expect one identity
  std::vector<Placed> others_;                                          // that expect a pattern, or anyone
};

}  // namespace cygnet::ike::v2
