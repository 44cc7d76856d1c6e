// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/hosts.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <set>
#include <utility>

#include "daemon/engine_plan.h"
#include "io/outer_socket.h"

namespace cygnet::daemon {

namespace {

constexpr Duration kPatience = std::chrono::seconds(3);
constexpr Duration kMoment = std::chrono::milliseconds(200);  // for other answers to come

constexpr std::size_t kMostOfName = 8;  // addresses; each takes its time to be given up

// Whoever answers changes the order from one time to the next: what is known keeps its place. RFC 8305 section 4: a
// family that fails as a whole is not to be tried through before the other one, so they take turns.
std::vector<IpAddress> arranged(const std::vector<IpAddress>& known, const std::vector<IpAddress>& answer) {
  const auto has = [](const std::vector<IpAddress>& list, const IpAddress& address) {
    return std::ranges::find(list, address) != list.end();
  };
  std::vector<IpAddress> left;
  for (const auto& address : known) {
    if (has(answer, address)) left.push_back(address);
  }
  for (const auto& address : answer) {
    if (!has(left, address)) left.push_back(address);
  }
  std::vector<IpAddress> out;
  while (!left.empty() && out.size() < kMostOfName) {
    const auto other = std::ranges::find_if(
        left, [&](const IpAddress& address) { return out.empty() || address.family() != out.back().family(); });
    const auto next = other == left.end() ? left.begin() : other;
    out.push_back(*next);
    left.erase(next);
  }
  return out;
}

// Who the peer is must not depend on where it answers, nor what is protected.
bool may_be_elsewhere(const model::Connection& connection) {
  const auto& peer = connection.remote;
  const bool named = peer.id || peer.id_any || !peer.certificate.empty() ||
                     (peer.auth == model::AuthMethod::kSignature && peer.public_key.empty());
  return named && std::ranges::none_of(connection.children, [](const auto& child) { return child.remote.empty(); });
}

}  // namespace

std::vector<IpAddress> look_up_all(const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  std::vector<IpAddress> found;
  if (::getaddrinfo(name.c_str(), nullptr, &hints, &list) != 0) {
    return found;
  }
  for (const addrinfo* a = list; a != nullptr; a = a->ai_next) {
    if (const auto endpoint = io::endpoint_of(a->ai_addr, a->ai_addrlen)) {
      found.push_back(endpoint->address);
    }
  }
  ::freeaddrinfo(list);
  return found;
}

namespace {

// The networks of one end that have an address of ours.
std::vector<IpRange> around_us(const model::Connection& connection, model::TrafficSelectors model::Child::* end,
                               const std::vector<IpAddress>& own_addresses) {
  std::vector<IpRange> out;
  for (const auto& child : connection.children) {
    for (const auto& selector : child.*end) {
      const auto is_in = [&](const IpAddress& own) {
        return !own.is_loopback() && !own.is_link_local() && selector.range.contains(own);
      };
      if (std::ranges::any_of(own_addresses, is_in)) out.push_back(selector.range);
    }
  }
  return out;
}

}  // namespace

void orient_by_networks(model::Connection& connection, const std::vector<IpAddress>& own_addresses) {
  const auto left = around_us(connection, &model::Child::local, own_addresses);
  const auto right = around_us(connection, &model::Child::remote, own_addresses);
  const bool right_is_ours = std::ranges::any_of(right, [&](const IpRange& r) {
    return std::ranges::all_of(left, [&](const IpRange& l) { return l != r && l.contains(r); });
  });
  // Of several addresses only the peer has a choice.
  const bool left_is_peer = !connection.local.alternatives.empty() && connection.remote.alternatives.empty();
  if (!right_is_ours && !left_is_peer) return;
  std::swap(connection.local, connection.remote);
  for (auto& child : connection.children) std::swap(child.local, child.remote);
}

Hosts::Hosts(io::EventLoop& loop, io::WorkPool& pool, io::RouteSocket netlink, model::Setup setup)
    : Hosts(loop, pool, std::move(netlink), std::move(setup), look_up_all) {}

Hosts::Hosts(io::EventLoop& loop, io::WorkPool& pool, io::RouteSocket netlink, model::Setup setup, LookUp look_up)
    : loop_(loop),
      pool_(pool),
      netlink_(std::move(netlink)),
      setup_(std::move(setup)),
      look_up_(std::move(look_up)),
      pause_(kMoment) {}

Hosts::~Hosts() { loop_.cancel(telling_); }

// What one resolve() waits for.
struct Hosts::Lookup {
  std::set<std::string> left;
  bool told = false;
  std::function<void()> done;

  void tell() {
    if (!std::exchange(told, true) && done) done();
  }
};

void Hosts::resolve(const std::vector<model::Connection>& connections, std::function<void()> done) {
  auto lookup = std::make_shared<Lookup>();
  auto& names = lookup->left;
  for (const auto& connection : connections) {
    for (const auto* end : {&connection.local, &connection.remote}) {
      if (end->host.kind == model::HostSpec::Kind::kName) {
        names.insert(end->host.name);
      }
      for (const auto& host : end->alternatives) {
        if (host.kind == model::HostSpec::Kind::kName) {
          names.insert(host.name);
        }
      }
    }
  }
  lookup->done = std::move(done);
  if (names.empty()) {
    lookup->tell();
    return;
  }
  for (const auto& name : names) {
    auto& waiting = asked_[name];
    const bool under_way = !waiting.empty();
    std::erase_if(waiting, [](const auto& other) { return other->told; });
    waiting.push_back(lookup);
    if (under_way) {
      continue;
    }
    auto answer = std::make_shared<std::vector<IpAddress>>();
    pool_.run([look_up = look_up_, name, answer] { *answer = look_up(name); },
              [this, name, answer] { on_answer(name, *answer); });
  }
  loop_.after(kPatience, [this, lookup] {
    if (lookup->told) return;
    for (const auto& name : lookup->left) {
      if (!names_.contains(name) && in_vain_.insert(name).second) untold_ = true;
    }
    tell_changed();
    lookup->tell();
  });
}

void Hosts::on_answer(const std::string& name, const std::vector<IpAddress>& addresses) {
  if (addresses.empty()) {
    if (!names_.contains(name) && in_vain_.insert(name).second) note_changed();
  } else {
    auto& known = names_[name];
    auto all = arranged(known, addresses);
    in_vain_.erase(name);
    if (std::exchange(known, all) != all) note_changed();
  }
  const auto waiting = std::move(asked_[name]);
  asked_.erase(name);
  if (asked_.empty()) {
    tell_changed();
    pause_ = kMoment;
  }
  for (const auto& lookup : waiting) {
    lookup->left.erase(name);
    if (!lookup->left.empty()) continue;
    tell_changed();
    lookup->tell();
  }
}

// The first answers at once, so to speak; where thousands of names are looked up, not all connections are looked at
// anew for each of them.
void Hosts::note_changed() {
  untold_ = true;
  if (telling_ == 0) telling_ = loop_.after(std::exchange(pause_, kPatience), [this] { tell_changed(); });
}

void Hosts::tell_changed() {
  loop_.cancel(std::exchange(telling_, 0));
  if (std::exchange(untold_, false) && changed_) changed_();
}

const std::string* Hosts::being_asked_for(const model::Connection& connection) const {
  const auto asked = [this](const model::HostSpec& host) {
    return host.kind == model::HostSpec::Kind::kName && !names_.contains(host.name) && !in_vain_.contains(host.name);
  };
  for (const auto* end : {&connection.local, &connection.remote}) {
    if (asked(end->host)) return &end->host.name;
    const auto it = std::ranges::find_if(end->alternatives, asked);
    if (it != end->alternatives.end()) return &it->name;
  }
  return nullptr;
}

void Hosts::recall(const model::Connection& connection, const IpAddress& local, const IpAddress& remote) {
  const auto& left = connection.local.host;
  const auto& right = connection.remote.host;
  for (const auto& [named, other] : {std::pair(&left, &right), std::pair(&right, &left)}) {
    if (named->kind != model::HostSpec::Kind::kName || other->kind == model::HostSpec::Kind::kName) {
      continue;
    }
    // The other end says whose name it is.
    const bool is_ours = other->kind == model::HostSpec::Kind::kAddress && other->address == remote;
    names_.try_emplace(named->name, std::vector{is_ours ? local : remote});
  }
  if (last_.contains(connection.name)) return;
  auto before = connection;
  fill_names(before);
  if (!model::orient(before, {local})) return;
  if (!before.local.host.has_address()) {
    before.local.host.address = local;
    before.local.host.resolved = true;
  }
  last_.try_emplace(connection.name, Last{connection, std::move(before)});
}

void Hosts::fill(model::HostSpec& host, const model::HostSpec& peer) {
  if (host.kind == model::HostSpec::Kind::kName) {
    const auto it = names_.find(host.name);
    host.resolved = it != names_.end();
    if (host.resolved) {
      host.address = it->second.front();
    }
    return;
  }
  if (host.kind == model::HostSpec::Kind::kAddress) {
    return;
  }
  // %defaultroute, and %any towards a known peer: the address the kernel would use to get there (our mark keeps the
  // question out of our own routes). Without a peer, any address of the Internet asks for the default route.
  const bool known_peer = peer.has_address();
  if (host.kind == model::HostSpec::Kind::kAny && !known_peer) {
    return;
  }
  const auto target = known_peer ? peer.address : IpAddress::v4(0x01010101);
  const auto route = netlink_.route_to(target, std::nullopt, setup_.fwmark);
  host.resolved = false;
  const auto source = route ? route->source : std::nullopt;
  if (source) {
    host.address = *source;
    host.resolved = true;
  }
}

// An address that goes away for a moment takes no tunnel down: as long as the configuration is the same, the connection
// stays as it was when its addresses were last known.
std::optional<model::Connection> Hosts::as_before(const model::Connection& written) const {
  const auto it = last_.find(written.name);
  if (it == last_.end()) {
    return std::nullopt;
  }
  auto before = it->second.written;
  before.source = written.source;  // the line it stands on does not matter
  if (before != written) {
    return std::nullopt;
  }
  return it->second.oriented;
}

void Hosts::fill_names(model::Connection& connection) {
  for (auto* end : {&connection.local, &connection.remote}) {
    if (end->host.kind == model::HostSpec::Kind::kName) {
      fill(end->host, {});
    }
    for (auto& host : end->alternatives) {
      if (host.kind == model::HostSpec::Kind::kName) {
        fill(host, {});
      }
    }
  }
}

namespace {

// With right=%any there is nobody to call: what comes up by itself towards a name has its peer there.
bool calls_a_name(const model::Connection& connection) {
  return connection.local.host.kind == model::HostSpec::Kind::kAny &&
         connection.remote.host.kind == model::HostSpec::Kind::kName &&
         std::ranges::any_of(connection.children, [](const model::Child& child) {
           return child.start == model::StartAction::kStart || child.start == model::StartAction::kOnDemand;
         });
}

}  // namespace

Result<void> Hosts::orient_one(model::Connection& connection, const std::vector<IpAddress>& own, bool& oriented) {
  fill_names(connection);
  // Whoever answers for the name shall not turn the connection round.
  auto& peer = connection.remote.host;
  if (peer.resolved && calls_a_name(connection) && std::ranges::find(own, peer.address) != own.end()) {
    oriented = true;
    peer.resolved = false;
    return fail("the name " + peer.name + " is said to be " + peer.address.to_string() +
                ", an address of this machine, where its peer is not: check it with: getent hosts " + peer.name);
  }
  // Which end is ours must be decided before %any of that end is given an address.
  if (auto done = model::orient(connection, own); !done) {
    return std::unexpected(done.error());
  }
  oriented = true;
  if (!connection.local.alternatives.empty()) {
    return fail("several addresses are for the peer; this machine's end takes one, %defaultroute or %any");
  }
  const bool elsewhere = std::ranges::any_of(connection.remote.alternatives, &model::HostSpec::has_address);
  if (connection.remote.host.kind == model::HostSpec::Kind::kName && !connection.remote.host.resolved && !elsewhere) {
    return fail("the name " + connection.remote.host.name + " cannot be resolved: check it with: getent hosts " +
                connection.remote.host.name);
  }
  fill_peer(connection, own);
  fill(connection.local.host, connection.remote.host);
  if (connection.local.host.kind == model::HostSpec::Kind::kDefaultRoute && !connection.local.host.resolved) {
    return fail("there is no default route to take an address from: see `ip route`");
  }
  return {};
}

std::vector<IpAddress> Hosts::ways_to(const std::string& name, const model::HostSpec& from,
                                      const std::vector<IpAddress>& own) {
  auto all = names_.at(name);
  if (from.kind == model::HostSpec::Kind::kAddress) {
    std::erase_if(all, [&](const IpAddress& a) { return a.family() != from.address.family(); });
  }
  std::erase_if(all, [&](const IpAddress& a) { return std::ranges::find(own, a) != own.end(); });
  if (all.size() > 1) {
    const auto is_reached = [&](const IpAddress& a) {
      return netlink_.route_to(a, std::nullopt, setup_.fwmark).has_value();
    };
    std::ranges::stable_partition(all, is_reached);
  }
  return all;
}

void Hosts::fill_peer(model::Connection& connection, const std::vector<IpAddress>& own) {
  auto& peer = connection.remote;
  const bool several = may_be_elsewhere(connection);
  std::vector<model::HostSpec> all;
  const auto add = [&](const model::HostSpec& written) {
    all.push_back(written);
    if (written.kind != model::HostSpec::Kind::kName || !written.resolved) return;
    const auto ways = ways_to(written.name, connection.local.host, own);
    if (ways.empty()) return;
    all.back().address = ways.front();
    for (std::size_t i = 1; i < ways.size() && several; ++i) {
      all.push_back(written);
      all.back().address = ways[i];
    }
  };
  add(peer.host);
  for (const auto& other : peer.alternatives) add(other);
  peer.host = std::move(all.front());
  all.erase(all.begin());
  peer.alternatives = std::move(all);
}

void Hosts::Oriented::set_aside(const std::map<std::string, std::string>& why) {
  std::erase_if(connections, [&](auto& connection) {
    const auto it = why.find(connection.name);
    if (it == why.end()) return false;
    unusable.insert(*it);
    waiting.push_back(std::move(connection));
    return true;
  });
}

std::vector<model::Connection> Hosts::Oriented::holding() const {
  auto all = connections;
  all.insert(all.end(), waiting.begin(), waiting.end());
  return all;
}

Hosts::Oriented Hosts::orient(std::vector<model::Connection> connections) {
  Oriented out;
  const auto own = own_addresses();
  std::map<std::string, Last> known;
  for (auto& written : connections) orient_into(out, std::move(written), own, known);
  last_ = std::move(known);
  return out;
}

Hosts::Oriented Hosts::orient_some(std::vector<model::Connection> connections, const std::vector<std::string>& gone) {
  Oriented out;
  const auto own = own_addresses();
  for (const auto& name : gone) last_.erase(name);
  std::map<std::string, Last> known;
  for (auto& written : connections) orient_into(out, std::move(written), own, known);
  for (const auto& [name, why] : out.unusable) last_.erase(name);
  for (auto& [name, last] : known) last_.insert_or_assign(name, std::move(last));
  return out;
}

void Hosts::orient_into(Oriented& out, model::Connection written, const std::vector<IpAddress>& own,
                        std::map<std::string, Last>& known) {
  auto connection = written;
  bool oriented = false;
  if (auto done = orient_one(connection, own, oriented); !done) {
    auto before = as_before(written);
    if (!before) {
      auto why = std::move(done.error().message);
      if (!oriented) {
        orient_by_networks(connection, own);
        const auto& host = connection.local.host;
        const bool away = host.has_address() && std::ranges::find(own, host.address) == own.end();
        if (away) why = "waiting for the address " + host.address.to_string() + ": " + why;
      }
      if (const auto* name = being_asked_for(connection)) {
        why = "the name " + *name + " is being looked up";
        out.asking.insert(written.name);
      }
      out.unusable[written.name] = std::move(why);
      out.waiting.push_back(std::move(connection));
      return;
    }
    connection = std::move(*before);
  }
  out.connections.push_back(connection);
  auto name = written.name;
  known.insert_or_assign(std::move(name), Last{std::move(written), std::move(connection)});
}

std::vector<IpAddress> Hosts::own_addresses() {
  std::set<int> ours;
  const auto devices = device_names(setup_);
  if (const auto links = netlink_.links()) {
    for (const auto& link : *links) {
      if (std::ranges::find(devices, link.name) != devices.end()) {
        ours.insert(link.index);
      }
    }
  }
  std::vector<IpAddress> out;
  const auto addresses = netlink_.addresses();
  for (const auto& address : addresses ? *addresses : std::vector<io::InterfaceAddress>{}) {
    if (!ours.contains(address.index) && address.usable) {
      out.push_back(address.prefix.address);
    }
  }
  return out;
}

std::vector<IpAddress> Hosts::default_sources() {
  std::vector<IpAddress> out;
  for (const auto target : {IpAddress::parse("1.1.1.1"), IpAddress::parse("2000::1")}) {
    if (!target) continue;
    const auto route = netlink_.route_to(*target, std::nullopt, setup_.fwmark);
    const auto source = route ? route->source : std::nullopt;
    if (source) out.push_back(*source);
  }
  return out;
}

std::string Hosts::device_name(int index) {
  const auto links = netlink_.links();
  for (const auto& link : links ? *links : std::vector<io::Link>{}) {
    if (link.index == index) {
      return link.name;
    }
  }
  return "";
}

}  // namespace cygnet::daemon
