// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/request.h"

#include <algorithm>
#include <array>

#include "ike/diagnosis.h"
#include "ike/v2/fragments.h"
#include "ike/v2/mobike.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

constexpr unsigned kJitterPercent = 10;
constexpr unsigned kTriesBeforeSmaller = 3;
constexpr std::size_t kLeastFragment = 128;  // octets of an IKE message
constexpr Duration kNextGateway = std::chrono::seconds(8);
constexpr Duration kDisowned = std::chrono::seconds(8);
constexpr Duration kLongestInterval = std::chrono::seconds(15);

// AEAD: a counter, unique under its key; CBC: unpredictable octets (RFC 7296 section 3.14).
Bytes next_iv(World& world, IkeSa& sa) {
  const auto octets = sa.seal->iv_octets();
  if (octets != 8) return world.random.bytes(octets);
  Bytes iv(8);
  store_be64(iv.data(), ++sa.iv_counter);
  return iv;
}

wi::Header header_of(const IkeSa& sa, wi::ExchangeType exchange, MessageId id, bool response) {
  wi::Header header;
  header.spi_i = sa.spi_i;
  header.spi_r = sa.spi_r;
  header.exchange = exchange;
  header.initiator = sa.initiator;
  header.response = response;
  header.message_id = id;
  return header;
}

// RFC 8019 section 7.2.2: "The Puzzle Solution (PS) payload MUST be placed outside the Encrypted payload", of the first
// IKE_AUTH request.
wi::Payloads outside_of(const IkeSa& sa, wi::ExchangeType exchange, bool response) {
  if (response || exchange != wi::ExchangeType::kIkeAuth || !sa.handshake || sa.handshake->auth_solution.empty())
    return {};
  return {wi::PuzzleSolutionPayload{sa.handshake->auth_solution}};
}

// The message as fragments of at most `limit` octets.
Result<std::vector<Bytes>> cut(World& world, IkeSa& sa, const wi::Header& header, wi::PayloadType first_inner,
                               ByteView plaintext, std::size_t limit) {
  return wi::seal_fragments(
      header, first_inner, plaintext, *sa.seal, limit, [&] { return next_iv(world, sa); },
      outside_of(sa, header.exchange, header.response));
}

// A message on its way: one datagram, or several (RFC 7383 section 2.5). Empty: it could not be protected.
struct Protected {
  std::vector<Bytes> datagrams;
  wi::PayloadType first_inner{};
  SecretBytes plaintext;  // of a message that could still be cut smaller
};

// As one datagram, how large would it be?
std::size_t octets_whole(const IkeSa& sa, std::size_t plaintext) {
  return wi::kHeaderOctets + wi::kPayloadHeaderOctets + sa.seal->sealed_octets(plaintext);
}

Protected protect(World& world, IkeSa& sa, wi::ExchangeType exchange, MessageId id, bool response,
                  const wi::Payloads& payloads) {
  const auto header = header_of(sa, exchange, id, response);
  const auto outside = outside_of(sa, exchange, response);
  Protected out;
  if (sa.fragmentation) {
    const Bytes plaintext = wi::serialize_payloads(payloads);
    const auto limit = fragment_limit(sa, false);
    const auto whole = octets_whole(sa, plaintext.size()) + wi::serialize_payloads(outside).size();
    if (whole > fragment_limit(sa, true)) {
      out.first_inner = wi::first_type(payloads);
      out.plaintext.assign(plaintext.begin(), plaintext.end());
    }
    if (whole > limit) {
      if (auto pieces = cut(world, sa, header, wi::first_type(payloads), ByteView(plaintext), limit)) {
        out.datagrams = std::move(*pieces);
        return out;
      }
    }
  }
  auto sealed = wi::seal_message(header, payloads, *sa.seal, ByteView(next_iv(world, sa)), outside);
  if (sealed) {
    out.datagrams.push_back(std::move(*sealed));
  } else {
    world.report(sa, Severity::kError, "seal-failed",
                 "cannot protect " + wi::to_string(exchange) + ": " + sealed.error().message);
  }
  return out;
}

// What was sent in `datagrams` may have been too large for its path: smaller pieces, with the same Message ID. RFC 7383
// section 2.5.2: the Total Fragments field tells the peer which set is which, and it must have grown. False: it cannot.
bool cut_smaller(World& world, IkeSa& sa, const wi::Header& header, wi::PayloadType first_inner, ByteView plaintext,
                 std::size_t limit, std::vector<Bytes>& datagrams) {
  const auto pieces_at = [&](std::size_t octets) {
    const auto capacity = std::max<std::size_t>(wi::fragment_capacity(octets, *sa.seal), 1);
    return (plaintext.size() + capacity - 1) / capacity;
  };
  while (limit > kLeastFragment && pieces_at(limit) <= datagrams.size()) limit -= 16;
  auto pieces = cut(world, sa, header, first_inner, plaintext, limit);
  if (!pieces || pieces->size() <= datagrams.size()) return false;
  datagrams = std::move(*pieces);
  if (limit <= fragment_limit(sa, true)) {
    sa.small_path = true;
    world.small_paths.note(sa.path.remote.address, world.now);
  }
  return true;
}

void cut_request_smaller(World& world, IkeSa& sa) {
  auto& out = *sa.outstanding;
  if (out.plaintext.empty()) return;
  const bool cut = cut_smaller(world, sa, header_of(sa, out.exchange, out.id, false), out.first_inner,
                               ByteView(out.plaintext), fragment_limit(sa, true), out.datagrams);
  out.plaintext.clear();
  if (!cut) return;
  world.report(sa, Severity::kNotice, "smaller-fragments",
               "no answer to a large " + wi::to_string(out.exchange) + " request: sending it again in " +
                   std::to_string(out.datagrams.size()) + " smaller fragments (fragment-size= sets their size)");
  world.checkpoint(sa);
}

struct Plaintext {
  wi::Header header;
  wi::PayloadType first_inner{};
  SecretBytes octets;
};

// Of a message of ours that has been sent: nothing else of it is kept. Empty: it was not protected.
std::optional<Plaintext> read_own(const IkeSa& sa, const std::vector<Bytes>& datagrams) {
  Plaintext out;
  for (const auto& datagram : datagrams) {
    const auto message = wi::parse_message(ByteView(datagram));
    if (!message) return std::nullopt;
    out.header = message->header;
    const auto* piece = wi::find_payload<wi::EncryptedFragmentPayload>(message->payloads);
    const auto* whole = wi::find_payload<wi::EncryptedPayload>(message->payloads);
    if (piece != nullptr) {
      const auto opened = wi::open_fragment(ByteView(datagram), *piece, *sa.seal);
      if (!opened) return std::nullopt;
      if (piece->fragment_number == 1) out.first_inner = piece->first_inner;
      out.octets.insert(out.octets.end(), opened->begin(), opened->end());
    } else if (whole != nullptr) {
      const auto opened = wi::open_message(ByteView(datagram), *message, *sa.seal);
      if (!opened) return std::nullopt;
      const auto octets = wi::serialize_payloads(*opened);
      out.first_inner = whole->first_inner;
      out.octets.assign(octets.begin(), octets.end());
    }
  }
  if (out.octets.empty()) return std::nullopt;
  return out;
}

// An answer that was asked for again and again, or by a peer whose own pieces are smaller, may be too large for its
// path. Only the one who asks can tell: RFC 7383 section 2.5.2.
void cut_response_smaller(World& world, IkeSa& sa) {
  const auto largest = std::max_element(sa.last_response.begin(), sa.last_response.end(),
                                        [](const Bytes& a, const Bytes& b) { return a.size() < b.size(); });
  const auto limit = fragment_limit(sa, sa.response_repeats >= kTriesBeforeSmaller);
  if (!sa.fragmentation || !sa.seal || largest == sa.last_response.end() || largest->size() <= limit) return;
  const auto own = read_own(sa, sa.last_response);
  if (!own || !cut_smaller(world, sa, own->header, own->first_inner, ByteView(own->octets), limit, sa.last_response))
    return;
  world.report(sa, Severity::kNotice, "smaller-fragments",
               sa.peer() + " asks again for a large " + wi::to_string(own->header.exchange) +
                   " response: sending it in " + std::to_string(sa.last_response.size()) +
                   " smaller fragments (fragment-size= sets their size)");
  world.checkpoint(sa);
}

Duration first_interval(const IkeSa& sa) {
  return std::chrono::milliseconds(sa.connection ? std::max<std::uint32_t>(sa.connection->retransmit_first_ms, 50)
                                                 : 500);
}

// How long silence is endured.
Duration patience(const IkeSa& sa) {
  if (!sa.connection) return std::chrono::seconds(60);
  if (sa.state == State::kDeleting || sa.doomed) return std::chrono::seconds(15);
  const auto& c = *sa.connection;
  // Another address of the peer may answer sooner than this one would.
  if (sa.initiator && sa.established == Instant{} && !c.remote.alternatives.empty())
    return std::min<Duration>(kNextGateway, std::chrono::milliseconds(c.retransmit_timeout_ms));
  if (sa.disowned) return std::min<Duration>(kDisowned, std::chrono::milliseconds(c.retransmit_timeout_ms));
  if (c.dpd_timeout_s != 0 && sa.state == State::kEstablished) return std::chrono::seconds(c.dpd_timeout_s);
  return std::chrono::milliseconds(c.retransmit_timeout_ms);
}

Duration interval_after(const IkeSa& sa, unsigned sent) {
  auto interval = first_interval(sa);
  for (unsigned i = 1; i < sent && interval < kLongestInterval; ++i) interval *= 2;
  return std::min(interval, std::max(kLongestInterval, first_interval(sa)));
}

void start_waiting(World& world, IkeSa& sa, wi::ExchangeType exchange, MessageId id, Protected message) {
  Outstanding out;
  out.id = id;
  out.exchange = exchange;
  out.datagrams = std::move(message.datagrams);
  out.first_inner = message.first_inner;
  out.plaintext = std::move(message.plaintext);
  out.first_sent = world.now;
  out.retransmit_at = world.now + jitter(world.random, first_interval(sa), kJitterPercent);
  sa.outstanding = std::move(out);
  sa.silent_reported = false;
  world.touch(sa);
  world.checkpoint(sa);
  send_all(world, sa.path, sa.outstanding->datagrams);
}

}  // namespace

void send_all(World& world, const Path& path, const std::vector<Bytes>& datagrams) {
  if (datagrams.size() > 1) world.counters.fragments_out += datagrams.size();
  for (const auto& bytes : datagrams) world.send_raw(path, bytes);
}

wi::NotifyPayload notify(wi::NotifyType type, Bytes data) {
  wi::NotifyPayload out;
  out.type = type;
  out.data = std::move(data);
  return out;
}

wi::NotifyPayload notify_child(wi::NotifyType type, Spi spi, model::Protocol protocol) {
  wi::NotifyPayload out;
  out.type = type;
  out.protocol = protocol;
  out.spi.resize(4);
  store_be32(out.spi.data(), spi.value);
  return out;
}

void send_request(World& world, IkeSa& sa, wi::ExchangeType exchange, const wi::Payloads& payloads) {
  const MessageId id = sa.next_request;
  auto message = protect(world, sa, exchange, id, false, payloads);
  if (message.datagrams.empty()) return;
  sa.next_request = MessageId(id.value + 1);
  start_waiting(world, sa, exchange, id, std::move(message));
}

void send_first_request(World& world, IkeSa& sa, Bytes bytes) {
  sa.next_request = MessageId(1);
  start_waiting(world, sa, wi::ExchangeType::kIkeSaInit, MessageId(0), Protected{{std::move(bytes)}, {}, {}});
}

void send_response(World& world, IkeSa& sa, wi::ExchangeType exchange, MessageId id, const wi::Payloads& payloads) {
  prepare_response(world, sa, exchange, id, payloads);
  world.checkpoint(sa);
  send_prepared(world, sa);
}

void prepare_response(World& world, IkeSa& sa, wi::ExchangeType exchange, MessageId id, const wi::Payloads& payloads) {
  sa.last_response = protect(world, sa, exchange, id, true, payloads).datagrams;
  sa.expected = MessageId(id.value + 1);
  sa.response_repeats = 0;
  world.touch(sa);
}

void send_prepared(World& world, IkeSa& sa) {
  if (sa.last_response.empty()) return;
  // RFC 7296 section 2.11: "an implementation ... MUST respond to the address and port from which the request was
  // received".
  send_all(world, sa.request_path.value_or(sa.path), sa.last_response);
}

void send_response_again(World& world, IkeSa& sa, const Path& path) {
  ++world.counters.retransmits_answered;
  if (sa.response_repeats < kTriesBeforeSmaller) ++sa.response_repeats;
  cut_response_smaller(world, sa);
  send_all(world, path, sa.last_response);
}

void send_parting(World& world, IkeSa& sa, const wi::Payloads& payloads) {
  if (!sa.seal) return;
  const auto message = protect(world, sa, wi::ExchangeType::kInformational, sa.next_request, false, payloads);
  sa.next_request = MessageId(sa.next_request.value + 1);
  if (message.datagrams.empty()) return;
  world.checkpoint(sa);
  send_all(world, sa.path, message.datagrams);
}

void request_answered(World& world, IkeSa& sa) {
  sa.outstanding.reset();
  sa.silent_reported = sa.disowned = false;
  // Another attempt to replace it was planned only because it got no answer.
  if (sa.unheard_since != kNever && sa.authenticated_until == kNever) sa.reauth_at = kNever;
  sa.unheard_since = kNever;
  world.touch(sa);
}

bool retransmit(World& world, IkeSa& sa) {
  auto& out = *sa.outstanding;
  const auto waited = world.now - out.first_sent;
  if (waited >= patience(sa)) return false;
  world.touch(sa);
  ++out.sent;
  ++world.counters.retransmits_sent;
  // RFC 7296 section 2.1: "retransmission times MUST increase exponentially".
  const auto next = world.now + jitter(world.random, interval_after(sa, out.sent), kJitterPercent);
  out.retransmit_at = std::min(next, out.first_sent + patience(sa));
  world.report(sa, Severity::kInfo, "retransmit",
               "sent " + wi::to_string(out.exchange) + " request " + std::to_string(out.id.value) + " to " + sa.peer() +
                   " again (try " + std::to_string(out.sent) + ")");
  if (out.sent >= 4 && !sa.silent_reported) {
    sa.silent_reported = true;
    world.report(sa, Severity::kWarning, "no-answer",
                 diagnosis::no_answer(sa.peer(), out.sent, waited, sa.path.marked));
  }
  if (out.sent == kTriesBeforeSmaller) cut_request_smaller(world, sa);
  send_all(world, retransmission_path(world, sa), out.datagrams);
  return true;
}

}  // namespace cygnet::ike::v2
