// SPDX-License-Identifier: Apache-2.0
// inbound/ALGORITHM/size:N/sas:N/policies:N/cores:N[/burst:N]: ESP in UDP in, clear text out: SA, replay window, ICV,
// selectors. With several cores they share one engine, and each has the packets of its share
// of the SAs, by the clock on the wall.
#include "cases.h"
#include "inbound_drive.h"
#include "suite.h"

namespace cygnet::bench {
namespace {

void run_inbound(benchmark::State& state, const Algorithm& algorithm, const Scale& scale) {
  run_case<InboundDrive>(state, algorithm, scale, model::Direction::kInbound);
}

}  // namespace

void register_inbound(std::uint32_t sas) { register_cases("inbound", run_inbound, sas); }

}  // namespace cygnet::bench
