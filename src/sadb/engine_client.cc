// SPDX-License-Identifier: Apache-2.0
#include "sadb/engine_client.h"

#include <algorithm>
#include <iterator>

#include "sadb/packing.h"

namespace cygnet::sadb {

namespace {

template <typename To, typename From>
void append_moved(To& to, From& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

// A long one comes in pieces under one key.
void append_checkpoints(std::vector<std::pair<std::string, Bytes>>& to,
                        std::vector<std::pair<std::string, Bytes>>& from) {
  for (auto& [key, value] : from) {
    if (to.empty() || to.back().first != key) {
      to.emplace_back(std::move(key), std::move(value));
    } else {
      to.back().second.insert(to.back().second.end(), value.begin(), value.end());
      wipe(value);
    }
  }
}

// The alternative a question must be answered with, or the error.
template <typename T>
Result<T> expect(Result<Reply> reply) {
  if (!reply) {
    return std::unexpected(reply.error());
  }
  if (auto* value = std::get_if<T>(&*reply)) {
    return std::move(*value);
  }
  if (const auto* refused = std::get_if<Acknowledgement>(&*reply)) {
    return fail(refused->error.empty() ? "the engine answered nothing" : refused->error);
  }
  return fail("the engine answered something else");
}

}  // namespace

EngineClient::~EngineClient() {
  *alive_ = false;
  wipe(unsent_);
}

void EngineClient::attach(io::UniqueFd socket) {
  if (channel_) {
    channel_.reset();
    lose("the engine was replaced");
  }
  channel_ = std::make_unique<io::Channel>(
      loop_, std::move(socket), [this](io::Message message) { on_datagram(std::move(message)); },
      [this] { lose("the engine process ended"); });
}

void EngineClient::lose(const std::string& reason) {
  wipe(unsent_);
  unsent_.clear();
  unsent_asked_.clear();
  // In the order of asking, as answers come.
  std::vector<std::pair<std::uint32_t, Pending>> lost;
  append_moved(lost, pending_);
  pending_.clear();
  std::sort(lost.begin(), lost.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [request, pending] : lost) {
    pending.on_reply(fail(reason));
  }
  if (on_event_) {
    on_event_(BackendLost{reason});
  }
  if (on_batch_) {
    on_batch_();
  }
}

std::uint32_t EngineClient::new_number() {
  const std::uint32_t number = next_request_++;
  next_request_ = next_request_ == 0 ? 1 : next_request_;
  return number;
}

void EngineClient::ask(const Request& request, OnReply on_reply) {
  const auto number = new_number();
  ask(number, encode(number, request), std::move(on_reply));
}

void EngineClient::ask(std::uint32_t number, Bytes bytes, OnReply on_reply) {
  if (!fits({}, bytes.size()) || !connected()) {
    loop_.post([on_reply = std::move(on_reply)] { on_reply(fail("the engine cannot be reached")); });
    return;
  }
  if (!fits(unsent_, bytes.size())) {
    flush();
  }
  pack(unsent_, bytes);
  wipe(bytes);  // SA keys pass here
  unsent_asked_.push_back(number);
  pending_.emplace(number, Pending{std::move(on_reply), {}});
  if (!held_ && !std::exchange(flush_posted_, true)) {
    loop_.post([this, alive = alive_] {
      if (*alive) {
        flush_posted_ = false;
        flush();
      }
    });
  }
}

void EngineClient::flush() {
  if (unsent_.empty()) {
    return;
  }
  const auto asked = std::exchange(unsent_asked_, {});
  auto datagram = std::exchange(unsent_, {});
  if (connected() && channel_->send(std::move(datagram))) {
    return;
  }
  for (const auto number : asked) {
    if (const auto it = pending_.find(number); it != pending_.end()) {
      loop_.post([on_reply = std::move(it->second.on_reply)] { on_reply(fail("the engine cannot be reached")); });
      pending_.erase(it);
    }
  }
}

EngineClient::OnReply EngineClient::acknowledged(Done done) {
  return [done = std::move(done)](Result<Reply> reply) {
    if (!done) {
      return;
    }
    auto acknowledged = expect<Acknowledgement>(std::move(reply));
    if (!acknowledged) {
      done(std::unexpected(acknowledged.error()));
    } else if (!acknowledged->error.empty()) {
      done(fail(acknowledged->error));
    } else {
      done({});
    }
  };
}

void EngineClient::ask(const Request& request, Done done) { ask(request, acknowledged(std::move(done))); }

void EngineClient::on_datagram(io::Message message) {
  const auto messages = unpack(message.bytes);
  bool good = static_cast<bool>(messages);
  for (const auto& one : good ? *messages : std::vector<ByteView>{}) {
    good = good && on_message(one);
  }
  wipe(message.bytes);
  if (!good) {
    // Both ends are ours: a malformed message means that they do not fit together.
    channel_->close();
    lose("what the engine says cannot be read");
  } else if (on_batch_) {
    on_batch_();
  }
}

bool EngineClient::on_message(ByteView message) {
  auto decoded = decode_from_engine(message);
  if (!decoded) {
    return false;
  }
  auto& [request, content] = *decoded;
  if (auto* event = std::get_if<Event>(&content)) {
    if (on_event_) {
      on_event_(std::move(*event));
    }
  } else {
    on_reply(request, std::move(std::get<Reply>(content)));
  }
  return true;
}

void EngineClient::on_reply(std::uint32_t request, Reply reply) {
  const auto it = pending_.find(request);
  if (it == pending_.end()) {
    return;
  }
  if (auto* piece = std::get_if<DumpPiece>(&reply)) {
    auto& dump = it->second.dump;
    append_moved(dump.sas, piece->part.sas);
    append_moved(dump.policies, piece->part.policies);
    append_checkpoints(dump.checkpoints, piece->part.checkpoints);
    if (!piece->last) {
      return;
    }
    piece->part = std::move(dump);
  }
  auto on_reply = std::move(it->second.on_reply);
  pending_.erase(it);
  on_reply(std::move(reply));
}

void EngineClient::install_sa(const model::SaSpec& spec, Done done) {
  const auto number = new_number();
  ask(number, encode_install(number, spec), acknowledged(std::move(done)));
}
void EngineClient::remove_sa(model::Direction direction, Spi spi, model::ChildId child, Done done) {
  ask(RemoveSaRequest{direction, spi, child}, std::move(done));
}
void EngineClient::expect_spi(Spi spi, Done done) { ask(ExpectSpiRequest{spi}, std::move(done)); }
void EngineClient::activate(model::ChildId child, Done done) { ask(ActivateRequest{child}, std::move(done)); }
void EngineClient::update_endpoints(model::ChildId child, const Endpoint& local, const Endpoint& remote,
                                    bool udp_encapsulation, std::uint32_t keepalive_s, Done done) {
  ask(UpdateEndpointsRequest{child, local, remote, udp_encapsulation, keepalive_s}, std::move(done));
}
void EngineClient::install_policy(const model::PolicySpec& spec, Done done) {
  const auto number = new_number();
  ask(number, encode_install(number, spec), acknowledged(std::move(done)));
}
void EngineClient::remove_policy(model::PolicyId id, Done done) { ask(RemovePolicyRequest{id}, std::move(done)); }
void EngineClient::acquire_failed(model::PolicyId id, Done done) { ask(AcquireFailedRequest{id}, std::move(done)); }
void EngineClient::put_checkpoint(const std::string& key, const Bytes& value, Done done) {
  if (value.size() > kMaxCheckpoint) {
    // An older state must not be taken for this one: Message IDs that were used would be accepted again.
    ask(DropCheckpointRequest{key}, Done([key, done = std::move(done)](const Result<void>&) {
          if (done) done(fail("the state of " + key + " is too long to be kept"));
        }));
    return;
  }
  // The engine keeps the older state until the whole of this one is there, and so does whoever waits for `done`.
  const auto most = kMaxCheckpointPiece - key.size();
  std::size_t at = 0;
  for (; value.size() - at > most; at += most) {
    const auto from = value.begin() + static_cast<std::ptrdiff_t>(at);
    ask(PutCheckpointRequest{key, Bytes(from, from + static_cast<std::ptrdiff_t>(most)), static_cast<std::uint32_t>(at),
                             true},
        Done{});
  }
  ask(PutCheckpointRequest{key, Bytes(value.begin() + static_cast<std::ptrdiff_t>(at), value.end()),
                           static_cast<std::uint32_t>(at), false},
      std::move(done));
}
void EngineClient::drop_checkpoint(const std::string& key, Done done) {
  ask(DropCheckpointRequest{key}, std::move(done));
}

void EngineClient::query_sas(bool with_keys, std::function<void(Result<Dump>)> done) {
  ask(QuerySasRequest{with_keys}, OnReply([done = std::move(done)](Result<Reply> reply) {
        auto piece = expect<DumpPiece>(std::move(reply));
        done(piece ? Result<Dump>(std::move(piece->part)) : std::unexpected(piece.error()));
      }));
}

void EngineClient::query_usage(const std::vector<Spi>& spis, std::function<void(Result<std::vector<Usage>>)> done) {
  ask(QueryUsageRequest{spis}, OnReply([done = std::move(done)](Result<Reply> reply) {
        auto answer = expect<UsageReply>(std::move(reply));
        done(answer ? Result<std::vector<Usage>>(std::move(answer->list)) : std::unexpected(answer.error()));
      }));
}

void EngineClient::query_statistics(std::function<void(Result<Statistics>)> done) {
  ask(QueryStatisticsRequest{}, OnReply([done = std::move(done)](Result<Reply> reply) {
        auto answer = expect<StatisticsReply>(std::move(reply));
        done(answer ? Result<Statistics>(answer->statistics) : std::unexpected(answer.error()));
      }));
}

void EngineClient::explain(const model::TrafficSelector& local, const model::TrafficSelector& remote,
                           std::function<void(Result<Explanation>)> done) {
  ask(ExplainRequest{local, remote}, OnReply([done = std::move(done)](Result<Reply> reply) {
        auto answer = expect<ExplainReply>(std::move(reply));
        done(answer ? Result<Explanation>(std::move(answer->explanation)) : std::unexpected(answer.error()));
      }));
}

}  // namespace cygnet::sadb
