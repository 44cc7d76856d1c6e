// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <string_view>

#include "wire/xfrm/constants.h"

namespace cygnet::wire::xfrm {
namespace {

constexpr std::array<std::string_view, 26> kMessages{
    "NEWSA",      "DELSA",   "GETSA",      "NEWPOLICY",  "DELPOLICY",    "GETPOLICY",  "ALLOCSPI",
    "ACQUIRE",    "EXPIRE",  "UPDPOLICY",  "UPDSA",      "POLEXPIRE",    "FLUSHSA",    "FLUSHPOLICY",
    "NEWAE",      "GETAE",   "REPORT",     "MIGRATE",    "NEWSADINFO",   "GETSADINFO", "NEWSPDINFO",
    "GETSPDINFO", "MAPPING", "SETDEFAULT", "GETDEFAULT", "MIGRATE_STATE"};
constexpr std::array<std::string_view, 5> kControls{"", "NOOP", "ERROR", "DONE", "OVERRUN"};
constexpr std::array<std::string_view, 42> kAttributes{"UNSPEC",
                                                       "ALG_AUTH",
                                                       "ALG_CRYPT",
                                                       "ALG_COMP",
                                                       "ENCAP",
                                                       "TMPL",
                                                       "SA",
                                                       "POLICY",
                                                       "SEC_CTX",
                                                       "LTIME_VAL",
                                                       "REPLAY_VAL",
                                                       "REPLAY_THRESH",
                                                       "ETIMER_THRESH",
                                                       "SRCADDR",
                                                       "COADDR",
                                                       "LASTUSED",
                                                       "POLICY_TYPE",
                                                       "MIGRATE",
                                                       "ALG_AEAD",
                                                       "KMADDRESS",
                                                       "ALG_AUTH_TRUNC",
                                                       "MARK",
                                                       "TFCPAD",
                                                       "REPLAY_ESN_VAL",
                                                       "SA_EXTRA_FLAGS",
                                                       "PROTO",
                                                       "ADDRESS_FILTER",
                                                       "PAD",
                                                       "OFFLOAD_DEV",
                                                       "SET_MARK",
                                                       "SET_MARK_MASK",
                                                       "IF_ID",
                                                       "MTIMER_THRESH",
                                                       "SA_DIR",
                                                       "NAT_KEEPALIVE_INTERVAL",
                                                       "SA_PCPU",
                                                       "IPTFS_DROP_TIME",
                                                       "IPTFS_REORDER_WINDOW",
                                                       "IPTFS_DONT_FRAG",
                                                       "IPTFS_INIT_DELAY",
                                                       "IPTFS_MAX_QSIZE",
                                                       "IPTFS_PKT_SIZE"};

}  // namespace

std::string name_of(MessageType type) {
  const std::size_t number = static_cast<std::uint16_t>(type);
  constexpr auto kFirst = static_cast<std::size_t>(MessageType::kNewSa);
  if (number >= kFirst && number - kFirst < kMessages.size()) return std::string(kMessages[number - kFirst]);
  if (number != 0 && number < kControls.size()) return std::string(kControls[number]);
  return "message type " + std::to_string(number);
}

std::string name_of(AttributeType type) {
  const std::size_t number = static_cast<std::uint16_t>(type);
  return number < kAttributes.size() ? std::string(kAttributes[number]) : "attribute " + std::to_string(number);
}

}  // namespace cygnet::wire::xfrm
