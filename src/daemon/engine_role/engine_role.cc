// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/engine_role.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "crypto/esp_cipher.h"
#include "daemon/engine_role/control.h"
#include "daemon/engine_role/cpu_follower.h"
#include "daemon/engine_role/crew.h"
#include "daemon/engine_role/crypto_pool.h"
#include "daemon/engine_role/packet_loop.h"
#include "daemon/engine_role/pfkey_service.h"
#include "daemon/engine_role/thread_watch.h"
#include "daemon/engine_role/warm_up.h"
#include "daemon/engine_role/worker.h"
#include "daemon/privileges.h"
#include "daemon/role_messages.h"
#include "io/clock.h"
#include "io/poller.h"
#include "io/process.h"
#include "io/tun.h"
#include "io/unix_socket.h"
#include "model/any_cpu.h"
#include "sadb/packing.h"

namespace cygnet::daemon {

namespace {

constexpr std::uint32_t kMonitorToken = 0;
constexpr std::uint32_t kIkeToken = 1;
constexpr std::uint32_t kPfkeyToken = 2;
constexpr std::uint32_t kCrewToken = 3;
constexpr std::uint32_t kCryptoToken = 4;
constexpr std::uint32_t kFirstToken = 5;
constexpr int kIkeBacklogOctets = 1 << 20;  // IKE datagrams waiting for ike; beyond they are dropped, answers are not
constexpr Duration kRetryInterval = std::chrono::milliseconds(5);
constexpr int kControlBudget = 256;  // requests of ike a round, so that packets are not kept waiting

class EngineProcess {
 public:
  EngineProcess(io::UniqueFd monitor, io::Poller poller, Logger& log)
      : monitor_(std::move(monitor)), poller_(std::move(poller)), log_(log) {}

  // Waits for the descriptors. False: the monitor is gone.
  [[nodiscard]] Result<void> start();
  // Before confine(): afterwards there are no more threads.
  void start_workers();
  void run();

 private:
  [[nodiscard]] Result<void> take_descriptors(const StartEngine& start, std::vector<io::UniqueFd> fds);
  [[nodiscard]] Result<std::size_t> begin_socket(io::OuterSocket socket);
  void end_socket(std::size_t index);
  [[nodiscard]] Result<void> make_crew(const StartEngine& start);
  [[nodiscard]] Result<void> make_crypto(const StartEngine& start);
  void start_crypto();
  void watch_threads();
  [[nodiscard]] engine::Turn* turn() { return crew_ ? &crew_->turn() : nullptr; }
  [[nodiscard]] Instant wait_until();
  [[nodiscard]] bool timer_is_due(Instant now);
  void on_ready(const io::Poller::Ready& ready, Instant now);
  void on_monitor();
  void attach_ike(io::UniqueFd socket);
  void on_ike_readable(Instant now);
  void flush_to_ike();
  void forget_ike_queue();
  [[nodiscard]] bool forward_ike(const Endpoint& local, const Endpoint& remote, ByteView message);

  io::UniqueFd monitor_;
  io::UniqueFd ike_;
  io::Poller poller_;
  Logger& log_;
  io::SystemRandom random_;
  engine::Engine engine_{engine::EngineSettings{}, random_};
  EngineControl control_{engine_, log_};
  std::unique_ptr<Crew> crew_;  // only with further threads
  engine::Lane* lane_ = nullptr;
  std::vector<std::vector<io::UniqueFd>> worker_fds_;  // until StartEngine says what they are
  std::vector<std::uint16_t> cpus_;
  Duration busy_poll_{};
  ThreadWatch threads_;
  std::optional<CpuFollower> follower_;  // this thread may go where packets arrive
  std::uint64_t events_collected_ = 0;
  std::unique_ptr<EspPorts> ports_;
  std::unique_ptr<PacketLoop> packets_;
  std::unique_ptr<PfkeyService> pfkey_;
  std::size_t forwarded_octets_ = 0;  // of IKE datagrams in the queue to ike
  int backlog_octets_ = 0;            // that ike has not read, as it was when this turn first asked
  bool backlog_known_ = false;
  bool ike_full_ = false;  // the socket took no more
  bool running_ = true;
  std::unique_ptr<CryptoPool> crypto_;            // goes before packets_, whose bursts its threads work on
  std::vector<std::unique_ptr<Worker>> workers_;  // the first to go
};

Result<void> EngineProcess::start() {
  for (;;) {
    (void)poller_.wait(kNever);
    io::Message message;
    const auto status = io::receive_message(monitor_.get(), message);
    if (status == io::ReceiveStatus::kNothing) {
      continue;
    }
    if (status == io::ReceiveStatus::kClosed) {
      return fail("the monitor has ended");
    }
    auto decoded = decode_from_monitor(message.bytes);
    if (!decoded) {
      return std::unexpected(decoded.error());
    }
    if (std::holds_alternative<EngineWorker>(*decoded)) {
      worker_fds_.push_back(std::move(message.fds));
    } else if (const auto* start = std::get_if<StartEngine>(&*decoded)) {
      return take_descriptors(*start, std::move(message.fds));
    }
  }
}

struct Queues {
  std::vector<PacketLoop::Device> devices;
  std::vector<io::OuterSocket> sockets;
};

// The first descriptors of fds are what `start` says.
Queues take_queues(const StartEngine& start, std::vector<io::UniqueFd>& fds) {
  Queues queues;
  std::size_t next = 0;
  queues.devices.reserve(start.devices.size());
  for (const auto& name : start.devices) {
    queues.devices.push_back({std::move(fds[next++]), name});
  }
  queues.sockets.reserve(start.sockets.size());
  for (const auto& socket : start.sockets) {
    queues.sockets.push_back({std::move(fds[next++]), socket.kind, socket.family, socket.port});
  }
  return queues;
}

Result<void> EngineProcess::take_descriptors(const StartEngine& start, std::vector<io::UniqueFd> fds) {
  const std::size_t needed = start.devices.size() + start.sockets.size();
  bool as_said = fds.size() == needed || fds.size() == needed + 2;
  for (const auto& of_worker : worker_fds_) {
    as_said = as_said && of_worker.size() == needed;
  }
  if (!as_said) {
    return fail("the monitor passed other descriptors than it said");
  }
  if (!worker_fds_.empty()) {
    if (auto made = make_crew(start); !made) {
      return made;
    }
  }
  cpus_ = start.cpus;
  busy_poll_ = std::chrono::microseconds(start.busy_poll_us);
  auto queues = take_queues(start, fds);
  engine_.devices_take_udp_trains(
      std::ranges::all_of(queues.devices, [](const auto& device) { return io::takes_udp_trains(device.fd.get()); }));
  packets_ = std::make_unique<PacketLoop>(
      engine_, std::move(queues.devices), std::move(queues.sockets),
      [this](const Endpoint& local, const Endpoint& remote, ByteView message) {
        return forward_ike(local, remote, message);
      },
      PacketPlace{crew_.get(), lane_});
  if (start.esp_over_xdp && !crew_) {
    ports_ = std::make_unique<EspPorts>(poller_, log_, [this](const WantNextHops& wanted) {
      (void)io::send_message(monitor_.get(), encode(ToMonitor{wanted}));
    });
    packets_->use_ports(*ports_);
  }
  if (needed < fds.size()) {
    PfkeyHost host{.devices = start.devices,
                   .monitor = monitor_.get(),
                   .foreign_spis = start.foreign_spis,
                   .begin_socket = [this](io::OuterSocket socket) { return begin_socket(std::move(socket)); },
                   .end_socket = [this](std::size_t socket) { end_socket(socket); }};
    pfkey_ = PfkeyService::open(engine_, std::move(fds[needed]), std::move(fds[needed + 1]), std::move(host), log_);
    if (auto added = poller_.add(pfkey_->fd(), kPfkeyToken); !added) {
      return added;
    }
  }
  if (auto made = make_crypto(start); !made) {
    return made;
  }
  std::uint32_t token = kFirstToken;
  for (const auto& device : packets_->devices()) {
    if (auto added = poller_.add(device.fd.get(), token++); !added) {
      return added;
    }
  }
  for (const auto& socket : packets_->sockets()) {
    if (auto added = poller_.add(socket.fd.get(), token++); !added) {
      return added;
    }
  }
  return {};
}

// Of a program that shares its port with us.
Result<std::size_t> EngineProcess::begin_socket(io::OuterSocket socket) {
  if (crew_) {
    // Only one thread would have the socket, and the others send on its SAs too.
    return fail("a program can share its UDP port with the engine only while that has one thread: workers=1");
  }
  const int fd = socket.fd.get();
  const auto index = packets_->add_socket(std::move(socket));
  const auto token = static_cast<std::uint32_t>(kFirstToken + packets_->devices().size() + index);
  if (auto added = poller_.add(fd, token); !added) {
    packets_->remove_socket(index);
    return std::unexpected(added.error());
  }
  return index;
}

void EngineProcess::end_socket(std::size_t index) {
  poller_.remove(packets_->sockets()[index].fd.get());
  packets_->remove_socket(index);
}

Result<void> EngineProcess::make_crew(const StartEngine& start) {
  auto waker = io::Waker::make();
  if (!waker) {
    return std::unexpected(waker.error());
  }
  crew_ = std::make_unique<Crew>(std::move(*waker));
  engine_.share(crew_->turn());
  lane_ = engine_.open_lane();
  for (auto& fds : worker_fds_) {
    auto* lane = engine_.open_lane();
    if (lane_ == nullptr || lane == nullptr) {
      return fail("the monitor wants more workers than the engine has lanes");
    }
    auto queues = take_queues(start, fds);
    auto worker = Worker::make(engine_, *crew_, *lane, std::move(queues.devices), std::move(queues.sockets));
    if (!worker) {
      return std::unexpected(worker.error());
    }
    workers_.push_back(std::move(*worker));
  }
  return poller_.add(crew_->waker_fd(), kCrewToken);
}

Result<void> EngineProcess::make_crypto(const StartEngine& start) {
  if (start.crypto_threads == 0) {
    return {};
  }
  if (crew_) {
    return fail("the monitor wants several workers and crypto threads at once");
  }
  auto pool =
      CryptoPool::make({.threads = start.crypto_threads, .percent = start.crypto_percent, .cpus = start.crypto_cpus});
  if (!pool) {
    return std::unexpected(pool.error());
  }
  crypto_ = std::move(*pool);
  packets_->hand_ciphers_to(*crypto_);
  return poller_.add(crypto_->waker_fd(), kCryptoToken);
}

void EngineProcess::start_crypto() {
  for (const auto cpu : crypto_->start()) {
    log_.warning("", "cannot run on CPU " + std::to_string(cpu) + " alone (crypto-cpus)");
  }
  log_.info("", "threads that only encrypt and decrypt: " + std::to_string(crypto_->settings().threads));
  if (!crypto::is_available(crypto::EspProvider::kIpsecMb)) {
    log_.warning("", "crypto-threads: without intel-ipsec-mb no cipher can work on other threads");
  }
}

// Where the configuration wants it; none: anywhere.
std::optional<std::uint16_t> cpu_of(const std::vector<std::uint16_t>& cpus, std::size_t thread) {
  const bool named = thread < cpus.size() && cpus[thread] != model::kAnyCpu;
  return named ? std::optional(cpus[thread]) : std::nullopt;
}

void EngineProcess::watch_threads() {
  threads_.add("packets", ::pthread_self(), cpu_of(cpus_, 0));
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    threads_.add("packets", workers_[i]->thread(), cpu_of(cpus_, i + 1));
  }
  if (crypto_) {
    const auto threads = crypto_->threads();
    for (std::size_t i = 0; i < threads.size(); ++i) {
      threads_.add("ciphers", threads[i], cpu_of(crypto_->settings().cpus, i));
    }
  }
  control_.ask_about_threads([this](sadb::Statistics& statistics) {
    if (follower_) threads_.keeps_to(0, follower_->cpu());
    statistics.threads = threads_.look(io::SystemClock::now());
    if (const auto* flights = packets_->flights()) {
      const auto& counted = flights->counters();
      statistics.ciphers = {counted.batches, counted.waits, counted.full, counted.failed};
    }
    if (ports_) statistics.esp_interfaces = ports_->statistics();
  });
}

void EngineProcess::start_workers() {
  if (crypto_) {
    start_crypto();
  }
  const auto pin = [&](std::size_t thread, const auto& run_there) {
    if (const auto cpu = cpu_of(cpus_, thread); cpu && !run_there(int{*cpu})) {
      log_.warning("", "cannot run on CPU " + std::to_string(*cpu) + " alone (worker-cpus)");
    }
  };
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->start(busy_poll_);
    pin(i + 1, [&](int cpu) { return workers_[i]->run_only_on(cpu); });
  }
  // The last one: a new thread runs where its maker may.
  pin(0, [](int cpu) { return run_only_on(::pthread_self(), cpu); });
  if (!workers_.empty()) {
    log_.info("", std::to_string(workers_.size() + 1) + " threads move packets");
  }
  // Threads of a crew and of ciphers share the load as the kernel places them.
  if (cpus_.empty() && workers_.empty() && !crypto_ && busy_poll_ == Duration{}) follower_ = CpuFollower::make();
  watch_threads();
}

bool EngineProcess::timer_is_due(Instant now) {
  const HoldTurn hold(turn());
  return engine_.next_deadline() <= now;
}

Instant EngineProcess::wait_until() {
  const HoldTurn hold(turn());
  auto until = engine_.next_deadline();
  if (!control_.queue().empty() && ike_) {
    until = std::min(until, io::SystemClock::now() + kRetryInterval);
  }
  if (pfkey_) {
    until = std::min(until, pfkey_->next_deadline());
  }
  if (crew_) {
    // Another thread has raised some since they were collected.
    if (engine_.events_raised() != events_collected_) until = Instant::min();
    crew_->will_wait(until, engine_.events_raised());
  }
  if (crypto_ && !crypto_->will_sleep()) {
    until = Instant::min();
  }
  return until;
}

void EngineProcess::run() {
  (void)io::send_message(monitor_.get(), encode(ToMonitor{Ready{}}));
  while (running_) {
    const auto ready = poller_.wait(wait_until(), busy_poll_);
    const auto now = io::SystemClock::now();
    if (crypto_) {
      crypto_->is_awake();
      packets_->on_ciphers_done(now);
    }
    for (const auto& one : ready) {
      on_ready(one, now);
    }
    if (timer_is_due(now)) {
      packets_->on_timer(now);
    }
    {
      const HoldTurn hold(turn());
      if (pfkey_) {
        pfkey_->end_of_turn(now);
      }
      if (ike_) {
        control_.collect_events();
      }
      events_collected_ = engine_.events_raised();
    }
    if (ike_) {
      flush_to_ike();
    }
    if (follower_) {
      follower_->end_of_turn(now, packets_->bursts());
    }
  }
}

void EngineProcess::on_ready(const io::Poller::Ready& ready, Instant now) {
  if (ready.token == kMonitorToken) {
    on_monitor();
    return;
  }
  if (ready.token == kIkeToken) {
    on_ike_readable(now);
    return;
  }
  if (ready.token == kPfkeyToken) {
    {
      const HoldTurn hold(turn());
      pfkey_->on_ready(now);
    }
    packets_->on_timer(now);  // held packets may be free to go
    return;
  }
  if (ready.token == kCrewToken) {
    crew_->take_ike([&](const Endpoint& local, const Endpoint& remote, ByteView message) {
      if (!forward_ike(local, remote, message)) {
        const HoldTurn hold(turn());
        engine_.count_drop(DropReason::kControlQueueFull);
      }
    });
    return;
  }
  if (ready.token == kCryptoToken) {
    crypto_->has_woken();  // what is done was looked at already
    return;
  }
  if (ready.token >= EspPorts::kFirstToken) {
    packets_->on_port_readable(ready.token, now);
    return;
  }
  const std::size_t index = ready.token - kFirstToken;
  const std::size_t devices = packets_->devices().size();
  if (index < devices) {
    packets_->on_device_readable(index, now);
    return;
  }
  if (!packets_->sockets()[index - devices].fd) {
    return;  // given back in this turn
  }
  if (ready.failed) {
    packets_->on_socket_error(index - devices, now);
  }
  if (ready.readable) {
    packets_->on_socket_readable(index - devices, now);
  }
}

void EngineProcess::on_monitor() {
  io::Message message;
  const auto status = io::receive_message(monitor_.get(), message);
  if (status == io::ReceiveStatus::kClosed) {
    running_ = false;
    return;
  }
  if (status == io::ReceiveStatus::kNothing) {
    return;
  }
  const auto decoded = decode_from_monitor(message.bytes);
  if (decoded && std::holds_alternative<NewPeer>(*decoded) && message.fds.size() == 1) {
    attach_ike(std::move(message.fds[0]));
  } else if (decoded && ports_) {
    ports_->on_monitor(*decoded, std::move(message.fds));
  }
}

void EngineProcess::attach_ike(io::UniqueFd socket) {
  if (ike_) {
    poller_.remove(ike_.get());
  }
  forget_ike_queue();
  ike_ = std::move(socket);
  if (auto added = poller_.add(ike_.get(), kIkeToken); !added) {
    log_.error("", added.error().message);
  }
}

void EngineProcess::on_ike_readable(Instant now) {
  for (int taken = 0; taken < kControlBudget;) {
    io::Message datagram;
    const auto status = io::receive_message(ike_.get(), datagram);
    if (status == io::ReceiveStatus::kNothing) {
      break;
    }
    const auto messages =
        status == io::ReceiveStatus::kMessage ? sadb::unpack(datagram.bytes) : fail("the socket is closed");
    bool good = static_cast<bool>(messages);
    const HoldTurn hold(turn());
    for (const auto& message : good ? *messages : std::vector<ByteView>{}) {
      good = good && control_.on_message(message, now);
      ++taken;
    }
    wipe(datagram.bytes);  // SA keys pass here
    if (!good) {
      log_.notice("", "ike is gone; the tunnels stay");
      poller_.remove(ike_.get());
      ike_.reset();
      forget_ike_queue();
      return;
    }
  }
  // Held packets may be free to go now.
  packets_->on_timer(now);
}

void EngineProcess::forget_ike_queue() {
  control_.forget_queue();
  forwarded_octets_ = 0;
  ike_full_ = false;
}

// All that came up in this turn, in as few datagrams as it fits into.
void EngineProcess::flush_to_ike() {
  auto& queue = control_.queue();
  backlog_known_ = false;
  while (!queue.empty()) {
    Bytes datagram;
    std::size_t count = 0;
    for (; count < queue.size() && sadb::fits(datagram, queue[count].size()); ++count) {
      sadb::pack(datagram, queue[count]);
    }
    if (count == 0) {
      // An empty datagram would be the end of the connection.
      log_.error("", "a message to ike is too long and was dropped");
      wipe(queue.front());
      queue.pop_front();
      continue;
    }
    const auto status = io::send_message(ike_.get(), datagram);
    wipe(datagram);
    ike_full_ = status == io::SendStatus::kFull;
    if (ike_full_) {
      return;
    }
    if (status == io::SendStatus::kClosed) {
      queue.clear();  // the reading side will notice
      break;
    }
    for (std::size_t i = 0; i < count; ++i) {
      wipe(queue.front());
      queue.pop_front();
    }
  }
  forwarded_octets_ = 0;
}

bool EngineProcess::forward_ike(const Endpoint& local, const Endpoint& remote, ByteView message) {
  if (!ike_ || ike_full_ || message.size() > sadb::kMaxEncoded) {
    return false;
  }
  // What ike has not read yet is asked for once a turn.
  if (!std::exchange(backlog_known_, true) && ::ioctl(ike_.get(), SIOCOUTQ, &backlog_octets_) != 0) {
    backlog_octets_ = kIkeBacklogOctets;
  }
  if (static_cast<std::size_t>(backlog_octets_) + forwarded_octets_ + message.size() > kIkeBacklogOctets) {
    return false;
  }
  forwarded_octets_ += message.size();
  control_.queue().push_back(encode(sadb::Event{sadb::IkeDatagram{local, remote, {message.begin(), message.end()}}}));
  return true;
}

}  // namespace

int serve_engine(io::UniqueFd monitor, const Options& options, Logger& log) {
  auto poller = io::Poller::make();
  if (!poller) {
    log.error("", poller.error().message);
    return 1;
  }
  if (auto added = poller->add(monitor.get(), kMonitorToken); !added) {
    log.error("", added.error().message);
    return 1;
  }
  EngineProcess process(std::move(monitor), std::move(*poller), log);
  if (auto started = process.start(); !started) {
    log.error("", started.error().message);
    return 1;
  }
  warm_up_ciphers();
  if (auto dropped = drop_privileges(options.user); !dropped) {
    log.error("", dropped.error().message);
    return 1;
  }
  process.start_workers();
  if (auto confined = confine(Confinement::kEngine, options.allow_unconfined, log); !confined) {
    log.error("", confined.error().message);
    return 1;
  }
  process.run();
  return 0;
}

int run_engine_role(const Options& options, Logger& log) {
  io::set_process_name("cygnetd-engine");
  return serve_engine(io::UniqueFd(io::kInheritedChannel), options, log);
}

}  // namespace cygnet::daemon
