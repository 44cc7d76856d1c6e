// SPDX-License-Identifier: Apache-2.0
#pragma once

// Fetches over HTTP on the event loop: one connection a request, redirects followed (3 at most), everything within one
// deadline.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/log.h"
#include "io/event_loop.h"
#include "io/fd.h"
#include "io/http_message.h"

namespace cygnet::io {

class HttpClient {
 public:
  using Addresses = std::vector<IpAddress>;
  // Looks a name up and calls once, from the loop; nothing found: no addresses.
  using Resolve = std::function<void(const std::string& host, std::function<void(Addresses)>)>;
  // The body of a 200 answer, or a sentence about what went wrong.
  using Done = std::function<void(Result<Bytes>)>;

  HttpClient(EventLoop& loop, Resolve resolve, Duration patience);
  ~HttpClient();  // what is under way ends without a word
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void fetch(HttpRequest request, Done done);
  [[nodiscard]] std::size_t under_way() const { return fetches_.size(); }

 private:
  struct Fetch;
  using Id = std::uint64_t;
  void start(Fetch& fetch);
  void on_addresses(Fetch& fetch, Addresses addresses);
  // The first of the addresses left that takes a connection.
  void connect_next(Fetch& fetch);
  void on_connected(Fetch& fetch);
  void send(Fetch& fetch);
  void receive(Fetch& fetch);
  void on_complete(Fetch& fetch);
  void close(Fetch& fetch);
  void finish(Id id, Result<Bytes> result);
  [[nodiscard]] Fetch* find(Id id);

  EventLoop& loop_;
  Resolve resolve_;
  Duration patience_;
  std::map<Id, std::unique_ptr<Fetch>> fetches_;
  Id next_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace cygnet::io
