// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/negotiate.h"

#include <algorithm>

#include "ike/diagnosis.h"
#include "ike/v2/clones.h"
#include "ike/v2/compression.h"
#include "ike/v2/configuration.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/match.h"
#include "ike/v2/request.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;
using model::TrafficSelector;
using model::TrafficSelectors;

TrafficSelectors or_host(const TrafficSelectors& configured, const IpAddress& host) {
  return configured.empty() ? TrafficSelectors{TrafficSelector::of(IpRange::of(host))} : configured;
}

TrafficSelectors own_local(const IkeSa& sa, const model::Connection& connection, const model::Child& child) {
  if (auto assigned = assigned_local(sa, connection, child)) return *assigned;
  return or_host(child.local, sa.path.local.address);
}
TrafficSelectors own_remote(const IkeSa& sa, const model::Connection& connection, const model::Child& child) {
  if (auto assigned = assigned_remote(sa, connection, child)) return *assigned;
  return or_host(child.remote, sa.path.remote.address);
}

wi::SaPayload sa_payload(const std::vector<model::Proposal>& proposals, Spi spi) {
  wi::SaPayload out;
  std::uint8_t number = 1;
  for (const auto& proposal : proposals) {
    wi::SaProposal p;
    p.number = number++;
    p.spi.resize(4);
    store_be32(p.spi.data(), spi.value);
    p.proposal = proposal;
    if (p.proposal.protocol != model::Protocol::kAh) p.proposal.protocol = model::Protocol::kEsp;
    // RFC 7296 section 3.3.2: ESN is a mandatory transform type of ESP and AH.
    if (p.proposal.of(model::TransformType::kEsn).empty())
      p.proposal.transforms.push_back({model::TransformType::kEsn, 0, 0});
    out.proposals.push_back(std::move(p));
  }
  return out;
}

// AH covers the addresses: RFC 3948 section 1 has no way through a NAT for it.
Refusal ah_behind_nat(const IkeSa& sa) {
  return {wi::NotifyType::kNoProposalChosen,
          {},
          "ah-behind-nat",
          "there is a NAT between us and " + sa.peer() + ", and AH cannot pass one: use esp= at both ends"};
}

wi::TsPayload ts_payload(bool initiator, const TrafficSelectors& selectors) {
  wi::TsPayload out;
  out.initiator = initiator;
  out.selectors = selectors;
  return out;
}

std::vector<model::Proposal> offered_in(const wi::SaPayload& sa) {
  std::vector<model::Proposal> out;
  out.reserve(sa.proposals.size());
  for (const auto& p : sa.proposals) out.push_back(p.understood());
  return out;
}

// One candidate of ours for the peer's wish.
struct Match {
  ConnectionPtr connection;
  const model::Child* child;
  TrafficSelectors local, remote;
  int rank;
};

// RFC 7296 section 2.23.1: in transport mode behind a NAT the peer speaks of addresses that nobody here sees; single
// hosts are replaced by the addresses the packets really carry.
TrafficSelectors with_host(TrafficSelectors selectors, const IpAddress& seen) {
  for (auto& ts : selectors) {
    if (ts.range.first == ts.range.last && ts.range.first.family() == seen.family()) ts.range = IpRange::of(seen);
  }
  return selectors;
}

// And back again for the answer, which must lie inside what the peer proposed.
TrafficSelectors with_hosts_of(TrafficSelectors narrowed, const TrafficSelectors& proposed) {
  if (proposed.empty()) return narrowed;
  for (auto& ts : narrowed) {
    if (ts.range.first == ts.range.last) ts.range = proposed.front().range;
  }
  return narrowed;
}

// The mode wanted counts most, then the packet that asked, then an exact fit, then a wish inside the policy, then one
// that had to be narrowed.
int rank_of(const Match& m, const TrafficSelectors& tsr, const TrafficSelectors& tsi, bool transport,
            const ChildSa* rekeyed) {
  // RFC 7296 section 2.9: "to a subset that includes the initiator's first choices".
  const bool first = model::covers(m.local, {tsr.front()}) && model::covers(m.remote, {tsi.front()});
  const bool exact = m.local == tsr && m.remote == tsi;
  const bool inside = model::covers(m.local, tsr) && model::covers(m.remote, tsi);
  const bool same_child =
      rekeyed != nullptr && rekeyed->name == m.child->name && rekeyed->connection->name == m.connection->name;
  const bool same_mode = (m.child->mode == model::Mode::kTransport) == transport;
  return (same_child ? 32 : 0) + (same_mode ? 16 : 0) + (first ? 8 : 0) + (exact ? 4 : 0) + (inside ? 2 : 0) + 1;
}

// Our own outer address belongs to a peer's networks only where the configuration says just that, never because the
// peer chose it out of something wider.
bool takes_our_address(const IkeSa& sa, const TrafficSelectors& chosen, const TrafficSelectors& configured) {
  const auto ours = IpRange::of(sa.path.local.address);
  if (chosen == configured || model::narrow(chosen, {TrafficSelector::of(ours)}).empty()) return false;
  return std::none_of(configured.begin(), configured.end(), [&](const auto& ts) { return ts.range == ours; });
}

std::vector<Match> find_matches(const World& world, const IkeSa& sa, const TrafficSelectors& tsr,
                                const TrafficSelectors& tsi, bool transport, const ChildSa* rekeyed,
                                bool& our_address) {
  std::vector<Match> out;
  for (const auto& connection : sharing(world, sa)) {
    for (const auto& child : connection->children) {
      // A tunnel wish never becomes a transport SA; a transport wish may become a tunnel (we just do not confirm it).
      Match m{connection, &child, model::narrow(tsr, own_local(sa, *connection, child)),
              model::narrow(tsi, own_remote(sa, *connection, child)), 0};
      if (m.local.empty() || m.remote.empty()) continue;
      const bool known = rekeyed != nullptr && rekeyed->remote == m.remote;
      if (!known && takes_our_address(sa, m.remote, own_remote(sa, *connection, child))) {
        our_address = true;
        continue;
      }
      m.rank = rank_of(m, tsr, tsi, transport, rekeyed);
      out.push_back(std::move(m));
    }
  }
  std::stable_sort(out.begin(), out.end(), [](const Match& a, const Match& b) { return a.rank > b.rank; });
  return out;
}

Refusal selectors_refusal(const World& world, const IkeSa& sa, const TrafficSelectors& tsr,
                          const TrafficSelectors& tsi) {
  std::vector<diagnosis::SelectorPair> ours;
  for (const auto& connection : sharing(world, sa)) {
    for (const auto& child : connection->children)
      ours.push_back({child.name, own_local(sa, *connection, child), own_remote(sa, *connection, child)});
  }
  return {wi::NotifyType::kTsUnacceptable,
          {},
          "ts-unacceptable",
          diagnosis::selectors_do_not_meet(sa.peer(), tsr, tsi, ours)};
}

// Groups of ESP proposals say nothing in IKE_AUTH.
std::vector<model::Proposal> comparable(const std::vector<model::Proposal>& all, model::ChildKeyExchange ke) {
  return ke == model::ChildKeyExchange::kIgnore ? model::without_key_exchange(all) : all;
}

model::Lifetime lifetime_of(const model::Child& child, Duration soft_age) {
  model::Lifetime out;
  out.hard_bytes = child.lifetime_bytes;
  out.soft_bytes = child.lifetime_bytes / 10 * 9;
  out.hard_packets = child.lifetime_packets;
  out.soft_packets = child.lifetime_packets / 10 * 9;
  out.hard_age_s = child.lifetime_s;
  if (child.lifetime_s != 0)
    out.soft_age_s = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(soft_age).count());
  return out;
}

model::SaSpec spec_of(const World& world, const IkeSa& sa, const ChildSa& child, const model::Child& config) {
  model::SaSpec spec;
  spec.child = child.id;
  spec.connection = child.connection->name;
  spec.child_name = child.name;
  spec.resource = child.resource;
  spec.protocol = child.algorithms.is_ah() ? model::SaProtocol::kAh : model::SaProtocol::kEsp;
  spec.mode = child.mode;
  // RFC 4555 section 3.7: nothing is sent to an address before it is known that the peer receives there.
  const auto& path = sa.mobility.unproven ? sa.mobility.proven : sa.path;
  spec.local = path.local;
  spec.remote = sa.mobility.esp_remote.value_or(path.remote);
  if (child.algorithms.is_ah()) {
    spec.local.port = spec.remote.port = 0;
  } else if (!path.marked) {
    // ESP without encapsulation has no ports; these are the ones to use if a NAT shows up.
    spec.local.port = world.settings.setup.nat_port;
    spec.remote.port = 4500;
  }
  spec.udp_encapsulation = child.udp_encapsulation;
  spec.encryption = child.algorithms.encryption;
  spec.encryption_bits = child.algorithms.encryption_bits;
  spec.integrity = child.algorithms.integrity;
  spec.esn = child.algorithms.esn;
  spec.replay_window = config.replay_window;
  spec.local_selectors = child.local;
  spec.remote_selectors = child.remote;
  spec.device = config.device;
  spec.mtu = config.mtu;
  spec.clamp_mss = config.clamp_mss;
  spec.copy_dscp = config.copy_dscp;
  spec.ecn = config.ecn;
  spec.df = config.df;
  spec.traffic = config.traffic;
  return spec;
}

}  // namespace

Duration soft_life(World& world, const model::Connection& connection, std::uint32_t lifetime_s) {
  const Duration life = std::chrono::seconds(lifetime_s);
  const Duration margin = std::chrono::seconds(connection.rekey_margin_s);
  const auto fuzz_span = margin.count() / 100 * connection.rekey_fuzz_percent;
  const Duration fuzz(static_cast<std::int64_t>(world.random.below(static_cast<std::uint64_t>(fuzz_span) + 1)));
  // A margin that eats the whole life would rekey without end.
  return std::max(life - margin - fuzz, life / 2 + fuzz % (life / 4 + Duration(1)));
}

ChildRequest request_child(const World& world, const IkeSa& sa, const ChildWant& want, const model::Child& child,
                           Spi spi_in, model::ChildKeyExchange ke) {
  ChildRequest out;
  out.offered = comparable(child.proposals, ke);
  auto local = own_local(sa, *want.connection, child);
  auto remote = own_remote(sa, *want.connection, child);
  // A packet that left before we had our address does not tell what will be sent.
  if (want.narrow_to && !want.connection->local.requests_address()) {
    // RFC 7296 section 2.9: "the initiator ... SHOULD include as the first Traffic Selector ... a very specific Traffic
    // Selector including the addresses in the packet triggering the request".
    local.insert(local.begin(), want.narrow_to->first);
    remote.insert(remote.begin(), want.narrow_to->second);
  }
  out.tsi = std::move(local);
  out.tsr = std::move(remote);
  if (child.mode == model::Mode::kTransport) out.notifies.push_back(notify(wi::NotifyType::kUseTransportMode));
  // RFC 7296 section 3.10.1: what we take in ESP is for us to say.
  if (child.compress && can_compress(world, sa, *want.connection, out.tsi, out.tsr))
    out.notifies.push_back(ipcomp_supported(spi_in));
  if (wants_aggfrag(child)) out.notifies.push_back(use_aggfrag(child.iptfs));
  if (wants_diet(child)) out.notifies.push_back(propose_diet(child.diet));
  if (wants_clones(child)) out.notifies.push_back(resource_info({}));
  if (want.connection->refuse_tfc) out.notifies.push_back(notify(wi::NotifyType::kEspTfcPaddingNotSupported));
  const auto payload = sa_payload(out.offered, spi_in);
  for (std::size_t i = 0; i < out.offered.size(); ++i) out.offered[i] = payload.proposals[i].proposal;
  out.sa = payload;
  out.tsi_payload = ts_payload(true, out.tsi);
  out.tsr_payload = ts_payload(false, out.tsr);
  return out;
}

namespace {

// With the terms that a child has.
ChildRequest request_like(const World& world, const IkeSa& sa, const ChildSa& old, Spi spi_in) {
  ChildRequest out;
  const auto* config = old.config();
  if (config != nullptr) out.offered = config->proposals;
  out.tsi = old.local;
  out.tsr = old.remote;
  if (old.mode == model::Mode::kTransport) out.notifies.push_back(notify(wi::NotifyType::kUseTransportMode));
  if (config != nullptr && config->compress && can_compress(world, sa, *old.connection, out.tsi, out.tsr))
    out.notifies.push_back(ipcomp_supported(spi_in));
  if (config != nullptr && wants_aggfrag(*config)) out.notifies.push_back(use_aggfrag(config->iptfs));
  if (config != nullptr && wants_diet(*config)) out.notifies.push_back(propose_diet(config->diet));
  if (old.connection->refuse_tfc) out.notifies.push_back(notify(wi::NotifyType::kEspTfcPaddingNotSupported));
  const auto payload = sa_payload(out.offered, spi_in);
  for (std::size_t i = 0; i < out.offered.size(); ++i) out.offered[i] = payload.proposals[i].proposal;
  out.sa = payload;
  out.tsi_payload = ts_payload(true, out.tsi);
  out.tsr_payload = ts_payload(false, out.tsr);
  return out;
}

}  // namespace

ChildRequest request_rekey(const World& world, const IkeSa& sa, const ChildSa& old, Spi spi_in) {
  auto out = request_like(world, sa, old, spi_in);
  // RFC 9611 section 4: "the SA_RESOURCE_INFO notification MAY be included".
  if (old.may_have_clones || old.resource) out.notifies.push_back(resource_info(old.resource));
  return out;
}

ChildRequest request_clone(const World& world, const IkeSa& sa, const ChildSa& head, Spi spi_in,
                           std::uint16_t resource) {
  auto out = request_like(world, sa, head, spi_in);
  out.notifies.push_back(resource_info(resource));
  return out;
}

std::expected<ChildTerms, Refusal> choose_child(const World& world, const IkeSa& sa, const wi::Payloads& request,
                                                model::ChildKeyExchange ke, const ChildSa* rekeyed) {
  const auto* sa_offer = wi::find_payload<wi::SaPayload>(request);
  const auto* tsi = wi::find_ts(request, true);
  const auto* tsr = wi::find_ts(request, false);
  const auto* ke_payload = wi::find_payload<wi::KePayload>(request);
  if (sa_offer == nullptr || tsi == nullptr || tsr == nullptr) {
    return std::unexpected(Refusal{
        wi::NotifyType::kInvalidSyntax, {}, "invalid-syntax", "the peer's request for a child lacks SA, TSi or TSr"});
  }
  const bool transport = wi::find_notify(request, wi::NotifyType::kUseTransportMode) != nullptr;
  const bool translated = transport && (sa.nat_local || sa.nat_remote);
  const auto want_remote = translated ? with_host(tsi->selectors, sa.path.remote.address) : tsi->selectors;
  const auto want_local = translated ? with_host(tsr->selectors, sa.path.local.address) : tsr->selectors;
  bool our_address = false;
  const auto matches = find_matches(world, sa, want_local, want_remote, transport, rekeyed, our_address);
  if (matches.empty() && our_address) {
    return std::unexpected(
        Refusal{wi::NotifyType::kTsUnacceptable,
                {},
                "ts-own-address",
                sa.peer() + " asks for " + model::to_string(want_remote) + ", and our own address " +
                    sa.path.local.address.to_string() +
                    " is part of that: write it in rightsubnet= as it stands there if the peer may have it"});
  }
  if (matches.empty()) return std::unexpected(selectors_refusal(world, sa, want_local, want_remote));
  const auto offered = offered_in(*sa_offer);
  const auto sent_group = ke_payload == nullptr ? model::KeGroup::kNone : ke_payload->group;
  for (const auto& m : matches) {
    const auto selected = model::select_esp(offered, m.child->proposals, ke, sent_group);
    if (!selected) continue;
    if (selected->chosen.is_ah() && sa.udp_encapsulation) return std::unexpected(ah_behind_nat(sa));
    const auto& chosen_proposal = sa_offer->proposals[selected->index];
    if (chosen_proposal.spi.size() != 4 || load_be32(chosen_proposal.spi.data()) == 0) {
      return std::unexpected(
          Refusal{wi::NotifyType::kInvalidSyntax, {}, "invalid-syntax", "the peer's proposal has no usable SPI"});
    }
    ChildTerms terms;
    terms.connection = m.connection;
    terms.child = m.child->name;
    terms.algorithms = selected->chosen;
    terms.mode = transport && m.child->mode == model::Mode::kTransport ? model::Mode::kTransport : model::Mode::kTunnel;
    terms.peer_spi = Spi(load_be32(chosen_proposal.spi.data()));
    if (wants_aggfrag(*m.child) && !terms.algorithms.is_ah())
      terms.aggfrag = aggfrag_in(request, !world.in_kernel(*m.connection));
    if (m.child->iptfs.required && !terms.aggfrag.agreed) {
      return std::unexpected(Refusal{wi::NotifyType::kNoProposalChosen,
                                     {},
                                     "iptfs-required",
                                     aggfrag_missing(terms.aggfrag, m.child->name, sa.peer())});
    }
    if (m.child->compress && !terms.algorithms.is_ah() && can_compress(world, sa, *m.connection, m.local, m.remote))
      terms.peer_cpi = ipcomp_of(request);
    terms.refuses_tfc = wi::find_notify(request, wi::NotifyType::kEspTfcPaddingNotSupported) != nullptr;
    terms.may_have_clones = says_resource_info(request) && most_clones(world, *m.connection, *m.child) > 0;
    terms.local = m.local;
    terms.remote = m.remote;
    terms.diet = choose_diet(request, *m.child, terms.algorithms, terms.local, terms.remote);
    terms.proposal_number = chosen_proposal.number;
    terms.reply = selected->reply;
    terms.tsi = translated ? with_hosts_of(m.remote, tsi->selectors) : m.remote;
    terms.tsr = translated ? with_hosts_of(m.local, tsr->selectors) : m.local;
    if (auto why = claimed_by_another(world, sa, terms); !why.empty())
      return std::unexpected(Refusal{wi::NotifyType::kTsUnacceptable, {}, "address-claimed", std::move(why)});
    return terms;
  }
  const auto& nearest = *matches.front().child;
  return std::unexpected(
      Refusal{wi::NotifyType::kNoProposalChosen,
              {},
              "no-proposal-chosen",
              diagnosis::proposal_difference(sa.peer(), comparable(offered, ke), comparable(nearest.proposals, ke),
                                             "esp", ke == model::ChildKeyExchange::kNegotiate)});
}

wi::Payloads answer_child(const ChildTerms& terms, Spi spi_in) {
  wi::Payloads out;
  if (terms.peer_cpi != 0) out.emplace_back(ipcomp_supported(spi_in));
  if (terms.aggfrag.agreed) out.emplace_back(use_aggfrag(tfs_config(*terms.connection, terms.child)));
  if (terms.diet.use.enabled) out.emplace_back(accept_diet(terms.diet));
  // RFC 9611 section 4: "A responder that is willing to have multiple Child SAs for the same Traffic Selectors will
  // respond by also adding the SA_RESOURCE_INFO notify payload".
  if (terms.may_have_clones) out.emplace_back(resource_info(terms.resource));
  if (terms.connection->refuse_tfc) out.emplace_back(notify(wi::NotifyType::kEspTfcPaddingNotSupported));
  if (terms.mode == model::Mode::kTransport) out.emplace_back(notify(wi::NotifyType::kUseTransportMode));
  wi::SaPayload sa;
  wi::SaProposal p;
  p.number = terms.proposal_number;
  p.spi.resize(4);
  store_be32(p.spi.data(), spi_in.value);
  p.proposal = terms.reply;
  sa.proposals.push_back(std::move(p));
  out.emplace_back(std::move(sa));
  out.emplace_back(ts_payload(true, terms.tsi));
  out.emplace_back(ts_payload(false, terms.tsr));
  return out;
}

std::expected<ChildTerms, Refusal> read_answer(const World& world, const IkeSa& sa, const ConnectionPtr& connection,
                                               const std::string& child, const std::vector<model::Proposal>& offered,
                                               const TrafficSelectors& tsi, const TrafficSelectors& tsr,
                                               model::ChildKeyExchange ke, const wi::Payloads& answer) {
  const auto bad = [&](std::string why) {
    return std::unexpected(Refusal{wi::NotifyType::kInvalidSyntax,
                                   {},
                                   "answer-unacceptable",
                                   sa.peer() + "'s answer is not acceptable: " + std::move(why)});
  };
  const auto* sa_answer = wi::find_payload<wi::SaPayload>(answer);
  const auto* tsi_answer = wi::find_ts(answer, true);
  const auto* tsr_answer = wi::find_ts(answer, false);
  if (sa_answer == nullptr || tsi_answer == nullptr || tsr_answer == nullptr) return bad("SA, TSi or TSr is missing");
  if (sa_answer->proposals.size() != 1)
    return bad("it holds " + std::to_string(sa_answer->proposals.size()) + " proposals instead of one");
  const auto& proposal = sa_answer->proposals.front();
  if (proposal.spi.size() != 4 || load_be32(proposal.spi.data()) == 0) return bad("it has no usable SPI");
  const auto chosen = model::accept_esp(proposal.proposal, offered, ke);
  if (!chosen) return bad("it chose " + model::to_string(proposal.proposal) + ", which we did not offer");
  if (chosen->is_ah() && sa.udp_encapsulation) return std::unexpected(ah_behind_nat(sa));
  ChildTerms terms;
  terms.connection = connection;
  terms.child = child;
  terms.algorithms = *chosen;
  terms.refuses_tfc = wi::find_notify(answer, wi::NotifyType::kEspTfcPaddingNotSupported) != nullptr;
  terms.peer_spi = Spi(load_be32(proposal.spi.data()));
  terms.may_have_clones = says_resource_info(answer);
  // RFC 9347 section 5.1: "If this is unacceptable to the initiator, the initiator MUST delete the Child SA".
  const auto tfs = tfs_config(*connection, child);
  if (tfs.enabled && !chosen->is_ah()) terms.aggfrag = aggfrag_in(answer, !world.in_kernel(*connection));
  // It has switched its SAs over already.
  if (terms.aggfrag.not_understood) return bad("it " + why_no_aggfrag(terms.aggfrag));
  if (tfs.required && !terms.aggfrag.agreed) {
    return std::unexpected(Refusal{
        wi::NotifyType::kNoProposalChosen, {}, "iptfs-required", aggfrag_missing(terms.aggfrag, child, sa.peer())});
  }
  // RFC 7296 section 2.22: the response "MAY indicate acceptance of a single compression algorithm", if we offered any.
  if (const auto* config = connection->find_child(child);
      config != nullptr && config->compress && can_compress(world, sa, *connection, tsi, tsr))
    terms.peer_cpi = ipcomp_of(answer);
  terms.local = tsi_answer->selectors;
  terms.remote = tsr_answer->selectors;
  // RFC 7296 section 2.9: the responder narrows, "to some subset of the initiator's proposal".
  if (terms.local.empty() || terms.remote.empty()) return bad("it has no traffic selectors");
  if (!model::covers(tsi, terms.local) || !model::covers(tsr, terms.remote)) {
    return bad("it widens the traffic selectors to " + model::to_string(terms.local) +
               " === " + model::to_string(terms.remote));
  }
  if (connection->local.requests_address() && !sa.assigned.addresses.empty()) {
    // Whatever the peer lets through, we speak from the addresses it gave us.
    TrafficSelectors own;
    for (const auto& address : sa.assigned.addresses) own.push_back(TrafficSelector::of(IpRange::of(address)));
    terms.local = model::narrow(terms.local, own);
    if (terms.local.empty()) return bad("its traffic selectors do not cover the address that it assigned");
  }
  terms.mode = wi::find_notify(answer, wi::NotifyType::kUseTransportMode) != nullptr ? model::Mode::kTransport
                                                                                     : model::Mode::kTunnel;
  // RFC 7296 section 1.3.1: USE_TRANSPORT_MODE in an answer accepts what the request asked for, and nothing else.
  const auto asked = std::any_of(connection->children.begin(), connection->children.end(), [&](const model::Child& c) {
    return c.name == child && c.mode == model::Mode::kTransport;
  });
  if (terms.mode == model::Mode::kTransport && !asked) return bad("it chooses transport mode, which nobody asked for");
  if (const auto diet = diet_config(*connection, child); diet.enabled) {
    const auto agreed = diet_in_answer(answer, diet);
    if (!agreed || (agreed->use.enabled && !goes_with_diet(*chosen, terms.local, terms.remote))) {
      return bad("it chose a Diet-ESP that we did not offer");
    }
    terms.diet = *agreed;
  }
  if (auto why = claimed_by_another(world, sa, terms); !why.empty())
    return std::unexpected(Refusal{wi::NotifyType::kTsUnacceptable, {}, "address-claimed", std::move(why)});
  return terms;
}

Refusal explain_refusal(const IkeSa& sa, const wi::NotifyPayload& error, const std::vector<model::Proposal>& offered,
                        const TrafficSelectors& local, const TrafficSelectors& remote) {
  switch (error.type) {
    case wi::NotifyType::kNoProposalChosen:
      return {error.type, {}, "no-proposal-chosen", diagnosis::proposals_refused(sa.peer(), offered, "esp")};
    case wi::NotifyType::kTsUnacceptable:
      return {error.type, {}, "ts-unacceptable", diagnosis::selectors_refused(sa.peer(), local, remote)};
    default:
      return {error.type, error.data, "child-refused", sa.peer() + " refused the child: " + diagnosis::meaning(error)};
  }
}

ChildSa& install_child(World& world, IkeSa& sa, const ChildTerms& terms, const ChildKeys& keys, const NewChild& how) {
  auto owned = std::make_unique<ChildSa>();
  auto& child = *owned;
  child.id = world.new_child_id();
  child.connection = terms.connection;
  child.name = terms.child;
  child.spi_in = how.spi_in;
  child.spi_out = terms.peer_spi;
  child.peer_cpi = terms.peer_cpi;
  child.algorithms = terms.algorithms;
  child.mode = terms.mode;
  child.local = terms.local;
  child.remote = terms.remote;
  child.udp_encapsulation = sa.udp_encapsulation;
  child.we_created = how.we_initiated;
  child.established = world.now;
  const model::Child fallback;
  const auto* config = child.config();
  if (config == nullptr) config = &fallback;
  const auto soft = soft_life(world, *terms.connection, config->lifetime_s);
  if (config->lifetime_s != 0) {
    child.expires_at = world.now + std::chrono::seconds(config->lifetime_s);
    if (terms.connection->rekey && terms.connection->rekey_children) child.rekey_at = world.now + soft;
  }
  if (how.standby) child.activate_at = world.now + *how.standby;
  plan_clones(world, sa, child, terms, how.we_initiated && !how.replaces);
  if (how.replaces) {
    if (const auto* old = sa.find_child(*how.replaces)) {
      child.rekeys = old->rekeys + 1;
      child.replaced_unheard = old->replaced_unheard;
      take_over_clones(child, *old);
    }
  }

  auto in = spec_of(world, sa, child, *config);
  in.direction = model::Direction::kInbound;
  in.spi = child.spi_in;
  if (child.peer_cpi != 0) in.ipcomp_cpi = cpi_of(child.spi_in);
  in.lifetime = lifetime_of(*config, soft);
  in.encryption_key = how.we_initiated ? keys.encryption_r : keys.encryption_i;
  in.integrity_key = how.we_initiated ? keys.integrity_r : keys.integrity_i;
  auto out = spec_of(world, sa, child, *config);
  out.direction = model::Direction::kOutbound;
  out.spi = child.spi_out;
  out.ipcomp_cpi = child.peer_cpi;
  out.lifetime = in.lifetime;
  // RFC 7296 section 1.3.1: "will not accept packets that contain Traffic Flow Confidentiality (TFC) padding".
  in.iptfs = inbound_tfs(config->iptfs, terms.aggfrag);
  out.iptfs = outbound_tfs(config->iptfs, terms.aggfrag);
  in.diet = out.diet = terms.diet.use;
  in.replay_window = window_with(in.diet, in.replay_window);
  if (!terms.refuses_tfc && !terms.aggfrag.agreed && !terms.diet.use.enabled && child.mode == model::Mode::kTunnel &&
      child.peer_cpi == 0 && !child.algorithms.is_ah())
    out.tfc_octets = config->tfc_octets;
  out.encryption_key = how.we_initiated ? keys.encryption_i : keys.encryption_r;
  out.integrity_key = how.we_initiated ? keys.integrity_i : keys.integrity_r;
  out.standby = how.standby.has_value();
  // RFC 3948 section 4: whoever is behind the NAT keeps its mapping alive. Clones share that of their child.
  out.keepalive_s = child.udp_encapsulation && sa.nat_local && !child.resource ? terms.connection->keepalive_s : 0;
  world.act(InstallSa{std::move(in)});
  world.act(InstallSa{std::move(out)});
  world.esp_spis.insert(child.spi_in);
  world.child_owner[child.id] = sa.local_spi();
  world.claims.add(child.id, child.remote);
  world.act(ChildUp{child.connection->name, child.name, child.id, how.replaces, child.local, child.remote,
                    sa.path.local, sa.path.remote, child.mode, model::to_string(child.algorithms)});
  if (config->mode == model::Mode::kTransport && child.mode == model::Mode::kTunnel) {
    world.report(sa, Severity::kWarning, "transport-declined",
                 "child " + child.name + " wants transport mode, but " + sa.peer() +
                     " does not: using a tunnel between the same ends (write type=transport at the peer)");
  }
  world.report(sa, Severity::kNotice, how.replaces ? "child-rekeyed" : "child-up",
               "child " + child.name + (how.replaces ? " rekeyed: " : " up: ") + child_words(child) +
                   (terms.aggfrag.agreed     ? ", IP-TFS"
                    : terms.diet.use.enabled ? ", Diet-ESP"
                                             : ""));
  if (wants_aggfrag(*config) && !terms.aggfrag.agreed) {
    world.report(sa, Severity::kWarning, "iptfs-declined",
                 "child " + child.name + " wants IP-TFS, but " + sa.peer() + " " + why_no_aggfrag(terms.aggfrag) +
                     ": a plain tunnel, which shows sizes and times (iptfs=require refuses such peers)");
  }
  if (config->compress && !can_compress(world, sa, *child.connection, child.local, child.remote)) {
    world.report(sa, Severity::kNotice, "not-compressed",
                 "child " + child.name + " is not compressed: in the kernel a tunnel between addresses of one family " +
                     "compresses packets of that family only (engine=user compresses both)");
  }
  if (wants_diet(*config) && !terms.diet.use.enabled) {
    world.report(sa, Severity::kNotice, "diet-esp-declined",
                 "child " + child.name + " would take Diet-ESP, but " + sa.peer() +
                     " does not, or the cipher or the networks agreed on do not go with it: plain ESP");
  }
  if (const auto fewer = fewer_bits(terms.diet.use, *config); !fewer.empty())
    world.report(sa, Severity::kNotice, "diet-esp-fewer-bits", sa.peer() + fewer);
  sa.children.push_back(std::move(owned));
  world.touch(sa);
  return child;
}

std::string child_words(const ChildSa& child) {
  return (child.resource ? "clone " + std::to_string(*child.resource) + ", " : std::string()) +
         (child.algorithms.is_ah() ? "AH " : "ESP ") + model::to_string(child.algorithms) +
         (child.mode == model::Mode::kTransport ? " transport" : "") + (child.peer_cpi != 0 ? " with IPComp" : "") +
         (child.udp_encapsulation ? " in UDP" : "") + ", " + model::to_string(child.local) +
         " === " + model::to_string(child.remote);
}

}  // namespace cygnet::ike::v2
