// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <utility>

#include "wire/pfkey/constants.h"

namespace cygnet::wire::pfkey {
namespace {

using Type = MessageType;
constexpr auto kMessageNames = std::to_array<std::pair<Type, std::string_view>>({
    {Type::kGetSpi, "GETSPI"},
    {Type::kUpdate, "UPDATE"},
    {Type::kAdd, "ADD"},
    {Type::kDelete, "DELETE"},
    {Type::kGet, "GET"},
    {Type::kAcquire, "ACQUIRE"},
    {Type::kRegister, "REGISTER"},
    {Type::kExpire, "EXPIRE"},
    {Type::kFlush, "FLUSH"},
    {Type::kDump, "DUMP"},
    {Type::kPromisc, "X_PROMISC"},
    {Type::kPChange, "X_PCHANGE"},
    {Type::kSpdUpdate, "X_SPDUPDATE"},
    {Type::kSpdAdd, "X_SPDADD"},
    {Type::kSpdDelete, "X_SPDDELETE"},
    {Type::kSpdGet, "X_SPDGET"},
    {Type::kSpdAcquire, "X_SPDACQUIRE"},
    {Type::kSpdDump, "X_SPDDUMP"},
    {Type::kSpdFlush, "X_SPDFLUSH"},
    {Type::kSpdSetIdx, "X_SPDSETIDX"},
    {Type::kSpdExpire, "X_SPDEXPIRE"},
    {Type::kSpdDelete2, "X_SPDDELETE2"},
    {Type::kNewMapping, "X_NAT_T_NEW_MAPPING"},
    {Type::kMigrate, "X_MIGRATE"},
    {Type::kCygnetOptions, "CYGNET_OPTIONS"},
    {Type::kCygnetStatistics, "CYGNET_STATISTICS"},
});

using Ext = ExtensionType;
constexpr auto kExtensionNames = std::to_array<std::pair<Ext, std::string_view>>({
    {Ext::kSa, "SA"},
    {Ext::kLifetimeCurrent, "current lifetime"},
    {Ext::kLifetimeHard, "hard lifetime"},
    {Ext::kLifetimeSoft, "soft lifetime"},
    {Ext::kAddressSource, "source address"},
    {Ext::kAddressDestination, "destination address"},
    {Ext::kAddressProxy, "proxy address"},
    {Ext::kKeyAuth, "authentication key"},
    {Ext::kKeyEncrypt, "encryption key"},
    {Ext::kIdentitySource, "source identity"},
    {Ext::kIdentityDestination, "destination identity"},
    {Ext::kSensitivity, "sensitivity"},
    {Ext::kProposal, "proposal"},
    {Ext::kSupportedAuth, "supported authentication algorithms"},
    {Ext::kSupportedEncrypt, "supported encryption algorithms"},
    {Ext::kSpiRange, "SPI range"},
    {Ext::kPrivate, "private"},
    {Ext::kPolicy, "policy"},
    {Ext::kSa2, "SA2"},
    {Ext::kNatType, "NAT-T type"},
    {Ext::kNatSourcePort, "NAT-T source port"},
    {Ext::kNatDestinationPort, "NAT-T destination port"},
    {Ext::kNatOriginalAddress, "NAT-T original address"},
    {Ext::kSecurityContext, "security context"},
    {Ext::kKmAddress, "key management address"},
    {Ext::kFilter, "filter"},
    {Ext::kCygnetOptions, "options"},
    {Ext::kCygnetErrorText, "error text"},
    {Ext::kCygnetCursor, "cursor"},
    {Ext::kCygnetStatistics, "statistics"},
    {Ext::kCygnetNatFragment, "NAT-T fragment size"},
});

}  // namespace

std::string name_of(MessageType type) {
  for (const auto& [value, name] : kMessageNames) {
    if (value == type) return std::string(name);
  }
  return "message type " + std::to_string(static_cast<unsigned>(type));
}

std::string name_of(ExtensionType type) {
  for (const auto& [value, name] : kExtensionNames) {
    if (value == type) return std::string(name);
  }
  return "extension " + std::to_string(static_cast<unsigned>(type));
}

std::string name_of(SaType type) {
  switch (type) {
    case SaType::kUnspecified: return "unspecified";
    case SaType::kAh: return "ah";
    case SaType::kEsp: return "esp";
    case SaType::kRsvp: return "rsvp";
    case SaType::kOspfv2: return "ospfv2";
    case SaType::kRipv2: return "ripv2";
    case SaType::kMobileIp: return "mip";
    case SaType::kIpComp: return "ipcomp";
  }
  return "SA type " + std::to_string(static_cast<unsigned>(type));
}

}  // namespace cygnet::wire::pfkey
