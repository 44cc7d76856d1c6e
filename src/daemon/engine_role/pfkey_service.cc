// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/pfkey_service.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "crypto/esp_cipher.h"
#include "daemon/engine_role/control.h"
#include "io/errno_text.h"
#include "io/unix_socket.h"

namespace cygnet::daemon {

namespace {

constexpr std::uint64_t kListenerToken = 1ULL << 32U;  // clients have their own numbers, below
constexpr std::uint64_t kAddressesToken = kListenerToken + 1;
constexpr int kDatagramBudget = 16;  // of one client in a turn: packets wait meanwhile
constexpr int kMessageBudget = 512;  // sent to one client in a turn
constexpr int kAcceptBudget = 64;
constexpr Duration kRetryInterval = std::chrono::milliseconds(5);
constexpr rlim_t kDescriptors = 8192;

std::string name_peer(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return "a client";
  return "the client with process number " + std::to_string(peer.pid);
}

}  // namespace

// ---- the engine

Result<void> PfkeyEngineAdapter::install_sa(const model::SaSpec& spec, Instant now) {
  auto placed = spec;
  placed.device = device_;
  return engine_.install_sa(placed, now);
}

Result<void> PfkeyEngineAdapter::remove_sa(model::Direction direction, Spi spi, model::ChildId child) {
  return engine_.remove_sa(direction, spi, child);
}

Result<void> PfkeyEngineAdapter::update_endpoints(model::ChildId child, const Endpoint& local, const Endpoint& remote,
                                                  bool udp_encapsulation) {
  return engine_.update_endpoints(child, local, remote, udp_encapsulation);
}

Result<void> PfkeyEngineAdapter::set_selectors(model::ChildId child, const model::TrafficSelectors& local,
                                               const model::TrafficSelectors& remote, bool paired) {
  return engine_.set_selectors(child, local, remote, paired);
}

std::optional<model::SaCounters> PfkeyEngineAdapter::counters(model::Direction direction, model::ChildId child) const {
  const auto state = engine_.sa_state(direction, child);
  return state ? std::optional(state->counters) : std::nullopt;
}

Result<void> PfkeyEngineAdapter::install_policy(const model::PolicySpec& spec) {
  auto placed = spec;
  placed.device = device_;
  return engine_.install_policy(placed);
}

Result<void> PfkeyEngineAdapter::remove_policy(model::PolicyId id) { return engine_.remove_policy(id); }

void PfkeyEngineAdapter::acquire_failed(model::PolicyId id) { (void)engine_.acquire_failed(id); }

bool PfkeyEngineAdapter::spi_in_use(Spi spi) const { return !engine_.usage({&spi, 1}).empty(); }

void PfkeyEngineAdapter::expect_spi(Spi spi, Instant now) { engine_.expect_spi(spi, now); }

bool PfkeyEngineAdapter::supports(model::EncryptionId encryption, std::uint16_t bits,
                                  model::IntegrityId integrity) const {
  const auto [entry, fresh] = tried_.try_emplace({encryption, bits, integrity}, false);
  if (fresh) {
    model::SaSpec spec{.encryption = encryption, .encryption_bits = bits, .integrity = integrity};
    spec.encryption_key.resize(model::key_octets(encryption, bits) + model::salt_octets(encryption));
    spec.integrity_key.resize(model::key_octets(integrity));
    entry->second = crypto::create_esp_cipher(spec).has_value();
  }
  return entry->second;
}

bool PfkeyEngineAdapter::is_local(const IpAddress& address) const {
  return addresses_ && addresses_->contains(address);
}

void PfkeyEngineAdapter::lead_into_device(const IpPrefix& source, const IpPrefix& destination, bool wanted) {
  auto& policies = led_[destination];
  if (wanted ? policies++ != 0 : --policies != 0) return;
  if (!wanted) led_.erase(destination);
  using What = NetworkRequest::What;
  NetworkRequest request{
      .what = wanted ? What::kAddRoute : What::kRemoveRoute, .prefix = destination, .device = device_};
  // What this machine sends by itself leaves with an address that the policy is for.
  if (addresses_) request.source = addresses_->within(source);
  routes_.push_back(std::move(request));
}

// ---- the socket

std::unique_ptr<PfkeyService> PfkeyService::open(engine::Engine& engine, io::UniqueFd listener,
                                                 const std::vector<std::string>& devices, int monitor, Logger& log) {
  // A thousand clients are a thousand descriptors.
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < kDescriptors) {
    limit.rlim_cur = kDescriptors;
    limit.rlim_max = std::max(limit.rlim_max, kDescriptors);
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
  }
  std::optional<io::LocalAddresses> addresses;
  if (auto opened = io::LocalAddresses::open()) {
    addresses = std::move(*opened);
  } else {
    log.warning("pfkey", opened.error().message);
  }
  PfkeyEngineAdapter adapter(engine, devices.empty() ? std::string{} : devices.front(), std::move(addresses));
  io::UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  return std::unique_ptr<PfkeyService>(
      new PfkeyService(engine, std::move(adapter), std::move(epoll), std::move(listener), monitor, log));
}

PfkeyService::PfkeyService(engine::Engine& engine, PfkeyEngineAdapter adapter, io::UniqueFd epoll,
                           io::UniqueFd listener, int monitor, Logger& log)
    : engine_(engine),
      adapter_(std::move(adapter)),
      epoll_(std::move(epoll)),
      listener_(std::move(listener)),
      monitor_(monitor),
      log_(log),
      server_(adapter_, random_, log_) {
  watch(listener_.get(), kListenerToken);
  if (adapter_.addresses()) watch(adapter_.addresses()->fd(), kAddressesToken);
}

void PfkeyService::watch(int fd, std::uint64_t token) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = token;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    log_.error("pfkey", "cannot watch a socket: " + io::errno_text(errno));
  }
}

void PfkeyService::on_ready(Instant now) {
  std::array<epoll_event, 64> events{};
  const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < n; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    if (event.data.u64 == kListenerToken) {
      accept_clients();
    } else if (event.data.u64 == kAddressesToken) {
      if (adapter_.addresses()->refresh()) server_.on_addresses_changed(time(now));
    } else {
      const auto id = static_cast<ClientId>(event.data.u64);
      if (const auto it = connections_.find(id); it != connections_.end()) {
        if ((event.events & EPOLLOUT) != 0) it->second.blocked = false;
        const bool gone = (event.events & (EPOLLHUP | EPOLLERR)) != 0;
        if (gone && !server_.takes_requests(id)) {
          close(id);  // it will never read what waits for it
        } else if (gone || (event.events & EPOLLIN) != 0) {
          read_from(id, now);
        }
      }
    }
  }
  worked_ = worked_ || n > 0;
}

void PfkeyService::accept_clients() {
  for (int i = 0; i < kAcceptBudget; ++i) {
    auto fd = io::accept_stream(listener_.get());
    if (!fd) return;
    const auto id = server_.add_client(name_peer(fd.get()));
    if (!id) continue;
    watch(fd.get(), *id);
    connections_[*id] = {.fd = std::move(fd), .watched = EPOLLIN};
  }
}

void PfkeyService::read_from(ClientId id, Instant now) {
  for (int i = 0; i < kDatagramBudget && server_.takes_requests(id); ++i) {
    io::Message datagram;
    const auto status = io::receive_message(connections_.at(id).fd.get(), datagram);
    if (status == io::ReceiveStatus::kNothing) return;
    if (status == io::ReceiveStatus::kClosed) {
      close(id);
      return;
    }
    server_.on_datagram(id, datagram.bytes, time(now));
    wipe(datagram.bytes);  // keys pass here
  }
}

void PfkeyService::close(ClientId id) {
  server_.remove_client(id);
  connections_.erase(id);  // leaves the epoll set with its last descriptor
}

void PfkeyService::write_to(ClientId id, Connection& connection, sadb::PfkeyTime time) {
  for (int i = 0; i < kMessageBudget && !connection.blocked; ++i) {
    const auto message = server_.next(id, time);
    if (!message) return;
    const auto status = io::send_message(connection.fd.get(), *message);
    if (status == io::SendStatus::kFull) {
      connection.blocked = true;
      return;
    }
    // A closed one: its reading side tells.
    server_.sent(id);
  }
  worked_ = true;  // there is more
}

void PfkeyService::adjust(ClientId id, Connection& connection) {
  std::uint32_t wanted = connection.blocked ? std::uint32_t{EPOLLOUT} : 0;
  if (server_.takes_requests(id)) wanted |= EPOLLIN;
  if (wanted == connection.watched) return;
  connection.watched = wanted;
  epoll_event event{};
  event.events = wanted;
  event.data.u64 = id;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.fd.get(), &event);
}

Instant PfkeyService::next_deadline() const {
  if (worked_) return Instant::min();
  const auto next = server_.next_deadline();
  return monitor_full_ ? std::min(next, io::SystemClock::now() + kRetryInterval) : next;
}

void PfkeyService::end_of_turn(Instant now) {
  if (engine_.has_events()) {
    for (const auto& event : engine_.take_events([](const engine::Event& e) { return PfkeyService::is_ours(e); })) {
      worked_ = server_.on_event(translate(event), time(now)) || worked_;
    }
  }
  if (server_.next_deadline() <= now) {
    server_.on_timer(time(now));
    worked_ = true;
  }
  if (!adapter_.route_requests().empty()) ask_for_routes();
  if (!std::exchange(worked_, false)) return;
  const auto at = time(now);
  for (auto& [id, connection] : connections_) {
    write_to(id, connection, at);
    adjust(id, connection);
  }
  for (const auto id : server_.take_cut_off()) close(id);
}

void PfkeyService::ask_for_routes() {
  auto& waiting = adapter_.route_requests();
  monitor_full_ = false;
  while (!waiting.empty()) {
    NetworkRequests together;
    const auto count = std::min(waiting.size(), kMaxRequestsTogether);
    together.list.assign(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(count));
    if (io::send_message(monitor_, encode(ToMonitor{std::move(together)})) == io::SendStatus::kFull) {
      monitor_full_ = true;
      return;
    }
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(count));
  }
}

bool PfkeyService::is_ours(const engine::Event& event) {
  if (const auto* acquire = std::get_if<engine::AcquireEvent>(&event)) return sadb::is_pfkey(acquire->policy);
  if (const auto* expiring = std::get_if<engine::SaExpiringEvent>(&event)) return sadb::is_pfkey(expiring->child);
  if (const auto* moved = std::get_if<engine::PeerMovedEvent>(&event)) return sadb::is_pfkey(moved->child);
  const auto* activated = std::get_if<engine::ChildActivatedEvent>(&event);
  return activated != nullptr && sadb::is_pfkey(activated->child);
}

}  // namespace cygnet::daemon
