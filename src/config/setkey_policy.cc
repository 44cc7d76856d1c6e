// SPDX-License-Identifier: Apache-2.0
// Addresses, ranges and policies of setkey's language.
#include <algorithm>
#include <array>
#include <utility>

#include "config/setkey_parser.h"
#include "model/traffic_selector.h"

namespace cygnet::config {
namespace {

constexpr std::uint8_t kAnyProtocol = 255;
constexpr std::uint8_t kIcmpV4 = 1;
constexpr std::uint8_t kIcmpV6 = 58;
constexpr std::uint8_t kGre = 47;

// The kernel looks at the lower number first; setkey's offsets count the other way.
constexpr std::uint32_t kPriorityLow = 0xC000'0000U;
constexpr std::uint32_t kPriorityDefault = 0x8000'0000U;
constexpr std::uint32_t kPriorityHigh = 0x4000'0000U;
constexpr std::uint64_t kMostOffset = 0x7fff'ffffU;
constexpr std::uint64_t kMostBaseOffset = 0x3fff'ffffU;

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

// ---- addresses

bool SetkeyParser::address(SetkeyAddress& out, bool range) {
  const auto word = take(range ? "an address range" : "an address");
  if (!word) return false;
  auto whole = *word;
  // The port may stand apart: 192.0.2.1 [4500].
  if (word_ && !word_->quoted && word_->text.starts_with('[')) {
    whole.text += word_->text;
    advance();
  }
  return split_address(whole, out, range);
}

bool SetkeyParser::split_address(const SetkeyWord& word, SetkeyAddress& out, bool range) {
  out.place = word.place;
  std::string_view text = word.text;
  if (const auto open = text.find('['); open != std::string_view::npos) {
    if (!text.ends_with(']')) return error(word.place, "the port of '" + word.text + "' has no closing bracket");
    if (!port(text.substr(open + 1, text.size() - open - 2), word.place, out.port)) return false;
    text = text.substr(0, open);
  }
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    const auto length = parse_setkey_number(text.substr(slash + 1), 128);
    if (!range || !length) {
      return error(word.place, range ? "'" + word.text + "' has a prefix length that is none"
                                     : "'" + word.text + "' is a range; a single address belongs here");
    }
    out.prefix_length = static_cast<std::uint8_t>(*length);
    text = text.substr(0, slash);
  }
  if (text.empty() || word.quoted) return error(word.place, "'" + word.text + "' is no address");
  out.host = text;
  return true;
}

bool SetkeyParser::port(std::string_view text, SetkeyPlace place, std::uint16_t& out) {
  if (text == "any") {
    out = 0;
    return true;
  }
  const auto value = parse_setkey_number(text, 65535);
  if (!value) return error(place, "'" + std::string(text) + "' is no port: a number up to 65535, or any");
  out = static_cast<std::uint16_t>(*value);
  return true;
}

bool SetkeyParser::upper_layer(SetkeyStatement& out) {
  const auto word = take("an upper-layer protocol (tcp, udp, any)");
  if (!word) return false;
  auto& protocol = out.policy.protocol;
  if (word->is("any")) {
    protocol = kAnyProtocol;
  } else if (word->is("icmp6")) {
    protocol = kIcmpV6;
  } else if (word->is("ip4")) {
    protocol = 4;
  } else if (const auto known = model::parse_ip_protocol(word->text); known && !word->quoted) {
    protocol = *known;
  } else {
    return error(word->place, "'" + word->text + "' is no protocol", "a name as tcp, a number up to 255, or any");
  }
  if (protocol == kGre) return gre_key(out);
  return protocol != kIcmpV4 && protocol != kIcmpV6 ? true : icmp(out);
}

// "gre 0x1234": the key of RFC 2890, whose halves travel where other protocols have their ports.
bool SetkeyParser::gre_key(SetkeyStatement& out) {
  if (!at_number()) return true;
  const auto word = take("a GRE key");
  if (!word) return false;
  const auto key = parse_setkey_number(word->text, UINT32_MAX);
  if (!key) return error(word->place, "'" + word->text + "' is no GRE key: a number of 32 bits");
  constexpr unsigned kHalf = 16;
  out.source.port = static_cast<std::uint16_t>(*key >> kHalf);
  out.destination.port = static_cast<std::uint16_t>(*key & 0xffffU);
  return true;
}

// "icmp6 135,0": type and code travel where other protocols have their ports.
bool SetkeyParser::icmp(SetkeyStatement& out) {
  if (!at_number()) return true;
  const auto word = take("a type");
  if (!word) return false;
  const auto parts = split(word->text, ',');
  const auto type = parse_setkey_number(parts[0], 255);
  const auto code = parts.size() > 1 ? parse_setkey_number(parts[1], 255) : std::optional<std::uint64_t>(0);
  if (parts.size() > 2 || !type || !code) {
    return error(word->place, "'" + word->text + "' is no ICMP type and code", "write them as 135,0");
  }
  out.source.port = static_cast<std::uint16_t>(*type);
  out.destination.port = static_cast<std::uint16_t>(*code);
  return true;
}

// ---- policies

bool SetkeyParser::spd_statement(SetkeyStatement& out) {
  const bool removing = out.verb == SetkeyVerb::kSpdDelete;
  if (at("tagged") && !removing) {
    advance();
    const auto tag = take("a tag");
    if (!tag) return false;
    out.tag = tag->text;
    return policy(out.policy, false);
  }
  if (!family_options(out) || !address(out.source, true) || !address(out.destination, true) || !upper_layer(out)) {
    return false;
  }
  if (at("-ctx")) {
    advance();
    if (!context(out.policy.context)) return false;
  }
  return policy(out.policy, removing);
}

bool SetkeyParser::policy(SetkeyPolicy& out, bool direction_only) {
  if (!at("-P")) return word_ ? error(word_->place, "-P and a direction must follow here") : error_here("-P");
  advance();
  const auto direction = take("a direction");
  if (!direction) return false;
  constexpr auto kDirections = std::to_array<std::pair<std::string_view, SetkeyDirection>>(
      {{"in", SetkeyDirection::kIn}, {"out", SetkeyDirection::kOut}, {"fwd", SetkeyDirection::kForward}});
  for (const auto& [name, value] : kDirections) {
    if (direction->is(name)) out.direction = value;
  }
  if (out.direction == SetkeyDirection::kNone) {
    return error(direction->place, "'" + direction->text + "' is no direction", "in, out and fwd are");
  }
  if (direction_only && at_end()) return true;
  if ((at("prio") || at("priority")) && !priority(out)) return false;
  const auto action = take("what the policy does (discard, none or ipsec)");
  if (!action) return false;
  if (action->is("discard")) {
    out.action = SetkeyAction::kDiscard;
  } else if (action->is("none")) {
    out.action = SetkeyAction::kNone;
  } else if (action->is("ipsec")) {
    out.action = SetkeyAction::kIpsec;
    if (at_end()) return error_here("how to protect (esp/tunnel/A-B/require)");
    while (!at_end()) {
      const auto word = take("a request");
      if (!word || !request(*word, out)) return false;
    }
  } else {
    return error(action->place, "a policy does not '" + action->text + "'", "it does discard, none or ipsec");
  }
  return true;
}

// "prio 100", "prio -100", "prio high", "prio high + 100", "prio high +100".
bool SetkeyParser::priority(SetkeyPolicy& out) {
  advance();
  const auto first = take("a priority");
  if (!first) return false;
  constexpr auto kBases = std::to_array<std::pair<std::string_view, std::uint32_t>>(
      {{"low", kPriorityLow}, {"def", kPriorityDefault}, {"default", kPriorityDefault}, {"high", kPriorityHigh}});
  const auto base = std::ranges::find(kBases, std::string_view(first->text), &decltype(kBases)::value_type::first);
  const bool named = base != kBases.end();
  std::string offset = named ? "" : first->text;
  const bool follows = word_ && !word_->quoted && (word_->text.starts_with('+') || word_->text.starts_with('-'));
  if (named && follows && !at("-P")) {
    offset = word_->text;
    advance();
  }
  if (offset == "+" || offset == "-") {
    const auto digits = take("an offset");
    if (!digits) return false;
    offset += digits->text;
  }
  const std::uint32_t from = named ? base->second : kPriorityDefault;
  out.priority = from;
  if (offset.empty()) return true;
  const bool down = offset.starts_with('-');
  const auto value = parse_setkey_number(std::string_view(offset).substr(down || offset.starts_with('+') ? 1 : 0),
                                         named ? kMostBaseOffset : kMostOffset);
  if (!value) {
    return error(first->place, "'" + offset + "' is no priority",
                 "a number between -2147483647 and 2147483647, or low, def or high with an offset");
  }
  out.priority = down ? from + static_cast<std::uint32_t>(*value) : from - static_cast<std::uint32_t>(*value);
  return true;
}

// protocol/mode/source-destination/level, from the third part on optional.
bool SetkeyParser::request(const SetkeyWord& word, SetkeyPolicy& out) {
  SetkeyRequest request{.place = word.place};
  const auto parts = split(word.text, '/');
  if (word.quoted || parts.size() < 2 || parts.size() > 4) {
    return error(word.place, "'" + word.text + "' does not say how to protect",
                 "write esp/transport//require or esp/tunnel/192.0.2.1-192.0.2.2/require");
  }
  if (parts[0] == "esp") {
    request.protocol = SetkeyProtocol::kEsp;
  } else if (parts[0] == "ah") {
    request.protocol = SetkeyProtocol::kAh;
  } else if (parts[0] == "ipcomp") {
    request.protocol = SetkeyProtocol::kIpComp;
  } else {
    return error(word.place, "'" + std::string(parts[0]) + "' is no protocol of IPsec", "esp, ah and ipcomp are");
  }
  if (!mode({word.place, std::string(parts[1]), false}, request.mode)) return false;
  if (request.mode == SetkeyMode::kAny) {
    return error(word.place, "a policy must say tunnel, transport or beet, not any");
  }
  if (parts.size() > 2 && !parts[2].empty() && !request_ends(parts[2], word.place, request)) return false;
  if (parts.size() > 3 && !request_level(parts[3], word.place, request)) return false;
  if (request.mode != SetkeyMode::kTransport && !request.source) {
    return error(word.place, "a tunnel needs the addresses of both its ends",
                 "write esp/tunnel/192.0.2.1-192.0.2.2/require");
  }
  out.requests.push_back(std::move(request));
  return true;
}

bool SetkeyParser::request_ends(std::string_view text, SetkeyPlace place, SetkeyRequest& out) {
  const auto parts = split(text, '-');
  if (parts.size() < 2) {
    return error(place, "'" + std::string(text) + "' are not two addresses with a hyphen between them");
  }
  // Names have hyphens too: the one in the middle is meant.
  if (parts.size() % 2 != 0) {
    return error(place, "it is not clear where in '" + std::string(text) + "' the second name begins: use addresses");
  }
  std::size_t middle = 0;
  for (std::size_t i = 0; i < parts.size() / 2; ++i) middle += parts[i].size() + 1;
  SetkeyAddress source;
  SetkeyAddress destination;
  if (!split_address({place, std::string(text.substr(0, middle - 1)), false}, source, false) ||
      !split_address({place, std::string(text.substr(middle)), false}, destination, false)) {
    return false;
  }
  out.source = std::move(source);
  out.destination = std::move(destination);
  return true;
}

bool SetkeyParser::request_level(std::string_view text, SetkeyPlace place, SetkeyRequest& out) {
  const auto colon = text.find(':');
  const auto name = text.substr(0, colon);
  constexpr auto kLevels = std::to_array<std::pair<std::string_view, SetkeyLevel>>({{"default", SetkeyLevel::kDefault},
                                                                                    {"use", SetkeyLevel::kUse},
                                                                                    {"require", SetkeyLevel::kRequire},
                                                                                    {"unique", SetkeyLevel::kUnique}});
  const auto level = std::ranges::find(kLevels, name, &decltype(kLevels)::value_type::first);
  if (level == kLevels.end()) {
    return error(place, "'" + std::string(text) + "' is no level",
                 "default, use, require, unique and unique:NUMBER are");
  }
  out.level = level->second;
  if (colon == std::string_view::npos) return true;
  constexpr std::uint64_t kMostManual = 0x3fff;  // above, the kernel numbers by itself
  const auto reqid = parse_setkey_number(text.substr(colon + 1), kMostManual);
  if (!reqid || *reqid == 0 || out.level != SetkeyLevel::kUnique) {
    return error(place, "'" + std::string(text) + "' has no reqid as it should be",
                 "unique takes one from 1 to 16383: unique:7");
  }
  out.reqid = static_cast<std::uint32_t>(*reqid);
  return true;
}

}  // namespace cygnet::config
