// SPDX-License-Identifier: Apache-2.0
#pragma once

// Unix sockets: SEQPACKET pairs between our own processes (with descriptors riding along), and the stream socket that
// the command line talks to.
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "io/event_loop.h"
#include "io/fd.h"

namespace cygnet::io {

inline constexpr std::size_t kMaxMessage = 64 * 1024;  // octets in one SEQPACKET message
inline constexpr std::size_t kMaxMessageFds = 32;

struct Message {
  Bytes bytes;
  std::vector<UniqueFd> fds;
};

// Both ends non-blocking, closed on exec, with send buffers as large as the system (or root) allows.
[[nodiscard]] Result<std::pair<UniqueFd, UniqueFd>> seqpacket_pair();

enum class SendStatus { kSent, kFull, kClosed };
[[nodiscard]] SendStatus send_message(int fd, ByteView bytes, std::span<const int> fds = {});

enum class ReceiveStatus { kMessage, kNothing, kClosed };
// `buffer` must hold kMaxMessage octets; a longer message counts as closed: no one of ours sends such.
[[nodiscard]] ReceiveStatus receive_message(int fd, Message& out);

// Stream socket at a path. A stale socket file is replaced; one that still answers is an error.
[[nodiscard]] Result<UniqueFd> listen_stream(const std::string& path, unsigned mode);
[[nodiscard]] Result<UniqueFd> connect_stream(const std::string& path);
[[nodiscard]] UniqueFd accept_stream(int listener);
// The same with whole messages: PF_KEY's socket. accept_stream() takes its connections too.
[[nodiscard]] Result<UniqueFd> listen_seqpacket(const std::string& path, unsigned mode);
[[nodiscard]] Result<UniqueFd> connect_seqpacket(const std::string& path);

// One end of a SEQPACKET pair on an event loop. What does not fit into the socket waits here, in order, up to a bound.
class Channel {
 public:
  using OnMessage = std::function<void(Message)>;
  using OnClosed = std::function<void()>;
  Channel(EventLoop& loop, UniqueFd fd, OnMessage on_message, OnClosed on_closed,
          std::size_t max_queued_bytes = 64U << 20U);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // False if the peer is gone or too much waits already; then nothing was queued.
  bool send(Bytes bytes, std::vector<UniqueFd> fds = {});
  [[nodiscard]] bool open() const { return static_cast<bool>(fd_); }
  void close();

 private:
  void read_all();
  void flush();

  EventLoop& loop_;
  UniqueFd fd_;
  OnMessage on_message_;
  OnClosed on_closed_;
  std::size_t max_queued_bytes_;
  std::size_t queued_bytes_ = 0;
  bool waiting_ = false;
  std::deque<Message> queue_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace cygnet::io
