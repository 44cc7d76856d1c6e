// SPDX-License-Identifier: Apache-2.0
#pragma once

// IP Payload Compression with DEFLATE (RFC 3173, RFC 2394) inside ESP: each packet for itself, what does not become
// smaller goes as it is. One thread at a time; the compressor's memory is taken at the first packet.
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"

namespace cygnet::engine {

// What an outbound SA remembers of its traffic: RFC 3173 section 2.2 "an adaptive algorithm".
struct Compressibility {
  std::uint8_t failures = 0;  // in a row
  std::uint8_t rest = 0;      // packets that are not tried
};

class Ipcomp {
 public:
  Ipcomp();
  ~Ipcomp();
  Ipcomp(const Ipcomp&) = delete;
  Ipcomp& operator=(const Ipcomp&) = delete;

  // IPComp header and compressed payload, valid until the next call; empty if it should go uncompressed.
  [[nodiscard]] ByteView compress(ByteView payload, std::uint8_t next_header, std::uint16_t cpi,
                                  Compressibility& memory);
  // Behind the IPComp header. Octets written into `to`; 0: damaged, or larger than `to`.
  [[nodiscard]] std::size_t decompress(ByteView compressed, MutableByteView to);
  // A place to build a packet in before it is compressed.
  [[nodiscard]] MutableByteView scratch(std::size_t octets);

 private:
  struct Streams;
  std::unique_ptr<Streams> streams_;
  std::vector<std::uint8_t> out_;
  std::vector<std::uint8_t> scratch_;
};

}  // namespace cygnet::engine
