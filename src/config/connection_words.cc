// SPDX-License-Identifier: Apache-2.0
// The words of a conn section, one function each.
#include <algorithm>
#include <array>
#include <span>

#include "config/connection_draft.h"
#include "config/credentials.h"
#include "config/diet_words.h"
#include "config/iptfs_words.h"
#include "config/kernel_words.h"
#include "config/pool_words.h"
#include "config/proposals.h"
#include "config/suggest.h"
#include "config/values.h"

namespace cygnet::config {
namespace {

using model::DeadPeerAction;
using model::Encapsulation;
using model::StartAction;

struct Context {
  const Entry& entry;
  ConnectionDraft& draft;
  Reporter& report;
  EndDraft* end_draft = nullptr;  // of an end's word
  model::End* end = nullptr;

  [[nodiscard]] model::Connection& conn() const { return draft.connection; }
  [[nodiscard]] model::Child& child() const { return draft.child; }
  void bad(std::string message, std::string hint = {}) const {
    report.error(entry.value_place(), std::move(message), std::move(hint));
  }
  void bad_value(std::string hint) const {
    bad("'" + entry.value + "' is no value of " + entry.key + "=", std::move(hint));
  }
  void not_built(std::string_view what) const { bad(entry.key + "=" + entry.value + ": " + std::string(what)); }
};

template <typename T>
struct Choice {
  std::string_view word;
  T value;
};

template <typename T, std::size_t N>
std::optional<T> choose(const Context& c, const std::array<Choice<T>, N>& choices, std::string_view also_allowed = {}) {
  std::vector<std::string_view> words;
  for (const auto& choice : choices) {
    if (equals_ignoring_case(choice.word, c.entry.value)) return choice.value;
    words.push_back(choice.word);
  }
  const auto near = nearest(c.entry.value, words);
  auto hint =
      near.empty() ? "write " + one_of(words) : "did you mean '" + std::string(near) + "'? (" + one_of(words) + ")";
  c.bad_value(hint + std::string(also_allowed));
  return std::nullopt;
}

std::optional<bool> yes_or_no(const Context& c) {
  const auto value = parse_bool(c.entry.value);
  if (!value) c.bad_value("write yes or no");
  return value;
}

template <typename T>
void seconds(const Context& c, T& to) {
  const auto value = parse_duration_s(c.entry.value);
  if (!value || *value > 0xffffffffULL) return c.bad_value("write a time: 90s, 15m, 8h or 1d");
  to = static_cast<T>(*value);
}

template <typename T>
void milliseconds(const Context& c, T& to) {
  const auto value = parse_duration_ms(c.entry.value);
  if (!value || *value > 0xffffffffULL || *value < 10)
    return c.bad_value("write a time of at least 10ms: 500 (milliseconds), 500ms or 2s");
  to = static_cast<T>(*value);
}

template <typename T>
void number(const Context& c, std::uint64_t min, std::uint64_t max, T& to) {
  const auto value = parse_number(c.entry.value, max);
  if (!value || *value < min)
    return c.bad_value("write a number from " + std::to_string(min) + " to " + std::to_string(max));
  to = static_cast<T>(*value);
}

// ---- the connection as a whole

void on_auto(const Context& c) {
  static constexpr std::array<Choice<StartAction>, 8> kChoices{{{"ignore", StartAction::kIgnore},
                                                                {"add", StartAction::kAdd},
                                                                {"ondemand", StartAction::kOnDemand},
                                                                {"start", StartAction::kStart},
                                                                {"route", StartAction::kOnDemand},
                                                                {"up", StartAction::kStart},
                                                                {"keep", StartAction::kAdd},
                                                                {"trap", StartAction::kOnDemand}}};
  c.draft.auto_set = true;
  c.draft.keep = equals_ignoring_case(c.entry.value, "keep");
  if (const auto start = choose(c, kChoices)) c.child().start = *start;
}

void on_type(const Context& c) {
  static constexpr std::array<std::string_view, 6> kNotBuilt{"passthrough", "pass", "drop",
                                                             "reject",      "beet", "transport_proxy"};
  if (std::find(kNotBuilt.begin(), kNotBuilt.end(), c.entry.value) != kNotBuilt.end()) {
    return c.not_built("policies without a peer, and modes other than tunnel and transport, are not built yet");
  }
  static constexpr std::array<Choice<model::Mode>, 2> kChoices{
      {{"tunnel", model::Mode::kTunnel}, {"transport", model::Mode::kTransport}}};
  if (const auto mode = choose(c, kChoices)) c.child().mode = *mode;
}

void on_keyexchange(const Context& c) {
  if (c.entry.value == "ikev1") return c.not_built("IKEv1 is not built yet");
  static constexpr std::array<Choice<int>, 2> kChoices{{{"ikev2", 2}, {"ike", 2}}};
  (void)choose(c, kChoices);
}

void on_ikev2(const Context& c) {
  static constexpr std::array<Choice<bool>, 9> kChoices{{{"insist", true},
                                                         {"yes", true},
                                                         {"propose", true},
                                                         {"always", true},
                                                         {"permit", false},
                                                         {"no", false},
                                                         {"never", false},
                                                         {"true", true},
                                                         {"false", false}}};
  const auto wanted = choose(c, kChoices);
  if (wanted && !*wanted) c.not_built("IKEv1 is not built yet");
}

void take_proposals(const Context& c, ParsedProposals parsed, std::vector<model::Proposal>& to) {
  for (auto& fault : parsed.faults) {
    const auto place = c.entry.value_place(fault.offset);
    fault.level == Level::kError ? c.report.error(place, fault.message, fault.hint)
                                 : c.report.warning(place, fault.message, fault.hint);
  }
  to = std::move(parsed.proposals);
}
// These two stand before the words they are about: load.cc sees to it.
bool legacy(const Context& c) {
  return c.draft.weak_algorithms || c.draft.connection.profile == model::Profile::kWindowsStock;
}
void on_weak_algorithms(const Context& c) {
  if (const auto yes = yes_or_no(c)) c.draft.weak_algorithms = *yes;
}
void on_ike(const Context& c) { take_proposals(c, parse_ike_proposals(c.entry.value, legacy(c)), c.conn().proposals); }
void on_esp(const Context& c) {
  const bool ah = c.child().protocol == model::SaProtocol::kAh;
  take_proposals(c, ah ? parse_ah_proposals(c.entry.value, legacy(c)) : parse_esp_proposals(c.entry.value, legacy(c)),
                 c.child().proposals);
}
// strongSwan's way: the list says what it is for.
void on_ah(const Context& c) {
  c.child().protocol = model::SaProtocol::kAh;
  on_esp(c);
}

void on_profile(const Context& c) {
  using model::Profile;
  static constexpr std::array<Choice<Profile>, 5> kChoices{{{"default", Profile::kDefault},
                                                            {"windows", Profile::kWindows},
                                                            {"windows-stock", Profile::kWindowsStock},
                                                            {"apple", Profile::kApple},
                                                            {"android", Profile::kAndroid}}};
  const auto profile = choose(c, kChoices);
  if (!profile) return;
  c.conn().profile = *profile;
  if (*profile == Profile::kWindowsStock)
    c.report.warning(c.entry.value_place(),
                     "conn " + c.conn().name +
                         ": profile=windows-stock accepts modp1024 and SHA-1, which an attacker with means can break",
                     "set NegotiateDH2048_AES256=2 on the clients, or Set-VpnConnectionIPsecConfiguration, and write "
                     "profile=windows");
}

void on_auth_protocol(const Context& c) {
  using model::SaProtocol;
  if (c.entry.value == "ah+esp") return c.not_built("IKEv2 has no bundles of AH and ESP (RFC 7296): say esp or ah");
  static constexpr std::array<Choice<SaProtocol>, 3> kChoices{
      {{"esp", SaProtocol::kEsp}, {"default", SaProtocol::kEsp}, {"ah", SaProtocol::kAh}}};
  if (const auto protocol = choose(c, kChoices)) c.child().protocol = *protocol;
}

void on_pfs(const Context& c) {
  if (const auto yes = yes_or_no(c)) c.draft.pfs = *yes ? Pfs::kRequired : Pfs::kOff;
}

void on_esn(const Context& c) {
  static constexpr std::array<Choice<Esn>, 3> kChoices{
      {{"yes", Esn::kOnly}, {"no", Esn::kNever}, {"either", Esn::kEither}}};
  if (const auto esn = choose(c, kChoices)) c.draft.esn = *esn;
}

// ---- times

void on_rekey(const Context& c) {
  if (const auto yes = yes_or_no(c)) c.conn().rekey = *yes;
}
void on_reauth(const Context& c) {
  if (const auto yes = yes_or_no(c)) c.conn().reauth = *yes;
}
void on_childless(const Context& c) {
  using model::Childless;
  static constexpr std::array<Choice<Childless>, 4> kChoices{{{"allow", Childless::kAllow},
                                                              {"prefer", Childless::kPrefer},
                                                              {"force", Childless::kForce},
                                                              {"never", Childless::kNever}}};
  if (const auto value = choose(c, kChoices)) c.conn().childless = *value;
}
void on_clones(const Context& c) {
  const auto clones = parse_number(c.entry.value, model::kMostClones);
  if (!clones) return c.bad_value("write a number from 0 to " + std::to_string(model::kMostClones));
  c.child().clones = static_cast<std::uint32_t>(*clones);
}
void on_traffic(const Context& c) {
  using model::Traffic;
  static constexpr std::array<Choice<Traffic>, 2> kChoices{
      {{"latency", Traffic::kLatency}, {"throughput", Traffic::kThroughput}}};
  if (const auto value = choose(c, kChoices)) c.child().traffic = *value;
}
void on_compress(const Context& c) {
  if (const auto yes = yes_or_no(c)) c.child().compress = *yes;
}
void on_send_no_tfc(const Context& c) {
  if (const auto yes = yes_or_no(c)) c.conn().refuse_tfc = *yes;
}
// Octets of an inner packet, or %mtu: as large as the path takes.
void on_tfc(const Context& c) {
  if (c.entry.value == "%mtu") {
    c.child().tfc_octets = model::kTfcToMtu;
  } else {
    number(c, 0, 65535, c.child().tfc_octets);
  }
}
void on_failback(const Context& c) {
  if (const auto yes = yes_or_no(c)) c.conn().failback = *yes;
}
void on_failback_interval(const Context& c) { seconds(c, c.conn().failback_interval_s); }
void on_ikelifetime(const Context& c) { seconds(c, c.conn().ike_lifetime_s); }
void on_lifetime(const Context& c) {
  c.draft.lifetime_set = true;
  seconds(c, c.child().lifetime_s);
}
void on_margin(const Context& c) {
  c.draft.margin_place = c.entry.value_place();
  seconds(c, c.conn().rekey_margin_s);
}
void on_fuzz(const Context& c) {
  const auto value = parse_percent(c.entry.value);
  if (!value || *value > 1000) return c.bad_value("write a percentage: 100%");
  c.conn().rekey_fuzz_percent = *value;
}
void on_lifebytes(const Context& c) {
  const auto value = parse_bytes(c.entry.value);
  if (!value) return c.bad_value("write a size: 500000000, 500M or 2G");
  if (*value != 0 && *value < 65536) return c.bad_value("a lifetime below 64k rekeys without end");
  c.child().lifetime_bytes = *value;
}
void on_lifepackets(const Context& c) {
  const auto value = parse_bytes(c.entry.value);
  if (!value) return c.bad_value("write a number of packets: 1000000 or 1M");
  if (*value != 0 && *value < 100) return c.bad_value("a lifetime below 100 packets rekeys without end");
  c.child().lifetime_packets = *value;
}
void on_keyingtries(const Context& c) {
  c.draft.keying_tries_place = c.entry.value_place();
  if (c.entry.value == "%forever") {
    c.conn().keying_tries = 0;
    return;
  }
  const auto value = parse_number(c.entry.value, 1'000'000);
  if (!value) return c.bad_value("write a number, or %forever");
  c.conn().keying_tries = static_cast<std::uint32_t>(*value);
}
void on_dpddelay(const Context& c) { seconds(c, c.conn().dpd_delay_s); }
void on_dpdtimeout(const Context& c) { seconds(c, c.conn().dpd_timeout_s); }
void on_dpdaction(const Context& c) {
  static constexpr std::array<Choice<DeadPeerAction>, 6> kChoices{{{"none", DeadPeerAction::kNone},
                                                                   {"clear", DeadPeerAction::kClear},
                                                                   {"hold", DeadPeerAction::kHold},
                                                                   {"restart", DeadPeerAction::kRestart},
                                                                   {"trap", DeadPeerAction::kHold},
                                                                   {"restart_by_peer", DeadPeerAction::kRestart}}};
  const auto action = choose(c, kChoices);
  if (!action) return;
  c.draft.dpd_action_place = c.entry.value_place();
  c.conn().dpd_action = *action;
}
void on_retransmit_interval(const Context& c) { milliseconds(c, c.conn().retransmit_first_ms); }
void on_retransmit_timeout(const Context& c) {
  // Libreswan counts this one in seconds.
  std::uint32_t s = 0;
  if (c.entry.value.ends_with("ms")) return milliseconds(c, c.conn().retransmit_timeout_ms);
  seconds(c, s);
  if (s > 86400) return c.bad_value("at most one day");
  if (s != 0) c.conn().retransmit_timeout_ms = s * 1000;
}

// ---- packets

void on_encapsulation(const Context& c) {
  static constexpr std::array<Choice<Encapsulation>, 4> kChoices{{{"auto", Encapsulation::kAuto},
                                                                  {"yes", Encapsulation::kForce},
                                                                  {"no", Encapsulation::kNever},
                                                                  {"force", Encapsulation::kForce}}};
  if (const auto value = choose(c, kChoices)) c.conn().encapsulation = *value;
}
void on_mobike(const Context& c) {
  if (const auto yes = yes_or_no(c)) c.draft.mobike = yes;
}
void on_forceencaps(const Context& c) {
  if (const auto yes = yes_or_no(c)) c.conn().encapsulation = *yes ? Encapsulation::kForce : Encapsulation::kAuto;
}
void on_fragmentation(const Context& c) {
  static constexpr std::array<Choice<model::Fragmentation>, 4> kChoices{{{"yes", model::Fragmentation::kYes},
                                                                         {"no", model::Fragmentation::kNo},
                                                                         {"force", model::Fragmentation::kForce},
                                                                         {"accept", model::Fragmentation::kYes}}};
  if (const auto value = choose(c, kChoices)) c.conn().fragmentation = *value;
}
void on_fragment_size(const Context& c) {
  if (c.entry.value == "0") return;  // strongSwan: the default
  number(c, 400, 65535, c.conn().fragment_octets);
}
void on_max_children(const Context& c) {
  number(c, 1, 65535, c.conn().max_children);
  c.draft.max_children_set = true;
}
void on_nat_keepalive(const Context& c) {
  if (const auto yes = yes_or_no(c); yes && !*yes) c.conn().keepalive_s = 0;
}
void on_replay_window(const Context& c) {
  if (c.entry.value == "-1") return;  // strongSwan: the default
  std::uint32_t window = c.child().replay_window;
  number(c, 0, 65536, window);
  if (window == 0)
    c.report.warning(c.entry.value_place(), "without replay window anybody can play recorded packets back");
  if (window > 0 && window < 32) {
    // RFC 4303 section 3.4.3: "A minimum window size of 32 packets MUST be supported".
    c.report.warning(c.entry.value_place(), "a replay window below 32 is rounded up to 32");
    window = 32;
  }
  c.child().replay_window = window;
}
void on_mtu(const Context& c) {
  if (c.entry.value == "0") return;
  number(c, 576, 65535, c.child().mtu);
}
void on_clamp_mss(const Context& c) {
  if (const auto yes = yes_or_no(c)) c.child().clamp_mss = *yes;
}
void on_copy_dscp(const Context& c) {
  if (const auto yes = yes_or_no(c)) c.child().copy_dscp = *yes;
}
void on_ecn(const Context& c) {
  if (const auto yes = yes_or_no(c)) c.child().ecn = *yes;
}
void on_df(const Context& c) {
  static constexpr std::array<Choice<model::DfPolicy>, 3> kChoices{
      {{"copy", model::DfPolicy::kCopy}, {"set", model::DfPolicy::kSet}, {"clear", model::DfPolicy::kClear}}};
  if (const auto df = choose(c, kChoices)) c.child().df = *df;
}
void on_nopmtudisc(const Context& c) {
  if (const auto yes = yes_or_no(c); yes && *yes) c.child().df = model::DfPolicy::kClear;
}

// ---- one end

// One address or name. What is neither counts as a name: no other fault follows from it.
void read_host(const Context& c, const std::string& text, model::HostSpec& host) {
  using Kind = model::HostSpec::Kind;
  host = {.kind = Kind::kName, .address = {}, .name = text};
  if (const auto address = IpAddress::parse(text)) {
    if (address->is_multicast()) return c.bad("a multicast address cannot be an IKE peer");
    host = {.kind = Kind::kAddress, .address = *address};
    return;
  }
  const bool like_address = text.find_first_not_of("0123456789.") == std::string::npos;
  if (!like_address && is_host_name(text)) return;
  const bool brackets = text.size() > 2 && text.front() == '[' && text.back() == ']';
  const auto inside = brackets ? text.substr(1, text.size() - 2) : std::string();
  c.bad("'" + text + "' is neither an address nor a host name",
        IpAddress::parse(inside) ? "write it without brackets: " + inside
                                 : "write an address, a name, %any or %defaultroute");
}

// right=a,b: where the peer is if it is not at the first.
void read_alternatives(const Context& c, std::string_view list) {
  constexpr std::size_t kMostAlternatives = 15;
  while (true) {
    const auto end = std::min(list.find(','), list.size());
    auto text = list.substr(0, end);
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    if (text.empty() || text.front() == '%') return c.bad_value("write addresses or names, with commas between them");
    if (c.end->alternatives.size() >= kMostAlternatives) return c.bad("more than 16 addresses of one peer");
    read_host(c, std::string(text), c.end->alternatives.emplace_back());
    if (end == list.size()) return;
    list.remove_prefix(end + 1);
  }
}

void on_host(const Context& c) {
  auto& host = c.end->host;
  auto text = c.entry.value;
  using Kind = model::HostSpec::Kind;
  c.end_draft->host_set = true;
  c.end_draft->host_place = c.entry.value_place();
  host = {};
  c.end->alternatives.clear();
  if (text == "%any" || text == "%any4" || text == "%any6" || text == "0.0.0.0" || text == "::") return;
  if (text == "%defaultroute") {
    host.kind = Kind::kDefaultRoute;
    return;
  }
  if (text.starts_with('%') || text.find('/') != std::string::npos) host = {Kind::kName, {}, text};
  if (text.starts_with('%')) {
    static constexpr std::array<std::string_view, 6> kOther{"%group", "%opportunistic", "%opportunisticgroup",
                                                            "%oppo",  "%oppogroup",     "%hostname"};
    const bool known = std::find(kOther.begin(), kOther.end(), text) != kOther.end();
    if (known) return c.not_built("opportunistic encryption and policy groups are not built yet");
    return c.bad_value(suggestion(text, {"%any", "%defaultroute"}, "write an address, a name, %any or %defaultroute"));
  }
  if (text.find('/') != std::string::npos) return c.not_built("a network as peer is not built yet; use %any");
  if (const auto comma = text.find(','); comma != std::string::npos) {
    read_alternatives(c, std::string_view(text).substr(comma + 1));
    text.resize(comma);
  }
  read_host(c, text, host);
}

void on_subnet(const Context& c) { c.end_draft->subnet = c.entry; }
void on_subnets(const Context& c) { c.end_draft->subnets = c.entry; }
void on_protoport(const Context& c) { c.end_draft->protoport = c.entry; }

void on_sourceip(const Context& c) {
  c.end_draft->sourceip = c.entry;
  read_source_addresses(c.entry, *c.end, c.report);
}
void on_addresspool(const Context& c) {
  c.end_draft->addresspool = c.entry;
  read_address_pools(c.entry, *c.end, c.report);
}
void on_dns(const Context& c) { read_dns_servers(c.entry, c.conn(), c.report); }
void on_dns_domains(const Context& c) { read_dns_domains(c.entry, c.conn(), c.report); }
void on_modecfgclient(const Context& c) {
  const auto yes = yes_or_no(c);
  if (yes && *yes) c.end_draft->modecfg_client = true;
}
void on_ignore_peer_dns(const Context& c) {
  if (const auto yes = yes_or_no(c)) c.conn().ignore_peer_dns = *yes;
}

void on_proxyarp(const Context& c) {
  if (const auto yes = yes_or_no(c)) c.conn().proxy_arp = *yes;
}

void on_local_networks(const Context& c) {
  if (const auto yes = yes_or_no(c)) c.conn().local_networks = *yes;
}

void on_ikeport(const Context& c) { number(c, 1, 65535, c.end->ike_port); }

struct Word {
  std::string_view name;
  void (*apply)(const Context&);
};

constexpr std::array kConnWords{
    Word{"auto", on_auto},
    Word{"type", on_type},
    Word{"keyexchange", on_keyexchange},
    Word{"ikev2", on_ikev2},
    Word{"profile", on_profile},
    Word{"weak-algorithms", on_weak_algorithms},
    Word{"ike", on_ike},
    Word{"esp", on_esp},
    Word{"phase2alg", on_esp},
    Word{"ah", on_ah},
    Word{"tfc", on_tfc},
    Word{"phase2", on_auth_protocol},
    Word{"auth", on_auth_protocol},
    Word{"pfs", on_pfs},
    Word{"esn", on_esn},
    Word{"rekey", on_rekey},
    Word{"reauth", on_reauth},
    Word{"childless", on_childless},
    Word{"compress", on_compress},
    Word{"clones", on_clones},
    Word{"traffic", on_traffic},
    Word{"send-no-esp-tfc", on_send_no_tfc},
    Word{"failback", on_failback},
    Word{"failback-interval", on_failback_interval},
    Word{"ikelifetime", on_ikelifetime},
    Word{"lifetime", on_lifetime},
    Word{"salifetime", on_lifetime},
    Word{"keylife", on_lifetime},
    Word{"lifebytes", on_lifebytes},
    Word{"ipsec-max-bytes", on_lifebytes},
    Word{"lifepackets", on_lifepackets},
    Word{"ipsec-max-packets", on_lifepackets},
    Word{"margintime", on_margin},
    Word{"rekeymargin", on_margin},
    Word{"rekeyfuzz", on_fuzz},
    Word{"keyingtries", on_keyingtries},
    Word{"dpddelay", on_dpddelay},
    Word{"dpdtimeout", on_dpdtimeout},
    Word{"dpdaction", on_dpdaction},
    Word{"retransmit-interval", on_retransmit_interval},
    Word{"retransmit-timeout", on_retransmit_timeout},
    Word{"encapsulation", on_encapsulation},
    Word{"mobike", on_mobike},
    Word{"forceencaps", on_forceencaps},
    Word{"fragmentation", on_fragmentation},
    Word{"ike-frag", on_fragmentation},
    Word{"fragment-size", on_fragment_size},
    Word{"max-children", on_max_children},
    Word{"nat-keepalive", on_nat_keepalive},
    Word{"replay-window", on_replay_window},
    Word{"mtu", on_mtu},
    Word{"clamp-mss", on_clamp_mss},
    Word{"copy-dscp", on_copy_dscp},
    Word{"encap-dscp", on_copy_dscp},
    Word{"ecn", on_ecn},
    Word{"df", on_df},
    Word{"nopmtudisc", on_nopmtudisc},
    Word{"modecfgdns", on_dns},
    Word{"modecfgdomains", on_dns_domains},
    Word{"modecfgdomain", on_dns_domains},
    Word{"ignore-peer-dns", on_ignore_peer_dns},
    Word{"proxyarp", on_proxyarp},
    Word{"local-networks", on_local_networks},
};
constexpr std::array kEndWords{
    Word{"", on_host},
    Word{"subnet", on_subnet},
    Word{"subnets", on_subnets},
    Word{"sourceip", on_sourceip},
    Word{"protoport", on_protoport},
    Word{"ikeport", on_ikeport},
    Word{"addresspool", on_addresspool},
    Word{"dns", on_dns},
    Word{"modecfgclient", on_modecfgclient},
};

const Word* find_word(std::span<const Word> words, std::string_view name) {
  const auto row = std::find_if(words.begin(), words.end(), [&](const Word& w) { return w.name == name; });
  return row == words.end() ? nullptr : &*row;
}

}  // namespace

bool is_device_name(std::string_view name) {
  return !name.empty() && name.size() <= 15 && name != "." && name != ".." && name != "lo" &&
         std::all_of(name.begin(), name.end(), [](char ch) {
           return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '-' ||
                  ch == '.' || ch == '_';
         });
}

bool apply_word(const Entry& entry, ConnectionDraft& draft, Reporter& report) {
  if (const auto* word = find_word(kConnWords, entry.key)) {
    word->apply({entry, draft, report});
    return true;
  }
  if (apply_credential_word(entry, draft, report) || apply_iptfs_word(entry, draft, report) ||
      apply_diet_word(entry, draft, report) || apply_kernel_word(entry, draft, report)) {
    return true;
  }
  const bool left = entry.key.starts_with("left");
  if (!left && !entry.key.starts_with("right")) return false;
  const auto* word = find_word(kEndWords, std::string_view(entry.key).substr(left ? 4 : 5));
  if (word == nullptr) return false;
  word->apply({entry, draft, report, left ? &draft.left : &draft.right,
               left ? &draft.connection.local : &draft.connection.remote});
  return true;
}

std::vector<std::string_view> applied_words(bool of_an_end) {
  std::vector<std::string_view> names;
  const auto words = of_an_end ? std::span<const Word>(kEndWords) : std::span<const Word>(kConnWords);
  for (const auto& word : words) names.push_back(word.name);
  const auto more = credential_words(of_an_end);
  names.insert(names.end(), more.begin(), more.end());
  if (!of_an_end) {
    for (const auto& list : {iptfs_words(), diet_words(), kernel_words()})
      names.insert(names.end(), list.begin(), list.end());
  }
  return names;
}

}  // namespace cygnet::config
