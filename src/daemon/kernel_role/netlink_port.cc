// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel_role/netlink_port.h"

#include <cerrno>

namespace cygnet::daemon {

namespace xfrm = wire::xfrm;
using sadb::kernel::KernelError;

std::expected<std::vector<xfrm::Message>, KernelError> NetlinkPort::ask(const xfrm::Message& message) {
  auto question = message;
  question.header.sequence = ++sequence_;
  auto octets = question.serialize();
  const auto sent = socket_.send(octets);
  wipe(octets);  // keys may stand in there
  if (!sent) return std::unexpected(KernelError{EIO, sent.error().message});
  const bool one_answer = (question.header.flags & (xfrm::kAck | xfrm::kDump)) == 0;
  std::vector<xfrm::Message> answers;
  for (;;) {
    auto datagram = socket_.receive();
    if (!datagram) return std::unexpected(KernelError{EIO, datagram.error().message});
    const auto over = take(*datagram, one_answer, answers);
    wipe(*datagram);  // and keys come back
    if (!over) return std::unexpected(over.error());
    if (*over) return answers;
  }
}

std::expected<bool, KernelError> NetlinkPort::take(ByteView datagram, bool one_answer,
                                                   std::vector<xfrm::Message>& answers) const {
  const auto pieces = xfrm::split_messages(datagram);
  if (!pieces) return std::unexpected(KernelError{EIO, pieces.error().message});
  for (const auto& piece : *pieces) {
    auto answer = xfrm::Message::parse(piece);
    if (!answer) return std::unexpected(KernelError{EIO, answer.error().message});
    // Answers to a question that was given up.
    if (answer->header.sequence != sequence_) continue;
    if (const auto* error = std::get_if<xfrm::ErrorReply>(&answer->body)) {
      if (error->error != 0) return std::unexpected(KernelError{-error->error, error->text});
      return true;
    }
    if (std::holds_alternative<xfrm::DoneReply>(answer->body)) return true;
    answers.push_back(std::move(*answer));
    if (one_answer) return true;
  }
  return false;
}

}  // namespace cygnet::daemon
