// SPDX-License-Identifier: Apache-2.0
#include "sim/attacker.h"

#include <array>

#include "support/connections.h"
#include "wire/ike/message.h"

namespace cygnet::sim {
namespace {

namespace wi = wire::ike;
using namespace std::chrono_literals;
constexpr std::size_t kMemory = 64;

Duration milliseconds_of(std::uint64_t ms) { return std::chrono::milliseconds(static_cast<std::int64_t>(ms)); }

constexpr std::array kErrors = {wi::NotifyType::kInvalidIkeSpi,        wi::NotifyType::kInvalidSpi,
                                wi::NotifyType::kNoProposalChosen,     wi::NotifyType::kAuthenticationFailed,
                                wi::NotifyType::kInvalidSyntax,        wi::NotifyType::kInvalidKePayload,
                                wi::NotifyType::kInvalidMajorVersion,  wi::NotifyType::kTemporaryFailure,
                                wi::NotifyType::kNatDetectionSourceIp, wi::NotifyType::kCookie};

}  // namespace

void Attacker::see(std::size_t to, const ike::Path& path, const Bytes& bytes) {
  seen_.push_back({to, path, bytes});
  if (seen_.size() > kMemory) seen_.pop_front();
}

std::optional<Forgery> Attacker::strike(Duration slowest) {
  if (seen_.empty()) return std::nullopt;
  const auto& victim = seen_[static_cast<std::size_t>(random_.below(seen_.size()))];
  Forgery out{milliseconds_of(random_.below(2000)) + slowest, victim.to, victim.path, victim.bytes};
  switch (random_.below(5)) {
    case 0: break;
    case 1:
      out.path.remote = {test::address("203.0.113.66"), static_cast<std::uint16_t>(out.path.marked ? 4500 : 500)};
      break;
    case 2: out.bytes = mangled(std::move(out.bytes)); break;
    case 3: out.bytes = random_.bytes(static_cast<std::size_t>(random_.below(200))); break;
    default:
      // At once: a false answer to IKE_SA_INIT may be there before the true one.
      out.after = milliseconds_of(random_.below(100));
      out.bytes = false_answer(victim.bytes);
      break;
  }
  return out;
}

Bytes Attacker::mangled(Bytes bytes) {
  if (bytes.empty()) return bytes;
  if (random_.below(3) == 0) {
    bytes.resize(static_cast<std::size_t>(random_.below(bytes.size())));
    return bytes;
  }
  for (auto flips = 1 + random_.below(4); flips > 0; --flips) {
    auto& octet = bytes[static_cast<std::size_t>(random_.below(bytes.size()))];
    octet = static_cast<std::uint8_t>(octet ^ (1U << random_.below(8)));
  }
  return bytes;
}

// What `seen` went to is told, in its peer's name and without protection, that something is wrong.
Bytes Attacker::false_answer(const Bytes& seen) {
  const auto message = wi::parse_message(seen);
  if (!message) return seen;
  wi::Header header = message->header;
  // Half of the time as an answer to what the victim itself may just have asked.
  if (random_.below(2) == 0) {
    header.response = true;
    header.message_id = MessageId(header.message_id.value + static_cast<std::uint32_t>(random_.below(2)));
  }
  wi::NotifyPayload notify;
  notify.type = kErrors[static_cast<std::size_t>(random_.below(kErrors.size()))];
  notify.data = random_.bytes(notify.type == wi::NotifyType::kInvalidKePayload ? 2 : 8);
  return wi::serialize_message({header, {notify}});
}

}  // namespace cygnet::sim
