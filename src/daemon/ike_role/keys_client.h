// SPDX-License-Identifier: Apache-2.0
#pragma once

// ike's side of the keys process: questions are gathered, sent together, and asked again if keys was restarted before
// it answered.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/keys_role/key_messages.h"
#include "ike/auth/jobs.h"
#include "io/event_loop.h"
#include "io/unix_socket.h"

namespace cygnet::daemon {

class KeysClient {
 public:
  using OnResults = std::function<void(std::vector<ike::auth::AuthResult>)>;
  // `lost`: what is not answered when the process at the other end ends, fails with this sentence. Empty: it waits for
  // the next process and is asked again.
  KeysClient(io::EventLoop& loop, OnResults on_results, std::string lost = {})
      : loop_(loop), on_results_(std::move(on_results)), lost_(std::move(lost)) {}

  // The pair to the keys process there is now.
  void attach(io::UniqueFd socket);
  // Leaves with the next flush(). A job that fits into no message is answered at once, in flush().
  void ask(ike::auth::AuthJob job);
  void flush();
  [[nodiscard]] bool holds(const Bytes& key_id) const { return held_ && held_->contains(key_id); }
  // Of our private keys: PublicKey::key_id(). Null: keys has not said yet.
  [[nodiscard]] const std::set<Bytes>* held() const { return held_ ? &*held_ : nullptr; }
  [[nodiscard]] std::size_t unanswered() const { return asked_.size(); }

 private:
  void send(std::vector<ike::auth::AuthJob>& batch, std::size_t& octets);
  void on_message(ByteView bytes);
  void on_closed();
  void give_later(std::vector<ike::auth::AuthResult> results);

  io::EventLoop& loop_;
  OnResults on_results_;
  std::string lost_;
  std::unique_ptr<io::Channel> channel_;
  std::map<std::uint64_t, ike::auth::AuthJob> asked_;  // not yet answered, by job
  std::vector<std::uint64_t> fresh_;                   // of these, not yet sent
  std::optional<std::set<Bytes>> held_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace cygnet::daemon
