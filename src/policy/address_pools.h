// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who has which address of the pools. An identity gets the address it had before, and a new one gets the address its
// name leads to: the same one in every life of the daemon, as long as nobody else sits there. Pure.
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "model/connection.h"

namespace cygnet::policy {

struct Lease {
  IpAddress address;
  model::Identity peer;
  IpAddress from;                 // outer address of the last holder
  bool in_use = false;            // else it is only remembered for this peer
  std::uint64_t last_used_s = 0;  // wall clock: given, or given back
};

// How many addresses; at most 2^32.
[[nodiscard]] std::uint64_t size_of(const IpRange& range);

class AddressPools {
 public:
  // How many addresses are remembered for peers that are away; the longest unused one is forgotten first.
  static constexpr std::size_t kMostRemembered = 200'000;

  // Addresses that belong to one identity by configuration (a pool of one in a connection with rightid=) are given to
  // nobody whom no such rightid= covers. What is written inside of a larger pool as a network behind a peer, and `own`,
  // this machine's addresses, are given to nobody. Leases stay.
  void configure(const std::vector<model::Connection>& connections, const std::vector<IpAddress>& own = {});

  struct Question {
    const std::vector<model::AddressPool>& pools;
    const model::Identity& peer;
    IpAddress from;
    Family family{};
    std::optional<IpAddress> wish;
    std::uint64_t holder = 0;
  };
  // Two holders share an address if they are one peer at one place (make before break), or if nothing else is left for
  // that peer.
  [[nodiscard]] Result<IpAddress> assign(const Question& question);
  void claim(const model::Identity& peer, const IpAddress& from, const IpAddress& address, std::uint64_t holder);
  void release(const IpAddress& address, std::uint64_t holder);
  // Forgets whom an address was for. False: it is in use, or nobody's.
  [[nodiscard]] bool forget(const IpAddress& address);
  // From an earlier life, the longest unused first: whose the address was. What is known already stays.
  void remember(const IpAddress& address, const model::Identity& peer, std::uint64_t last_used_s);
  // What the leases are dated with from now on.
  void set_wall_clock(std::uint64_t seconds) { wall_s_ = seconds; }

  // From the first call on: the addresses whose lease has changed since the call before, to be kept somewhere.
  [[nodiscard]] std::vector<IpAddress> take_changes();
  [[nodiscard]] std::optional<Lease> find(const IpAddress& address) const;

  [[nodiscard]] std::vector<Lease> leases() const;  // by address
  [[nodiscard]] std::size_t in_use() const { return entries_.size() - away_.size(); }

 private:
  struct Entry {
    model::Identity peer;
    std::string key;
    IpAddress from;
    std::vector<std::uint64_t> holders;  // empty: away
    std::uint64_t away_since = 0;        // place in away_
    std::uint64_t last_used_s = 0;
  };
  enum class Known : std::uint8_t { kAway, kInUse };
  void set_apart(const std::vector<model::Connection>& connections, const std::vector<IpAddress>& own);
  [[nodiscard]] bool is_set_apart(const IpAddress& address) const;
  [[nodiscard]] bool is_reserved_for_other(const IpAddress& address, const model::Identity& peer) const;
  [[nodiscard]] bool is_in_use(const IpAddress& address) const;
  [[nodiscard]] std::optional<IpAddress> find_wished(const Question& q, const std::string& key) const;
  // Of the addresses that were this identity's.
  [[nodiscard]] std::optional<IpAddress> find_known(const Question& q, const std::string& key, Known which) const;
  [[nodiscard]] std::optional<IpAddress> find_free(const IpRange& range, const Question& q, const std::string& key,
                                                   bool forget_others);
  // How many addresses of these pools an identity has in use, and how many it may have before it shares them: a quarter
  // of all, two at least and 16 at most.
  [[nodiscard]] std::uint64_t held_by(const Question& q, const std::string& key) const;
  [[nodiscard]] static std::uint64_t fair_share(const Question& q);
  void hold(const IpAddress& address, const model::Identity& peer, const IpAddress& from, std::uint64_t holder);
  void drop(IpAddress address);
  void put_away(const IpAddress& address, Entry& entry);
  void note_change(const IpAddress& address) {
    if (keeps_changes_) changed_.insert(address);
  }
  static Lease lease_of(const IpAddress& address, const Entry& entry);

  std::unordered_map<IpAddress, Entry> entries_;
  std::unordered_map<std::string, std::vector<IpAddress>> of_peer_;
  std::map<std::uint64_t, IpAddress> away_;  // the longest away first
  std::unordered_map<IpAddress, std::vector<model::Identity>> reserved_;
  std::map<IpAddress, IpAddress> apart_;      // first and last of what no pool gives, apart from each other
  std::map<IpRange, std::uint64_t> full_at_;  // as of which change a range had nothing left
  std::uint64_t changes_ = 1;
  std::uint64_t wall_s_ = 0;
  bool keeps_changes_ = false;
  std::set<IpAddress> changed_;
};

}  // namespace cygnet::policy
