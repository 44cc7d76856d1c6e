// SPDX-License-Identifier: Apache-2.0
#include "config/kernel_words.h"

#include <algorithm>
#include <array>

#include "config/values.h"

namespace cygnet::config {
namespace {

constexpr std::uint64_t kAllBits = 0xffffffffU;

struct Context {
  const Entry& entry;
  ConnectionDraft& draft;
  model::Connection& connection;
  model::Child& child;
  Reporter& report;
  void bad(const std::string& hint) const {
    report.error(entry.value_place(), "'" + entry.value + "' is no value of " + entry.key + "=", hint);
  }
};

// Of our own engine a TUN device; of the kernel an XFRM interface.
void on_interface(const Context& c) {
  c.child.interface_number = 0;
  if (equals_ignoring_case(c.entry.value, "no")) return;  // the default device
  if (equals_ignoring_case(c.entry.value, "yes")) {
    // The default device; in the kernel the first XFRM interface.
    c.child.interface_number = 1;
    return;
  }
  auto name = c.entry.value;
  if (const auto number = parse_number(name, 99999)) {
    c.child.interface_number = static_cast<std::uint32_t>(*number);
    name = "ipsec" + name;
  }
  if (!is_device_name(name)) return c.bad("write a device name of at most 15 characters, or a number N for ipsecN");
  c.child.device = name;
  c.draft.device_set = true;
}

// "42", "0x2a/0xff".
std::optional<model::SaMark> mark(const Context& c) {
  const std::string_view text = c.entry.value;
  const auto slash = text.find('/');
  const auto value = parse_number(text.substr(0, slash), kAllBits);
  const auto mask =
      slash == std::string_view::npos ? std::optional(kAllBits) : parse_number(text.substr(slash + 1), kAllBits);
  if (!value || !mask) {
    c.bad(text.starts_with("%unique") || text == "-1"
              ? "marks are not chosen by the daemon: write a number of your own, for example 0x2a/0xff"
              : "write a number, or a number and a mask: 42 or 0x2a/0xff");
    return std::nullopt;
  }
  if (*mask == 0 || (*value & ~*mask) != 0) {
    c.bad("the mask must cover the value, or no packet ever matches");
    return std::nullopt;
  }
  return model::SaMark{static_cast<std::uint32_t>(*value), static_cast<std::uint32_t>(*mask)};
}

void on_mark(const Context& c) {
  if (const auto value = mark(c)) c.child.mark_in = c.child.mark_out = *value;
}
void on_mark_in(const Context& c) {
  if (const auto value = mark(c)) c.child.mark_in = *value;
}
void on_mark_out(const Context& c) {
  if (const auto value = mark(c)) c.child.mark_out = *value;
}

void interface_id(const Context& c, std::uint32_t& to) {
  const auto value = parse_number(c.entry.value, kAllBits);
  if (!value || *value == 0) {
    return c.bad("write the number of the XFRM interface: if_id_out=42 for `ip link add ipsec42 type xfrm if_id 42`");
  }
  to = static_cast<std::uint32_t>(*value);
}
void on_interface_id_in(const Context& c) { interface_id(c, c.child.interface_id_in); }
void on_interface_id_out(const Context& c) { interface_id(c, c.child.interface_id_out); }

void on_engine(const Context& c) {
  c.connection.engine = parse_engine(c.entry.value);
  if (!c.connection.engine) c.bad(std::string(kEngineHint));
}

void on_nic_offload(const Context& c) {
  using model::NicOffload;
  static constexpr std::array<std::pair<std::string_view, NicOffload>, 5> kValues{{{"no", NicOffload::kNo},
                                                                                   {"auto", NicOffload::kAuto},
                                                                                   {"yes", NicOffload::kCrypto},
                                                                                   {"crypto", NicOffload::kCrypto},
                                                                                   {"packet", NicOffload::kPacket}}};
  for (const auto& [word, value] : kValues) {
    if (!equals_ignoring_case(c.entry.value, word)) continue;
    c.child.nic_offload = value;
    return;
  }
  c.bad("write no, auto, crypto (yes), or packet");
}

struct Word {
  std::string_view name;
  void (*apply)(const Context&);
};
constexpr std::array kWords{Word{"engine", on_engine},
                            Word{"ipsec-interface", on_interface},
                            Word{"interface", on_interface},
                            Word{"mark", on_mark},
                            Word{"mark-in", on_mark_in},
                            Word{"mark-out", on_mark_out},
                            Word{"if-id-in", on_interface_id_in},
                            Word{"if-id-out", on_interface_id_out},
                            Word{"nic-offload", on_nic_offload},
                            Word{"hw-offload", on_nic_offload}};

}  // namespace

std::optional<model::EngineKind> parse_engine(std::string_view text) {
  using model::EngineKind;
  static constexpr std::array<std::pair<std::string_view, EngineKind>, 4> kValues{{{"user", EngineKind::kUser},
                                                                                   {"xfrm", EngineKind::kXfrm},
                                                                                   {"pfkey", EngineKind::kPfkey},
                                                                                   {"auto", EngineKind::kAuto}}};
  for (const auto& [word, value] : kValues) {
    if (equals_ignoring_case(text, word)) return value;
  }
  return std::nullopt;
}

bool apply_kernel_word(const Entry& entry, ConnectionDraft& draft, Reporter& report) {
  const auto* const word = std::ranges::find(kWords, entry.key, &Word::name);
  if (word == kWords.end()) return false;
  word->apply({entry, draft, draft.connection, draft.child, report});
  return true;
}

std::vector<std::string_view> kernel_words() {
  std::vector<std::string_view> names;
  names.reserve(kWords.size());
  for (const auto& word : kWords) names.push_back(word.name);
  return names;
}

}  // namespace cygnet::config
