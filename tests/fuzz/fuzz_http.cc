// SPDX-License-Identifier: Apache-2.0
// What a web server answers, in pieces of a size that the first octet chooses: the same result as in one piece, and
// never more than the limit. And URLs, which a certificate may name as it likes.
#include <algorithm>
#include <cstdlib>
#include <optional>

#include "io/http_message.h"

using namespace cygnet;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

// Status and body; nothing: refused.
std::optional<std::pair<unsigned, Bytes>> read(ByteView bytes, std::size_t piece) {
  io::HttpResponse response;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    const auto progress = response.feed(bytes.subspan(at, std::min(piece, bytes.size() - at)));
    if (!progress) return std::nullopt;
    if (*progress == io::HttpResponse::Progress::kComplete) return std::pair(response.status(), response.body());
  }
  const auto progress = response.end();
  if (!progress) return std::nullopt;
  return std::pair(response.status(), response.body());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView bytes(data + 1, size - 1);
  const auto whole = read(bytes, std::max<std::size_t>(bytes.size(), 1));
  const auto pieces = read(bytes, 1U + data[0] % 32U);
  check(whole == pieces);
  if (whole) check(whole->second.size() <= io::HttpResponse::kMaxBody && whole->first >= 200 && whole->first < 600);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (const auto url = io::parse_http_url(text)) {
    const auto request = io::serialize({*url, {}, {}});
    check(std::count(request.begin(), request.end(), '\n') == 6);
  }
  return 0;
}
