// SPDX-License-Identifier: Apache-2.0
#include "cli/setkey_print.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "config/setkey_algorithms.h"
#include "model/traffic_selector.h"

namespace cygnet::cli {

namespace {

namespace pf = wire::pfkey;

constexpr std::uint8_t kGre = 47;

template <typename... Values>
std::string format(const char* how, Values... values) {
  std::array<char, 512> text{};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
  (void)std::snprintf(text.data(), text.size(), how, values...);
#pragma GCC diagnostic pop
  return text.data();
}

std::string number(std::uint64_t value) { return std::to_string(value); }

std::string hex32(std::uint32_t value) { return format("0x%08x", value); }

std::string mode_name(pf::Mode mode) {
  static constexpr std::array kNames{"any", "transport", "tunnel", "beet"};
  const auto index = static_cast<std::size_t>(mode);
  return index < kNames.size() ? kNames[index] : number(index);
}

std::string state_name(pf::SaState state) {
  static constexpr std::array kNames{"larval", "mature", "dying", "dead"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string algorithm_name(std::span<const config::SetkeyAlgorithm> table, std::uint8_t id) {
  const auto* row = config::find_setkey(table, id);
  return row == nullptr ? number(id) : std::string(row->name);
}

std::string address_text(const std::optional<pf::AddressExtension>& address,
                         const std::optional<pf::NatPortExtension>& port) {
  if (!address) return "(none)";
  auto text = address->endpoint.address.to_string();
  if (port) text += "[" + number(port->port) + "]";
  return text;
}

// Groups of four octets, as ipsec-tools dumps keys.
std::string key_text(const pf::KeyExtension& key, bool may_be_hidden) {
  const bool zeros = std::ranges::all_of(key.key, [](std::uint8_t octet) { return octet == 0; });
  if (zeros && may_be_hidden && key.bits != 0)
    return " (" + number(key.bits) + " bits, hidden: --show-keys shows them)";
  std::string text;
  for (std::size_t i = 0; i < key.key.size(); ++i) {
    if (i != 0 && i % 32 == 0) text += "\n";
    if (i % 4 == 0) text += " ";
    text += format("%02x", static_cast<unsigned>(key.key[i]));
  }
  return text;
}

std::string seconds_left(std::uint64_t current, const std::optional<pf::LifetimeExtension>& hard,
                         const std::optional<pf::LifetimeExtension>& soft, std::uint64_t pf::LifetimeExtension::* what,
                         const char* unit) {
  const auto value = [&](const auto& lifetime) { return lifetime ? (*lifetime).*what : 0; };
  return number(current) + unit + "\thard: " + number(value(hard)) + unit + "\tsoft: " + number(value(soft)) + unit +
         "\n";
}

std::string lifetimes(const pf::Message& m, const SetkeyStyle& style) {
  if (!m.current) return {};
  const auto& c = *m.current;
  const auto now = static_cast<std::uint64_t>(std::max<std::int64_t>(0, style.now_s));
  std::string out = "\tcreated: " + print_time(c.add_time) + "\tcurrent: " + print_time(now) + "\n";
  const auto age = c.add_time == 0 || now < c.add_time ? 0 : now - c.add_time;
  out += "\tdiff: " + seconds_left(age, m.hard, m.soft, &pf::LifetimeExtension::add_time, "(s)");
  out += "\tlast: " + print_time(c.use_time) + "\thard: " + number(m.hard ? m.hard->use_time : 0) +
         "(s)\tsoft: " + number(m.soft ? m.soft->use_time : 0) + "(s)\n";
  out += "\tcurrent: " + seconds_left(c.bytes, m.hard, m.soft, &pf::LifetimeExtension::bytes, "(bytes)");
  out += "\tallocated: " + number(c.allocations) + "\thard: " + number(m.hard ? m.hard->allocations : 0) +
         "\tsoft: " + number(m.soft ? m.soft->allocations : 0) + "\n";
  return out;
}

std::string short_sa(const pf::Message& m) {
  std::string out = address_text(m.source, m.nat_source_port) + " -> " +
                    address_text(m.destination, m.nat_destination_port) + " " + name_of(m.header.sa_type);
  if (m.sa) out += " spi=" + hex32(m.sa->spi.value) + " " + state_name(m.sa->state);
  if (m.sa2) out += " " + mode_name(m.sa2->mode);
  if (m.current) out += " " + number(m.current->bytes) + "(bytes) " + number(m.current->allocations) + "(packets)";
  return out + "\n";
}

bool is_icmp(std::uint8_t protocol) { return protocol == 1 || protocol == 58; }
// What is in the place of its ports is shown behind its name.
bool has_no_ports(std::uint8_t protocol) { return is_icmp(protocol) || protocol == kGre; }

std::string range_text(const pf::AddressExtension& address, bool no_ports) {
  auto text = address.endpoint.address.to_string();
  if (address.prefix_length != address.endpoint.address.bits()) text += "/" + number(address.prefix_length);
  return text + (address.endpoint.port == 0 || no_ports ? "[any]" : "[" + number(address.endpoint.port) + "]");
}

std::string upper_text(const pf::AddressExtension& source, const pf::AddressExtension& destination) {
  const auto protocol = source.protocol;
  if (protocol == pf::kAnyProtocol || protocol == 0) return "any";
  if (!has_no_ports(protocol)) return model::ip_protocol_name(protocol);
  std::string text = protocol == kGre ? "gre" : protocol == 58 ? "icmp6" : "icmp";
  const auto type = source.endpoint.port;
  const auto code = destination.endpoint.port;
  if (type == 0 && code == 0) return text;
  if (protocol == kGre) return text + " " + number(std::uint32_t{type} << 16U | code);
  return text + " " + number(type) + "," + number(code);
}

// The nearest of setkey's three words, and how far from it.
std::string priority_text(std::uint32_t priority) {
  constexpr std::int64_t kLow = 0xC000'0000;
  constexpr std::int64_t kDefault = 0x8000'0000;
  constexpr std::int64_t kHigh = 0x4000'0000;
  if (priority == 0) return {};
  std::int64_t base = kLow;
  std::string text = "prio low";
  if (priority < kDefault / 4 * 3) {
    base = kHigh;
    text = "prio high";
  } else if (priority < kDefault / 4 * 5) {
    base = kDefault;
    text = "prio def";
  }
  const auto offset = base - std::int64_t{priority};
  if (offset != 0) text += std::string(offset > 0 ? " + " : " - ") + std::to_string(offset > 0 ? offset : -offset);
  return text + " ";
}

std::string request_text(const pf::PolicyRequest& request, bool ports) {
  std::string text = request.protocol == pf::kProtocolAh       ? "ah"
                     : request.protocol == pf::kProtocolIpComp ? "ipcomp"
                     : request.protocol == pf::kProtocolEsp    ? "esp"
                                                               : number(request.protocol);
  const auto end = [&](const Endpoint& e) {
    return e.address.to_string() + (ports && e.port != 0 ? "[" + number(e.port) + "]" : "");
  };
  text += "/" + mode_name(request.mode) + "/";
  if (request.ends) text += end(request.ends->source) + "-" + end(request.ends->destination);
  static constexpr std::array kLevels{"default", "use", "require", "unique"};
  text += std::string("/") + kLevels[static_cast<std::size_t>(request.level)];
  if (request.level == pf::Level::kUnique && request.reqid != 0) text += ":" + number(request.reqid);
  return text;
}

std::string policy_text(const pf::PolicyExtension& policy, bool ports) {
  static constexpr std::array kDirections{"any", "in", "out", "fwd"};
  static constexpr std::array kTypes{"discard", "none", "ipsec", "entrust", "bypass"};
  std::string text = std::string(kDirections[static_cast<std::size_t>(policy.direction)]) + " " +
                     priority_text(policy.priority) + kTypes[static_cast<std::size_t>(policy.type)];
  for (const auto& request : policy.requests) text += "\n\t" + request_text(request, ports);
  return text;
}

}  // namespace

std::string print_time(std::uint64_t seconds) {
  if (seconds == 0) return std::string(20, ' ');
  const auto when = static_cast<std::time_t>(seconds);
  std::tm parts{};
  std::array<char, 32> text{};
  if (::localtime_r(&when, &parts) == nullptr) return number(seconds);
  const auto length = std::strftime(text.data(), text.size(), "%b %e %H:%M:%S %Y", &parts);
  return {text.data(), length};
}

std::string print_sa(const pf::Message& m, const SetkeyStyle& style) {
  if (style.short_form) return short_sa(m);
  const bool nat = m.nat_type && m.nat_type->type != 0;
  std::string out = address_text(m.source, nat ? m.nat_source_port : std::nullopt) + " " +
                    address_text(m.destination, nat ? m.nat_destination_port : std::nullopt) + " \n\t";
  out += nat ? "esp-udp " : name_of(m.header.sa_type) + " ";
  out += "mode=" + mode_name(m.sa2 ? m.sa2->mode : pf::Mode::kAny) + " ";
  const auto spi = m.sa ? m.sa->spi.value : 0;
  const auto reqid = m.sa2 ? m.sa2->reqid : 0;
  out += "spi=" + number(spi) + "(" + hex32(spi) + ") reqid=" + number(reqid) + "(" + hex32(reqid) + ")\n";
  if (m.encrypt_key && m.sa) {
    out += "\tE: " + algorithm_name(config::setkey_encryption(), static_cast<std::uint8_t>(m.sa->encrypt)) + " " +
           key_text(*m.encrypt_key, style.keys_hidden) + "\n";
  }
  if (m.auth_key && m.sa) {
    out += "\tA: " + algorithm_name(config::setkey_authentication(), static_cast<std::uint8_t>(m.sa->auth)) + " " +
           key_text(*m.auth_key, style.keys_hidden) + "\n";
  }
  if (m.sa) {
    out += "\tseq=" + hex32(m.sa2 ? m.sa2->sequence : 0) + " replay=" + number(m.sa->replay) +
           " flags=" + hex32(m.sa->flags) + " state=" + state_name(m.sa->state) + " \n";
  }
  out += lifetimes(m, style);
  return out + "\tsadb_seq=" + number(m.header.sequence) + " pid=" + number(m.header.pid) + " refcnt=0\n";
}

std::string print_policy(const pf::Message& m, const SetkeyStyle& style) {
  std::string out;
  if (m.source && m.destination) {
    const bool no_ports = has_no_ports(m.source->protocol);
    out += range_text(*m.source, no_ports) + " " + range_text(*m.destination, no_ports) + " " +
           upper_text(*m.source, *m.destination) + "\n";
  } else {
    out += "(no selectors)\n";
  }
  if (m.policy) out += "\t" + policy_text(*m.policy, style.ports) + "\n";
  if (m.current) {
    out += "\tcreated: " + print_time(m.current->add_time) + "  lastused: " + print_time(m.current->use_time) + "\n";
  }
  if (m.hard || m.current) {
    out += "\tlifetime: " + number(m.hard ? m.hard->add_time : 0) +
           "(s) validtime: " + number(m.hard ? m.hard->use_time : 0) + "(s)\n";
  }
  return out + "\tspid=" + number(m.policy ? m.policy->id : 0) + " seq=" + number(m.header.sequence) +
         " pid=" + number(m.header.pid) + "\n\trefcnt=1\n";
}

std::string print_message(const pf::Message& m) {
  const auto& h = m.header;
  std::string out = name_of(h.type) + " type=" + number(static_cast<unsigned>(h.type)) + " errno=" + number(h.error) +
                    " satype=" + name_of(h.sa_type) + " seq=" + number(h.sequence) + " pid=" + number(h.pid) + "\n";
  if (m.error_text) out += "\t" + m.error_text->text + "\n";
  if (m.source) out += "\tfrom " + range_text(*m.source, true) + " protocol=" + number(m.source->protocol) + "\n";
  if (m.destination) out += "\tto " + range_text(*m.destination, true) + "\n";
  if (m.sa) {
    out += "\tspi=" + hex32(m.sa->spi.value) + " replay=" + number(m.sa->replay) + " state=" + state_name(m.sa->state) +
           " auth=" + algorithm_name(config::setkey_authentication(), static_cast<std::uint8_t>(m.sa->auth)) +
           " encrypt=" + algorithm_name(config::setkey_encryption(), static_cast<std::uint8_t>(m.sa->encrypt)) +
           " flags=" + hex32(m.sa->flags) + "\n";
  }
  if (m.sa2) out += "\tmode=" + mode_name(m.sa2->mode) + " reqid=" + number(m.sa2->reqid) + "\n";
  if (m.spi_range) out += "\tSPIs from " + hex32(m.spi_range->min) + " to " + hex32(m.spi_range->max) + "\n";
  if (m.nat_source_port) out += "\tsource port " + number(m.nat_source_port->port) + "\n";
  if (m.nat_destination_port) out += "\tdestination port " + number(m.nat_destination_port->port) + "\n";
  const auto lifetime = [&](const char* name, const std::optional<pf::LifetimeExtension>& l) {
    if (!l) return;
    out += std::string("\t") + name + " packets=" + number(l->allocations) + " bytes=" + number(l->bytes) +
           " addtime=" + number(l->add_time) + " usetime=" + number(l->use_time) + "\n";
  };
  lifetime("current", m.current);
  lifetime("hard", m.hard);
  lifetime("soft", m.soft);
  if (m.policy) out += "\tid=" + number(m.policy->id) + " " + policy_text(*m.policy, true) + "\n";
  if (m.proposal) out += "\tproposals: " + number(m.proposal->combinations.size()) + "\n";
  return out;
}

std::string print_octets(ByteView octets) {
  std::string out;
  for (std::size_t i = 0; i < octets.size(); ++i) {
    if (i % 16 == 0) out += format("%08zx:", i);
    if (i % 4 == 0) out += " ";
    out += format("%02x", static_cast<unsigned>(octets[i]));
    if (i % 16 == 15 || i + 1 == octets.size()) out += "\n";
  }
  return out;
}

std::string print_algorithms(const pf::Message& m) {
  std::string out;
  const auto list = [&](const char* option, const auto& supported, std::span<const config::SetkeyAlgorithm> names) {
    for (const auto& one : supported ? supported->algorithms : std::vector<pf::SupportedAlgorithm>{}) {
      out += std::string(option) + " " + algorithm_name(names, one.id) + "\t" + number(one.min_bits);
      if (one.max_bits != one.min_bits) out += " to " + number(one.max_bits);
      out += " bits\n";
    }
  };
  list("-E", m.supported_encrypt, config::setkey_encryption());
  list("-A", m.supported_auth, config::setkey_authentication());
  return out;
}

}  // namespace cygnet::cli
