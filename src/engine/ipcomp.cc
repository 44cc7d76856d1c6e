// SPDX-License-Identifier: Apache-2.0
#include "engine/ipcomp.h"

#include <zlib.h>

#include <algorithm>
#include <cstdlib>

#include "wire/ipcomp_header.h"

namespace cygnet::engine {
namespace {

// RFC 2394 section 4.2: "a compression threshold of 90 octets".
constexpr std::size_t kThreshold = 90;
// After so many packets in a row that did not shrink, so many are not tried.
constexpr std::uint8_t kPatience = 8;
constexpr std::uint8_t kRest = 64;
// Negative: no zlib header (RFC 2394 section 2). Linux's kernel keeps a window of 2 KiB to look back into and refuses
// what refers to more; we take all that DEFLATE allows.
constexpr int kWindowOut = -11;
constexpr int kWindowIn = -15;
constexpr int kLevel = 3;
constexpr int kMemoryLevel = 8;

}  // namespace

struct Ipcomp::Streams {
  z_stream out{};
  z_stream in{};
  Streams() {
    // They fail only when memory is gone.
    if (deflateInit2(&out, kLevel, Z_DEFLATED, kWindowOut, kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK ||
        inflateInit2(&in, kWindowIn) != Z_OK)
      std::abort();
  }
  ~Streams() {
    deflateEnd(&out);
    inflateEnd(&in);
  }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
};

Ipcomp::Ipcomp() = default;
Ipcomp::~Ipcomp() = default;

ByteView Ipcomp::compress(ByteView payload, std::uint8_t next_header, std::uint16_t cpi, Compressibility& memory) {
  if (payload.size() < kThreshold) return {};
  if (memory.rest > 0) {
    --memory.rest;
    return {};
  }
  if (streams_ == nullptr) streams_ = std::make_unique<Streams>();
  // RFC 3173 section 2.2: "If the total size of a compressed payload and the IPComp header ... is not smaller than the
  // size of the original payload, the IP datagram MUST be sent in the original non-compressed form".
  if (out_.size() < payload.size()) out_.resize(payload.size());
  auto& stream = streams_->out;
  deflateReset(&stream);
  stream.next_in = const_cast<Bytef*>(payload.data());  // zlib does not write there
  stream.avail_in = static_cast<uInt>(payload.size());
  stream.next_out = out_.data() + wire::kIpcompHeaderOctets;
  stream.avail_out = static_cast<uInt>(payload.size() - wire::kIpcompHeaderOctets - 1);
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) {
    if (++memory.failures >= kPatience) memory = {.failures = kPatience - 1, .rest = kRest};
    return {};
  }
  memory.failures = 0;
  wire::write_ipcomp_header(out_.data(), next_header, cpi);
  return ByteView(out_).first(wire::kIpcompHeaderOctets + stream.total_out);
}

std::size_t Ipcomp::decompress(ByteView compressed, MutableByteView to) {
  if (streams_ == nullptr) streams_ = std::make_unique<Streams>();
  auto& stream = streams_->in;
  inflateReset(&stream);
  stream.next_in = const_cast<Bytef*>(compressed.data());
  stream.avail_in = static_cast<uInt>(compressed.size());
  stream.next_out = to.data();
  stream.avail_out = static_cast<uInt>(to.size());
  // A whole stream, and nothing but ESP's padding may be left of what came in: that has been taken off before.
  if (inflate(&stream, Z_FINISH) != Z_STREAM_END) return 0;
  return stream.total_out;
}

MutableByteView Ipcomp::scratch(std::size_t octets) {
  if (scratch_.size() < octets) scratch_.resize(octets);
  return MutableByteView(scratch_).first(octets);
}

}  // namespace cygnet::engine
