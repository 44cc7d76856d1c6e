// SPDX-License-Identifier: Apache-2.0
#pragma once

// Values to bytes and back with one description for both ways: fields(archive, value) in fields.h names the members
// once, so that writer and reader cannot disagree.
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/strong.h"
#include "base/time.h"

namespace cygnet::sadb {

inline constexpr std::size_t kMaxText = 4096;
inline constexpr std::size_t kMaxItems = 1024;  // of any list

class Writer {
 public:
  static constexpr bool kReads = false;
  Writer() { out_.reserve(kUsualSize); }
  void number(const std::uint8_t& v) { out_.push_back(v); }
  void number(const std::uint16_t& v) { store_be16(room(sizeof v), v); }
  void number(const std::uint32_t& v) { store_be32(room(sizeof v), v); }
  void number(const std::uint64_t& v) { store_be64(room(sizeof v), v); }
  void flag(const bool& v) { out_.push_back(v ? 1 : 0); }
  void text(const std::string& v) {
    const auto n = std::min(v.size(), kMaxText);
    number(static_cast<std::uint16_t>(n));
    append(out_, view_of(v).first(n));
  }
  template <typename Container>
  void octets(const Container& v) {
    number(static_cast<std::uint32_t>(v.size()));
    append(out_, v);
  }
  template <typename E>
  void enumeration(const E& v, E /*last*/) {
    number(static_cast<std::uint16_t>(v));
  }
  void address(const IpAddress& v) {
    number(static_cast<std::uint8_t>(v.family()));
    append(out_, v.bytes());
  }
  void instant(const Instant& v) { number(static_cast<std::uint64_t>(v.time_since_epoch().count())); }
  template <typename T, typename Each>
  void list(const std::vector<T>& v, const Each& each) {
    const auto n = std::min(v.size(), kMaxItems);
    number(static_cast<std::uint16_t>(n));
    for (std::size_t i = 0; i < n; ++i) {
      each(*this, v[i]);
    }
  }
  void refuse() {}
  [[nodiscard]] std::size_t size() const { return out_.size(); }
  [[nodiscard]] Bytes take() && { return std::move(out_); }

 private:
  static constexpr std::size_t kUsualSize = 512;  // of a message
  std::uint8_t* room(std::size_t octets) {
    out_.resize(out_.size() + octets);
    return out_.data() + out_.size() - octets;
  }
  Bytes out_;
};

class Reader {
 public:
  static constexpr bool kReads = true;
  explicit Reader(ByteView bytes) : in_(bytes) {}
  void number(std::uint8_t& v) { v = in_.u8(); }
  void number(std::uint16_t& v) { v = in_.u16(); }
  void number(std::uint32_t& v) { v = in_.u32(); }
  void number(std::uint64_t& v) { v = in_.u64(); }
  void flag(bool& v) {
    const auto b = in_.u8();
    v = b == 1;
    valid_ = valid_ && b <= 1;
  }
  void text(std::string& v) {
    const auto n = in_.u16();
    const auto bytes = n <= kMaxText ? in_.take(n) : ByteView{};
    valid_ = valid_ && n <= kMaxText;
    v.assign(bytes.begin(), bytes.end());
  }
  template <typename Container>
  void octets(Container& v) {
    const auto bytes = in_.take(in_.u32());
    v.assign(bytes.begin(), bytes.end());
  }
  template <typename E>
  void enumeration(E& v, E last) {
    const auto n = in_.u16();
    if (n > static_cast<std::uint16_t>(last)) {
      valid_ = false;
      return;
    }
    v = static_cast<E>(n);
  }
  void address(IpAddress& v) {
    const auto family = in_.u8();
    if (family != 4 && family != 6) {
      valid_ = false;
      return;
    }
    const auto bytes = in_.take(family == 4 ? 4 : 16);
    if (!bytes.empty()) {
      v = IpAddress::from_bytes(bytes);
    }
  }
  void instant(Instant& v) { v = Instant(Duration(static_cast<std::int64_t>(in_.u64()))); }
  template <typename T, typename Each>
  void list(std::vector<T>& v, const Each& each) {
    const auto n = in_.u16();
    if (n > kMaxItems) {
      valid_ = false;
      return;
    }
    v.clear();
    for (std::size_t i = 0; i < n && ok(); ++i) {
      each(*this, v.emplace_back());
    }
  }
  void refuse() { valid_ = false; }
  [[nodiscard]] bool ok() const { return valid_ && in_.ok(); }
  [[nodiscard]] bool finished() const { return ok() && in_.remaining() == 0; }

 private:
  ByteReader in_;
  bool valid_ = true;
};

}  // namespace cygnet::sadb
