// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/serialize_state.h"

#include <array>
#include <concepts>
#include <type_traits>

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

constexpr std::uint8_t kVersion = 8;
constexpr std::size_t kMostItems = 65536;   // of any list
constexpr std::size_t kMostOctets = 70000;  // of any byte string: a whole message fits

// Writer and Reader have the same face, so that one function per structure serves both directions.
class Writer {
 public:
  static constexpr bool kReading = false;
  Writer() { out_.reserve(kUsualOctets); }
  [[nodiscard]] bool ok() const { return true; }
  void number(std::uint64_t& v, unsigned octets) {
    std::array<std::uint8_t, 8> big_endian{};
    store_be64(big_endian.data(), v);
    append(out_, ByteView(big_endian).last(octets));
  }
  template <typename Octets>
  void octets(Octets& v) {
    std::uint64_t size = v.size();
    number(size, 4);
    append(out_, {reinterpret_cast<const std::uint8_t*>(v.data()), v.size()});
  }
  Bytes take() { return std::move(out_); }

 private:
  static constexpr std::size_t kUsualOctets = 1024;
  Bytes out_;
};

class Reader {
 public:
  static constexpr bool kReading = true;
  explicit Reader(ByteView bytes) : in_(bytes) {}
  [[nodiscard]] bool ok() const { return ok_ && in_.ok(); }
  [[nodiscard]] bool at_end() const { return in_.remaining() == 0; }
  void refuse() { ok_ = false; }
  void number(std::uint64_t& v, unsigned octets) {
    v = 0;
    for (unsigned i = 0; i < octets; ++i) v = (v << 8U) | in_.u8();
  }
  template <typename Octets>
  void octets(Octets& v) {
    const std::size_t n = in_.u32();
    if (n > kMostOctets || n > in_.remaining()) {
      ok_ = false;
      return;
    }
    const auto b = in_.take(n);
    v.assign(b.begin(), b.end());
  }

 private:
  ByteReader in_;
  bool ok_ = true;
};

template <typename A, typename T>
  requires(std::integral<T> || std::is_enum_v<T>)
void visit(A& a, T& v) {
  auto n = static_cast<std::uint64_t>(v);
  a.number(n, std::is_same_v<T, bool> ? 1 : sizeof(T));
  if constexpr (A::kReading) v = static_cast<T>(n);
}
template <typename A, typename Tag, typename T>
void visit(A& a, Strong<Tag, T>& v) {
  visit(a, v.value);
}
template <typename A>
void visit(A& a, Instant& v) {
  auto n = v.time_since_epoch().count();
  visit(a, n);
  if constexpr (A::kReading) v = Instant(Duration(n));
}
template <typename A>
void visit(A& a, Bytes& v) {
  a.octets(v);
}
template <typename A>
void visit(A& a, SecretBytes& v) {
  a.octets(v);
}
template <typename A>
void visit(A& a, std::string& v) {
  a.octets(v);
}
template <typename A>
void visit(A& a, IpAddress& v) {
  Bytes b(v.bytes().begin(), v.bytes().end());
  visit(a, b);
  if constexpr (A::kReading) {
    if (b.size() != 4 && b.size() != 16) a.refuse();
    v = IpAddress::from_bytes(b);
  }
}
template <typename A>
void visit(A& a, Endpoint& v) {
  visit(a, v.address);
  visit(a, v.port);
}
template <typename A>
void visit(A& a, model::TrafficSelector& v) {
  visit(a, v.range.first);
  visit(a, v.range.last);
  visit(a, v.protocol);
  visit(a, v.port_first);
  visit(a, v.port_last);
  if constexpr (A::kReading) {
    if (!v.range.valid()) a.refuse();
  }
}
template <typename A>
void visit(A& a, model::Transform& v) {
  visit(a, v.type);
  visit(a, v.id);
  visit(a, v.key_bits);
}
template <typename A>
void visit(A& a, model::Identity& v) {
  visit(a, v.type);
  visit(a, v.data);
}
template <typename A, typename T>
void visit(A& a, std::optional<T>& v);
template <typename A, typename T>
void visit(A& a, RoomyOptional<T>& v);
template <typename A, typename T>
void visit_list(A& a, T& list);

template <typename A>
void visit(A& a, model::Proposal& v) {
  visit(a, v.protocol);
  visit_list(a, v.transforms);
}
template <typename A>
void visit(A& a, model::ChosenIke& v) {
  visit(a, v.encryption);
  visit(a, v.encryption_bits);
  visit(a, v.integrity);
  visit(a, v.prf);
  visit(a, v.group);
}
template <typename A>
void visit(A& a, model::ChosenEsp& v) {
  visit(a, v.encryption);
  visit(a, v.encryption_bits);
  visit(a, v.integrity);
  visit(a, v.group);
  visit(a, v.esn);
}
template <typename A>
void visit(A& a, ConnectionPtr& v) {
  std::string name = v ? v->name : std::string();
  visit(a, name);
  if constexpr (A::kReading) {
    auto named = std::make_shared<model::Connection>();
    named->name = name;
    v = std::move(named);
  }
}
template <typename A>
void visit(A& a, crypto::KeyPair& v) {
  visit(a, v.group);
  visit(a, v.private_key);
  visit(a, v.public_value);
}
template <typename A>
void visit(A& a, IkeKeys& v) {
  for (auto* key : {&v.d, &v.ai, &v.ar, &v.ei, &v.er, &v.pi, &v.pr}) visit(a, *key);
}
template <typename A>
void visit(A& a, Path& v) {
  visit(a, v.local);
  visit(a, v.remote);
  visit(a, v.marked);
}
template <typename A>
void visit(A& a, Mobility& v) {
  visit(a, v.agreed);
  visit(a, v.unproven);
  visit(a, v.proven);
  visit(a, v.esp_remote);
  visit_list(a, v.peer_addresses);
  visit(a, v.told);
  visit(a, v.cookie2);
  visit(a, v.seen_as);
}
template <typename A>
void visit(A& a, Collision& v) {
  visit(a, v.nonce_i);
  visit(a, v.nonce_r);
  visit(a, v.child);
  visit(a, v.ike_spi);
  visit(a, v.old_deleted);
}
template <typename A>
void visit(A& a, Outstanding& v) {
  visit(a, v.id);
  visit(a, v.exchange);
  visit_list(a, v.datagrams);
  visit(a, v.first_sent);
  visit(a, v.retransmit_at);
  visit(a, v.sent);
}
template <typename A>
void visit(A& a, wi::Payloads& v) {
  auto first = wi::first_type(v);
  Bytes bytes = A::kReading ? Bytes{} : wi::serialize_payloads(v);
  visit(a, first);
  visit(a, bytes);
  if constexpr (A::kReading) {
    auto parsed = wi::parse_payloads(first, bytes);
    if (parsed) {
      v = std::move(*parsed);
    } else {
      a.refuse();
    }
  }
}
template <typename A>
void visit(A& a, ChildWant& v) {
  visit(a, v.connection);
  visit(a, v.child);
  visit(a, v.resource);
  visit(a, v.tries);
  visit(a, v.keep_trying);
  visit(a, v.given_up);
}
template <typename A>
void visit(A& a, Task& v) {
  visit(a, v.about);
  visit(a, v.want);
  visit(a, v.child);
  visit(a, v.orphan_spi);
  visit(a, v.orphan_is_ah);
  visit(a, v.reason);
  visit(a, v.tries);
  visit(a, v.not_before);
  visit(a, v.nonce);
  visit(a, v.group);
  visit_list(a, v.groups_tried);
  visit(a, v.own);
  visit(a, v.new_spi);
  visit(a, v.new_ike_spi);
  visit_list(a, v.offered);
  visit_list(a, v.tsi);
  visit_list(a, v.tsr);
  visit(a, v.peer_nonce);
  visit(a, v.answer);
  visit(a, v.collision);
  visit_list(a, v.gone);
}
template <typename A>
void visit(A& a, ChildSa& v) {
  visit(a, v.id);
  visit(a, v.connection);
  visit(a, v.name);
  visit(a, v.state);
  visit(a, v.spi_in);
  visit(a, v.spi_out);
  visit(a, v.algorithms);
  visit(a, v.mode);
  visit_list(a, v.local);
  visit_list(a, v.remote);
  visit(a, v.peer_cpi);
  visit(a, v.udp_encapsulation);
  visit(a, v.we_created);
  visit(a, v.announced_down);
  visit(a, v.outbound_installed);
  for (auto* when : {&v.established, &v.rekey_at, &v.expires_at, &v.activate_at, &v.remove_at}) visit(a, *when);
  visit(a, v.replaced_by);
  visit(a, v.rekeys);
  visit(a, v.last_inbound);
  visit(a, v.replaced_unheard);
  visit(a, v.resource);
  visit(a, v.may_have_clones);
  visit(a, v.clones);
  if constexpr (A::kReading) {
    if (v.clones > model::kMostClones) a.refuse();
  }
  visit(a, v.clones_at);
}
template <typename A>
void visit(A& a, std::unique_ptr<ChildSa>& v) {
  if constexpr (A::kReading) v = std::make_unique<ChildSa>();
  visit(a, *v);
}
template <typename A>
void visit(A& a, Assigned& v) {
  visit(a, v.by_us);
  visit(a, v.holder);
  visit_list(a, v.addresses);
  visit_list(a, v.dns);
  visit_list(a, v.domains);
}
template <typename A>
void visit(A& a, IkeSa& v) {
  std::uint8_t version = kVersion;
  visit(a, version);
  if constexpr (A::kReading) {
    if (version != kVersion) return a.refuse();
  }
  visit(a, v.state);
  visit(a, v.initiator);
  visit(a, v.spi_i);
  visit(a, v.spi_r);
  visit(a, v.path);
  for (auto* flag : {&v.nat_local, &v.nat_remote, &v.udp_encapsulation, &v.peer_speaks_nat_t, &v.counted, &v.doomed,
                     &v.fragmentation, &v.began_here, &v.made_beside, &v.settled, &v.small_path})
    visit(a, *flag);
  visit(a, v.mobility);
  visit(a, v.connection);
  visit(a, v.local_id);
  visit(a, v.remote_id);
  visit(a, v.algorithms);
  visit(a, v.keys);
  visit(a, v.iv_counter);
  visit(a, v.next_request);
  visit(a, v.expected);
  visit_list(a, v.last_response);
  visit(a, v.outstanding);
  visit(a, v.task);
  visit_list(a, v.queue);
  visit_list(a, v.children);
  for (auto* when : {&v.created, &v.established, &v.rekey_at, &v.expires_at, &v.give_up_at, &v.last_inbound,
                     &v.authenticated_until, &v.reauth_at, &v.unheard_since, &v.failback_at})
    visit(a, *when);
  visit(a, v.stands_in_for);
  visit(a, v.peer_token);
  visit(a, v.rival_of);
  visit(a, v.replaced_by);
  visit(a, v.rekeys);
  visit(a, v.end_reason);
  visit(a, v.assigned);
}

template <typename A, typename T>
void visit(A& a, std::optional<T>& v) {
  bool there = v.has_value();
  visit(a, there);
  if constexpr (A::kReading) {
    if (there) v.emplace();
  }
  if (there && a.ok()) visit(a, *v);
}
template <typename A, typename T>
void visit(A& a, RoomyOptional<T>& v) {
  bool there = v.has_value();
  visit(a, there);
  if constexpr (A::kReading) {
    if (there) v.emplace();
  }
  if (there && a.ok()) visit(a, *v);
}
template <typename A, typename List>
void visit_list(A& a, List& list) {
  std::uint64_t n = list.size();
  a.number(n, 4);
  if constexpr (A::kReading) {
    if (n > kMostItems) return a.refuse();
    for (std::uint64_t i = 0; i < n && a.ok(); ++i) {
      list.emplace_back();
      visit(a, list.back());
    }
  } else {
    for (auto& item : list) visit(a, item);
  }
}

}  // namespace

std::string checkpoint_key(const IkeSa& sa) {
  Bytes spi(8);
  store_be64(spi.data(), sa.local_spi().value);
  return "ike/" + to_hex(spi);
}

Bytes serialize_state(const IkeSa& sa) {
  Writer writer;
  // The writer only reads; one visit function serves both directions.
  visit(writer, const_cast<IkeSa&>(sa));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  return writer.take();
}

Result<std::unique_ptr<IkeSa>> parse_state(ByteView bytes) {
  auto sa = std::make_unique<IkeSa>();
  Reader reader(bytes);
  visit(reader, *sa);
  if (!reader.ok() || !reader.at_end()) return fail("the saved state of an IKE SA is damaged or of another version");
  const bool known_state =
      sa->state == State::kEstablished || sa->state == State::kRekeyed || sa->state == State::kDeleting;
  if (!known_state || sa->local_spi().is_zero())
    return fail("the saved state of an IKE SA is not that of an established one");
  if (auto keyed = set_keys(*sa, std::move(sa->keys)); !keyed)
    return fail("the saved keys of an IKE SA are not sound: " + keyed.error().message);
  return sa;
}

}  // namespace cygnet::ike::v2
