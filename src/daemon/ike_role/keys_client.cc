// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/keys_client.h"

namespace cygnet::daemon {

void KeysClient::attach(io::UniqueFd socket) {
  channel_ = std::make_unique<io::Channel>(
      loop_, std::move(socket), [this](const io::Message& message) { on_message(message.bytes); },
      [this] { on_closed(); });
  fresh_.clear();
  for (const auto& [number, job] : asked_) fresh_.push_back(number);
  flush();
}

void KeysClient::ask(ike::auth::AuthJob job) {
  fresh_.push_back(job.job);
  asked_.insert_or_assign(job.job, std::move(job));
}

void KeysClient::send(std::vector<ike::auth::AuthJob>& batch, std::size_t& octets) {
  // A channel that takes no more is one whose process hangs or is gone: attach() asks again.
  if (!batch.empty()) (void)channel_->send(encode_jobs(batch));
  batch.clear();
  octets = 0;
}

void KeysClient::on_closed() {
  if (lost_.empty()) return;
  std::vector<ike::auth::AuthResult> failed;
  for (const auto& [number, job] : asked_) failed.push_back({.job = number, .error = lost_});
  asked_.clear();
  fresh_.clear();
  if (!failed.empty()) give_later(std::move(failed));
}

void KeysClient::give_later(std::vector<ike::auth::AuthResult> results) {
  loop_.post([this, results = std::move(results), alive = std::weak_ptr<bool>(alive_)]() mutable {
    if (!alive.expired()) on_results_(std::move(results));
  });
}

void KeysClient::flush() {
  if (fresh_.empty()) return;
  if (!channel_ || !channel_->open()) return on_closed();
  std::vector<ike::auth::AuthJob> batch;
  std::vector<ike::auth::AuthResult> refused;
  std::size_t octets = 0;
  for (const auto number : fresh_) {
    const auto at = asked_.find(number);
    if (at == asked_.end()) continue;
    const auto size = octets_of(at->second);
    if (size > kMaxKeyMessage) {
      refused.push_back({.job = number, .error = "the messages to be proven are larger than 48 KiB"});
      asked_.erase(at);
      continue;
    }
    if (octets + size > kMaxKeyMessage || batch.size() == kMaxJobsInMessage) send(batch, octets);
    batch.push_back(at->second);
    octets += size;
  }
  fresh_.clear();
  send(batch, octets);
  if (!refused.empty()) give_later(std::move(refused));
}

void KeysClient::on_message(ByteView bytes) {
  if (auto held = decode_held_keys(bytes)) {
    if (held->first || !held_) held_.emplace();
    held_->insert(held->key_ids.begin(), held->key_ids.end());
    return;
  }
  auto results = decode_results(bytes);
  if (!results) return;
  std::erase_if(*results, [this](const auto& result) { return asked_.erase(result.job) == 0; });
  if (!results->empty()) on_results_(std::move(*results));
}

}  // namespace cygnet::daemon
