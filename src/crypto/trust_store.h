// SPDX-License-Identifier: Apache-2.0
#pragma once

// Path validation (RFC 5280 section 6, with the choices of RFC 4945 section 5) and revocation. Pure: the time is handed
// in, nothing is fetched; what would have to be fetched is named.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/certificate.h"
#include "crypto/revocation.h"

namespace cygnet::crypto {

// Where more could be learned about a certificate of the path.
struct RevocationSource {
  enum class Kind : std::uint8_t { kCrl, kOcsp } kind{};
  std::string url;
  Bytes ocsp_request;  // DER, kOcsp
  // Whom an answer must be about, and who must have signed it (or appointed the signer).
  std::optional<Certificate> subject, issuer;
};

struct Path {
  std::vector<Certificate> certificates;                     // leaf first, anchor last
  RevocationStatus revocation = RevocationStatus::kUnknown;  // the worst of the path
  std::string revocation_text;                               // "revoked on …", "CRL of CN=… expired …", "no CRL for …"
  std::vector<RevocationSource> sources;                     // that could settle what is unknown
};

// What was found out once and stays true: octets that are this certificate, and which certificate signed which. Dates,
// trust and revocation are judged each time. Several threads use it at once.
class PathMemory {
 public:
  PathMemory() = default;
  PathMemory(const PathMemory&) = delete;
  PathMemory& operator=(const PathMemory&) = delete;
  virtual ~PathMemory() = default;
  // By Certificate::fingerprint().
  [[nodiscard]] virtual std::optional<Certificate> find(const Bytes& fingerprint) const = 0;
  [[nodiscard]] virtual bool knows_signature(const Certificate& subject, const Certificate& issuer) const = 0;
  // A path that was found good, leaf first: nothing that a stranger sends gets in.
  virtual void keep(const std::vector<Certificate>& path) = 0;
};

struct PathQuery {
  Bytes leaf;                         // DER
  std::vector<Bytes> intermediates;   // DER, as the peer sent them, in any order, with loops and strangers among them
  std::vector<Bytes> crls;            // DER, as the peer sent them
  std::vector<Bytes> ocsp_responses;  // DER, stapled (RFC 4806)
  std::int64_t now = 0;               // wall clock, seconds since 1970
  unsigned least_rsa_bits = 2048;
};

class TrustStore {
 public:
  static constexpr std::size_t kMaxPath = 8;
  static constexpr std::size_t kMaxIntermediates = 16;

  // Self-issued or not: what is put here is trusted as it stands.
  [[nodiscard]] Result<void> add_authority(ByteView der);
  void add_intermediate(const Certificate& certificate);
  // DER or PEM. Refused: delta CRLs, indirect and partial ones, unknown critical extensions, SHA-1. Where its issuer is
  // known, the signature must be right, and it replaces an older one; else the signature is checked when it is used.
  [[nodiscard]] Result<void> add_crl(ByteView bytes);
  // The signature is checked when it is used. The latest 256 are kept.
  [[nodiscard]] Result<void> add_ocsp_response(ByteView der);
  // From `ca` sections: where to ask beside what the certificates themselves name.
  void add_urls(const Bytes& authority_subject, const std::vector<std::string>& crl_urls,
                const std::vector<std::string>& ocsp_urls);

  // From now on; copies of the store share it.
  void use(std::shared_ptr<PathMemory> memory) { memory_ = std::move(memory); }

  [[nodiscard]] const std::vector<Certificate>& authorities() const { return authorities_; }
  // An authority or intermediate of this name and with this key is loaded here: not only one that calls itself so.
  [[nodiscard]] bool holds(const Certificate& authority) const;
  // Certificate::parse, unless it is here already.
  [[nodiscard]] Result<Certificate> read(ByteView der) const;
  // The error is a sentence: which certificate of the path, what is wrong, what to do.
  [[nodiscard]] Result<Path> validate(const PathQuery& query) const;
  // The same, where the leaf has been read already; query.leaf is not looked at.
  [[nodiscard]] Result<Path> validate(const Certificate& leaf, const PathQuery& query) const;

 private:
  struct Urls {
    Bytes subject;
    std::vector<std::string> crl, ocsp;
  };
  [[nodiscard]] Result<std::vector<Certificate>> find_path(const Certificate& leaf, const PathQuery& query) const;
  void judge_revocation(const PathQuery& query, Path& path) const;
  void add_sources(const Certificate& subject, const Certificate& issuer, Path& path) const;

  std::vector<Certificate> authorities_;
  std::vector<Certificate> intermediates_;
  std::vector<Crl> crls_;
  std::vector<OcspResponse> ocsp_responses_;
  std::vector<Urls> urls_;
  std::shared_ptr<PathMemory> memory_;
};

}  // namespace cygnet::crypto
