// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which policies the engine shall have: one for each child that must be protected even before it is up (ondemand,
// start), one for each CHILD_SA whose selectors no other policy has, and what may pass beside them. Pure.
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/connection.h"
#include "model/sa_spec.h"

namespace cygnet::policy {

// What to change in the engine: install first, then remove.
struct Changes {
  std::vector<model::PolicySpec> install;
  std::vector<model::PolicySpec> remove;
  void append(Changes other);
};

// The narrower a policy, the earlier it is looked at, as people expect of routes. Kinds apart, and who stands back,
// only where widths are equal.
[[nodiscard]] std::uint32_t order_of(const model::TrafficSelectors& local, const model::TrafficSelectors& remote,
                                     bool acquire, bool stands_back = false);

// Whether the questions for the names of the connection's ends pass by what it holds back. Where they do not, a
// connection that takes everything must hold nothing as long as it asks.
using AsksBeside = std::function<bool(const model::Connection&)>;

// What a child protects, as far as it is known before negotiation; empty where it is not (an unknown peer address).
[[nodiscard]] model::TrafficSelectors local_selectors(const model::Connection& connection, const model::Child& child,
                                                      bool asks_beside);
[[nodiscard]] model::TrafficSelectors remote_selectors(const model::Connection& connection, const model::Child& child);

// It takes everything, holds it back, and has an end with a name: the questions for that are among what it holds.
[[nodiscard]] bool holds_its_questions(const model::Connection& connection);
// The same, of what is held when its peer has died.
[[nodiscard]] bool holds_its_questions_when_dead(const model::Connection& connection);

class PolicyTable {
 public:
  explicit PolicyTable(AsksBeside asks_beside = [](const model::Connection&) { return false; })
      : asks_beside_(std::move(asks_beside)) {}
  // The policies (and children using them) the engine still has from an earlier ike. Call before anything else.
  void adopt(const std::vector<model::PolicySpec>& policies, const std::vector<model::SaSpec>& sas);
  // The configuration, oriented. What adopt() brought and nothing needs any more is removed with the first call.
  [[nodiscard]] Changes configure(const std::vector<model::Connection>& connections);
  // The same where only some connections are other than they were; `gone` are no more.
  [[nodiscard]] Changes reconfigure(const std::vector<model::Connection>& changed,
                                    const std::vector<std::string>& gone);
  // A child of auto=add whose peer is dead holds packets as one of auto=ondemand does, until it is released: it is up
  // again, or nobody wants it any more. A reload keeps it, and so does adopt().
  [[nodiscard]] Changes hold(const model::Connection& connection, const std::string& child);
  [[nodiscard]] Changes release(const std::string& connection, const std::string& child);  // child empty: all of them
  [[nodiscard]] bool is_held(const std::string& connection) const {                        // any child of it
    const auto held = held_.lower_bound({connection, {}});
    return held != held_.end() && held->first == connection;
  }
  // An outbound SA is to be installed: the policy it shall serve.
  [[nodiscard]] std::pair<model::PolicyId, Changes> on_sa_installing(const model::SaSpec& sa);
  [[nodiscard]] Changes on_sa_removed(model::ChildId child);
  // What this policy holds packets for cannot be brought up: another one with the same selectors is asked next. Nothing
  // where no usable connection has one, or one is up.
  [[nodiscard]] Changes pass_on(model::PolicyId id, const std::function<bool(const std::string& connection)>& usable);

  [[nodiscard]] const model::PolicySpec* find(model::PolicyId id) const;
  // The children whose SAs it serves now.
  [[nodiscard]] std::vector<model::ChildId> children_of(model::PolicyId id) const;
  [[nodiscard]] std::vector<const model::PolicySpec*> all() const;
  // Those that hold packets for this child.
  [[nodiscard]] std::vector<model::PolicyId> acquiring(const std::string& connection, const std::string& child) const;

 private:
  using Key =
      std::tuple<std::string, std::string, model::TrafficSelectors, model::TrafficSelectors, model::PolicyAction>;
  struct Entry {
    model::PolicySpec spec;
    bool configured = false;         // there while the configuration says so
    std::set<model::ChildId> users;  // there while an SA uses it
    bool stands_back = false;        // another one has the same selectors and goes before
  };
  // Policies with the same selectors are for the same packets, of different peers that stand in for each other. The
  // first of them leads: one that has an SA before one that has none, and the one that led before others.
  struct Rank {
    const model::PolicySpec* spec;
    bool idle = false, stands_back = false;
    model::PolicyId id;
    [[nodiscard]] auto selectors() const { return std::tie(spec->device, spec->local, spec->remote); }
    bool operator<(const Rank& other) const;
  };
  [[nodiscard]] static Key key_of(const model::PolicySpec& spec);
  // Finds or makes the entry; a new or different one is put into changes.
  Entry& need(model::PolicySpec spec, Changes& changes);
  void need_clear_remainder(const model::PolicySpec& spec, bool configured, std::optional<model::ChildId> user,
                            Changes& changes);
  using Place = std::map<Key, Entry>::iterator;
  void configure_one(const model::Connection& given, Changes& changes);
  // The connection with its held children as of auto=ondemand; empty: it has none.
  [[nodiscard]] std::optional<model::Connection> as_held(const model::Connection& connection);
  [[nodiscard]] std::pair<Place, Place> of_connection(const std::string& name);
  void remove_unneeded(Place first, Place last, Changes& changes);
  Place erase(Place it);
  [[nodiscard]] static Rank rank_of(const Entry& entry);
  void line_up(Entry& entry);
  void step_out(const Entry& entry);
  // The first of those from this rank on that has its selectors; null: none.
  [[nodiscard]] Entry* twin_from(const Rank& rank) const;
  void stand_back(Entry& entry, bool back, Changes& changes);
  // One of those with these selectors leads.
  void choose_leader(const model::PolicySpec& spec, Changes& changes);
  void reorder(Entry& entry, Changes& changes);
  [[nodiscard]] model::PolicyId new_id();

  AsksBeside asks_beside_;
  std::map<Key, Entry> entries_;
  std::unordered_map<model::PolicyId, Entry*> by_id_;
  std::map<Rank, Entry*> lined_up_;  // those that protect
  std::unordered_map<model::ChildId, std::vector<model::PolicyId>> used_by_;
  std::set<std::pair<std::string, std::string>> held_;  // connection, child
  std::uint32_t next_id_ = 1;
  bool adopted_ = false;  // from an ike that may have died before it had said all
};

}  // namespace cygnet::policy
