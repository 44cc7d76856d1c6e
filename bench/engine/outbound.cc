// SPDX-License-Identifier: Apache-2.0
// outbound/ALGORITHM/size:N/sas:N/policies:N/cores:N[/burst:N]: clear text in, ESP in UDP out. With several cores they
// share one engine and all its SAs, by the clock on the wall.
#include "cases.h"
#include "outbound_drive.h"
#include "suite.h"

namespace cygnet::bench {
namespace {

void run_outbound(benchmark::State& state, const Algorithm& algorithm, const Scale& scale) {
  run_case<OutboundDrive>(state, algorithm, scale, model::Direction::kOutbound);
}

}  // namespace

void register_outbound(std::uint32_t sas) { register_cases("outbound", run_outbound, sas); }

}  // namespace cygnet::bench
