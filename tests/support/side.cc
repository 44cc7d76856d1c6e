// SPDX-License-Identifier: Apache-2.0
#include "support/side.h"

#include <algorithm>
#include <array>
#include <utility>

#include "crypto/prf.h"

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

}  // namespace

Side::Side(SideOptions options) : options_(std::move(options)), random_(options_.seed) {
  options_.settings.setup.allow_key_export = true;
  endpoint_ = std::make_unique<ike::IkeEndpoint>(options_.settings, random_);
}

void Side::configure(Instant now, std::vector<model::Connection> connections, std::vector<model::SharedSecret> secrets) {
  connections_ = std::move(connections);
  secrets_ = std::move(secrets);
  act(now, [&](ike::IkeEndpoint& e) { e.configure(now, connections_, secrets_); });
}

void Side::act(Instant now, const std::function<void(ike::IkeEndpoint&)>& call) {
  if (!alive()) return;
  call(*endpoint_);
  drain(now);
}

void Side::crash() {
  endpoint_.reset();
  jobs_.clear();
}

void Side::lose_power() {
  crash();
  plane.clear();
  checkpoints.clear();
}

void Side::restart(Instant now) {
  endpoint_ = std::make_unique<ike::IkeEndpoint>(options_.settings, random_);
  const std::vector<std::pair<std::string, Bytes>> saved(checkpoints.begin(), checkpoints.end());
  // Whatever configure() starts may be known already from a checkpoint: both calls come before any action is performed.
  act(now, [&](ike::IkeEndpoint& e) {
    e.configure(now, connections_, secrets_);
    e.adopt(now, saved, plane.specs());
  });
}

void Side::finish_jobs(Instant now) {
  const auto jobs = std::exchange(jobs_, {});
  for (const auto& job : jobs) {
    if (!alive()) return;
    endpoint_->on_job_done(now, run(job));
  }
  drain(now);
}

ike::JobResult Side::run(const ike::KeyExchangeJob& job) const {
  return options_.toy_key_exchange ? toy_exchange(job) : real_exchange(job);
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
  } else if (const auto* job = std::get_if<ike::KeyExchangeJob>(&action)) {
    jobs_.push_back(*job);
    if (!hold_jobs) {
      const auto ready = std::exchange(jobs_, {});
      for (const auto& each : ready) endpoint_->on_job_done(now, run(each));
    }
  } else if (const auto* install = std::get_if<ike::InstallSa>(&action)) {
    plane.install(install->spec, now);
  } else if (const auto* remove = std::get_if<ike::RemoveSa>(&action)) {
    plane.remove(*remove);
  } else if (const auto* activate = std::get_if<ike::ActivateChild>(&action)) {
    plane.activate(activate->child);
  } else if (const auto* update = std::get_if<ike::UpdateChildEndpoints>(&action)) {
    plane.update_endpoints(*update);
  } else if (const auto* usage = std::get_if<ike::QueryUsage>(&action)) {
    endpoint_->on_usage(now, usage->child, plane.last_inbound(usage->child));
  } else if (const auto* up = std::get_if<ike::ChildUp>(&action)) {
    if (options_.keep_history) child_ups.push_back(*up);
  } else if (const auto* down = std::get_if<ike::ChildDown>(&action)) {
    ++children_down;
    if (options_.keep_history) child_downs.push_back(*down);
  } else if (const auto* ike_up = std::get_if<ike::IkeUp>(&action)) {
    if (options_.keep_history) ike_ups.push_back(*ike_up);
  } else if (const auto* ike_down = std::get_if<ike::IkeDown>(&action)) {
    if (options_.keep_history) ike_downs.push_back(*ike_down);
  } else if (const auto* ended = std::get_if<ike::InitiationDone>(&action)) {
    if (options_.keep_history) done.push_back(*ended);
    if (on_done) on_done(*ended);
  } else if (const auto* report = std::get_if<ike::Report>(&action)) {
    if (options_.keep_history) reports.push_back(*report);
    if (on_report) on_report(*report);
  } else if (const auto* put = std::get_if<ike::Checkpoint>(&action)) {
    checkpoints[put->key] = put->value;
  } else if (const auto* drop = std::get_if<ike::DropCheckpoint>(&action)) {
    checkpoints.erase(drop->key);
  }
  return alive();
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
