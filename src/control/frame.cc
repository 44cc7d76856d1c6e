// SPDX-License-Identifier: Apache-2.0
#include "control/frame.h"

#include <algorithm>

namespace cygnet::control {

constexpr std::size_t kHeader = 4;

Bytes frame(std::string_view text) {
  Bytes out(kHeader);
  out.reserve(kHeader + text.size());
  store_be32(out.data(), static_cast<std::uint32_t>(text.size()));
  append(out, view_of(text));
  return out;
}

void FrameReader::feed(ByteView bytes) {
  // What was handed out goes before more comes in, so that the buffer stays as small as the stream allows.
  if (read_ != 0) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(read_));
    read_ = 0;
  }
  append(buffer_, bytes);
}

Result<std::optional<std::string>> FrameReader::next() {
  const auto available = buffer_.size() - read_;
  if (available < kHeader) return std::nullopt;
  const std::size_t size = load_be32(buffer_.data() + read_);
  if (size > max_size_) {
    return fail("control message of " + std::to_string(size) + " octets; at most " + std::to_string(max_size_) +
                " are taken");
  }
  if (available - kHeader < size) return std::nullopt;
  const auto* text = buffer_.data() + read_ + kHeader;
  read_ += kHeader + size;
  return std::string(text, text + size);
}

}  // namespace cygnet::control
