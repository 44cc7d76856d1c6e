// SPDX-License-Identifier: Apache-2.0
#pragma once

// The program in an interface's receive path that gives plain ESP for this machine to AF_XDP sockets, and passes all
// else to the kernel: bpf(2), without a compiler or library at run time.
#include <cstdint>
#include <set>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "io/ether_frame.h"
#include "io/fd.h"

struct bpf_insn;

namespace cygnet::io {

class EspDiversion {
 public:
  static constexpr std::uint32_t kMostQueues = 64;
  static constexpr std::uint32_t kMostAddresses = 4096;

  struct Interface {
    int index = 0;
    MacAddress mac{};  // frames to other ones are not for us, whatever addresses they carry
  };
  // none_with: SPIs with one of these bits stay with the kernel. Larger frames than largest_frame, too.
  // The program goes with this object, and with the process. An interface that has one already is left as it is.
  [[nodiscard]] static Result<EspDiversion> attach(const Interface& interface, std::uint32_t none_with,
                                                   std::uint32_t largest_frame);
  // What is sent to these addresses is for this machine. The kernel keeps what is for others.
  [[nodiscard]] Result<void> set_addresses(const std::set<IpAddress>& addresses);
  // An AF_XDP socket bound to that queue. When it is closed, packets of the queue stay with the kernel.
  [[nodiscard]] Result<void> set_socket(std::uint32_t queue, int socket);

  // The instructions, for tests.
  [[nodiscard]] static std::vector<bpf_insn> instructions(const Interface& interface, std::uint32_t none_with,
                                                          std::uint32_t largest_frame, int addresses, int sockets);

 private:
  UniqueFd addresses_;
  UniqueFd sockets_;
  UniqueFd program_;
  UniqueFd link_;
  std::set<IpAddress> known_;
};

}  // namespace cygnet::io
