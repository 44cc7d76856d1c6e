// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/verification.h"

#include <algorithm>

#include "daemon/ike_role/hosts.h"

namespace cygnet::daemon {

namespace {

io::HttpClient::Resolve resolve_on(io::WorkPool& pool) {
  return [&pool](const std::string& host, std::function<void(io::HttpClient::Addresses)> done) {
    auto answer = std::make_shared<io::HttpClient::Addresses>();
    pool.run([host, answer] { *answer = look_up_all(host); },
             [answer, done = std::move(done)] { done(std::move(*answer)); });
  };
}

void add_urls(crypto::TrustStore& store, const model::PublicCredentials& credentials) {
  for (const auto& options : credentials.authority_options) {
    const auto it = std::ranges::find(credentials.authorities, options.certificate, &model::NamedObject::name);
    if (it == credentials.authorities.end()) continue;
    const auto certificate = store.read(it->der);
    if (certificate) store.add_urls(certificate->subject(), options.crl_urls, options.ocsp_urls);
  }
}

// Sentences about what cannot be used.
std::vector<std::string> fill(crypto::TrustStore& store, const model::PublicCredentials& credentials) {
  std::vector<std::string> problems;
  for (const auto& authority : credentials.authorities) {
    if (auto added = store.add_authority(authority.der); !added)
      problems.push_back(authority.source + ": this authority is not used: " + added.error().message);
  }
  for (const auto& object : credentials.certificates) {
    const auto certificate = store.read(object.der);
    if (!certificate) {
      problems.push_back(object.source + ": " + certificate.error().message);
    } else if (certificate->is_authority()) {
      store.add_intermediate(*certificate);
    }
  }
  add_urls(store, credentials);
  return problems;
}

std::vector<std::string> add_crls(crypto::TrustStore& store, const model::PublicCredentials& credentials) {
  std::vector<std::string> problems;
  for (const auto& crl : credentials.crls) {
    if (auto added = store.add_crl(crl.der); !added)
      problems.push_back(crl.source + ": this CRL is not used: " + added.error().message);
  }
  return problems;
}

}  // namespace

Verifier::Verifier(io::EventLoop& loop, io::WorkPool& pool, const Clock& clock, Logger& log)
    : Verifier(loop, pool, clock, log, {}) {}

Verifier::Verifier(io::EventLoop& loop, io::WorkPool& pool, const Clock& clock, Logger& log,
                   io::HttpClient::Resolve resolve)
    : loop_(loop),
      pool_(pool),
      clock_(clock),
      log_(log),
      lookups_(resolve ? nullptr : std::make_unique<io::WorkPool>(loop, 1)),
      trust_(std::make_shared<crypto::TrustStore>()),
      revocation_(loop, clock, log, resolve ? std::move(resolve) : resolve_on(*lookups_),
                  [this](const RevocationCache::Kept* fresh) { on_fetched(fresh); }),
      own_status_(loop, clock, log, revocation_) {}

void Verifier::use(const model::PublicCredentials& credentials) {
  if (credentials == credentials_) return;
  credentials_ = credentials;
  paths_ = {};
  paths_.use(memory_);
  for (const auto& problem : fill(paths_, credentials_)) log_.warning("certificates", problem);
  configured_ = paths_;
  for (const auto& problem : add_crls(configured_, credentials_)) log_.warning("certificates", problem);
  rebuild();
}

void Verifier::use_own(const std::vector<Bytes>& certificates) {
  std::vector<crypto::Certificate> own;
  for (const auto& der : certificates) {
    if (auto certificate = paths_.read(der)) own.push_back(std::move(*certificate));
  }
  own_status_.use(own, paths_);
}

// What runs on the pool keeps the store it began with.
void Verifier::rebuild() {
  auto fresh = std::make_shared<crypto::TrustStore>(configured_);
  revocation_.fill(*fresh);
  trust_ = std::move(fresh);
}

void Verifier::verify(ike::auth::AuthJob job, Done done) {
  const auto id = next_++;
  auto& open = open_[id];
  open.job = std::make_shared<const ike::auth::AuthJob>(std::move(job));
  open.done = std::move(done);
  check(id);
}

void Verifier::check(Id id) {
  auto& open = open_[id];
  open.checking = true;
  open.again = false;
  auto checked = std::make_shared<ike::auth::Verification>();
  pool_.run([job = open.job, trust = trust_, now = clock_.wall_seconds(),
             checked] { *checked = ike::auth::verify_signature(*job, *trust, now); },
            [this, id, checked, alive = std::weak_ptr<bool>(alive_)] {
              if (!alive.expired()) on_checked(id, std::move(*checked));
            });
}

void Verifier::on_checked(Id id, ike::auth::Verification checked) {
  const auto it = open_.find(id);
  if (it == open_.end()) return;
  auto& open = it->second;
  open.checking = false;
  open.result = std::move(checked.result);
  if (open.again) return check(id);
  if (!open.patient || checked.sources.empty() || !revocation_.want(checked.sources)) return finish(id);
  if (open.timer != 0) return;
  open.timer = loop_.after(kPatience, [this, id] {
    const auto late = open_.find(id);
    if (late == open_.end()) return;
    late->second.timer = 0;
    late->second.patient = false;
    if (!late->second.checking) finish(id);
  });
}

void Verifier::on_fetched(const RevocationCache::Kept* fresh) {
  if (fresh != nullptr && fresh->kind == crypto::RevocationSource::Kind::kOcsp) {
    // One of many: beside what is there. A list takes the place of an older one, wherever that came from.
    auto more = std::make_shared<crypto::TrustStore>(*trust_);
    if (more->add_ocsp_response(fresh->answer)) trust_ = std::move(more);
  } else if (fresh != nullptr) {
    rebuild();
  }
  own_status_.look();
  std::vector<Id> waiting;
  for (auto& [id, open] : open_) {
    if (open.checking) {
      open.again = true;
    } else {
      waiting.push_back(id);
    }
  }
  for (const auto id : waiting) check(id);
}

void Verifier::finish(Id id) {
  auto open = std::move(open_.extract(id).mapped());
  if (open.timer != 0) loop_.cancel(open.timer);
  open.done(open.result);
}

}  // namespace cygnet::daemon
