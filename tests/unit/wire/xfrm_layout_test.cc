// SPDX-License-Identifier: Apache-2.0
// Numbers, names and sizes of NETLINK_XFRM: those of the kernel's own header.
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/udp.h>
#include <linux/xfrm.h>

#include "wire/xfrm/layout.h"
#include "wire/xfrm/message.h"

namespace cygnet::wire::xfrm {
namespace {

static_assert(static_cast<int>(MessageType::kNewSa) == XFRM_MSG_NEWSA);
static_assert(static_cast<int>(MessageType::kGetDefault) == XFRM_MSG_GETDEFAULT);
static_assert(static_cast<int>(MessageType::kMapping) == XFRM_MSG_MAPPING);
static_assert(static_cast<int>(MessageType::kError) == NLMSG_ERROR);
static_assert(static_cast<int>(AttributeType::kInterfaceId) == XFRMA_IF_ID);
static_assert(static_cast<int>(AttributeType::kReplayEsn) == XFRMA_REPLAY_ESN_VAL);
static_assert(static_cast<int>(AttributeType::kMappingThreshold) == XFRMA_MTIMER_THRESH);
static_assert(static_cast<int>(Group::kLast) == XFRMNLGRP_MAX);
static_assert(kDump == NLM_F_DUMP && kCapped == NLM_F_CAPPED && kAckAttributes == NLM_F_ACK_TLVS);
static_assert(kEspInUdp == UDP_ENCAP_ESPINUDP);
static_assert(kMostBitmapWords * 4 * 8 == XFRMA_REPLAY_ESN_MAX);

TEST(XfrmLayout, StructuresHaveTheKernelsSizes) {
  EXPECT_EQ(octets_of<Selector>(), sizeof(xfrm_selector));
  EXPECT_EQ(octets_of<SaInfo>(), sizeof(xfrm_usersa_info));
  EXPECT_EQ(octets_of<SaId>(), sizeof(xfrm_usersa_id));
  EXPECT_EQ(octets_of<SpiRange>(), sizeof(xfrm_userspi_info));
  EXPECT_EQ(octets_of<AeventId>(), sizeof(xfrm_aevent_id));
  EXPECT_EQ(octets_of<PolicyInfo>(), sizeof(xfrm_userpolicy_info));
  EXPECT_EQ(octets_of<PolicyId>(), sizeof(xfrm_userpolicy_id));
  EXPECT_EQ(octets_of<Acquire>(), sizeof(xfrm_user_acquire));
  EXPECT_EQ(octets_of<SaExpire>(), sizeof(xfrm_user_expire));
  EXPECT_EQ(octets_of<PolicyExpire>(), sizeof(xfrm_user_polexpire));
  EXPECT_EQ(octets_of<SaFlush>(), sizeof(xfrm_usersa_flush));
  EXPECT_EQ(octets_of<Report>(), sizeof(xfrm_user_report));
  EXPECT_EQ(octets_of<Mapping>(), sizeof(xfrm_user_mapping));
  EXPECT_EQ(octets_of<PolicyDefaults>(), sizeof(xfrm_userpolicy_default));
  EXPECT_EQ(octets_of<Template>(), sizeof(xfrm_user_tmpl));
  EXPECT_EQ(octets_of<Encapsulation>(), sizeof(xfrm_encap_tmpl));
  EXPECT_EQ(octets_of<ReplayState>(), sizeof(xfrm_replay_state));
  EXPECT_EQ(octets_of<Migration>(), sizeof(xfrm_user_migrate));
  EXPECT_EQ(octets_of<KmAddress>(), sizeof(xfrm_user_kmaddress));
  EXPECT_EQ(octets_of<Mark>(), sizeof(xfrm_mark));
  EXPECT_EQ(octets_of<AddressFilter>(), sizeof(xfrm_address_filter));
  EXPECT_EQ(octets_of<Offload>(), sizeof(xfrm_user_offload));
  EXPECT_EQ(octets_of<SaMove>(), 132U);  // newer than many machines' headers
}

TEST(XfrmLayout, Names) {
  EXPECT_EQ(name_of(MessageType::kNewSa), "NEWSA");
  EXPECT_EQ(name_of(MessageType::kGetDefault), "GETDEFAULT");
  EXPECT_EQ(name_of(MessageType::kDone), "DONE");
  EXPECT_EQ(name_of(MessageType{77}), "message type 77");
  EXPECT_EQ(name_of(AttributeType::kIptfsPacketSize), "IPTFS_PKT_SIZE");
  EXPECT_EQ(name_of(AttributeType::kInterfaceId), "IF_ID");
  EXPECT_EQ(name_of(AttributeType{77}), "attribute 77");
  EXPECT_EQ(name_of(Refusal::kBadFamily), "bad-family");
}

}  // namespace
}  // namespace cygnet::wire::xfrm
