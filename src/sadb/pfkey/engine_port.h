// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the PF_KEY service needs of the engine beside it, and of the machine.
#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/result.h"
#include "base/time.h"
#include "model/sa_spec.h"

namespace cygnet::sadb {

// Both clocks at once: one to wait by, one to show.
struct PfkeyTime {
  Instant now{};
  std::int64_t wall_s = 0;
};

class PfkeyEngine {
 public:
  virtual ~PfkeyEngine() = default;
  [[nodiscard]] virtual Result<void> install_sa(const model::SaSpec& spec, Instant now) = 0;
  [[nodiscard]] virtual Result<void> remove_sa(model::Direction direction, Spi spi, model::ChildId child) = 0;
  [[nodiscard]] virtual Result<void> update_endpoints(model::ChildId child, const Endpoint& local,
                                                      const Endpoint& remote, bool udp_encapsulation) = 0;
  [[nodiscard]] virtual Result<void> set_selectors(model::ChildId child, const model::TrafficSelectors& local,
                                                   const model::TrafficSelectors& remote, bool paired) = 0;
  [[nodiscard]] virtual std::optional<model::SaCounters> counters(model::Direction direction,
                                                                  model::ChildId child) const = 0;
  [[nodiscard]] virtual Result<void> install_policy(const model::PolicySpec& spec) = 0;
  [[nodiscard]] virtual Result<void> remove_policy(model::PolicyId id) = 0;
  virtual void acquire_failed(model::PolicyId id) = 0;
  // An inbound SA has this SPI, whoever made it.
  [[nodiscard]] virtual bool spi_in_use(Spi spi) const = 0;
  // Inbound SPIs with one of these bits are another engine's: packets with them do not come here.
  [[nodiscard]] virtual std::uint32_t foreign_spis() const { return 0; }
  // Packets with it may come before their SA.
  virtual void expect_spi(Spi spi, Instant now) = 0;
  // Whether an SA with these transforms can be made: tried, not looked up.
  [[nodiscard]] virtual bool supports(model::EncryptionId encryption, std::uint16_t bits,
                                      model::IntegrityId integrity) const = 0;
  // An address of this machine.
  [[nodiscard]] virtual bool is_local(const IpAddress& address) const = 0;
  // Packets from source to destination shall come to the device; or no longer.
  virtual void lead_into_device(const IpPrefix& source, const IpPrefix& destination, bool wanted) = 0;
  // An `in` or `fwd` policy begins (wanted) or ceases to say that this traffic may arrive in the clear, or may not.
  // Lower order is looked at first.
  virtual void say_of_clear_text(const model::TrafficSelector& /*remote*/, const model::TrafficSelector& /*local*/,
                                 std::uint32_t /*order*/, bool /*allowed*/, bool /*wanted*/) {}
};

// SAs and policies that came over PF_KEY have numbers that ike never gives.
inline constexpr std::uint64_t kPfkeyChild = 1ULL << 63U;
inline constexpr std::uint32_t kPfkeyPolicy = 1U << 31U;
[[nodiscard]] constexpr bool is_pfkey(model::ChildId child) { return (child.value & kPfkeyChild) != 0; }
[[nodiscard]] constexpr bool is_pfkey(model::PolicyId policy) { return (policy.value & kPfkeyPolicy) != 0; }

}  // namespace cygnet::sadb
