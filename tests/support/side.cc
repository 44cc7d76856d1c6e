// SPDX-License-Identifier: Apache-2.0
#include "support/side.h"

#include <algorithm>
#include <array>
#include <utility>

#include "crypto/prf.h"
#include "ike/puzzle.h"

namespace cygnet::test {
namespace {

// "Private" and public value are the same octets and the secret is a hash of both publics: no secrecy, full agreement.
ike::JobResult toy_exchange(const ike::KeyExchangeJob& job) {
  ike::JobResult out{job.job, job.own, std::nullopt, {}};
  const std::size_t octets = crypto::public_octets(job.group);
  if (!out.own) {
    SeededRandom random(load_be64(job.seed.data()));
    crypto::KeyPair pair{job.group, {}, random.bytes(octets)};
    pair.private_key.assign(pair.public_value.begin(), pair.public_value.end());
    out.own = pair;
  }
  if (job.peer_public) {
    if (job.peer_public->size() != octets) {
      out.error = "public value of the wrong length";
      return out;
    }
    const auto& [low, high] = std::minmax(out.own->public_value, *job.peer_public);
    const std::array<ByteView, 2> both = {low, high};
    const Bytes hash = crypto::sha256(both);
    out.shared_secret = SecretBytes(hash.begin(), hash.end());
  }
  return out;
}

ike::JobResult real_exchange(const ike::KeyExchangeJob& job) {
  ike::JobResult out{job.job, job.own, std::nullopt, {}};
  if (!out.own) {
    SeededRandom random(load_be64(job.seed.data()));
    auto pair = crypto::generate_key_pair(job.group, random);
    if (!pair) {
      out.error = pair.error().message;
      return out;
    }
    out.own = std::move(*pair);
  }
  if (job.peer_public) {
    auto shared = crypto::derive_shared_secret(*out.own, *job.peer_public);
    if (!shared) {
      out.error = shared.error().message;
      return out;
    }
    out.shared_secret = std::move(*shared);
  }
  return out;
}

constexpr std::int64_t kWallSeconds = 1'800'000'000;  // kPkiNow of test_pki.h

// What cannot be used is left out: the endpoint reports it.
crypto::TrustStore trust_of(const model::PublicCredentials& credentials) {
  crypto::TrustStore out;
  for (const auto& authority : credentials.authorities) (void)out.add_authority(authority.der);
  for (const auto& certificate : credentials.certificates) {
    if (const auto parsed = crypto::Certificate::parse(certificate.der)) out.add_intermediate(*parsed);
  }
  for (const auto& crl : credentials.crls) (void)out.add_crl(crl.der);
  return out;
}

std::string hex_spi(Spi spi) {
  std::array<std::uint8_t, 4> octets{};
  store_be32(octets.data(), spi.value);
  return to_hex(octets);
}

std::string describe(const model::SaSpec& spec) {
  return std::string(spec.direction == model::Direction::kInbound ? "inbound " : "outbound ") + hex_spi(spec.spi) +
         " of " + spec.child_name + " (" + std::to_string(spec.child.value) + ")" +
         (spec.standby ? ", on standby" : "");
}

}  // namespace

Side::Side(SideOptions options) : options_(std::move(options)), random_(options_.seed) {
  options_.settings.setup.allow_key_export = true;
  options_.settings.addresses = &addresses;
  plane.packets_activate = !options_.sabotage.ignore_activation;
  endpoint_ = std::make_unique<ike::IkeEndpoint>(options_.settings, random_);
}

void Side::configure(Instant now, std::vector<model::Connection> connections, std::vector<model::SharedSecret> secrets,
                     model::PublicCredentials credentials, std::vector<model::PrivateKeySource> private_keys) {
  connections_ = std::move(connections);
  credentials_ = std::move(credentials);
  long_term_keys_ = ike::auth::LocalKeys({std::move(secrets), std::move(private_keys)});
  addresses.pools.configure(connections_);
  addresses.pools.set_wall_clock(static_cast<std::uint64_t>(kWallSeconds + wall_wrong_s));
  trust_ = trust_of(credentials_);
  act(now, [&](ike::IkeEndpoint& e) { e.configure(now, connections_, credentials_); });
}

void Side::act(Instant now, const std::function<void(ike::IkeEndpoint&)>& call) {
  if (!alive()) return;
  call(*endpoint_);
  drain(now);
}

void Side::crash() {
  plane.repeats_allowed = true;
  endpoint_.reset();
  jobs_.clear();
}

void Side::lose_power() {
  crash();
  plane.clear();
  checkpoints.clear();
}

void Side::restart(Instant now) {
  if (options_.sabotage.repeat_randomness) random_ = SeededRandom(options_.seed);
  addresses.pools = {};
  addresses.pools.configure(connections_);
  endpoint_ = std::make_unique<ike::IkeEndpoint>(options_.settings, random_);
  const std::vector<std::pair<std::string, Bytes>> saved(checkpoints.begin(), checkpoints.end());
  // Whatever configure() starts may be known already from a checkpoint: both calls come before any action is performed.
  act(now, [&](ike::IkeEndpoint& e) {
    e.configure(now, connections_, credentials_);
    e.adopt(now, saved, plane.specs());
  });
}

void Side::finish_jobs(Instant now) {
  const auto jobs = std::exchange(jobs_, {});
  for (const auto& job : jobs) {
    if (!alive()) return;
    run(now, job);
  }
  drain(now);
}

void Side::finish_job(Instant now, std::size_t index) {
  if (!alive() || index >= jobs_.size()) return;
  const auto job = jobs_[index];
  jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(index));
  run(now, job);
  drain(now);
}

void Side::run(Instant now, const ike::Action& action) {
  if (const auto* job = std::get_if<ike::KeyExchangeJob>(&action)) {
    endpoint_->on_job_done(now, options_.toy_key_exchange ? toy_exchange(*job) : real_exchange(*job));
  } else if (const auto* auth = std::get_if<ike::auth::AuthJob>(&action)) {
    const bool signature = std::holds_alternative<ike::auth::SignatureVerify>(auth->what);
    endpoint_->on_auth_done(now, signature
                                     ? ike::auth::verify_signature(*auth, trust_, kWallSeconds + wall_wrong_s).result
                                     : long_term_keys_.perform(*auth));
  } else if (const auto* puzzle = std::get_if<ike::PuzzleJob>(&action)) {
    auto keys = ike::solve_puzzle(puzzle->prf, puzzle->difficulty, puzzle->text);
    endpoint_->on_puzzle_done(now, {puzzle->job, keys ? *keys : Bytes{}, keys ? std::string() : keys.error().message});
  }
}

void Side::drain(Instant now) {
  if (draining_) return;
  draining_ = true;
  while (alive()) {
    const auto actions = endpoint_->take_actions();
    keys_.learn(endpoint_->export_keys());
    if (actions.empty()) break;
    for (const auto& action : actions) {
      if (crash_after_actions == 0) {
        crash_after_actions = -1;
        crash();
        break;
      }
      if (crash_after_actions > 0) --crash_after_actions;
      if (!perform(now, action)) break;
    }
  }
  draining_ = false;
}

bool Side::perform(Instant now, const ike::Action& action) {
  if (const auto* send = std::get_if<ike::SendDatagram>(&action)) {
    if (on_send) on_send(*send);
  } else if (std::holds_alternative<ike::KeyExchangeJob>(action) || std::holds_alternative<ike::PuzzleJob>(action) ||
             std::holds_alternative<ike::auth::AuthJob>(action)) {
    jobs_.push_back(action);
    if (!hold_jobs) {
      const auto ready = std::exchange(jobs_, {});
      for (const auto& each : ready) run(now, each);
    }
  } else if (const auto* usage = std::get_if<ike::QueryUsage>(&action)) {
    endpoint_->on_usage(now, usage->child, plane.last_inbound(usage->child), plane.last_outbound(usage->child));
  } else if (const auto* expected = std::get_if<ike::ExpectSpi>(&action)) {
    if (options_.keep_history) expected_spis.push_back(expected->spi);
  } else if (const auto* put = std::get_if<ike::Checkpoint>(&action)) {
    store(*put);
  } else if (const auto* drop = std::get_if<ike::DropCheckpoint>(&action)) {
    checkpoints.erase(drop->key);
    newest_.erase(drop->key);
  } else if (!perform_on_plane(now, action)) {
    record(action);
  }
  return alive();
}

bool Side::perform_on_plane(Instant now, const ike::Action& action) {
  const auto& sabotage = options_.sabotage;
  if (const auto* install = std::get_if<ike::InstallSa>(&action)) {
    if (on_event) on_event("installs " + describe(install->spec));
    const bool inbound = install->spec.direction == model::Direction::kInbound;
    if (!(sabotage.forget_inbound && inbound && ++inbounds_ % 5 == 0)) plane.install(install->spec, now);
  } else if (const auto* remove = std::get_if<ike::RemoveSa>(&action)) {
    if (on_event) on_event("removes " + hex_spi(remove->spi));
    if (!(sabotage.forget_removals && ++removals_ % 3 == 0)) plane.remove(*remove);
  } else if (const auto* activate = std::get_if<ike::ActivateChild>(&action)) {
    if (on_event) on_event("activates child " + std::to_string(activate->child.value));
    if (!sabotage.ignore_activation) plane.activate(activate->child);
  } else if (const auto* update = std::get_if<ike::UpdateChildEndpoints>(&action)) {
    if (!sabotage.forget_moves) plane.update_endpoints(*update);
  } else {
    return false;
  }
  return true;
}

void Side::record(const ike::Action& action) {
  const bool keep = options_.keep_history;
  if (const auto* up = std::get_if<ike::ChildUp>(&action)) {
    if (keep) child_ups.push_back(*up);
    if (on_event) on_event("child " + up->child + " up");
  } else if (const auto* down = std::get_if<ike::ChildDown>(&action)) {
    if (keep) child_downs.push_back(*down);
    if (on_event) on_event("child " + down->child + (down->replaced ? " replaced" : " down: " + down->reason));
  } else if (const auto* held = std::get_if<ike::HoldChild>(&action)) {
    if (keep) holds.emplace_back(held->child, plane.entries().size());
  } else if (const auto* got = std::get_if<ike::AddressesAssigned>(&action)) {
    if (keep) assigned.push_back(*got);
  } else if (const auto* gone = std::get_if<ike::AddressesWithdrawn>(&action)) {
    if (keep) withdrawn.push_back(*gone);
  } else if (const auto* ike_up = std::get_if<ike::IkeUp>(&action)) {
    if (keep) ike_ups.push_back(*ike_up);
  } else if (const auto* ike_down = std::get_if<ike::IkeDown>(&action)) {
    if (keep) ike_downs.push_back(*ike_down);
    if (on_event) on_event(ike_down->replaced ? "IKE SA replaced" : "IKE SA down: " + ike_down->reason);
  } else if (const auto* ended = std::get_if<ike::InitiationDone>(&action)) {
    if (keep) done.push_back(*ended);
  } else if (const auto* report = std::get_if<ike::Report>(&action)) {
    if (keep) reports.push_back(*report);
    if (on_report) on_report(*report);
  }
}

void Side::store(const ike::Checkpoint& checkpoint) {
  if (options_.sabotage.stale_checkpoints) {
    const auto before = newest_.find(checkpoint.key);
    checkpoints[checkpoint.key] = before == newest_.end() ? checkpoint.value : before->second;
    newest_[checkpoint.key] = checkpoint.value;
    return;
  }
  checkpoints[checkpoint.key] = checkpoint.value;
}

bool Side::reported(std::string_view event) const {
  return std::ranges::any_of(reports, [&](const ike::Report& report) { return report.event == event; });
}

std::string Side::messages(std::string_view event) const {
  std::string out;
  for (const auto& report : reports) {
    if (report.event != event) continue;
    if (!out.empty()) out += '\n';
    out += report.message;
  }
  return out;
}

void Side::forget_history() {
  reports.clear();
  done.clear();
  child_ups.clear();
  child_downs.clear();
  ike_ups.clear();
  ike_downs.clear();
}

}  // namespace cygnet::test
