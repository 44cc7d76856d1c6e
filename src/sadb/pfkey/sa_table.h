// SPDX-License-Identifier: Apache-2.0
#pragma once

// The SAs that came over PF_KEY, larval ones too. What the engine does not know of them is kept here.
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "sadb/pfkey/engine_port.h"
#include "wire/pfkey/message.h"

namespace cygnet::sadb {

// What policies say of an SA beyond what it says itself.
struct PfkeyTerms {
  model::Mode mode = model::Mode::kTransport;
  std::uint16_t cpi = 0;                      // of the IPComp SA that goes with it
  IpAddress inner_source, inner_destination;  // kBeet
  bool inside_ah = false;
  bool operator==(const PfkeyTerms&) const = default;
};

struct PfkeySa {
  std::uint64_t serial = 0;  // grows; dumps go by it
  wire::pfkey::SaType sa_type = wire::pfkey::SaType::kEsp;
  Spi spi;
  wire::pfkey::AddressExtension source, destination;
  std::optional<wire::pfkey::AddressExtension> proxy, nat_original;
  wire::pfkey::SaState state = wire::pfkey::SaState::kLarval;
  std::uint32_t replay = 0;  // packets
  wire::pfkey::AuthAlgorithm auth{};
  wire::pfkey::EncryptAlgorithm encrypt{};
  std::uint32_t flags = 0;
  wire::pfkey::Mode mode = wire::pfkey::Mode::kTransport;
  std::uint32_t reqid = 0;
  SecretBytes auth_key, encrypt_key;
  std::optional<wire::pfkey::LifetimeExtension> hard, soft;
  std::uint8_t nat_type = 0;
  std::uint16_t nat_source_port = 0, nat_destination_port = 0;
  std::uint16_t nat_fragment = 0;
  std::uint32_t keepalive_s = 0;  // behind a NAT: how often to say so; 0: never
  std::uint32_t tfc_octets = 0;   // what is shorter is padded; 0: not
  bool copy_dscp = true;          // to the outer header
  std::optional<wire::pfkey::IdentityExtension> source_identity, destination_identity;
  std::uint32_t sequence = 0;  // of the ACQUIRE or GETSPI it goes back to
  std::uint32_t pid = 0;

  Instant added{};
  std::int64_t added_wall_s = 0;
  std::int64_t used_wall_s = 0;            // 0: not yet, as far as we looked
  std::uint64_t packets = 0, bytes = 0;    // carried before the engine was given it anew
  std::uint64_t sent = 0, seen = 0;        // sequence numbers it goes on behind then
  bool inbound = false, outbound = false;  // what the engine holds it as
  model::PolicyId group;                   // outbound: the policies it serves
  PfkeyTerms terms;                        // what the engine was told of it beyond itself
  [[nodiscard]] model::ChildId child() const { return model::ChildId{kPfkeyChild | serial}; }
  [[nodiscard]] const IpAddress& from() const { return source.endpoint.address; }
  [[nodiscard]] const IpAddress& to() const { return destination.endpoint.address; }
};

class PfkeySaTable {
 public:
  static constexpr std::size_t kMostLarval = 65536;
  // Of an SPI that was given out and not used: as long as Linux waits (net.core.xfrm_acq_expires).
  static constexpr Duration kLarvalLife = std::chrono::seconds(30);

  PfkeySa& add(PfkeySa sa);
  void erase(std::uint64_t serial);
  [[nodiscard]] PfkeySa* find(Spi spi, const IpAddress& destination,
                              wire::pfkey::SaType type = wire::pfkey::SaType::kEsp);
  [[nodiscard]] PfkeySa* find(std::uint64_t serial);
  [[nodiscard]] PfkeySa* find(model::ChildId child) { return find(child.value & ~kPfkeyChild); }
  // The first one behind this serial.
  [[nodiscard]] PfkeySa* after(std::uint64_t serial);
  // It is larval no more.
  void hatched(const PfkeySa& sa) { larval_.erase({sa.added + kLarvalLife, sa.serial}); }
  // The destination is part of its name: change it only here.
  void move(PfkeySa& sa, const wire::pfkey::AddressExtension& source, const wire::pfkey::AddressExtension& destination);
  [[nodiscard]] std::size_t size() const { return sas_.size(); }
  [[nodiscard]] std::size_t larval() const { return larval_.size(); }
  [[nodiscard]] Instant next_deadline() const { return larval_.empty() ? kNever : larval_.begin()->first; }
  // A larval one whose time is over; nullptr: none.
  [[nodiscard]] PfkeySa* overdue(Instant now);

 private:
  struct Name {
    Spi spi;
    IpAddress destination;
    wire::pfkey::SaType type{};
    bool operator==(const Name&) const = default;
  };
  struct NameHash {
    std::size_t operator()(const Name& n) const noexcept {
      return std::hash<Spi>{}(n.spi) * 0x9e3779b97f4a7c15ULL + std::hash<IpAddress>{}(n.destination) +
             static_cast<std::size_t>(n.type);
    }
  };
  std::map<std::uint64_t, PfkeySa> sas_;
  std::unordered_map<Name, std::uint64_t, NameHash> by_name_;
  std::set<std::pair<Instant, std::uint64_t>> larval_;
  std::uint64_t next_serial_ = 1;
};

}  // namespace cygnet::sadb
