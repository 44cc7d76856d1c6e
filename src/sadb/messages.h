// SPDX-License-Identifier: Apache-2.0
#pragma once

// Messages between ike and engine on a SEQPACKET socket: one message a datagram, big-endian, our own format:
//
//    0                   1                   2                   3
//   +---------------+---------------+-------------------------------+
//   |    version    |     type      |      request (high half)      |
//   +---------------+---------------+-------------------------------+
//   |      request (low half)       |  fields of the type ...
//   +-------------------------------+-------------------------------
//
// request: chosen by the asker and repeated in every answer; 0 in events. Both ends check every length, enumeration and
// count; a message that is not exactly right is refused as a whole.
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "sadb/backend.h"

namespace cygnet::sadb {

inline constexpr std::uint8_t kVersion = 4;
inline constexpr std::size_t kMaxEncoded = 60 * 1024;  // octets of one message
// Value of a checkpoint: an IKE SA with thousands of children. What is longer than a message travels in pieces.
inline constexpr std::size_t kMaxCheckpoint = std::size_t{16} << 20U;
inline constexpr std::size_t kMaxCheckpointPiece = kMaxEncoded - 64;  // of it, with the key

// ---- asked by ike
struct InstallSaRequest {
  model::SaSpec spec;
};
struct RemoveSaRequest {
  model::Direction direction{};
  Spi spi;
  model::ChildId child;
};
struct ActivateRequest {
  model::ChildId child;
};
struct UpdateEndpointsRequest {
  model::ChildId child;
  Endpoint local, remote;
  bool udp_encapsulation = false;
  std::uint32_t keepalive_s = 0;
};
struct InstallPolicyRequest {
  model::PolicySpec spec;
};
struct RemovePolicyRequest {
  model::PolicyId id;
};
struct AcquireFailedRequest {
  model::PolicyId id;
};
// It takes the place of the older one of this key once its last piece is there.
struct PutCheckpointRequest {
  std::string key;
  Bytes value;
  std::uint32_t offset = 0;  // octets that came before
  bool more = false;         // more are to come
};
struct DropCheckpointRequest {
  std::string key;
};
struct QuerySasRequest {
  bool with_keys = false;
};
struct QueryStatisticsRequest {};
struct ExplainRequest {
  model::TrafficSelector local, remote;
};
struct ExpectSpiRequest {
  Spi spi;
};
struct QueryUsageRequest {
  std::vector<Spi> spis;
};
using Request =
    std::variant<InstallSaRequest, RemoveSaRequest, ActivateRequest, UpdateEndpointsRequest, InstallPolicyRequest,
                 RemovePolicyRequest, AcquireFailedRequest, PutCheckpointRequest, DropCheckpointRequest,
                 QuerySasRequest, QueryStatisticsRequest, ExplainRequest, ExpectSpiRequest, QueryUsageRequest>;

// ---- answered by engine
struct Acknowledgement {
  std::string error;  // empty: done
};
// A dump comes in pieces; the last one has `last` set. A checkpoint with the key of the one before continues it.
struct DumpPiece {
  Dump part;
  bool last = false;
};
struct StatisticsReply {
  Statistics statistics;
};
struct ExplainReply {
  Explanation explanation;
};
struct UsageReply {
  std::vector<Usage> list;
};
using Reply = std::variant<Acknowledgement, DumpPiece, StatisticsReply, ExplainReply, UsageReply>;

// What the engine sends: answers, and events on its own account. BackendLost never travels.
using FromEngine = std::variant<Reply, Event>;

[[nodiscard]] Bytes encode(std::uint32_t request, const Request& message);
// An InstallSaRequest, an InstallPolicyRequest: without a copy of the specification.
[[nodiscard]] Bytes encode_install(std::uint32_t request, const model::SaSpec& spec);
[[nodiscard]] Bytes encode_install(std::uint32_t request, const model::PolicySpec& spec);
[[nodiscard]] Bytes encode(std::uint32_t request, const Reply& message);
[[nodiscard]] Bytes encode(const Event& event);
// The dump cut into messages of at most kMaxEncoded octets.
[[nodiscard]] std::vector<Bytes> encode_dump(std::uint32_t request, const Dump& dump);

[[nodiscard]] Result<std::pair<std::uint32_t, Request>> decode_request(ByteView message);
[[nodiscard]] Result<std::pair<std::uint32_t, FromEngine>> decode_from_engine(ByteView message);

}  // namespace cygnet::sadb
