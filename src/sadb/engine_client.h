// SPDX-License-Identifier: Apache-2.0
#pragma once

// SaBackend over the SEQPACKET socket to our own engine process. What is asked in one turn of the loop goes there
// together, when the turn is over.
#include <memory>
#include <unordered_map>
#include <vector>

#include "io/event_loop.h"
#include "io/unix_socket.h"
#include "sadb/backend.h"
#include "sadb/messages.h"

namespace cygnet::sadb {

class EngineClient final : public SaBackend {
 public:
  explicit EngineClient(io::EventLoop& loop) : loop_(loop) {}
  ~EngineClient() override;
  EngineClient(const EngineClient&) = delete;
  EngineClient& operator=(const EngineClient&) = delete;
  // The socket to a (new) engine. Calls still open on an old one are answered with an error first.
  void attach(io::UniqueFd socket);
  [[nodiscard]] bool connected() const { return channel_ != nullptr && channel_->open(); }

  void install_sa(const model::SaSpec& spec, Done done) override;
  void remove_sa(model::Direction direction, Spi spi, model::ChildId child, Done done) override;
  void expect_spi(Spi spi, Done done) override;
  void activate(model::ChildId child, Done done) override;
  void update_endpoints(model::ChildId child, const Endpoint& local, const Endpoint& remote, bool udp_encapsulation,
                        std::uint32_t keepalive_s, Done done) override;
  void install_policy(const model::PolicySpec& spec, Done done) override;
  void remove_policy(model::PolicyId id, Done done) override;
  void acquire_failed(model::PolicyId id, Done done) override;
  void put_checkpoint(const std::string& key, const Bytes& value, Done done) override;
  void drop_checkpoint(const std::string& key, Done done) override;
  void query_sas(bool with_keys, std::function<void(Result<Dump>)> done) override;
  void query_usage(const std::vector<Spi>& spis, std::function<void(Result<std::vector<Usage>>)> done) override;
  void query_statistics(std::function<void(Result<Statistics>)> done) override;
  void explain(const model::TrafficSelector& local, const model::TrafficSelector& remote,
               std::function<void(Result<Explanation>)> done) override;
  void set_event_handler(std::function<void(Event)> handler) override { on_event_ = std::move(handler); }
  // Called after the handlers of all answers and events that came together.
  void set_batch_handler(std::function<void()> handler) { on_batch_ = std::move(handler); }
  // What is asked in between goes at release(), not at the end of the turn.
  void hold() { held_ = true; }
  void release() {
    held_ = false;
    flush();
  }

 private:
  using OnReply = std::function<void(Result<Reply>)>;
  struct Pending {
    OnReply on_reply;
    Dump dump;  // pieces so far
  };
  void ask(const Request& request, OnReply on_reply);
  void ask(const Request& request, Done done);
  void ask(std::uint32_t number, Bytes bytes, OnReply on_reply);  // encoded with that number
  [[nodiscard]] std::uint32_t new_number();
  [[nodiscard]] static OnReply acknowledged(Done done);
  void flush();
  void on_datagram(io::Message message);
  [[nodiscard]] bool on_message(ByteView message);
  void on_reply(std::uint32_t request, Reply reply);
  void lose(const std::string& reason);

  io::EventLoop& loop_;
  std::unique_ptr<io::Channel> channel_;
  std::unordered_map<std::uint32_t, Pending> pending_;
  std::uint32_t next_request_ = 1;
  Bytes unsent_;                             // packed
  std::vector<std::uint32_t> unsent_asked_;  // the requests in there
  bool flush_posted_ = false, held_ = false;
  std::function<void(Event)> on_event_;
  std::function<void()> on_batch_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace cygnet::sadb
