// SPDX-License-Identifier: Apache-2.0
#pragma once

// Each file of this folder adds its cases here; main.cc calls them all.
namespace cygnet::bench {

void register_cipher();
void register_outbound();
void register_inbound();
void register_segments();
void register_stages();
void register_flow_cache();
void register_sad();
void register_spd();

}  // namespace cygnet::bench
