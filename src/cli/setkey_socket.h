// SPDX-License-Identifier: Apache-2.0
#pragma once

// A PF_KEY socket: the engine's, or a kernel's.
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/fd.h"
#include "wire/pfkey/message.h"

namespace cygnet::cli {

class SetkeySocket {
 public:
  using Message = wire::pfkey::Message;
  enum class Where { kEngine, kKernel };
  // The engine of this run directory; where none runs, and may_be_kernel, the kernel.
  [[nodiscard]] static Result<SetkeySocket> open(const std::string& run_dir, bool kernel, bool may_be_kernel,
                                                 bool show_keys);

  [[nodiscard]] Where where() const { return where_; }
  // Sees every message that goes either way.
  void on_traffic(std::function<void(const Message&, bool sent)> seen) { seen_ = std::move(seen); }

  struct Reply {
    Message message;
    std::string error;  // what the errno in it means, with what more was said; empty: none
  };
  // Sends it under a number of our own and waits for the answer.
  [[nodiscard]] Result<Reply> ask(Message request);
  // The same for a dump: each entry. An error of the other side is in the reply that is returned.
  [[nodiscard]] Result<Reply> dump(Message request, const std::function<void(const Message&)>& entry);
  // The next message, whoever it is for.
  [[nodiscard]] Result<Message> receive(int timeout_ms);

 private:
  SetkeySocket(io::UniqueFd fd, Where where);
  [[nodiscard]] Result<void> send(Message& request);
  [[nodiscard]] Result<Message> answer_to(const Message& request, bool any_sequence);
  [[nodiscard]] static Reply reply_of(Message message);

  io::UniqueFd fd_;
  Where where_;
  std::uint32_t pid_;
  std::uint32_t sequence_ = 0;
  Bytes buffer_;
  std::function<void(const Message&, bool)> seen_;
};

}  // namespace cygnet::cli
