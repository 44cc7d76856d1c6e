// SPDX-License-Identifier: Apache-2.0
#include "io/xdp_program.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstring>
#include <string>

#include "io/errno_text.h"

namespace cygnet::io {

namespace {

// Sixteen octets; IPv4 as RFC 4291 section 2.5.5.2 maps it.
using Key = std::array<std::uint8_t, 16>;

Key key_of(const IpAddress& address) {
  Key key{};
  if (address.is_v4()) key[10] = key[11] = 0xff;
  const auto bytes = address.bytes();
  std::memcpy(key.data() + key.size() - bytes.size(), bytes.data(), bytes.size());
  return key;
}

int bpf(int command, bpf_attr& attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

std::uint64_t pointer(const void* to) { return reinterpret_cast<std::uintptr_t>(to); }

Result<UniqueFd> make_map(std::uint32_t type, std::uint32_t key_octets, std::uint32_t value_octets,
                          std::uint32_t entries) {
  bpf_attr attributes{};
  attributes.map_type = type;
  attributes.key_size = key_octets;
  attributes.value_size = value_octets;
  attributes.max_entries = entries;
  UniqueFd map(bpf(BPF_MAP_CREATE, attributes));
  if (!map) return fail_errno("cannot make a table for XDP (root, or CAP_BPF and CAP_NET_ADMIN, are needed)");
  return map;
}

// A program in the making: jumps to where packets are passed on are filled in at the end.
class Assembly {
 public:
  void load(std::uint8_t octets, std::uint8_t to, std::uint8_t base, std::int16_t offset) {
    add(BPF_LDX | BPF_MEM | size_of(octets), to, base, offset, 0);
  }
  void store(std::uint8_t octets, std::uint8_t base, std::int16_t offset, std::uint8_t from) {
    add(BPF_STX | BPF_MEM | size_of(octets), base, from, offset, 0);
  }
  void store_constant(std::uint8_t octets, std::uint8_t base, std::int16_t offset, std::int32_t value) {
    add(BPF_ST | BPF_MEM | size_of(octets), base, 0, offset, value);
  }
  void move(std::uint8_t to, std::uint8_t from) { add(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0); }
  void move_constant(std::uint8_t to, std::int32_t value) { add(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value); }
  void add_constant(std::uint8_t to, std::int32_t value) { add(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value); }
  void and_constant(std::uint8_t to, std::int32_t value) { add(BPF_ALU64 | BPF_AND | BPF_K, to, 0, 0, value); }
  void load_map(std::uint8_t to, int map) {
    add(BPF_LD | BPF_DW | BPF_IMM, to, BPF_PSEUDO_MAP_FD, 0, map);
    add(0, 0, 0, 0, 0);
  }
  void call(std::int32_t function) { add(BPF_JMP | BPF_CALL, 0, 0, 0, function); }
  void leave() { add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }
  // 32 bits of the register are compared.
  void pass_unless_equal(std::uint8_t reg, std::uint32_t value) { jump32(BPF_JNE, reg, value); }
  void pass_if_any(std::uint8_t reg, std::uint32_t bits) { jump32(BPF_JSET, reg, bits); }
  void pass_if_null(std::uint8_t reg) { passing(BPF_JMP | BPF_JEQ | BPF_K, reg, 0, 0); }
  void pass_if_beyond(std::uint8_t reg, std::uint8_t end) { passing(BPF_JMP | BPF_JGT | BPF_X, reg, end, 0); }
  void pass_unless_beyond(std::uint8_t reg, std::uint8_t end) { passing(BPF_JMP | BPF_JLE | BPF_X, reg, end, 0); }
  // A jump over what follows: land() says where to.
  [[nodiscard]] std::size_t skip_unless_equal(std::uint8_t reg, std::uint32_t value) {
    add(BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, 0, static_cast<std::int32_t>(value));
    return code_.size() - 1;
  }
  [[nodiscard]] std::size_t skip() {
    add(BPF_JMP | BPF_JA, 0, 0, 0, 0);
    return code_.size() - 1;
  }
  void land(std::size_t jump) { code_[jump].off = static_cast<std::int16_t>(code_.size() - jump - 1); }
  [[nodiscard]] std::vector<bpf_insn> finish() {
    for (const auto jump : passing_) land(jump);
    move_constant(BPF_REG_0, XDP_PASS);
    leave();
    return std::move(code_);
  }

 private:
  static std::uint8_t size_of(std::uint8_t octets) {
    return octets == 1 ? BPF_B : octets == 2 ? BPF_H : octets == 4 ? BPF_W : BPF_DW;
  }
  void add(int code, std::uint8_t to, std::uint8_t from, std::int16_t offset, std::int32_t value) {
    bpf_insn one{};
    one.code = static_cast<std::uint8_t>(code);
    one.dst_reg = to & 0xfU;
    one.src_reg = from & 0xfU;
    one.off = offset;
    one.imm = value;
    code_.push_back(one);
  }
  void jump32(int condition, std::uint8_t reg, std::uint32_t value) {
    passing(BPF_JMP32 | condition | BPF_K, reg, 0, static_cast<std::int32_t>(value));
  }
  void passing(int code, std::uint8_t reg, std::uint8_t other, std::int32_t value) {
    add(code, reg, other, 0, value);
    passing_.push_back(code_.size() - 1);
  }

  std::vector<bpf_insn> code_;
  std::vector<std::size_t> passing_;
};

constexpr std::uint8_t kContext = BPF_REG_6, kFrame = BPF_REG_7, kEnd = BPF_REG_8, kSpi = BPF_REG_9;
constexpr std::int16_t kIp = kEtherHeader;
constexpr std::int16_t kStackKey = -16;

// The frame has at least so many octets behind Ethernet's header.
void need(Assembly& a, int octets) {
  a.move(BPF_REG_2, kFrame);
  a.add_constant(BPF_REG_2, kIp + octets);
  a.pass_if_beyond(BPF_REG_2, kEnd);
}

void look_at_v4(Assembly& a) {
  constexpr int kHeader = 20;
  need(a, kHeader + 8);
  a.load(1, BPF_REG_3, kFrame, kIp);
  a.pass_unless_equal(BPF_REG_3, 0x45);  // options: the kernel's
  a.load(1, BPF_REG_3, kFrame, kIp + 9);
  a.pass_unless_equal(BPF_REG_3, 50);
  a.load(2, BPF_REG_3, kFrame, kIp + 6);
  a.pass_if_any(BPF_REG_3, htons(0x3fff));  // fragments: the kernel puts them together
  a.load(4, kSpi, kFrame, kIp + kHeader);
  a.store_constant(8, BPF_REG_10, kStackKey, 0);
  a.store_constant(4, BPF_REG_10, kStackKey + 8, static_cast<std::int32_t>(htonl(0xffff)));
  a.load(4, BPF_REG_3, kFrame, kIp + 16);
  a.store(4, BPF_REG_10, kStackKey + 12, BPF_REG_3);
}

void look_at_v6(Assembly& a) {
  constexpr int kHeader = 40;
  need(a, kHeader + 8);
  a.load(1, BPF_REG_3, kFrame, kIp + 6);
  a.pass_unless_equal(BPF_REG_3, 50);  // extension headers: the kernel's
  a.load(4, kSpi, kFrame, kIp + kHeader);
  for (std::int16_t i = 0; i < 16; i = static_cast<std::int16_t>(i + 4)) {
    a.load(4, BPF_REG_3, kFrame, static_cast<std::int16_t>(kIp + 24 + i));
    a.store(4, BPF_REG_10, static_cast<std::int16_t>(kStackKey + i), BPF_REG_3);
  }
}

std::string explain_attaching(int error) {
  if (error == EBUSY || error == EEXIST) {
    return "another program has the interface's XDP (ip link show says which: prog/xdp)";
  }
  if (error == EPERM) return "not permitted (root, or CAP_BPF and CAP_NET_ADMIN, are needed)";
  return errno_text(error);
}

}  // namespace

std::vector<bpf_insn> EspDiversion::instructions(const Interface& interface, std::uint32_t none_with,
                                                 std::uint32_t largest_frame, int addresses, int sockets) {
  Assembly a;
  a.move(kContext, BPF_REG_1);
  a.load(4, kFrame, kContext, offsetof(xdp_md, data));
  a.load(4, kEnd, kContext, offsetof(xdp_md, data_end));
  // Without CAP_PERFMON pointers may be compared, but not subtracted.
  a.move(BPF_REG_2, kFrame);
  a.add_constant(BPF_REG_2, static_cast<std::int32_t>(largest_frame) + 1);
  a.pass_unless_beyond(BPF_REG_2, kEnd);
  need(a, 0);
  std::uint32_t mac_front = 0;
  std::uint16_t mac_back = 0;
  std::memcpy(&mac_front, interface.mac.data(), 4);
  std::memcpy(&mac_back, interface.mac.data() + 4, 2);
  a.load(2, BPF_REG_4, kFrame, 12);
  a.load(4, BPF_REG_3, kFrame, 0);
  a.pass_unless_equal(BPF_REG_3, mac_front);
  a.load(2, BPF_REG_3, kFrame, 4);
  a.pass_unless_equal(BPF_REG_3, mac_back);
  const auto not_v4 = a.skip_unless_equal(BPF_REG_4, htons(0x0800));
  look_at_v4(a);
  const auto found = a.skip();
  a.land(not_v4);
  a.pass_unless_equal(BPF_REG_4, htons(0x86dd));
  look_at_v6(a);
  a.land(found);
  if (none_with != 0) a.pass_if_any(kSpi, htonl(none_with));
  a.load_map(BPF_REG_1, addresses);
  a.move(BPF_REG_2, BPF_REG_10);
  a.add_constant(BPF_REG_2, kStackKey);
  a.call(BPF_FUNC_map_lookup_elem);
  a.pass_if_null(BPF_REG_0);
  a.load_map(BPF_REG_1, sockets);
  a.load(4, BPF_REG_2, kContext, offsetof(xdp_md, rx_queue_index));
  a.move_constant(BPF_REG_3, XDP_PASS);  // without a socket for this queue
  a.call(BPF_FUNC_redirect_map);
  a.leave();
  return a.finish();
}

Result<EspDiversion> EspDiversion::attach(const Interface& interface, std::uint32_t none_with,
                                          std::uint32_t largest_frame) {
  EspDiversion out;
  auto addresses = make_map(BPF_MAP_TYPE_HASH, sizeof(Key), 1, kMostAddresses);
  if (!addresses) return std::unexpected(addresses.error());
  auto sockets = make_map(BPF_MAP_TYPE_XSKMAP, 4, 4, kMostQueues);
  if (!sockets) return std::unexpected(sockets.error());
  out.addresses_ = std::move(*addresses);
  out.sockets_ = std::move(*sockets);
  const auto code = instructions(interface, none_with, largest_frame, out.addresses_.get(), out.sockets_.get());
  constexpr std::string_view kLicense = "Apache-2.0";
  bpf_attr program{};
  program.prog_type = BPF_PROG_TYPE_XDP;
  program.insns = pointer(code.data());
  program.insn_cnt = static_cast<std::uint32_t>(code.size());
  program.license = pointer(kLicense.data());
  std::memcpy(program.prog_name, "cygnet_esp", sizeof "cygnet_esp");
  out.program_ = UniqueFd(bpf(BPF_PROG_LOAD, program));
  if (!out.program_) return fail_errno("cannot load the XDP program");
  bpf_attr link{};
  link.link_create.prog_fd = static_cast<std::uint32_t>(out.program_.get());
  link.link_create.target_ifindex = static_cast<std::uint32_t>(interface.index);
  link.link_create.attach_type = BPF_XDP;
  // In the generic place, behind the driver: every kind of interface has it, and attaching does not take the link down.
  link.link_create.flags = XDP_FLAGS_SKB_MODE;
  out.link_ = UniqueFd(bpf(BPF_LINK_CREATE, link));
  if (!out.link_) return fail("cannot attach the XDP program: " + explain_attaching(errno));
  return out;
}

Result<void> EspDiversion::set_addresses(const std::set<IpAddress>& addresses) {
  bpf_attr attributes{};
  attributes.map_fd = static_cast<std::uint32_t>(addresses_.get());
  for (const auto& gone : known_) {
    if (addresses.contains(gone)) continue;
    const auto key = key_of(gone);
    attributes.key = pointer(key.data());
    (void)bpf(BPF_MAP_DELETE_ELEM, attributes);
  }
  const std::uint8_t present = 1;
  for (const auto& address : addresses) {
    if (known_.contains(address)) continue;
    const auto key = key_of(address);
    attributes.key = pointer(key.data());
    attributes.value = pointer(&present);
    attributes.flags = BPF_ANY;
    if (bpf(BPF_MAP_UPDATE_ELEM, attributes) != 0) return fail_errno("cannot tell XDP this machine's addresses");
  }
  known_ = addresses;
  return {};
}

Result<void> EspDiversion::set_socket(std::uint32_t queue, int socket) {
  bpf_attr attributes{};
  attributes.map_fd = static_cast<std::uint32_t>(sockets_.get());
  attributes.key = pointer(&queue);
  attributes.value = pointer(&socket);
  attributes.flags = BPF_ANY;
  if (bpf(BPF_MAP_UPDATE_ELEM, attributes) != 0) return fail_errno("cannot give XDP its socket");
  return {};
}

}  // namespace cygnet::io
