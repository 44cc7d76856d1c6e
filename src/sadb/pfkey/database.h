// SPDX-License-Identifier: Apache-2.0
#pragma once

// SAs and policies as PF_KEY knows them, kept in step with the engine.
//
// PF_KEY's SAs have no direction: one whose destination is an address of this machine is installed as inbound, one
// whose source is, as outbound (both, on a loopback). One of neither waits until the machine has such an address.
// An outbound SA serves every policy that asks for just it (mode, ends of the tunnel, reqid): these make a group. An
// inbound SA lets through what the `in` and `fwd` policies that ask for it cover (RFC 4301 section 5.2 step 4), in
// tunnel mode nothing else; in transport mode without any such policy all between its two addresses, as in Linux.
#include <map>
#include <set>

#include "base/random.h"
#include "sadb/pfkey/policy_table.h"
#include "sadb/pfkey/sa_table.h"
#include "sadb/pfkey/translate.h"
#include "sadb/pfkey/used_keys.h"

namespace cygnet::sadb {

class PfkeyDatabase {
 public:
  PfkeyDatabase(PfkeyEngine& engine, Random& random) : engine_(engine), random_(random) {}

  // ---- SAs. Drafts carry what a message said.
  // A larval SA with an SPI of [min, max] that nobody has.
  [[nodiscard]] PfkeyResult<PfkeySa*> get_spi(PfkeySa draft, std::uint32_t min, std::uint32_t max, PfkeyTime time);
  [[nodiscard]] PfkeyResult<PfkeySa*> add(PfkeySa draft, PfkeyTime time);
  // A larval one grows up; a grown one gets what the draft says anew, and keeps its counters and age.
  [[nodiscard]] PfkeyResult<PfkeySa*> update(PfkeySa draft, PfkeyTime time);
  void remove(PfkeySa& sa);  // then call tend()
  // Bundles: what was added or removed may change what the engine is told of other SAs.
  void tend(PfkeyTime time) {
    if (std::exchange(terms_stale_, false)) refresh_terms(time);
  }
  // Everything that came over PF_KEY; what ike made is ike's.
  std::size_t flush_sas(wire::pfkey::SaType type = wire::pfkey::SaType::kUnspecified);
  [[nodiscard]] PfkeySaTable& sas() { return sas_; }
  [[nodiscard]] const PfkeySaTable& sas() const { return sas_; }
  [[nodiscard]] wire::pfkey::LifetimeExtension current(const PfkeySa& sa, PfkeyTime time) const;
  // The last sequence number sent or seen.
  [[nodiscard]] std::uint64_t last_sequence(const PfkeySa& sa) const;
  // Where a peer is found now.
  [[nodiscard]] PfkeyResult<> move(PfkeySa& sa, const IpAddress& source, const IpAddress& destination, PfkeyTime time);

  // ---- policies
  [[nodiscard]] PfkeyResult<PfkeyPolicy*> add_policy(PfkeyPolicy draft, bool replace, PfkeyTime time);
  void remove_policy(PfkeyPolicy& policy);
  std::size_t flush_policies();
  [[nodiscard]] PfkeyPolicyTable& policies() { return policies_; }
  [[nodiscard]] const PfkeyPolicyTable& policies() const { return policies_; }
  // The SAs of the policy's only request move from its old ends to new ones; how many.
  [[nodiscard]] PfkeyResult<std::size_t> migrate(PfkeyPolicy& policy, const wire::pfkey::PolicyRequest& from,
                                                 const wire::pfkey::PolicyRequest& to, PfkeyTime time);
  // The outbound policy with this number in the engine.
  [[nodiscard]] PfkeyPolicy* find_policy(model::PolicyId engine_id) {
    return policies_.find(std::uint64_t{engine_id.value & ~kPfkeyPolicy});
  }

  // The machine has other addresses than before: SAs that waited may be wanted.
  void addresses_changed(PfkeyTime time);
  // SAs with a limit on the time since their first use, and whether it is over. Looked at once a second.
  struct UseTime {
    std::uint64_t serial = 0;
    bool hard = false;
  };
  [[nodiscard]] std::vector<UseTime> use_times_over(PfkeyTime time);
  [[nodiscard]] bool watches_use_times() const { return !first_use_.empty(); }

 private:
  // Of outer packets.
  struct Ends {
    IpAddress source, destination;
    auto operator<=>(const Ends&) const = default;
  };
  struct GroupName {
    wire::pfkey::SaType type{};
    model::Mode mode{};  // of what policies see: an ESP SA in transport mode around an IPComp tunnel is a tunnel
    Ends ends;           // transport: no addresses
    std::uint32_t reqid = 0;
    auto operator<=>(const GroupName&) const = default;
  };
  struct Group {
    model::PolicyId id;
    std::set<std::uint64_t> sas;       // outbound ones in the engine
    std::set<std::uint64_t> policies;  // outbound ones that protect
    std::set<std::uint64_t> optional;  // those of them with level use
  };
  struct Watched {
    std::int64_t first_wall_s = 0;
    bool soft_told = false;
  };

  [[nodiscard]] static Ends ends_of(const PfkeySa& sa);
  [[nodiscard]] static GroupName group_name(const PfkeySa& sa);
  [[nodiscard]] static GroupName group_name(const PfkeyPolicy& policy);
  [[nodiscard]] static GroupName ah_group_name(const PfkeyPolicy& policy);
  [[nodiscard]] static Ends ends_of(const PfkeyPolicy& policy);
  Group& group(const GroupName& name);
  void tidy_group(const GroupName& name);
  [[nodiscard]] PfkeyResult<> check_room(const PfkeySa& draft);
  [[nodiscard]] PfkeyResult<> check(const PfkeySa& draft) const;
  [[nodiscard]] PfkeyResult<> check_spi(Spi spi) const;  // of an inbound SA
  static void inherit(PfkeySa& draft, const PfkeySa& old);
  [[nodiscard]] PfkeyResult<> bring_in(PfkeySa& sa, PfkeyTime time);
  // After an update that the engine refused. carried: as it was, with all that it has carried counted.
  void put_back(PfkeySa& sa, PfkeySa before, PfkeySa carried, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> place(PfkeySa& sa, Instant now);
  [[nodiscard]] PfkeyResult<> place_inbound(PfkeySa& sa, Instant now);
  [[nodiscard]] PfkeyResult<> place_outbound(PfkeySa& sa, Instant now);
  void displace(PfkeySa& sa);
  void take_out(PfkeySa& sa);  // without a look at its counters
  void leave_group(PfkeySa& sa);
  void leave_group(const GroupName& name, std::uint64_t policy);
  void remember_counters(PfkeySa& sa);
  void unindex(const PfkeySa& sa);
  void watch_use(const PfkeySa& sa);
  void allow(model::SaSpec& spec, const PfkeySa& sa) const;
  [[nodiscard]] PfkeyTerms terms_of(const PfkeySa& sa) const;
  void leave_groups(const PfkeyPolicy& policy);
  void note_special(const PfkeyPolicy& policy);
  void refresh_terms(PfkeyTime time);
  [[nodiscard]] static bool is_ready(const PfkeySa& sa, const PfkeyTerms& terms);
  void refresh_inbound(const PfkeyPolicy& policy);
  void refresh_inbound(PfkeySa& sa);
  [[nodiscard]] PfkeyResult<> install(PfkeyPolicy& policy);
  void uninstall(PfkeyPolicy& policy);
  void refresh_use(const Group& group);
  void say_of_clear_text(const PfkeyPolicy& policy, bool wanted);
  [[nodiscard]] bool protects_now(const PfkeyPolicy& policy) const;
  [[nodiscard]] static bool asks_for(const PfkeyPolicy& policy, const PfkeySa& sa);
  void index_inbound(const PfkeyPolicy& policy, bool add);

  PfkeyEngine& engine_;
  Random& random_;
  PfkeySaTable sas_;
  PfkeyPolicyTable policies_;
  std::map<GroupName, Group> groups_;
  std::map<std::pair<Ends, std::uint64_t>, PfkeySa*> sas_by_ends_;
  std::set<std::pair<Ends, std::uint64_t>> inbound_policies_;  // in and fwd, by the ends they ask for
  std::set<std::uint64_t> wide_inbound_policies_;              // transport, of more than one host
  std::set<std::uint64_t> special_policies_;                   // bundles, IPComp, BEET
  bool terms_stale_ = false;
  std::map<std::uint64_t, Watched> first_use_;
  UsedKeys used_keys_;
  std::uint32_t next_group_ = 1;
  std::uint32_t next_reqid_ = wire::pfkey::kMaxManualReqid + 1;
};

}  // namespace cygnet::sadb
