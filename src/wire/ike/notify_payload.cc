// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/notify_payload.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "wire/ike/payload_type.h"

namespace cygnet::wire::ike {
namespace {

struct NotifyName {
  NotifyType type;
  std::string_view name;
};
// 12345 is Windows' own, from the range for private use.
constexpr std::array<NotifyName, 82> kNames = {{
    {NotifyType::kUnsupportedCriticalPayload, "UNSUPPORTED_CRITICAL_PAYLOAD"},
    {NotifyType::kInvalidIkeSpi, "INVALID_IKE_SPI"},
    {NotifyType::kInvalidMajorVersion, "INVALID_MAJOR_VERSION"},
    {NotifyType::kInvalidSyntax, "INVALID_SYNTAX"},
    {NotifyType::kInvalidMessageId, "INVALID_MESSAGE_ID"},
    {NotifyType::kInvalidSpi, "INVALID_SPI"},
    {NotifyType::kNoProposalChosen, "NO_PROPOSAL_CHOSEN"},
    {NotifyType::kInvalidKePayload, "INVALID_KE_PAYLOAD"},
    {NotifyType::kAuthenticationFailed, "AUTHENTICATION_FAILED"},
    {NotifyType::kSinglePairRequired, "SINGLE_PAIR_REQUIRED"},
    {NotifyType::kNoAdditionalSas, "NO_ADDITIONAL_SAS"},
    {NotifyType::kInternalAddressFailure, "INTERNAL_ADDRESS_FAILURE"},
    {NotifyType::kFailedCpRequired, "FAILED_CP_REQUIRED"},
    {NotifyType::kTsUnacceptable, "TS_UNACCEPTABLE"},
    {NotifyType::kInvalidSelectors, "INVALID_SELECTORS"},
    {NotifyType::kUnacceptableAddresses, "UNACCEPTABLE_ADDRESSES"},
    {NotifyType::kUnexpectedNatDetected, "UNEXPECTED_NAT_DETECTED"},
    {NotifyType::kTemporaryFailure, "TEMPORARY_FAILURE"},
    {NotifyType::kChildSaNotFound, "CHILD_SA_NOT_FOUND"},
    {NotifyType::kTsMaxQueue, "TS_MAX_QUEUE"},
    {static_cast<NotifyType>(12345), "MS_NOTIFY_STATUS"},
    {NotifyType::kInitialContact, "INITIAL_CONTACT"},
    {NotifyType::kSetWindowSize, "SET_WINDOW_SIZE"},
    {NotifyType::kAdditionalTsPossible, "ADDITIONAL_TS_POSSIBLE"},
    {NotifyType::kIpcompSupported, "IPCOMP_SUPPORTED"},
    {NotifyType::kNatDetectionSourceIp, "NAT_DETECTION_SOURCE_IP"},
    {NotifyType::kNatDetectionDestinationIp, "NAT_DETECTION_DESTINATION_IP"},
    {NotifyType::kCookie, "COOKIE"},
    {NotifyType::kUseTransportMode, "USE_TRANSPORT_MODE"},
    {NotifyType::kHttpCertLookupSupported, "HTTP_CERT_LOOKUP_SUPPORTED"},
    {NotifyType::kRekeySa, "REKEY_SA"},
    {NotifyType::kEspTfcPaddingNotSupported, "ESP_TFC_PADDING_NOT_SUPPORTED"},
    {NotifyType::kNonFirstFragmentsAlso, "NON_FIRST_FRAGMENTS_ALSO"},
    {NotifyType::kMobikeSupported, "MOBIKE_SUPPORTED"},
    {NotifyType::kAdditionalIp4Address, "ADDITIONAL_IP4_ADDRESS"},
    {NotifyType::kAdditionalIp6Address, "ADDITIONAL_IP6_ADDRESS"},
    {NotifyType::kNoAdditionalAddresses, "NO_ADDITIONAL_ADDRESSES"},
    {NotifyType::kUpdateSaAddresses, "UPDATE_SA_ADDRESSES"},
    {NotifyType::kCookie2, "COOKIE2"},
    {NotifyType::kNoNatsAllowed, "NO_NATS_ALLOWED"},
    {NotifyType::kAuthLifetime, "AUTH_LIFETIME"},
    {NotifyType::kMultipleAuthSupported, "MULTIPLE_AUTH_SUPPORTED"},
    {NotifyType::kAnotherAuthFollows, "ANOTHER_AUTH_FOLLOWS"},
    {NotifyType::kRedirectSupported, "REDIRECT_SUPPORTED"},
    {NotifyType::kRedirect, "REDIRECT"},
    {NotifyType::kRedirectedFrom, "REDIRECTED_FROM"},
    {NotifyType::kTicketLtOpaque, "TICKET_LT_OPAQUE"},
    {NotifyType::kTicketRequest, "TICKET_REQUEST"},
    {NotifyType::kTicketAck, "TICKET_ACK"},
    {NotifyType::kTicketNack, "TICKET_NACK"},
    {NotifyType::kTicketOpaque, "TICKET_OPAQUE"},
    {NotifyType::kLinkId, "LINK_ID"},
    {NotifyType::kUseWespMode, "USE_WESP_MODE"},
    {NotifyType::kRohcSupported, "ROHC_SUPPORTED"},
    {NotifyType::kEapOnlyAuthentication, "EAP_ONLY_AUTHENTICATION"},
    {NotifyType::kChildlessIkev2Supported, "CHILDLESS_IKEV2_SUPPORTED"},
    {NotifyType::kQuickCrashDetection, "QUICK_CRASH_DETECTION"},
    {NotifyType::kIkev2MessageIdSyncSupported, "IKEV2_MESSAGE_ID_SYNC_SUPPORTED"},
    {NotifyType::kIpsecReplayCounterSyncSupported, "IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED"},
    {NotifyType::kIkev2MessageIdSync, "IKEV2_MESSAGE_ID_SYNC"},
    {NotifyType::kIpsecReplayCounterSync, "IPSEC_REPLAY_COUNTER_SYNC"},
    {NotifyType::kSecurePasswordMethods, "SECURE_PASSWORD_METHODS"},
    {NotifyType::kPskPersist, "PSK_PERSIST"},
    {NotifyType::kPskConfirm, "PSK_CONFIRM"},
    {NotifyType::kErxSupported, "ERX_SUPPORTED"},
    {NotifyType::kIfomCapability, "IFOM_CAPABILITY"},
    {NotifyType::kSenderRequestId, "SENDER_REQUEST_ID"},
    {NotifyType::kIkev2FragmentationSupported, "IKEV2_FRAGMENTATION_SUPPORTED"},
    {NotifyType::kSignatureHashAlgorithms, "SIGNATURE_HASH_ALGORITHMS"},
    {NotifyType::kCloneIkeSaSupported, "CLONE_IKE_SA_SUPPORTED"},
    {NotifyType::kCloneIkeSa, "CLONE_IKE_SA"},
    {NotifyType::kPuzzle, "PUZZLE"},
    {NotifyType::kUsePpk, "USE_PPK"},
    {NotifyType::kPpkIdentity, "PPK_IDENTITY"},
    {NotifyType::kNoPpkAuth, "NO_PPK_AUTH"},
    {NotifyType::kIntermediateExchangeSupported, "INTERMEDIATE_EXCHANGE_SUPPORTED"},
    {NotifyType::kIp4Allowed, "IP4_ALLOWED"},
    {NotifyType::kIp6Allowed, "IP6_ALLOWED"},
    {NotifyType::kAdditionalKeyExchange, "ADDITIONAL_KEY_EXCHANGE"},
    {NotifyType::kUseAggfrag, "USE_AGGFRAG"},
    {NotifyType::kSaResourceInfo, "SA_RESOURCE_INFO"},
    {NotifyType::kHcpProposal, "HCP_PROPOSAL"},
}};

}  // namespace

std::string to_string(NotifyType type) {
  const auto* const found = std::ranges::find(kNames, type, &NotifyName::type);
  if (found != kNames.end()) return std::string(found->name);
  return "notify " + std::to_string(static_cast<unsigned>(type));
}

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |  Protocol ID  |   SPI Size    |      Notify Message Type      |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                Security Parameter Index (SPI)                 ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                       Notification Data                       ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
ParseResult<NotifyPayload> parse_notify(ByteView body) {
  ByteReader in(body);
  NotifyPayload payload;
  const std::uint8_t protocol = in.u8();
  const std::uint8_t spi_octets = in.u8();
  payload.type = static_cast<NotifyType>(in.u16());
  const ByteView spi = in.take(spi_octets);
  if (!in.ok())
    return malformed(static_cast<std::uint8_t>(PayloadType::kNotify), "Notify payload is too short for its SPI");
  // RFC 7296 section 3.10: "If the SPI field is empty, this field MUST be sent as zero and MUST be ignored on receipt."
  if (spi_octets != 0) payload.protocol = static_cast<model::Protocol>(protocol);
  payload.spi.assign(spi.begin(), spi.end());
  const ByteView data = in.rest();
  payload.data.assign(data.begin(), data.end());
  return payload;
}

void serialize(const NotifyPayload& payload, ByteWriter& out) {
  out.u8(payload.spi.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(payload.protocol))
      .u8(static_cast<std::uint8_t>(payload.spi.size()))
      .u16(static_cast<std::uint16_t>(payload.type))
      .bytes(payload.spi)
      .bytes(payload.data);
}

}  // namespace cygnet::wire::ike
