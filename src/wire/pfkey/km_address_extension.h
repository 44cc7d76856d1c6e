// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wire/pfkey/socket_address.h"

namespace cygnet::wire::pfkey {

// struct sadb_x_kmaddress of <linux/pfkeyv2.h>: where the key management of an SA that migrates is to be found.
//
//   +---------------+---------------+---------------+---------------+
//   |     sadb_x_kmaddress_len      |    sadb_x_kmaddress_exttype   |
//   +---------------+---------------+---------------+---------------+
//   |                           reserved                            |
//   +---------------+---------------+---------------+---------------+
//   >      local and remote, socket addresses of one family         <
//   +---------------+---------------+---------------+---------------+
struct KmAddressExtension {
  Endpoint local, remote;

  [[nodiscard]] static Parsed<KmAddressExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const KmAddressExtension&) const = default;
};

}  // namespace cygnet::wire::pfkey
