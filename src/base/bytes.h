// SPDX-License-Identifier: Apache-2.0
#pragma once

// Byte strings, big-endian access, hexadecimal, and memory that forgets.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cygnet {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using MutableByteView = std::span<std::uint8_t>;

// Overwrites memory in a way the compiler may not remove.
void wipe(MutableByteView memory) noexcept;

// Allocator that wipes what it frees, so that a growing or dying key leaves no copy behind.
template <typename T>
struct WipingAllocator {
  using value_type = T;
  WipingAllocator() = default;
  template <typename U>
  WipingAllocator(const WipingAllocator<U>&) noexcept {}
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T))); }
  void deallocate(T* p, std::size_t n) noexcept {
    wipe({reinterpret_cast<std::uint8_t*>(p), n * sizeof(T)});
    ::operator delete(p);
  }
  bool operator==(const WipingAllocator&) const = default;
};

// Key material: keys, PSKs, shared secrets. Wiped when freed; never printed.
using SecretBytes = std::vector<std::uint8_t, WipingAllocator<std::uint8_t>>;

// Equal in a time that depends on the lengths alone.
[[nodiscard]] bool constant_time_equal(ByteView a, ByteView b) noexcept;

[[nodiscard]] inline std::uint16_t load_be16(const std::uint8_t* p) noexcept {
  return static_cast<std::uint16_t>((p[0] << 8) | p[1]);
}
[[nodiscard]] inline std::uint32_t load_be32(const std::uint8_t* p) noexcept {
  return (static_cast<std::uint32_t>(p[0]) << 24) | (static_cast<std::uint32_t>(p[1]) << 16) |
         (static_cast<std::uint32_t>(p[2]) << 8) | static_cast<std::uint32_t>(p[3]);
}
[[nodiscard]] inline std::uint64_t load_be64(const std::uint8_t* p) noexcept {
  return (static_cast<std::uint64_t>(load_be32(p)) << 32) | load_be32(p + 4);
}
inline void store_be16(std::uint8_t* p, std::uint16_t v) noexcept {
  p[0] = static_cast<std::uint8_t>(v >> 8);
  p[1] = static_cast<std::uint8_t>(v);
}
inline void store_be32(std::uint8_t* p, std::uint32_t v) noexcept {
  store_be16(p, static_cast<std::uint16_t>(v >> 16));
  store_be16(p + 2, static_cast<std::uint16_t>(v));
}
inline void store_be64(std::uint8_t* p, std::uint64_t v) noexcept {
  store_be32(p, static_cast<std::uint32_t>(v >> 32));
  store_be32(p + 4, static_cast<std::uint32_t>(v));
}

[[nodiscard]] std::string to_hex(ByteView bytes);
// Accepts upper and lower case and an optional 0x; anything else, or an odd number of digits, is an error (false).
[[nodiscard]] bool from_hex(std::string_view text, Bytes& out);
[[nodiscard]] inline Bytes to_bytes(std::string_view text) { return {text.begin(), text.end()}; }
[[nodiscard]] inline ByteView view_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
template <typename Container>
void append(Container& to, ByteView what) {
  to.insert(to.end(), what.begin(), what.end());
}

// Reads a byte string from front to back. A read past the end returns a neutral value and makes ok() false for good,
// so that a parser can read a whole header and check once.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) noexcept : bytes_(bytes) {}
  [[nodiscard]] std::uint8_t u8() noexcept {
    const auto b = take(1);
    return b.empty() ? std::uint8_t{0} : b[0];
  }
  [[nodiscard]] std::uint16_t u16() noexcept {
    const auto b = take(2);
    return b.empty() ? std::uint16_t{0} : load_be16(b.data());
  }
  [[nodiscard]] std::uint32_t u32() noexcept {
    const auto b = take(4);
    return b.empty() ? 0U : load_be32(b.data());
  }
  [[nodiscard]] std::uint64_t u64() noexcept {
    const auto b = take(8);
    return b.empty() ? 0ULL : load_be64(b.data());
  }
  // Exactly n bytes, or empty and ok() == false.
  [[nodiscard]] ByteView take(std::size_t n) noexcept {
    if (n > bytes_.size()) {
      ok_ = false;
      bytes_ = {};
      return {};
    }
    const auto head = bytes_.first(n);
    bytes_ = bytes_.subspan(n);
    return head;
  }
  void skip(std::size_t n) noexcept { (void)take(n); }
  [[nodiscard]] ByteView rest() noexcept { return take(bytes_.size()); }
  [[nodiscard]] std::size_t remaining() const noexcept { return bytes_.size(); }
  [[nodiscard]] bool ok() const noexcept { return ok_; }

 private:
  ByteView bytes_;
  bool ok_ = true;
};

// Appends to a byte string; offsets stay valid, so lengths can be patched in afterwards.
class ByteWriter {
 public:
  ByteWriter& u8(std::uint8_t v) {
    out_.push_back(v);
    return *this;
  }
  ByteWriter& u16(std::uint16_t v) {
    std::array<std::uint8_t, 2> b{};
    store_be16(b.data(), v);
    return bytes(b);
  }
  ByteWriter& u32(std::uint32_t v) {
    std::array<std::uint8_t, 4> b{};
    store_be32(b.data(), v);
    return bytes(b);
  }
  ByteWriter& u64(std::uint64_t v) {
    std::array<std::uint8_t, 8> b{};
    store_be64(b.data(), v);
    return bytes(b);
  }
  ByteWriter& bytes(ByteView b) {
    out_.insert(out_.end(), b.begin(), b.end());
    return *this;
  }
  ByteWriter& zeros(std::size_t n) {
    out_.insert(out_.end(), n, 0);
    return *this;
  }
  void patch_u16(std::size_t offset, std::uint16_t v) { store_be16(out_.data() + offset, v); }
  void patch_u32(std::size_t offset, std::uint32_t v) { store_be32(out_.data() + offset, v); }
  void patch_u8(std::size_t offset, std::uint8_t v) { out_[offset] = v; }
  [[nodiscard]] std::size_t size() const noexcept { return out_.size(); }
  [[nodiscard]] ByteView view() const noexcept { return out_; }
  [[nodiscard]] Bytes take() && { return std::move(out_); }

 private:
  Bytes out_;
};

}  // namespace cygnet
