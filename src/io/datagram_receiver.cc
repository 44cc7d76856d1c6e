// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "io/outer_socket.h"

namespace cygnet::io {

namespace {

constexpr std::size_t kBufferOctets = 65536;
constexpr std::size_t kControlOctets = 1024;
constexpr std::size_t kFrontOctets = 512;  // room for the headers in front of AH

struct Slot {
  alignas(cmsghdr) std::array<char, kControlOctets> control{};
  sockaddr_in6 name{};
  iovec iov{};
};

template <typename T>
bool read_control(const cmsghdr* c, T& out) {
  if (c->cmsg_len < CMSG_LEN(sizeof(T))) {
    return false;
  }
  std::memcpy(&out, CMSG_DATA(c), sizeof(T));
  return true;
}

void apply_control(const cmsghdr* c, ReceivedDatagram& out) {
  if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
    if (in_pktinfo info{}; read_control(c, info)) {
      out.local.address = IpAddress::v4(ntohl(info.ipi_addr.s_addr));
    }
  } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
    if (in6_pktinfo info{}; read_control(c, info)) {
      out.local.address = address_of_v6_socket({info.ipi6_addr.s6_addr, 16});
    }
  } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
    if (std::uint8_t tos = 0; read_control(c, tos)) {
      out.tos = tos;
    }
  } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
    if (int tclass = 0; read_control(c, tclass)) {
      out.tos = static_cast<std::uint8_t>(tclass);
    }
  } else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
    if (int segment = 0; read_control(c, segment) && segment > 0) {
      out.segment_octets = static_cast<std::size_t>(segment);
    }
  }
}

// raw(7): an IPv4 raw socket gives the IP header too; an IPv6 one does not.
bool strip_ip_header(ReceivedDatagram& datagram) {
  if (datagram.bytes.size() < 20 || (datagram.bytes[0] >> 4) != 4) {
    return false;
  }
  const std::size_t header = static_cast<std::size_t>(datagram.bytes[0] & 0x0f) * 4;
  if (header < 20 || header > datagram.bytes.size()) {
    return false;
  }
  datagram.tos = datagram.bytes[1];
  datagram.bytes = datagram.bytes.subspan(header);
  return true;
}

// The IPv6 headers in front of what a raw socket gave, from ancillary data. False: more than there is room for.
bool put_ipv6_headers(msghdr& received, ReceivedDatagram& datagram) {
  std::array<std::uint8_t, kFrontOctets> front{};
  std::size_t used = 40;
  std::size_t names_next = 6;
  front[0] = static_cast<std::uint8_t>(0x60 | (datagram.tos >> 4));
  front[1] = static_cast<std::uint8_t>(datagram.tos << 4);
  std::copy_n(datagram.remote.address.bytes().begin(), 16, front.begin() + 8);
  std::copy_n(datagram.local.address.bytes().begin(), 16, front.begin() + 24);
  for (cmsghdr* c = CMSG_FIRSTHDR(&received); c != nullptr; c = CMSG_NXTHDR(&received, c)) {
    if (c->cmsg_level != IPPROTO_IPV6) continue;
    if (int hops = 0; c->cmsg_type == IPV6_HOPLIMIT && read_control(c, hops))
      front[7] = static_cast<std::uint8_t>(hops);
    std::uint8_t number = 0;
    switch (c->cmsg_type) {
      case IPV6_HOPOPTS: number = IPPROTO_HOPOPTS; break;
      case IPV6_RTHDR: number = IPPROTO_ROUTING; break;
      case IPV6_DSTOPTS: number = IPPROTO_DSTOPTS; break;
      default: continue;
    }
    const std::size_t octets = c->cmsg_len - CMSG_LEN(0);
    if (octets < 8 || octets > front.size() - used) return false;
    std::memcpy(front.data() + used, CMSG_DATA(c), octets);
    front[names_next] = number;
    names_next = used;
    used += octets;
  }
  front[names_next] = IPPROTO_AH;
  const std::size_t payload = used - 40 + datagram.bytes.size();
  if (payload > 65535) return false;
  store_be16(&front[4], static_cast<std::uint16_t>(payload));
  auto* start = datagram.bytes.data() - used;
  std::memcpy(start, front.data(), used);
  datagram.bytes = {start, used + datagram.bytes.size()};
  return true;
}

// AH wants the whole packet.
bool put_ip_header(msghdr& received, ReceivedDatagram& datagram) {
  datagram.remote.port = 0;  // raw(7) puts the protocol there
  if ((received.msg_flags & MSG_CTRUNC) != 0) return false;
  if (!datagram.remote.address.is_v4()) return put_ipv6_headers(received, datagram);
  if (datagram.bytes.size() < 20) return false;
  datagram.tos = datagram.bytes[1];
  return true;
}

}  // namespace

struct DatagramReceiver::Impl {
  explicit Impl(std::size_t burst)
      : memory(std::make_unique_for_overwrite<std::uint8_t[]>(burst * kBufferOctets)),
        slots(burst),
        headers(burst),
        out(burst) {}
  std::unique_ptr<std::uint8_t[]> memory;
  std::vector<Slot> slots;
  std::vector<mmsghdr> headers;
  std::vector<ReceivedDatagram> out;

  std::size_t prepared_front = SIZE_MAX;
  std::size_t used = 0;  // of the headers, by the last call: the others are as they were prepared

  // Only what a call has changed: a single packet that comes to a quiet machine waits for each cache line touched.
  void prepare(std::size_t front) {
    const std::size_t count = front == prepared_front ? used : slots.size();
    prepared_front = front;
    for (std::size_t i = 0; i < count; ++i) {
      slots[i].iov = {memory.get() + i * kBufferOctets + front, kBufferOctets - front};
      auto& h = headers[i].msg_hdr;
      h = {};
      h.msg_name = &slots[i].name;
      h.msg_namelen = sizeof slots[i].name;
      h.msg_iov = &slots[i].iov;
      h.msg_iovlen = 1;
      h.msg_control = slots[i].control.data();
      h.msg_controllen = kControlOctets;
    }
  }
};

DatagramReceiver::DatagramReceiver(std::size_t burst) : impl_(std::make_unique<Impl>(burst)) {}
DatagramReceiver::~DatagramReceiver() = default;
DatagramReceiver::DatagramReceiver(DatagramReceiver&&) noexcept = default;
DatagramReceiver& DatagramReceiver::operator=(DatagramReceiver&&) noexcept = default;

std::span<ReceivedDatagram> DatagramReceiver::receive(const OuterSocket& socket) {
  const bool hidden_headers = socket.kind == OuterKind::kAh && socket.family == Family::kV6;
  impl_->prepare(hidden_headers ? kFrontOctets : 0);
  const int n = ::recvmmsg(socket.fd.get(), impl_->headers.data(), static_cast<unsigned>(impl_->headers.size()),
                           MSG_DONTWAIT, nullptr);
  impl_->used = static_cast<std::size_t>(std::max(n, 0));
  filled_ = impl_->used == impl_->headers.size();
  std::size_t count = 0;
  for (int i = 0; i < n; ++i) {
    const auto& received = impl_->headers[static_cast<std::size_t>(i)];
    const auto remote = endpoint_of(received.msg_hdr.msg_name, received.msg_hdr.msg_namelen);
    if (!remote || (received.msg_hdr.msg_flags & MSG_TRUNC) != 0) {
      continue;
    }
    auto& datagram = impl_->out[count];
    datagram = {.bytes = {static_cast<std::uint8_t*>(received.msg_hdr.msg_iov->iov_base), received.msg_len},
                .remote = *remote};
    datagram.local = {IpAddress::any(socket.family), socket.port};
    auto* header = const_cast<msghdr*>(&received.msg_hdr);
    for (cmsghdr* c = CMSG_FIRSTHDR(header); c != nullptr; c = CMSG_NXTHDR(header, c)) {
      apply_control(c, datagram);
    }
    if (datagram.segment_octets >= datagram.bytes.size()) {
      datagram.segment_octets = 0;
    }
    if (socket.kind == OuterKind::kEsp) {
      datagram.remote.port = 0;  // raw(7) puts the protocol there
      if (socket.family == Family::kV4 && !strip_ip_header(datagram)) {
        continue;
      }
    }
    if (socket.kind == OuterKind::kAh && !put_ip_header(*header, datagram)) {
      continue;
    }
    ++count;
  }
  return std::span(impl_->out).first(count);
}

}  // namespace cygnet::io
