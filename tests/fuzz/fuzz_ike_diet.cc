// SPDX-License-Identifier: Apache-2.0
// HCP_PROPOSAL notifications of authenticated but hostile peers: what comes of them is something that the engine can
// do, and what we answer is understood by ourselves.
#include <cstdlib>

#include "ike/v2/diet.h"

using namespace cygnet;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

wire::ike::Payloads said(const Bytes& data) {
  wire::ike::NotifyPayload notify;
  notify.type = wire::ike::NotifyType::kHcpProposal;
  notify.data = data;
  wire::ike::Payloads payloads;
  payloads.emplace_back(std::move(notify));
  return payloads;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const model::TrafficSelectors any{*model::TrafficSelector::parse("10.0.0.0/8")};
  const model::ChosenEsp cipher{.encryption = model::EncryptionId::kAesGcm16, .encryption_bits = 128};
  const auto request = said(Bytes(data, data + size));
  model::Child child;
  child.diet.enabled = true;
  const auto terms = ike::v2::choose_diet(request, child, cipher, any, any);
  check(!terms.use.enabled || (terms.use.sn_octets >= 1 && terms.use.sn_octets <= 4));
  if (terms.use.enabled) {
    auto own = terms;
    own.proposal_id = 1;
    const auto heard = ike::v2::diet_in_answer(said(ike::v2::accept_diet(own).data), terms.use);
    check(heard && heard->use == terms.use);
  }
  for (std::uint8_t octets = 1; octets <= 4; ++octets) {
    const auto answer = ike::v2::diet_in_answer(request, {.enabled = true, .sn_octets = octets});
    check(!answer || answer->use.sn_octets == octets);
  }
  return 0;
}
