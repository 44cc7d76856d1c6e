// SPDX-License-Identifier: Apache-2.0
#pragma once

// A way to the kernel's IPsec: a port for what it is asked, and what it tells by itself. One for each language
// (NETLINK_XFRM, PF_KEY); both speak in messages of NETLINK_XFRM.
#include <functional>
#include <memory>

#include "base/log.h"
#include "model/connection.h"
#include "sadb/kernel/engine.h"

namespace cygnet::daemon {

class KernelLink {
 public:
  virtual ~KernelLink() = default;
  [[nodiscard]] virtual sadb::kernel::KernelPort& port() = 0;
  // Readable when the kernel has something to tell.
  [[nodiscard]] virtual int events() const = 0;
  // True: some of it was lost.
  [[nodiscard]] virtual bool read_events(const std::function<void(const wire::xfrm::Message&)>& on_message,
                                         Logger& log) = 0;
  // Whether what is lost is lost without a word.
  [[nodiscard]] virtual bool loses_in_silence() const { return false; }
};

// kXfrm or kPfkey. Fails, with words, where the kernel does not speak it.
[[nodiscard]] Result<std::unique_ptr<KernelLink>> open_kernel_link(model::EngineKind language);
// Only to ask: nothing that the kernel tells by itself is listened to.
[[nodiscard]] Result<std::unique_ptr<sadb::kernel::KernelPort>> open_kernel_port(model::EngineKind language);

}  // namespace cygnet::daemon
