// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/sa_index.h"

#include <algorithm>
#include <cctype>

#include "ike/v2/match.h"
#include "model/distinguished_name.h"

namespace cygnet::ike::v2 {
namespace {

constexpr std::uint64_t kPrime = 0x9e3779b97f4a7c15ULL;

std::uint64_t mix(std::uint64_t h, std::uint64_t v) {
  h = (h ^ v) * kPrime;
  return h ^ (h >> 32U);
}

// As a key of the table: any but zero.
SaIndex::Name name_of(std::uint64_t h) { return h == 0 ? 1 : h; }

std::uint8_t lower(std::uint8_t c) { return c >= 'A' && c <= 'Z' ? static_cast<std::uint8_t>(c | 0x20U) : c; }
bool is_alphanumeric(std::uint8_t c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); }

bool is_name(model::IdType type) { return type == model::IdType::kDerAsn1Dn || type == model::IdType::kDerAsn1Gn; }

// Names are compared without their string types, without regard to case and white space (RFC 5280 section 7.1), and
// turned round: the sum of the letters and digits that people would read is the same for all that are equal.
std::uint64_t letters_of(const Bytes& name) {
  std::uint64_t sum = 0;
  const auto text = model::distinguished_name_to_string(name);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      // The character itself, or two hexadecimal digits of an octet that is no letter.
      ++i;
      if (i < text.size() && std::isxdigit(static_cast<unsigned char>(text[i])) != 0) ++i;
      continue;
    }
    const auto c = lower(static_cast<std::uint8_t>(text[i]));
    if (is_alphanumeric(c)) sum += mix(0, c);
  }
  return sum;
}

std::optional<IpAddress> address_of(const model::HostSpec& host) {
  return host.has_address() ? std::optional(host.address) : std::nullopt;
}

// As far as IKE_SA_INIT goes: algorithms, and what is asked of a peer that nobody knows yet.
bool asks_the_same(const model::Connection& a, const model::Connection& b) {
  const auto& x = a.remote;
  const auto& y = b.remote;
  return a.proposals == b.proposals && x.auth == y.auth && x.public_key.empty() == y.public_key.empty() &&
         x.authority == y.authority && x.revocation == y.revocation;
}

// A name that nobody has looked up yet is nowhere.
bool is_somewhere(const model::HostSpec& host) {
  return host.has_address() || host.kind == model::HostSpec::Kind::kAny ||
         host.kind == model::HostSpec::Kind::kDefaultRoute;
}

}  // namespace

std::uint64_t hash_of(const model::Identity& identity) {
  auto h = mix(0, static_cast<std::uint64_t>(identity.type));
  if (is_name(identity.type)) return mix(h, letters_of(identity.data));
  for (const auto octet : identity.data) h = mix(h, lower(octet));
  return h;
}

// Where a name stands in the table must not be foreseen by a peer that chooses its identities. The address of the table
// is random enough, and nothing but places in it follows from it.
SaIndex::SaIndex() : spis_(mix(5, reinterpret_cast<std::uintptr_t>(this))) {}

SaIndex::Name SaIndex::of_ends(std::uint64_t local, std::uint64_t remote) {
  return name_of(mix(mix(1, local), remote));
}

SaIndex::Name SaIndex::of_peer(const IpAddress& remote, std::uint64_t local) {
  return name_of(mix(mix(2, local), std::hash<IpAddress>{}(remote)));
}

SaIndex::Name SaIndex::of_address(const IpAddress& remote) { return name_of(mix(4, std::hash<IpAddress>{}(remote))); }

SaIndex::Name SaIndex::of_connection(const std::string& name) {
  return name_of(mix(3, std::hash<std::string>{}(name)));
}

void SaIndex::insert(Name name, IkeSpi spi) {
  const auto [named, fresh] = spis_.insert(name);
  if (fresh) {
    named->first = spi;
  } else {
    if (named->first == spi) return;
    if (!named->others) named->others = std::make_unique<FlatSet<IkeSpi>>();
    if (!named->others->insert(spi)) return;
  }
  ++size_;
}

void SaIndex::erase(Name name, IkeSpi spi) {
  auto* named = spis_.find(name);
  if (named == nullptr) return;
  auto& [first, others] = *named;
  if (first == spi) {
    --size_;
    if (!others) {
      spis_.erase(name);
      return;
    }
    first = others->any();
    others->erase(first);
  } else if (others && others->erase(spi)) {
    --size_;
  }
  if (others && others->empty()) others.reset();
}

void SaIndex::rename(IkeSpi spi, std::vector<Name>& known, std::vector<Name>& names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (names == known) return;
  for (const auto name : known) {
    if (!std::binary_search(names.begin(), names.end(), name)) erase(name, spi);
  }
  for (const auto name : names) {
    if (!std::binary_search(known.begin(), known.end(), name)) insert(name, spi);
  }
  known.assign(names.begin(), names.end());
  known.shrink_to_fit();
}

std::vector<IkeSpi> SaIndex::find(Name name) const {
  const auto* named = spis_.find(name);
  if (named == nullptr) return {};
  std::vector<IkeSpi> out{named->first};
  if (const auto& others = named->others) {
    out.reserve(1 + others->size());
    others->append_to(out);
    std::sort(out.begin(), out.end());
  }
  return out;
}

void ConnectionIndex::rebuild(const std::vector<ConnectionPtr>& connections) {
  by_name_.clear();
  by_identity_.clear();
  others_.clear();
  by_addresses_.clear();
  for (std::size_t place = 0; place < connections.size(); ++place) {
    const auto& connection = connections[place];
    by_name_.emplace(connection->name, connection);
    const auto expected = expected_identity(*connection);
    auto& list = expected && !expected->is_pattern() ? by_identity_[hash_of(*expected)] : others_;
    list.push_back({place, connection});
    if (!is_somewhere(connection->remote.host) || !is_somewhere(connection->local.host)) continue;
    auto& same_hosts = by_addresses_[{address_of(connection->remote.host), address_of(connection->local.host)}];
    const bool new_kind = std::none_of(same_hosts.begin(), same_hosts.end(),
                                       [&](const auto& c) { return asks_the_same(*c, *connection); });
    if (new_kind) same_hosts.push_back(connection);
  }
}

ConnectionPtr ConnectionIndex::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

std::vector<ConnectionPtr> ConnectionIndex::by_path(const IpAddress& local, const IpAddress& remote) const {
  std::vector<ConnectionPtr> out;
  for (const auto& [r, l] : {Addresses{remote, local}, Addresses{remote, std::nullopt}, Addresses{std::nullopt, local},
                             Addresses{std::nullopt, std::nullopt}}) {
    const auto found = by_addresses_.find({r, l});
    if (found != by_addresses_.end()) out.insert(out.end(), found->second.begin(), found->second.end());
  }
  return out;
}

std::vector<ConnectionPtr> ConnectionIndex::expecting(const model::Identity& peer) const {
  static const std::vector<Placed> kNone;
  const auto found = by_identity_.find(hash_of(peer));
  const auto& exact = found == by_identity_.end() ? kNone : found->second;
  std::vector<ConnectionPtr> out;
  out.reserve(exact.size() + others_.size());
  auto a = exact.begin();
  auto b = others_.begin();
  while (a != exact.end() || b != others_.end()) {
    const bool first = b == others_.end() || (a != exact.end() && a->place < b->place);
    out.push_back((first ? a++ : b++)->connection);
  }
  return out;
}

}  // namespace cygnet::ike::v2
