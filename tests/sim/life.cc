// SPDX-License-Identifier: Apache-2.0
#include "sim/life.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "sim/credentials.h"
#include "sim/seconds_text.h"
#include "support/connections.h"

namespace cygnet::sim {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kMaxSpins = 2000;  // timers and deliveries at one instant
constexpr std::array<std::pair<std::string_view, Mutation>, 10> kMutations = {{
    {"forget-removals", Mutation::kForgetRemovals},
    {"forget-inbound", Mutation::kForgetInbound},
    {"ignore-activation", Mutation::kIgnoreActivation},
    {"stale-checkpoints", Mutation::kStaleCheckpoints},
    {"repeat-randomness", Mutation::kRepeatRandomness},
    {"send-in-clear", Mutation::kSendInClear},
    {"drop-deletes", Mutation::kDropDeletes},
    {"forget-moves", Mutation::kForgetMoves},
    {"share-secret", Mutation::kShareSecret},
    {"no-clock", Mutation::kNoClock},
}};

test::Sabotage sabotage_of(Mutation mutation) {
  test::Sabotage out;
  out.forget_removals = mutation == Mutation::kForgetRemovals;
  out.forget_inbound = mutation == Mutation::kForgetInbound;
  out.ignore_activation = mutation == Mutation::kIgnoreActivation;
  out.stale_checkpoints = mutation == Mutation::kStaleCheckpoints;
  out.forget_moves = mutation == Mutation::kForgetMoves;
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
    : plan_(std::move(plan)),
      options_(std::move(options)),
      network_(plan_.seed ^ 0x6e6574776f726b00ULL),
      attacker_(plan_.seed ^ 0x61747461636b0000ULL),
      knockers_(plan_.seed ^ 0x6b6e6f636b000000ULL) {
  for (std::size_t i = 0; i < plan_.links.size(); ++i) {
    const auto& link = plan_.links[i];
    for (const auto& child : link.children) {
      flows_.push_back({i, link.starts, link.answers, child, std::nullopt, false});
      flows_.push_back({i, link.answers, link.starts, child, std::nullopt, false});
    }
  }
  links_.resize(plan_.links.size());
  if (plan_.nat) nat_.emplace(test::address("203.0.113.9"));
  for (auto& party : plan_.parties) {
    if (party.behind_nat) nat_->add_inside(party.address);
    for (const auto& place : party.places)
      if (nat_ && place.to_string().starts_with("10.")) nat_->add_inside(place);
    if (party.impostor && options_.mutation == Mutation::kShareSecret) party.secrets = plan_.parties[0].secrets;
  }
  for (const auto& party : plan_.parties) add_side(party);
}

void Life::add_side(const Party& party) {
  const std::size_t index = sides_.size();
  test::SideOptions options;
  options.name = party.name;
  options.address = party.address;
  options.seed = plan_.seed * 16 + index + 0x5eed000000000000ULL;
  options.toy_key_exchange = !options_.real_key_exchange;
  options.keep_history = false;
  options.sabotage = sabotage_of(options_.mutation);
  if (plan_.knocks_a_second != 0) {
    auto& setup = options.settings.setup;
    setup.cookie_threshold = 0;
    setup.puzzle_threshold = 1;
    setup.puzzle_difficulty = 1;
    setup.auth_puzzle_difficulty = plan_.auth_puzzle_bits;
  }
  sides_.push_back(std::make_unique<test::Side>(std::move(options)));
  asleep_.push_back(false);
  clocks_.emplace_back();
  awake_since_.push_back(start_);
  workers_.emplace_back();
  auto& added = *sides_.back();
  added.hold_jobs = plan_.job_delay_max > Duration(0);
  added.on_send = [this, index](const ike::SendDatagram& datagram) { on_send(index, datagram); };
  added.on_report = [this, index](const ike::Report& report) { on_report(index, report); };
  if (options_.trace) {
    const std::string who = party.name;
    added.on_event = [this, who](const std::string& what) { trace([&] { return who + ": " + what; }); };
  }
  configure(index);
  tell_addresses(index);
}

void Life::configure(std::size_t index) {
  const auto& party = plan_.parties[index];
  if (!plan_.certificates) return side(index).configure(now_, configured(index), party.secrets);
  // An impostor shows the name of whom it imitates, certified by somebody whom nobody believes.
  const std::size_t shown = party.impostor ? 0 : index;
  std::string name = plan_.parties[shown].name + ".test";
  name[0] = static_cast<char>(name[0] - 'A' + 'a');
  const auto& own = credentials_of(name, party.impostor && options_.mutation != Mutation::kShareSecret);
  side(index).configure(now_, configured(index), party.secrets, own.shown, own.keys);
}

void Life::on_report(std::size_t index, const ike::Report& report) {
  trace([&] { return side(index).name() + ": [" + report.event + "] " + report.message; });
  if (report.event != "ike-up") return;
  proofs_[{index, report.connection}] = now_;
  const auto& own = plan_.parties[index].connections;
  const auto c = std::ranges::find(own, report.connection, &model::Connection::name);
  const bool by_certificate = c != own.end() && c->remote.auth == model::AuthMethod::kSignature;
  // It may have been looked at before the clock was set, and the answer be ready only now.
  const bool wrong = are_invalid(clocks_[index].wrong_s) && now_ - clocks_[index].since > 4 * plan_.job_delay_max + 1ms;
  if (by_certificate && wrong) fail(side(index).name() + " believed a certificate that is not valid by its own clock");
}

LifeResult Life::run() {
  trace([&] { return plan_.describe(); });
  const Instant end = start_ + plan_.length + plan_.healing;
  while (!result_.fault && now_ < end) step();
  if (!result_.fault) check_healed();
  for (const auto& each : sides_) {
    if (each->alive()) result_.second_puzzles += each->endpoint().counters().auth_puzzles_solved;
  }
  return result_;
}

Instant Life::timer_of(std::size_t index) const { return asleep_[index] ? kNever : sides_[index]->next_deadline(); }

// When the next job of this side is done.
Instant Life::work_of(std::size_t index) {
  auto& worker = workers_[index];
  if (asleep_[index] || !side(index).alive() || side(index).waiting_jobs() == 0) {
    worker.due = kNever;
  } else if (worker.due == kNever) {
    worker.due =
        now_ +
        Duration(static_cast<std::int64_t>(network_.below(static_cast<std::uint64_t>(plan_.job_delay_max.count()))));
  }
  return worker.due;
}

void Life::step() {
  Instant timer_at = kNever, work_at = kNever;
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    timer_at = std::min(timer_at, timer_of(i));
    work_at = std::min(work_at, work_of(i));
  }
  const Instant event_at = next_event_ < plan_.events.size() ? start_ + plan_.events[next_event_].at : kNever;
  const Instant delivery_at = air_.empty() ? kNever : air_.top().at;
  const Instant late_at = late_.empty() ? kNever : late_.front().at;
  const Instant next = std::max(now_, std::min({event_at, delivery_at, timer_at, work_at, next_tick_, late_at}));
  spins_ = next == now_ ? spins_ + 1 : 0;
  if (spins_ > kMaxSpins) return fail("the sides keep each other busy without time passing" + who_is_busy());
  now_ = next;
  if (!healing_ && now_ >= start_ + plan_.length) return begin_healing();  // all events have happened
  if (event_at <= now_) {
    perform(plan_.events[next_event_++]);
  } else if (delivery_at <= now_) {
    deliver_next();
  } else if (work_at <= now_) {
    finish_job();
  } else if (timer_at <= now_) {
    fire_timers();
  } else if (late_at <= now_) {
    arrive_late();
  } else {
    tick();
  }
  check_always();
}

std::string Life::who_is_busy() const {
  std::string out;
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    if (timer_of(i) > now_) continue;
    out += "; a timer of " + sides_[i]->name() + " is due, among";
    for (const auto& row : sides_[i]->endpoint().status()) {
      out += " " + row.connection + " " + row.state + " with " + std::to_string(row.children.size()) + " children";
      for (const auto& pending : row.pending) out += ", " + pending;
      out += ";";
    }
  }
  return out;
}

// Nothing bad happens from here on, and what is missing comes back.
void Life::begin_healing() {
  while (next_event_ < plan_.events.size()) perform(plan_.events[next_event_++]);
  healing_ = true;
  ike_dark_ = esp_dark_ = false;
  dark_addresses_.clear();
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    set_clock(i, 0);
    side(i).crash_after_actions = -1;
    if (asleep_[i]) awake_since_[i] = now_;
    asleep_[i] = false;
    if (!side(i).alive()) restart(i);
    tell_addresses(i);
  }
}

void Life::deliver_next() {
  const Delivery delivery = air_.top();
  air_.pop();
  if (asleep_[delivery.to]) return;
  if (wanders(delivery.to) && delivery.path.local.address != side(delivery.to).address()) return;  // it has left
  side(delivery.to).act(now_, [&](ike::IkeEndpoint& e) { e.handle_datagram(now_, delivery.path, delivery.bytes); });
}

void Life::fire_timers() {
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    if (timer_of(i) <= now_) side(i).act(now_, [&](ike::IkeEndpoint& e) { e.on_timer(now_); });
  }
}

void Life::finish_job() {
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    if (workers_[i].due > now_) continue;
    workers_[i].due = kNever;
    side(i).finish_job(now_, static_cast<std::size_t>(network_.below(side(i).waiting_jobs())));
    return;
  }
}

// ---- events

void Life::perform(const PlannedEvent& event) {
  auto& who = side(event.side);
  const auto& link = plan_.links[event.link];
  const auto& name = link.connection;
  const auto& child = link.children[event.child];
  trace([&] { return "** " + std::string(to_string(event.what)) + " (" + who.name() + ", " + name + ")"; });
  const bool sleeps = asleep_[event.side];
  switch (event.what) {
    case What::kRekeyChild:
      if (!sleeps) who.act(now_, [&](ike::IkeEndpoint& e) { e.rekey(now_, name, child, false); });
      break;
    case What::kRekeyIke:
      if (!sleeps) who.act(now_, [&](ike::IkeEndpoint& e) { e.rekey(now_, name, {}, true); });
      break;
    case What::kSoftLimit: expire(event, false); break;
    case What::kHardLimit: expire(event, true); break;
    case What::kTakeDown: links_[event.link].taken_down = true; [[fallthrough]];
    case What::kDeleteIke: who.act(now_, [&](ike::IkeEndpoint& e) { e.terminate(now_, name, {}); }); break;
    case What::kDeleteChild: who.act(now_, [&](ike::IkeEndpoint& e) { e.terminate(now_, name, child); }); break;
    case What::kBringUp: bring_up(event.link); break;
    case What::kReload:
    case What::kReloadChanged:
    case What::kReloadRemoved:
    case What::kReloadBack: reload(event); break;
    case What::kMove: move(event); break;
    case What::kClockStep: set_clock(event.side, event.wrong_s); break;
    case What::kCrash:
    case What::kCrashMidway:
    case What::kPowerLoss:
    case What::kRestart:
    case What::kSuspend:
    case What::kResume: perform_on_machine(event); break;
    default: perform_on_network(event); break;
  }
}

void Life::perform_on_machine(const PlannedEvent& event) {
  auto& who = side(event.side);
  switch (event.what) {
    case What::kCrash: return who.crash();
    case What::kCrashMidway: who.crash_after_actions = event.actions; return;
    case What::kPowerLoss: return who.lose_power();
    case What::kSuspend: asleep_[event.side] = true; return;
    case What::kResume:
      asleep_[event.side] = false;
      awake_since_[event.side] = now_;
      return tell_addresses(event.side);
    default:
      who.crash_after_actions = -1;
      if (!who.alive()) restart(event.side);
      return;
  }
}

void Life::perform_on_network(const PlannedEvent& event) {
  switch (event.what) {
    case What::kRebind:
      if (nat_) nat_->rebind();
      break;
    case What::kBlackout: ike_dark_ = esp_dark_ = true; break;
    case What::kIkeBlackout: ike_dark_ = true; break;
    case What::kEspBlackout: esp_dark_ = true; break;
    case What::kGatewayDark: dark_addresses_.insert(plan_.parties[event.side].addresses[event.place]); break;
    case What::kGatewayLight: dark_addresses_.erase(plan_.parties[event.side].addresses[event.place]); break;
    default: ike_dark_ = esp_dark_ = false; break;
  }
}

// As the engine does it: at a hard limit its SAs of the child are gone before it says so.
void Life::expire(const PlannedEvent& event, bool hard) {
  auto& who = side(event.side);
  const auto& link = plan_.links[event.link];
  const auto* out = who.plane.outbound(link.connection, link.children[event.child]);
  if (out == nullptr || !who.alive() || asleep_[event.side]) return;
  const auto id = out->spec.child;
  if (hard) who.plane.expire(id);
  who.act(now_, [&](ike::IkeEndpoint& e) { e.on_child_expiring(now_, id, hard); });
}

void Life::reload(const PlannedEvent& event) {
  auto& party = plan_.parties[event.side];
  const auto& name = plan_.links[event.link].connection;
  const auto own = std::ranges::find(party.connections, name, &model::Connection::name);
  if (event.what == What::kReloadChanged) {
    for (auto& child : own->children) child.lifetime_s += 1;
  }
  links_[event.link].removed_at.reset();
  if (event.what == What::kReloadRemoved) links_[event.link].removed_at = event.side;
  configure(event.side);
}

std::vector<model::Connection> Life::configured(std::size_t index) const {
  auto out = plan_.parties[index].connections;
  for (std::size_t i = 0; i < links_.size(); ++i) {
    if (links_[i].removed_at == index)
      std::erase_if(out, [&](const auto& c) { return c.name == plan_.links[i].connection; });
  }
  return out;
}

void Life::move(const PlannedEvent& event) {
  auto& party = plan_.parties[event.side];
  const auto& place = party.places[event.place];
  side(event.side).move_to(place);
  for (auto& c : party.connections) c.local.host.address = place;
  trace([&] { return "   " + party.name + " is now at " + place.to_string(); });
  tell_addresses(event.side);
}

void Life::restart(std::size_t index) {
  if (wanders(index)) configure(index);
  side(index).restart(now_);
  tell_addresses(index);
}

// As the daemon does it when it starts, wakes, or the network has changed.
void Life::tell_addresses(std::size_t index) {
  auto& who = side(index);
  if (!wanders(index) || !who.alive() || asleep_[index]) return;
  configure(index);
  who.act(now_, [&](ike::IkeEndpoint& e) { e.on_local_addresses(now_, {who.address()}); });
}

// Nothing is told about it: whoever needs the time asks for it.
void Life::set_clock(std::size_t index, std::int64_t wrong_s) {
  clocks_[index] = {wrong_s, now_};
  if (options_.mutation != Mutation::kNoClock) side(index).wall_wrong_s = wrong_s;
}

bool Life::all_dark(std::size_t index) const {
  const auto& all = plan_.parties[index].addresses;
  return !all.empty() && std::ranges::all_of(all, [&](const IpAddress& a) { return is_dark(a); });
}

bool Life::clock_is_off(const Link& link) const {
  return plan_.certificates && (!are_valid(clocks_[link.starts].wrong_s) || !are_valid(clocks_[link.answers].wrong_s));
}

bool Life::goes_through_nat(const Link& link) const { return nat_ && nat_->is_inside(sides_[link.starts]->address()); }

void Life::bring_up(std::size_t link) {
  links_[link].taken_down = false;
  const auto& l = plan_.links[link];
  side(l.starts).act(now_, [&](ike::IkeEndpoint& e) { e.initiate(now_, l.connection, {}); });
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
