// SPDX-License-Identifier: Apache-2.0
#pragma once

// CRLs and OCSP responses from the network, kept until they want renewal. Servers are asked without protection (RFC
// 5280 section 8: "When certificates include a cRLDistributionPoints extension with an https URI ..., circular
// dependencies can be introduced"), so anybody may answer: what the issuer has not signed, and what is older than what
// is known, changes nothing. The trust store checks again when it uses what is kept.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/time.h"
#include "crypto/trust_store.h"
#include "io/http_get.h"

namespace cygnet::daemon {

class RevocationCache {
 public:
  static constexpr std::size_t kMaxKept = 256;           // answers; the one longest unused goes first
  static constexpr std::size_t kMaxOctets = 16U << 20U;  // of all answers together
  static constexpr std::size_t kMaxUnderWay = 16;        // fetches at once
  static constexpr std::int64_t kRetry_s = 60;           // after a failure nothing is asked again for so long
  static constexpr std::int64_t kLongest_s = 86400;  // an answer that promises to be good for longer is asked for again
  static constexpr std::int64_t kNoDate_s = 3600;    // a CRL without nextUpdate

  struct Kept {
    std::string url;
    crypto::RevocationSource::Kind kind{};
    Bytes answer;                 // empty: none yet
    std::int64_t good_until = 0;  // seconds since 1970: then it is asked for again
    std::string error;            // of the last try; empty: it went well
  };
  // A fetch has ended; null: it brought nothing new.
  using OnSettled = std::function<void(const Kept* fresh)>;
  RevocationCache(io::EventLoop& loop, const Clock& clock, Logger& log, io::HttpClient::Resolve resolve,
                  OnSettled on_settled);

  // Begins to fetch what of this is not at hand. False: nothing is under way for any of it, waiting brings nothing.
  [[nodiscard]] bool want(const std::vector<crypto::RevocationSource>& sources);
  // The same for one source whose answer is to be renewed `early_s` seconds before it ends, while the old one still
  // serves.
  void renew(const crypto::RevocationSource& source, std::int64_t early_s);
  // Null: never asked for.
  [[nodiscard]] const Kept* find(const crypto::RevocationSource& source) const;
  // Puts all that is kept into the store.
  void fill(crypto::TrustStore& store) const;

  [[nodiscard]] std::vector<Kept> list() const;

 private:
  struct Entry {
    Kept kept;
    std::int64_t ask_at = 0;  // not before
    std::int64_t issued = 0;  // thisUpdate of the answer
    std::optional<crypto::Certificate> subject, issuer;
    std::uint64_t used = 0;  // counts up
    bool under_way = false;
  };
  // A responder is asked about many certificates: each question is kept by itself. And whoever issues certificates can
  // write anybody's address into them: what comes from there is judged, and kept, for each issuer.
  struct Key {
    std::string url;
    Bytes question;  // empty: a CRL
    Bytes issuer;    // its key
    auto operator<=>(const Key&) const = default;
  };
  [[nodiscard]] static Key key_of(const crypto::RevocationSource& source);
  struct Dates {
    std::int64_t issued = 0, until = 0;
  };
  // Or why it is no answer at all.
  [[nodiscard]] static Result<Dates> judge(const Entry& entry, ByteView answer, std::int64_t now);
  void begin(const Key& key, Entry& entry);
  void on_answer(const Key& key, Result<Bytes> answer);
  void make_room();
  [[nodiscard]] bool drop_oldest();  // false: there is none that may go
  [[nodiscard]] std::size_t octets() const;

  const Clock& clock_;
  Logger& log_;
  OnSettled on_settled_;
  std::map<Key, Entry> entries_;
  std::uint64_t uses_ = 0;
  io::HttpClient client_;
};

}  // namespace cygnet::daemon
