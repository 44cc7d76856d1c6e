// SPDX-License-Identifier: Apache-2.0
#include "sim/life.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "support/connections.h"
#include "wire/ike/describe.h"

namespace cygnet::sim {
namespace {

using namespace std::chrono_literals;

// At the end of healing; longer than an end waits for a peer that never deletes what it should.
constexpr Duration kLastStretch = 150s;
constexpr unsigned kMaxSpins = 2000;  // timers and deliveries at one instant
constexpr std::array<std::pair<std::string_view, Mutation>, 7> kMutations = {{
    {"forget-removals", Mutation::kForgetRemovals},
    {"forget-inbound", Mutation::kForgetInbound},
    {"ignore-activation", Mutation::kIgnoreActivation},
    {"stale-checkpoints", Mutation::kStaleCheckpoints},
    {"repeat-randomness", Mutation::kRepeatRandomness},
    {"send-in-clear", Mutation::kSendInClear},
    {"drop-deletes", Mutation::kDropDeletes},
}};

std::string seconds_text(Duration d) {
  std::array<char, 32> text{};
  (void)std::snprintf(text.data(), text.size(), "%.3f s", std::chrono::duration<double>(d).count());
  return text.data();
}

test::Sabotage sabotage_of(Mutation mutation) {
  test::Sabotage out;
  out.forget_removals = mutation == Mutation::kForgetRemovals;
  out.forget_inbound = mutation == Mutation::kForgetInbound;
  out.ignore_activation = mutation == Mutation::kIgnoreActivation;
  out.stale_checkpoints = mutation == Mutation::kStaleCheckpoints;
  out.repeat_randomness = mutation == Mutation::kRepeatRandomness;
  return out;
}

}  // namespace

std::optional<Mutation> parse_mutation(std::string_view name) {
  for (const auto& [word, mutation] : kMutations) {
    if (word == name) return mutation;
  }
  return std::nullopt;
}

std::vector<std::pair<std::string_view, Mutation>> all_mutations() { return {kMutations.begin(), kMutations.end()}; }

Life::Life(Plan plan, LifeOptions options)
    : plan_(std::move(plan)), options_(std::move(options)), network_(plan_.seed ^ 0x6e6574776f726b00ULL) {
  flows_.resize(plan_.a.children.size() * 2);
  if (plan_.nat) nat_ = test::Nat{plan_.a.local.host.address, test::address("203.0.113.9"), 20000, {}};
  add_side("A", plan_.a.local.host.address, plan_.a);
  add_side("B", plan_.b.local.host.address, plan_.b);
}

void Life::add_side(const char* name, const IpAddress& address, const model::Connection& connection) {
  const std::size_t index = sides_.size();
  test::SideOptions options;
  options.name = name;
  options.address = address;
  options.seed = plan_.seed * 2 + index + 0x5eed000000000000ULL;
  options.toy_key_exchange = !options_.real_key_exchange;
  options.keep_history = false;
  options.sabotage = sabotage_of(options_.mutation);
  sides_.push_back(std::make_unique<test::Side>(std::move(options)));
  auto& added = *sides_.back();
  added.on_send = [this, index](const ike::SendDatagram& datagram) { on_send(index, datagram); };
  if (options_.trace) {
    const std::string who = name;
    added.on_report = [this, who](const ike::Report& report) {
      trace([&] { return who + ": [" + report.event + "] " + report.message; });
    };
    added.on_event = [this, who](const std::string& what) { trace([&] { return who + ": " + what; }); };
  }
  added.configure(now_, {connection}, {test::secret("s3cret")});
}

LifeResult Life::run() {
  trace([&] { return plan_.describe(); });
  const Instant end = start_ + plan_.length + plan_.healing;
  while (!result_.fault && now_ < end) step();
  if (!result_.fault) check_healed();
  return result_;
}

void Life::step() {
  const Instant event_at = next_event_ < plan_.events.size() ? start_ + plan_.events[next_event_].at : kNever;
  const Instant delivery_at = air_.empty() ? kNever : air_.top().at;
  const Instant timer_at = std::min(side(0).next_deadline(), side(1).next_deadline());
  const Instant late_at = late_.empty() ? kNever : late_.front().at;
  const Instant next = std::max(now_, std::min({event_at, delivery_at, timer_at, next_tick_, late_at}));
  spins_ = next == now_ ? spins_ + 1 : 0;
  if (spins_ > kMaxSpins) return fail("the sides keep each other busy without time passing");
  now_ = next;
  if (!healing_ && now_ >= start_ + plan_.length) {
    healing_ = true;
    blackout_ = false;
    for (std::size_t i = 0; i < sides_.size(); ++i) {
      side(i).crash_after_actions = -1;
      if (!side(i).alive()) perform({{}, What::kRestart, i, 0, 0});
    }
  }
  if (event_at <= now_) {
    perform(plan_.events[next_event_++]);
  } else if (delivery_at <= now_) {
    deliver_next();
  } else if (timer_at <= now_) {
    fire_timers();
  } else if (late_at <= now_) {
    arrive_late();
  } else {
    tick();
  }
  check_always();
}

void Life::deliver_next() {
  const Delivery delivery = air_.top();
  air_.pop();
  side(delivery.to).act(now_, [&](ike::IkeEndpoint& e) { e.handle_datagram(now_, delivery.path, delivery.bytes); });
}

void Life::arrive_late() {
  const LatePacket packet = late_.front();
  late_.pop_front();
  const auto* in = side(packet.to).plane.inbound(packet.spi);
  if (in == nullptr || in->spec.encryption_key != packet.key) {
    fail("a packet for " + side(packet.to).name() + " came " + seconds_text(plan_.delay_max) +
         " after it was sealed and found no SA");
  }
}

void Life::fire_timers() {
  for (auto& each : sides_) {
    if (each->next_deadline() <= now_) each->act(now_, [&](ike::IkeEndpoint& e) { e.on_timer(now_); });
  }
}

void Life::perform(const PlannedEvent& event) {
  if (healing_ && event.what != What::kRestart && event.what != What::kLight) return;
  auto& who = side(event.side);
  trace([&] { return "** " + std::string(to_string(event.what)) + " (" + who.name() + ")"; });
  const auto& name = connection().name;
  const auto& child = connection().children[event.child].name;
  switch (event.what) {
    case What::kRekeyChild: who.act(now_, [&](ike::IkeEndpoint& e) { e.rekey(now_, name, child, false); }); break;
    case What::kRekeyIke: who.act(now_, [&](ike::IkeEndpoint& e) { e.rekey(now_, name, {}, true); }); break;
    case What::kSoftLimit: expire(who, child, false); break;
    case What::kHardLimit: expire(who, child, true); break;
    case What::kDeleteIke: who.act(now_, [&](ike::IkeEndpoint& e) { e.terminate(now_, name, {}); }); break;
    case What::kCrash: who.crash(); break;
    case What::kCrashMidway: who.crash_after_actions = event.actions; break;
    case What::kPowerLoss: who.lose_power(); break;
    case What::kRestart:
      who.crash_after_actions = -1;
      if (!who.alive()) who.restart(now_);
      break;
    case What::kRebind:
      if (nat_) nat_->rebind();
      break;
    case What::kBlackout: blackout_ = true; break;
    case What::kLight: blackout_ = false; break;
  }
}

// As the engine does it: at a hard limit its SAs of the child are gone before it says so.
void Life::expire(test::Side& who, const std::string& child, bool hard) {
  const auto* out = who.plane.outbound(connection().name, child);
  if (out == nullptr || !who.alive()) return;
  const auto id = out->spec.child;
  if (hard) who.plane.expire(id);
  who.act(now_, [&](ike::IkeEndpoint& e) { e.on_child_expiring(now_, id, hard); });
}

// ---- the network

void Life::on_send(std::size_t from, const ike::SendDatagram& datagram) {
  ++result_.datagrams;
  const Bytes bytes = perverted(datagram.bytes);
  for (const auto octet : bytes) result_.digest = (result_.digest ^ octet) * 0x100000001b3ULL;
  trace([&] {
    return side(from).name() + " sends " + std::as_const(side(from)).keys().decode(bytes).text + " to " +
           datagram.path.remote.to_string();
  });
  if (auto fault = watch_.inspect(bytes, std::as_const(side(from)).keys()))
    return fail(side(from).name() + " " + *fault);
  ike::Path path{datagram.path.remote, datagram.path.local, datagram.path.marked};
  if (nat_ && !nat_->translate(path)) return;
  const std::size_t to = 1 - from;
  if (path.local.address != side(to).address()) return;
  if (path.marked != (path.local.port != 500)) return fail("non-ESP marker and port contradict each other");
  if (options_.mutation == Mutation::kDropDeletes) {
    const auto decoded = std::as_const(side(from)).keys().decode(bytes);
    if (!decoded.header.response && wire::ike::find_payload<wire::ike::DeletePayload>(decoded.payloads) != nullptr)
      return;
  }
  const bool perfect = healing_;
  if (!perfect && (blackout_ || network_.below(100) < plan_.loss_percent)) {
    trace([] { return std::string("   … lost"); });
    return;
  }
  fly(to, path, bytes);
  if (!perfect && network_.below(100) < plan_.duplicate_percent) fly(to, path, bytes);
}

void Life::fly(std::size_t to, const ike::Path& path, const Bytes& bytes) {
  const auto spread = static_cast<std::uint64_t>((plan_.delay_max - plan_.delay_min).count());
  const Duration delay = plan_.delay_min + Duration(static_cast<std::int64_t>(network_.below(spread + 1)));
  air_.push({now_ + delay, order_++, to, path, bytes});
}

Bytes Life::perverted(const Bytes& bytes) {
  if (options_.mutation != Mutation::kSendInClear || network_.below(4) != 0) return bytes;
  const auto decoded = std::as_const(side(0)).keys().decode(bytes);
  if (!decoded.opened || decoded.payloads.empty()) return bytes;
  return wire::ike::serialize_message({decoded.header, decoded.payloads});
}

// ---- packets

void Life::tick() {
  next_tick_ = now_ + 1s;
  const bool busy = healing_ || network_.below(100) < plan_.traffic_percent;
  for (std::size_t child = 0; child < connection().children.size(); ++child) {
    carry(0, child, busy);
    carry(1, child, busy);
  }
  if (!healing_) return;
  if (const auto why = disagreement()) {
    last_disagreement_ = *why;
  } else if (now_ > start_ + plan_.length + plan_.healing - kLastStretch) {
    ++agreed_seconds_;
  }
}

void Life::carry(std::size_t from, std::size_t child, bool real) {
  auto& flow = flows_[child * 2 + from];
  const auto& name = connection().children[child].name;
  ++result_.packets;
  if (try_packet(from, name, real)) {
    flow.dark_since.reset();
    flow.was_up = true;
    return;
  }
  if (!flow.dark_since) flow.dark_since = now_;
  const std::string which = "child " + name + " from " + side(from).name();
  if (plan_.strict && flow.was_up) return fail("a packet of " + which + " was lost, though no message ever was");
  if (blackout_) flow.dark_since = now_;
  if (now_ - *flow.dark_since > plan_.dark_bound)
    fail(which + " carried nothing for " + seconds_text(now_ - *flow.dark_since));
}

// Not real: only asks whether a packet would get through.
bool Life::try_packet(std::size_t from, const std::string& child, bool real) {
  auto& to = side(1 - from);
  const auto* out = side(from).plane.outbound(connection().name, child);
  if (out == nullptr) return false;
  const model::SaSpec spec = out->spec;
  if (spec.udp_encapsulation != plan_.nat) {
    fail("encapsulation is " + std::string(plan_.nat ? "missing" : "not called for"));
    return false;
  }
  ike::Path path{spec.remote, spec.local, true};
  if (nat_ && real && !nat_->translate(path)) return false;
  const auto* in = to.plane.inbound(spec.spi);
  if (in == nullptr || in->spec.encryption_key != spec.encryption_key) return false;
  if (plan_.strict) late_.push_back({now_ + plan_.delay_max, 1 - from, spec.spi, spec.encryption_key});
  if (!real) return true;
  std::optional<model::ChildId> activated;
  const auto id = in->spec.child;
  if (!to.plane.receive(spec, now_, activated)) return false;
  if (activated) to.act(now_, [&](ike::IkeEndpoint& e) { e.on_child_activated(now_, *activated); });
  const auto* back = to.plane.find(id, model::Direction::kOutbound);
  // What the engine does with a good packet from elsewhere: it tells, IKE decides.
  if (back != nullptr && plan_.nat && from == 0 && back->spec.remote != path.remote) {
    to.act(now_, [&](ike::IkeEndpoint& e) { e.on_peer_moved(now_, id, path.remote, path.local); });
  }
  return true;
}

// ---- invariants

void Life::check_always() {
  if (result_.fault) return;
  const std::size_t children = connection().children.size();
  for (auto& each : sides_) {
    if (!each->plane.faults.empty()) return fail(each->name() + " " + each->plane.faults.front());
    if (each->plane.entries().size() > children * 24 + 24) return fail(each->name() + " holds too many SAs: they leak");
    if (!each->alive()) continue;
    const auto half_open = each->endpoint().counters().half_open;
    if (half_open > 20) return fail(each->name() + " holds " + std::to_string(half_open) + " half-open IKE SAs");
    if (each->checkpoints.size() > 24) return fail(each->name() + " holds too many checkpoints: they leak");
  }
}

std::optional<std::string> Life::disagreement() const {
  const auto a = sides_[0]->endpoint().status();
  const auto b = sides_[1]->endpoint().status();
  if (a.empty() || b.empty()) return "no IKE SA";
  if (a.size() != b.size()) return "A has " + std::to_string(a.size()) + " IKE SAs and B " + std::to_string(b.size());
  if (a.size() > (plan_.both_start ? 2U : 1U)) return std::to_string(a.size()) + " IKE SAs";
  std::size_t children = 0;
  for (const auto& sa : a) {
    const auto same =
        std::ranges::find_if(b, [&](const auto& other) { return other.spi_i == sa.spi_i && other.spi_r == sa.spi_r; });
    if (same == b.end()) return "the IKE SAs are not the same ones";
    if (same->children.size() != sa.children.size()) return "the IKE SAs have different children";
    children += sa.children.size();
  }
  if (children < connection().children.size()) return "children are missing";
  for (const auto& each : sides_) {
    const auto& other = *sides_[each == sides_[0] ? 1 : 0];
    for (const auto direction : {model::Direction::kInbound, model::Direction::kOutbound}) {
      if (each->plane.count(direction) != children) {
        return each->name() + " holds " + std::to_string(each->plane.count(direction)) +
               (direction == model::Direction::kInbound ? " inbound" : " outbound") + " SAs for " +
               std::to_string(children) + " children";
      }
    }
    for (const auto& entry : each->plane.entries()) {
      if (entry.spec.direction == model::Direction::kOutbound && other.plane.inbound(entry.spec.spi) == nullptr) {
        return each->name() + " has an outbound SA that its peer cannot open";
      }
    }
    if (each->checkpoints.size() != a.size())
      return each->name() + " holds " + std::to_string(each->checkpoints.size()) + " checkpoints";
  }
  return std::nullopt;
}

// Rekeys go on while the network heals, so the sides are not of one mind every second; but most of the time they are.
void Life::check_healed() {
  if (agreed_seconds_ < 30) {
    fail("the sides agreed in only " + std::to_string(agreed_seconds_) + " of the last 150 s, " +
         seconds_text(plan_.healing) + " after the last trouble: " + last_disagreement_);
  }
}

void Life::fail(const std::string& what) {
  if (result_.fault) return;
  result_.fault = "at " + seconds_text(now_ - start_) + ": " + what;
  trace([&] { return "FAULT: " + what; });
}

void Life::trace(const std::function<std::string()>& text) {
  if (options_.trace) options_.trace(seconds_text(now_ - start_) + "  " + text());
}

}  // namespace cygnet::sim
