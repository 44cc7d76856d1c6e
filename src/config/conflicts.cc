// SPDX-License-Identifier: Apache-2.0
#include "config/conflicts.h"

#include <array>
#include <functional>
#include <map>
#include <string>
#include <utility>

namespace cygnet::config {
namespace {

using Selectors = std::pair<model::TrafficSelector, model::TrafficSelector>;

// "conn a (file:3)"
std::string named(const ConnectionDraft& draft) {
  return "conn " + draft.connection.name + " (" + draft.place.file + ':' + std::to_string(draft.place.line) + ")";
}

bool same_hosts(const model::Connection& a, const model::Connection& b) {
  return a.local.host == b.local.host && a.remote.host == b.remote.host;
}

void report_overlap(const ConnectionDraft& first, const ConnectionDraft& second, const Selectors& selectors,
                    Reporter& report) {
  const auto what = selectors.first.to_string() + " to " + selectors.second.to_string();
  if (same_hosts(first.connection, second.connection)) {
    report.warning(
        second.place,
        "conn " + second.connection.name + " carries " + what + ", as " + named(first) + " to the same peer does",
        "remove one of them");
  } else {
    report.warning(second.place,
                   "conn " + second.connection.name + " carries " + what + ", as " + named(first) +
                       " does to another peer: the one that comes up last wins",
                   "give each network to one connection, unless they stand in for each other");
  }
}

std::uint64_t mix(std::uint64_t h, std::uint64_t value) {
  constexpr std::uint64_t kPrime = 0x9e3779b97f4a7c15ULL;
  h = (h ^ value) * kPrime;
  return h ^ (h >> 29U);
}
// Where packets are told apart before selectors are looked at, outward and inward.
std::array<std::string, 2> places_of(const model::Child& child) {
  const auto place = [&](const char* way, const model::SaMark& mark, std::uint32_t interface_id) {
    return child.device + way + std::to_string(mark.value) + '/' + std::to_string(mark.mask) + '/' +
           std::to_string(interface_id);
  };
  return {place(" out ", child.mark_out, child.interface_id_out), place(" in ", child.mark_in, child.interface_id_in)};
}

std::uint64_t mix(std::uint64_t h, const model::TrafficSelector& selector) {
  const std::hash<IpAddress> hash;
  h = mix(mix(h, hash(selector.range.first)), hash(selector.range.last));
  return mix(h,
             std::uint64_t{selector.protocol} << 32U | std::uint64_t{selector.port_first} << 16U | selector.port_last);
}

// Two connections whose packets look the same. Exact equality only: a narrower network inside a wider one is ordinary.
void find_equal_selectors(const std::vector<ConnectionDraft>& drafts, Reporter& report) {
  std::map<std::pair<std::string, Selectors>, const ConnectionDraft*> seen;
  for (const auto& draft : drafts) {
    for (const auto& child : draft.connection.children) {
      for (const auto& local : child.local) {
        for (const auto& remote : child.remote) {
          const Selectors selectors{local, remote};
          for (const auto& place : places_of(child)) {
            const auto [at, fresh] = seen.emplace(std::pair{place, selectors}, &draft);
            if (!fresh && at->second != &draft) return report_overlap(*at->second, draft, selectors, report);
          }
        }
      }
    }
  }
}

}  // namespace

std::vector<std::uint64_t> conflict_marks(const model::Connection& connection) {
  std::vector<std::uint64_t> marks{ambiguity_mark(connection)};
  for (const auto& child : connection.children) {
    for (const auto& name : places_of(child)) {
      const auto place = std::hash<std::string>{}(name);
      for (const auto& local : child.local) {
        for (const auto& remote : child.remote) marks.push_back(mix(mix(place, local), remote));
      }
    }
  }
  return marks;
}

void find_conflicts(const std::vector<ConnectionDraft>& drafts, const model::Setup& setup, Reporter& report) {
  find_equal_selectors(drafts, report);
  find_ambiguous(drafts, report);
  if (setup.ike_port == setup.nat_port) {
    report.error({}, "ikeport= and nat-ikeport= are both " + std::to_string(setup.ike_port),
                 "give them different ports");
  }
}

}  // namespace cygnet::config
