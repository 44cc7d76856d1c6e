// SPDX-License-Identifier: Apache-2.0
#pragma once

// What clients of a service have not taken yet waits here, up to a bound for each and for all together. Who lets more
// wait is cut off, alone and by name: nobody else waits for it, and nothing is left out in silence.
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/log.h"

namespace cygnet::sadb {

class Outboxes {
 public:
  using ClientId = std::uint32_t;
  static constexpr std::size_t kMostClients = 4000;
  static constexpr std::size_t kMostWaiting = 65536;             // messages for one client
  static constexpr std::size_t kMostWaitingOctets = 16U << 20U;  // and their octets
  static constexpr std::size_t kMostWaitingInAll = 4U << 20U;    // messages for all clients together
  static constexpr std::size_t kUnreadOctets = 1U << 20U;        // more unread, and no request is taken from it
  using Shared = std::shared_ptr<const Bytes>;

  Outboxes(std::string subject, Logger& log) : subject_(std::move(subject)), log_(log) {}

  [[nodiscard]] std::optional<ClientId> open(std::string who);
  void close(ClientId id);
  // Known, and not cut off.
  [[nodiscard]] bool is_open(ClientId id) const;
  [[nodiscard]] std::string who(ClientId id) const;
  void put(ClientId id, Shared message);
  [[nodiscard]] Shared front(ClientId id) const;
  void pop(ClientId id);
  [[nodiscard]] bool takes_requests(ClientId id) const;
  [[nodiscard]] std::vector<ClientId> take_cut_off();

  [[nodiscard]] std::size_t size() const { return boxes_.size(); }
  [[nodiscard]] std::size_t waiting() const { return waiting_in_all_; }
  [[nodiscard]] std::uint64_t accepted() const { return accepted_; }
  [[nodiscard]] std::uint64_t turned_away() const { return turned_away_; }
  [[nodiscard]] std::uint64_t cut_off_ever() const { return cut_off_ever_; }

  // One copy for all who are told. Wiped at the end: keys may be shown in it.
  [[nodiscard]] static Shared share(Bytes bytes);

 private:
  struct Box {
    std::string who;
    bool cut_off = false;
    std::deque<Shared> waiting;
    std::size_t octets = 0;
  };
  void cut_off(ClientId id, Box& box, const std::string& why);

  std::string subject_;
  Logger& log_;
  std::map<ClientId, Box> boxes_;
  std::vector<ClientId> cut_off_;
  ClientId next_ = 1;
  std::size_t waiting_in_all_ = 0;
  std::uint64_t accepted_ = 0, turned_away_ = 0, cut_off_ever_ = 0;
};

}  // namespace cygnet::sadb
