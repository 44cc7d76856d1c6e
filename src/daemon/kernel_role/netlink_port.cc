// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel_role/netlink_port.h"

#include <cerrno>

#include "wire/host_order.h"

namespace cygnet::daemon {

namespace xfrm = wire::xfrm;
using sadb::kernel::KernelError;

namespace {

// split_messages() has seen that there is a header.
std::uint32_t sequence_of(ByteView message) {
  constexpr std::size_t kLengthTypeAndFlags = 8;
  wire::HostReader reader(message);
  reader.skip(kLengthTypeAndFlags);
  return reader.u32();
}

}  // namespace

std::expected<std::vector<xfrm::Message>, KernelError> NetlinkPort::ask(const xfrm::Message& message) {
  auto question = message;
  question.header.sequence = ++sequence_;
  question.header.port = socket_.port();
  auto octets = question.serialize();
  const auto sent = socket_.send(octets);
  wipe(octets);  // keys may stand in there
  if (!sent) return std::unexpected(KernelError{EIO, sent.error().message});
  std::vector<xfrm::Message> answers;
  for (;;) {
    auto datagram = socket_.receive();
    if (!datagram) return std::unexpected(KernelError{EIO, datagram.error().message});
    const auto over = take_answers(*datagram, question.header, answers);
    wipe(*datagram);  // and keys come back
    if (!over) return std::unexpected(over.error());
    if (*over) return answers;
  }
}

// The notice of what was removed is sent before the acknowledgement, and has the number of the question.
std::expected<std::vector<xfrm::Message>, KernelError> NetlinkPort::remove(const xfrm::Message& message) {
  const bool told = socket_.listen(static_cast<unsigned>(xfrm::Group::kSa), true);
  auto answers = ask(message);
  if (told) (void)socket_.listen(static_cast<unsigned>(xfrm::Group::kSa), false);
  if (answers) std::erase_if(*answers, [&](const auto& each) { return each.header.port != number(); });
  return answers;
}

std::uint32_t NetlinkPort::interface_of(const IpAddress& local) {
  const auto addresses = routes_ ? routes_->addresses() : Result<std::vector<io::InterfaceAddress>>{};
  for (const auto& each : addresses ? *addresses : std::vector<io::InterfaceAddress>{}) {
    if (each.prefix.address == local) return static_cast<std::uint32_t>(each.index);
  }
  return 0;
}

std::expected<bool, KernelError> take_answers(ByteView datagram, const xfrm::Header& question,
                                              std::vector<xfrm::Message>& answers) {
  const bool dump = (question.flags & xfrm::kDump) != 0;
  const bool one_answer = !dump && (question.flags & xfrm::kAck) == 0;
  const auto pieces = xfrm::split_messages(datagram);
  if (!pieces) return std::unexpected(KernelError{EIO, pieces.error().message});
  for (const auto& piece : *pieces) {
    // Answers to a question that was given up, and notices of what others do.
    if (sequence_of(piece) != question.sequence) continue;
    auto answer = xfrm::Message::parse(piece);
    if (!answer && dump && xfrm::is_about_ipsec(piece)) continue;
    if (!answer) return std::unexpected(KernelError{EIO, answer.error().message});
    if (const auto* error = std::get_if<xfrm::ErrorReply>(&answer->body)) {
      if (error->error != 0) return std::unexpected(KernelError{-error->error, error->text});
      return true;
    }
    if (const auto* done = std::get_if<xfrm::DoneReply>(&answer->body)) {
      if (done->error < 0) return std::unexpected(KernelError{-done->error, {}});
      return true;
    }
    answers.push_back(std::move(*answer));
    if (one_answer) return true;
  }
  return false;
}

}  // namespace cygnet::daemon
