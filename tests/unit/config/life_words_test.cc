// SPDX-License-Identifier: Apache-2.0
// Words about how long things live and what happens when they do not.
#include "unit/config/config_test_support.h"

namespace cygnet::config {
namespace {

TEST(LifeWords, Reauth) {
  EXPECT_FALSE(load_one("mtu=1400").reauth);
  EXPECT_TRUE(load_one("reauth=yes").reauth);
  EXPECT_FALSE(load_one("reauth=no").reauth);
  EXPECT_EQ(faults_of("reauth=perhaps"), "7:9: error: 'perhaps' is no value of reauth=\n");
}

}  // namespace
}  // namespace cygnet::config
