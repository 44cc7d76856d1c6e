// SPDX-License-Identifier: Apache-2.0
// What follows from several words of a connection together.
#include <algorithm>

#include "config/connection_draft.h"
#include "config/diet_words.h"
#include "config/iptfs_words.h"
#include "config/pool_words.h"
#include "config/proposals.h"
#include "config/values.h"
#include "model/everything.h"
#include "model/selection.h"

namespace cygnet::config {
namespace {

using model::HostSpec;
using model::StartAction;
using model::Transform;
using model::TransformType;

constexpr std::uint32_t kDay = 86400;

bool covers_everything(const model::TrafficSelectors& selectors) {
  return std::all_of(selectors.begin(), selectors.end(),
                     [&](const auto& ts) { return model::take_all_addresses(selectors, ts.range.first.family()); });
}

class Finisher {
 public:
  Finisher(ConnectionDraft& draft, const SetupDefaults& defaults, Reporter& report)
      : draft_(draft), conn_(draft.connection), child_(draft.child), defaults_(defaults), report_(report) {}

  void finish() {
    check_ends();
    fill_manners();
    fill_proposals();
    fill_times();
    if (!draft_.device_set) child_.device = defaults_.device;
    if (defaults_.keepalive_s && conn_.keepalive_s != 0) conn_.keepalive_s = *defaults_.keepalive_s;
    finish_addresses(draft_, report_);
    make_children(draft_, report_);
    // Every child that is written down must find room, while it is rekeyed as well.
    if (!draft_.max_children_set)
      conn_.max_children = std::max(conn_.max_children, 2 * static_cast<std::uint32_t>(conn_.children.size()));
    ask_for_everything(draft_);
    fill_mobike();
    check_transport();
    check_interface();
    check_protection();
    check_networks();
    check_source_ips(draft_.left, conn_.local);
    check_source_ips(draft_.right, conn_.remote);
  }

 private:
  void error(const Place& place, const std::string& message, std::string hint = {}) {
    report_.error(place, "conn " + conn_.name + ": " + message, std::move(hint));
  }
  void warning(const Place& place, const std::string& message, std::string hint = {}) {
    report_.warning(place, "conn " + conn_.name + ": " + message, std::move(hint));
  }
  void check_ends();
  void fill_manners();
  void fill_proposals();
  void fill_groups(model::Proposal& proposal) const;
  void fill_times();
  void fill_dead_peer();
  void fill_mobike();
  void check_transport();
  void check_interface();
  void check_networks();
  void check_protection();
  void check_alternatives(const EndDraft& draft, const model::End& end, const HostSpec& other);
  void check_source_ips(const EndDraft& draft, const model::End& end);

  ConnectionDraft& draft_;
  model::Connection& conn_;
  model::Child& child_;
  const SetupDefaults& defaults_;
  Reporter& report_;
};

void Finisher::check_interface() {
  if (child_.interface_number == 0 || (child_.interface_id_in == 0 && child_.interface_id_out == 0)) return;
  error(draft_.place, "ipsec-interface= makes an XFRM interface, if-id-in= and if-id-out= name one that is there",
        "write one of them");
}

void Finisher::check_ends() {
  const auto& left = conn_.local.host;
  const auto& right = conn_.remote.host;
  for (const auto* end : {&draft_.left, &draft_.right}) {
    if (!end->host_set)
      error(draft_.place, end->side + "= is missing",
            "write " + end->side + "= with an address, a name, %any or %defaultroute");
  }
  if (!draft_.left.host_set || !draft_.right.host_set) return;
  const bool both_any = left.kind == HostSpec::Kind::kAny && right.kind == HostSpec::Kind::kAny;
  const bool both_default = left.kind == HostSpec::Kind::kDefaultRoute && right.kind == HostSpec::Kind::kDefaultRoute;
  if (both_default || (left == right && !both_any)) {
    error(draft_.right.host_place, "left= and right= are the same host", "one of them must be the peer");
  }
  if (left.kind == HostSpec::Kind::kAddress && right.kind == HostSpec::Kind::kAddress &&
      left.address.family() != right.address.family()) {
    error(draft_.right.host_place, "left= and right= are addresses of different families");
  }
  if ((conn_.childless == model::Childless::kPrefer || conn_.childless == model::Childless::kForce) &&
      (conn_.local.requests_address() || conn_.remote.requests_address()))
    error(draft_.place, "with sourceip=%config the first child must come with IKE_AUTH, which asks for the address",
          "write childless=allow");
  check_alternatives(draft_.left, conn_.local, right);
  check_alternatives(draft_.right, conn_.remote, left);
  if (right.kind == HostSpec::Kind::kAny &&
      (child_.start == StartAction::kStart || child_.start == StartAction::kOnDemand)) {
    error(draft_.right.host_place, "with right=%any there is nobody to call",
          "write auto=add, which waits for the peer, or the peer's address");
  }
  if (conn_.local.id && conn_.remote.id && *conn_.local.id == *conn_.remote.id) {
    warning(draft_.place, "leftid= and rightid= are the same identity");
  }
}

// Who the peer is must not depend on where it answers.
void Finisher::check_alternatives(const EndDraft& draft, const model::End& end, const HostSpec& other) {
  if (end.alternatives.empty()) return;
  if (!end.id && !end.id_any && end.certificate.empty()) {
    error(draft.host_place, "several addresses in " + draft.side + "= need " + draft.side + "id=",
          "write who the peer is, wherever it answers");
  }
  for (const auto& host : end.alternatives) {
    if (other.kind == HostSpec::Kind::kAddress && host.kind == HostSpec::Kind::kAddress &&
        host.address.family() != other.address.family())
      error(draft.host_place, "left= and right= are addresses of different families");
  }
}

void Finisher::fill_groups(model::Proposal& proposal) const {
  const bool written = !proposal.of(TransformType::kKeyExchange).empty();
  if (draft_.pfs == Pfs::kOff) {
    std::erase_if(proposal.transforms, [](const Transform& t) { return t.type == TransformType::kKeyExchange; });
  } else if (!written) {
    for (const auto group : model::groups_of(conn_.proposals)) {
      proposal.transforms.push_back({TransformType::kKeyExchange, static_cast<std::uint16_t>(group), 0});
    }
    // Neither asked for nor refused: offered, and a peer that does without gets its way.
    if (draft_.pfs == Pfs::kOptional) proposal.transforms.push_back({TransformType::kKeyExchange, 0, 0});
  }
}

// What clients of this kind need otherwise than others do.
void Finisher::fill_manners() {
  using model::Profile;
  switch (conn_.profile) {
    case Profile::kDefault: return;
    case Profile::kWindows:
    case Profile::kWindowsStock:
      // Behind a NAT it refuses to have a child rekeyed and ends; it does so itself, in time.
      conn_.rekey_children = false;
      if (!draft_.lifetime_set) child_.lifetime_s = kDay;
      return;
    case Profile::kApple:
    case Profile::kAndroid:
      // Children come without a key exchange of their own, first and at each rekey, unless pfs= or esp= says otherwise.
      if (draft_.pfs == Pfs::kOptional && child_.proposals.empty()) draft_.pfs = Pfs::kOff;
      return;
  }
}

void Finisher::fill_proposals() {
  if (conn_.proposals.empty()) conn_.proposals = profile_ike_proposals(conn_.profile);
  const bool ah = child_.protocol == model::SaProtocol::kAh;
  if (child_.proposals.empty()) child_.proposals = ah ? default_ah_proposals() : profile_esp_proposals(conn_.profile);
  for (auto& proposal : child_.proposals) {
    fill_groups(proposal);
    if (!proposal.of(TransformType::kEsn).empty()) continue;
    if (draft_.esn != Esn::kNever) proposal.transforms.push_back({TransformType::kEsn, 1, 0});
    if (draft_.esn != Esn::kOnly) proposal.transforms.push_back({TransformType::kEsn, 0, 0});
  }
}

void Finisher::fill_times() {
  const auto shortest = [&]() -> std::uint64_t {
    const std::uint64_t ike = conn_.ike_lifetime_s;
    const std::uint64_t child = child_.lifetime_s;
    if (ike == 0 || child == 0) return std::max(ike, child);
    return std::min(ike, child);
  }();
  if (!draft_.margin_place) {
    // Short lifetimes get a short margin: at most a tenth, doubled by the fuzz.
    if (shortest != 0)
      conn_.rekey_margin_s =
          static_cast<std::uint32_t>(std::clamp<std::uint64_t>(shortest / 10, 1, conn_.rekey_margin_s));
  } else if (conn_.rekey && shortest != 0) {
    const auto earliest = std::uint64_t{conn_.rekey_margin_s} * (100 + conn_.rekey_fuzz_percent) / 100;
    if (earliest >= shortest) {
      error(*draft_.margin_place,
            "with rekeyfuzz= the margin grows up to " + std::to_string(earliest) +
                "s, which is the whole lifetime of " + std::to_string(shortest) + "s",
            "make margintime= or rekeyfuzz= smaller, or lifetime= and ikelifetime= longer");
    }
  }
  // By hand, one attempt that says what is wrong; what must stay up tries for ever.
  const bool restarts = draft_.dpd_action_place && conn_.dpd_action == model::DeadPeerAction::kRestart;
  if (!draft_.keying_tries_place && child_.start == StartAction::kAdd && !draft_.keep && !restarts)
    conn_.keying_tries = 1;
  fill_dead_peer();
}

void Finisher::fill_dead_peer() {
  if (draft_.dpd_action_place) {
    if (conn_.dpd_action == model::DeadPeerAction::kNone) conn_.dpd_delay_s = 0;
  } else if (draft_.keep || child_.start == StartAction::kStart) {
    conn_.dpd_action = model::DeadPeerAction::kRestart;
  } else {
    conn_.dpd_action =
        child_.start == StartAction::kOnDemand ? model::DeadPeerAction::kHold : model::DeadPeerAction::kClear;
  }
}

// Two fixed addresses do not roam: these stay on port 500 unless mobike=yes is written.
void Finisher::fill_mobike() {
  const bool fixed =
      conn_.local.host.kind == HostSpec::Kind::kAddress && conn_.remote.host.kind == HostSpec::Kind::kAddress;
  const bool tunnel = child_.mode == model::Mode::kTunnel;
  conn_.mobike = tunnel && draft_.mobike.value_or(!fixed);
  if (draft_.mobike.value_or(false) && !tunnel)
    warning(draft_.place, "mobike=yes has no effect with type=transport: RFC 4555 moves tunnels only");
}

void Finisher::check_transport() {
  if (child_.mode != model::Mode::kTransport) return;
  const auto only_host = [](const model::End& end, const model::TrafficSelectors& selectors) {
    if (end.host.kind != HostSpec::Kind::kAddress) return true;
    return std::all_of(selectors.begin(), selectors.end(),
                       [&](const auto& ts) { return ts.range == IpRange::of(end.host.address); });
  };
  for (const auto& child : conn_.children) {
    const std::pair<const EndDraft*, bool> ends[] = {{&draft_.left, only_host(conn_.local, child.local)},
                                                     {&draft_.right, only_host(conn_.remote, child.remote)}};
    for (const auto& [end, fits] : ends) {
      if (fits) continue;
      const auto& entry = end->subnet ? end->subnet : end->subnets;
      error(entry ? entry->value_place() : draft_.place,
            "type=transport protects the two hosts themselves, not networks behind them",
            "remove " + end->side + "subnet=, or write type=tunnel");
    }
  }
}

// Words that contradict each other about what goes around the packets.
void Finisher::check_protection() {
  const bool ah = child_.protocol == model::SaProtocol::kAh;
  if (ah && conn_.encapsulation == model::Encapsulation::kForce) {
    error(draft_.place, "AH covers the addresses and cannot travel in UDP", "remove encapsulation=yes, or use esp=");
  }
  if (ah && child_.compress) error(draft_.place, "compress=yes works inside ESP only", "remove it, or use esp=");
  check_iptfs(child_, draft_.place, report_);
  check_diet(child_, draft_.place, report_);
  if (child_.tfc_octets == 0) return;
  if (ah) error(draft_.place, "AH hides nothing, so tfc= has nothing to add", "remove tfc=, or use esp=");
  if (child_.mode != model::Mode::kTunnel)
    error(draft_.place, "tfc= pads packets in tunnels only (RFC 4303 section 2.7)", "remove tfc=, or type=transport");
  if (child_.compress) error(draft_.place, "what is compressed cannot be padded", "remove tfc= or compress=yes");
}

void Finisher::check_networks() {
  for (const auto& child : conn_.children) {
    if (!child.local.empty() && child.local == child.remote && !covers_everything(child.local)) {
      error(draft_.place, "both ends claim the same networks: " + model::to_string(child.local),
            "each network lies behind one end");
    }
    const bool assigned = conn_.local.requests_address() || conn_.remote.requests_address() ||
                          !conn_.local.pools.empty() || !conn_.remote.pools.empty();
    if (child.mode == model::Mode::kTunnel && child.local.empty() && child.remote.empty() && !assigned) {
      report_.note(draft_.place, "conn " + conn_.name +
                                     ": without leftsubnet= and rightsubnet= the tunnel carries only traffic between "
                                     "the two gateways themselves");
    }
  }
}

void Finisher::check_source_ips(const EndDraft& draft, const model::End& end) {
  for (const auto& address : end.source_ips) {
    const bool left = &end == &conn_.local;
    const bool inside = std::any_of(conn_.children.begin(), conn_.children.end(), [&](const auto& child) {
      const auto& own = left ? child.local : child.remote;
      return own.empty() ||
             std::any_of(own.begin(), own.end(), [&](const auto& ts) { return ts.range.contains(address); });
    });
    if (!inside && !conn_.children.empty() && draft.sourceip) {
      warning(draft.sourceip->value_place(),
              address.to_string() + " lies in none of the networks of " + draft.side +
                  ": packets from it will not enter the tunnel",
              "choose an address of " + draft.side + "subnet=");
    }
  }
}

}  // namespace

void finish_connection(ConnectionDraft& draft, const SetupDefaults& defaults, Reporter& report) {
  Finisher(draft, defaults, report).finish();
}

}  // namespace cygnet::config
