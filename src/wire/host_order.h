// SPDX-License-Identifier: Apache-2.0
#pragma once

// For messages that never leave the machine (PF_KEY, netlink): numbers in the machine's own order, but for what is
// taken from packets as it stands there.
#include <cstring>

#include "base/bytes.h"

namespace cygnet::wire {

// Reads as ByteReader does: past the end zeros come, and ok() is false for good.
class HostReader {
 public:
  explicit HostReader(ByteView bytes) : reader_(bytes) {}
  [[nodiscard]] std::uint8_t u8() { return reader_.u8(); }
  [[nodiscard]] std::uint16_t u16() { return number<std::uint16_t>(); }
  [[nodiscard]] std::uint32_t u32() { return number<std::uint32_t>(); }
  [[nodiscard]] std::uint64_t u64() { return number<std::uint64_t>(); }
  [[nodiscard]] std::uint16_t network_u16() { return reader_.u16(); }
  [[nodiscard]] std::uint32_t network_u32() { return reader_.u32(); }
  [[nodiscard]] ByteView take(std::size_t octets) { return reader_.take(octets); }
  [[nodiscard]] ByteView rest() { return reader_.rest(); }
  void skip(std::size_t octets) { reader_.skip(octets); }
  [[nodiscard]] std::size_t remaining() const { return reader_.remaining(); }
  [[nodiscard]] bool ok() const { return reader_.ok(); }

 private:
  template <typename T>
  T number() {
    T value{};
    const auto octets = reader_.take(sizeof value);
    if (!octets.empty()) std::memcpy(&value, octets.data(), sizeof value);
    return value;
  }
  ByteReader reader_;
};

class HostWriter {
 public:
  void u8(std::uint8_t v) { out_.push_back(v); }
  void u16(std::uint16_t v) { number(v); }
  void u32(std::uint32_t v) { number(v); }
  void u64(std::uint64_t v) { number(v); }
  void network_u16(std::uint16_t v) {
    u8(static_cast<std::uint8_t>(v >> 8U));
    u8(static_cast<std::uint8_t>(v));
  }
  void network_u32(std::uint32_t v) {
    network_u16(static_cast<std::uint16_t>(v >> 16U));
    network_u16(static_cast<std::uint16_t>(v));
  }
  void bytes(ByteView v) { append(out_, v); }
  void zeros(std::size_t octets) { out_.insert(out_.end(), octets, 0); }
  void pad_to(std::size_t multiple) { zeros((multiple - out_.size() % multiple) % multiple); }
  void patch_u16(std::size_t offset, std::uint16_t v) { std::memcpy(out_.data() + offset, &v, sizeof v); }
  void patch_u32(std::size_t offset, std::uint32_t v) { std::memcpy(out_.data() + offset, &v, sizeof v); }
  [[nodiscard]] std::size_t size() const { return out_.size(); }
  [[nodiscard]] Bytes take() && { return std::move(out_); }

 private:
  template <typename T>
  void number(T v) {
    const auto at = out_.size();
    out_.resize(at + sizeof v);
    std::memcpy(out_.data() + at, &v, sizeof v);
  }
  Bytes out_;
};

}  // namespace cygnet::wire
