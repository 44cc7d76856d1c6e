// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reads the IKE messages that the sides of a test exchange, with the keys they export.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ike/endpoint.h"
#include "wire/ike/message.h"

namespace cygnet::test {

struct Decoded {
  wire::ike::Header header;
  wire::ike::Payloads payloads;  // with those of the Encrypted payload, if it could be opened
  bool opened = false;           // false: there was nothing to open, or no key
  std::string text;              // "IKE_AUTH request 1: IDi AUTH …"
};

class KeyRing {
 public:
  // Keys stay known after the SA has gone: its last messages are still in the air.
  void learn(const std::vector<ike::ExportedIkeKeys>& keys);
  [[nodiscard]] Decoded decode(ByteView datagram) const;
  // Seals a message as the holder of the SA would: for messages no honest side sends. Null spec: unknown SA.
  [[nodiscard]] Result<Bytes> seal(const wire::ike::Header& header, const wire::ike::Payloads& inner) const;
  // The same in fragments of at most `limit` octets (RFC 7383). Empty: unknown SA.
  [[nodiscard]] std::vector<Bytes> seal_pieces(const wire::ike::Header& header, const wire::ike::Payloads& inner,
                                               std::size_t limit) const;
  [[nodiscard]] const std::map<std::pair<IkeSpi, IkeSpi>, ike::ExportedIkeKeys>& keys() const { return keys_; }

 private:
  std::map<std::pair<IkeSpi, IkeSpi>, ike::ExportedIkeKeys> keys_;
};

}  // namespace cygnet::test
