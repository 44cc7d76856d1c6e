// SPDX-License-Identifier: Apache-2.0

// IKE datagrams from the IKE port (our own socket) and from the encapsulation port (through the engine), and what the
// engine tells.
#include <algorithm>
#include <utility>

#include "daemon/ike_role/ike_process.h"

namespace cygnet::daemon {

namespace {

constexpr Duration kBackendPatience = std::chrono::seconds(3);

}  // namespace

void IkeProcess::watch_sockets() {
  if (ending_ || std::exchange(listening_, true)) return;
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    // The engine reads the encapsulation port; we only send there.
    if (sockets_[i].port == configuration_.conf.setup.ike_port) {
      loop_.watch(sockets_[i].fd.get(), [this, i] { on_ike_port(i); });
    }
  }
}

void IkeProcess::on_ike_port(std::size_t socket) {
  const auto now = clock_.monotonic();
  for (const auto& datagram : receiver_.receive(sockets_[socket])) {
    // UDP_GRO joins what comes from one peer with one size.
    const auto bytes = ByteView(datagram.bytes);
    const auto step = datagram.segment_octets == 0 ? bytes.size() : datagram.segment_octets;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      endpoint_->handle_datagram(now, {datagram.local, datagram.remote, false},
                                 bytes.subspan(at, std::min(step, bytes.size() - at)));
    }
  }
  pump_soon();
}

void IkeProcess::on_engine_event(const sadb::Event& event) {
  if (endpoint_ == nullptr || ending_) {
    return;
  }
  std::visit([this](const auto& e) { on_event(e); }, event);
}

void IkeProcess::on_event(const sadb::Acquire& event) {
  const auto* policy = policies_.find(event.policy);
  if (policy == nullptr) {
    engine_.acquire_failed(event.policy, {});
    return;
  }
  if (find_connection(policy->connection) == nullptr) {
    // It only keeps packets from leaving in the clear: an address is missing yet.
    if (!pass_on(event.policy)) engine_.acquire_failed(event.policy, {});
    return;
  }
  const auto now = clock_.monotonic();
  switch (on_demand_.on_acquire(now, policy->connection, policy->child_name, event.remote.range.first)) {
    case policy::OnDemand::Answer::kUnderWay: return;
    case policy::OnDemand::Answer::kTooSoon: engine_.acquire_failed(event.policy, {}); return;
    case policy::OnDemand::Answer::kTry: break;
  }
  log_.info(policy->connection, "a packet from " + event.local.to_string() + " to " + event.remote.to_string() +
                                    " asks for child " + policy->child_name);
  // PF_KEY tells of the policy only, and not of the packet.
  const bool packet =
      event.local.range.first == event.local.range.last && event.remote.range.first == event.remote.range.last;
  endpoint_->initiate(now, policy->connection, policy->child_name,
                      packet ? std::optional(std::pair{event.local, event.remote}) : std::nullopt);
}

void IkeProcess::on_event(const sadb::SaExpiring& event) {
  endpoint_->on_child_expiring(clock_.monotonic(), event.child, event.hard);
}

void IkeProcess::on_event(const sadb::PeerMoved& event) {
  endpoint_->on_peer_moved(clock_.monotonic(), event.child, event.remote, event.local);
}

void IkeProcess::on_event(const sadb::ChildActivated& event) {
  endpoint_->on_child_activated(clock_.monotonic(), event.child);
}

void IkeProcess::on_event(const sadb::IkeDatagram& event) {
  endpoint_->handle_datagram(clock_.monotonic(), {event.local, event.remote, true}, event.bytes);
}

void IkeProcess::on_event(const sadb::UnknownSpi& event) {
  endpoint_->on_unknown_spi(clock_.monotonic(), event.spi, event.local, event.remote, event.udp);
}

void IkeProcess::on_event(const sadb::BackendLost& event) {
  log_.error("engine", event.reason);
  // If the engine has ended, the monitor sees it too and tells us to say goodbye to the peers. If only the connection
  // has, nobody else notices: the monitor gives the next ike a new one, and the tunnels stay.
  loop_.after(kBackendPatience, [this] {
    if (ending_) return;
    log_.error("engine", "the connection to the engine is lost: ending, to be started again with another");
    status_ = 1;
    loop_.stop();
  });
}

}  // namespace cygnet::daemon
