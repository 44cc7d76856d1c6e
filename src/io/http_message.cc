// SPDX-License-Identifier: Apache-2.0
#include "io/http_message.h"

#include <algorithm>

#include "base/version.h"

namespace cygnet::io {
namespace {

constexpr std::size_t kMaxUrl = 2048;
constexpr const char* kLongHead = "the server's answer begins with more than 16 KiB of fields";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Decimal digits alone, at most `limit`.
std::optional<std::size_t> number(std::string_view text, std::size_t limit) {
  std::size_t value = 0;
  if (text.empty() || text.size() > 10) return std::nullopt;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
    value = value * 10 + static_cast<std::size_t>(c - '0');
  }
  return value > limit ? std::nullopt : std::optional(value);
}

// RFC 9112 section 7.1: chunk-size is 1*HEXDIG; extensions behind it are ignored.
std::optional<std::size_t> chunk_size(std::string_view line) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  const auto digits = trimmed(line.substr(0, line.find(';')));
  std::size_t value = 0;
  if (digits.empty() || digits.size() > 8) return std::nullopt;
  for (const char c : digits) {
    const auto digit = kDigits.find(lower(c));
    if (digit == std::string_view::npos) return std::nullopt;
    value = value * 16 + digit;
  }
  return value;
}

bool is_host_character(char c) {
  return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '.' || c == '-' || c == '_' || c == ':';
}

Result<void> read_authority(std::string_view authority, HttpUrl& url) {
  auto port = std::string_view();
  if (authority.starts_with('[')) {
    const auto close = authority.find(']');
    if (close == std::string_view::npos) return fail("a bracket is missing");
    url.host = authority.substr(1, close - 1);
    authority.remove_prefix(close + 1);
    if (!authority.empty() && authority[0] != ':') return fail("something stands behind the address");
    port = authority.empty() ? authority : authority.substr(1);
    if (!authority.empty() && port.empty()) return fail("the port is missing");
  } else {
    const auto colon = authority.find(':');
    url.host = authority.substr(0, colon);
    if (url.host.find(':') != std::string::npos) return fail("an IPv6 address stands in brackets");
    if (colon != std::string_view::npos) {
      port = authority.substr(colon + 1);
      if (port.empty()) return fail("the port is missing");
    }
  }
  if (url.host.empty() || url.host.size() > 255 || !std::ranges::all_of(url.host, is_host_character))
    return fail("the host has no name that can be looked up");
  if (port.empty()) return {};
  const auto value = number(port, 65535);
  if (!value || *value == 0) return fail("the port is no number from 1 to 65535");
  url.port = static_cast<std::uint16_t>(*value);
  return {};
}

std::string quoted(std::string_view text) { return "'" + std::string(text.substr(0, 200)) + "'"; }

}  // namespace

Result<HttpUrl> parse_http_url(std::string_view text) {
  static constexpr std::string_view kScheme = "http://";
  // Nothing in a URL may end the line it is written into, or start another.
  const bool plain = std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
  if (!plain || text.size() > kMaxUrl) return fail("a URL with spaces, controls or more than 2048 octets is refused");
  if (!equal_ignoring_case(text.substr(0, kScheme.size()), kScheme))
    return fail(quoted(text) + " cannot be fetched: only http:// is");
  const auto rest = text.substr(kScheme.size());
  const auto end = std::min(rest.find_first_of("/?#"), rest.size());
  HttpUrl url;
  if (auto read = read_authority(rest.substr(0, end), url); !read)
    return fail(quoted(text) + " cannot be fetched: " + read.error().message);
  const auto target = rest.substr(end, std::min(rest.find('#'), rest.size()) - end);
  url.target = target.starts_with('/') ? std::string(target) : "/" + std::string(target);
  return url;
}

Result<HttpUrl> follow_location(const HttpUrl& from, std::string_view location) {
  if (!location.starts_with('/') || location.starts_with("//")) return parse_http_url(location);
  const auto host = from.host.find(':') == std::string::npos ? from.host : "[" + from.host + "]";
  return parse_http_url("http://" + host + ":" + std::to_string(from.port) + std::string(location));
}

std::string serialize(const HttpRequest& request) {
  const auto& url = request.url;
  const bool v6 = url.host.find(':') != std::string::npos;
  std::string text = (request.body.empty() ? "GET " : "POST ") + url.target + " HTTP/1.1\r\n";
  text += "Host: " + (v6 ? "[" + url.host + "]" : url.host) + (url.port == 80 ? "" : ":" + std::to_string(url.port));
  text += "\r\nUser-Agent: Cygnet/" + std::string(version()) + "\r\nAccept: */*\r\nConnection: close\r\n";
  if (!request.body.empty()) {
    text += "Content-Type: " + request.content_type + "\r\nContent-Length: " + std::to_string(request.body.size());
    text += "\r\n";
  }
  text += "\r\n";
  text.append(request.body.begin(), request.body.end());
  return text;
}

Result<HttpResponse::Progress> HttpResponse::feed(ByteView bytes) {
  if (state_ == State::kComplete) return Progress::kComplete;
  input_.append(bytes.begin(), bytes.end());
  for (;;) {
    const auto moved = step();
    if (!moved) return std::unexpected(moved.error());
    if (state_ == State::kComplete) return Progress::kComplete;
    if (!*moved) break;
  }
  input_.erase(0, at_);
  at_ = 0;
  return Progress::kMore;
}

Result<HttpResponse::Progress> HttpResponse::end() {
  if (state_ == State::kToTheEnd) state_ = State::kComplete;
  if (state_ == State::kComplete) return Progress::kComplete;
  return fail("the server closed the connection in the middle of its answer");
}

Result<bool> HttpResponse::step() {
  switch (state_) {
    case State::kHead: return step_head();
    case State::kCounted:
    case State::kToTheEnd:
    case State::kChunk: return step_body();
    case State::kChunkSize:
    case State::kChunkEnd:
    case State::kTrailer: return step_line();
    case State::kComplete: return false;
  }
  return false;
}

Result<bool> HttpResponse::step_head() {
  const auto end = input_.find("\r\n\r\n", at_);
  if (end != std::string::npos && end - at_ > kMaxHead) return fail(kLongHead);
  if (end == std::string::npos) {
    if (input_.size() - at_ > kMaxHead + 4) return fail(kLongHead);
    return false;
  }
  const std::string head = input_.substr(at_, end - at_);
  at_ = end + 4;
  if (auto read = read_head(head); !read) return std::unexpected(read.error());
  // RFC 9110 section 15.2: "A client MUST be able to parse one or more 1xx responses received prior to a final
  // response".
  if (status_ < 200) {
    length_.reset();
    chunked_ = false;
    return true;
  }
  if (auto chosen = choose_framing(); !chosen) return std::unexpected(chosen.error());
  return true;
}

Result<void> HttpResponse::read_head(std::string_view head) {
  const auto first = head.substr(0, head.find("\r\n"));
  // RFC 9112 section 4: HTTP-version SP status-code SP [ reason-phrase ].
  const auto code = first.size() >= 12 ? number(first.substr(9, 3), 599).value_or(0) : 0;
  if (!first.starts_with("HTTP/1.") || first.size() < 12 || first[8] != ' ' || code < 100 ||
      (first.size() > 12 && first[12] != ' '))
    return fail("the server does not answer in HTTP/1.1");
  status_ = static_cast<unsigned>(code);
  auto rest = head.substr(first.size());
  while (rest.starts_with("\r\n")) {
    rest.remove_prefix(2);
    const auto line = rest.substr(0, rest.find("\r\n"));
    rest.remove_prefix(line.size());
    if (auto read = read_field(line); !read) return read;
  }
  return {};
}

Result<void> HttpResponse::read_field(std::string_view line) {
  const auto colon = line.find(':');
  // RFC 9112 section 5.2: folded lines are for senders of the past; they begin with a space, and so name no field.
  if (colon == std::string_view::npos || colon == 0) return fail("the server sent a field without a name");
  const auto name = line.substr(0, colon);
  const auto value = trimmed(line.substr(colon + 1));
  if (equal_ignoring_case(name, "content-length")) {
    const auto length = number(value, kMaxBody);
    if (!length) return fail("the server announces " + quoted(value) + " octets; at most 1 MiB is taken");
    if (length_ && *length_ != *length) return fail("the server announces two different lengths");
    length_ = length;
  } else if (equal_ignoring_case(name, "transfer-encoding")) {
    if (!equal_ignoring_case(value, "chunked")) return fail("the server sends in an encoding that was not asked for");
    chunked_ = true;
  } else if (equal_ignoring_case(name, "content-encoding")) {
    if (!equal_ignoring_case(value, "identity")) return fail("the server compressed its answer without being asked");
  } else if (equal_ignoring_case(name, "location")) {
    location_ = value;
  }
  return {};
}

Result<void> HttpResponse::choose_framing() {
  // RFC 9112 section 6.3: a message with both "ought to be handled as an error".
  if (chunked_ && length_) return fail("the server announces a length and chunks at once");
  if (status_ == 204 || status_ == 304) {
    state_ = State::kComplete;
  } else if (chunked_) {
    state_ = State::kChunkSize;
  } else if (length_) {
    left_ = *length_;
    state_ = left_ == 0 ? State::kComplete : State::kCounted;
  } else {
    state_ = State::kToTheEnd;
  }
  return {};
}

std::optional<std::string_view> HttpResponse::line() {
  const auto end = input_.find("\r\n", at_);
  if (end == std::string::npos) return std::nullopt;
  const auto text = std::string_view(input_).substr(at_, end - at_);
  at_ = end + 2;
  return text;
}

Result<bool> HttpResponse::step_line() {
  const auto text = line();
  if (text ? text->size() > kMaxHead : input_.size() - at_ > kMaxHead + 2)
    return fail("the server's chunks have lines of more than 16 KiB");
  if (!text) return false;
  if (state_ == State::kChunkSize) {
    const auto size = chunk_size(*text);
    if (!size || *size > kMaxBody) return fail("the server sent a chunk of a size that is not taken");
    left_ = *size;
    state_ = left_ == 0 ? State::kTrailer : State::kChunk;
  } else if (state_ == State::kChunkEnd) {
    if (!text->empty()) return fail("a chunk of the server is longer than it said");
    state_ = State::kChunkSize;
  } else if (text->empty()) {
    state_ = State::kComplete;
  } else if ((trailer_octets_ += text->size()) > kMaxHead) {
    return fail("the server's answer ends with more than 16 KiB of fields");
  }
  return true;
}

Result<void> HttpResponse::take_body(std::size_t octets) {
  if (body_.size() + octets > kMaxBody) return fail("the server's answer is longer than 1 MiB");
  body_.insert(body_.end(), input_.begin() + static_cast<std::ptrdiff_t>(at_),
               input_.begin() + static_cast<std::ptrdiff_t>(at_ + octets));
  at_ += octets;
  return {};
}

Result<bool> HttpResponse::step_body() {
  const auto there = input_.size() - at_;
  const bool open = state_ == State::kToTheEnd;
  const auto octets = open ? there : std::min(there, left_);
  if (auto taken = take_body(octets); !taken) return std::unexpected(taken.error());
  if (open) return false;
  left_ -= octets;
  if (left_ > 0) return false;
  state_ = state_ == State::kChunk ? State::kChunkEnd : State::kComplete;
  return true;
}

}  // namespace cygnet::io
