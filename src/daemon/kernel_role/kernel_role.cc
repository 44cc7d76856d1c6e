// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel_role/kernel_role.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "daemon/kernel_role/kernel_control.h"
#include "daemon/kernel_role/kernel_link.h"
#include "daemon/privileges.h"
#include "daemon/role_messages.h"
#include "io/clock.h"
#include "io/event_loop.h"
#include "io/outer_socket.h"
#include "io/process.h"
#include "io/unix_socket.h"
#include "io/xfrm_socket.h"
#include "sadb/packing.h"

namespace cygnet::daemon {

namespace {

constexpr std::size_t kMarker = 4;  // RFC 3948 section 2.2: four zero octets before IKE
constexpr int kIkeBacklogOctets = 1 << 20;
constexpr Duration kStandbyInterval = std::chrono::milliseconds(50);
constexpr Duration kTick = std::chrono::seconds(1);
constexpr std::uint32_t kSilenceSeconds = 30;
constexpr std::size_t kBurst = 32;
constexpr std::size_t kLargestPacket = 65536 + 64;

class KernelProcess {
 public:
  KernelProcess(const Options& options, Logger& log) : options_(options), log_(log) {}
  int run();

 private:
  void on_monitor(io::Message message);
  [[nodiscard]] Result<void> start(const StartEngine& start, std::vector<io::UniqueFd> fds);
  [[nodiscard]] Result<void> take_descriptors(const StartEngine& start, std::vector<io::UniqueFd> fds);
  [[nodiscard]] Result<void> open_kernel(const StartEngine& start);
  void attach_ike(io::UniqueFd socket);
  void on_ike(io::Message datagram);
  void on_kernel_events();
  void on_encapsulation_port(std::size_t socket);
  void on_stray(int device);
  void look_at_standby();
  void each_second();
  void look_for_lost();
  void tell(const sadb::kernel::KernelEngine::PutBack& found);
  void flush();
  [[nodiscard]] bool ike_is_behind() const;
  [[nodiscard]] sadb::kernel::Moment moment() const {
    return {clock_.monotonic(), static_cast<std::uint64_t>(clock_.wall_seconds())};
  }

  const Options& options_;
  Logger& log_;
  io::EventLoop loop_;
  io::SystemClock clock_;
  std::unique_ptr<io::Channel> monitor_;
  std::unique_ptr<KernelLink> link_;
  std::unique_ptr<sadb::kernel::KernelEngine> engine_;
  std::unique_ptr<KernelControl> control_;
  std::unique_ptr<io::Channel> ike_;
  int ike_fd_ = -1;  // of ike_'s, to see how far behind it is
  std::vector<io::UniqueFd> devices_;
  std::vector<io::OuterSocket> sockets_;
  std::uint16_t nat_port_ = 0;
  io::DatagramReceiver receiver_{kBurst};
  io::DatagramSender sender_;
  std::map<sadb::kernel::KernelEngine::Keepalive, Instant> kept_open_;
  bool standby_timer_ = false;
  std::uint32_t seconds_ = 0;
  int status_ = 0;
};

int KernelProcess::run() {
  io::set_process_name("cygnetd-kernel");
  monitor_ = std::make_unique<io::Channel>(
      loop_, io::UniqueFd(io::kInheritedChannel), [this](io::Message message) { on_monitor(std::move(message)); },
      [this] { loop_.stop(); });
  loop_.run();
  return status_;
}

void KernelProcess::on_monitor(io::Message message) {
  auto decoded = decode_from_monitor(message.bytes);
  if (!decoded) return log_.error("", decoded.error().message);
  if (const auto* begin = std::get_if<StartEngine>(&*decoded)) {
    if (auto started = start(*begin, std::move(message.fds)); !started) {
      log_.error("", started.error().message);
      status_ = 1;
      loop_.stop();
      return;
    }
    (void)monitor_->send(encode(ToMonitor{Ready{}}));
  } else if (std::holds_alternative<NewPeer>(*decoded) && message.fds.size() == 1) {
    attach_ike(std::move(message.fds[0]));
  }
}

Result<void> KernelProcess::start(const StartEngine& start, std::vector<io::UniqueFd> fds) {
  nat_port_ = start.nat_port;
  if (auto taken = take_descriptors(start, std::move(fds)); !taken) return taken;
  if (auto opened = open_kernel(start); !opened) return opened;
  if (auto dropped = drop_privileges(options_.user, Keep::kNetAdmin); !dropped) return dropped;
  if (auto confined = confine(Confinement::kEngine, options_.allow_unconfined, log_); !confined) return confined;
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    if (sockets_[i].port == nat_port_) {
      loop_.watch(sockets_[i].fd.get(), [this, i] { on_encapsulation_port(i); });
    }
  }
  for (const auto& device : devices_) {
    loop_.watch(device.get(), [this, fd = device.get()] { on_stray(fd); });
  }
  loop_.watch(link_->events(), [this] { on_kernel_events(); });
  loop_.after(kTick, [this] { each_second(); });
  return {};
}

Result<void> KernelProcess::take_descriptors(const StartEngine& start, std::vector<io::UniqueFd> fds) {
  if (fds.size() != start.devices.size() + start.sockets.size()) {
    return fail("the monitor passed other descriptors than it said");
  }
  auto next = fds.begin();
  for (std::size_t i = 0; i < start.devices.size(); ++i) devices_.push_back(std::move(*next++));
  for (const auto& socket : start.sockets) {
    io::OuterSocket taken{std::move(*next++), socket.kind, socket.family, socket.port};
    if (taken.kind != io::OuterKind::kUdp) continue;
    if (auto passed = io::bypass_policies(taken.fd.get(), taken.family); !passed) return passed;
    if (taken.port == nat_port_) {
      if (auto taking = io::take_esp_in_udp(taken.fd.get()); !taking) {
        if (taken.family == Family::kV4) return taking;
        log_.warning("", "IPv6: " + taking.error().message);
      }
    }
    sockets_.push_back(std::move(taken));
  }
  return {};
}

Result<void> KernelProcess::open_kernel(const StartEngine& start) {
  auto link = open_kernel_link(start.language);
  if (!link) return std::unexpected(link.error());
  link_ = std::move(*link);
  engine_ = std::make_unique<sadb::kernel::KernelEngine>(link_->port(), start.mark);
  control_ = std::make_unique<KernelControl>(*engine_, log_);
  return engine_->begin(moment());
}

// ---- ike
void KernelProcess::attach_ike(io::UniqueFd socket) {
  ike_.reset();
  (void)control_->take_queue();  // was meant for the old one
  ike_fd_ = socket.get();
  ike_ = std::make_unique<io::Channel>(
      loop_, std::move(socket), [this](io::Message message) { on_ike(std::move(message)); },
      [this] {
        log_.notice("", "ike is gone; the tunnels stay");
        ike_fd_ = -1;
      });
}

void KernelProcess::on_ike(io::Message datagram) {
  const auto messages = sadb::unpack(datagram.bytes);
  bool good = static_cast<bool>(messages);
  for (const auto& message : good ? *messages : std::vector<ByteView>{}) {
    good = good && control_->on_message(message, moment());
  }
  wipe(datagram.bytes);  // SA keys pass here
  flush();
  if (!good) ike_->close();
  if (engine_->has_standby() && !std::exchange(standby_timer_, true)) {
    loop_.after(kStandbyInterval, [this] { look_at_standby(); });
  }
}

void KernelProcess::flush() {
  control_->collect_events();
  Bytes datagram;
  const auto send = [&] {
    if (ike_ && !datagram.empty()) (void)ike_->send(std::exchange(datagram, {}));
  };
  for (auto& message : control_->take_queue()) {
    if (!sadb::fits(datagram, message.size())) send();
    sadb::pack(datagram, message);
    wipe(message);
  }
  send();
}

bool KernelProcess::ike_is_behind() const {
  int octets = 0;
  return ike_fd_ < 0 || ::ioctl(ike_fd_, SIOCOUTQ, &octets) != 0 || octets > kIkeBacklogOctets;
}

// ---- kernel
void KernelProcess::on_kernel_events() {
  const bool lost =
      link_->read_events([this](const wire::xfrm::Message& message) { engine_->on_message(message); }, log_);
  if (lost) {
    log_.notice("", "the kernel had more to tell than could be taken: looking at its SAs");
    engine_->on_messages_lost();
  }
  tell(engine_->put_back());
  flush();
}

void KernelProcess::tell(const sadb::kernel::KernelEngine::PutBack& found) {
  if (found.policies + found.sas != 0) {
    log_.warning("", "others took " + std::to_string(found.policies) + " of our policies and " +
                         std::to_string(found.sas) +
                         " of our SAs out of the kernel (ip xfrm … flush?): the policies are back, SAs are negotiated "
                         "anew where they are wanted");
  }
  if (found.overwritten != 0) {
    log_.warning("", "others wrote over " + std::to_string(found.overwritten) +
                         " of our policies in the kernel, with policies of the same selectors (another key manager? ip "
                         "xfrm monitor shows who): ours are back");
  }
  if (found.taken != 0) {
    log_.notice("", "the kernel has taken " + std::to_string(found.taken) + " policies that it had refused");
  }
}

void KernelProcess::look_at_standby() {
  tell(engine_->on_timer(moment()));
  flush();
  standby_timer_ = engine_->has_standby();
  if (standby_timer_) loop_.after(kStandbyInterval, [this] { look_at_standby(); });
}

// ---- the wire
// The kernel has taken ESP and keepalives out; what is left is IKE, behind its marker.
void KernelProcess::on_encapsulation_port(std::size_t socket) {
  const bool behind = ike_is_behind();
  for (const auto& datagram : receiver_.receive(sockets_[socket])) {
    const auto bytes = datagram.bytes;
    const bool marked =
        bytes.size() > kMarker && std::ranges::all_of(bytes.first(kMarker), [](auto octet) { return octet == 0; });
    if (!marked || behind || bytes.size() > sadb::kMaxEncoded) continue;
    const auto message = bytes.subspan(kMarker);
    control_->queue(
        encode(sadb::Event{sadb::IkeDatagram{datagram.local, datagram.remote, {message.begin(), message.end()}}}));
  }
  flush();
}

// Routes lead into the device, and policies take the packets on the way. What arrives had no policy: it must not go on
// in the clear.
void KernelProcess::on_stray(int device) {
  std::array<std::uint8_t, kLargestPacket> packet{};
  for (std::size_t i = 0; i < kBurst && ::read(device, packet.data(), packet.size()) > 0; ++i) control_->count_stray(1);
}

// PF_KEY drops what a reader has no room for, and says nothing.
void KernelProcess::look_for_lost() {
  if (link_->loses_in_silence() && ++seconds_ % kSilenceSeconds == 0) engine_->on_messages_lost();
}

// Keepalives, RFC 3948 section 2.3: one octet, 0xff.
void KernelProcess::each_second() {
  static constexpr std::array<std::uint8_t, 1> kKeepalive{0xff};
  const auto now = clock_.monotonic();
  look_for_lost();
  tell(engine_->on_timer(moment()));
  flush();
  const auto wanted = engine_->keepalives();
  std::erase_if(kept_open_, [&](const auto& entry) { return !wanted.contains(entry.first); });
  for (const auto& peer : wanted) {
    auto& last = kept_open_.try_emplace(peer, now).first->second;
    if (now - last < std::chrono::seconds(peer.every_s)) continue;
    last = now;
    const io::OutgoingDatagram datagram{.local = peer.local, .remote = peer.remote, .data = kKeepalive};
    for (const auto& socket : sockets_) {
      if (socket.port != nat_port_ || socket.family != peer.remote.address.family()) continue;
      sender_.send(socket, {&datagram, 1}, [](const io::SendFailure&) {});
    }
  }
  loop_.after(kTick, [this] { each_second(); });
}

}  // namespace

int run_kernel_role(const Options& options, Logger& log) { return KernelProcess(options, log).run(); }

}  // namespace cygnet::daemon
