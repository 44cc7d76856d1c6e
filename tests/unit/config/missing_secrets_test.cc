// SPDX-License-Identifier: Apache-2.0
// authby=secret without a line that fits is told when the configuration is read.
#include "config/missing_secrets.h"

#include <gtest/gtest.h>

#include "config_test_support.h"

namespace cygnet::config {
namespace {

constexpr auto kConf = R"(conn office
  left=192.0.2.1
  leftid=@hub.test
  right=198.51.100.1
  rightid=@branch.test
  authby=secret
  auto=add
)";

std::string warned(const std::string& conf, const std::string& secrets) {
  MemoryFiles files({{"ipsec.conf", conf}, {"ipsec.secrets", secrets}});
  const auto loaded = load_ipsec_conf("ipsec.conf", files);
  EXPECT_TRUE(loaded.ok()) << to_string(loaded.diagnostics);
  return to_string(missing_secrets(loaded, load_ipsec_secrets("ipsec.secrets", files)));
}

TEST(MissingSecrets, ALineForAnotherPairDoesNotFit) {
  const auto text = warned(kConf, "@hub.test @other.test : PSK \"x\"\n");
  EXPECT_NE(text.find("ipsec.conf:1: warning: conn office: no pre-shared key fits 'hub.test' and 'branch.test'"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("hub.test branch.test : PSK"), std::string::npos) << text;
}

TEST(MissingSecrets, WhatFitsIsNotWarnedOf) {
  for (const auto* line : {"@hub.test @branch.test : PSK \"x\"\n", "@BRANCH.test @hub.test : PSK \"x\"\n",
                           "192.0.2.1 198.51.100.1 : PSK \"x\"\n", "@hub.test : PSK \"x\"\n",
                           "%any @hub.test : PSK \"x\"\n", ": PSK \"x\"\n"}) {
    EXPECT_EQ(warned(kConf, line), "") << line;
  }
}

TEST(MissingSecrets, AnEndThatIsNotKnownYetIsNotJudged) {
  std::string conf = kConf;
  conf.replace(conf.find("192.0.2.1"), 9, "%defaultroute");
  EXPECT_EQ(warned(conf, "@a.test @b.test : PSK \"x\"\n"), "");
}

TEST(MissingSecrets, TenAreNamed) {
  std::string conf;
  for (int i = 0; i < 14; ++i) {
    conf += "conn c" + std::to_string(i) + "\n  left=192.0.2.1\n  right=198.51.100." + std::to_string(i + 1) +
            "\n  authby=secret\n  auto=add\n";
  }
  const auto text = warned(conf, "");
  EXPECT_NE(text.find("conn c9:"), std::string::npos) << text;
  EXPECT_EQ(text.find("conn c10:"), std::string::npos) << text;
  EXPECT_NE(text.find("of 4 more connections"), std::string::npos) << text;
}

}  // namespace
}  // namespace cygnet::config
