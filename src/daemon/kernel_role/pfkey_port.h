// SPDX-License-Identifier: Apache-2.0
#pragma once

// KernelPort over the kernel's PF_KEY socket (engine=pfkey): one question at a time, answered before the next.
#include "daemon/kernel_role/kernel_link.h"
#include "io/clock.h"
#include "io/pfkey_socket.h"
#include "sadb/kernel/pfkey_language.h"

namespace cygnet::daemon {

class PfkeyPort final : public sadb::kernel::KernelPort {
 public:
  explicit PfkeyPort(io::PfkeySocket socket);
  [[nodiscard]] std::expected<std::vector<wire::xfrm::Message>, sadb::kernel::KernelError> ask(
      const wire::xfrm::Message& message) override;
  [[nodiscard]] std::uint32_t reqids() const override { return sadb::kernel::kPfkeyReqids; }
  // A question as it is.
  [[nodiscard]] std::expected<std::vector<wire::pfkey::Message>, sadb::kernel::KernelError> ask(
      wire::pfkey::Message message, bool dump);
  // Stands in the notices of what was asked for here.
  [[nodiscard]] std::uint32_t pid() const { return pid_; }
  [[nodiscard]] sadb::kernel::PfkeyLanguage& language() { return language_; }

 private:
  io::PfkeySocket socket_;
  io::SystemClock clock_;
  sadb::kernel::PfkeyLanguage language_;
  std::uint32_t pid_;
  std::uint32_t sequence_ = 0;
};

[[nodiscard]] Result<std::unique_ptr<KernelLink>> open_pfkey_link();

}  // namespace cygnet::daemon
