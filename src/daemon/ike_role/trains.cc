// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/trains.h"

#include <array>

namespace cygnet::daemon {

namespace {

using Datagrams = std::span<const ike::SendDatagram* const>;

std::size_t octets_of(const ike::SendDatagram& datagram) {
  return datagram.bytes.size() + (datagram.path.marked ? kNonEspMarker : 0);
}

// How many of them, from the first on, are one train: the last one may be shorter.
std::size_t length_of_train(Datagrams datagrams) {
  const auto& first = *datagrams.front();
  const auto octets = octets_of(first);
  if (octets > kLongestInTrain) return 1;
  std::size_t count = 1;
  while (count < datagrams.size()) {
    const auto& next = *datagrams[count];
    if (next.path != first.path || next.at_once != first.at_once || octets_of(next) > octets) break;
    ++count;
    if (octets_of(next) < octets) break;
  }
  return count;
}

void append_with_marker(Bytes& out, const ike::SendDatagram& datagram) {
  static constexpr std::array<std::uint8_t, kNonEspMarker> kMarker{};
  if (datagram.path.marked) append(out, ByteView(kMarker));
  append(out, datagram.bytes);
}

}  // namespace

Trains make_trains(Datagrams datagrams) {
  Trains out;
  while (!datagrams.empty()) {
    const auto& first = *datagrams.front();
    const auto count = length_of_train(datagrams);
    io::OutgoingDatagram car{.local = first.path.local, .remote = first.path.remote, .data = first.bytes};
    if (count > 1 || first.path.marked) {
      auto& joined = out.memory.emplace_back();
      joined.reserve(count * octets_of(first));
      for (const auto* one : datagrams.first(count)) append_with_marker(joined, *one);
      car.data = joined;
      car.segment_octets = count > 1 ? octets_of(first) : 0;
    }
    out.cars.push_back(car);
    out.sources.push_back(&first);
    datagrams = datagrams.subspan(count);
  }
  return out;
}

}  // namespace cygnet::daemon
