// SPDX-License-Identifier: Apache-2.0

// A packet's way through the engine process:
//   out:  1. on_device_readable: a burst from the device, each behind a virtio-net header
//         2. engine.process_outbound: policy, SA, sealed pieces
//         3. perform: verdicts sorted by socket    4. flush: few system calls
//   in:   1. on_socket_readable: a burst from UDP (UDP_GRO) or the protocol-50 socket
//         2. demultiplex: IKE to ike, keepalives nowhere, ESP on
//         3. engine.process_inbound: SA, window, opened, checked
//         4. perform: to the device, merged where that is possible
#include "daemon/engine_role/packet_loop.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "wire/ah_header.h"

namespace cygnet::daemon {

namespace {

constexpr std::size_t kMarker = 4;         // RFC 3948 section 2.2
constexpr std::uint8_t kKeepalive = 0xFF;  // RFC 3948 section 2.3

// RFC 3948 section 2.2: "4 zero-valued bytes aligned with the SPI field of an ESP packet".
bool has_non_esp_marker(ByteView datagram) { return datagram.size() >= kMarker && load_be32(datagram.data()) == 0; }

// RFC 3948 section 2.3: "a one-octet-long payload with the value 0xFF".
bool is_keepalive(ByteView datagram) { return datagram.size() == 1 && datagram[0] == kKeepalive; }

std::optional<IpAddress> destination_of(ByteView packet) {
  if (packet.size() >= 20 && (packet[0] >> 4) == 4) {
    return IpAddress::from_bytes(packet.subspan(16, 4));
  }
  if (packet.size() >= 40 && (packet[0] >> 4) == 6) {
    return IpAddress::from_bytes(packet.subspan(24, 16));
  }
  return std::nullopt;
}

// MLD, router solicitations and the like, which the kernel sends on every device by itself. They concern the link, and
// this link ends here: no packet of anybody's is lost with them.
bool is_link_housekeeping(ByteView packet) {
  if (packet.size() < 40 || (packet[0] >> 4) != 6) {
    return false;
  }
  const auto source = IpAddress::from_bytes(packet.subspan(8, 16));
  const bool link_scope =
      packet[24] == 0xff && ((packet[25] & 0x0f) == 1 || (packet[25] & 0x0f) == 2);  // RFC 4291 section 2.7
  const bool control = packet[6] == 0 || packet[6] == 58;  // hop-by-hop options (MLD) or ICMPv6
  return link_scope && control && (source.is_unspecified() || source.is_link_local());
}

// From SPI and sequence number on; empty: a packet in the clear.
ByteView protected_part(io::OuterKind kind, ByteView sent) {
  if (kind != io::OuterKind::kClear) return sent;
  const auto ah = wire::find_ah(sent);
  return ah ? sent.subspan(*ah + 4) : ByteView{};
}

}  // namespace

PacketLoop::PacketLoop(engine::Engine& engine, std::vector<Device> devices, std::vector<io::OuterSocket> sockets,
                       OnIke on_ike, PacketPlace place)
    : engine_(engine),
      devices_(std::move(devices)),
      sockets_(std::move(sockets)),
      on_ike_(std::move(on_ike)),
      place_(place),
      device_buffers_(std::make_unique_for_overwrite<std::uint8_t[]>(kBurst * io::kMaxTunPacket)),
      outgoing_(sockets_.size()) {
  for (const auto& device : devices_) {
    device_ids_.push_back(engine_.device_id(device.name));
  }
  // Several threads send in the order of their bursts.
  if (place_.crew == nullptr) verdicts_.part_urgent(*this);
}

std::size_t PacketLoop::add_socket(io::OuterSocket socket) {
  const auto free = std::ranges::find_if(sockets_, [](const auto& one) { return !one.fd; });
  const auto index = static_cast<std::size_t>(free - sockets_.begin());
  if (free == sockets_.end()) {
    sockets_.push_back(std::move(socket));
    outgoing_.emplace_back();
  } else {
    *free = std::move(socket);
  }
  return index;
}

void PacketLoop::remove_socket(std::size_t socket) { sockets_[socket].fd.reset(); }

// ---- out

void PacketLoop::read_device(std::size_t device, std::uint8_t* buffers, std::vector<engine::OutPacket>& out) {
  const std::size_t most = place_.crew == nullptr ? kBurst * io::kMaxTunPacket : kSharedBurstOctets;
  std::size_t octets = 0;
  for (std::size_t i = 0; i < kBurst && octets < most; ++i) {
    const MutableByteView buffer(buffers + i * io::kMaxTunPacket, io::kMaxTunPacket);
    const auto n = io::read_tun(devices_[device].fd.get(), buffer);
    if (n <= 0) {
      break;
    }
    const auto packet = buffer.first(static_cast<std::size_t>(n));
    octets += packet.size();
    const auto offload =
        packet.size() < io::kVnetHeader ? std::nullopt : engine::Offload::parse(packet.first(io::kVnetHeader));
    if (!offload) {
      count_drop(DropReason::kMalformedIp);
      continue;
    }
    if (!is_link_housekeeping(packet.subspan(io::kVnetHeader))) {
      out.push_back({.bytes = packet.subspan(io::kVnetHeader),
                     .offload = *offload,
                     .device = device_ids_[device],
                     .tailroom = buffer.size() - packet.size()});
    }
  }
}

void PacketLoop::on_device_readable(std::size_t device, Instant now) {
  if (flights_ != nullptr) {
    auto* flight = board(engine::Way::kOut, now);
    if (flight == nullptr) return;
    read_device(device, buffers_of(*flight).device.get(), flight->out);
    flight->out.empty() ? flights_->give_back(*flight) : flights_->launch(*flight, now);
    on_ciphers_done(now);
    return;
  }
  out_.clear();
  read_device(device, device_buffers_.get(), out_);
  if (!out_.empty()) {
    ++bursts_;
    if (place_.lane != nullptr) {
      engine_.process_outbound(*place_.lane, out_, now, verdicts_);
    } else {
      engine_.process_outbound(out_, now, verdicts_);
    }
    perform(verdicts_, now);
  }
}

// ---- in

void PacketLoop::read_socket(std::size_t socket, io::DatagramReceiver& receiver, std::vector<engine::InPacket>& in) {
  const auto kind = sockets_[socket].kind;
  for (const auto& datagram : receiver.receive(sockets_[socket])) {
    demultiplex(datagram, kind, in);
  }
}

void PacketLoop::on_socket_readable(std::size_t socket, Instant now) {
  if (flights_ != nullptr) {
    auto* flight = board(engine::Way::kIn, now);
    if (flight == nullptr) {
      drop_what_waits(socket, now);
      return;
    }
    if (auto& receiver = buffers_of(*flight).receiver) read_socket(socket, *receiver, flight->in);
    flight->in.empty() ? flights_->give_back(*flight) : flights_->launch(*flight, now);
    on_ciphers_done(now);
    return;
  }
  in_.clear();
  read_socket(socket, receiver_, in_);
  process_in(now);
}

void PacketLoop::process_in(Instant now) {
  if (in_.empty()) return;
  ++bursts_;
  if (place_.lane != nullptr) {
    engine_.process_inbound(*place_.lane, in_, now, verdicts_);
  } else {
    engine_.process_inbound(in_, now, verdicts_);
  }
  perform(verdicts_, now);
}

void PacketLoop::on_port_readable(std::uint32_t token, Instant now) {
  in_.clear();
  std::size_t malformed = 0;
  for (const auto& datagram : ports_->receive(token, malformed)) {
    demultiplex(datagram, io::OuterKind::kEsp, in_);
  }
  if (malformed != 0) count_drop(DropReason::kMalformedIp, malformed);
  process_in(now);
  ports_->give_back(token);
}

// More ESP than the ciphers can take: IKE stands in the same queue, and connections with traffic=latency; both must not
// wait for them.
void PacketLoop::drop_what_waits(std::size_t socket, Instant now) {
  in_.clear();
  read_socket(socket, receiver_, in_);
  if (in_.empty()) return;
  engine_.process_inbound_urgent(in_, now, verdicts_);
  verdicts_.clear();
}

void PacketLoop::demultiplex(const io::ReceivedDatagram& datagram, io::OuterKind kind,
                             std::vector<engine::InPacket>& in) {
  const bool udp = kind == io::OuterKind::kUdp;
  engine::InPacket packet{.segment_octets = datagram.segment_octets,
                          .local = datagram.local,
                          .remote = datagram.remote,
                          .udp = udp,
                          .tos = datagram.tos,
                          .ah = kind == io::OuterKind::kAh};
  if (!udp) {
    packet.bytes = datagram.bytes;
    in.push_back(packet);
    return;
  }
  // UDP_GRO joins whatever comes from one peer with one size: IKE may stand between ESP.
  const std::size_t step = datagram.segment_octets == 0 ? datagram.bytes.size() : datagram.segment_octets;
  std::size_t esp_from = 0;
  const auto end_esp = [&](std::size_t at) {
    if (at > esp_from) {
      packet.bytes = datagram.bytes.subspan(esp_from, at - esp_from);
      packet.segment_octets = at - esp_from > step ? step : 0;
      in.push_back(packet);
    }
  };
  for (std::size_t at = 0; at < datagram.bytes.size(); at += step) {
    const auto piece = datagram.bytes.subspan(at, std::min(step, datagram.bytes.size() - at));
    const bool ike = has_non_esp_marker(piece);
    if (!ike && !is_keepalive(piece)) {
      continue;
    }
    end_esp(at);
    esp_from = at + piece.size();
    if (ike) {
      take_ike(datagram, piece.subspan(kMarker));
    }
  }
  end_esp(datagram.bytes.size());
}

void PacketLoop::take_ike(const io::ReceivedDatagram& datagram, ByteView message) {
  if (!on_ike_(datagram.local, datagram.remote, message)) {
    count_drop(DropReason::kControlQueueFull);
  }
}

void PacketLoop::on_timer(Instant now) {
  if (flights_ != nullptr) {
    // None free: the timer is still due after the next look.
    if (auto* flight = board(engine::Way::kOut, now)) flights_->launch_timer(*flight, now);
    on_ciphers_done(now);
    return;
  }
  if (place_.lane != nullptr) {
    engine_.on_timer(*place_.lane, now, verdicts_);
  } else {
    engine_.on_timer(now, verdicts_);
  }
  if (!verdicts_.empty() || place_.lane != nullptr) {
    perform(verdicts_, now);
  }
}

// ---- ciphers on threads of their own

void PacketLoop::hand_ciphers_to(CryptoPool& pool) {
  // Each thread works on one burst while another is on its way to it; one is read and one is sent.
  constexpr std::size_t kBeside = 2;
  const std::size_t each_way =
      std::min<std::size_t>(std::size_t{2} * pool.settings().threads + kBeside, engine::Flights::kMostEachWay);
  pool_ = &pool;
  flights_ = std::make_unique<engine::Flights>(engine_, pool, each_way);
  flights_->part_urgent(*this);
  for (std::size_t i = 0; i < each_way; ++i) {
    flight_buffers_[0].emplace_back().device =
        std::make_unique_for_overwrite<std::uint8_t[]>(kBurst * io::kMaxTunPacket);
    flight_buffers_[1].emplace_back().receiver.emplace(kBurst);
  }
}

PacketLoop::Buffers& PacketLoop::buffers_of(const engine::Flight& flight) {
  return flight_buffers_[static_cast<std::size_t>(flight.way)][flight.number];
}

engine::Flight* PacketLoop::board(engine::Way way, Instant now) {
  constexpr auto kMoment = std::chrono::milliseconds(2);
  if (auto* flight = flights_->take(way)) return flight;
  // With traffic=latency somebody waits for this thread, and is taken out of the socket in any case.
  if (way == engine::Way::kOut || !seen_urgent_) pool_->wait(kMoment);
  on_ciphers_done(now);
  return flights_->take(way);
}

void PacketLoop::on_ciphers_done(Instant now) {
  flights_->poll();
  for (const auto way : {engine::Way::kOut, engine::Way::kIn}) {
    while (auto* flight = flights_->next(way)) {
      perform(flight->verdicts, now);
      flights_->give_back(*flight);
    }
  }
}

// ---- verdicts

void PacketLoop::on_urgent(engine::Verdicts& verdicts, Instant now) {
  seen_urgent_ = true;
  carry_out(verdicts.urgent(), now);
  flush(now);
  verdicts.clear_urgent();
}

void PacketLoop::carry_out(std::span<const engine::Verdict> verdicts, Instant now) {
  for (const auto& verdict : verdicts) {
    if (const auto* send = std::get_if<engine::SendToPeer>(&verdict.action)) {
      queue(*send, now);
    } else if (const auto* delivered = std::get_if<engine::DeliverToDevice>(&verdict.action)) {
      deliver(*delivered);
    } else if (const auto* bypass = std::get_if<engine::Bypass>(&verdict.action)) {
      queue_clear(*bypass);
    }
  }
}

void PacketLoop::perform(engine::Verdicts& verdicts, Instant now) {
  carry_out(verdicts.list(), now);
  if (place_.lane != nullptr) {
    place_.crew->wait_for_others(*place_.lane);
  }
  flush(now);
  if (place_.lane != nullptr) {
    place_.crew->has_left(*place_.lane);
    place_.crew->after_burst(*place_.lane);
  }
  verdicts.clear();
}

// UDP: through the socket of the SA's own port, where there is one (a program's that shares it with us); else the
// first.
std::optional<std::size_t> PacketLoop::socket_for(const engine::SendToPeer& send) const {
  const auto kind = send.udp ? io::OuterKind::kUdp : io::OuterKind::kEsp;
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    if (!sockets_[i].fd || sockets_[i].kind != kind || sockets_[i].family != send.remote.address.family()) {
      continue;
    }
    if (!send.udp || sockets_[i].port == send.local.port) {
      return i;
    }
    if (!found) {
      found = i;
    }
  }
  return found;
}

void PacketLoop::count_drop(DropReason reason, std::size_t packets) {
  const HoldTurn hold(turn());
  engine_.count_drop(reason, packets);
}

void PacketLoop::queue(const engine::SendToPeer& send, Instant now) {
  if (send.whole_packet) {
    queue_whole(send.data, send.remote.address);
    return;
  }
  if (ports_ != nullptr && !send.udp && sent_by_port(send, now)) return;
  const auto socket = socket_for(send);
  if (!socket) {
    count_drop(DropReason::kSendFailed, send.segments());
    return;
  }
  put(*socket, send);
}

bool PacketLoop::sent_by_port(const engine::SendToPeer& send, Instant now) {
  const auto way = ports_->send(send, now);
  if (way == EspPorts::Way::kSent) return true;
  const auto socket = way == EspPorts::Way::kInOrder ? socket_for(send) : std::nullopt;
  if (!socket) return false;
  flush(now);
  put(*socket, send);
  flush(now);
  return true;
}

void PacketLoop::put(std::size_t socket, const engine::SendToPeer& send) {
  outgoing_[socket].push_back({.local = send.local,
                               .remote = {send.remote.address, send.udp ? send.remote.port : std::uint16_t{0}},
                               .data = send.data,
                               .segment_octets = send.segment_octets,
                               .tos = send.tos,
                               .dont_fragment = send.dont_fragment});
}

void PacketLoop::queue_clear(const engine::Bypass& bypass) {
  if (const auto destination = destination_of(bypass.data)) {
    queue_whole(bypass.data, *destination);
  } else {
    count_drop(DropReason::kSendFailed);
  }
}

// With their own IP header.
void PacketLoop::queue_whole(ByteView packet, const IpAddress& destination) {
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    if (sockets_[i].kind == io::OuterKind::kClear && sockets_[i].family == destination.family()) {
      outgoing_[i].push_back(
          {.local = {IpAddress::any(destination.family()), 0}, .remote = {destination, 0}, .data = packet});
      return;
    }
  }
  count_drop(DropReason::kSendFailed);
}

void PacketLoop::deliver(const engine::DeliverToDevice& deliver) {
  const auto it = std::ranges::find(device_ids_, deliver.device);
  if (it == device_ids_.end()) {
    count_drop(DropReason::kDeviceFull);
    return;
  }
  std::array<std::uint8_t, io::kVnetHeader> header{};
  deliver.offload.serialize(header.data());
  const auto& device = devices_[static_cast<std::size_t>(it - device_ids_.begin())];
  if (io::write_tun(device.fd.get(), header, deliver.slices) != 0) {
    count_drop(DropReason::kDeviceFull);
  }
}

void PacketLoop::flush(Instant now) {
  if (ports_ != nullptr) {
    if (const auto lost = ports_->flush(); lost != 0) count_drop(DropReason::kSendFailed, lost);
  }
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    if (outgoing_[i].empty()) {
      continue;
    }
    too_big_.set = false;
    sender_.send(sockets_[i], outgoing_[i],
                 [&](const io::SendFailure& failure) { on_send_failure(sockets_[i], failure); });
    if (too_big_.set) {
      on_socket_error(i, now);
    }
    outgoing_[i].clear();
  }
}

// ---- trouble

void PacketLoop::on_send_failure(const io::OuterSocket& socket, const io::SendFailure& failure) {
  const auto esp = protected_part(socket.kind, failure.what->data);
  if (failure.error == EMSGSIZE && !esp.empty()) {
    count_drop(DropReason::kTooBig, failure.datagrams);
    too_big_.remote = failure.what->remote;
    const auto n = std::min(esp.size(), too_big_.esp.size());
    std::copy_n(esp.begin(), n, too_big_.esp.begin());
    too_big_.set = true;
    return;
  }
  const bool unreachable = failure.error == ENETUNREACH || failure.error == EHOSTUNREACH || failure.error == ENETDOWN ||
                           failure.error == EADDRNOTAVAIL;
  count_drop(unreachable ? DropReason::kNoRoute : DropReason::kSendFailed, failure.datagrams);
}

void PacketLoop::on_socket_error(std::size_t socket, Instant now) {
  io::read_errors(sockets_[socket], [&](const io::OuterError& error) { on_outer_error(sockets_[socket], error, now); });
}

// What the network says about outer packets is a hint; the engine believes it only when it fits one of its SAs.
void PacketLoop::on_outer_error(const io::OuterSocket& socket, const io::OuterError& error, Instant now) {
  if (error.error != EMSGSIZE || error.mtu == 0) {
    return;
  }
  engine::OuterTooBig too_big{
      .remote = error.remote, .udp = socket.kind == io::OuterKind::kUdp, .quoted_esp = error.quoted, .mtu = error.mtu};
  // SPI and sequence number stand together in AH as in ESP, one word later.
  if (socket.kind == io::OuterKind::kAh)
    too_big.quoted_esp = error.quoted.subspan(std::min<std::size_t>(4, error.quoted.size()));
  if (error.local) {
    if (!too_big_.set || too_big_.remote.address != error.remote.address) {
      return;
    }
    // Our own kernel quotes nothing: we know what we tried to send.
    too_big.remote = too_big_.remote;
    too_big.quoted_esp = too_big_.esp;
  }
  const HoldTurn hold(turn());
  (void)engine_.on_outer_too_big(too_big, now);
}

}  // namespace cygnet::daemon
