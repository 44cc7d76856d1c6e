// SPDX-License-Identifier: Apache-2.0
#pragma once

// RFC 4301 section 7: fragments after the first show no ports, so a policy for ports does not take them, and one that
// lets the rest pass in the clear would. Where such policies are, fragments are put together before the SPD is asked.
// Where a policy names OPAQUE ports, an administrator has said what becomes of fragments (section 7.2), and it is done.
#include <algorithm>
#include <cstddef>

#include "model/sa_spec.h"

namespace cygnet::engine {

class FragmentPolicy {
 public:
  void add(const model::PolicySpec& spec) { count(spec, 1); }
  void remove(const model::PolicySpec& spec) { count(spec, std::size_t{0} - 1); }
  [[nodiscard]] bool wants_whole_packets() const { return fine_ != 0 && opaque_ == 0; }

 private:
  void count(const model::PolicySpec& spec, std::size_t step) {
    bool fine = false;
    bool opaque = false;
    for (const auto* selectors : {&spec.local, &spec.remote}) {
      for (const auto& ts : *selectors) {
        opaque = opaque || ts.opaque_ports();
        // In IPv6 a later fragment may not even tell the protocol: it shows the first header that was cut.
        fine = fine || !ts.all_ports() || (ts.protocol != 0 && !ts.range.first.is_v4());
      }
    }
    if (fine) fine_ += step;
    if (opaque) opaque_ += step;
  }

  std::size_t fine_ = 0;
  std::size_t opaque_ = 0;
};

}  // namespace cygnet::engine
