// SPDX-License-Identifier: Apache-2.0
// What happens to those who live, and when.
#include <algorithm>

#include "sim/plan.h"

namespace cygnet::sim {
namespace {

using namespace std::chrono_literals;

class Author {
 public:
  Author(Random& random, Plan& plan) : random_(random), plan_(plan) {}

  void write() {
    const auto seconds = between(random_, 200, 600);
    plan_.length = std::chrono::seconds(seconds);
    const auto links = static_cast<std::uint32_t>(plan_.links.size());
    for (auto more = between(random_, 3 * links, 8 + 4 * links); more > 0; --more) add_peace(some_time(seconds));
    for (std::uint64_t more = plan_.violent ? 1 + random_.below(4) : 0; more > 0; --more)
      add_violence(some_time(seconds));
    std::ranges::stable_sort(plan_.events, {}, &PlannedEvent::at);
  }

 private:
  Duration some_time(std::uint32_t seconds) { return milliseconds(between(random_, 5000, seconds * 1000)); }

  struct Place {
    std::size_t link, side, child;
  };
  Place some_place() {
    const auto link = static_cast<std::size_t>(random_.below(plan_.links.size()));
    const auto& l = plan_.links[link];
    const auto child = static_cast<std::size_t>(random_.below(l.children.size()));
    return {link, chance(random_, 50) ? l.starts : l.answers, child};
  }
  void add(Duration at, What what, const Place& where, int actions = 0) {
    plan_.events.push_back({at, what, where.side, where.link, where.child, actions});
  }
  [[nodiscard]] Place at_starter(Place place) const {
    place.side = plan_.links[place.link].starts;
    return place;
  }
  [[nodiscard]] Place at_answerer(Place place) const {
    place.side = plan_.links[place.link].answers;
    return place;
  }

  void add_peace(Duration at) {
    const auto place = some_place();
    switch (random_.below(9)) {
      case 0: return add(at, What::kRekeyChild, place);
      case 1: return add(at, What::kRekeyIke, place);
      case 2:
      case 3: return add_collision(at);
      case 4:
        if (plan_.nat && !plan_.strict) add(at, What::kRebind, place);
        return;
      case 5: return add(at, chance(random_, 70) || plan_.strict ? What::kSoftLimit : What::kHardLimit, place);
      case 6: return add(at, What::kReload, place);
      case 7:
        if (!plan_.strict) add(at, What::kReloadChanged, place);
        return;
      default:
        if (plan_.violent) add_violence(at);
        return;
    }
  }

  void add_collision(Duration at) {
    const bool ike = chance(random_, 35);
    const auto place = some_place();
    const Duration gap = milliseconds(between(random_, 0, 80));
    add(at, ike ? What::kRekeyIke : What::kRekeyChild, at_starter(place));
    const bool mixed = chance(random_, 20);
    add(at + gap, ike != mixed ? What::kRekeyIke : What::kRekeyChild, at_answerer(place));
  }

  void add_violence(Duration at) {
    const auto place = some_place();
    const Duration down = milliseconds(between(random_, 0, 8000));
    // Who starts on both ends answers no deletion by starting anew on the other.
    switch (random_.below(plan_.both_start ? 7 : 11)) {
      case 0: add(at, What::kCrash, place); return add(at + down, What::kRestart, place);
      case 1:
        add(at, What::kCrashMidway, place, static_cast<int>(random_.below(25)));
        // Something to do, so that there are actions to die among.
        add(at, chance(random_, 50) ? What::kRekeyChild : What::kRekeyIke,
            chance(random_, 50) ? at_starter(place) : at_answerer(place));
        return add(at + 5s + down, What::kRestart, place);
      case 2: add(at, What::kPowerLoss, place); return add(at + down, What::kRestart, place);
      case 3: add(at, What::kBlackout, place); return add(at + down * 5, What::kLight, place);
      case 4: add(at, What::kIkeBlackout, place); return add(at + down * 8, What::kLight, place);
      case 5: add(at, What::kEspBlackout, place); return add(at + down * 8, What::kLight, place);
      case 6: add(at, What::kSuspend, place); return add(at + down * 10, What::kResume, place);
      case 7: return add(at, What::kDeleteIke, at_answerer(place));
      case 8: return add(at, What::kDeleteChild, at_answerer(place));
      case 9: add(at, What::kTakeDown, at_starter(place)); return add(at + down, What::kBringUp, at_starter(place));
      default: add(at, What::kReloadRemoved, place); return add(at + down * 3, What::kReloadBack, place);
    }
  }

  Random& random_;
  Plan& plan_;
};

}  // namespace

void choose_events(Random& random, Plan& plan) { Author(random, plan).write(); }

}  // namespace cygnet::sim
