// SPDX-License-Identifier: Apache-2.0
#pragma once

// OCSP responses about our own certificates, fetched ahead of time so that peers that ask for one with our certificate
// (RFC 4806) need not ask anybody else.
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/log.h"
#include "crypto/trust_store.h"
#include "daemon/ike_role/revocation.h"
#include "io/event_loop.h"

namespace cygnet::daemon {

class OwnStatus {
 public:
  // Good responses by Certificate::fingerprint(), whenever they have changed.
  using OnChange = std::function<void(std::map<Bytes, Bytes>)>;
  static constexpr std::size_t kMaxCertificates = 64;  // the first that are named
  OwnStatus(io::EventLoop& loop, const Clock& clock, Logger& log, RevocationCache& cache);
  ~OwnStatus();
  OwnStatus(const OwnStatus&) = delete;
  OwnStatus& operator=(const OwnStatus&) = delete;

  void on_change(OnChange on_change);
  // Our certificates from now on; `paths` leads from them to their issuers, and holds no CRL.
  void use(const std::vector<crypto::Certificate>& own, const crypto::TrustStore& paths);
  // Something was fetched, or time has passed.
  void look();

 private:
  struct Entry {
    crypto::Certificate certificate, issuer;
    std::vector<crypto::RevocationSource> sources;  // any of them
  };
  // Until when a good answer serves, 0: there is none.
  [[nodiscard]] std::int64_t take(const Entry& entry, std::map<Bytes, Bytes>& good);

  io::EventLoop& loop_;
  const Clock& clock_;
  Logger& log_;
  RevocationCache& cache_;
  OnChange on_change_;
  std::vector<Entry> entries_;
  std::map<Bytes, Bytes> given_;
  std::map<Bytes, std::string> told_;  // what was logged last about one, by fingerprint
  io::EventLoop::TimerId timer_ = 0;
};

}  // namespace cygnet::daemon
