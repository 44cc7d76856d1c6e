// SPDX-License-Identifier: Apache-2.0
#include "unit/config/config_test_support.h"

namespace cygnet::config {
namespace {

TEST(IpTfsWords, AllOfThem) {
  EXPECT_EQ(load_one("mtu=1400").children[0].iptfs, model::IpTfs{});
  EXPECT_EQ(load_one("iptfs=no").children[0].iptfs, model::IpTfs{});
  EXPECT_EQ(load_one("iptfs=yes").children[0].iptfs, model::IpTfs{.enabled = true});
  const auto all = load_one(
      "iptfs=require\n\tiptfs-fragmentation=no\n\tiptfs-packet-size=1200\n\tiptfs-max-queue-size=128k\n\t"
      "iptfs-init-delay=2ms\n\tiptfs-drop-time=1.5\n\tiptfs-reorder-window=16\n\tiptfs-rate=1.5M\n\t"
      "iptfs-congestion-control=yes");
  EXPECT_EQ(all.children[0].iptfs, (model::IpTfs{.enabled = true,
                                                 .fragment = false,
                                                 .packet_octets = 1200,
                                                 .bits_per_s = 1'500'000,
                                                 .max_queue_octets = 131072,
                                                 .init_delay_us = 2000,
                                                 .reorder_window = 16,
                                                 .drop_time_us = 1'500'000,
                                                 .required = true,
                                                 .congestion_control = true}));
  EXPECT_EQ(load_one("iptfs=yes\n\tiptfs-init-delay=500us").children[0].iptfs.init_delay_us, 500U);
  EXPECT_EQ(load_one("iptfs=yes\n\tiptfs-rate=2G").children[0].iptfs.bits_per_s, 2'000'000'000U);
}

TEST(IpTfsWords, WhatTheyAreNot) {
  EXPECT_EQ(faults_of("iptfs=perhaps"), "7:8: error: 'perhaps' is no value of iptfs=\n");
  EXPECT_NE(faults_of("iptfs-packet-size=127"), "");
  EXPECT_EQ(faults_of("iptfs=yes\n\tiptfs-packet-size=0"), "");
  EXPECT_NE(faults_of("iptfs-max-queue-size=1k"), "");
  EXPECT_NE(faults_of("iptfs-reorder-window=257"), "");
  EXPECT_NE(faults_of("iptfs-drop-time=2h"), "");
  EXPECT_NE(faults_of("iptfs-drop-time=3601"), "");
  EXPECT_NE(faults_of("iptfs-rate=fast"), "");
  EXPECT_NE(faults_of("iptfs-rate=1000G"), "");
  EXPECT_NE(faults_of("iptfs=yes\n\tiptfs-rate=18446745G"), "") << "no sum that wraps";
  EXPECT_EQ(faults_of("iptfs=yes\n\tiptfs-rate=10"), "8:14: error: '10' is no value of iptfs-rate=\n");
  EXPECT_EQ(faults_of("iptfs=yes\n\tiptfs-rate=8k"), "");
}

TEST(IpTfsWords, WhatContradictsThem) {
  for (const auto* alone : {"iptfs-rate=10M", "iptfs-packet-size=1200", "iptfs=no\n\tiptfs-fragmentation=no"}) {
    EXPECT_NE(faults_of(alone).find("warning: the iptfs-… words say nothing without iptfs="), std::string::npos)
        << alone;
  }
  EXPECT_NE(faults_of("iptfs=yes\n\ttype=transport").find("is for ESP in tunnels"), std::string::npos);
  EXPECT_NE(faults_of("iptfs=yes\n\tah=sha256").find("is for ESP in tunnels"), std::string::npos);
  EXPECT_NE(faults_of("iptfs=yes\n\tcompress=yes").find("no compression beside it"), std::string::npos);
  EXPECT_NE(faults_of("iptfs=yes\n\tiptfs-congestion-control=yes").find("needs the most that may be sent"),
            std::string::npos);
  EXPECT_NE(faults_of("iptfs=yes\n\ttfc=1000").find("pads by itself"), std::string::npos);
}

}  // namespace
}  // namespace cygnet::config
