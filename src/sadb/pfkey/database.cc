// SPDX-License-Identifier: Apache-2.0
// The SAs of the database; policies are in database_policies.cc.
#include "sadb/pfkey/database.h"

#include <algorithm>
#include <utility>

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;
using model::Direction;

constexpr std::uint32_t kFirstSpi = 256;
constexpr std::uint32_t kGroupMark = 1U << 30U;  // beside kPfkeyPolicy: a group and no policy
constexpr int kRandomTries = 64;
constexpr std::uint64_t kSearchedInOrder = 1U << 16U;

std::string hex(Spi spi) {
  std::array<std::uint8_t, 4> octets{};
  store_be32(octets.data(), spi.value);
  return "0x" + to_hex(octets);
}

}  // namespace

PfkeyDatabase::Ends PfkeyDatabase::ends_of(const PfkeySa& sa) { return {sa.from(), sa.to()}; }

PfkeyDatabase::GroupName PfkeyDatabase::group_name(const PfkeySa& sa) {
  GroupName name{.type = sa.sa_type, .mode = sa.terms.mode, .ends = {}, .reqid = sa.reqid};
  if (name.mode != model::Mode::kTransport) name.ends = ends_of(sa);
  return name;
}

PfkeyDatabase::Group& PfkeyDatabase::group(const GroupName& name) {
  auto& group = groups_[name];
  if (group.id.is_zero()) {
    group.id = model::PolicyId{kPfkeyPolicy | kGroupMark | next_group_};
    next_group_ = (next_group_ + 1) & (kGroupMark - 1);
  }
  return group;
}

void PfkeyDatabase::tidy_group(const GroupName& name) {
  const auto it = groups_.find(name);
  if (it != groups_.end() && it->second.sas.empty() && it->second.policies.empty()) groups_.erase(it);
}

PfkeyResult<> PfkeyDatabase::check_room(const PfkeySa& draft) {
  if (draft.state == pf::SaState::kLarval && sas_.larval() >= PfkeySaTable::kMostLarval) {
    return refuse(ENOBUFS, "65536 SPIs are given out and wait for their keys: wait, or UPDATE or DELETE some");
  }
  return {};
}

PfkeyResult<PfkeySa*> PfkeyDatabase::get_spi(PfkeySa draft, std::uint32_t min, std::uint32_t max, PfkeyTime time) {
  min = std::max(min, kFirstSpi);
  // RFC 3173 section 3.3: a CPI has 16 bits.
  if (draft.sa_type == pf::SaType::kIpComp) max = std::min<std::uint32_t>(max, 0xffff);
  if (min > max) return refuse(EINVAL, "no SPI of the range may be used: those below 256 are reserved");
  if (auto room = check_room(draft); !room) return std::unexpected(room.error());
  if (auto ours = check_spi(Spi{min}); !ours) return std::unexpected(ours.error());
  if (const auto foreign = engine_.foreign_spis(); foreign != 0) max = std::min(max, foreign - 1);
  const std::uint64_t count = std::uint64_t{max} - min + 1;
  const auto is_free = [&](std::uint64_t at) {
    const Spi spi{static_cast<std::uint32_t>(min + at)};
    return sas_.find(spi, draft.to(), draft.sa_type) == nullptr && !engine_.spi_in_use(spi);
  };
  std::optional<std::uint64_t> chosen;
  for (int i = 0; i < kRandomTries && !chosen; ++i) {
    if (const auto at = random_.below(count); is_free(at)) chosen = at;
  }
  // A narrow or well filled range: look at all that is left of it, up to a bound.
  const auto start = random_.below(count);
  for (std::uint64_t i = 0; i < std::min(count, kSearchedInOrder) && !chosen; ++i) {
    if (const auto at = (start + i) % count; is_free(at)) chosen = at;
  }
  if (!chosen) {
    return refuse(EEXIST, "no SPI from " + hex(Spi{min}) + " to " + hex(Spi{max}) + " is free for " +
                              draft.to().to_string() + ": ask for another range");
  }
  draft.spi = Spi{static_cast<std::uint32_t>(min + *chosen)};
  draft.added = time.now;
  draft.added_wall_s = time.wall_s;
  engine_.expect_spi(draft.spi, time.now);
  return &sas_.add(std::move(draft));
}

PfkeyResult<> PfkeyDatabase::check_spi(Spi spi) const {
  const auto foreign = engine_.foreign_spis();
  if ((spi.value & foreign) == 0) return {};
  return refuse(EINVAL, "SPI " + hex(spi) +
                            " is for the kernel's IPsec, which carries the packets of some connections "
                            "here: choose one below " +
                            hex(Spi{foreign}));
}

PfkeyResult<> PfkeyDatabase::check(const PfkeySa& draft) const {
  if (auto sound = check_sa(draft); !sound) return sound;
  if (draft.sa_type == pf::SaType::kIpComp) return {};
  const auto spec = sa_spec_of(draft, Direction::kInbound, draft.added);
  if (engine_.supports(spec.encryption, spec.encryption_bits, spec.integrity)) return {};
  return refuse(EINVAL, "this engine cannot do these algorithms together: SADB_REGISTER lists what it can");
}

PfkeyResult<PfkeySa*> PfkeyDatabase::add(PfkeySa draft, PfkeyTime time) {
  draft.state = pf::SaState::kMature;
  draft.added = time.now;
  draft.added_wall_s = time.wall_s;
  if (auto sound = check(draft); !sound) return std::unexpected(sound.error());
  if (sas_.find(draft.spi, draft.to(), draft.sa_type) != nullptr) {
    return refuse(EEXIST, "there is an SA with SPI " + hex(draft.spi) + " to " + draft.to().to_string() +
                              " already: delete it first, or update it");
  }
  used_keys_.recall(draft);
  auto& sa = sas_.add(std::move(draft));
  if (auto in = bring_in(sa, time); !in) {
    // What it said of its numbers was never in force.
    take_out(sa);
    return std::unexpected(in.error());
  }
  return &sa;
}

PfkeyResult<> PfkeyDatabase::bring_in(PfkeySa& sa, PfkeyTime time) {
  sas_by_ends_[{ends_of(sa), sa.serial}] = &sa;
  sa.terms = terms_of(sa);
  if (sa.sa_type == pf::SaType::kIpComp) terms_stale_ = true;
  if (auto placed = place(sa, time.now); !placed) return placed;
  watch_use(sa);
  return {};
}

PfkeyResult<PfkeySa*> PfkeyDatabase::update(PfkeySa draft, PfkeyTime time) {
  auto* old = sas_.find(draft.spi, draft.to(), draft.sa_type);
  if (old == nullptr) {
    return refuse(ESRCH, "there is no SA with SPI " + hex(draft.spi) + " to " + draft.to().to_string());
  }
  const bool larval = old->state == pf::SaState::kLarval;
  draft.added = larval ? time.now : old->added;
  draft.added_wall_s = larval ? time.wall_s : old->added_wall_s;
  if (!larval) inherit(draft, *old);
  draft.terms = terms_of(draft);
  if (auto sound = check(draft); !sound) return std::unexpected(sound.error());
  auto before = *old;
  if (!larval) {
    remember_counters(*old);
    used_keys_.remember(*old);
    draft.packets = old->packets;
    draft.bytes = old->bytes;
    // RFC 4303 section 3.3.3: no sequence number comes twice under one key.
    if (draft.encrypt_key == old->encrypt_key && draft.auth_key == old->auth_key) {
      draft.sent = std::max(draft.sent, old->sent);
      draft.seen = std::max(draft.seen, old->seen);
    }
  }
  auto carried = *old;
  const auto watched = first_use_.find(old->serial);
  const auto use = watched == first_use_.end() ? std::nullopt : std::optional(watched->second);
  if (!larval) {
    unindex(*old);
    if (group_name(*old) != group_name(draft) || old->from() != draft.from()) displace(*old);
  }
  used_keys_.recall(draft);
  draft.serial = old->serial;
  draft.inbound = old->inbound;
  draft.outbound = old->outbound;
  draft.group = old->group;
  draft.state = pf::SaState::kMature;
  if (draft.sequence == 0) draft.sequence = old->sequence;
  *old = std::move(draft);
  if (auto in = bring_in(*old, time); !in) {
    put_back(*old, std::move(before), std::move(carried), time);
    if (use) first_use_[old->serial] = *use;
    return std::unexpected(in.error());
  }
  if (larval) sas_.hatched(before);
  return old;
}

// What was asked for cannot be: the SA is what it was, and goes on behind the numbers that it has used.
void PfkeyDatabase::put_back(PfkeySa& sa, PfkeySa before, PfkeySa carried, PfkeyTime time) {
  unindex(sa);
  if (before.state == pf::SaState::kLarval) {
    displace(sa);
    sa = std::move(before);
    return;
  }
  // What the engine refuses to replace it goes on with.
  const bool runs = sa.inbound == before.inbound && sa.outbound == before.outbound;
  if (!runs) displace(sa);
  sa = runs ? std::move(before) : std::move(carried);
  if (!runs) sa.inbound = sa.outbound = false;
  sas_by_ends_[{ends_of(sa), sa.serial}] = &sa;
  // It was there a moment ago. If the engine will not have it now, it waits like one whose address is not there.
  if (!runs) (void)place(sa, time.now);
}

// What an update of a grown SA leaves out stays.
void PfkeyDatabase::inherit(PfkeySa& draft, const PfkeySa& old) {
  if (draft.encrypt_key.empty() && draft.auth_key.empty()) {
    draft.encrypt_key = old.encrypt_key;
    draft.auth_key = old.auth_key;
    draft.encrypt = old.encrypt;
    draft.auth = old.auth;
  }
  if (!draft.hard) draft.hard = old.hard;
  if (!draft.soft) draft.soft = old.soft;
}

// ---- in the engine

// IPComp is no SA of the engine's but a property of the ESP SA around it; BEET needs to know who is inside.
bool PfkeyDatabase::is_ready(const PfkeySa& sa, const PfkeyTerms& terms) {
  if (sa.sa_type == pf::SaType::kIpComp) return false;
  return terms.mode != model::Mode::kBeet || !terms.inner_source.is_unspecified();
}

PfkeyResult<> PfkeyDatabase::place(PfkeySa& sa, Instant now) {
  if (!is_ready(sa, sa.terms)) return {};
  if (engine_.is_local(sa.to())) {
    if (auto placed = place_inbound(sa, now); !placed) return placed;
  }
  if (engine_.is_local(sa.from())) {
    if (auto placed = place_outbound(sa, now); !placed) {
      if (std::exchange(sa.inbound, false)) (void)engine_.remove_sa(Direction::kInbound, sa.spi, sa.child());
      return placed;
    }
  }
  return {};
}

PfkeyResult<> PfkeyDatabase::place_inbound(PfkeySa& sa, Instant now) {
  if (auto ours = check_spi(sa.spi); !ours) return ours;
  // The engine finds inbound SAs by SPI alone (RFC 4301 section 4.1 lets it).
  if (!sa.inbound && engine_.spi_in_use(sa.spi)) {
    return refuse(EEXIST, "SPI " + hex(sa.spi) + " is in use for another SA to this machine: choose another");
  }
  auto spec = sa_spec_of(sa, Direction::kInbound, now);
  apply(sa.terms, spec);
  allow(spec, sa);
  if (auto installed = engine_.install_sa(spec, now); !installed) return refuse(EINVAL, installed.error().message);
  sa.inbound = true;
  return {};
}

PfkeyResult<> PfkeyDatabase::place_outbound(PfkeySa& sa, Instant now) {
  auto& group = this->group(group_name(sa));
  sa.group = group.id;
  auto spec = sa_spec_of(sa, Direction::kOutbound, now);
  // RFC 4106 section 3.1: under one key an IV "MUST NOT" come twice. Keys set by hand come back, with sequence numbers
  // that begin anew.
  spec.iv_mask = random_.u64();
  apply(sa.terms, spec);
  if (auto installed = engine_.install_sa(spec, now); !installed) {
    tidy_group(group_name(sa));
    return refuse(EINVAL, installed.error().message);
  }
  sa.outbound = true;
  if (group.sas.insert(sa.serial).second) refresh_use(group);
  return {};
}

void PfkeyDatabase::displace(PfkeySa& sa) {
  if (sa.inbound) (void)engine_.remove_sa(Direction::kInbound, sa.spi, sa.child());
  if (sa.outbound) (void)engine_.remove_sa(Direction::kOutbound, sa.spi, sa.child());
  sa.inbound = false;
  leave_group(sa);
}

void PfkeyDatabase::leave_group(PfkeySa& sa) {
  if (!sa.outbound) return;
  sa.outbound = false;
  const auto it = groups_.find(group_name(sa));
  if (it == groups_.end()) return;
  it->second.sas.erase(sa.serial);
  refresh_use(it->second);
  tidy_group(group_name(sa));
}

void PfkeyDatabase::remember_counters(PfkeySa& sa) {
  for (const auto direction : {Direction::kInbound, Direction::kOutbound}) {
    if (!(direction == Direction::kInbound ? sa.inbound : sa.outbound)) continue;
    if (const auto counters = engine_.counters(direction, sa.child())) {
      sa.packets += counters->packets;
      sa.bytes += counters->bytes;
      auto& last = direction == Direction::kInbound ? sa.seen : sa.sent;
      last = std::max(last, counters->sequence);
    }
  }
}

void PfkeyDatabase::unindex(const PfkeySa& sa) {
  sas_by_ends_.erase({ends_of(sa), sa.serial});
  first_use_.erase(sa.serial);
}

void PfkeyDatabase::remove(PfkeySa& sa) {
  remember_counters(sa);
  used_keys_.remember(sa);
  take_out(sa);
}

void PfkeyDatabase::take_out(PfkeySa& sa) {
  if (sa.sa_type == pf::SaType::kIpComp) terms_stale_ = true;
  displace(sa);
  unindex(sa);
  sas_.erase(sa.serial);
}

std::size_t PfkeyDatabase::flush_sas(pf::SaType type) {
  std::size_t count = 0;
  std::uint64_t at = 0;
  while (auto* sa = sas_.after(at)) {
    at = sa->serial;
    if (type != pf::SaType::kUnspecified && sa->sa_type != type) continue;
    remove(*sa);
    ++count;
  }
  return count;
}

// ---- what they carried

pf::LifetimeExtension PfkeyDatabase::current(const PfkeySa& sa, PfkeyTime time) const {
  pf::LifetimeExtension out{
      .allocations = 0, .bytes = sa.bytes, .add_time = static_cast<std::uint64_t>(sa.added_wall_s)};
  std::uint64_t packets = sa.packets;
  Instant last{};
  for (const auto direction : {Direction::kInbound, Direction::kOutbound}) {
    if (!(direction == Direction::kInbound ? sa.inbound : sa.outbound)) continue;
    if (const auto counters = engine_.counters(direction, sa.child())) {
      packets += counters->packets;
      out.bytes += counters->bytes;
      last = std::max(last, counters->last_used);
    }
  }
  out.allocations = static_cast<std::uint32_t>(std::min<std::uint64_t>(packets, UINT32_MAX));
  if (last != Instant{}) {
    const auto ago = std::chrono::duration_cast<std::chrono::seconds>(time.now - last).count();
    out.use_time = static_cast<std::uint64_t>(std::max<std::int64_t>(0, time.wall_s - ago));
  }
  return out;
}

std::uint64_t PfkeyDatabase::last_sequence(const PfkeySa& sa) const {
  const auto direction = sa.outbound ? Direction::kOutbound : Direction::kInbound;
  const auto counters = sa.outbound || sa.inbound ? engine_.counters(direction, sa.child()) : std::nullopt;
  return counters ? counters->sequence : 0;
}

void PfkeyDatabase::watch_use(const PfkeySa& sa) {
  const bool limited = (sa.hard && sa.hard->use_time != 0) || (sa.soft && sa.soft->use_time != 0);
  if (limited) first_use_.try_emplace(sa.serial);
}

std::vector<PfkeyDatabase::UseTime> PfkeyDatabase::use_times_over(PfkeyTime time) {
  std::vector<UseTime> over;
  for (auto& [serial, watched] : first_use_) {
    const auto* sa = sas_.find(serial);
    if (sa == nullptr) continue;
    if (watched.first_wall_s == 0) {
      watched.first_wall_s = static_cast<std::int64_t>(current(*sa, time).use_time);
      if (watched.first_wall_s == 0) continue;
    }
    const auto used = static_cast<std::uint64_t>(std::max<std::int64_t>(0, time.wall_s - watched.first_wall_s));
    if (sa->hard && sa->hard->use_time != 0 && used >= sa->hard->use_time) {
      over.push_back({serial, true});
    } else if (!watched.soft_told && sa->soft && sa->soft->use_time != 0 && used >= sa->soft->use_time) {
      watched.soft_told = true;
      over.push_back({serial, false});
    }
  }
  return over;
}

// ---- the machine and the peers move

void PfkeyDatabase::addresses_changed(PfkeyTime time) {
  for (auto* sa = sas_.after(0); sa != nullptr; sa = sas_.after(sa->serial)) {
    if (sa->state == pf::SaState::kLarval || sa->state == pf::SaState::kDead || !is_ready(*sa, sa->terms)) continue;
    // What is installed stays: an address may go and come back.
    if (!sa->inbound && engine_.is_local(sa->to())) (void)place_inbound(*sa, time.now);
    if (!sa->outbound && engine_.is_local(sa->from())) (void)place_outbound(*sa, time.now);
  }
}

PfkeyResult<> PfkeyDatabase::move(PfkeySa& sa, const IpAddress& source, const IpAddress& destination, PfkeyTime time) {
  if (source.family() != destination.family()) return refuse(EINVAL, "both ends must be of one address family");
  if (const auto* other = sas_.find(sa.spi, destination, sa.sa_type); other != nullptr && other != &sa) {
    return refuse(EEXIST, "another SA to " + destination.to_string() + " has SPI " + hex(sa.spi));
  }
  const bool inbound = sa.inbound;
  const bool outbound = sa.outbound;
  const Endpoint from{source, sa.nat_source_port};
  const Endpoint to{destination, sa.nat_destination_port};
  // Sequence numbers go on: the SA moves within the engine and is not made anew.
  if (inbound || outbound) {
    const auto moved =
        engine_.update_endpoints(sa.child(), outbound ? from : to, outbound ? to : from, sa.nat_type != 0);
    if (!moved) return refuse(EINVAL, moved.error().message);
  }
  unindex(sa);
  if (outbound) leave_group(sa);
  auto new_source = pf::AddressExtension::host(source);
  auto new_destination = pf::AddressExtension::host(destination);
  sas_.move(sa, new_source, new_destination);
  sas_by_ends_[{ends_of(sa), sa.serial}] = &sa;
  if (outbound) {
    // The group's number is part of what the engine holds; the same keys keep their sequence.
    remember_counters(sa);
    if (auto placed = place_outbound(sa, time.now); !placed) {
      // The engine has it still, for a group that it is not in any more.
      sa.outbound = true;
      displace(sa);
      return placed;
    }
    return {};
  }
  if (inbound) refresh_inbound(sa);
  return {};
}

}  // namespace cygnet::sadb
