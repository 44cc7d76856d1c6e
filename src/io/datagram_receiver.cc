// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "io/outer_socket.h"

namespace cygnet::io {

namespace {

constexpr std::size_t kBufferOctets = 65536;
constexpr std::size_t kControlOctets = 256;

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
      out.local.address = IpAddress::from_bytes({info.ipi6_addr.s6_addr, 16});
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

  void prepare() {
    for (std::size_t i = 0; i < slots.size(); ++i) {
      slots[i].iov = {memory.get() + i * kBufferOctets, kBufferOctets};
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
  impl_->prepare();
  const int n = ::recvmmsg(socket.fd.get(), impl_->headers.data(), static_cast<unsigned>(impl_->headers.size()),
                           MSG_DONTWAIT, nullptr);
  filled_ = n > 0 && static_cast<std::size_t>(n) == impl_->headers.size();
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
    ++count;
  }
  return std::span(impl_->out).first(count);
}

}  // namespace cygnet::io
