// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace cygnet::daemon {

// Loads the ciphers' libraries while files can still be opened: after confine() they cannot.
void warm_up_ciphers();

}  // namespace cygnet::daemon
