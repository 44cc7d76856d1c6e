// SPDX-License-Identifier: Apache-2.0
#pragma once

// The terms of a CHILD_SA: proposals, traffic selectors, mode (RFC 7296 sections 1.3 and 2.9). Used by IKE_AUTH,
// CREATE_CHILD_SA and rekeying alike.
#include <expected>
#include <string>

#include "ike/v2/aggfrag.h"
#include "ike/v2/diet.h"
#include "ike/v2/world.h"
#include "model/selection.h"

namespace cygnet::ike::v2 {

struct ChildTerms {
  ConnectionPtr connection;
  std::string child;
  model::ChosenEsp algorithms;
  model::Mode mode = model::Mode::kTunnel;
  Spi peer_spi;
  std::uint16_t peer_cpi = 0;             // 0: no IPComp
  bool refuses_tfc = false;               // ESP_TFC_PADDING_NOT_SUPPORTED
  AggfragTerms aggfrag;                   // IP-TFS
  DietTerms diet;                         // Diet-ESP
  bool may_have_clones = false;           // both ends say SA_RESOURCE_INFO (RFC 9611)
  std::optional<std::uint16_t> resource;  // it is a clone
  model::TrafficSelectors local, remote;
  // For the answer:
  std::uint8_t proposal_number = 1;
  model::Proposal reply;
  model::TrafficSelectors tsi, tsr;
};

struct Refusal {
  wire::ike::NotifyType notify{};
  Bytes data;
  std::string event;
  std::string message;
};

// What we ask for. Fills offered, tsi and tsr; the payloads are N(USE_TRANSPORT_MODE), SA, TSi, TSr, without KE and
// nonce.
struct ChildRequest {
  std::vector<model::Proposal> offered;
  model::TrafficSelectors tsi, tsr;
  wire::ike::Payload sa, tsi_payload, tsr_payload;
  std::vector<wire::ike::NotifyPayload> notifies;
};
[[nodiscard]] ChildRequest request_child(const World& world, const IkeSa& sa, const ChildWant& want,
                                         const model::Child& child, Spi spi_in, model::ChildKeyExchange ke);
[[nodiscard]] ChildRequest request_rekey(const World& world, const IkeSa& sa, const ChildSa& old, Spi spi_in);
// Another one like it, for one thread (RFC 9611).
[[nodiscard]] ChildRequest request_clone(const World& world, const IkeSa& sa, const ChildSa& head, Spi spi_in,
                                         std::uint16_t resource);

// Responder: chooses connection, child and algorithms. `rekeyed`: the child that is being replaced.
[[nodiscard]] std::expected<ChildTerms, Refusal> choose_child(const World& world, const IkeSa& sa,
                                                              const wire::ike::Payloads& request,
                                                              model::ChildKeyExchange ke, const ChildSa* rekeyed);
[[nodiscard]] wire::ike::Payloads answer_child(const ChildTerms& terms, Spi spi_in);

// Initiator: checks the answer against what was asked.
[[nodiscard]] std::expected<ChildTerms, Refusal> read_answer(
    const World& world, const IkeSa& sa, const ConnectionPtr& connection, const std::string& child,
    const std::vector<model::Proposal>& offered, const model::TrafficSelectors& tsi, const model::TrafficSelectors& tsr,
    model::ChildKeyExchange ke, const wire::ike::Payloads& answer);
// The peer refused: what it means and what to do.
[[nodiscard]] Refusal explain_refusal(const IkeSa& sa, const wire::ike::NotifyPayload& error,
                                      const std::vector<model::Proposal>& offered, const model::TrafficSelectors& local,
                                      const model::TrafficSelectors& remote);

// How long an outbound SA waits for the peer to use the new child, while an older one does its work.
constexpr Duration kRekeyPatience = std::chrono::seconds(15);
// The older one is of another IKE SA, which the peer may have forgotten.
constexpr Duration kTwinPatience = std::chrono::seconds(3);
struct NewChild {
  Spi spi_in;
  bool we_initiated = false;  // the exchange, not the IKE SA
  std::optional<Duration> standby;
  std::optional<model::ChildId> replaces;
};
// Derives nothing, installs everything: both SAs, ChildUp, timers.
ChildSa& install_child(World& world, IkeSa& sa, const ChildTerms& terms, const ChildKeys& keys, const NewChild& how);

// When to rekey something of this lifetime: margin and fuzz before its end.
[[nodiscard]] Duration soft_life(World& world, const model::Connection& connection, std::uint32_t lifetime_s);

// "ESP AES_GCM_16_256, 10.1.0.0/16 === 10.2.0.0/16"
[[nodiscard]] std::string child_words(const ChildSa& child);

}  // namespace cygnet::ike::v2
