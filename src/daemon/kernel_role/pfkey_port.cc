// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel_role/pfkey_port.h"

#include <unistd.h>

#include <array>
#include <cerrno>

namespace cygnet::daemon {

namespace {

namespace pf = wire::pfkey;
namespace xfrm = wire::xfrm;
using sadb::kernel::KernelError;

// Acquires, expiries and mappings come to those who have registered.
class PfkeyLink final : public KernelLink {
 public:
  PfkeyLink(io::PfkeySocket asking, io::PfkeySocket listening)
      : port_(std::move(asking)), listening_(std::move(listening)) {}
  sadb::kernel::KernelPort& port() override { return port_; }
  [[nodiscard]] int events() const override { return listening_.descriptor(); }
  [[nodiscard]] bool loses_in_silence() const override { return true; }
  bool read_events(const std::function<void(const xfrm::Message&)>& on_message, Logger& log) override {
    while (auto datagram = listening_.receive_now()) {
      const auto message = pf::Message::parse(*datagram);
      wipe(*datagram);  // whoever adds an SA is heard by all, keys included
      if (!message) {
        log.debug("", "a notice of the kernel's was not understood: " + message.error().message);
      } else if (message->header.pid == port_.pid()) {
        continue;  // what was asked for here is known
      } else if (const auto notice = port_.language().notice(*message)) {
        on_message(*notice);
      }
    }
    return false;
  }

 private:
  PfkeyPort port_;
  io::PfkeySocket listening_;
};

}  // namespace

PfkeyPort::PfkeyPort(io::PfkeySocket socket)
    : socket_(std::move(socket)), pid_(static_cast<std::uint32_t>(::getpid())) {}

std::expected<std::vector<xfrm::Message>, KernelError> PfkeyPort::ask(const xfrm::Message& message) {
  auto question = language_.question(message);
  if (!question) return std::unexpected(KernelError{EOPNOTSUPP, question.error().message});
  const auto replies = ask(std::move(*question), sadb::kernel::PfkeyLanguage::is_dump(message));
  if (!replies) return std::unexpected(replies.error());
  const auto wall_s = static_cast<std::uint64_t>(clock_.wall_seconds());
  std::vector<xfrm::Message> answers;
  for (const auto& reply : *replies) {
    if (auto answer = language_.answer(message, reply, wall_s)) answers.push_back(std::move(*answer));
  }
  return answers;
}

std::expected<std::vector<pf::Message>, KernelError> PfkeyPort::ask(pf::Message question, bool dump) {
  // What others changed meanwhile, which everybody is told.
  while (auto notice = socket_.receive_now()) wipe(*notice);
  question.header.pid = pid_;
  question.header.sequence = ++sequence_;
  auto octets = question.serialize();
  const auto sent = socket_.send(octets);
  wipe(octets);
  if (!sent) return std::unexpected(KernelError{EIO, sent.error().message});
  std::vector<pf::Message> replies;
  for (;;) {
    auto datagram = socket_.receive();
    if (!datagram) return std::unexpected(KernelError{EIO, datagram.error().message});
    const auto header = pf::MessageHeader::parse(*datagram);
    auto reply = pf::Message::parse(*datagram);
    wipe(*datagram);
    if (!header) return std::unexpected(KernelError{EIO, header.error().message});
    if (header->type != question.header.type || header->pid != pid_) continue;
    // Of a question that was given up; the messages of a dump have numbers of their own.
    if ((!dump || header->error != 0) && header->sequence != sequence_) continue;
    if (header->error != 0) {
      if (dump && header->error == ENOENT) return replies;
      return std::unexpected(KernelError{header->error, {}});
    }
    // What is not understood of a dump is somebody else's (policies of sockets have directions of their own).
    if (!reply && !dump) return std::unexpected(KernelError{EIO, reply.error().message});
    if (reply) replies.push_back(std::move(*reply));
    // RFC 2367 section 3.1.10: "a sadb_msg_seq of zero" ends a dump.
    if (!dump || header->sequence == 0) return replies;
  }
}

Result<std::unique_ptr<KernelLink>> open_pfkey_link() {
  auto asking = io::PfkeySocket::open();
  if (!asking) return std::unexpected(asking.error());
  auto listening = io::PfkeySocket::open();
  if (!listening) return std::unexpected(listening.error());
  for (const auto type : {pf::SaType::kEsp, pf::SaType::kAh}) {
    pf::Message message;
    message.header.type = pf::MessageType::kRegister;
    message.header.sa_type = type;
    message.header.pid = static_cast<std::uint32_t>(::getpid());
    if (auto sent = listening->send(message.serialize()); !sent) return std::unexpected(sent.error());
  }
  return std::make_unique<PfkeyLink>(std::move(*asking), std::move(*listening));
}

}  // namespace cygnet::daemon
