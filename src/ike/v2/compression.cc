// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/compression.h"

#include <algorithm>

#include "ike/v2/request.h"
#include "wire/ipcomp_header.h"

namespace cygnet::ike::v2 {

namespace wi = wire::ike;

// RFC 7296 section 2.22: IPComp is negotiated apart from the proposals, each end naming the CPI it wants to see. Ours
// comes from the SPI of the same SA, which only has to differ from those of the peer's other children: should it not, a
// peer that refuses takes the next SPI's. In the kernel it must differ from all of ours (World::new_esp_spi()).
std::uint16_t cpi_of(Spi spi) {
  constexpr std::uint32_t kChoices = wire::kLastNegotiatedCpi - wire::kFirstNegotiatedCpi + 1;
  return static_cast<std::uint16_t>(wire::kFirstNegotiatedCpi + spi.value % kChoices);
}

wi::NotifyPayload ipcomp_supported(Spi spi_in) {
  Bytes data(3);
  store_be16(data.data(), cpi_of(spi_in));
  data[2] = wire::kIpcompDeflate;
  return notify(wi::NotifyType::kIpcompSupported, std::move(data));
}

std::uint16_t ipcomp_of(const wi::Payloads& message) {
  for (const auto& payload : message) {
    const auto* n = std::get_if<wi::NotifyPayload>(&payload);
    if (n == nullptr || n->type != wi::NotifyType::kIpcompSupported || n->data.size() < 3) continue;
    if (n->data[2] == wire::kIpcompDeflate) return load_be16(n->data.data());
  }
  return 0;
}

bool can_compress(const World& world, const IkeSa& sa, const model::Connection& connection,
                  const model::TrafficSelectors& local, const model::TrafficSelectors& remote) {
  if (!world.in_kernel(connection)) return true;
  const auto other = [&](const model::TrafficSelector& each) {
    return each.range.first.family() != sa.path.remote.address.family();
  };
  return std::ranges::none_of(local, other) || std::ranges::none_of(remote, other);
}

}  // namespace cygnet::ike::v2
