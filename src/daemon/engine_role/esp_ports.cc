// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/esp_ports.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace cygnet::daemon {

EspPorts::EspPorts(io::Poller& poller, Logger& log, Ask ask)
    : poller_(poller), log_(log), ask_(std::move(ask)), interfaces_(kMostInterfaces) {}

// ---- the monitor

void EspPorts::on_monitor(const FromMonitor& message, std::vector<io::UniqueFd> fds) {
  if (const auto* interface = std::get_if<EspInterface>(&message)) {
    add(*interface, std::move(fds));
  } else if (const auto* gone = std::get_if<EspInterfaceGone>(&message)) {
    remove(gone->index);
  } else if (const auto* hops = std::get_if<NextHops>(&message)) {
    for (const auto& hop : hops->list) learn(hop);
  }
}

void EspPorts::add(const EspInterface& interface, std::vector<io::UniqueFd> fds) {
  remove(interface.index);
  const auto place = std::ranges::find_if(interfaces_, [](const auto& one) { return !one; });
  if (place == interfaces_.end() || fds.empty() || fds.size() % 2 != 0 || fds.size() / 2 > kMostQueues) {
    return log_.error("", "the monitor passed other AF_XDP sockets than were expected");
  }
  auto fresh = std::make_unique<Interface>();
  fresh->index = interface.index;
  fresh->counted.name = interface.name;
  auto token = kFirstToken + static_cast<std::uint32_t>((place - interfaces_.begin()) * kMostQueues);
  for (std::size_t i = 0; i < fds.size(); i += 2) {
    auto port = io::XdpPort::map({.socket = std::move(fds[i]), .memory = std::move(fds[i + 1])},
                                 {.frame_octets = interface.frame_octets});
    const auto added = port ? poller_.add((*port)->fd(), token++) : Result<void>(std::unexpected(port.error()));
    if (!added) {
      return log_.warning("", "plain ESP on " + interface.name + " goes by sockets: " + added.error().message);
    }
    fresh->queues.push_back(std::move(*port));
  }
  *place = std::move(fresh);
}

void EspPorts::remove(std::uint32_t index) {
  auto* gone = find(index);
  if (gone == nullptr) return;
  for (auto& [key, hop] : hops_) {
    if (hop.interface == gone) hop.interface = nullptr;
  }
  for (auto& one : interfaces_) {
    if (one.get() != gone) continue;
    // Closed, they leave the poller by themselves.
    one.reset();
  }
}

EspPorts::Interface* EspPorts::find(std::uint32_t index) {
  const auto found = std::ranges::find_if(interfaces_, [&](const auto& one) { return one && one->index == index; });
  return found == interfaces_.end() ? nullptr : found->get();
}

void EspPorts::learn(const NextHop& told) {
  const auto it = hops_.find({told.local, told.remote});
  if (it == hops_.end()) return;  // forgotten since
  auto& hop = it->second;
  hop.told = true;
  hop.interface = told.usable ? find(told.interface) : nullptr;
  hop.headers = {.source_mac = told.source_mac,
                 .destination_mac = told.destination_mac,
                 .source = told.source,
                 .destination = told.remote};
  hop.mtu = told.mtu;
}

// ---- out

EspPorts::Hop& EspPorts::hop_of(const Key& key, Instant now) {
  if (const auto it = hops_.find(key); it != hops_.end()) {
    auto& hop = it->second;
    if (!hop.told && now >= hop.socket_turn) {
      hop.socket_turn = now + kBetweenSocketTurns;
      ask_({.anew = false, .list = {key}});
    }
    return hop;
  }
  const bool full = hops_.size() >= kMostNextHops;
  if (full && now < cleared_ + kBetweenClearings) return none_;
  if (full) {
    hops_.clear();
    cleared_ = now;
  }
  const bool anew = hops_.empty();
  auto& hop = hops_[key];
  hop.socket_turn = now + kBetweenSocketTurns;
  ask_({.anew = anew, .list = {key}});
  return hop;
}

EspPorts::Way EspPorts::send(const engine::SendToPeer& send, Instant now) {
  if (send.mark) return Way::kBySocket;  // it may be routed otherwise than what carries the daemon's own
  auto& hop = hop_of({send.local.address, send.remote.address}, now);
  if (hop.interface == nullptr || hop.interface->queues.front()->broken()) return Way::kBySocket;
  const auto largest = send.segment_octets == 0 ? send.data.size() : std::min(send.segment_octets, send.data.size());
  const bool turn = now >= hop.socket_turn;
  if (turn) hop.socket_turn = now + kBetweenSocketTurns;
  if (turn || largest + io::ip_header_octets(send.remote.address.family()) > hop.mtu) return Way::kInOrder;
  send_pieces(send, hop);
  return Way::kSent;
}

void EspPorts::send_pieces(const engine::SendToPeer& send, Hop& hop) {
  auto& port = *hop.interface->queues.front();
  auto data = send.data;
  const auto step = send.segment_octets == 0 ? data.size() : send.segment_octets;
  hop.headers.tos = send.tos;
  hop.headers.dont_fragment = send.dont_fragment;
  while (!data.empty()) {
    const auto piece = data.first(std::min(step, data.size()));
    data = data.subspan(piece.size());
    const auto frame = port.frame();
    const auto room = io::kEtherHeader + io::ip_header_octets(hop.headers.destination.family()) + piece.size();
    if (frame.size() < room) {
      ++lost_;
      continue;
    }
    hop.headers.identification = ++identification_;
    const auto front = io::write_esp_headers(frame.data(), hop.headers, piece.size());
    std::memcpy(frame.data() + front, piece.data(), piece.size());
    port.push(room);
    ++hop.interface->counted.packets_out;
  }
}

std::size_t EspPorts::flush() {
  for (const auto& one : interfaces_) {
    if (one) one->queues.front()->flush();
  }
  return std::exchange(lost_, 0);
}

// ---- in

io::XdpPort* EspPorts::port_of(std::uint32_t token) {
  const std::size_t place = token - kFirstToken;
  if (place / kMostQueues >= interfaces_.size()) return nullptr;
  receiving_ = interfaces_[place / kMostQueues].get();
  if (receiving_ == nullptr || place % kMostQueues >= receiving_->queues.size()) return nullptr;  // gone in this turn
  return receiving_->queues[place % kMostQueues].get();
}

std::span<const io::ReceivedDatagram> EspPorts::receive(std::uint32_t token, std::size_t& malformed) {
  received_.clear();
  auto* port = port_of(token);
  if (port == nullptr) return received_;
  for (const auto& frame : port->receive()) {
    const auto esp = io::parse_esp_frame(frame);
    if (!esp) {
      ++malformed;
      continue;
    }
    received_.push_back({.bytes = esp->esp, .local = {esp->local, 0}, .remote = {esp->remote, 0}, .tos = esp->tos});
  }
  receiving_->counted.packets_in += received_.size();
  return received_;
}

void EspPorts::give_back(std::uint32_t token) {
  if (auto* port = port_of(token)) port->give_back();
}

std::vector<sadb::EspInterface> EspPorts::statistics() const {
  std::vector<sadb::EspInterface> out;
  for (const auto& one : interfaces_) {
    if (one) out.push_back(one->counted);
  }
  return out;
}

}  // namespace cygnet::daemon
