// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/gate.h"

#include <algorithm>

#include "ike/puzzle.h"
#include "ike/v2/cookie.h"
#include "ike/v2/puzzles.h"
#include "wire/ike/message.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

constexpr unsigned kHarderByMost = 6;    // zero bits more at the limit than at the threshold
constexpr std::size_t kNotifyFront = 4;  // Protocol ID, SPI Size, Notify Message Type

// The payloads that matter at the gate, where they lie in the datagram.
struct Glance {
  ByteView nonce, cookie, solution, sa;
};

void note(Glance& glance, wi::PayloadType type, ByteView body) {
  const auto first = [&](ByteView& place, ByteView what) {
    if (place.empty()) place = what;
  };
  switch (type) {
    case wi::PayloadType::kNonce: first(glance.nonce, body); break;
    case wi::PayloadType::kSa: first(glance.sa, body); break;
    case wi::PayloadType::kPuzzleSolution: first(glance.solution, body); break;
    case wi::PayloadType::kNotify:
      if (body.size() > kNotifyFront && body[1] == 0 &&
          load_be16(body.data() + 2) == static_cast<std::uint16_t>(wi::NotifyType::kCookie))
        first(glance.cookie, body.subspan(kNotifyFront));
      break;
    default: break;
  }
}

// Nothing: it is no sound chain of payloads.
std::optional<Glance> glance_at(const wi::Header& header, ByteView datagram) {
  if (header.length != datagram.size()) return std::nullopt;
  Glance glance;
  auto type = header.next_payload;
  std::size_t at = wi::kHeaderOctets;
  for (std::size_t i = 0; type != wi::PayloadType::kNone; ++i) {
    if (i == wi::kMaxPayloads || datagram.size() - at < wi::kPayloadHeaderOctets) return std::nullopt;
    const std::size_t length = load_be16(datagram.data() + at + 2);
    if (length < wi::kPayloadHeaderOctets || length > datagram.size() - at) return std::nullopt;
    note(glance, type, datagram.subspan(at + wi::kPayloadHeaderOctets, length - wi::kPayloadHeaderOctets));
    // As the parser has it: an Encrypted payload is the last one (RFC 7296 section 3.14).
    const bool encrypted = type == wi::PayloadType::kEncrypted || type == wi::PayloadType::kEncryptedFragment;
    type = encrypted ? wi::PayloadType::kNone : static_cast<wi::PayloadType>(datagram[at]);
    at += length;
  }
  return glance;
}

// The same datagram again, whose IKE SA there is already: it costs nothing new.
bool is_known(const World& world, const Path& path, const wi::Header& header, ByteView datagram) {
  const auto known = world.answered.find({header.spi_i, path.remote});
  if (known == world.answered.end()) return false;
  const auto* sa = world.find_sa(known->second);
  return sa != nullptr && sa->handshake && std::ranges::equal(sa->handshake->request, datagram);
}

void tell_of_cookies(World& world, bool wanted) {
  if (wanted == world.cookies_on) return;
  world.cookies_on = wanted;
  world.report(wanted ? Severity::kWarning : Severity::kNotice, "", "", wanted ? "cookies-on" : "cookies-off",
               wanted
                   ? std::to_string(world.half_open.total()) + " half-open IKE SAs: asking newcomers for a cookie first"
                   : "half-open IKE SAs are few again: no more cookies");
}

void tell_of_puzzles(World& world, bool wanted) {
  if (wanted == world.puzzles_on) return;
  world.puzzles_on = wanted;
  world.report(
      wanted ? Severity::kWarning : Severity::kNotice, "", "", wanted ? "puzzles-on" : "puzzles-off",
      wanted ? std::to_string(world.half_open.total()) + " half-open IKE SAs: asking newcomers to solve a puzzle first"
             : "half-open IKE SAs are fewer again: no more puzzles");
}

bool cookies_wanted(World& world, const HalfOpen::Crowd& crowd) {
  const auto& setup = world.settings.setup;
  const bool many = world.half_open.total() >= setup.cookie_threshold;
  tell_of_cookies(world, many);
  // Half a limit is left to those who prove their address: forged senders cannot shut their neighbours out.
  return many || crowd.address >= setup.half_open_per_address / 2 || crowd.network >= setup.half_open_per_network / 2;
}

// RFC 8019 section 7.1.1.1: the more half-open IKE SAs, the harder.
std::uint8_t difficulty(World& world) {
  const auto& setup = world.settings.setup;
  const auto total = world.half_open.total();
  const bool wanted = setup.puzzle_threshold != 0 && total >= setup.puzzle_threshold;
  tell_of_puzzles(world, wanted);
  if (!wanted) return 0;
  const auto room = setup.half_open_limit > setup.puzzle_threshold ? setup.half_open_limit - setup.puzzle_threshold : 1;
  const auto over = std::min<std::size_t>(total - setup.puzzle_threshold, room);
  return static_cast<std::uint8_t>(
      std::min<std::size_t>(setup.puzzle_difficulty + kHarderByMost * over / room, kHardestDemand));
}

// RFC 8019 section 7.1.1.2: one of those that the initiator offers. kNone: none that we have.
model::PrfId prf_for_puzzle(ByteView sa) {
  const auto offer = wi::parse_sa(sa);
  if (!offer) return model::PrfId::kNone;
  for (const auto& proposal : offer->proposals) {
    for (const auto& t : proposal.proposal.transforms) {
      const auto prf = static_cast<model::PrfId>(t.id);
      if (t.type == model::TransformType::kPrf && model::key_octets(prf) != 0) return prf;
    }
  }
  return model::PrfId::kNone;
}

void put_notify(ByteWriter& out, wi::PayloadType next, wi::NotifyType type, ByteView data) {
  const auto octets = wi::kPayloadHeaderOctets + kNotifyFront + data.size();
  wi::serialize_payload_header({next, false, static_cast<std::uint16_t>(octets)}, out);
  out.u8(0).u8(0).u16(static_cast<std::uint16_t>(type)).bytes(data);
}

void demand(World& world, const Path& path, const wi::Header& request, const Glance& glance,
            const wi::PuzzleDemand& puzzle) {
  const auto cookie = make_cookie(world, glance.nonce, path.remote, request.spi_i, puzzle);
  const bool with_puzzle = puzzle.difficulty != 0;
  wi::Header header;
  header.spi_i = request.spi_i;
  header.next_payload = wi::PayloadType::kNotify;
  header.exchange = wi::ExchangeType::kIkeSaInit;
  header.response = true;
  header.message_id = request.message_id;
  ByteWriter out;
  wi::serialize_header(header, out);
  put_notify(out, with_puzzle ? wi::PayloadType::kNotify : wi::PayloadType::kNone, wi::NotifyType::kCookie, cookie);
  if (with_puzzle) put_notify(out, wi::PayloadType::kNone, wi::NotifyType::kPuzzle, serialize_puzzle_demand(puzzle));
  out.patch_u32(wi::kHeaderOctets - 4, static_cast<std::uint32_t>(out.size()));
  ++world.counters.cookies_sent;
  world.counters.puzzles_sent += with_puzzle ? 1 : 0;
  world.send_at_once(path, std::move(out).take());
}

// Its address is proven. Has it done the work that it was asked for, or may it be spared?
bool has_worked(World& world, const Path& path, const wi::Header& header, const Glance& glance,
                const wi::PuzzleDemand& asked) {
  if (asked.difficulty != 0 && !world.spent_puzzles.contains(glance.cookie) &&
      puzzle_is_solved(asked.prf, asked.difficulty, glance.cookie, glance.solution)) {
    ++world.counters.puzzles_solved;
    return true;
  }
  const auto wanted = difficulty(world);
  if (wanted == 0) return true;
  const auto prf = asked.difficulty == 0 ? prf_for_puzzle(glance.sa) : asked.prf;
  if (asked.difficulty == 0 && prf != model::PrfId::kNone) {
    demand(world, path, header, glance, {prf, wanted});
    return false;
  }
  // RFC 8019 section 7.1: some requests are served without a puzzle, so that clients that know none have a chance.
  if (glance.solution.empty() && world.unsolved_admitted.allow(world.now)) return true;
  ++world.counters.puzzles_refused;
  return false;
}

}  // namespace

bool admit(World& world, const Path& path, const wi::Header& header, ByteView datagram) {
  const auto& setup = world.settings.setup;
  const auto crowd = world.half_open.around(path.remote.address);
  if (!cookies_wanted(world, crowd) || is_known(world, path, header, datagram)) return true;
  if (world.half_open.total() >= setup.half_open_limit) {
    ++world.counters.half_open_refused;
    return false;
  }
  const auto glance = glance_at(header, datagram);
  // With so many about, nobody is told what is wrong with a message; and what cannot be judged here is not let in.
  if (!glance || glance->nonce.size() < wi::kMinNonceOctets || glance->nonce.size() > wi::kMaxNonceOctets) {
    ++world.counters.malformed;
    return false;
  }
  const auto asked = read_cookie(world, glance->cookie, glance->nonce, path.remote, header.spi_i);
  if (!asked) {
    world.counters.cookies_refused += glance->cookie.empty() ? 0 : 1;
    const auto level = difficulty(world);
    const auto prf = level == 0 ? model::PrfId::kNone : prf_for_puzzle(glance->sa);
    demand(world, path, header, *glance,
           prf == model::PrfId::kNone ? wi::PuzzleDemand{} : wi::PuzzleDemand{prf, level});
    return false;
  }
  // A cookie, and the work for a puzzle, pay for one half-open IKE SA, which another request of the same SPI would not
  // be.
  if (world.answered.contains({header.spi_i, path.remote})) {
    ++world.counters.crowd_refused;
    return false;
  }
  if (crowd.address >= setup.half_open_per_address || crowd.network >= setup.half_open_per_network) {
    ++world.counters.crowd_refused;
    return false;
  }
  return has_worked(world, path, header, *glance, *asked);
}

void enter_half_open(World& world, const IkeSa& sa) {
  world.half_open.enter(sa.handshake->peer.address);
  world.counters.half_open = world.half_open.total();
  world.answered[{sa.spi_i, sa.handshake->peer}] = sa.spi_r;
}

void leave_half_open(World& world, const IkeSa& sa) {
  if (!sa.handshake) return;
  judge_newcomer(world, sa, false);
  world.half_open.leave(sa.handshake->peer.address);
  world.counters.half_open = world.half_open.total();
  // Another request with the same SPI may have taken the place.
  const auto known = world.answered.find({sa.spi_i, sa.handshake->peer});
  if (known != world.answered.end() && known->second == sa.spi_r) world.answered.erase(known);
}

}  // namespace cygnet::ike::v2
