// SPDX-License-Identifier: Apache-2.0
#pragma once

// std::optional for something large that is seldom there, in an object of which there are many: it takes the room of a
// pointer until it is first set, and again after give_room_back().
#include <memory>
#include <optional>
#include <utility>

namespace cygnet {

template <typename T>
class RoomyOptional {
 public:
  RoomyOptional() = default;
  RoomyOptional& operator=(T value) {
    room() = std::move(value);
    return *this;
  }

  [[nodiscard]] bool has_value() const { return room_ && room_->has_value(); }
  [[nodiscard]] explicit operator bool() const { return has_value(); }
  [[nodiscard]] T& operator*() { return **room_; }
  [[nodiscard]] const T& operator*() const { return **room_; }
  [[nodiscard]] T* operator->() { return &**room_; }
  [[nodiscard]] const T* operator->() const { return &**room_; }
  T& emplace() { return room().emplace(); }
  // The room stays, as with std::optional.
  void reset() {
    if (room_) room_->reset();
  }
  void give_room_back() {
    if (!has_value()) room_.reset();
  }

 private:
  std::optional<T>& room() {
    if (!room_) room_ = std::make_unique<std::optional<T>>();
    return *room_;
  }
  std::unique_ptr<std::optional<T>> room_;
};

}  // namespace cygnet
