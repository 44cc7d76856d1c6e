// SPDX-License-Identifier: Apache-2.0
#pragma once

// setkey's language (setkey(8) of ipsec-tools): statements that end with a semicolon. Text -> values; nothing is asked
// of the machine here: host names stay names.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "config/diagnostic.h"

namespace cygnet::config {

struct SetkeyPlace {
  int line = 0;
  int column = 0;
};

// An address or name, perhaps with /prefix and [port]. "any": all addresses of the other side's family.
struct SetkeyAddress {
  SetkeyPlace place;
  std::string host;
  std::optional<std::uint8_t> prefix_length;
  std::uint16_t port = 0;  // 0: any
};

enum class SetkeyProtocol : std::uint8_t { kAny, kEsp, kEspUdp, kAh, kIpComp, kTcp };
enum class SetkeyMode : std::uint8_t { kAny = 0, kTransport = 1, kTunnel = 2, kBeet = 3 };
enum class SetkeyLevel : std::uint8_t { kDefault = 0, kUse = 1, kRequire = 2, kUnique = 3 };
enum class SetkeyDirection : std::uint8_t { kNone = 0, kIn = 1, kOut = 2, kForward = 3 };
enum class SetkeyAction : std::uint8_t { kDiscard = 0, kNone = 1, kIpsec = 2 };

struct SetkeyLifetime {
  std::uint64_t seconds = 0;
  std::uint64_t bytes = 0;
  [[nodiscard]] bool given() const { return seconds != 0 || bytes != 0; }
};

// One of the SAs that a policy asks for: esp/tunnel/192.0.2.1-192.0.2.2/require.
struct SetkeyRequest {
  SetkeyPlace place;
  SetkeyProtocol protocol = SetkeyProtocol::kEsp;
  SetkeyMode mode = SetkeyMode::kTransport;
  std::optional<SetkeyAddress> source, destination;
  SetkeyLevel level = SetkeyLevel::kDefault;
  std::uint32_t reqid = 0;
};

struct SetkeySa {
  SetkeyProtocol protocol = SetkeyProtocol::kEsp;
  std::uint32_t spi = 0;
  SetkeyMode mode = SetkeyMode::kAny;
  std::uint8_t replay = 0;
  std::uint32_t reqid = 0;
  std::uint32_t flags = 0;  // sadb_sa_flags
  SetkeyLifetime hard, soft;
  std::uint8_t encryption = 0;  // PF_KEY's numbers
  std::uint8_t authentication = 0;
  std::uint8_t compression = 0;
  SecretBytes encryption_key, authentication_key;
  std::uint16_t fragment = 0;  // -esp_frag
  struct Context {
    std::uint8_t domain = 0, algorithm = 0;
    std::string name;
  };
  std::optional<Context> context;
};

struct SetkeyPolicy {
  std::uint8_t protocol = 255;  // 255: any
  SetkeyDirection direction{};
  SetkeyAction action{};
  std::uint32_t priority = 0;  // as the kernel counts: the lower number comes first, 0 is what none was said for
  std::vector<SetkeyRequest> requests;
  std::optional<SetkeySa::Context> context;
};

enum class SetkeyVerb : std::uint8_t {
  kAdd,
  kUpdate,
  kGet,
  kDelete,
  kDeleteAll,
  kFlush,
  kDump,
  kSpdAdd,
  kSpdUpdate,
  kSpdDelete,
  kSpdFlush,
  kSpdDump
};

struct SetkeyStatement {
  SetkeyPlace place;
  SetkeyVerb verb{};
  char family = 0;         // '4' or '6' if only such addresses of a name are meant
  bool no_lookup = false;  // -n: addresses must be numbers
  SetkeyAddress source, destination;
  std::optional<std::string> tag;  // spdadd tagged: of a packet filter
  SetkeySa sa;                     // of the verbs about SAs; flush and dump: its protocol
  SetkeyPolicy policy;             // of the verbs about policies
};

struct SetkeyScript {
  std::vector<SetkeyStatement> statements;
  std::vector<Diagnostic> diagnostics;  // errors; then no statement is worth to be carried out
};

// file: for the diagnostics. Stops at the first error.
[[nodiscard]] SetkeyScript parse_setkey(std::string_view text, const std::string& file);

}  // namespace cygnet::config
