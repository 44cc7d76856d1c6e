// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/diet.h"

#include <algorithm>
#include <array>
#include <vector>

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

// Section "IANA Considerations" of the draft.
constexpr std::uint8_t kDietEsp = 0;  // HCP Name
enum class Attribute : std::uint16_t {
  kDscp = 0,
  kEcn = 1,
  kFlowLabel = 2,
  kAlignment = 3,
  kSpiBits = 4,
  kSequenceBits = 5,
};
constexpr std::uint16_t kNotCompressed = 0;
constexpr std::uint16_t kAlignment8 = 0;
constexpr std::uint16_t kWholeSpi = 32;
constexpr std::uint16_t kShortForm = 0x8000;  // RFC 7296 section 3.3.5: AF
constexpr std::size_t kProposalHeader = 4;
constexpr std::size_t kAttributeOctets = 4;
constexpr std::size_t kMostAttributes = 64;  // of one proposal

// The values that one proposal leaves to choose from; of an attribute that it does not name, the draft's default.
struct Values {
  std::vector<std::uint16_t> alignment, spi_bits, sequence_bits;
  bool known = true;  // "any AfRG in a Proposal is unknown, then the entire Proposal must be discarded"
};

Values values_of(ByteView attributes) {
  Values out;
  std::array<bool, 3> may_stay{true, true, true};  // DSCP, ECN, flow label
  std::array<bool, 3> named{};
  if (attributes.size() % kAttributeOctets != 0 || attributes.size() > kMostAttributes * kAttributeOctets) {
    out.known = false;  // a range, or nonsense: all that is known here is in the short form
    return out;
  }
  for (; !attributes.empty(); attributes = attributes.subspan(kAttributeOctets)) {
    const std::uint16_t type = load_be16(attributes.data());
    const std::uint16_t value = load_be16(attributes.data() + 2);
    if ((type & kShortForm) == 0) {
      out.known = false;
      return out;
    }
    switch (static_cast<Attribute>(type & ~kShortForm)) {
      case Attribute::kDscp:
      case Attribute::kEcn:
      case Attribute::kFlowLabel: {
        const std::size_t which = type & ~kShortForm;
        may_stay.at(which) = (named.at(which) && may_stay.at(which)) || value == kNotCompressed;
        named.at(which) = true;
        break;
      }
      case Attribute::kAlignment: out.alignment.push_back(value); break;
      case Attribute::kSpiBits: out.spi_bits.push_back(value); break;
      case Attribute::kSequenceBits: out.sequence_bits.push_back(value); break;
      default: out.known = false; return out;
    }
  }
  out.known = std::ranges::all_of(may_stay, [](bool stays) { return stays; });
  return out;
}

bool is_whole_octets(std::uint16_t bits) { return bits >= 8 && bits <= 32 && bits % 8 == 0; }

// What the values come to, with so many octets of the sequence number at least. Nothing: nothing that is built here.
std::optional<model::DietEsp> met(const Values& values, std::uint8_t least = 1) {
  if (!values.known) return std::nullopt;
  // Section 5: an alignment that is not named is one of 64 bit, with which nothing can be left out.
  if (std::ranges::find(values.alignment, kAlignment8) == values.alignment.end()) return std::nullopt;
  if (!values.spi_bits.empty() && std::ranges::find(values.spi_bits, kWholeSpi) == values.spi_bits.end())
    return std::nullopt;
  if (values.sequence_bits.empty()) return model::DietEsp{.enabled = true, .sn_octets = 4};
  const auto bits =
      std::ranges::find_if(values.sequence_bits, [&](std::uint16_t n) { return is_whole_octets(n) && n >= least * 8; });
  if (bits == values.sequence_bits.end()) return std::nullopt;
  return model::DietEsp{.enabled = true, .sn_octets = static_cast<std::uint8_t>(*bits / 8)};
}

struct Proposal {
  std::uint8_t id = 0;
  std::uint8_t name = 0;
  ByteView attributes;
};

// Empty: the lengths contradict each other, or there are more than anybody needs.
std::vector<Proposal> proposals_in(ByteView data) {
  constexpr std::size_t kMost = 16;
  std::vector<Proposal> out;
  while (!data.empty()) {
    if (data.size() < kProposalHeader || out.size() == kMost) return {};
    const std::size_t octets = load_be16(data.data() + 2);
    if (data.size() - kProposalHeader < octets) return {};
    out.push_back({data[0], data[1], data.subspan(kProposalHeader, octets)});
    data = data.subspan(kProposalHeader + octets);
  }
  return out;
}

wi::NotifyPayload proposal(std::uint8_t id, const model::DietEsp& diet) {
  constexpr std::size_t kAttributes = 2;
  wi::NotifyPayload out;
  out.type = wi::NotifyType::kHcpProposal;
  out.data.resize(kProposalHeader + kAttributes * kAttributeOctets);
  auto* to = out.data.data();
  to[0] = id;
  to[1] = kDietEsp;
  store_be16(to + 2, kAttributes * kAttributeOctets);
  const auto attribute = [&](std::size_t at, Attribute type, std::uint16_t value) {
    store_be16(to + at, static_cast<std::uint16_t>(kShortForm | static_cast<std::uint16_t>(type)));
    store_be16(to + at + 2, value);
  };
  attribute(kProposalHeader, Attribute::kAlignment, kAlignment8);
  attribute(kProposalHeader + kAttributeOctets, Attribute::kSequenceBits,
            static_cast<std::uint16_t>(diet.sn_octets * 8U));
  return out;
}

}  // namespace

bool wants_diet(const model::Child& child) {
  return child.diet.enabled && child.mode == model::Mode::kTunnel && child.protocol == model::SaProtocol::kEsp;
}

wi::NotifyPayload propose_diet(const model::DietEsp& config) { return proposal(1, config); }

bool goes_with_diet(const model::ChosenEsp& algorithms, const model::TrafficSelectors& local,
                    const model::TrafficSelectors& remote) {
  return !algorithms.is_ah() && model::block_octets(algorithms.encryption) <= 4 && model::family_of(local, remote);
}

DietTerms choose_diet(const wi::Payloads& request, const model::Child& child, const model::ChosenEsp& algorithms,
                      const model::TrafficSelectors& local, const model::TrafficSelectors& remote) {
  const auto* notify = wi::find_notify(request, wi::NotifyType::kHcpProposal);
  if (notify == nullptr || !wants_diet(child) || !goes_with_diet(algorithms, local, remote)) return {};
  const auto offers = proposals_in(notify->data);
  // Of several values the responder chooses (section 3). With fewer octets than are configured here the window is
  // smaller than it is meant to be: only a peer that offers nothing else gets them.
  for (const auto least : {child.diet.sn_octets, std::uint8_t{1}}) {
    for (const auto& offer : offers) {
      if (offer.name != kDietEsp) continue;
      if (const auto use = met(values_of(offer.attributes), least)) return {*use, offer.id};
    }
  }
  return {};
}

wi::NotifyPayload accept_diet(const DietTerms& terms) { return proposal(terms.proposal_id, terms.use); }

std::optional<DietTerms> diet_in_answer(const wi::Payloads& answer, const model::DietEsp& config) {
  const auto* notify = wi::find_notify(answer, wi::NotifyType::kHcpProposal);
  if (notify == nullptr) return DietTerms{};
  const auto chosen = proposals_in(notify->data);
  if (chosen.size() != 1 || chosen[0].id != 1 || chosen[0].name != kDietEsp) return std::nullopt;
  const auto use = met(values_of(chosen[0].attributes));
  if (!use || use->sn_octets != config.sn_octets) return std::nullopt;
  return DietTerms{*use, 1};
}

std::string fewer_bits(const model::DietEsp& use, const model::Child& child) {
  if (!use.enabled || use.sn_octets >= child.diet.sn_octets) return {};
  return " asks for Diet-ESP with " + std::to_string(use.sn_octets * 8) + " bits of the sequence number, fewer than " +
         "diet-esp-sn-lsb=" + std::to_string(child.diet.sn_octets * 8) + " of child " + child.name +
         " here: the anti-replay window has " + std::to_string(window_with(use, child.replay_window)) + " packets";
}

std::uint32_t window_with(const model::DietEsp& diet, std::uint32_t window) {
  if (!diet.enabled) return window;
  return std::min<std::uint32_t>(window, 1U << (diet.sn_octets * 8U - 1U));
}

model::DietEsp diet_config(const model::Connection& connection, const std::string& child) {
  const auto* config = connection.find_child(child);
  return config != nullptr && wants_diet(*config) ? config->diet : model::DietEsp{};
}

}  // namespace cygnet::ike::v2
