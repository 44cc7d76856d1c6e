// SPDX-License-Identifier: Apache-2.0
#include "sadb/checkpoints.h"

#include <algorithm>

namespace cygnet::sadb {

Result<void> Checkpoints::put(const PutCheckpointRequest& request) {
  const auto& key = request.key;
  if (request.offset == 0) {
    forget_pieces();
  } else if (key != pieces_of_ || request.offset != pieces_.size()) {
    return refuse(key, "the state of " + key + " came in part");
  }
  if (request.offset + request.value.size() > kMaxCheckpoint) {
    return refuse(key, "the state of " + key + " is too long to be kept: it will not outlive ike");
  }
  if (request.more || request.offset != 0) {
    pieces_of_ = key;
    pieces_.insert(pieces_.end(), request.value.begin(), request.value.end());
    if (request.more) {
      return {};
    }
  }
  const ByteView whole = request.offset == 0 ? ByteView(request.value) : ByteView(pieces_);
  drop(key);
  if (octets_ + whole.size() > kMaxOctets) {
    return refuse(key, "as many checkpoints are held as may be: the state of " + key + " will not outlive ike");
  }
  octets_ += whole.size();
  whole_.insert_or_assign(key, Bytes(whole.begin(), whole.end()));
  forget_pieces();
  return {};
}

Result<void> Checkpoints::refuse(const std::string& key, std::string why) {
  drop(key);
  forget_pieces();
  return fail(std::move(why));
}

void Checkpoints::drop(const std::string& key) {
  const auto it = whole_.find(key);
  if (it == whole_.end()) {
    return;
  }
  octets_ -= it->second.size();
  wipe(it->second);
  whole_.erase(it);
}

std::vector<std::pair<std::string, Bytes>> Checkpoints::all() const {
  std::vector<std::pair<std::string, Bytes>> out(whole_.begin(), whole_.end());
  std::ranges::sort(out);
  return out;
}

void Checkpoints::forget_pieces() {
  SecretBytes().swap(pieces_);
  pieces_of_.clear();
}

}  // namespace cygnet::sadb
