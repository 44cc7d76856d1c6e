// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/engine_choice.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <set>
#include <tuple>

#include "daemon/kernel_role/kernel_link.h"
#include "io/process.h"
#include "io/rtnetlink.h"
#include "sadb/kernel/pfkey_language.h"

namespace cygnet::daemon {

namespace {

using model::EngineKind;
using model::TransformType;

// Somebody's address in a documentation network: no packet will ever match it.
constexpr std::uint32_t kNobodyV4 = 0xc0000201;  // 192.0.2.1
constexpr std::uint32_t kProbeSpi = 0x43590001;
constexpr std::uint16_t kProbeCpi = 0x4359;

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

// Whether the network card takes what it must take. What has no address yet is found out when it is set up.
std::string why_not_card(const model::Connection& connection, const model::Child& child,
                         sadb::kernel::KernelPort& port) {
  if (child.nic_offload != model::NicOffload::kCrypto && child.nic_offload != model::NicOffload::kPacket) return {};
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

// Whether the kernel has an SA for the last of the CPUs.
std::string why_no_clones(const model::Connection& connection, const model::Child& child,
                          sadb::kernel::KernelPort& port) {
  const auto clones = child.clones.value_or(0);
  std::set<Kind> kinds;
  add_kinds(child, kinds);
  if (clones == 0 || kinds.empty()) return {};
  auto spec = probe_of(*kinds.begin(), Family::kV4);
  spec.resource = static_cast<std::uint16_t>(clones - 1);
  const auto taken = sadb::kernel::probe(port, spec);
  if (taken) return {};
  return "connection " + connection.name + " (" + connection.source + ") has clones=" + std::to_string(clones) +
         ", and " + taken.error().message;
}

// Whether the kernel has IP-TFS, with these settings.
std::string why_no_iptfs(const model::Connection& connection, const model::Child& child,
                         sadb::kernel::KernelPort& port) {
  std::set<Kind> kinds;
  add_kinds(child, kinds);
  if (!child.iptfs.enabled || kinds.empty()) return {};
  auto spec = probe_of(*kinds.begin(), Family::kV4);
  spec.iptfs = child.iptfs;
  const auto taken = sadb::kernel::probe(port, spec);
  if (taken) return {};
  return "connection " + connection.name + " (" + connection.source + ") has iptfs=, and " + taken.error().message;
}

// Whether the kernel has IPComp.
std::string why_no_compression(const model::Connection& connection, const model::Child& child,
                               sadb::kernel::KernelPort& port) {
  std::set<Kind> kinds;
  add_kinds(child, kinds);
  if (!child.compress || kinds.empty()) return {};
  const bool v6 = connection.remote.host.has_address() && connection.remote.host.address.is_v6();
  auto spec = probe_of(*kinds.begin(), v6 ? Family::kV6 : Family::kV4);
  spec.ipcomp_cpi = kProbeCpi;
  const auto taken = sadb::kernel::probe(port, spec);
  if (taken) return {};
  return "connection " + connection.name + " (" + connection.source + ") has compress=yes, and " +
         taken.error().message;
}

std::string why_no_interfaces(const Connections& connections) {
  const auto wants = [](const auto* connection) {
    return std::ranges::any_of(connection->children, [](const auto& child) { return child.interface_number != 0; });
  };
  const auto it = std::ranges::find_if(connections, wants);
  if (it == connections.end()) return {};
  auto routes = io::RouteSocket::open();
  if (!routes) return routes.error().message;
  if (routes->has_xfrm_interfaces()) return {};
  return "connection " + (*it)->name + " (" + (*it)->source +
         ") has ipsec-interface=, and this kernel has no XFRM interfaces (CONFIG_XFRM_INTERFACE)";
}

}  // namespace

std::string why_not_kernel(const Connections& connections, EngineKind language) {
  auto port = open_kernel_port(language);
  if (!port) return port.error().message;
  if (auto why = why_no_interfaces(connections); !why.empty()) return why;
  std::set<std::pair<Kind, Family>> probed;  // good ones, each asked for once
  for (const auto* each : connections) {
    const auto& connection = *each;
    std::set<Kind> kinds;
    if (auto why = why_not_in_kernel(connection, language); !why.empty()) return why;
    for (const auto& child : connection.children) {
      add_kinds(child, kinds);
      if (const auto why = why_not_card(connection, child, **port); !why.empty()) return why;
      if (const auto why = why_no_clones(connection, child, **port); !why.empty()) return why;
      if (const auto why = why_no_iptfs(connection, child, **port); !why.empty()) return why;
      if (const auto why = why_no_compression(connection, child, **port); !why.empty()) return why;
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

namespace {

constexpr std::string_view kThreadWords =
    "workers=, worker-cpus=, busy-poll=, crypto-threads=, crypto-cpus= and crypto-cpu= are for Cygnet's own engine";

// Of the connections with engine=auto, all together.
EngineKind choose_automatic(const EnginePlan& plan, const config::LoadedConfiguration& configuration, Logger& log) {
  Connections all;
  for (const auto& connection : configuration.connections) {
    if (wanted_engine(plan, connection) == EngineKind::kAuto) all.push_back(&connection);
  }
  if (all.empty() && plan.usual != EngineKind::kAuto) return EngineKind::kUser;
  auto why = why_not_kernel(all, plan.language);
  if (why.empty() && configuration.threads != model::EngineThreads{}) why = kThreadWords;
  if (why.empty()) return EngineKind::kXfrm;
  const auto other = why_not_user(all);
  log.notice("monitor", other.empty()
                            ? "engine=auto: Cygnet's own engine carries the packets, since " + why
                            : "engine=auto: the kernel carries what needs it and Cygnet's own engine the rest, since " +
                                  why + "; and " + other);
  return other.empty() ? EngineKind::kUser : EngineKind::kAuto;
}

void tell(const EnginePlan& plan, Logger& log) {
  if (!plan.kernel) return;
  log.info("monitor", plan.user
                          ? "the kernel's IPsec carries the packets of some connections, Cygnet's own engine those "
                            "of the others (engine=)"
                          : "the kernel's IPsec carries the packets (engine=)");
  if (plan.language == EngineKind::kPfkey) {
    log.notice("monitor", "engine=pfkey: anti-replay windows have 32 packets, since PF_KEY knows no larger ones");
  }
}

}  // namespace

std::string why_not_plan(const EnginePlan& plan, const std::vector<model::Connection>& connections) {
  if (auto why = why_not_running(plan, connections); !why.empty()) return why;
  if (auto why = why_not_user(those_of(plan, connections, false)); !why.empty()) return "engine=user: " + why;
  const auto in_kernel = those_of(plan, connections, true);
  // Without such connections the kernel is asked for all the same, if it alone is there.
  if (plan.kernel && (!in_kernel.empty() || !plan.user)) {
    if (auto why = why_not_kernel(in_kernel, plan.language); !why.empty()) {
      return "engine=" + std::string(word_of(plan.language)) + ": " + why +
             ". Change the connection, or write engine=user (or auto) in it or in config setup";
    }
  }
  return why_not_apart(plan, connections);
}

Result<EnginePlan> choose_engines(const config::LoadedConfiguration& configuration, Logger& log) {
  const auto& all = configuration.connections;
  EnginePlan plan{.user = false, .usual = configuration.setup.engine};
  const auto wants = [&](EngineKind engine) {
    return plan.usual == engine || std::ranges::any_of(all, [&](const auto& c) { return c.engine == engine; });
  };
  // One that has connections with either is told below why not.
  if (wants(EngineKind::kPfkey) && plan.usual != EngineKind::kXfrm) plan.language = EngineKind::kPfkey;
  plan.automatic = choose_automatic(plan, configuration, log);
  const auto runs = [&](EngineKind engine) {
    engine = engine == EngineKind::kAuto ? plan.automatic : engine;
    plan.user = plan.user || engine == EngineKind::kUser || engine == EngineKind::kAuto;
    plan.kernel = plan.kernel || engine != EngineKind::kUser;
  };
  runs(plan.usual);
  for (const auto& connection : all) runs(wanted_engine(plan, connection));
  if (!plan.user && configuration.threads != model::EngineThreads{}) {
    return fail("engine=" + std::string(word_of(plan.language)) + ": " + std::string(kThreadWords) +
                ". Remove them, or write engine=user (or auto) in config setup");
  }
  if (auto why = why_not_plan(plan, all); !why.empty()) return fail(why);
  tell(plan, log);
  return plan;
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

void note_in_kernel(const EnginePlan& plan, const std::string& file, Logger& log) {
  if (!plan.kernel) {
    remove_from_kernel(file, log);
    return;
  }
  const auto text = "engine=" + std::string(word_of(plan.language)) + " " + larval_drop_before(file) + '\n';
  if (auto kept = io::replace_file(file, text, 0600); !kept) {
    log.warning("monitor", kept.error().message + ": if cygnetd is killed, --clean-up leaves the kernel's SAs alone");
  }
  // Packets that wait for an SA are held and not dropped, as our own engine does it.
  if (!write_larval_drop('0')) {
    log.notice("monitor",
               "net.core.xfrm_larval_drop cannot be set to 0: the first packets of on-demand tunnels are lost");
  }
}

void remove_from_kernel(const std::string& file, Logger& log) {
  std::string word;
  if (std::ifstream in(file); !(in >> word)) return;
  if (const char before = larval_drop_before(file); before != '0' && !write_larval_drop(before))
    log.warning("monitor", std::string("net.core.xfrm_larval_drop cannot be set to what it was before: sysctl -w "
                                       "net.core.xfrm_larval_drop=") +
                               before);
  const auto language = word == "engine=pfkey" ? EngineKind::kPfkey : EngineKind::kXfrm;
  auto port = open_kernel_port(language);
  if (!port) {
    log.warning("monitor", "our SAs and policies stay in the kernel: " + port.error().message +
                               ". `cygnetd --clean-up` tries it again");
    return;
  }
  sadb::kernel::KernelEngine(**port, 0).end();
  io::remove_file(file);
}

}  // namespace cygnet::daemon
