// SPDX-License-Identifier: Apache-2.0
#pragma once

// The numbers of PF_KEY: RFC 2367 and, from X_ on, what KAME and Linux added (<linux/pfkeyv2.h>, <linux/ipsec.h>).
// What bears Cygnet's name is ours: no other program meets it unless it asks for it.
#include <cstdint>
#include <string>
#include <string_view>

namespace cygnet::wire::pfkey {

inline constexpr std::uint8_t kVersion = 2;  // PF_KEY_V2
// The engine's PF_KEY socket, in the run directory.
inline constexpr std::string_view kSocketName = "pfkey.sock";
inline constexpr std::size_t kWord = 8;            // lengths count in these
inline constexpr std::size_t kMaxMessage = 65536;  // octets we take at once, a batch included

// RFC 2367 section 3.1
enum class MessageType : std::uint8_t {
  kReserved = 0,
  kGetSpi = 1,
  kUpdate = 2,
  kAdd = 3,
  kDelete = 4,
  kGet = 5,
  kAcquire = 6,
  kRegister = 7,
  kExpire = 8,
  kFlush = 9,
  kDump = 10,
  kPromisc = 11,
  kPChange = 12,
  kSpdUpdate = 13,
  kSpdAdd = 14,
  kSpdDelete = 15,
  kSpdGet = 16,
  kSpdAcquire = 17,
  kSpdDump = 18,
  kSpdFlush = 19,
  kSpdSetIdx = 20,
  kSpdExpire = 21,
  kSpdDelete2 = 22,
  kNewMapping = 23,
  kMigrate = 24,
  kCygnetOptions = 200,     // what this client wants to be told, and may see
  kCygnetStatistics = 201,  // counters of the PF_KEY service
};

// RFC 2367 section 2.3.6 and <linux/pfkeyv2.h>
enum class SaType : std::uint8_t {
  kUnspecified = 0,
  kAh = 2,
  kEsp = 3,
  kRsvp = 5,
  kOspfv2 = 6,
  kRipv2 = 7,
  kMobileIp = 8,
  kIpComp = 9
};

// RFC 2367 section 2.3
enum class ExtensionType : std::uint16_t {
  kReserved = 0,
  kSa = 1,
  kLifetimeCurrent = 2,
  kLifetimeHard = 3,
  kLifetimeSoft = 4,
  kAddressSource = 5,
  kAddressDestination = 6,
  kAddressProxy = 7,
  kKeyAuth = 8,
  kKeyEncrypt = 9,
  kIdentitySource = 10,
  kIdentityDestination = 11,
  kSensitivity = 12,
  kProposal = 13,
  kSupportedAuth = 14,
  kSupportedEncrypt = 15,
  kSpiRange = 16,
  kPrivate = 17,  // SADB_X_EXT_KMPRIVATE
  kPolicy = 18,
  kSa2 = 19,
  kNatType = 20,
  kNatSourcePort = 21,
  kNatDestinationPort = 22,
  kNatOriginalAddress = 23,
  kSecurityContext = 24,
  kKmAddress = 25,
  kFilter = 26,
  kCygnetOptions = 200,
  kCygnetErrorText = 201,
  kCygnetCursor = 202,
  kCygnetStatistics = 203,
  kCygnetNatFragment = 204,  // KAME's SADB_X_EXT_NAT_T_FRAG, whose number Linux gave to another
};

enum class SaState : std::uint8_t { kLarval = 0, kMature = 1, kDying = 2, kDead = 3 };

// sadb_sa_auth. kSha2_256_96 is ours: HMAC-SHA2-256 cut to 96 bits. AES-GMAC (for AH) has no numbers in Linux; ours are
// FreeBSD's.
enum class AuthAlgorithm : std::uint8_t {
  kNone = 0,
  kMd5 = 2,
  kSha1 = 3,
  kSha2_256 = 5,
  kSha2_384 = 6,
  kSha2_512 = 7,
  kRipemd160 = 8,
  kAesXcbc = 9,
  kAes128Gmac = 11,
  kAes192Gmac = 12,
  kAes256Gmac = 13,
  kSha2_256_96 = 240,
  kNull = 251,
};

// sadb_sa_encrypt. ChaCha20-Poly1305 has no number in Linux; ours is FreeBSD's.
enum class EncryptAlgorithm : std::uint8_t {
  kNone = 0,
  kDes = 2,
  k3Des = 3,
  kCast = 6,
  kBlowfish = 7,
  kNull = 11,
  kAesCbc = 12,
  kAesCtr = 13,
  kAesCcm8 = 14,
  kAesCcm12 = 15,
  kAesCcm16 = 16,
  kAesGcm8 = 18,
  kAesGcm12 = 19,
  kAesGcm16 = 20,
  kCamelliaCbc = 22,
  kAesGmac = 23,
  kChaCha20Poly1305 = 31,
  kSerpent = 252,
  kTwofish = 253,
};

// SADB_X_CALG_DEFLATE: stands where the cipher stands, with kIpComp.
inline constexpr auto kCompressDeflate = static_cast<EncryptAlgorithm>(2);

// sadb_sa_flags
inline constexpr std::uint32_t kFlagPfs = 1;
inline constexpr std::uint32_t kFlagEsn = 0x0400'0000;  // ours: 64-bit sequence numbers
inline constexpr std::uint32_t kFlagNoPmtuDisc = 0x2000'0000;
inline constexpr std::uint32_t kFlagDecapDscp = 0x4000'0000;
inline constexpr std::uint32_t kFlagNoEcn = 0x8000'0000;
inline constexpr std::uint32_t kKnownFlags = kFlagPfs | kFlagEsn | kFlagNoPmtuDisc | kFlagDecapDscp | kFlagNoEcn;

// <linux/ipsec.h>
enum class Mode : std::uint8_t { kAny = 0, kTransport = 1, kTunnel = 2, kBeet = 3 };
enum class PolicyDirection : std::uint8_t { kAny = 0, kIn = 1, kOut = 2, kForward = 3 };
enum class PolicyType : std::uint16_t { kDiscard = 0, kNone = 1, kIpsec = 2, kEntrust = 3, kBypass = 4 };
enum class Level : std::uint8_t { kDefault = 0, kUse = 1, kRequire = 2, kUnique = 3 };
inline constexpr std::uint8_t kAnyProtocol = 255;  // IPSEC_ULPROTO_ANY
inline constexpr std::uint32_t kMaxManualReqid = 0x3fff;

// What is in the protocol field of an ipsecrequest.
inline constexpr std::uint16_t kProtocolEsp = 50;
inline constexpr std::uint16_t kProtocolAh = 51;
inline constexpr std::uint16_t kProtocolIpComp = 108;

// "ADD", "SPDDUMP", "message type 77".
[[nodiscard]] std::string name_of(MessageType type);
// "address source", "extension 99".
[[nodiscard]] std::string name_of(ExtensionType type);
[[nodiscard]] std::string name_of(SaType type);

}  // namespace cygnet::wire::pfkey
