// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/world.h"

#include <algorithm>

#include "ike/v2/compression.h"
#include "ike/v2/serialize_state.h"
#include "ike/v2/timers.h"

namespace cygnet::ike::v2 {

namespace {

// With tens of thousands of SAs there may be no CPI left that is free.
constexpr unsigned kCpiTries = 64;

// One that the peer keeps waiting holds up nobody else: it counts until its first retransmission.
bool is_initiating(const IkeSa& sa) {
  return sa.initiator && sa.handshake && sa.alive() && sa.established == Instant{} &&
         (!sa.outstanding || sa.outstanding->sent == 1);
}

// CPIs of ours, in order. RFC 3173 section 3.3: "The CPI in combination with the destination IP address uniquely
// identifies the compression algorithm characteristics", and the kernel looks at nothing else, whoever the peer is.
std::vector<std::uint16_t> cpis_in_kernel(const FlatSet<Spi>& ours) {
  std::vector<Spi> spis;
  ours.append_to(spis);
  std::vector<std::uint16_t> out;
  out.reserve(spis.size());
  for (const auto spi : spis) out.push_back(cpi_of(spi));
  std::ranges::sort(out);
  return out;
}

}  // namespace

bool RateLimit::allow(Instant now) {
  const auto passed = (now - last_) / every_;
  if (passed > 0) {
    tokens_ = static_cast<unsigned>(std::min<std::int64_t>(burst_, static_cast<std::int64_t>(tokens_) + passed));
    last_ = now;
  }
  if (tokens_ == 0) return false;
  --tokens_;
  return true;
}

World::World(EndpointSettings endpoint_settings, Random& randomness)
    : settings(std::move(endpoint_settings)), random(randomness) {}

ConnectionPtr World::find_connection(const std::string& name) const { return connection_index.find(name); }

void World::use_connections(std::vector<ConnectionPtr> all) {
  connections = std::move(all);
  connection_index.rebuild(connections);
  index_named_ranges();
}

void World::use_waiting(std::vector<ConnectionPtr> all) {
  if (all.empty() && waiting.empty()) return;
  waiting = std::move(all);
  index_named_ranges();
}

void World::index_named_ranges() {
  if (waiting.empty()) {
    named_ranges = ranges_of_named_peers(connections);
    return;
  }
  auto all = connections;
  all.insert(all.end(), waiting.begin(), waiting.end());
  named_ranges = ranges_of_named_peers(all);
}

std::vector<IkeSa*> World::living(SaIndex::Name name) const {
  std::vector<IkeSa*> out;
  for (const auto spi : sa_index.find(name)) {
    auto* sa = find_sa(spi);
    if (sa != nullptr && sa->alive()) out.push_back(sa);
  }
  return out;
}

std::vector<IkeSa*> World::sas_between(const model::Identity& local, const model::Identity& remote) const {
  return living(SaIndex::of_ends(local, remote));
}

std::vector<IkeSa*> World::sas_with_peer(const IpAddress& remote, const model::Identity& local) const {
  return living(SaIndex::of_peer(remote, local));
}

std::vector<IkeSa*> World::sas_at(const IpAddress& remote) const { return living(SaIndex::of_address(remote)); }

std::vector<IkeSa*> World::sas_of(const std::string& connection) const {
  return living(SaIndex::of_connection(connection));
}

void World::index(IkeSa& sa) {
  auto& names = naming;
  names.clear();
  if (sa.alive()) {
    const auto local = hash_of(sa.local_id);
    names.push_back(SaIndex::of_ends(local, hash_of(sa.remote_id)));
    names.push_back(SaIndex::of_peer(sa.path.remote.address, local));
    names.push_back(SaIndex::of_address(sa.path.remote.address));
    if (sa.connection) names.push_back(SaIndex::of_connection(sa.connection->name));
    for (const auto& child : sa.children) {
      if (child->connection != sa.connection) names.push_back(SaIndex::of_connection(child->connection->name));
    }
    const auto add_wanted = [&](const ChildWant& want) {
      if (want.connection && want.connection != sa.connection)
        names.push_back(SaIndex::of_connection(want.connection->name));
    };
    if (sa.handshake) std::ranges::for_each(sa.handshake->wants, add_wanted);
    if (sa.task) add_wanted(sa.task->want);
    for (const auto& task : sa.queue) add_wanted(task.want);
  }
  sa_index.rename(sa.local_spi(), sa.indexed, names);
}

IkeSa* World::find_sa(IkeSpi local_spi) const {
  const auto* found = sas.find(local_spi);
  return found == nullptr ? nullptr : found->get();
}

IkeSa* World::find_owner(model::ChildId child) const {
  const auto* found = child_owner.find(child);
  return found == nullptr ? nullptr : find_sa(*found);
}

bool World::in_kernel(const model::Connection& connection) const {
  return settings.in_kernel ? settings.in_kernel(connection) : settings.setup.engine != model::EngineKind::kUser;
}

IkeSpi World::new_ike_spi() {
  for (;;) {
    const IkeSpi spi(random.u64());
    if (!spi.is_zero() && find_sa(spi) == nullptr) return spi;
  }
}

Spi World::new_esp_spi(const model::Connection& connection) {
  const bool compresses = std::ranges::any_of(connection.children, &model::Child::compress);
  const auto cpis = compresses && in_kernel(connection) ? cpis_in_kernel(esp_spis) : std::vector<std::uint16_t>{};
  for (unsigned tries = 0;; ++tries) {
    auto value = random.u32();
    if (settings.in_kernel) {
      value = settings.in_kernel(connection) ? value | model::kKernelSpiBit : value & ~model::kKernelSpiBit;
    }
    const Spi spi(value);
    if (tries < kCpiTries && std::ranges::binary_search(cpis, cpi_of(spi))) continue;
    if (spi.value > 255 && esp_spis.insert(spi)) return spi;
  }
}

IkeSa& World::add_sa(std::unique_ptr<IkeSa> sa) {
  sa->created = now;
  sa->last_inbound = now;
  auto& added = *sa;
  sas[added.local_spi()] = std::move(sa);
  index(added);
  touch(added);
  return added;
}

void World::order_job(IkeSa& sa, About about, model::KeGroup group, std::optional<crypto::KeyPair> own,
                      std::optional<Bytes> peer_public) {
  KeyExchangeJob job;
  job.job = next_job++;
  job.group = group;
  job.own = std::move(own);
  job.peer_public = std::move(peer_public);
  if (!job.own) {
    job.seed.resize(64);
    random.fill(job.seed);
  }
  (about == About::kPeerRequest ? sa.peer_job : sa.own_job) = job.job;
  jobs[job.job] = {sa.local_spi(), about, job.peer_public ? Job::Kind::kSharedSecret : Job::Kind::kKeyPair};
  act(std::move(job));
}

std::uint64_t World::new_auth_job(IkeSa& sa, About about, bool proof) {
  const auto number = next_job++;
  (about == About::kPeerRequest ? sa.peer_job : sa.own_job) = number;
  jobs[number] = {sa.local_spi(), about, proof ? Job::Kind::kProof : Job::Kind::kVerification};
  touch(sa);
  return number;
}

void World::order_auth(IkeSa& sa, About about, decltype(auth::AuthJob::what) what) {
  const bool proof = std::holds_alternative<auth::PskProve>(what) || std::holds_alternative<auth::SignatureProve>(what);
  const auto number = new_auth_job(sa, about, proof);
  act(auth::AuthJob{number, std::move(what)});
}

void World::order_puzzle(IkeSa& sa, About about, model::PrfId prf, unsigned difficulty, Bytes text) {
  sa.own_job = next_job++;
  jobs[sa.own_job] = {sa.local_spi(), about, Job::Kind::kPuzzle};
  act(PuzzleJob{sa.own_job, prf, difficulty, std::move(text)});
}

void World::finish_auth_here(IkeSa& sa, About about, bool proof, auth::AuthResult result) {
  result.job = new_auth_job(sa, about, proof);
  auth_done.push_back(std::move(result));
}

void World::report(Severity severity, const std::string& connection, const std::string& peer, std::string event,
                   std::string message) {
  act(Report{severity, connection, peer, std::move(event), std::move(message)});
}

void World::report(const IkeSa& sa, Severity severity, std::string event, std::string message) {
  report(severity, sa.name(), sa.peer(), std::move(event), std::move(message));
}

void World::checkpoint(const IkeSa& sa) {
  if (sa.state != State::kEstablished && sa.state != State::kRekeyed && sa.state != State::kDeleting) return;
  act(Checkpoint{checkpoint_key(sa), serialize_state(sa)});
}

void World::send_raw(const Path& path, Bytes bytes) {
  ++counters.datagrams_out;
  act(SendDatagram{path, std::move(bytes)});
}

void World::send_at_once(const Path& path, Bytes bytes) {
  ++counters.datagrams_out;
  act(SendDatagram{path, std::move(bytes), true});
}

void World::settle() {
  for (const auto spi : touched) {
    auto* sa = find_sa(spi);
    if (sa == nullptr) continue;
    sa->due = sa->alive() ? next_due(*sa) : kNever;
    deadlines.note(*sa);
    index(*sa);
    if (const bool now_initiating = is_initiating(*sa); now_initiating != sa->initiating) {
      now_initiating ? ++initiating : --initiating;
      sa->initiating = now_initiating;
    }
    sa->task.give_room_back();
    if (!sa->alive()) sas.erase(spi);
  }
  touched.clear();
  deadlines.tidy(sas);
}

Duration jitter(Random& random, Duration d, unsigned percent) {
  const auto span = d.count() / 100 * percent;
  if (span <= 0) return d;
  return Duration(d.count() - span + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(2 * span + 1))));
}

}  // namespace cygnet::ike::v2
