// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/vendor_id_payload.h"

namespace cygnet::wire::ike {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                        Vendor ID (VID)                        ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
ParseResult<VendorIdPayload> parse_vendor_id(ByteView body) { return VendorIdPayload{Bytes(body.begin(), body.end())}; }

void serialize(const VendorIdPayload& payload, ByteWriter& out) { out.bytes(payload.data); }

}  // namespace cygnet::wire::ike
