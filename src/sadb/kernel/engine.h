// SPDX-License-Identifier: Apache-2.0
#pragma once

// The kernel's IPsec as an engine: what ike asks of our own engine, carried out with messages of NETLINK_XFRM, and what
// the kernel tells, as the events that ike knows. Pure but for the port, which takes a message to the kernel.
//
// What the kernel does not have is made up for here:
//  - standby: an outbound SA is not given to the kernel before the inbound one of its child is in use (the kernel sends
//    under the newest SA at once);
//  - several of our policies with one selector: the kernel has the one that is looked at first;
//  - compression (compression.h): the kernel has IPComp as an SA of its own, inside that of ESP;
//  - reqids: connection, child and selectors are one number, which ties policies to the SAs of their children.
#include <cstdint>
#include <deque>
#include <expected>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/time.h"
#include "sadb/backend.h"
#include "sadb/kernel/translate.h"
#include "wire/xfrm/message.h"

namespace cygnet::sadb::kernel {

// reqids of ours: so that what is left of an earlier daemon is told from what others put there.
inline constexpr std::uint32_t kReqidBase = 0x43500000U;
inline constexpr std::uint32_t kReqidMask = 0x000fffffU;
// And the indices of our policies, whose last three bits are the direction.
inline constexpr std::uint32_t kIndexBase = 0x43500000U;

// Policies that others write over are put back at once so often between two calls of on_timer().
inline constexpr unsigned kMostAtOnce = 8;

// More connections than there are numbers for.
inline constexpr std::string_view kNoReqid =
    "all numbers that tie policies to SAs in the kernel are in use: fewer connections, or engine=user";

struct KernelError {
  int number = 0;    // errno
  std::string text;  // the kernel's own words, if it had any
};

class KernelPort {
 public:
  virtual ~KernelPort() = default;
  // Asks, and waits for the answer: the messages that came, without acknowledgement and end.
  [[nodiscard]] virtual std::expected<std::vector<wire::xfrm::Message>, KernelError> ask(
      const wire::xfrm::Message& message) = 0;
  // Removes an SA. Among what comes back is, if the kernel tells it, a DELSA with its last state: nothing was counted
  // under the SA after that.
  [[nodiscard]] virtual std::expected<std::vector<wire::xfrm::Message>, KernelError> remove(
      const wire::xfrm::Message& message) {
    return ask(message);
  }
  // How many reqids of ours there are in its language.
  [[nodiscard]] virtual std::uint32_t reqids() const { return kReqidMask; }
  // Which network interface has this address, for nic-offload=. 0: none, or it is not known.
  [[nodiscard]] virtual std::uint32_t interface_of(const IpAddress& /*local*/) { return 0; }
};

// The kernel counts in seconds since 1970, we in our own time.
struct Moment {
  Instant now{};
  std::uint64_t wall_s = 0;
};

class KernelEngine {
 public:
  // mark: of our own outer packets.
  KernelEngine(KernelPort& port, std::uint32_t mark) : port_(port), mark_(mark) {}

  // Before anything else. Neighbour discovery is let through (RFC 4861 messages would otherwise wait for the SA that
  // cannot come without them). What an earlier daemon left, which was killed, goes on carrying packets: policies with
  // the same selectors take it over with its reqid, and it goes when an SA of ours is there in its place, or after a
  // while.
  [[nodiscard]] Result<void> begin(const Moment& at);
  // Everything of ours leaves the kernel.
  void end();

  [[nodiscard]] Result<void> install_sa(const model::SaSpec& spec, const Moment& at);
  [[nodiscard]] Result<void> remove_sa(model::Direction direction, Spi spi, model::ChildId child);
  [[nodiscard]] Result<void> activate(model::ChildId child, const Moment& at);
  [[nodiscard]] Result<void> update_endpoints(model::ChildId child, const Endpoint& local, const Endpoint& remote,
                                              bool udp_encapsulation, std::uint32_t keepalive_s);
  [[nodiscard]] Result<void> install_policy(const model::PolicySpec& spec);
  [[nodiscard]] Result<void> remove_policy(model::PolicyId id);

  [[nodiscard]] Dump dump(bool with_keys, const Moment& at);
  [[nodiscard]] std::vector<Usage> usage(const std::vector<Spi>& spis, const Moment& at);
  [[nodiscard]] Statistics statistics(const Moment& at);
  [[nodiscard]] Explanation explain(const model::TrafficSelector& local, const model::TrafficSelector& remote,
                                    const Moment& at);

  // What the kernel tells by itself, and what others did there; not what this engine asked for. put_back() comes after.
  void on_message(const wire::xfrm::Message& message);
  // Some of it was lost.
  void on_messages_lost() { sas_unsure_ = policies_unsure_ = true; }
  // What others took away: policies are set again, SAs have expired (their sequence numbers are not known any more).
  // Where the kernel does not answer, nothing is believed to be gone, and on_timer() asks again.
  struct PutBack {
    std::size_t policies = 0, sas = 0;
    std::size_t overwritten = 0;  // policies with selectors of ours that said something else
    std::size_t taken = 0;        // policies that the kernel has refused before
  };
  PutBack put_back();
  // Standby SAs whose time has come, inherited ones whose time is over, and policies that the kernel has refused. And
  // put_back().
  PutBack on_timer(const Moment& at);
  [[nodiscard]] bool has_standby() const { return !standby_.empty(); }
  [[nodiscard]] std::deque<Event>& events() { return events_; }
  // Peers behind whose NAT a mapping is to be kept open, and how often.
  struct Keepalive {
    Endpoint local, remote;
    std::uint32_t every_s = 0;
    auto operator<=>(const Keepalive&) const = default;
  };
  [[nodiscard]] std::set<Keepalive> keepalives() const;

 private:
  // Inbound SAs are told apart by SPI, outbound ones by SPI and peer.
  using SaKey = std::tuple<model::Direction, IpAddress, Spi>;
  struct Held {
    model::SaSpec spec;
    std::uint32_t reqid = 0;
    Instant installed{};
    bool standby = false;  // not given to the kernel yet
  };
  using Answer = std::expected<std::vector<wire::xfrm::Message>, KernelError>;
  // What a policy of the kernel's is known by: direction, and selector and reach as octets.
  using Slot = std::pair<std::uint8_t, Bytes>;
  struct Owner {
    std::uint32_t order = 0;
    model::PolicyId id;
    auto operator<=>(const Owner&) const = default;
  };
  struct Owners {
    wire::xfrm::Selector selector;  // outbound
    Reach reach;
    std::uint32_t index = 0;
    std::set<Owner> list;  // the first one is in the kernel
  };
  struct HeldPolicy {
    model::PolicySpec spec;
    std::uint32_t reqid = 0;
    std::vector<Slot> slots;
  };
  using Subject = std::tuple<std::string, std::string, model::TrafficSelectors, model::TrafficSelectors>;
  struct InheritedSa {
    wire::xfrm::SaId id;
    Reach reach;
    std::uint32_t reqid = 0;
    Instant until{};
  };
  struct InheritedPolicy {
    wire::xfrm::PolicyId id;
    Reach reach;
    std::uint32_t reqid = 0;  // 0: it has no SAs
  };
  struct Reqid {
    std::uint32_t number = 0;
    std::size_t users = 0;
  };

  [[nodiscard]] static SaKey key_of(const model::SaSpec& spec);
  // 0: all of them are in use.
  [[nodiscard]] std::uint32_t use_reqid(Subject subject);
  [[nodiscard]] std::uint32_t free_reqid();
  void leave_reqid(const Subject& subject);
  [[nodiscard]] Result<void> give_to_kernel(const Held& held);
  void forget(std::map<SaKey, Held>::iterator it);
  void expire(std::map<SaKey, Held>::iterator it);
  [[nodiscard]] Held* find_sa(model::Direction direction, Spi spi, model::ChildId child);
  [[nodiscard]] bool can_migrate(const model::SaSpec& spec, const wire::xfrm::Message& fresh);
  [[nodiscard]] Result<void> move(const Held& old, const Held& fresh);
  [[nodiscard]] Result<void> move_to_other_ends(const Held& old, const Held& fresh, wire::xfrm::Message message);
  [[nodiscard]] Result<void> replace(const Held& old, const Held& fresh, wire::xfrm::Message message);
  [[nodiscard]] Result<void> move_all(const std::vector<std::pair<Held, Held>>& moves);  // from, to
  [[nodiscard]] Result<void> refresh(const Slot& slot);
  [[nodiscard]] wire::xfrm::Message wanted_in(const Slot& slot, const Owners& owners) const;
  [[nodiscard]] std::uint32_t new_index(std::uint8_t direction);
  void leave_slots(HeldPolicy& policy);
  [[nodiscard]] const model::PolicySpec* policy_of(const wire::xfrm::PolicyInfo& info, const Reach& reach) const;
  void remove_leftovers();
  void look_at_standby(const Moment& at);
  [[nodiscard]] Result<void> inherit(const Moment& at);
  [[nodiscard]] std::uint32_t inherited_reqid(const Subject& subject) const;
  // The policies of an outbound SA go into the card that took it, or come out of there. And they have the form that was
  // agreed on for the newest SA of their direction.
  void suit_policies(const Held& held);
  [[nodiscard]] bool changes_card(const Held& held);
  [[nodiscard]] bool changes_form(const Held& held);
  void let_inherited_go(std::uint32_t reqid, const Moment& at);
  void take_over(std::uint8_t direction, const wire::xfrm::Selector& selector, const Reach& reach);
  void remove_inherited(const Moment& at);
  void on_expire(const wire::xfrm::SaExpire& expire);
  void on_acquire(const wire::xfrm::Acquire& acquire, const Reach& reach);
  void on_mapping(const wire::xfrm::Mapping& mapping);
  void on_removed(const wire::xfrm::SaId& id);
  void on_policy(const wire::xfrm::Message& message);
  void look_for_sas(PutBack& found);
  void look_for_policies(PutBack& found);
  void ask_for_refused(PutBack& found);
  // All SAs of the kernel, by direction-less name: destination, SPI, protocol. Nothing: it did not say.
  using SaName = std::tuple<IpAddress, Spi, std::uint8_t>;
  using Known = std::map<SaName, wire::xfrm::Message>;
  [[nodiscard]] static SaName name_in_kernel(const model::SaSpec& spec);
  [[nodiscard]] std::optional<Known> ask_all();
  [[nodiscard]] static model::SaCounters counters_of(const Held& held, const wire::xfrm::Message* state,
                                                     const Moment& at);

  KernelPort& port_;
  std::uint32_t mark_;
  std::map<SaKey, Held> sas_;
  std::map<model::ChildId, std::set<SaKey>> of_child_;
  std::set<SaKey> standby_;
  std::map<model::PolicyId, HeldPolicy> policies_;
  std::map<Slot, Owners> slots_;
  std::map<Subject, Reqid> reqids_;
  std::vector<wire::xfrm::Message> neighbour_discovery_;  // its policies
  std::size_t removed_by_others_ = 0;                     // SAs, since put_back()
  std::optional<bool> migrates_;                          // the kernel has MIGRATE_STATE
  bool sas_unsure_ = false;                               // others may have taken some away
  bool policies_unsure_ = false;
  std::set<Slot> refused_;    // the kernel has not what is wanted there; on_timer() asks again
  unsigned overwritten_ = 0;  // times that others did so, since on_timer()
  std::set<std::uint32_t> used_reqids_;
  std::map<std::uint32_t, std::uint32_t> cards_;  // by reqid: the interface that takes whole packets
  std::map<std::pair<std::uint32_t, model::Direction>, Form> forms_;  // by reqid, of the newest SA; others are plain
  std::vector<InheritedSa> inherited_sas_;
  std::vector<InheritedPolicy> inherited_policies_;  // not taken over yet
  Instant inherited_until_{};
  std::uint32_t next_reqid_ = 0;
  std::uint32_t next_index_ = 0;
  std::deque<Event> events_;
  Statistics gone_;  // counters of SAs that are no more
};

// Whether the kernel's policy does what is wanted.
[[nodiscard]] bool says_the_same(const wire::xfrm::Message& wanted, const wire::xfrm::Message& there);

// Whether a policy that was removed is one of ours (the kernel tells all of it).
[[nodiscard]] bool is_one_of_ours(const wire::xfrm::Message& removed);

// Whether the kernel takes SAs of these algorithms: by having it take one, to an address of its own, and removing it.
[[nodiscard]] Result<void> probe(KernelPort& port, const model::SaSpec& spec);

}  // namespace cygnet::sadb::kernel
