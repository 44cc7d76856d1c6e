// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "wire/xfrm/constants.h"
#include "wire/xfrm/refusal.h"

namespace cygnet::wire::xfrm {
namespace {

TEST(XfrmNames, AreTheKernels) {
  EXPECT_EQ(name_of(MessageType::kNewSa), "NEWSA");
  EXPECT_EQ(name_of(MessageType::kGetDefault), "GETDEFAULT");
  EXPECT_EQ(name_of(MessageType::kMigrateState), "MIGRATE_STATE");
  EXPECT_EQ(name_of(MessageType::kDone), "DONE");
  EXPECT_EQ(name_of(MessageType{77}), "message type 77");
  EXPECT_EQ(name_of(AttributeType::kIptfsPacketSize), "IPTFS_PKT_SIZE");
  EXPECT_EQ(name_of(AttributeType::kInterfaceId), "IF_ID");
  EXPECT_EQ(name_of(AttributeType{77}), "attribute 77");
  EXPECT_EQ(name_of(Refusal::kBadFamily), "bad-family");
}

}  // namespace
}  // namespace cygnet::wire::xfrm
