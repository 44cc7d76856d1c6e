// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/revocation.h"

#include <algorithm>

namespace cygnet::daemon {

namespace {

using Kind = crypto::RevocationSource::Kind;

constexpr Duration kPatience = std::chrono::seconds(10);
constexpr std::int64_t kSkew_s = 300;  // that clocks may differ

}  // namespace

RevocationCache::RevocationCache(io::EventLoop& loop, const Clock& clock, Logger& log, io::HttpClient::Resolve resolve,
                                 OnSettled on_settled)
    : clock_(clock), log_(log), on_settled_(std::move(on_settled)), client_(loop, std::move(resolve), kPatience) {}

Result<RevocationCache::Dates> RevocationCache::judge(const Entry& entry, ByteView answer, std::int64_t now) {
  Dates dates;
  if (entry.kept.kind == Kind::kOcsp) {
    const auto response = crypto::OcspResponse::parse(answer);
    if (!response) return std::unexpected(response.error());
    if (entry.subject && entry.issuer) {
      const auto said = response->judge(*entry.subject, *entry.issuer, now);
      if (!said) return fail("the response speaks of another certificate: somebody may have sent it in its place");
      if (!said->believed) return fail(said->text + ": somebody may have forged it");
    }
    dates = {.issued = response->issued(), .until = response->good_until()};
  } else {
    const auto crl = crypto::Crl::parse(answer);
    if (!crl) return std::unexpected(crl.error());
    if (entry.issuer && !crl->is_of(*entry.issuer)) {
      return fail("the list is not signed by " + entry.issuer->subject_text() + ": somebody may have forged it");
    }
    // Kept, it would make each list after it an older one.
    if (crl->this_update() > now + kSkew_s) return fail("the list is not valid yet");
    dates = {.issued = crl->this_update(), .until = crl->next_update() == 0 ? now + kNoDate_s : crl->next_update()};
  }
  if (!entry.kept.answer.empty() && dates.issued < entry.issued) {
    return fail("the answer is older than the one before: somebody may have sent it again");
  }
  return dates;
}

RevocationCache::Key RevocationCache::key_of(const crypto::RevocationSource& source) {
  return {source.url, source.ocsp_request, source.issuer ? source.issuer->public_key().key_id() : Bytes{}};
}

bool RevocationCache::want(const std::vector<crypto::RevocationSource>& sources) {
  const auto now = clock_.wall_seconds();
  bool under_way = false;
  for (const auto& source : sources) {
    const auto key = key_of(source);
    if (!entries_.contains(key)) make_room();
    auto& entry = entries_[key];
    entry.kept.url = source.url;
    entry.kept.kind = source.kind;
    entry.used = ++uses_;
    entry.subject = source.subject;
    entry.issuer = source.issuer;
    // A clock that was set back must not keep us from asking.
    const bool may = now >= entry.ask_at || entry.ask_at > now + kLongest_s;
    if (!entry.under_way && may && client_.under_way() < kMaxUnderWay) begin(key, entry);
    under_way = under_way || entry.under_way;
  }
  return under_way;
}

void RevocationCache::renew(const crypto::RevocationSource& source, std::int64_t early_s) {
  const auto at = entries_.find(key_of(source));
  if (at != entries_.end() && at->second.kept.error.empty() && !at->second.kept.answer.empty())
    at->second.ask_at = std::min(at->second.ask_at, at->second.kept.good_until - early_s);
  (void)want({source});
}

const RevocationCache::Kept* RevocationCache::find(const crypto::RevocationSource& source) const {
  const auto at = entries_.find(key_of(source));
  return at == entries_.end() ? nullptr : &at->second.kept;
}

void RevocationCache::begin(const Key& key, Entry& entry) {
  auto url = io::parse_http_url(key.url);
  if (!url) {
    entry.kept.error = url.error().message;
    entry.ask_at = clock_.wall_seconds() + kRetry_s;
    return;
  }
  entry.under_way = true;
  log_.debug("revocation", "asking " + key.url);
  client_.fetch({std::move(*url), "application/ocsp-request", key.question},
                [this, key](Result<Bytes> answer) { on_answer(key, std::move(answer)); });
}

void RevocationCache::on_answer(const Key& key, Result<Bytes> answer) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  auto& entry = it->second;
  const auto now = clock_.wall_seconds();
  entry.under_way = false;
  const auto dates = answer ? judge(entry, *answer, now) : std::unexpected(answer.error());
  if (!dates) {
    // What was known before stays: a list that is out of date still names the revoked.
    entry.kept.error = dates.error().message;
    entry.ask_at = now + kRetry_s;
    log_.warning("revocation", "nothing could be learned from " + key.url + ": " + entry.kept.error);
  } else {
    entry.kept.error.clear();
    entry.kept.answer = std::move(*answer);
    entry.kept.good_until = dates->until;
    entry.issued = dates->issued;
    entry.ask_at = std::clamp(dates->until, now + kRetry_s, now + kLongest_s);
    log_.info("revocation", "fetched " + key.url);
    entry.used = ++uses_;
    while (octets() > kMaxOctets && drop_oldest()) {
    }
  }
  on_settled_(dates ? &entry.kept : nullptr);
}

std::size_t RevocationCache::octets() const {
  std::size_t sum = 0;
  for (const auto& [key, entry] : entries_) sum += key.url.size() + key.question.size() + entry.kept.answer.size();
  return sum;
}

void RevocationCache::make_room() {
  if (entries_.size() >= kMaxKept) (void)drop_oldest();
}

// What is being asked for stays, as does the newest.
bool RevocationCache::drop_oldest() {
  auto oldest = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->second.under_way || it->second.used == uses_) continue;
    if (oldest == entries_.end() || it->second.used < oldest->second.used) oldest = it;
  }
  if (oldest == entries_.end()) return false;
  entries_.erase(oldest);
  return true;
}

void RevocationCache::fill(crypto::TrustStore& store) const {
  for (const auto& [key, entry] : entries_) {
    if (entry.kept.answer.empty()) continue;
    const auto added =
        entry.kept.kind == Kind::kCrl ? store.add_crl(entry.kept.answer) : store.add_ocsp_response(entry.kept.answer);
    if (!added) log_.warning("revocation", key.url + ": " + added.error().message);
  }
}

std::vector<RevocationCache::Kept> RevocationCache::list() const {
  std::vector<Kept> out;
  for (const auto& [key, entry] : entries_) out.push_back(entry.kept);
  return out;
}

}  // namespace cygnet::daemon
