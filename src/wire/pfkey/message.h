// SPDX-License-Identifier: Apache-2.0
#pragma once

// A whole PF_KEY message (RFC 2367 section 2): a header and extensions, each at most once.
#include <optional>
#include <vector>

#include "wire/pfkey/address_extension.h"
#include "wire/pfkey/cygnet_extensions.h"
#include "wire/pfkey/filter_extension.h"
#include "wire/pfkey/identity_extension.h"
#include "wire/pfkey/key_extension.h"
#include "wire/pfkey/km_address_extension.h"
#include "wire/pfkey/lifetime_extension.h"
#include "wire/pfkey/message_header.h"
#include "wire/pfkey/nat_extensions.h"
#include "wire/pfkey/policy_extension.h"
#include "wire/pfkey/proposal_extension.h"
#include "wire/pfkey/sa2_extension.h"
#include "wire/pfkey/sa_extension.h"
#include "wire/pfkey/security_context_extension.h"
#include "wire/pfkey/sensitivity_extension.h"
#include "wire/pfkey/spi_range_extension.h"
#include "wire/pfkey/supported_extension.h"

namespace cygnet::wire::pfkey {

struct Message {
  MessageHeader header;

  std::optional<SaExtension> sa;
  std::optional<LifetimeExtension> current, hard, soft;
  std::optional<AddressExtension> source, destination, proxy;
  std::optional<KeyExtension> auth_key, encrypt_key;
  std::optional<IdentityExtension> source_identity, destination_identity;
  std::optional<SensitivityExtension> sensitivity;
  std::optional<ProposalExtension> proposal;
  std::optional<SupportedExtension> supported_auth, supported_encrypt;
  std::optional<SpiRangeExtension> spi_range;
  std::optional<PolicyExtension> policy;
  std::optional<Sa2Extension> sa2;
  std::optional<NatTypeExtension> nat_type;
  std::optional<NatPortExtension> nat_source_port, nat_destination_port;
  std::optional<AddressExtension> nat_original;
  std::optional<SecurityContextExtension> security_context;
  std::optional<KmAddressExtension> km_address;
  std::optional<FilterExtension> filter;
  std::optional<OptionsExtension> options;
  std::optional<ErrorTextExtension> error_text;
  std::optional<CursorExtension> cursor;
  std::optional<StatisticsExtension> statistics;
  std::optional<NatFragmentExtension> nat_fragment;

  std::vector<std::uint16_t> unknown;  // types of extensions nobody here knows: they are skipped, and counted
  Bytes enclosed;                      // X_PROMISC: the message that is repeated

  // Exactly one message.
  [[nodiscard]] static Parsed<Message> parse(ByteView bytes);
  [[nodiscard]] Bytes serialize() const;
  bool operator==(const Message&) const = default;
};

// What came in one datagram: one message or, as a batch, several behind each other.
[[nodiscard]] Parsed<std::vector<ByteView>> split_messages(ByteView datagram);

}  // namespace cygnet::wire::pfkey
