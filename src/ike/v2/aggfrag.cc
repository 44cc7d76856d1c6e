// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/aggfrag.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

// RFC 9347 section 6.1.4.
constexpr std::uint8_t kDontFragment = 0x01;
constexpr std::uint8_t kCongestionControl = 0x02;

}  // namespace

bool wants_aggfrag(const model::Child& child) {
  return child.iptfs.enabled && child.mode == model::Mode::kTunnel && child.protocol == model::SaProtocol::kEsp;
}

wi::NotifyPayload use_aggfrag(const model::IpTfs& config) {
  const int flags = (config.fragment ? 0 : kDontFragment) | (config.congestion_control ? kCongestionControl : 0);
  wi::NotifyPayload out;
  out.type = wi::NotifyType::kUseAggfrag;
  out.data = {static_cast<std::uint8_t>(flags)};
  return out;
}

AggfragTerms aggfrag_in(const wi::Payloads& payloads, bool can_report) {
  const auto* notify = wi::find_notify(payloads, wi::NotifyType::kUseAggfrag);
  if (notify == nullptr) return {};
  // Libreswan leaves the octet of flags out where it requires nothing.
  if (notify->data.size() > 1) return {.not_understood = true};
  const auto flags = notify->data.empty() ? std::uint8_t{0} : notify->data[0];
  // Section 5.1: "If any requirement flags are not understood ... the receiver SHOULD NOT enable use of
  // AGGFRAG_PAYLOAD".
  if ((flags & ~(kDontFragment | kCongestionControl)) != 0) return {.not_understood = true};
  const bool wants_reports = (flags & kCongestionControl) != 0;
  if (wants_reports && !can_report) return {.not_understood = true, .peer_wants_reports = true};
  return {.agreed = true, .peer_takes_fragments = (flags & kDontFragment) == 0, .peer_wants_reports = wants_reports};
}

std::string why_no_aggfrag(const AggfragTerms& terms) {
  if (terms.peer_wants_reports) {
    return "requires reports of loss (iptfs-congestion-control=yes), which the kernel's IP-TFS does not send";
  }
  return terms.not_understood ? "requires of IP-TFS what is not known here" : "does not";
}

std::string aggfrag_missing(const AggfragTerms& terms, const std::string& child, const std::string& peer) {
  const auto takes = "child " + child + " takes IP-TFS only (iptfs=require), and " + peer + " ";
  if (terms.not_understood) return takes + why_no_aggfrag(terms);
  return takes + "does not do it: set iptfs=yes there, or here for a plain tunnel with such peers";
}

model::IpTfs inbound_tfs(const model::IpTfs& config, const AggfragTerms& terms) {
  return terms.agreed ? config : model::IpTfs{};
}

model::IpTfs outbound_tfs(const model::IpTfs& config, const AggfragTerms& terms) {
  if (!terms.agreed) return {};
  auto out = config;
  out.fragment = config.fragment && terms.peer_takes_fragments;
  out.reports = terms.peer_wants_reports;
  return out;
}

model::IpTfs tfs_config(const model::Connection& connection, const std::string& child) {
  const auto* config = connection.find_child(child);
  return config != nullptr && wants_aggfrag(*config) ? config->iptfs : model::IpTfs{};
}

}  // namespace cygnet::ike::v2
