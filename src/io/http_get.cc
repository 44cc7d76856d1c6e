// SPDX-License-Identifier: Apache-2.0
#include "io/http_get.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "io/errno_text.h"

namespace cygnet::io {

namespace {

constexpr unsigned kMaxRedirects = 3;
constexpr std::size_t kMaxAddresses = 4;
constexpr int kReadBudget = 16;  // reads a turn, so that one server cannot keep the loop

socklen_t fill_address(const Endpoint& to, sockaddr_storage& out) {
  const auto octets = to.address.bytes();
  if (to.address.family() == Family::kV6) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(to.port);
    std::memcpy(&v6.sin6_addr, octets.data(), sizeof v6.sin6_addr);
    std::memcpy(&out, &v6, sizeof v6);
    return sizeof v6;
  }
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(to.port);
  std::memcpy(&v4.sin_addr, octets.data(), sizeof v4.sin_addr);
  std::memcpy(&out, &v4, sizeof v4);
  return sizeof v4;
}

}  // namespace

struct HttpClient::Fetch {
  Id id = 0;
  HttpRequest request;
  Done done;
  EventLoop::TimerId timer = 0;
  unsigned redirects = 0;
  Addresses addresses;  // not yet tried
  std::string last_error;
  UniqueFd fd;
  bool connected = false;
  std::string out;  // of the request, not yet sent
  HttpResponse response;
};

HttpClient::HttpClient(EventLoop& loop, Resolve resolve, Duration patience)
    : loop_(loop), resolve_(std::move(resolve)), patience_(patience) {}

HttpClient::~HttpClient() {
  for (auto& [id, fetch] : fetches_) {
    close(*fetch);
    loop_.cancel(fetch->timer);
  }
}

HttpClient::Fetch* HttpClient::find(Id id) {
  const auto it = fetches_.find(id);
  return it == fetches_.end() ? nullptr : it->second.get();
}

void HttpClient::fetch(HttpRequest request, Done done) {
  auto fetch = std::make_unique<Fetch>();
  fetch->id = next_++;
  fetch->request = std::move(request);
  fetch->done = std::move(done);
  fetch->timer = loop_.after(patience_, [this, id = fetch->id] {
    const auto* late = find(id);
    if (late == nullptr) return;
    finish(id, fail(late->last_error.empty() ? "no answer in time" : late->last_error));
  });
  auto& kept = *(fetches_[fetch->id] = std::move(fetch));
  start(kept);
}

void HttpClient::start(Fetch& fetch) {
  close(fetch);
  fetch.response = HttpResponse();
  fetch.out = serialize(fetch.request);
  const auto& host = fetch.request.url.host;
  if (const auto address = IpAddress::parse(host)) return on_addresses(fetch, {*address});
  resolve_(host, [this, id = fetch.id, alive = std::weak_ptr<bool>(alive_)](Addresses addresses) {
    if (alive.expired()) return;
    if (auto* waiting = find(id)) on_addresses(*waiting, std::move(addresses));
  });
}

void HttpClient::on_addresses(Fetch& fetch, Addresses addresses) {
  if (addresses.empty())
    return finish(fetch.id, fail("the name " + fetch.request.url.host + " has no address that can be found"));
  if (addresses.size() > kMaxAddresses) addresses.resize(kMaxAddresses);
  fetch.addresses = std::move(addresses);
  connect_next(fetch);
}

void HttpClient::connect_next(Fetch& fetch) {
  close(fetch);
  while (!fetch.addresses.empty()) {
    const Endpoint to{fetch.addresses.front(), fetch.request.url.port};
    fetch.addresses.erase(fetch.addresses.begin());
    const bool v6 = to.address.family() == Family::kV6;
    UniqueFd fd(::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_storage address{};
    const auto length = fill_address(to, address);
    if (!fd ||
        (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0 && errno != EINPROGRESS)) {
      fetch.last_error = "cannot connect to " + to.to_string() + ": " + errno_text(errno);
      continue;
    }
    fetch.last_error = to.to_string() + " does not answer";
    fetch.fd = std::move(fd);
    loop_.watch(fetch.fd.get(), [this, id = fetch.id] {
      if (auto* ready = find(id)) receive(*ready);
    });
    loop_.when_writable(fetch.fd.get(), [this, id = fetch.id] {
      if (auto* ready = find(id)) on_connected(*ready);
    });
    return;
  }
  finish(fetch.id, fail(fetch.last_error));
}

void HttpClient::on_connected(Fetch& fetch) {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fetch.fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error != 0) {
    fetch.last_error = "cannot connect to " + fetch.request.url.host + " port " +
                       std::to_string(fetch.request.url.port) + ": " + errno_text(error);
    return connect_next(fetch);
  }
  fetch.connected = true;
  send(fetch);
}

void HttpClient::send(Fetch& fetch) {
  while (!fetch.out.empty()) {
    const auto sent = ::send(fetch.fd.get(), fetch.out.data(), fetch.out.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) {
      loop_.when_writable(fetch.fd.get(), [this, id = fetch.id] {
        if (auto* ready = find(id)) send(*ready);
      });
      return;
    }
    // A server that hangs up early may have answered all the same: reading tells.
    if (sent <= 0) return;
    fetch.out.erase(0, static_cast<std::size_t>(sent));
  }
}

void HttpClient::receive(Fetch& fetch) {
  if (!fetch.connected) return;  // refused: on_connected finds out why
  std::array<std::uint8_t, 16384> buffer{};
  for (int i = 0; i < kReadBudget; ++i) {
    const auto got = ::recv(fetch.fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) return finish(fetch.id, fail("the connection broke: " + errno_text(errno)));
    const auto progress =
        got == 0 ? fetch.response.end() : fetch.response.feed(ByteView(buffer.data(), static_cast<std::size_t>(got)));
    if (!progress) return finish(fetch.id, std::unexpected(progress.error()));
    if (*progress == HttpResponse::Progress::kComplete) return on_complete(fetch);
  }
}

void HttpClient::on_complete(Fetch& fetch) {
  const auto status = fetch.response.status();
  if (status == 200) return finish(fetch.id, fetch.response.body());
  const bool moved = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
  if (!moved || fetch.response.location().empty())
    return finish(fetch.id, fail("the server answers " + std::to_string(status)));
  if (++fetch.redirects > kMaxRedirects) return finish(fetch.id, fail("the server redirects more than 3 times"));
  auto next = follow_location(fetch.request.url, fetch.response.location());
  if (!next) return finish(fetch.id, fail("the server redirects: " + next.error().message));
  fetch.request.url = std::move(*next);
  start(fetch);
}

void HttpClient::close(Fetch& fetch) {
  if (fetch.fd) loop_.unwatch(fetch.fd.get());
  fetch.fd.reset();
  fetch.connected = false;
}

void HttpClient::finish(Id id, Result<Bytes> result) {
  const auto it = fetches_.find(id);
  if (it == fetches_.end()) return;
  // Out of the table first: `done` may fetch the next thing, or end this client.
  const auto fetch = std::move(it->second);
  fetches_.erase(it);
  close(*fetch);
  loop_.cancel(fetch->timer);
  fetch->done(std::move(result));
}

}  // namespace cygnet::io
