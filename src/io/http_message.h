// SPDX-License-Identifier: Apache-2.0
#pragma once

// As much of HTTP/1.1 (RFC 9110, RFC 9112) as fetching a CRL or an OCSP response takes: requests out, responses in.
// Pure. What servers send is hostile until parsed.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace cygnet::io {

struct HttpUrl {
  std::string host;  // a name, or an address without brackets
  std::uint16_t port = 80;
  std::string target;  // path and query, at least "/"
  bool operator==(const HttpUrl&) const = default;
};
// http://host[:port][/…] alone: no user, no https (what is fetched is signed by itself), no octet that could end a
// line.
[[nodiscard]] Result<HttpUrl> parse_http_url(std::string_view text);
// Where a Location of a response to `from` leads: absolute, or a path on the same server.
[[nodiscard]] Result<HttpUrl> follow_location(const HttpUrl& from, std::string_view location);

struct HttpRequest {
  HttpUrl url;
  std::string content_type;  // with a body
  Bytes body;                // empty: GET, else POST
};
[[nodiscard]] std::string serialize(const HttpRequest& request);

// Takes a response as it comes, in pieces of any size.
class HttpResponse {
 public:
  static constexpr std::size_t kMaxHead = 16384;       // status line and fields
  static constexpr std::size_t kMaxBody = 1UL << 20U;  // octets
  enum class Progress : std::uint8_t { kMore, kComplete };

  // The error is a sentence about what the server did wrong; nothing may be fed after it.
  [[nodiscard]] Result<Progress> feed(ByteView bytes);
  // The server closed the connection: that completes a body without a length, and is an error otherwise.
  [[nodiscard]] Result<Progress> end();

  [[nodiscard]] unsigned status() const { return status_; }
  [[nodiscard]] const std::string& location() const { return location_; }
  [[nodiscard]] const Bytes& body() const { return body_; }

 private:
  enum class State : std::uint8_t { kHead, kCounted, kToTheEnd, kChunkSize, kChunk, kChunkEnd, kTrailer, kComplete };
  [[nodiscard]] Result<void> read_head(std::string_view head);
  [[nodiscard]] Result<void> read_field(std::string_view line);
  [[nodiscard]] Result<void> choose_framing();
  // One step of the state machine on what waits in input_; false: it needs more.
  [[nodiscard]] Result<bool> step();
  [[nodiscard]] Result<bool> step_head();
  [[nodiscard]] Result<bool> step_line();
  [[nodiscard]] Result<bool> step_body();
  [[nodiscard]] Result<void> take_body(std::size_t octets);
  [[nodiscard]] std::optional<std::string_view> line();  // without its end

  State state_ = State::kHead;
  std::string input_;     // not yet used
  std::size_t at_ = 0;    // in input_
  std::size_t left_ = 0;  // of the body or the chunk
  std::size_t trailer_octets_ = 0;
  unsigned status_ = 0;
  std::optional<std::size_t> length_;
  bool chunked_ = false;
  std::string location_;
  Bytes body_;
};

}  // namespace cygnet::io
