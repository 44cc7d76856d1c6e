// SPDX-License-Identifier: Apache-2.0
#include "sadb/kernel/words.h"

#include <array>
#include <cerrno>

namespace cygnet::sadb::kernel {

std::string words_of(const KernelError& error, const std::string& what) {
  const auto text = "the kernel refused " + what + ": ";
  if (!error.text.empty()) return text + error.text;
  switch (error.number) {
    case ENOENT:
    case ENOSYS: return text + "it lacks an algorithm that this needs (is its module there?)";
    case EEXIST: return text + "there is one already, which is not ours (see: ip xfrm state)";
    case EPERM: return text + "CAP_NET_ADMIN is needed";
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT: return text + "it has no ESP or AH for this address family (modules esp4, esp6, ah4, ah6)";
    case ENOMEM:
    case ENOBUFS: return text + "it has no memory left";
    default: return text + "error " + std::to_string(error.number);
  }
}

std::string name_of(const model::SaSpec& spec) {
  constexpr std::size_t kOctets = 4;
  std::array<std::uint8_t, kOctets> spi{};
  store_be32(spi.data(), spec.spi.value);
  return std::string(spec.direction == model::Direction::kInbound ? "the inbound SA " : "the outbound SA ") +
         to_hex(spi);
}

}  // namespace cygnet::sadb::kernel
