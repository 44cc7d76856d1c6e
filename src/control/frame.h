// SPDX-License-Identifier: Apache-2.0
#pragma once

// Frames of the control socket: four octets of length (big-endian, without themselves), then that many octets of JSON.
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace cygnet::control {

// A request is small; a response may list 100,000 tunnels.
inline constexpr std::size_t kMaxRequest = 64UL * 1024;
inline constexpr std::size_t kMaxResponse = 256UL * 1024 * 1024;

[[nodiscard]] Bytes frame(std::string_view text);

// Collects octets as they come from a stream socket and hands out whole frames. A length above the limit is an error,
// and the stream cannot be read any further: close it. Memory held never exceeds the limit and one read.
class FrameReader {
 public:
  explicit FrameReader(std::size_t max_size) : max_size_(max_size) {}
  void feed(ByteView bytes);
  // The next whole frame, nothing if more octets are needed, or an error.
  [[nodiscard]] Result<std::optional<std::string>> next();

 private:
  std::size_t max_size_;
  std::size_t read_ = 0;  // octets of buffer_ already handed out
  Bytes buffer_;
};

}  // namespace cygnet::control
