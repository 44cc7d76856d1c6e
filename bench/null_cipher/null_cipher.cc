// SPDX-License-Identifier: Apache-2.0
// Stands in for src/crypto/esp_ipsec_mb.cc in cygnetd_null: packets have the form of the negotiated transform, and
// their payload in clear. Both ends have to be this program; nobody else's packets are told from forged ones.
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "crypto/esp_transform.h"

namespace cygnet::crypto {
namespace {

class NullCipher final : public EspTransform {
 public:
  explicit NullCipher(const model::SaSpec& spec) : EspTransform(spec) {}
  void seal(std::span<EspJob> jobs) override {
    for (auto& job : jobs) {
      job.ok = fits(job);
      if (!job.ok) continue;
      std::memset(iv(job), 0, iv_octets());
      std::memset(icv(job), 0, icv_octets());
      // The one pass over the payload that every cipher makes.
      if (job.from != nullptr) std::memcpy(payload(job).data(), job.from, payload(job).size());
    }
  }
  void open(std::span<EspJob> jobs) override {
    for (auto& job : jobs) job.ok = fits(job);
  }
  [[nodiscard]] bool seals_from_elsewhere() const override { return true; }
  [[nodiscard]] bool shareable() const override { return true; }
};

// A tunnel that hides nothing must not be taken for one that does.
const struct Guard {
  Guard() {
    const char* allowed = std::getenv("CYGNET_BENCH_NULL_CIPHER");  // NOLINT(concurrency-mt-unsafe): no thread yet
    if (allowed != nullptr && std::string_view(allowed) == "this encrypts nothing") return;
    constexpr std::string_view kWhy = "cygnetd_null encrypts nothing: it is for ./dev bench tunnel alone\n";
    (void)!::write(STDERR_FILENO, kWhy.data(), kWhy.size());
    ::_exit(1);
  }
} kGuard;

}  // namespace

std::unique_ptr<EspCipher> create_ipsec_mb_esp_cipher(const model::SaSpec& spec, const EspKeys& /*keys*/) {
  return std::make_unique<NullCipher>(spec);
}
bool ipsec_mb_available() { return true; }
std::string ipsec_mb_name() { return "no cipher at all"; }

}  // namespace cygnet::crypto
