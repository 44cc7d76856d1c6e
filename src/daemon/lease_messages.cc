// SPDX-License-Identifier: Apache-2.0
#include "daemon/lease_messages.h"

#include "io/unix_socket.h"
#include "sadb/archive.h"

namespace cygnet::daemon {

namespace {

constexpr std::size_t kRecordRest = 64;  // octets of a record without its identity, at most
constexpr std::size_t kFull = io::kMaxMessage / 2;

}  // namespace

std::vector<LeaseChanges> split_to_messages(std::vector<store::LeaseChange> changes) {
  std::vector<LeaseChanges> out;
  std::size_t octets = kFull;
  for (auto& change : changes) {
    if (change.lease.peer.data.size() > kMaxStoredIdentity) continue;
    octets += kRecordRest + change.lease.peer.data.size();
    if (octets > kFull || out.back().list.size() == sadb::kMaxItems) {
      out.emplace_back();
      octets = kRecordRest + change.lease.peer.data.size();
    }
    out.back().list.push_back(std::move(change));
  }
  return out;
}

std::string encode_leases(const std::vector<store::LeaseRecord>& leases) {
  sadb::Writer writer;
  for (const auto& lease : leases) {
    if (lease.peer.data.size() <= kMaxStoredIdentity) lease_fields(writer, lease);
  }
  const auto bytes = std::move(writer).take();
  return {bytes.begin(), bytes.end()};
}

Result<std::vector<store::LeaseRecord>> decode_leases(const std::string& text) {
  sadb::Reader reader(view_of(text));
  std::vector<store::LeaseRecord> out;
  while (reader.ok() && !reader.finished()) lease_fields(reader, out.emplace_back());
  if (!reader.ok()) return fail("the leases that the monitor keeps arrived damaged");
  return out;
}

}  // namespace cygnet::daemon
