// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "io/outer_socket.h"

namespace cygnet::io {

namespace {

constexpr std::size_t kBatch = 128;            // datagrams a call
constexpr std::size_t kMaxSegments = 64;       // UDP_MAX_SEGMENTS of Linux before 6.9
constexpr std::size_t kMaxUdpPayload = 65000;  // a UDP_SEGMENT call must stay below 64 KiB with all headers
constexpr int kFullWaitMs = 5;

struct Slot {
  alignas(cmsghdr) std::array<char, 128> control{};
  SocketAddress name;
  iovec iov{};
};

// One datagram (or one UDP_SEGMENT group) of a call.
struct Piece {
  const OutgoingDatagram* from = nullptr;
  ByteView data;
  std::size_t segment_octets = 0;
  [[nodiscard]] std::size_t datagrams() const {
    return segment_octets == 0 ? 1 : (data.size() + segment_octets - 1) / segment_octets;
  }
};

template <typename T>
cmsghdr* put_control(cmsghdr* at, int level, int type, const T& value) {
  at->cmsg_level = level;
  at->cmsg_type = type;
  at->cmsg_len = CMSG_LEN(sizeof(T));
  std::memcpy(CMSG_DATA(at), &value, sizeof(T));
  return reinterpret_cast<cmsghdr*>(reinterpret_cast<char*>(at) + CMSG_SPACE(sizeof(T)));
}

cmsghdr* put_source(cmsghdr* at, const IpAddress& source) {
  if (source.is_v4()) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, source.bytes().data(), 4);
    return put_control(at, IPPROTO_IP, IP_PKTINFO, info);
  }
  in6_pktinfo info{};
  std::memcpy(&info.ipi6_addr, source.bytes().data(), 16);
  return put_control(at, IPPROTO_IPV6, IPV6_PKTINFO, info);
}

void fill(mmsghdr& header, Slot& slot, const Piece& piece) {
  const auto& from = *piece.from;
  slot.name = SocketAddress::of(from.remote);
  slot.iov = {const_cast<std::uint8_t*>(piece.data.data()), piece.data.size()};
  header = {};
  auto& h = header.msg_hdr;
  h.msg_name = slot.name.storage.data();
  h.msg_namelen = slot.name.size;
  h.msg_iov = &slot.iov;
  h.msg_iovlen = 1;
  auto* at = reinterpret_cast<cmsghdr*>(slot.control.data());
  auto* end = at;
  if (!from.local.address.is_unspecified()) {
    end = put_source(end, from.local.address);
  }
  if (from.tos != 0) {
    end = from.remote.address.is_v4() ? put_control(end, IPPROTO_IP, IP_TOS, static_cast<int>(from.tos))
                                      : put_control(end, IPPROTO_IPV6, IPV6_TCLASS, static_cast<int>(from.tos));
  }
  if (piece.segment_octets != 0) {
    end = put_control(end, SOL_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(piece.segment_octets));
  }
  h.msg_controllen = static_cast<std::size_t>(reinterpret_cast<char*>(end) - reinterpret_cast<char*>(at));
  h.msg_control = h.msg_controllen == 0 ? nullptr : at;
}

}  // namespace

struct DatagramSender::Impl {
  std::array<mmsghdr, kBatch> headers{};
  std::array<Slot, kBatch> slots{};
  std::vector<Piece> pieces;
  bool segmentation = true;  // until the kernel refuses it
  // DF is a property of the socket: what it was last set to. -1: not yet.
  std::array<int, 2> df_of_family{-1, -1};
  std::array<int, 2> df_fd{-1, -1};

  void cut(const OutgoingDatagram& datagram, OuterKind kind);
  void set_df(const OuterSocket& socket, bool dont_fragment);
  void run(const OuterSocket& socket, std::size_t first, std::size_t last,
           const std::function<void(const SendFailure&)>& on_failure);
  bool send_singly(const OuterSocket& socket, const Piece& piece,
                   const std::function<void(const SendFailure&)>& on_failure);
};

DatagramSender::DatagramSender() : impl_(std::make_unique<Impl>()) {}
DatagramSender::~DatagramSender() = default;
DatagramSender::DatagramSender(DatagramSender&&) noexcept = default;
DatagramSender& DatagramSender::operator=(DatagramSender&&) noexcept = default;

void DatagramSender::Impl::cut(const OutgoingDatagram& datagram, OuterKind kind) {
  auto data = datagram.data;
  const std::size_t segment = datagram.segment_octets;
  if (segment == 0 || segment >= data.size()) {
    pieces.push_back({&datagram, data, 0});
    return;
  }
  std::size_t group = segment;
  if (kind == OuterKind::kUdp && segmentation) {
    group = std::max<std::size_t>(1, std::min(kMaxSegments, kMaxUdpPayload / segment)) * segment;
  }
  while (!data.empty()) {
    const auto n = std::min(group, data.size());
    pieces.push_back({&datagram, data.first(n), n > segment ? segment : 0});
    data = data.subspan(n);
  }
}

void DatagramSender::Impl::set_df(const OuterSocket& socket, bool dont_fragment) {
  const bool v4 = socket.family == Family::kV4;
  auto& known = df_of_family[v4 ? 0 : 1];
  auto& known_fd = df_fd[v4 ? 0 : 1];
  if (known_fd == socket.fd.get() && known == (dont_fragment ? 1 : 0)) {
    return;
  }
  known = dont_fragment ? 1 : 0;
  known_fd = socket.fd.get();
  if (v4) {
    // PROBE: DF set, and no path MTU but the engine's own decides.
    const int mode = dont_fragment ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT;
    (void)::setsockopt(socket.fd.get(), IPPROTO_IP, IP_MTU_DISCOVER, &mode, sizeof mode);
  } else {
    const int mode = dont_fragment ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT;
    const int flag = dont_fragment ? 1 : 0;
    (void)::setsockopt(socket.fd.get(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, &mode, sizeof mode);
    (void)::setsockopt(socket.fd.get(), IPPROTO_IPV6, IPV6_DONTFRAG, &flag, sizeof flag);
  }
}

// A group the kernel would not cut: one datagram each. True if it was segmentation itself that failed.
bool DatagramSender::Impl::send_singly(const OuterSocket& socket, const Piece& piece,
                                       const std::function<void(const SendFailure&)>& on_failure) {
  auto data = piece.data;
  const std::size_t segment = piece.segment_octets;
  bool all_sent = true;
  while (!data.empty()) {
    const auto n = std::min(segment, data.size());
    const Piece single{piece.from, data.first(n), 0};
    data = data.subspan(n);
    mmsghdr header{};
    Slot slot;
    fill(header, slot, single);
    if (::sendmsg(socket.fd.get(), &header.msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      all_sent = false;
      on_failure({errno, 1, piece.from});
    }
  }
  return all_sent;
}

void DatagramSender::Impl::run(const OuterSocket& socket, std::size_t first, std::size_t last,
                               const std::function<void(const SendFailure&)>& on_failure) {
  set_df(socket, pieces[first].from->dont_fragment);
  const std::size_t count = last - first;
  for (std::size_t i = 0; i < count; ++i) {
    fill(headers[i], slots[i], pieces[first + i]);
  }
  std::size_t done = 0;
  bool retried = false;
  while (done < count) {
    const int n = ::sendmmsg(socket.fd.get(), headers.data() + done, static_cast<unsigned>(count - done),
                             MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
      done += static_cast<std::size_t>(n);
      retried = false;
      continue;
    }
    const int error = errno;
    if (error == EINTR) {
      continue;
    }
    if (!retried) {
      // An ICMP error about some earlier datagram of anyone comes back from the next call: the second try is for ours.
      // A full socket gets a moment to empty.
      retried = true;
      if (error == EAGAIN) {
        pollfd wait{socket.fd.get(), POLLOUT, 0};
        (void)::poll(&wait, 1, kFullWaitMs);
      }
      continue;
    }
    const auto& piece = pieces[first + done];
    if (piece.segment_octets != 0 && (error == EINVAL || error == EIO || error == EMSGSIZE)) {
      // EIO: the device has no checksum offload, and never will have. The others concern this group.
      segmentation = segmentation && error != EIO;
      (void)send_singly(socket, piece, on_failure);
    } else {
      on_failure({error, piece.datagrams(), piece.from});
    }
    ++done;
    retried = false;
  }
}

void DatagramSender::send(const OuterSocket& socket, std::span<const OutgoingDatagram> datagrams,
                          const std::function<void(const SendFailure&)>& on_failure) {
  auto& pieces = impl_->pieces;
  pieces.clear();
  for (const auto& datagram : datagrams) {
    impl_->cut(datagram, socket.kind);
  }
  std::size_t first = 0;
  while (first < pieces.size()) {
    std::size_t last = first + 1;
    while (last < pieces.size() && last - first < kBatch &&
           pieces[last].from->dont_fragment == pieces[first].from->dont_fragment) {
      ++last;
    }
    impl_->run(socket, first, last, on_failure);
    first = last;
  }
}

}  // namespace cygnet::io
