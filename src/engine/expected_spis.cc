// SPDX-License-Identifier: Apache-2.0
#include "engine/expected_spis.h"

#include <algorithm>

namespace cygnet::engine {

void ExpectedSpis::expect(Spi spi, Instant now) {
  const auto known = spis_.find(spi);
  if (known != spis_.end()) {
    known->second.until = now + kMemory;
  } else if (spis_.size() < kMostSpis) {
    spis_[spi].until = now + kMemory;
  } else {
    return;
  }
  next_ = std::min(next_, now + kMemory);
}

bool ExpectedSpis::hold(Spi spi, ByteView esp, const InPacket& packet, Instant now) {
  const auto it = spis_.find(spi);
  if (it == spis_.end() || packets_ >= kMostPackets || esp.size() > kMostOctets - octets_) return false;
  it->second.packets.push_back(
      {Bytes(esp.begin(), esp.end()), packet.local, packet.remote, packet.udp, packet.tos, now});
  ++packets_;
  octets_ += esp.size();
  next_ = std::min(next_, now + kPatience);
  return true;
}

void ExpectedSpis::forget(const EarlyPacket& packet) {
  --packets_;
  octets_ -= packet.esp.size();
}

std::vector<EarlyPacket> ExpectedSpis::take(Spi spi) {
  const auto it = spis_.find(spi);
  if (it == spis_.end()) return {};
  auto taken = std::move(it->second.packets);
  spis_.erase(it);
  for (const auto& packet : taken) forget(packet);
  return taken;
}

std::size_t ExpectedSpis::expire(Instant now) {
  if (next_ > now) return 0;
  std::size_t lost = 0;
  next_ = kNever;
  for (auto it = spis_.begin(); it != spis_.end();) {
    auto& packets = it->second.packets;
    const auto late =
        std::find_if(packets.begin(), packets.end(), [&](const EarlyPacket& p) { return p.since + kPatience > now; });
    std::for_each(packets.begin(), late, [&](const EarlyPacket& p) { forget(p); });
    lost += static_cast<std::size_t>(late - packets.begin());
    packets.erase(packets.begin(), late);
    if (packets.empty() && it->second.until <= now) {
      it = spis_.erase(it);
      continue;
    }
    next_ = std::min(next_, packets.empty() ? it->second.until : packets.front().since + kPatience);
    ++it;
  }
  return lost;
}

}  // namespace cygnet::engine
