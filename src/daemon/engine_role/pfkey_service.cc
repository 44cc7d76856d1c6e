// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/pfkey_service.h"

#include <sys/epoll.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "crypto/esp_cipher.h"
#include "daemon/engine_role/control.h"
#include "engine/ah.h"
#include "io/errno_text.h"
#include "io/unix_socket.h"

namespace cygnet::daemon {

namespace {

constexpr Duration kRetryInterval = std::chrono::milliseconds(5);
constexpr rlim_t kDescriptors = 8192;

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
    const bool ah = encryption == model::EncryptionId::kNone;
    entry->second = ah ? engine::AhTransform::create(spec).has_value() : crypto::create_esp_cipher(spec).has_value();
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
  routes_.push_back(request);
  // Nothing from there is refused because of the route: `in` policies say what is.
  request.what = wanted ? What::kAddClear : What::kRemoveClear;
  request.source.reset();
  routes_.push_back(std::move(request));
}

void PfkeyEngineAdapter::say_of_clear_text(const model::TrafficSelector& remote, const model::TrafficSelector& local,
                                           std::uint32_t order, bool allowed, bool wanted) {
  const std::tuple key(remote, local, order, allowed);
  auto& policies = clear_text_[key];  // `in` and `fwd` mostly say the same
  if (wanted ? policies++ != 0 : --policies != 0) return;
  if (!wanted) clear_text_.erase(key);
  using What = NetworkRequest::What;
  const auto adding = allowed ? What::kAddExempt : What::kAddGuard;
  const auto removing = allowed ? What::kRemoveExempt : What::kRemoveGuard;
  routes_.push_back({.what = wanted ? adding : removing,
                     .prefix = {},
                     .device = device_,
                     .source = {},
                     .guarded_remote = remote,
                     .guarded_local = local,
                     .guard_order = order});
}

// ---- the sockets

std::unique_ptr<PfkeyService> PfkeyService::open(engine::Engine& engine, io::UniqueFd pfkey, io::UniqueFd xfrm,
                                                 PfkeyHost host, Logger& log) {
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
  PfkeyEngineAdapter adapter(engine, host.devices.empty() ? std::string{} : host.devices.front(), std::move(addresses),
                             host.foreign_spis);
  return std::unique_ptr<PfkeyService>(
      new PfkeyService(engine, std::move(adapter), std::move(pfkey), std::move(xfrm), std::move(host), log));
}

PfkeyService::PfkeyService(engine::Engine& engine, PfkeyEngineAdapter adapter, io::UniqueFd pfkey, io::UniqueFd xfrm,
                           PfkeyHost host, Logger& log)
    : engine_(engine),
      adapter_(std::move(adapter)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      monitor_(host.monitor),
      log_(log),
      server_(adapter_, random_, log_),
      xfrm_server_(server_, log_),
      port_(server_, "pfkey", std::move(pfkey), log_),
      xfrm_port_(xfrm_server_, "xfrm", std::move(xfrm), log_),
      lent_(std::move(host.begin_socket), std::move(host.end_socket), log_) {
  watch(port_.fd());
  watch(xfrm_port_.fd());
  if (adapter_.addresses()) watch(adapter_.addresses()->fd());
  xfrm_port_.on_private([this](MessagePort::ClientId client, io::Message& m) { return on_wrap_message(client, m); });
  xfrm_port_.on_gone([this](MessagePort::ClientId client) { lent_.on_gone(client); });
}

void PfkeyService::watch(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    log_.error("pfkey", "cannot watch a socket: " + io::errno_text(errno));
  }
}

void PfkeyService::on_ready(Instant now) {
  std::array<epoll_event, 4> events{};
  const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < n; ++i) {
    const int fd = events[static_cast<std::size_t>(i)].data.fd;
    if (fd == port_.fd()) {
      worked_ = port_.on_ready(time(now)) || worked_;
    } else if (fd == xfrm_port_.fd()) {
      worked_ = xfrm_port_.on_ready(time(now)) || worked_;
    } else if (adapter_.addresses()->refresh()) {
      server_.on_addresses_changed(time(now));
      worked_ = true;
    }
  }
}

// What concerns descriptors, which the server knows nothing of.
bool PfkeyService::on_wrap_message(MessagePort::ClientId client, io::Message& message) {
  using wire::xfrm::WrapType;
  wire::xfrm::WrapMessage said;
  if (message.bytes.size() != sizeof said) return false;
  std::memcpy(&said, message.bytes.data(), sizeof said);
  const auto type = static_cast<WrapType>(said.type);
  if (said.octets != sizeof said || (type != WrapType::kLendSocket && type != WrapType::kReleasePort)) return false;
  xfrm_server_.acknowledge(client, said,
                           type == WrapType::kLendSocket ? lent_.lend(client, said, message.fds) : lent_.release(said));
  return true;
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
  worked_ = port_.write_all(at);
  worked_ = xfrm_port_.write_all(at) || worked_;
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
