// SPDX-License-Identifier: Apache-2.0
#pragma once

// Names, %defaultroute and %any of the configuration become addresses; connections learn which end is ours.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "io/event_loop.h"
#include "io/rtnetlink.h"
#include "model/connection.h"

namespace cygnet::daemon {

// All addresses of a name, as the system's resolver orders them. Blocks: for a pool.
[[nodiscard]] std::vector<IpAddress> look_up_all(const std::string& name);

// For where model::orient() fails, perhaps because an address is not there yet: what is protected is known by then.
// Ours is the end whose networks hold an address of this machine, the narrower of two that do; else left.
void orient_by_networks(model::Connection& connection, const std::vector<IpAddress>& own_addresses);

class Hosts {
 public:
  using LookUp = std::function<std::vector<IpAddress>(const std::string&)>;  // all of a name; blocks
  // `pool` is for names alone: a resolver that does not answer holds up nothing else.
  Hosts(io::EventLoop& loop, io::WorkPool& pool, io::RouteSocket netlink, model::Setup setup);
  Hosts(io::EventLoop& loop, io::WorkPool& pool, io::RouteSocket netlink, model::Setup setup, LookUp look_up);
  ~Hosts();
  Hosts(const Hosts&) = delete;
  Hosts& operator=(const Hosts&) = delete;

  // Looks all names of the connections up (again), then calls `done` once, at the latest after a few seconds; answers
  // that come later count all the same.
  void resolve(const std::vector<model::Connection>& connections, std::function<void()> done = {});
  // orient() would say something else than before: a name has another address, or has none though it was asked for.
  // Told for all that comes within a moment together, and before `done` of whoever asked.
  void on_changed(std::function<void()> changed) { changed_ = std::move(changed); }
  // Where a connection's tunnel led when ike was another process: for names that nobody has an answer for, and for
  // addresses of ours that are not there at this moment.
  void recall(const model::Connection& connection, const IpAddress& local, const IpAddress& remote);

  // Every connection is in one of the two lists. What they protect is held back whichever it is in: only what begins
  // and answers is taken from those that wait.
  struct Oriented {
    std::vector<model::Connection> connections;   // ready for the IKE endpoint
    std::map<std::string, std::string> unusable;  // name -> why
    std::vector<model::Connection> waiting;  // of those names; their ends are in their places, as far as can be told
    std::set<std::string> asking;  // of those names: where somebody is being asked for an address for the first time

    // More that cannot be used.
    void set_aside(const std::map<std::string, std::string>& why);
    // Whose policies are to be there.
    [[nodiscard]] std::vector<model::Connection> holding() const;
  };
  [[nodiscard]] Oriented orient(std::vector<model::Connection> connections);
  // Of some connections, beside those that orient() was given; `gone` are no more.
  [[nodiscard]] Oriented orient_some(std::vector<model::Connection> connections, const std::vector<std::string>& gone);

  // Addresses of this machine that are not on one of our devices.
  [[nodiscard]] std::vector<IpAddress> own_addresses();
  // What packets to the Internet leave from: one address for each family that has a default route.
  [[nodiscard]] std::vector<IpAddress> default_sources();
  [[nodiscard]] Result<io::Route> route_to(const IpAddress& destination, const std::optional<IpAddress>& source,
                                           std::uint32_t mark) {
    return netlink_.route_to(destination, source, mark);
  }
  [[nodiscard]] Result<io::Route> forwarded_to(const IpAddress& destination, const IpAddress& source) {
    return netlink_.forwarded_to(destination, source);
  }
  [[nodiscard]] std::string device_name(int index);

 private:
  struct Lookup;
  void on_answer(const std::string& name, const std::vector<IpAddress>& addresses);
  void note_changed();
  void tell_changed();
  // A name of the connection's without an address, of which nobody has said yet that there is none.
  [[nodiscard]] const std::string* being_asked_for(const model::Connection& connection) const;
  // As written in the configuration, and as it was when its addresses were last known.
  struct Last {
    model::Connection written, oriented;
  };
  void orient_into(Oriented& out, model::Connection written, const std::vector<IpAddress>& own,
                   std::map<std::string, Last>& known);
  void fill(model::HostSpec& host, const model::HostSpec& peer);
  // On failure the connection is as far as it came; oriented says whether its ends are in their places.
  [[nodiscard]] Result<void> orient_one(model::Connection& connection, const std::vector<IpAddress>& own,
                                        bool& oriented);
  void fill_names(model::Connection& connection);
  // Where a name of the oriented connection's peer leads: to the first of its addresses that can be, and where that
  // does not answer to the others (right=a,b).
  void fill_peer(model::Connection& connection, const std::vector<IpAddress>& own);
  [[nodiscard]] std::vector<IpAddress> ways_to(const std::string& name, const model::HostSpec& from,
                                               const std::vector<IpAddress>& own);
  [[nodiscard]] std::optional<model::Connection> as_before(const model::Connection& written) const;

  io::EventLoop& loop_;
  io::WorkPool& pool_;
  io::RouteSocket netlink_;
  model::Setup setup_;
  LookUp look_up_;
  std::map<std::string, std::vector<std::shared_ptr<Lookup>>> asked_;  // names under way, and who waits for them
  std::set<std::string> in_vain_;                                      // names without an address, as far as is known
  std::map<std::string, std::vector<IpAddress>> names_;                // none without an address
  std::function<void()> changed_;
  bool untold_ = false;  // something changed
  io::EventLoop::TimerId telling_ = 0;
  Duration pause_;                    // until that is told
  std::map<std::string, Last> last_;  // by connection
};

}  // namespace cygnet::daemon
