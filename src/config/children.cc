// SPDX-License-Identifier: Apache-2.0
// leftsubnet=, leftsubnets=, leftprotoport= of both ends to the children of a connection.
#include <algorithm>
#include <array>

#include "config/connection_draft.h"
#include "config/suggest.h"
#include "config/values.h"

namespace cygnet::config {
namespace {

using model::TrafficSelector;
using model::TrafficSelectors;

constexpr std::size_t kMaxChildren = 1024;
constexpr std::size_t kMaxSelectors = 255;  // RFC 7296 section 3.13: the count is one octet

struct Service {
  std::string_view name;
  std::uint16_t port;
};
constexpr std::array<Service, 12> kServices{{{"ssh", 22},
                                             {"smtp", 25},
                                             {"domain", 53},
                                             {"http", 80},
                                             {"ntp", 123},
                                             {"ldap", 389},
                                             {"https", 443},
                                             {"isakmp", 500},
                                             {"syslog", 514},
                                             {"l2tp", 1701},
                                             {"radius", 1812},
                                             {"ipsec-nat-t", 4500}}};

// 255.255.0.0 -> 16; nothing if the ones are not together.
std::optional<std::uint8_t> mask_length(std::string_view text) {
  const auto mask = IpAddress::parse(text);
  if (!mask || !mask->is_v4()) return std::nullopt;
  const auto value = mask->v4_value();
  std::uint8_t length = 0;
  while (length < 32 && (value & (0x80000000U >> length)) != 0) ++length;
  const std::uint32_t expected = length == 0 ? 0 : ~std::uint32_t{0} << (32 - length);
  if (value != expected) return std::nullopt;
  return length;
}

std::optional<IpPrefix> parse_prefix(std::string_view text) {
  if (text == "0/0") text = "0.0.0.0/0";
  if (const auto prefix = IpPrefix::parse(text)) return prefix;
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = IpAddress::parse(text.substr(0, slash));
  const auto length = mask_length(text.substr(slash + 1));
  if (!address || !address->is_v4() || !length) return std::nullopt;
  return IpPrefix{*address, *length};
}

// 10.2.0.0 is a host like any other, but mostly meant as 10.2.0.0/16. Empty: not such an address.
std::string likely_network(const IpAddress& address) {
  const auto octets = address.bytes();
  std::size_t zeros = 0;
  while (zeros < octets.size() && octets[octets.size() - 1 - zeros] == 0) ++zeros;
  if (address.is_v4()) return zeros == 0 ? "" : address.to_string() + '/' + std::to_string(32 - 8 * zeros);
  return zeros < 8 ? "" : address.to_string() + "/64";
}

// Reads the selectors of one end. An inner list is one child's selectors.
class EndSelectors {
 public:
  EndSelectors(const EndDraft& draft, const model::End& end, Reporter& report)
      : draft_(draft), end_(end), report_(report) {}
  // Nothing: a fault was reported.
  std::optional<std::vector<TrafficSelectors>> read();

 private:
  bool read_protoport();
  std::optional<TrafficSelectors> read_list(const Entry& entry, std::string_view text, std::size_t offset,
                                            std::string_view separators);
  std::optional<TrafficSelector> read_item(const Entry& entry, const Piece& piece);
  std::optional<TrafficSelector> own_address(const Entry& entry, std::size_t offset);
  void apply_protoport(TrafficSelector& selector) const;
  std::optional<TrafficSelector> bad(const Entry& entry, std::size_t offset, std::string message,
                                     std::string hint = {}) {
    report_.error(entry.value_place(offset), std::move(message), std::move(hint));
    return std::nullopt;
  }

  const EndDraft& draft_;
  const model::End& end_;
  Reporter& report_;
  std::optional<TrafficSelector> protoport_;  // its protocol and ports count
};

std::optional<std::vector<TrafficSelectors>> EndSelectors::read() {
  if (draft_.subnet && draft_.subnets) {
    report_.error(draft_.subnets->place, draft_.side + "subnet= and " + draft_.side + "subnets= cannot stand together",
                  "keep one of them");
    return std::nullopt;
  }
  if (!read_protoport()) return std::nullopt;
  if (draft_.subnets) {
    std::string_view text = draft_.subnets->value;
    std::size_t offset = 0;
    if (text.starts_with('{') != text.ends_with('}')) {
      report_.error(draft_.subnets->value_place(), "the braces do not match",
                    "write: " + draft_.side + "subnets={10.1.0.0/16 10.2.0.0/16}");
      return std::nullopt;
    }
    if (text.starts_with('{')) {
      text = text.substr(1, text.size() - 2);
      offset = 1;
    }
    const auto list = read_list(*draft_.subnets, text, offset, ", \t");
    if (!list) return std::nullopt;
    std::vector<TrafficSelectors> children;
    for (const auto& selector : *list) children.push_back({selector});
    return children;
  }
  if (draft_.subnet) {
    const auto list = read_list(*draft_.subnet, draft_.subnet->value, 0, ",");
    if (!list) return std::nullopt;
    return std::vector<TrafficSelectors>{*list};
  }
  if (!protoport_ || !draft_.protoport) return std::vector<TrafficSelectors>{{}};
  auto own = own_address(*draft_.protoport, 0);
  if (!own) return std::nullopt;
  apply_protoport(*own);
  return std::vector<TrafficSelectors>{{*own}};
}

// "tcp/80", "17/1701", "udp/%any", "icmp", "6/1000-2000".
bool EndSelectors::read_protoport() {
  if (!draft_.protoport) return true;
  const std::string_view text = draft_.protoport->value;
  const auto slash = text.find('/');
  const auto protocol = text.substr(0, slash);
  auto port = slash == std::string_view::npos ? std::string_view{} : text.substr(slash + 1);
  if (protocol == "%any" || protocol == "any") return true;
  std::string port_text(port);
  for (const auto& service : kServices) {
    if (service.name == port) port_text = std::to_string(service.port);
  }
  // In both dialects port 0 means any.
  if (port_text == "0") port_text = "%any";
  const auto written = "0.0.0.0/0[" + std::string(protocol) + (port_text.empty() ? "" : "/" + port_text) + "]";
  const auto selector = TrafficSelector::parse(written);
  if (!selector || selector->protocol == 0) {
    (void)bad(*draft_.protoport, 0, "'" + std::string(text) + "' is no protocol and port",
              "for example: tcp/80, udp/%any, icmp, 6/1000-2000");
    return false;
  }
  protoport_ = *selector;
  return true;
}

void EndSelectors::apply_protoport(TrafficSelector& selector) const {
  if (!protoport_) return;
  selector.protocol = protoport_->protocol;
  selector.port_first = protoport_->port_first;
  selector.port_last = protoport_->port_last;
}

std::optional<TrafficSelectors> EndSelectors::read_list(const Entry& entry, std::string_view text, std::size_t offset,
                                                        std::string_view separators) {
  TrafficSelectors selectors;
  bool good = true;
  const auto pieces = split(text, separators);
  if (pieces.size() > kMaxSelectors) {
    (void)bad(entry, offset, "more than " + std::to_string(kMaxSelectors) + " networks");
    return std::nullopt;
  }
  for (const auto& piece : pieces) {
    // Plain %dynamic is the end's own address: no selector says so.
    if (piece.text == "%dynamic" && !protoport_ && pieces.size() == 1) return TrafficSelectors{};
    auto selector = read_item(entry, {piece.text, piece.offset + offset});
    if (!selector) {
      good = false;
    } else if (std::find(selectors.begin(), selectors.end(), *selector) != selectors.end()) {
      report_.warning(entry.value_place(piece.offset + offset), "'" + std::string(piece.text) + "' stands twice");
    } else {
      selectors.push_back(*selector);
    }
  }
  if (!good) return std::nullopt;
  if (selectors.empty()) {
    (void)bad(entry, offset, "no network given", "for example: 10.1.0.0/16");
    return std::nullopt;
  }
  return selectors;
}

std::optional<TrafficSelector> EndSelectors::own_address(const Entry& entry, std::size_t offset) {
  if (end_.host.kind == model::HostSpec::Kind::kAddress) return TrafficSelector::of(IpRange::of(end_.host.address));
  return bad(entry, offset,
             "protocol and port need the network they belong to, because " + draft_.side + "= is no plain address",
             "add " + draft_.side + "subnet=");
}

std::optional<TrafficSelector> EndSelectors::read_item(const Entry& entry, const Piece& piece) {
  const auto bracket = piece.text.find('[');
  const auto network = piece.text.substr(0, bracket);
  if (bracket != std::string_view::npos && protoport_) {
    return bad(entry, piece.offset + bracket, draft_.side + "protoport= and [protocol/port] cannot stand together",
               "keep one of them");
  }
  if (network.starts_with("vhost:") || network.starts_with("vnet:") || network == "%priv" || network == "%no") {
    return bad(entry, piece.offset, "'" + std::string(network) + "' is not built yet",
               "write the network: it is narrowed to what the peer proposes");
  }
  TrafficSelector selector;
  if (network == "%dynamic") {
    const auto own = own_address(entry, piece.offset);
    if (!own) return std::nullopt;
    selector = *own;
  } else if (const auto prefix = parse_prefix(network)) {
    if (prefix->address != prefix->network()) {
      const IpPrefix meant{prefix->network(), prefix->length};
      report_.warning(
          entry.value_place(piece.offset),
          "'" + std::string(network) + "' has bits beyond its prefix length; " + meant.to_string() + " is taken",
          "write " + meant.to_string());
    }
    const auto likely = network.find('/') == std::string_view::npos ? likely_network(prefix->address) : std::string();
    if (!likely.empty()) {
      report_.warning(entry.value_place(piece.offset),
                      "'" + std::string(network) + "' has no prefix length: it is taken for one host",
                      "write " + likely + ", or " + prefix->to_string() + " if the host is meant");
    }
    selector = TrafficSelector::of(*prefix);
  } else if (const auto range = TrafficSelector::parse(network)) {
    selector = *range;
  } else {
    return bad(entry, piece.offset, "'" + std::string(network) + "' is no network",
               "for example: 10.1.0.0/16 or 2001:db8:1::/48");
  }
  if (bracket != std::string_view::npos) {
    const auto whole = TrafficSelector::parse("0.0.0.0/0" + std::string(piece.text.substr(bracket)));
    if (!whole)
      return bad(entry, piece.offset + bracket,
                 "'" + std::string(piece.text.substr(bracket)) + "' is no protocol and port", "for example: [tcp/80]");
    selector.protocol = whole->protocol;
    selector.port_first = whole->port_first;
    selector.port_last = whole->port_last;
  }
  apply_protoport(selector);
  return selector;
}

bool share_family(const TrafficSelectors& a, const TrafficSelectors& b) {
  if (a.empty() || b.empty()) return true;
  return std::any_of(a.begin(), a.end(), [&](const TrafficSelector& x) {
    return std::any_of(b.begin(), b.end(),
                       [&](const TrafficSelector& y) { return x.range.first.family() == y.range.first.family(); });
  });
}

// A packet has one protocol: the end that names none gets the other's.
bool align_protocols(TrafficSelectors& a, TrafficSelectors& b) {
  const auto protocol_of = [](const TrafficSelectors& ts) -> std::optional<std::uint8_t> {
    if (ts.empty()) return std::nullopt;
    const bool same = std::all_of(ts.begin(), ts.end(), [&](const auto& t) { return t.protocol == ts[0].protocol; });
    return same ? std::optional(ts[0].protocol) : std::nullopt;
  };
  const auto pa = protocol_of(a);
  const auto pb = protocol_of(b);
  if (!pa || !pb || *pa == *pb) return true;
  if (*pa != 0 && *pb != 0) return false;
  for (auto& t : *pa == 0 ? a : b) t.protocol = *pa == 0 ? *pb : *pa;
  return true;
}

std::string child_name(const ConnectionDraft& draft, std::size_t l, std::size_t r) {
  const auto& name = draft.connection.name;
  if (!draft.left.subnets && !draft.right.subnets) return name;
  // As Libreswan names them: an end that is no list counts as 0.
  return name + '/' + std::to_string(draft.left.subnets ? l + 1 : 0) + 'x' +
         std::to_string(draft.right.subnets ? r + 1 : 0);
}

}  // namespace

void make_children(ConnectionDraft& draft, Reporter& report) {
  auto left = EndSelectors(draft.left, draft.connection.local, report).read();
  auto right = EndSelectors(draft.right, draft.connection.remote, report).read();
  if (!left || !right) return;
  if (left->size() * right->size() > kMaxChildren) {
    return report.error(
        draft.place, "conn " + draft.connection.name + " makes more than " + std::to_string(kMaxChildren) + " children",
        "use leftsubnet=a,b: one child with several networks");
  }
  bool protocols_differ = false;
  for (std::size_t l = 0; l < left->size(); ++l) {
    for (std::size_t r = 0; r < right->size(); ++r) {
      auto child = draft.child;
      child.local = (*left)[l];
      child.remote = (*right)[r];
      if (!share_family(child.local, child.remote)) continue;
      protocols_differ = protocols_differ || !align_protocols(child.local, child.remote);
      child.name = child_name(draft, l, r);
      draft.connection.children.push_back(std::move(child));
    }
  }
  if (protocols_differ) {
    report.error(draft.place, "conn " + draft.connection.name + ": left and right name different protocols",
                 "a packet has one protocol: name the same on both ends");
  }
  if (draft.connection.children.empty()) {
    report.error(draft.place, "conn " + draft.connection.name +
                                  ": the networks of left and right are of different address families");
  }
}

}  // namespace cygnet::config
