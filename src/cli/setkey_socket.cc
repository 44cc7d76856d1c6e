// SPDX-License-Identifier: Apache-2.0
#include "cli/setkey_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "io/errno_text.h"
#include "io/unix_socket.h"

namespace cygnet::cli {

namespace {

namespace pf = wire::pfkey;

constexpr int kPatience_ms = 10'000;
constexpr int kKernelBuffer = 16 << 20;  // the kernel drops in silence what does not fit
constexpr int kProtocolV2 = 2;           // PF_KEY_V2

}  // namespace

SetkeySocket::SetkeySocket(io::UniqueFd fd, Where where)
    : fd_(std::move(fd)), where_(where), pid_(static_cast<std::uint32_t>(::getpid())), buffer_(pf::kMaxMessage * 8) {}

Result<SetkeySocket> SetkeySocket::open(const std::string& run_dir, bool kernel, bool may_be_kernel, bool show_keys) {
  const auto path = run_dir + "/" + std::string(pf::kSocketName);
  std::string why_not;
  if (!kernel) {
    auto fd = io::connect_seqpacket(path);
    if (fd) {
      SetkeySocket socket(std::move(*fd), Where::kEngine);
      Message options;
      options.header.type = pf::MessageType::kCygnetOptions;
      options.options =
          pf::OptionsExtension{pf::OptionsExtension::kErrorText | (show_keys ? pf::OptionsExtension::kShowKeys : 0U)};
      const auto reply = socket.ask(std::move(options));
      if (!reply) return std::unexpected(reply.error());
      return socket;
    }
    why_not = fd.error().message;
    if (!may_be_kernel) return fail(why_not + ": is cygnetd running with this run directory? (only root may connect)");
  }
  io::UniqueFd fd(::socket(PF_KEY, SOCK_RAW | SOCK_CLOEXEC, kProtocolV2));
  if (!fd) {
    const auto error = io::errno_text(errno);
    return fail(kernel ? "the kernel has no PF_KEY socket for us: " + error
                       : "there is neither an engine (" + why_not + ") nor PF_KEY in the kernel (" + error +
                             "): start cygnetd, or name its run directory with --run-dir");
  }
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kKernelBuffer, sizeof kKernelBuffer);
  return SetkeySocket(std::move(fd), Where::kKernel);
}

Result<void> SetkeySocket::send(Message& request) {
  request.header.pid = pid_;
  request.header.sequence = ++sequence_;
  auto bytes = request.serialize();
  if (seen_) seen_(request, true);
  const auto sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  const int error = errno;
  wipe(bytes);
  // The kernel answers with a message and an errno both; the message says it all.
  if (sent < 0 && (where_ == Where::kEngine || error == EBADF || error == ENOTCONN || error == EPIPE)) {
    return fail("cannot send: " + io::errno_text(error));
  }
  return {};
}

Result<pf::Message> SetkeySocket::receive(int timeout_ms) {
  for (;;) {
    pollfd waiting{fd_.get(), POLLIN, 0};
    const int ready = ::poll(&waiting, 1, timeout_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return fail("no answer came within " + std::to_string(timeout_ms / 1000) + " seconds");
    const auto n = ::recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == ENOBUFS) return fail("messages were lost: they came faster than they could be read");
    if (n <= 0)
      return fail(n == 0 ? "the other side has closed the socket" : "cannot receive: " + io::errno_text(errno));
    auto message = Message::parse(ByteView(buffer_).first(static_cast<std::size_t>(n)));
    wipe(MutableByteView(buffer_).first(static_cast<std::size_t>(n)));
    if (!message) return fail("a message came that is none: " + message.error().message);
    if (seen_) seen_(*message, false);
    return std::move(*message);
  }
}

Result<pf::Message> SetkeySocket::answer_to(const Message& request, bool any_sequence) {
  for (;;) {
    auto message = receive(kPatience_ms);
    if (!message) return message;
    const auto& h = message->header;
    if (h.type == request.header.type && h.pid == pid_ &&
        (any_sequence || h.error != 0 || h.sequence == request.header.sequence)) {
      return message;
    }
  }
}

SetkeySocket::Reply SetkeySocket::reply_of(Message message) {
  Reply reply{std::move(message), {}};
  if (reply.message.header.error == 0) return reply;
  reply.error = io::errno_text(reply.message.header.error);
  if (reply.message.error_text) reply.error += " (" + reply.message.error_text->text + ")";
  return reply;
}

Result<SetkeySocket::Reply> SetkeySocket::ask(Message request) {
  if (auto sent = send(request); !sent) return std::unexpected(sent.error());
  auto answer = answer_to(request, false);
  if (!answer) return std::unexpected(answer.error());
  return reply_of(std::move(*answer));
}

Result<SetkeySocket::Reply> SetkeySocket::dump(Message request, const std::function<void(const Message&)>& entry) {
  if (auto sent = send(request); !sent) return std::unexpected(sent.error());
  for (;;) {
    auto answer = answer_to(request, true);
    if (!answer) return std::unexpected(answer.error());
    if (answer->header.error != 0) return reply_of(std::move(*answer));
    entry(*answer);
    // RFC 2367 section 3.1.10: a dump ends with sequence number 0.
    if (answer->header.sequence == 0) return reply_of(std::move(*answer));
  }
}

}  // namespace cygnet::cli
