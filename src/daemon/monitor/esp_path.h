// SPDX-License-Identifier: Apache-2.0
#pragma once

// esp-path=xdp: lets the engine send and receive plain ESP past the kernel's stack. For each way that the engine asks
// about, the route and the neighbour are looked up here and told whenever they change; an interface that such a route
// leaves by gets a program (io/xdp_program) and sockets (io/xdp_port), which are the engine's from then on. Whatever
// cannot be had, or is not known yet, goes by the raw socket: nothing depends on what stands here.
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "daemon/role_messages.h"
#include "io/event_loop.h"
#include "io/rtnetlink.h"
#include "io/xdp_port.h"
#include "io/xdp_program.h"

namespace cygnet::daemon {

class EspPath {
 public:
  static constexpr std::size_t kMostInterfaces = 4;
  static constexpr std::uint32_t kMostQueues = 8;
  struct Settings {
    std::uint32_t mark = 0;         // of our own packets: routes are looked up with it
    std::uint32_t kernel_spis = 0;  // bits of SPIs that stay with the kernel
  };
  using Tell = std::function<void(const FromMonitor&, std::vector<io::UniqueFd>)>;  // to the engine

  EspPath(io::EventLoop& loop, Settings settings, Tell tell, Logger& log);
  ~EspPath();
  EspPath(const EspPath&) = delete;
  EspPath& operator=(const EspPath&) = delete;

  [[nodiscard]] Result<void> open();
  void on_engine_started();  // it knows nothing, and the sockets of the last one are gone
  void on_wanted(const WantNextHops& wanted);
  void on_network_changed();

 private:
  using Way = WantNextHops::Way;
  struct Hop {
    NextHop told;
    int device = 0;
    IpAddress via;  // the neighbour
  };
  struct Interface {
    io::EspDiversion diversion;
    io::Link link;
    io::XdpShape shape;
  };
  void look_around();
  [[nodiscard]] Hop resolve(const Way& way);
  void resolve_all();
  void tell(std::vector<NextHop>& hops);
  [[nodiscard]] bool attach(int device);
  [[nodiscard]] Result<void> attach(const io::Link& link);
  [[nodiscard]] Result<std::vector<io::UniqueFd>> open_queues(const io::Link& link, io::EspDiversion& diversion,
                                                              const io::XdpShape& shape);
  void detach(int device);
  void try_again_soon();
  void on_neighbours();

  io::EventLoop& loop_;
  Settings settings_;
  Tell tell_;
  Logger& log_;
  std::vector<io::RouteSocket> netlink_;  // one, once opened
  io::UniqueFd neighbours_;
  std::map<int, io::Link> links_;
  std::set<IpAddress> addresses_;
  std::map<int, Interface> interfaces_;
  std::map<int, std::string> refused_;  // why an interface stays with sockets
  std::map<Way, Hop> hops_;
  int tries_ = 0;
  bool trying_ = false;
  bool told_full_ = false;
};

}  // namespace cygnet::daemon
