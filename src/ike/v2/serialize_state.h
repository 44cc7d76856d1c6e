// SPDX-License-Identifier: Apache-2.0
#pragma once

// An established IKE SA as octets, so that the next ike process goes on where this one ended. Holds keys: never logged,
// never on disk. Times are those of the machine's monotonic clock, which outlives processes but not a boot, as does the
// data plane that keeps the checkpoint.
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "ike/v2/ike_sa.h"

namespace cygnet::ike::v2 {

// "ike/" and our SPI in hexadecimal.
[[nodiscard]] std::string checkpoint_key(const IkeSa& sa);
[[nodiscard]] Bytes serialize_state(const IkeSa& sa);
// Connections are named only: `connection->name` is right, all else about them is for the caller to fill in. Anything
// may stand in `bytes`; what is not exactly such a state is refused.
[[nodiscard]] Result<std::unique_ptr<IkeSa>> parse_state(ByteView bytes);

}  // namespace cygnet::ike::v2
