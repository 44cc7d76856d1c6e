// SPDX-License-Identifier: Apache-2.0
// NETLINK_XFRM messages, octet for octet. The other side is the kernel's own header: its structures are filled in
// member by member and laid behind each other, as a program in C does.
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/udp.h>
#include <linux/xfrm.h>

#include <cstring>
#include <functional>

#include "wire/xfrm/layout.h"
#include "wire/xfrm/message.h"

namespace cygnet::wire::xfrm {
namespace {

// ---- a message as a program in C builds it
class Raw {
 public:
  explicit Raw(std::uint16_t type, std::uint16_t flags = NLM_F_REQUEST) {
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = flags;
    header.nlmsg_seq = 7;
    header.nlmsg_pid = 99;
    put(header);
  }
  template <typename T>
  Raw& put(const T& value) {
    return put(&value, sizeof value);
  }
  Raw& put(const void* value, std::size_t size) {
    const auto* from = static_cast<const std::uint8_t*>(value);
    octets_.insert(octets_.end(), from, from + size);
    octets_.resize(NLMSG_ALIGN(octets_.size()));
    return *this;
  }
  template <typename T>
  Raw& attribute(std::uint16_t type, const T& value) {
    return attribute(type, &value, sizeof value);
  }
  Raw& attribute(std::uint16_t type, const Bytes& value) { return attribute(type, value.data(), value.size()); }
  Raw& attribute(std::uint16_t type, const void* value, std::size_t size) {
    nlattr header{};
    header.nla_len = static_cast<std::uint16_t>(NLA_HDRLEN + size);
    header.nla_type = type;
    put(header);
    return put(value, size);
  }
  Bytes take() {
    const auto length = static_cast<std::uint32_t>(octets_.size());
    std::memcpy(octets_.data(), &length, sizeof length);
    return octets_;
  }

 private:
  Bytes octets_;
};

xfrm_address_t v4(std::uint32_t address) {
  xfrm_address_t out{};
  out.a4 = __builtin_bswap32(address);
  return out;
}

xfrm_selector raw_selector() {
  xfrm_selector sel{};
  sel.daddr = v4(0x0a020000);
  sel.saddr = v4(0x0a010000);
  sel.dport = __builtin_bswap16(443);
  sel.dport_mask = 0xffff;
  sel.family = 2;
  sel.prefixlen_d = 24;
  sel.prefixlen_s = 16;
  sel.proto = 6;
  sel.ifindex = 3;
  sel.user = 1000;
  return sel;
}

Selector selector() {
  Selector s;
  s.destination = Address::of(IpAddress::v4(0x0a020000));
  s.source = Address::of(IpAddress::v4(0x0a010000));
  s.destination_port = 443;
  s.destination_port_mask = 0xffff;
  s.family = kFamilyV4;
  s.destination_length = 24;
  s.source_length = 16;
  s.protocol = 6;
  s.interface_index = 3;
  s.user = 1000;
  return s;
}

xfrm_usersa_info raw_sa() {
  xfrm_usersa_info sa{};
  sa.sel = raw_selector();
  sa.id.daddr = v4(0xc0000202);
  sa.id.spi = __builtin_bswap32(0xc0ffee01);
  sa.id.proto = 50;
  sa.saddr = v4(0xc0000201);
  sa.lft = {.soft_byte_limit = 1,
            .hard_byte_limit = 2,
            .soft_packet_limit = 3,
            .hard_packet_limit = XFRM_INF,
            .soft_add_expires_seconds = 5,
            .hard_add_expires_seconds = 6,
            .soft_use_expires_seconds = 7,
            .hard_use_expires_seconds = 8};
  sa.curlft = {.bytes = 9, .packets = 10, .add_time = 11, .use_time = 12};
  sa.stats = {.replay_window = 13, .replay = 14, .integrity_failed = 15};
  sa.seq = 16;
  sa.reqid = 17;
  sa.family = 2;
  sa.mode = XFRM_MODE_TUNNEL;
  sa.replay_window = 32;
  sa.flags = XFRM_STATE_ESN | XFRM_STATE_NOECN;
  return sa;
}

SaInfo sa() {
  SaInfo info;
  info.selector = selector();
  info.id = {Address::of(IpAddress::v4(0xc0000202)), Spi(0xc0ffee01), kProtocolEsp};
  info.source = Address::of(IpAddress::v4(0xc0000201));
  info.limits = {1, 2, 3, kInfinite, 5, 6, 7, 8};
  info.current = {9, 10, 11, 12};
  info.errors = {13, 14, 15};
  info.sequence = 16;
  info.reqid = 17;
  info.family = kFamilyV4;
  info.mode = kTunnel;
  info.replay_window = 32;
  info.flags = kSaEsn | kSaNoEcn;
  return info;
}

// A structure of the kernel's that has no fixed end, and what is behind it.
template <typename T, typename Tail>
Bytes behind(const T& head, const Tail& tail) {
  Bytes out(sizeof head + sizeof tail);
  std::memcpy(out.data(), &head, sizeof head);
  std::memcpy(out.data() + sizeof head, &tail, sizeof tail);
  return out;
}

Bytes raw_aead() {
  xfrm_algo_aead head{};
  std::strcpy(head.alg_name, "rfc4106(gcm(aes))");
  head.alg_key_len = 160;
  head.alg_icv_len = 128;
  std::array<std::uint8_t, 20> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key.at(i) = static_cast<std::uint8_t>(i);
  return behind(head, key);
}

// What the kernel's octets say is what stands there, and is written again octet for octet.
Message both_ways(const Bytes& octets) {
  const auto parsed = Message::parse(octets);
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message);
  if (!parsed) return {};
  EXPECT_EQ(to_hex(parsed->serialize()), to_hex(octets));
  return *parsed;
}

TEST(Xfrm, NewSaWithItsAttributes) {
  const auto aead = raw_aead();
  xfrm_encap_tmpl encap{};
  encap.encap_type = 2;
  encap.encap_sport = __builtin_bswap16(4500);
  encap.encap_dport = __builtin_bswap16(61234);
  encap.encap_oa = v4(0x0a000001);
  const xfrm_replay_state_esn window{.bmp_len = 2, .oseq = 5, .seq = 6, .oseq_hi = 1, .seq_hi = 2, .replay_window = 64};
  const auto esn = behind(window, std::array<std::uint32_t, 2>{0xdeadbeef, 1});
  const xfrm_mark mark{.v = 0x10, .m = 0xff};
  xfrm_user_offload offload{};
  offload.ifindex = 4;
  offload.flags = 6;
  const auto octets = Raw(XFRM_MSG_NEWSA, NLM_F_REQUEST | NLM_F_ACK)
                          .put(raw_sa())
                          .attribute(XFRMA_ALG_AEAD, aead)
                          .attribute(XFRMA_ENCAP, encap)
                          .attribute(XFRMA_REPLAY_ESN_VAL, esn)
                          .attribute(XFRMA_MARK, mark)
                          .attribute(XFRMA_TFCPAD, std::uint32_t{1400})
                          .attribute(XFRMA_SA_EXTRA_FLAGS, std::uint32_t{XFRM_SA_XFLAG_OSEQ_MAY_WRAP})
                          .attribute(XFRMA_OFFLOAD_DEV, offload)
                          .attribute(XFRMA_SET_MARK, std::uint32_t{0x43590000})
                          .attribute(XFRMA_SET_MARK_MASK, std::uint32_t{0xffff0000})
                          .attribute(XFRMA_IF_ID, std::uint32_t{42})
                          .take();
  const auto message = both_ways(octets);
  EXPECT_EQ(message.header, (Header{MessageType::kNewSa, kRequest | kAck, 7, 99}));
  EXPECT_EQ(std::get<SaInfo>(message.body), sa());
  const auto& a = message.attributes;
  ASSERT_TRUE(a.aead && a.encapsulation && a.replay_esn);
  EXPECT_EQ(a.aead->name, "rfc4106(gcm(aes))");
  EXPECT_EQ(to_hex(a.aead->key), "000102030405060708090a0b0c0d0e0f10111213");
  EXPECT_EQ(a.aead->tag_bits, 128U);
  EXPECT_EQ(*a.encapsulation, (Encapsulation{kEspInUdp, 4500, 61234, Address::of(IpAddress::v4(0x0a000001))}));
  EXPECT_EQ(*a.replay_esn, (ReplayStateEsn{0x1'0000'0005, 0x2'0000'0006, 64, {0xdeadbeef, 1}}));
  EXPECT_EQ(a.mark, (Mark{0x10, 0xff}));
  EXPECT_EQ(a.tfc_pad, 1400U);
  EXPECT_EQ(a.extra_flags, kExtraSequenceMayWrap);
  EXPECT_EQ(a.offload, (Offload{4, kOffloadInbound | kOffloadPacket}));
  EXPECT_EQ(a.set_mark, 0x43590000U);
  EXPECT_EQ(a.set_mark_mask, 0xffff0000U);
  EXPECT_EQ(a.interface_id, 42U);
}

TEST(Xfrm, KeysOfEncryptionAndIntegrity) {
  xfrm_algo_auth auth{};
  std::strcpy(auth.alg_name, "hmac(sha256)");
  auth.alg_key_len = 24;
  auth.alg_trunc_len = 128;
  xfrm_algo crypt{};
  std::strcpy(crypt.alg_name, "cbc(aes)");
  crypt.alg_key_len = 32;
  const auto message =
      both_ways(Raw(XFRM_MSG_UPDSA)
                    .put(raw_sa())
                    .attribute(XFRMA_ALG_AUTH_TRUNC, behind(auth, std::array<std::uint8_t, 3>{1, 2, 3}))
                    .attribute(XFRMA_ALG_CRYPT, behind(crypt, std::array<std::uint8_t, 4>{9, 8, 7, 6}))
                    .take());
  EXPECT_EQ(message.attributes.auth_truncated, (Algorithm{"hmac(sha256)", {1, 2, 3}, 128}));
  EXPECT_EQ(message.attributes.crypt, (Algorithm{"cbc(aes)", {9, 8, 7, 6}, 0}));
}

TEST(Xfrm, PolicyWithTemplates) {
  xfrm_userpolicy_info policy{};
  policy.sel = raw_selector();
  policy.priority = 375423;
  policy.index = 9;
  policy.dir = XFRM_POLICY_FWD;
  policy.action = XFRM_POLICY_BLOCK;
  policy.flags = XFRM_POLICY_ICMP;
  xfrm_user_tmpl entry{};
  entry.id.daddr = v4(0xc0000202);
  entry.id.proto = 50;
  entry.family = 2;
  entry.saddr = v4(0xc0000201);
  entry.reqid = 5;
  entry.mode = XFRM_MODE_BEET;
  entry.optional = 1;
  entry.aalgos = entry.ealgos = entry.calgos = ~0U;
  const std::array<xfrm_user_tmpl, 2> templates{entry, entry};
  xfrm_userpolicy_type type{};
  type.type = XFRM_POLICY_TYPE_SUB;
  const auto message = both_ways(Raw(XFRM_MSG_NEWPOLICY, NLM_F_REQUEST | NLM_F_CREATE)
                                     .put(policy)
                                     .attribute(XFRMA_TMPL, templates)
                                     .attribute(XFRMA_POLICY_TYPE, type)
                                     .take());
  const auto& info = std::get<PolicyInfo>(message.body);
  EXPECT_EQ(info.selector, selector());
  EXPECT_EQ(info.priority, 375423U);
  EXPECT_EQ(info.index, 9U);
  EXPECT_EQ(info.direction, kForward);
  EXPECT_EQ(info.action, kBlock);
  EXPECT_EQ(info.flags, kPolicyIcmp);
  ASSERT_EQ(message.attributes.templates->size(), 2U);
  Template expected;
  expected.id = {Address::of(IpAddress::v4(0xc0000202)), Spi(0), kProtocolEsp};
  expected.family = kFamilyV4;
  expected.source = Address::of(IpAddress::v4(0xc0000201));
  expected.reqid = 5;
  expected.mode = kBeet;
  expected.optional = true;
  EXPECT_EQ(message.attributes.templates->at(1), expected);
  EXPECT_EQ(message.attributes.policy_type, kSub);
}

TEST(Xfrm, IdentifiersRangesAndFlushes) {
  xfrm_usersa_id id{};
  id.daddr = v4(0xc0000202);
  id.spi = __builtin_bswap32(0x01020304);
  id.family = 2;
  id.proto = 51;
  const auto source = v4(0xc0000201);
  const auto deleted = both_ways(Raw(XFRM_MSG_DELSA).put(id).attribute(XFRMA_SRCADDR, source).take());
  EXPECT_EQ(std::get<SaId>(deleted.body),
            (SaId{Address::of(IpAddress::v4(0xc0000202)), Spi(0x01020304), kFamilyV4, kProtocolAh}));
  EXPECT_EQ(deleted.attributes.source_address->as(kFamilyV4), IpAddress::v4(0xc0000201));

  xfrm_userspi_info range{};
  range.info = raw_sa();
  range.min = 0xc0000000;
  range.max = 0xcfffffff;
  const auto asked = std::get<SpiRange>(both_ways(Raw(XFRM_MSG_ALLOCSPI).put(range).take()).body);
  EXPECT_EQ(asked, (SpiRange{sa(), 0xc0000000, 0xcfffffff}));

  xfrm_userpolicy_id policy{};
  policy.sel = raw_selector();
  policy.index = 77;
  policy.dir = XFRM_POLICY_OUT;
  for (const int type : {XFRM_MSG_DELPOLICY, XFRM_MSG_GETPOLICY}) {
    const auto message = both_ways(Raw(static_cast<std::uint16_t>(type)).put(policy).take());
    EXPECT_EQ(std::get<PolicyId>(message.body), (PolicyId{selector(), 77, kOut}));
  }
  const xfrm_usersa_flush flush{.proto = 255};
  EXPECT_EQ(std::get<SaFlush>(both_ways(Raw(XFRM_MSG_FLUSHSA).put(flush).take()).body), SaFlush{});
  EXPECT_TRUE(std::holds_alternative<Nothing>(both_ways(Raw(XFRM_MSG_FLUSHPOLICY).take()).body));
}

TEST(Xfrm, WhatTheKernelTells) {
  xfrm_user_acquire acquire{};
  acquire.id.daddr = v4(0xc0000202);
  acquire.id.proto = 50;
  acquire.saddr = v4(0xc0000201);
  acquire.sel = raw_selector();
  acquire.policy.sel = raw_selector();
  acquire.policy.index = 25;
  acquire.policy.dir = XFRM_POLICY_OUT;
  acquire.aalgos = 1;
  acquire.seq = 4711;
  const auto asked = std::get<Acquire>(both_ways(Raw(XFRM_MSG_ACQUIRE, 0).put(acquire).take()).body);
  EXPECT_EQ(asked.sequence, 4711U);
  EXPECT_EQ(asked.policy.index, 25U);
  EXPECT_EQ(asked.selector, selector());
  EXPECT_EQ(asked.auth_algorithms, 1U);

  xfrm_user_expire expire{};
  expire.state = raw_sa();
  expire.hard = 1;
  EXPECT_EQ(std::get<SaExpire>(both_ways(Raw(XFRM_MSG_EXPIRE, 0).put(expire).take()).body), (SaExpire{sa(), true}));

  xfrm_user_mapping mapping{};
  mapping.id.spi = __builtin_bswap32(5);
  mapping.id.family = 2;
  mapping.id.proto = 50;
  mapping.reqid = 3;
  mapping.old_saddr = v4(1);
  mapping.new_saddr = v4(2);
  mapping.old_sport = __builtin_bswap16(4500);
  mapping.new_sport = __builtin_bswap16(1024);
  const auto moved = std::get<Mapping>(both_ways(Raw(XFRM_MSG_MAPPING, 0).put(mapping).take()).body);
  EXPECT_EQ(moved.id.spi, Spi(5));
  EXPECT_EQ(moved.new_source.as(kFamilyV4), IpAddress::v4(2));
  EXPECT_EQ(moved.old_port, 4500);
  EXPECT_EQ(moved.new_port, 1024);

  xfrm_aevent_id aevent{};
  aevent.sa_id.family = 2;
  aevent.flags = XFRM_AE_CE;
  const xfrm_lifetime_cur used{.bytes = 1, .packets = 2, .add_time = 3, .use_time = 4};
  const auto event = both_ways(Raw(XFRM_MSG_NEWAE, 0).put(aevent).attribute(XFRMA_LTIME_VAL, used).take());
  EXPECT_EQ(std::get<AeventId>(event.body).flags, kAeTimerExpiry);
  EXPECT_EQ(event.attributes.lifetime, (LifetimeCurrent{1, 2, 3, 4}));

  xfrm_user_report report{};
  report.proto = 60;
  report.sel = raw_selector();
  EXPECT_EQ(std::get<Report>(both_ways(Raw(XFRM_MSG_REPORT, 0).put(report).take()).body), (Report{60, selector()}));
}

TEST(Xfrm, MigrateWithItsAddresses) {
  xfrm_userpolicy_id policy{};
  policy.sel = raw_selector();
  policy.dir = XFRM_POLICY_OUT;
  xfrm_user_migrate entry{};
  entry.old_daddr = v4(1);
  entry.old_saddr = v4(2);
  entry.new_daddr = v4(3);
  entry.new_saddr = v4(4);
  entry.proto = 50;
  entry.mode = XFRM_MODE_TUNNEL;
  entry.reqid = 6;
  entry.old_family = entry.new_family = 2;
  xfrm_user_kmaddress km{};
  km.local = v4(4);
  km.remote = v4(3);
  km.family = 2;
  const auto message = both_ways(
      Raw(XFRM_MSG_MIGRATE).put(policy).attribute(XFRMA_MIGRATE, entry).attribute(XFRMA_KMADDRESS, km).take());
  const auto at = [](std::uint32_t a) { return Address::of(IpAddress::v4(a)); };
  EXPECT_EQ(message.attributes.migrations,
            (std::vector<Migration>{{at(1), at(2), at(3), at(4), kProtocolEsp, kTunnel, 6, kFamilyV4, kFamilyV4}}));
  EXPECT_EQ(message.attributes.km_address, (KmAddress{at(4), at(3), kFamilyV4}));
}

TEST(Xfrm, NumbersOfTheDatabases) {
  const xfrmu_sadhinfo buckets{.sadhcnt = 8, .sadhmcnt = 1024};
  const auto sad = both_ways(Raw(XFRM_MSG_NEWSADINFO, 0)
                                 .put(std::uint32_t{0})
                                 .attribute(XFRMA_SAD_CNT, std::uint32_t{3})
                                 .attribute(XFRMA_SAD_HINFO, buckets)
                                 .take());
  EXPECT_EQ(std::get<SadInfo>(sad.body), (SadInfo{0, 3, SadBuckets{8, 1024}}));
  const xfrmu_spdinfo counts{.incnt = 1, .outcnt = 2, .fwdcnt = 3, .inscnt = 4, .outscnt = 5, .fwdscnt = 6};
  const xfrmu_spdhthresh threshold{.lbits = 32, .rbits = 24};
  const auto spd = both_ways(Raw(XFRM_MSG_NEWSPDINFO, 0)
                                 .put(std::uint32_t{0})
                                 .attribute(XFRMA_SPD_INFO, counts)
                                 .attribute(XFRMA_SPD_IPV4_HTHRESH, threshold)
                                 .take());
  EXPECT_EQ(std::get<SpdInfo>(spd.body).counts, (SpdCounts{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(std::get<SpdInfo>(spd.body).hash_v4, (SpdThresholds{32, 24}));
}

TEST(Xfrm, DumpsAreAskedWithAttributesAlone) {
  xfrm_address_filter filter{};
  filter.saddr = v4(0x0a000000);
  filter.family = 2;
  filter.splen = 8;
  const auto asked = both_ways(Raw(XFRM_MSG_GETSA, NLM_F_REQUEST | NLM_F_DUMP)
                                   .attribute(XFRMA_PROTO, std::uint8_t{50})
                                   .attribute(XFRMA_ADDRESS_FILTER, filter)
                                   .take());
  EXPECT_TRUE(std::holds_alternative<Nothing>(asked.body));
  EXPECT_EQ(asked.attributes.protocol, 50);
  EXPECT_EQ(asked.attributes.address_filter->source_length, 8);
  // With the structure of a single one in front, as some programs have it.
  const auto padded = Message::parse(Raw(XFRM_MSG_GETSA, NLM_F_REQUEST | NLM_F_DUMP).put(xfrm_usersa_id{}).take());
  ASSERT_TRUE(padded);
  EXPECT_TRUE(std::holds_alternative<Nothing>(padded->body));
  for (const std::size_t octets : {1U, 4U, 16U}) {
    // struct rtgenmsg and struct ifinfomsg, with an attribute behind it; and one bit of NLM_F_DUMP is enough.
    Bytes front(octets);
    front[0] = 10;
    const auto other = Message::parse(Raw(XFRM_MSG_GETPOLICY, NLM_F_REQUEST | NLM_F_ROOT)
                                          .put(front.data(), front.size())
                                          .attribute(XFRMA_PROTO, std::uint8_t{50})
                                          .take());
    ASSERT_TRUE(other) << octets << other.error().message;
    EXPECT_EQ(other->attributes.protocol, 50) << octets;
    EXPECT_TRUE(Message::parse(Raw(XFRM_MSG_GETPOLICY, NLM_F_REQUEST | NLM_F_DUMP).put(front.data(), octets).take()));
  }
}

TEST(Xfrm, ErrorsCarryTheirRequestAndASentence) {
  nlmsgerr error{};
  error.error = -17;
  error.msg.nlmsg_len = 240;
  error.msg.nlmsg_type = XFRM_MSG_NEWSA;
  error.msg.nlmsg_seq = 12;
  const char text[] = "Invalid mode";
  const auto capped = both_ways([&] {
    auto octets = Raw(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS).put(error).attribute(NLMSGERR_ATTR_MSG, text).take();
    constexpr std::size_t kRequestLengthAt = 20;
    octets[kRequestLengthAt] = kHeaderOctets;  // what is written says how much of the request is there
    return octets;
  }());
  const auto& reply = std::get<ErrorReply>(capped.body);
  EXPECT_EQ(reply.error, -17);
  EXPECT_EQ(reply.request.type, MessageType::kNewSa);
  EXPECT_EQ(reply.request.sequence, 12U);
  EXPECT_EQ(reply.text, "Invalid mode");
  // With the whole request in front of the sentence.
  const auto whole = Message::parse(
      Raw(NLMSG_ERROR, NLM_F_ACK_TLVS).put(error).put(raw_sa()).attribute(NLMSGERR_ATTR_MSG, text).take());
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(std::get<ErrorReply>(whole->body).text, "Invalid mode");
  // Done, as a dump ends.
  EXPECT_EQ(std::get<DoneReply>(both_ways(Raw(NLMSG_DONE, NLM_F_MULTI).put(std::int32_t{0}).take()).body).error, 0);
}

TEST(Xfrm, NewerAttributesAndUnknownOnes) {
  const auto message = Message::parse(Raw(XFRM_MSG_NEWSA)
                                          .put(raw_sa())
                                          .attribute(33, std::uint8_t{2})
                                          .attribute(35, std::uint32_t{1})
                                          .attribute(37, std::uint16_t{8})
                                          .attribute(38, nullptr, 0)
                                          .attribute(41, std::uint32_t{1400})
                                          .attribute(99, std::uint32_t{1})
                                          .take());
  ASSERT_TRUE(message);
  EXPECT_EQ(message->attributes.direction, kSaOut);
  EXPECT_EQ(message->attributes.cpu, 1U);
  EXPECT_EQ(message->attributes.iptfs_reorder_window, 8);
  EXPECT_TRUE(message->attributes.iptfs_dont_fragment);
  EXPECT_EQ(message->attributes.iptfs_packet_size, 1400U);
  EXPECT_EQ(message->attributes.unknown, (std::vector<std::uint16_t>{99}));
  auto back = Message::parse(message->serialize());
  ASSERT_TRUE(back);
  back->attributes.unknown = {99};
  EXPECT_EQ(*back, *message);
}

TEST(Xfrm, SeveralInOneDatagram) {
  auto both = Raw(XFRM_MSG_FLUSHPOLICY).take();
  const auto second = Raw(XFRM_MSG_NEWSA).put(raw_sa()).take();
  append(both, second);
  const auto messages = split_messages(both);
  ASSERT_TRUE(messages);
  ASSERT_EQ(messages->size(), 2U);
  EXPECT_EQ(to_hex((*messages)[1]), to_hex(second));
}

// ---- refusals
Refusal why(const Bytes& octets) {
  const auto parsed = Message::parse(octets);
  EXPECT_FALSE(parsed);
  return parsed ? Refusal::kCount : parsed.error().why;
}

Bytes with_sa(const std::function<void(xfrm_usersa_info&)>& change) {
  auto info = raw_sa();
  change(info);
  return Raw(XFRM_MSG_NEWSA).put(info).take();
}

TEST(Xfrm, RefusesWhatContradictsItself) {
  EXPECT_EQ(why({}), Refusal::kTruncated);
  EXPECT_EQ(why(Bytes(15)), Refusal::kTruncated);
  auto longer = Raw(XFRM_MSG_FLUSHPOLICY).take();
  longer[0] = 17;
  EXPECT_EQ(why(longer), Refusal::kBadLength);
  EXPECT_EQ(why(Raw(0x2a).take()), Refusal::kUnknownType);
  EXPECT_EQ(why(Raw(XFRM_MSG_NEWSA).put(xfrm_usersa_id{}).take()), Refusal::kTruncated);
  EXPECT_EQ(why(with_sa([](auto& sa) { sa.family = 3; })), Refusal::kBadFamily);
  EXPECT_EQ(why(with_sa([](auto& sa) { sa.sel.prefixlen_s = 33; })), Refusal::kBadFamily);
  EXPECT_EQ(why(with_sa([](auto& sa) { sa.mode = 6; })), Refusal::kBadValue);
  xfrm_userpolicy_id policy{};
  policy.dir = 3;
  EXPECT_EQ(why(Raw(XFRM_MSG_DELPOLICY).put(policy).take()), Refusal::kBadValue);
  xfrm_userpolicy_info info{};
  info.action = 2;
  EXPECT_EQ(why(Raw(XFRM_MSG_NEWPOLICY).put(info).take()), Refusal::kBadValue);
}

Bytes with_attribute(std::uint16_t type, const Bytes& value) {
  return Raw(XFRM_MSG_NEWSA).put(raw_sa()).attribute(type, value).take();
}

TEST(Xfrm, RefusesBadAttributes) {
  EXPECT_EQ(why(with_attribute(XFRMA_IF_ID, Bytes(3))), Refusal::kBadAttribute);
  EXPECT_EQ(why(with_attribute(XFRMA_TMPL, Bytes(65))), Refusal::kBadAttribute);
  EXPECT_EQ(why(with_attribute(XFRMA_TMPL, Bytes(7 * 64))), Refusal::kBadAttribute);
  EXPECT_EQ(why(with_attribute(XFRMA_ALG_CRYPT, Bytes(67))), Refusal::kBadAttribute);
  EXPECT_EQ(why(with_attribute(XFRMA_ALG_CRYPT, Bytes(100, 'a'))), Refusal::kBadAttribute);  // a name without end
  Bytes key(68);
  key[64] = 8;
  EXPECT_EQ(why(with_attribute(XFRMA_ALG_CRYPT, key)), Refusal::kBadAttribute);  // a key that is not there
  key.resize(70);
  key[64] = 9;
  EXPECT_EQ(why(with_attribute(XFRMA_ALG_CRYPT, key)), Refusal::kBadAttribute);  // nine bits
  Bytes esn(24);
  esn[0] = 129;
  EXPECT_EQ(why(with_attribute(XFRMA_REPLAY_ESN_VAL, esn)), Refusal::kBadAttribute);
  esn[0] = 1;
  EXPECT_TRUE(Message::parse(with_attribute(XFRMA_REPLAY_ESN_VAL, esn)));  // as `ip xfrm` sends it: no bits at all
  esn.resize(26);
  EXPECT_EQ(why(with_attribute(XFRMA_REPLAY_ESN_VAL, esn)), Refusal::kBadAttribute);
  esn.resize(28);
  esn[20] = 33;  // a window larger than its bitmap
  EXPECT_EQ(why(with_attribute(XFRMA_REPLAY_ESN_VAL, esn)), Refusal::kBadAttribute);
  const auto anew = Raw(XFRM_MSG_NEWSA)
                        .put(raw_sa())
                        .attribute(XFRMA_REPLAY_VAL, xfrm_replay_state{7, 8, 9})
                        .attribute(XFRMA_REPLAY_VAL, xfrm_replay_state{10, 11, 12})
                        .take();
  EXPECT_EQ(Message::parse(anew)->attributes.replay, (ReplayState{10, 11, 12}));
  const auto twice = Raw(XFRM_MSG_NEWSA)
                         .put(raw_sa())
                         .attribute(XFRMA_IF_ID, std::uint32_t{1})
                         .attribute(XFRMA_IF_ID, std::uint32_t{2})
                         .take();
  EXPECT_EQ(why(twice), Refusal::kDuplicateAttribute);
  auto cut = with_attribute(XFRMA_IF_ID, Bytes(4));
  cut[NLMSG_HDRLEN + sizeof(xfrm_usersa_info)] = 9;
  EXPECT_EQ(why(cut), Refusal::kBadLength);
}

TEST(Xfrm, NoPrefixOfAMessageIsTaken) {
  const auto aead = raw_aead();
  const auto whole = Raw(XFRM_MSG_NEWSA).put(raw_sa()).attribute(XFRMA_ALG_AEAD, aead).take();
  for (std::size_t octets = 0; octets < whole.size(); ++octets) {
    Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(octets));
    EXPECT_FALSE(Message::parse(cut)) << octets;
  }
}

}  // namespace
}  // namespace cygnet::wire::xfrm
