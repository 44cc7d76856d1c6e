// SPDX-License-Identifier: Apache-2.0
#include "ike/diagnosis.h"

#include <algorithm>
#include <array>

#include "ike/v2/match.h"
#include "model/legacy.h"
#include "model/selection.h"

namespace cygnet::ike::diagnosis {
namespace {

using model::Proposal;
using model::Transform;
using model::TransformType;
namespace wi = wire::ike;

constexpr std::array kTypes{TransformType::kEncryption, TransformType::kIntegrity, TransformType::kPrf,
                            TransformType::kKeyExchange, TransformType::kEsn};

std::string_view type_words(TransformType type) {
  switch (type) {
    case TransformType::kEncryption: return "encryption";
    case TransformType::kPrf: return "PRF";
    case TransformType::kIntegrity: return "integrity";
    case TransformType::kKeyExchange: return "key exchange group";
    case TransformType::kEsn: return "extended sequence numbers";
  }
  return "?";
}

bool listed(const std::vector<Proposal>& proposals, const Transform& t) {
  return std::any_of(proposals.begin(), proposals.end(), [&](const Proposal& p) {
    return std::find(p.transforms.begin(), p.transforms.end(), t) != p.transforms.end();
  });
}

// The proposal with a star behind each transform that the other side lists nowhere.
std::string starred(const Proposal& proposal, const std::vector<Proposal>& other_side, bool compare_key_exchange) {
  std::string out;
  for (const auto type : kTypes) {
    if (type == TransformType::kKeyExchange && !compare_key_exchange) continue;
    for (const auto& t : proposal.of(type)) {
      const bool silent = t.id == 0 && (type == TransformType::kIntegrity || type == TransformType::kKeyExchange ||
                                        type == TransformType::kEsn);
      if (silent) continue;
      if (!out.empty()) out += "/";
      out += model::to_string(t);
      if (!listed(other_side, t)) out += "*";
    }
  }
  return out;
}

std::string numbered(const std::vector<Proposal>& proposals, const std::vector<Proposal>& other_side,
                     bool compare_key_exchange) {
  if (proposals.empty()) return "    (nothing)\n";
  std::string out;
  for (std::size_t i = 0; i < proposals.size(); ++i) {
    out += "    " + std::to_string(i + 1) + ". " + starred(proposals[i], other_side, compare_key_exchange) + "\n";
  }
  return out;
}

std::string alternatives(const Proposal& proposal, TransformType type) {
  std::string out;
  for (const auto& t : proposal.of(type)) out += (out.empty() ? "" : " or ") + model::to_string(t);
  if (!out.empty()) return out;
  return type == TransformType::kEsn ? "NO_EXT_SEQ" : "none";
}

// Ours, with the types that miss replaced by what the peer has and we support: what to write to come to terms.
std::string line_to_write(const Proposal& ours, const Proposal& theirs, const std::vector<TransformType>& missing) {
  Proposal wanted{ours.protocol, {}};
  for (const auto type : kTypes) {
    const bool take_theirs = std::find(missing.begin(), missing.end(), type) != missing.end();
    for (const auto& t : (take_theirs ? theirs : ours).of(type)) {
      const auto* known = model::find_transform(t);
      if (t.id != 0 && (known == nullptr || !known->supported || model::legacy::is_legacy(t))) continue;
      wanted.transforms.push_back(t);
      if (take_theirs) break;
    }
  }
  // Integrity goes with the cipher: an AEAD has none, the others need one.
  const auto ciphers = wanted.of(TransformType::kEncryption);
  if (ciphers.empty()) return {};
  const bool aead = model::is_aead(static_cast<model::EncryptionId>(ciphers[0].id));
  if (aead) std::erase_if(wanted.transforms, [](const Transform& t) { return t.type == TransformType::kIntegrity; });
  if (!aead && wanted.of(TransformType::kIntegrity).empty()) {
    for (const auto& t : theirs.of(TransformType::kIntegrity)) {
      const auto* known = model::find_transform(t);
      if (known != nullptr && known->supported && !model::legacy::is_legacy(t)) wanted.transforms.push_back(t);
    }
    if (wanted.of(TransformType::kIntegrity).empty()) return {};
  }
  for (const auto type : missing) {
    if (type != TransformType::kIntegrity && type != TransformType::kEsn && wanted.of(type).empty()) return {};
  }
  return model::to_config(wanted);
}

std::string quoted(const model::Identity& id) { return "'" + id.to_string() + "'"; }

}  // namespace

std::string seconds(Duration d) {
  const auto tenths = std::chrono::duration_cast<std::chrono::milliseconds>(d).count() / 100;
  std::string out = std::to_string(tenths / 10);
  if (tenths < 100 && tenths % 10 != 0) out += "." + std::to_string(tenths % 10);
  return out + " s";
}

std::string no_answer(const std::string& peer, unsigned tries, Duration waited, bool on_nat_port) {
  return "no answer from " + peer + " after " + std::to_string(tries) + " tries over " + seconds(waited) +
         ": is the address right, does an IKE daemon run there, and is UDP " + (on_nat_port ? "4500" : "500 and 4500") +
         " open in both directions on the way?";
}

std::string proposal_difference(const std::string& peer, const std::vector<Proposal>& offered,
                                const std::vector<Proposal>& accepted, const std::string& keyword,
                                bool compare_key_exchange) {
  std::string out =
      "no " + keyword + " proposal in common with " + peer + " (* is what the other side does not have)\n";
  out += "  the peer offers:\n" + numbered(offered, accepted, compare_key_exchange);
  out += "  we accept:\n" + numbered(accepted, offered, compare_key_exchange);
  const auto miss = model::nearest_miss(offered, accepted, compare_key_exchange);
  if (!miss) return out + "  write a line " + keyword + "=… here";
  const auto& theirs = offered[miss->offered_index];
  const auto& ours = accepted[miss->allowed_index];
  if (!miss->missing.empty()) {
    out += "  nearest: the peer's " + std::to_string(miss->offered_index + 1) + " and our " +
           std::to_string(miss->allowed_index + 1) + ", which differ in\n";
    for (const auto type : miss->missing) {
      out += "    " + std::string(type_words(type)) + ": the peer has " + alternatives(theirs, type) + ", we have " +
             alternatives(ours, type) + "\n";
    }
  }
  const auto line = line_to_write(ours, theirs, miss->missing);
  const auto our_line = model::to_config(ours);
  if (line.empty())
    return out + "  the peer's is not supported here: write " + keyword + "=" + our_line + " at the peer";
  return out + "  write " + keyword + "=" + line + " here, or " + keyword + "=" + our_line + " at the peer";
}

std::string proposals_refused(const std::string& peer, const std::vector<Proposal>& offered,
                              const std::string& keyword) {
  std::string out = peer + " accepts none of our " + keyword + " proposals (NO_PROPOSAL_CHOSEN)\n  we offered:\n";
  for (std::size_t i = 0; i < offered.size(); ++i)
    out += "    " + std::to_string(i + 1) + ". " + model::to_string(offered[i]) + "\n";
  const auto line = offered.empty() ? std::string() : model::to_config(offered[0]);
  return out + "  write " + keyword + "=" + line + " at the peer, or here what the peer accepts: its log shows it";
}

std::string selectors_do_not_meet(const std::string& peer, const model::TrafficSelectors& local,
                                  const model::TrafficSelectors& remote, const std::vector<SelectorPair>& ours) {
  std::string out = "the traffic selectors of " + peer + " meet none of ours (TS_UNACCEPTABLE)\n";
  out += "  the peer wants: " + model::to_string(local) + " here === " + model::to_string(remote) + " there\n";
  for (const auto& pair : ours) {
    out += "  we have:        " + model::to_string(pair.local) + " here === " + model::to_string(pair.remote) +
           " there (" + pair.name + ")\n";
  }
  return out + "  make leftsubnet/rightsubnet the mirror image of the peer's";
}

std::string selectors_refused(const std::string& peer, const model::TrafficSelectors& local,
                              const model::TrafficSelectors& remote) {
  return peer +
         " accepts no traffic between these networks (TS_UNACCEPTABLE)\n  we asked for: " + model::to_string(local) +
         " here === " + model::to_string(remote) +
         " there\n  make leftsubnet/rightsubnet the mirror image of the peer's; its log shows what it has";
}

std::string keys_differ(const std::string& peer, const model::Identity& local, const model::Identity& remote,
                        const std::string& secret_source) {
  return "authentication of " + quoted(remote) + " (" + peer +
         ") failed: the pre-shared keys differ; compare the line for " + local.to_string() + " and " +
         remote.to_string() + " in ipsec.secrets on both ends" +
         (secret_source.empty() ? "" : " (here: " + secret_source + ")");
}

std::string refused_by_peer(const std::string& peer, const std::string& proof, const model::Identity& local,
                            const std::string& remote) {
  return peer + " refused our authentication (AUTHENTICATION_FAILED): " + proof + ", and that the peer expects " +
         quoted(local) + " (leftid here, rightid there) and is " + remote + "; its log says which";
}

std::string identity_unexpected(const std::string& peer, const model::Identity& shown, const std::string& expected,
                                const std::string& connection) {
  return peer + " calls itself " + quoted(shown) + " (" + std::string(model::to_string(shown.type)) +
         "), but connection " + connection + " expects " + expected + ": write rightid=" + shown.to_string() +
         " here or leftid=" + expected + " at the peer";
}

std::string nobody_matches(const std::string& peer, const model::Identity& shown, const model::Identity* asked_for,
                           const std::vector<v2::ConnectionPtr>& by_address, const IpAddress& local) {
  std::string out =
      "no connection for " + quoted(shown) + " (" + std::string(model::to_string(shown.type)) + ") at " + peer;
  if (asked_for != nullptr) out += ", which asks for " + quoted(*asked_for);
  for (const auto& c : by_address) {
    const auto expected = v2::expected_identity(*c);
    out += "\n  " + c->name + " is '" + v2::own_identity(*c, local).to_string() + "' and expects " +
           (expected ? quoted(*expected) : "anyone");
  }
  return out + "\n  write rightid=" + shown.to_string() +
         (asked_for != nullptr ? " and leftid=" + asked_for->to_string() : "") +
         " here, or change leftid/rightid at the peer";
}

std::string no_connection_for(const Endpoint& local, const Endpoint& remote,
                              const std::vector<v2::ConnectionPtr>& all) {
  std::string out = remote.to_string() + " asks for an IKE SA with " + local.address.to_string() +
                    ", but no connection has these two ends";
  std::size_t shown = 0;
  for (const auto& c : all) {
    if (++shown > 5) return out + "; …";
    out += (shown == 1 ? "; we have " : ", ") + c->name + " (" + c->local.host.to_string() + " to " +
           c->remote.host.to_string() + ")";
  }
  return out + (all.empty() ? ": none is loaded" : "");
}

namespace {

// Windows' own words for what it says in MS_NOTIFY_STATUS.
std::string_view windows_error(std::uint32_t number) {
  switch (number) {
    case 13801: return "it does not accept our credentials: look at the certificate's names, purposes and issuer";
    case 13806: return "it has no machine certificate that fits";
    case 13816: return "it takes no key exchange in a rekey, because PFS is not set there: write pfs=no";
    case 13863: return "it lets nobody else rekey a child from behind a NAT: write profile=windows";
    case 13868: return "no policy of it matches our proposals: compare ike= and esp= with Get-VpnConnection there";
    default: return {};
  }
}

}  // namespace

std::string meaning(const wi::NotifyPayload& notification) {
  if (notification.type != kMicrosoftStatus || notification.data.size() != 4) return meaning(notification.type);
  auto number = load_be32(notification.data.data());
  if (number > 0xffffU) number = __builtin_bswap32(number);  // seen in either order
  const auto words = windows_error(number);
  return "Windows error " + std::to_string(number) + (words.empty() ? std::string() : ": " + std::string(words));
}

std::string meaning(wi::NotifyType type) {
  switch (type) {
    case wi::NotifyType::kUnsupportedCriticalPayload: return "the peer does not know a payload that we called critical";
    case wi::NotifyType::kInvalidIkeSpi: return "the peer does not know this IKE SA (it may have restarted)";
    case wi::NotifyType::kInvalidMajorVersion: return "the peer does not speak IKEv2";
    case wi::NotifyType::kInvalidSyntax: return "the peer could not read our message";
    case wi::NotifyType::kInvalidMessageId: return "the peer is at another message ID";
    case wi::NotifyType::kNoProposalChosen: return "the peer accepts none of our proposals";
    case wi::NotifyType::kInvalidKePayload: return "the peer wants another key exchange group";
    case wi::NotifyType::kAuthenticationFailed: return "the peer refused our authentication";
    case wi::NotifyType::kSinglePairRequired: return "the peer wants one pair of addresses in each child";
    case wi::NotifyType::kNoAdditionalSas: return "the peer takes no further children on this IKE SA";
    case wi::NotifyType::kInternalAddressFailure: return "the peer has no address for us";
    case wi::NotifyType::kFailedCpRequired: return "the peer insists on handing out an address, and we ask for none";
    case wi::NotifyType::kTsUnacceptable: return "the peer accepts no traffic between these networks";
    case wi::NotifyType::kTemporaryFailure: return "the peer is busy with another exchange";
    case wi::NotifyType::kTsMaxQueue: return "the peer takes no further SAs of single threads for this child";
    case wi::NotifyType::kChildSaNotFound: return "the peer does not have this child any more";
    default: return "the peer answered " + wi::to_string(type);
  }
}

}  // namespace cygnet::ike::diagnosis
