// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/engine_choice.h"

#include <unistd.h>

#include <fstream>
#include <optional>
#include <set>
#include <tuple>

#include "daemon/kernel_role/kernel_link.h"
#include "io/process.h"
#include "sadb/kernel/pfkey_language.h"

namespace cygnet::daemon {

namespace {

using model::EngineKind;
using model::TransformType;

// Somebody's address in a documentation network: no packet will ever match it.
constexpr std::uint32_t kNobodyV4 = 0xc0000201;  // 192.0.2.1
constexpr std::uint32_t kProbeSpi = 0x43590001;

struct Kind {
  model::SaProtocol protocol{};
  model::Transform encryption, integrity;
  auto operator<=>(const Kind&) const = default;
};

// Every pair of algorithms that a proposal leaves to be chosen.
void add_kinds(const model::Child& child, std::set<Kind>& kinds) {
  for (const auto& proposal : child.proposals) {
    auto ciphers = proposal.of(TransformType::kEncryption);
    if (child.protocol == model::SaProtocol::kAh) ciphers = {{TransformType::kEncryption, 0, 0}};
    for (const auto& cipher : ciphers) {
      auto integrities = proposal.of(TransformType::kIntegrity);
      if (model::is_aead(static_cast<model::EncryptionId>(cipher.id)) || integrities.empty()) {
        integrities = {{TransformType::kIntegrity, 0, 0}};
      }
      for (const auto& integrity : integrities) kinds.insert({child.protocol, cipher, integrity});
    }
  }
}

model::SaSpec probe_of(const Kind& kind, Family family) {
  model::SaSpec spec{.direction = model::Direction::kOutbound, .spi = Spi(kProbeSpi)};
  spec.protocol = kind.protocol;
  const auto nobody = family == Family::kV4 ? IpAddress::v4(kNobodyV4) : *IpAddress::parse("2001:db8::1");
  spec.local = spec.remote = {nobody, 0};
  spec.local_selectors = spec.remote_selectors = {model::TrafficSelector::of(IpRange::all(family))};
  spec.encryption = static_cast<model::EncryptionId>(kind.encryption.id);
  spec.encryption_bits = kind.encryption.key_bits;
  spec.integrity = static_cast<model::IntegrityId>(kind.integrity.id);
  // Keys of different octets: some ciphers refuse those of equal ones.
  const auto fill = [](SecretBytes& key, std::size_t octets) {
    for (std::size_t i = 0; i < octets; ++i) key.push_back(static_cast<std::uint8_t>(i + 1));
  };
  if (kind.protocol == model::SaProtocol::kEsp) {
    fill(spec.encryption_key,
         model::key_octets(spec.encryption, spec.encryption_bits) + model::salt_octets(spec.encryption));
  }
  fill(spec.integrity_key, model::key_octets(spec.integrity));
  return spec;
}

std::string words_of(const Kind& kind) {
  std::string out = kind.protocol == model::SaProtocol::kAh ? "AH with " : "";
  if (kind.protocol == model::SaProtocol::kEsp) out += model::to_string(kind.encryption);
  if (kind.integrity.id != 0) {
    out += (kind.protocol == model::SaProtocol::kEsp ? " with " : "") + model::to_string(kind.integrity);
  }
  return out;
}

std::string word_of(EngineKind engine) { return engine == EngineKind::kPfkey ? "pfkey" : "xfrm"; }

std::string why_not(const model::Connection& connection, EngineKind language) {
  for (const auto& child : connection.children) {
    if (auto why = sadb::kernel::why_not(child); !why.empty()) return why;
  }
  return language == EngineKind::kPfkey ? sadb::kernel::why_not_pfkey(connection) : std::string{};
}

// Whether the network card takes what it must take. What has no address yet is found out when it is set up.
std::string why_not_card(const model::Connection& connection, const model::Child& child,
                         sadb::kernel::KernelPort& port) {
  if (child.nic_offload != model::NicOffload::kCrypto) return {};
  // Which end is ours has not been found out yet.
  const auto is_here = [&](const model::HostSpec& host) {
    return host.has_address() && port.interface_of(host.address) != 0;
  };
  const auto& host = is_here(connection.local.host) ? connection.local.host : connection.remote.host;
  if (!is_here(host)) return {};
  std::set<Kind> kinds;
  add_kinds(child, kinds);
  for (const auto& kind : kinds) {
    auto spec = probe_of(kind, host.address.family());
    spec.local.address = host.address;
    spec.nic_offload = child.nic_offload;
    if (const auto taken = sadb::kernel::probe(port, spec); !taken) {
      return "connection " + connection.name + " (" + connection.source + "): " + taken.error().message;
    }
  }
  return {};
}

}  // namespace

std::string why_not_user(const std::vector<model::Connection>& connections) {
  for (const auto& connection : connections) {
    for (const auto& child : connection.children) {
      if (const auto word = sadb::kernel::needs_kernel(child); !word.empty()) {
        return "connection " + connection.name + " (" + connection.source + ") has " + word +
               ", which only the kernel's IPsec heeds (engine=xfrm)";
      }
    }
  }
  return {};
}

std::string why_not_engine(const std::vector<model::Connection>& connections, EngineKind engine) {
  return engine == EngineKind::kUser ? why_not_user(connections) : why_not_kernel(connections, engine);
}

std::string why_not_kernel(const std::vector<model::Connection>& connections, EngineKind language) {
  auto port = open_kernel_port(language);
  if (!port) return port.error().message;
  std::set<std::pair<Kind, Family>> probed;  // good ones, each asked for once
  for (const auto& connection : connections) {
    std::set<Kind> kinds;
    if (const auto why = why_not(connection, language); !why.empty()) {
      return "connection " + connection.name + " (" + connection.source + ") has " + why +
             (language == EngineKind::kPfkey ? ", which cannot be asked of the kernel over PF_KEY"
                                             : ", which is not built for the kernel's IPsec");
    }
    for (const auto& child : connection.children) {
      add_kinds(child, kinds);
      if (const auto why = why_not_card(connection, child, **port); !why.empty()) return why;
    }
    const bool v6 = connection.remote.host.has_address() && connection.remote.host.address.is_v6();
    for (const auto& kind : kinds) {
      const auto family = v6 ? Family::kV6 : Family::kV4;
      if (!probed.emplace(kind, family).second) continue;
      const auto taken = sadb::kernel::probe(**port, probe_of(kind, family));
      if (!taken) {
        return "connection " + connection.name + " (" + connection.source + ") may agree on " + words_of(kind) +
               ", and " + taken.error().message;
      }
    }
  }
  return {};
}

Result<EngineKind> choose_engine(const config::LoadedConfiguration& configuration, Logger& log) {
  const auto wanted = configuration.setup.engine;
  if (wanted == EngineKind::kUser) {
    if (const auto why = why_not_user(configuration.connections); !why.empty()) return fail("engine=user: " + why);
    return wanted;
  }
  const auto language = wanted == EngineKind::kPfkey ? EngineKind::kPfkey : EngineKind::kXfrm;
  auto why = why_not_kernel(configuration.connections, language);
  if (why.empty() && configuration.threads != model::EngineThreads{}) {
    why =
        "workers=, worker-cpus=, busy-poll=, crypto-threads=, crypto-cpus= and crypto-cpu= are for Cygnet's own engine";
  }
  if (why.empty()) {
    log.info("monitor", "the kernel's IPsec carries the packets (engine=)");
    if (language == EngineKind::kPfkey) {
      log.notice("monitor", "engine=pfkey: anti-replay windows have 32 packets, since PF_KEY knows no larger ones");
    }
    return language;
  }
  if (wanted != EngineKind::kAuto) {
    return fail("engine=" + word_of(wanted) + ": " + why +
                ". Change the connection, or write engine=user (or auto) in config setup");
  }
  if (const auto other = why_not_user(configuration.connections); !other.empty()) {
    return fail("engine=auto: the kernel cannot: " + why + "; and " + other);
  }
  log.notice("monitor", "engine=auto: Cygnet's own engine carries the packets, since " + why);
  return EngineKind::kUser;
}

namespace {

// The setting is the network namespace's: it is given back as it was.
constexpr const char* kLarvalDrop = "/proc/sys/net/core/xfrm_larval_drop";

bool write_larval_drop(char value) {
  std::ofstream file(kLarvalDrop);
  file << value << std::flush;
  return !file.fail();
}

// What the file of an earlier one says, or else what is set now.
char larval_drop_before(const std::string& file) {
  std::string engine;
  char value = 0;
  if (std::ifstream earlier(file); earlier >> engine >> value) return value;
  if (std::ifstream now(kLarvalDrop); now >> value) return value;
  return '1';
}

}  // namespace

void note_in_kernel(EngineKind chosen, const std::string& file, Logger& log) {
  if (chosen == EngineKind::kUser) {
    remove_from_kernel(file);
    return;
  }
  const auto text = "engine=" + word_of(chosen) + " " + larval_drop_before(file) + '\n';
  if (auto kept = io::replace_file(file, text, 0600); !kept) {
    log.warning("monitor", kept.error().message + ": if cygnetd is killed, --clean-up leaves the kernel's SAs alone");
  }
  // Packets that wait for an SA are held and not dropped, as our own engine does it.
  if (!write_larval_drop('0')) {
    log.notice("monitor",
               "net.core.xfrm_larval_drop cannot be set to 0: the first packets of on-demand tunnels are lost");
  }
}

void remove_from_kernel(const std::string& file) {
  std::string word;
  if (std::ifstream in(file); !(in >> word)) return;
  if (const char before = larval_drop_before(file); before != '0') (void)write_larval_drop(before);
  io::remove_file(file);
  const auto language = word == "engine=pfkey" ? EngineKind::kPfkey : EngineKind::kXfrm;
  if (auto port = open_kernel_port(language)) sadb::kernel::KernelEngine(**port, 0).end();
}

}  // namespace cygnet::daemon
