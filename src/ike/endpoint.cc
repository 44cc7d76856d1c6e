// SPDX-License-Identifier: Apache-2.0
// The face of ike/: sets the time, hands over to v2/, and settles deadlines afterwards.
#include "ike/endpoint.h"

#include <algorithm>

#include "ike/v2/administer.h"
#include "ike/v2/crash_detection.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/mobike.h"
#include "ike/v2/receive.h"
#include "ike/v2/timers.h"

namespace cygnet::ike {

struct IkeEndpoint::Impl {
  Impl(EndpointSettings settings, Random& random) : world(std::move(settings), random) {}
  v2::World world;
};

namespace {

// One event: time goes forward, and when it is over every touched SA has its deadline.
class Event {
 public:
  Event(v2::World& world, Instant now) : world_(world) { world.now = std::max(world.now, now); }
  ~Event() {
    v2::finish_auth_here(world_);
    world_.settle();
  }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

 private:
  v2::World& world_;
};

}  // namespace

IkeEndpoint::IkeEndpoint(EndpointSettings settings, Random& random)
    : impl_(std::make_unique<Impl>(std::move(settings), random)) {}
IkeEndpoint::~IkeEndpoint() = default;

void IkeEndpoint::configure(Instant now, std::vector<model::Connection> connections,
                            const model::PublicCredentials& credentials) {
  const Event event(impl_->world, now);
  v2::configure(impl_->world, std::move(connections), credentials);
}

void IkeEndpoint::reconfigure(Instant now, std::vector<model::Connection> changed,
                              const std::vector<std::string>& order) {
  const Event event(impl_->world, now);
  v2::reconfigure(impl_->world, std::move(changed), order);
}

void IkeEndpoint::use_waiting(const std::vector<model::Connection>& waiting) {
  std::vector<v2::ConnectionPtr> all;
  all.reserve(waiting.size());
  for (const auto& connection : waiting) all.push_back(std::make_shared<const model::Connection>(connection));
  impl_->world.use_waiting(std::move(all));
}

void IkeEndpoint::use_status_responses(std::map<Bytes, Bytes> responses) {
  impl_->world.status_responses = std::move(responses);
}

void IkeEndpoint::handle_datagram(Instant now, const Path& path, ByteView bytes) {
  const Event event(impl_->world, now);
  ++impl_->world.counters.datagrams_in;
  v2::receive(impl_->world, path, bytes);
}

void IkeEndpoint::on_job_done(Instant now, const JobResult& result) {
  const Event event(impl_->world, now);
  v2::finish_job(impl_->world, result);
}

void IkeEndpoint::on_auth_done(Instant now, const auth::AuthResult& result) {
  const Event event(impl_->world, now);
  v2::finish_auth(impl_->world, result);
}

void IkeEndpoint::on_puzzle_done(Instant now, const PuzzleResult& result) {
  const Event event(impl_->world, now);
  v2::finish_puzzle(impl_->world, result);
}

void IkeEndpoint::on_timer(Instant now) {
  auto& world = impl_->world;
  const Event event(world, now);
  for (const auto spi : world.deadlines.take_due(world.sas, world.now)) {
    auto* sa = world.find_sa(spi);
    if (sa == nullptr) continue;
    world.touch(*sa);
    if (sa->alive()) v2::on_sa_timer(world, *sa);
  }
  v2::run_retries(world);
}

Instant IkeEndpoint::next_deadline() const {
  const auto& world = impl_->world;
  const auto retry = v2::next_retry(world);
  return std::min(retry, world.deadlines.next());
}

void IkeEndpoint::initiate(Instant now, const std::string& connection, const std::string& child,
                           const std::optional<std::pair<model::TrafficSelector, model::TrafficSelector>>& narrow_to) {
  auto& world = impl_->world;
  const Event event(world, now);
  const auto known = world.find_connection(connection);
  std::size_t found = 0;
  if (known) {
    for (const auto& c : known->children) {
      if (!child.empty() && c.name != child) continue;
      ++found;
      v2::ChildWant want;
      want.connection = known;
      want.child = c.name;
      want.narrow_to = narrow_to;
      v2::want_child(world, std::move(want));
    }
  }
  if (found != 0) return;
  world.act(InitiationDone{
      connection, child, false, false,
      known ? "connection " + connection + " has no child " + child : "there is no connection " + connection});
}

void IkeEndpoint::terminate(Instant now, const std::string& connection, const std::string& child) {
  const Event event(impl_->world, now);
  v2::terminate(impl_->world, connection, child);
}

void IkeEndpoint::rekey(Instant now, const std::string& connection, const std::string& child, bool ike_sa) {
  const Event event(impl_->world, now);
  v2::rekey(impl_->world, connection, child, ike_sa);
}

void IkeEndpoint::shut_down(Instant now) {
  const Event event(impl_->world, now);
  v2::shut_down(impl_->world);
}

void IkeEndpoint::on_child_expiring(Instant now, model::ChildId child, bool hard) {
  const Event event(impl_->world, now);
  if (auto* sa = impl_->world.find_owner(child)) v2::on_child_expiring(impl_->world, *sa, child, hard);
}

void IkeEndpoint::on_child_refused(Instant now, model::ChildId child, const std::string& why) {
  const Event event(impl_->world, now);
  if (auto* sa = impl_->world.find_owner(child)) v2::on_child_refused(impl_->world, *sa, child, why);
}

void IkeEndpoint::on_child_activated(Instant now, model::ChildId child) {
  const Event event(impl_->world, now);
  auto* sa = impl_->world.find_owner(child);
  auto* found = sa == nullptr ? nullptr : sa->find_child(child);
  if (found == nullptr || found->activate_at == kNever) return;
  found->activate_at = kNever;
  impl_->world.touch(*sa);
  impl_->world.checkpoint(*sa);
}

void IkeEndpoint::on_peer_moved(Instant now, model::ChildId child, const cygnet::Endpoint& remote,
                                const cygnet::Endpoint& local) {
  const Event event(impl_->world, now);
  auto* sa = impl_->world.find_owner(child);
  // Only encapsulated ESP shares its ports with IKE, and only a peer behind a NAT moves without saying so.
  if (sa == nullptr || !sa->path.marked || !sa->nat_remote) return;
  // Who just says where it is now is asked to prove it first (RFC 4555 section 3.7).
  if (sa->mobility.unproven) return;
  // RFC 4555 section 3.8: with MOBIKE ESP may be followed, but these updates are not for IKE.
  if (sa->mobility.agreed) return v2::move_esp(impl_->world, *sa, remote);
  if (sa->path.remote == remote) return;
  v2::move_peer(impl_->world, *sa, Path{local, remote, true});
}

void IkeEndpoint::on_local_addresses(Instant now, std::vector<IpAddress> addresses) {
  const Event event(impl_->world, now);
  v2::on_local_addresses(impl_->world, std::move(addresses));
}

void IkeEndpoint::on_usage(Instant now, model::ChildId child, Instant last_inbound, Instant last_outbound) {
  const Event event(impl_->world, now);
  if (auto* sa = impl_->world.find_owner(child)) v2::note_usage(impl_->world, *sa, child, last_inbound, last_outbound);
}

void IkeEndpoint::on_unknown_spi(Instant now, Spi spi, const cygnet::Endpoint& local, const cygnet::Endpoint& remote,
                                 bool udp) {
  const Event event(impl_->world, now);
  v2::on_unknown_spi(impl_->world, spi, local, remote, udp);
}

void IkeEndpoint::adopt(Instant now, const std::vector<std::pair<std::string, Bytes>>& checkpoints,
                        const std::vector<model::SaSpec>& sas) {
  const Event event(impl_->world, now);
  v2::adopt(impl_->world, checkpoints, sas);
}

Actions IkeEndpoint::take_actions() { return std::exchange(impl_->world.actions, {}); }
void IkeEndpoint::take_actions(Actions& into) {
  into.clear();
  into.swap(impl_->world.actions);
}
std::vector<IkeStatus> IkeEndpoint::status(const std::string& connection) const {
  return v2::status(impl_->world, connection);
}
const EndpointCounters& IkeEndpoint::counters() const { return impl_->world.counters; }
std::size_t IkeEndpoint::initiating() const { return impl_->world.initiating; }
std::size_t IkeEndpoint::waiting() const { return impl_->world.retries.size(); }

std::vector<ExportedIkeKeys> IkeEndpoint::export_keys() const {
  std::vector<ExportedIkeKeys> out;
  if (!impl_->world.settings.setup.allow_key_export) return out;
  const auto copy = [](const SecretBytes& key) { return Bytes(key.begin(), key.end()); };
  for (const auto& [spi, sa] : impl_->world.sas) {
    if (!sa->open) continue;
    out.push_back({sa->spi_i, sa->spi_r, copy(sa->keys.ei), copy(sa->keys.er), copy(sa->keys.ai), copy(sa->keys.ar),
                   sa->algorithms});
  }
  return out;
}

}  // namespace cygnet::ike
