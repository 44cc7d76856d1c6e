// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the engine tells the daemon. Same shapes as sadb/backend.h: the daemon translates one to one.
#include <variant>

#include "base/address.h"
#include "base/strong.h"
#include "model/sa_spec.h"
#include "model/traffic_selector.h"

namespace cygnet::engine {

// A packet met a PROTECT policy without SA and is held.
struct AcquireEvent {
  model::PolicyId policy;
  model::TrafficSelector local;  // of that packet: single address, protocol and port
  model::TrafficSelector remote;
};

// A lifetime of an SA was reached. hard: the SA carries nothing any more and is removed.
struct SaExpiringEvent {
  Spi spi;
  model::Direction direction{};
  model::ChildId child;
  bool hard = false;
};

// A valid and newest packet came from another address or port than the SA's remote one.
struct PeerMovedEvent {
  model::ChildId child;
  Endpoint remote;
  Endpoint local;
};

// A standby outbound SA went into use because the peer sent on the inbound SA of the child.
struct ChildActivatedEvent {
  model::ChildId child;
};

// A packet for an SPI we do not have (RFC 4303 section 3.4.2: an auditable event). At most one a second from an
// address.
struct UnknownSpiEvent {
  Spi spi;
  Endpoint local;
  Endpoint remote;
  bool udp = false;
};

using Event = std::variant<AcquireEvent, SaExpiringEvent, PeerMovedEvent, ChildActivatedEvent, UnknownSpiEvent>;

}  // namespace cygnet::engine
