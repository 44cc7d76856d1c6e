// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/crash_detection.h"

#include <algorithm>
#include <array>

#include "crypto/prf.h"
#include "ike/diagnosis.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/request.h"
#include "ike/v2/timers.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;
using wi::NotifyType;

constexpr std::size_t kShortestToken = 16;  // RFC 6290 section 4.1
constexpr std::size_t kLongestToken = 128;
// The same SPI again and again is told now and then.
constexpr Duration kSpiPause = std::chrono::seconds(10);
// Told about one packet: whoever forges it does not reach everybody behind the same NAT at once.
constexpr unsigned kMostTold = 4;
// A child may be in use at one end a moment before it is at the other.
constexpr Duration kSettled = std::chrono::seconds(5);

// RFC 6290 section 5.1: a hash of a secret and both SPIs: nothing needs to be remembered to make it again.
Bytes crash_token(const World& world, IkeSpi spi_i, IkeSpi spi_r) {
  const auto& secret = world.settings.crash_secret;
  if (secret.empty()) return {};
  ByteWriter spis;
  spis.u64(spi_i.value).u64(spi_r.value);
  const std::array<ByteView, 1> data{spis.view()};
  const auto token = crypto::prf(model::PrfId::kHmacSha2_256, ByteView(secret), data);
  return {token.begin(), token.end()};
}

bool is_protected(const wi::Message& message) {
  return wi::find_payload<wi::EncryptedPayload>(message.payloads) != nullptr ||
         wi::find_payload<wi::EncryptedFragmentPayload>(message.payloads) != nullptr;
}

Bytes spi_octets(Spi spi) {
  Bytes out(4);
  store_be32(out.data(), spi.value);
  return out;
}

std::optional<Spi> spi_in(const wi::NotifyPayload& n) {
  if (n.type != NotifyType::kInvalidSpi || n.data.size() != 4) return std::nullopt;
  return Spi(load_be32(n.data.data()));
}

// RFC 6290 section 4.5: the token maker answers with INVALID_IKE_SPI and the token it would have made for these SPIs.
void answer_lost(World& world, const Path& path, const wi::Header& header) {
  // Whoever mixes up the roles of a living IKE SA is after its token.
  if (world.find_sa(header.spi_i) != nullptr || world.find_sa(header.spi_r) != nullptr) return;
  if (!world.lost_replies.allow(world.now)) return;
  wi::Message message;
  message.header = header;
  message.header.major_version = 2;
  message.header.minor_version = 0;
  message.header.initiator = !header.initiator;
  message.header.higher_version = false;
  message.header.response = true;
  message.payloads.emplace_back(notify(NotifyType::kInvalidIkeSpi));
  if (auto token = crash_token(world, header.spi_i, header.spi_r); !token.empty())
    message.payloads.emplace_back(notify(NotifyType::kQuickCrashDetection, std::move(token)));
  world.send_raw(path, wi::serialize_message(message));
}

bool proves_loss(const IkeSa& sa, const wi::Payloads& payloads) {
  if (sa.peer_token.empty()) return false;
  return std::any_of(payloads.begin(), payloads.end(), [&](const wi::Payload& p) {
    const auto* n = std::get_if<wi::NotifyPayload>(&p);
    return n != nullptr && n->type == NotifyType::kQuickCrashDetection &&
           constant_time_equal(ByteView(n->data), ByteView(sa.peer_token));
  });
}

// RFC 7296 section 1.5, on the unprotected INVALID_SPI: "the receiving node MUST NOT respond to it".
void on_spi_hint(World& world, const Path& path, Spi spi) {
  if (!world.hints.allow(world.now)) return;
  for (auto* sa : world.sas_at(path.remote.address)) {
    if (sa->path.remote.address != path.remote.address || sa->state != State::kEstablished) continue;
    const auto* child = sa->find_child_out(spi);
    if (child == nullptr || !child->usable()) continue;
    world.report(*sa, Severity::kInfo, "hint",
                 sa->peer() + " says, unprotected, that it does not know an SA of child " + child->name +
                     ": asking for a sign of life");
    check_liveness(world, *sa);
  }
}

// Nobody protected to tell it to: whoever sent the packet gets the hint in the clear (RFC 7296 section 1.5).
void hint_at_spi(World& world, Spi spi, const Endpoint& local, const Endpoint& remote, bool udp) {
  if (!world.lost_replies.allow(world.now)) return;
  Path path{local, remote, udp};
  if (!udp) {
    path.local.port = world.settings.setup.ike_port;
    path.remote.port = 500;
  }
  wi::Message message;
  // "using zero values or random values are both acceptable"; the Initiator flag is set, the Response flag is not.
  message.header.spi_i = IkeSpi(world.random.u64() | 1U);
  message.header.exchange = wi::ExchangeType::kInformational;
  message.header.initiator = true;
  message.payloads.emplace_back(notify(NotifyType::kInvalidSpi, spi_octets(spi)));
  world.send_raw(path, wi::serialize_message(message));
}

}  // namespace

void add_crash_token(const World& world, const IkeSa& sa, wi::Payloads& payloads) {
  if (auto token = crash_token(world, sa.spi_i, sa.spi_r); !token.empty())
    payloads.emplace_back(notify(NotifyType::kQuickCrashDetection, std::move(token)));
}

void read_crash_token(IkeSa& sa, const wi::Payloads& payloads) {
  const auto* n = wi::find_notify(payloads, NotifyType::kQuickCrashDetection);
  if (n != nullptr && n->data.size() >= kShortestToken && n->data.size() <= kLongestToken) sa.peer_token = n->data;
}

void queue_crash_token(const World& world, const IkeSa& old, IkeSa& fresh) {
  if (world.settings.crash_secret.empty() || old.peer_token.empty()) return;
  Task task;
  task.about = About::kToken;
  fresh.queue.push_back(std::move(task));
}

void on_unknown_ike_sa(World& world, const Path& path, const wi::Message& message) {
  ++world.counters.unknown_spi;
  const auto& header = message.header;
  if (header.response) return;
  if (is_protected(message)) return answer_lost(world, path, header);
  if (header.exchange != wi::ExchangeType::kInformational) return;
  const auto* n = wi::find_notify(message.payloads, NotifyType::kInvalidSpi);
  if (const auto spi = n == nullptr ? std::nullopt : spi_in(*n)) on_spi_hint(world, path, *spi);
}

void on_unprotected(World& world, IkeSa& sa, const Path& path, const wi::Message& message) {
  const auto* error = wi::find_error_notify(message.payloads);
  if (error == nullptr) return;
  const bool unknown = error->type == NotifyType::kInvalidIkeSpi && message.header.response;
  const bool up = sa.state == State::kEstablished || sa.state == State::kRekeyed;
  if (unknown && up && proves_loss(sa, message.payloads)) {
    const std::string reason = sa.peer() + " has restarted and lost this IKE SA, and proves it with its token";
    world.report(sa, Severity::kNotice, "peer-restarted", reason + ": making it anew");
    return end_sa(world, sa, reason, sa.doomed ? Aftermath::kForget : Aftermath::kPeerRestarted,
                  sa.replaced_by.has_value());
  }
  if (!world.hints.allow(world.now)) return;
  if (sa.state == State::kDeleting && unknown)
    return end_sa(world, sa, sa.end_reason, Aftermath::kForget, sa.replaced_by.has_value());
  if (sa.state != State::kEstablished) return;
  if (unknown && sa.outstanding && sa.outstanding->id == message.header.message_id) {
    // It may be forged, but then the honest answer comes too: silence need not be endured as long as usual.
    sa.disowned = true;
    world.touch(sa);
  }
  if (world.stray_reports.allow(world.now)) {
    world.report(sa, Severity::kInfo, "hint",
                 path.remote.to_string() + " says, unprotected, that " + diagnosis::meaning(error->type) +
                     ": asking for a sign of life");
  }
  check_liveness(world, sa);
}

void on_unknown_spi(World& world, Spi spi, const Endpoint& local, const Endpoint& remote, bool udp) {
  if (world.esp_spis.contains(spi)) return;  // it is being made, or being closed
  bool known = false;
  unsigned told = 0;
  for (auto* sa : world.sas_at(remote.address)) {
    if (sa->path.remote.address != remote.address || sa->udp_encapsulation != udp) continue;
    if (udp && sa->path.marked && sa->path.remote.port != remote.port) continue;  // another one behind the same NAT
    known = true;
    if (sa->state != State::kEstablished || sa->doomed) continue;
    if (sa->spi_told != Instant{} && world.now - sa->spi_told < kSpiPause) continue;
    if (++told > kMostTold) break;
    sa->spi_told = world.now;
    world.report(*sa, Severity::kInfo, "invalid-spi-sent",
                 sa->peer() + " sends ESP on an SA that is gone here: telling it so");
    Task task;
    task.about = About::kLiveness;
    task.orphan_spi = spi;
    sa->queue.push_back(std::move(task));
    world.touch(*sa);
    start_next_task(world, *sa);
  }
  if (known) return;
  if (world.stray_reports.allow(world.now)) {
    world.report(Severity::kNotice, "", remote.to_string(), "unknown-spi",
                 "sends ESP to " + local.address.to_string() +
                     " on an SA that nobody here has (it still uses a tunnel that is gone here?): telling it so");
  }
  hint_at_spi(world, spi, local, remote, udp);
}

void on_spi_disowned(World& world, IkeSa& sa, const wi::NotifyPayload& n) {
  const auto spi = spi_in(n);
  auto* child = spi ? sa.find_child_out(*spi) : nullptr;
  if (child == nullptr || !child->usable() || child->established + kSettled > world.now) return;
  if (!child->connection->rekey_children) {
    world.report(sa, Severity::kNotice, "spi-disowned",
                 sa.peer() + " does not have an SA of child " + child->name +
                     " any more, and takes no rekeying of children (profile=): closing the child");
    return close_child(world, sa, *child, "the peer does not have it any more");
  }
  const auto asked = [&](const Task& t) { return t.about == About::kRekeyChild && t.child == child->id; };
  if ((sa.task && asked(*sa.task)) || std::any_of(sa.queue.begin(), sa.queue.end(), asked)) return;
  world.report(sa, Severity::kNotice, "spi-disowned",
               sa.peer() + " does not have an SA of child " + child->name + " any more: replacing the child");
  // If the peer has lost all of the child it says CHILD_SA_NOT_FOUND, and the child is made from scratch.
  Task task;
  task.about = About::kRekeyChild;
  task.child = child->id;
  sa.queue.push_back(std::move(task));
  world.touch(sa);
}

}  // namespace cygnet::ike::v2
