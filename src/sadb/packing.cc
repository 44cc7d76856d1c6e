// SPDX-License-Identifier: Apache-2.0
#include "sadb/packing.h"

#include <array>

namespace cygnet::sadb {

void pack(Bytes& datagram, ByteView message) {
  std::array<std::uint8_t, kLengthOctets> length{};
  store_be32(length.data(), static_cast<std::uint32_t>(message.size()));
  append(datagram, length);
  append(datagram, message);
}

Result<std::vector<ByteView>> unpack(ByteView datagram) {
  std::vector<ByteView> out;
  while (!datagram.empty()) {
    const std::size_t octets = datagram.size() < kLengthOctets ? 0 : load_be32(datagram.data());
    if (octets == 0 || octets > datagram.size() - kLengthOctets) {
      return fail("a datagram between ike and engine is malformed");
    }
    out.push_back(datagram.subspan(kLengthOctets, octets));
    datagram = datagram.subspan(kLengthOctets + octets);
  }
  return out;
}

}  // namespace cygnet::sadb
