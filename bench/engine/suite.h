// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

// Each file of this folder adds its cases here; main.cc calls them all.
namespace cygnet::bench {

void register_cipher();
// Cases with this number of SAs.
void register_outbound(std::uint32_t sas);
void register_inbound(std::uint32_t sas);
void register_segments();
void register_stages(std::uint32_t sas);
void register_flow_cache();
void register_sad();
void register_spd();

}  // namespace cygnet::bench
