// SPDX-License-Identifier: Apache-2.0
#include "unit/config/config_test_support.h"

namespace cygnet::config {
namespace {

TEST(DietWords, AllOfThem) {
  EXPECT_EQ(load_one("mtu=1400").children[0].diet, model::DietEsp{});
  EXPECT_EQ(load_one("diet-esp=no").children[0].diet, model::DietEsp{});
  EXPECT_EQ(load_one("diet-esp=yes").children[0].diet, (model::DietEsp{.enabled = true, .sn_octets = 2}));
  for (const int bits : {8, 16, 24, 32}) {
    const auto diet = load_one("diet-esp=yes\n\tdiet-esp-sn-lsb=" + std::to_string(bits)).children[0].diet;
    EXPECT_EQ(diet.sn_octets, bits / 8);
  }
}

TEST(DietWords, WhatTheyAreNot) {
  EXPECT_EQ(faults_of("diet-esp=perhaps"), "7:11: error: 'perhaps' is no value of diet-esp=\n");
  for (const auto* bits : {"0", "7", "12", "33", "-8", "sixteen"}) {
    EXPECT_NE(faults_of(std::string("diet-esp-sn-lsb=") + bits), "") << bits;
  }
}

TEST(DietWords, WhatContradictsThem) {
  EXPECT_NE(faults_of("diet-esp-sn-lsb=8").find("warning: diet-esp-sn-lsb= says nothing without diet-esp=yes"),
            std::string::npos);
  EXPECT_NE(faults_of("diet-esp=yes\n\ttype=transport").find("is built for ESP in tunnels"), std::string::npos);
  EXPECT_NE(faults_of("diet-esp=yes\n\tah=sha256").find("is built for ESP in tunnels"), std::string::npos);
  for (const auto* other : {"compress=yes", "iptfs=yes", "tfc=1000"}) {
    EXPECT_NE(faults_of(std::string("diet-esp=yes\n\t") + other).find("takes no compress="), std::string::npos)
        << other;
  }
}

}  // namespace
}  // namespace cygnet::config
