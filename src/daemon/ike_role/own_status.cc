// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/own_status.h"

#include <algorithm>

namespace cygnet::daemon {

namespace {

constexpr std::int64_t kEarly_s = 3600;  // at most so long before its end a response is renewed,
constexpr std::int64_t kEarliest_s = 5;  // and at least
constexpr Duration kLongest = std::chrono::hours(1);

// Half an hour before the end of an hour, six seconds before that of twelve: there is time for a second attempt.
std::int64_t early(std::int64_t left_s) { return std::clamp<std::int64_t>(left_s / 2, kEarliest_s, kEarly_s); }

}  // namespace

OwnStatus::OwnStatus(io::EventLoop& loop, const Clock& clock, Logger& log, RevocationCache& cache)
    : loop_(loop), clock_(clock), log_(log), cache_(cache) {}

OwnStatus::~OwnStatus() {
  if (timer_ != 0) loop_.cancel(timer_);
}

void OwnStatus::on_change(OnChange on_change) {
  on_change_ = std::move(on_change);
  on_change_(given_);
}

void OwnStatus::use(const std::vector<crypto::Certificate>& own, const crypto::TrustStore& paths) {
  entries_.clear();
  std::erase_if(told_, [&](const auto& told) {
    return std::ranges::none_of(own, [&](const auto& c) { return c.fingerprint() == told.first; });
  });
  for (const auto& certificate : own) {
    if (entries_.size() >= kMaxCertificates) break;
    const auto path = paths.validate(certificate, {.now = clock_.wall_seconds()});
    if (!path || path->certificates.size() < 2) continue;  // what is wrong with it is said elsewhere
    Entry entry{certificate, path->certificates[1], {}};
    const auto question = crypto::make_ocsp_request(entry.certificate, entry.issuer);
    std::ranges::copy_if(path->sources, std::back_inserter(entry.sources),
                         [&](const auto& source) { return source.ocsp_request == question; });
    if (!entry.sources.empty()) entries_.push_back(std::move(entry));
  }
  for (const auto& entry : entries_) {
    for (const auto& source : entry.sources) cache_.renew(source, 0);
  }
  look();
}

std::int64_t OwnStatus::take(const Entry& entry, std::map<Bytes, Bytes>& good) {
  std::int64_t until = 0;
  for (const auto& source : entry.sources) {
    const auto* kept = cache_.find(source);
    const auto response =
        kept == nullptr || kept->answer.empty() ? fail("") : crypto::OcspResponse::parse(kept->answer);
    if (!response) continue;
    const auto answer = response->judge(entry.certificate, entry.issuer, clock_.wall_seconds());
    if (!answer) continue;
    auto& told = told_[entry.certificate.fingerprint()];
    if (answer->status == crypto::RevocationStatus::kGood) {
      told.clear();
      if (kept->good_until <= until) continue;
      until = kept->good_until;
      good[entry.certificate.fingerprint()] = kept->answer;
    } else if (told != answer->text) {
      told = answer->text;
      log_.warning("certificates", "of our own certificate: " + answer->text + ": peers that ask will refuse it");
    }
  }
  return until;
}

void OwnStatus::look() {
  std::map<Bytes, Bytes> good;
  const auto now = clock_.wall_seconds();
  auto next = kLongest;
  for (const auto& entry : entries_) {
    const auto left = std::max<std::int64_t>(take(entry, good) - now, 0);
    // Nothing yet: as often as the cache asks again. Bad news: once in a while.
    if (left == 0 && !told_[entry.certificate.fingerprint()].empty()) continue;
    const auto wait = left == 0 ? RevocationCache::kRetry_s + 1 : std::max<std::int64_t>(left - early(left), 1);
    next = std::min<Duration>(next, std::chrono::seconds(wait));
  }
  if (good != given_) {
    given_ = std::move(good);
    if (on_change_) on_change_(given_);
  }
  if (timer_ != 0) loop_.cancel(timer_);
  timer_ = 0;
  if (entries_.empty()) return;
  timer_ = loop_.after(next, [this] {
    timer_ = 0;
    const auto at = clock_.wall_seconds();
    for (const auto& entry : entries_) {
      for (const auto& source : entry.sources) {
        const auto* kept = cache_.find(source);
        cache_.renew(source, kept == nullptr ? 0 : std::max<std::int64_t>(kept->good_until - at, 0));
      }
    }
    look();
  });
}

}  // namespace cygnet::daemon
