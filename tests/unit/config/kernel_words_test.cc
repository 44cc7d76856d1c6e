// SPDX-License-Identifier: Apache-2.0
// Marks and XFRM interfaces, and who carries the packets.
#include "unit/config/config_test_support.h"

namespace cygnet::config {
namespace {

TEST(KernelWords, Marks) {
  const auto both = load_one("mark=0x2a/0xff").children.at(0);
  EXPECT_EQ(both.mark_in, (model::SaMark{0x2a, 0xff}));
  EXPECT_EQ(both.mark_out, (model::SaMark{0x2a, 0xff}));
  const auto apart = load_one("mark-in=7\nmark_out=9").children.at(0);
  EXPECT_EQ(apart.mark_in, (model::SaMark{7, 0xffffffff}));
  EXPECT_EQ(apart.mark_out, (model::SaMark{9, 0xffffffff}));
  EXPECT_EQ(load_one("").children.at(0).mark_out, model::SaMark{});
  EXPECT_EQ(faults_of("mark=%unique"), "7:7: error: '%unique' is no value of mark=\n");
  EXPECT_EQ(faults_of("mark=-1"), "7:7: error: '-1' is no value of mark=\n");
  EXPECT_EQ(faults_of("mark-out=0x100/0xff"), "7:11: error: '0x100/0xff' is no value of mark-out=\n");
  EXPECT_EQ(faults_of("mark-in=1/0"), "7:10: error: '1/0' is no value of mark-in=\n");
  EXPECT_EQ(faults_of("mark=4294967296"), "7:7: error: '4294967296' is no value of mark=\n");
}

TEST(KernelWords, InterfaceIds) {
  const auto child = load_one("if_id_in=5\nif-id-out=0x2a").children.at(0);
  EXPECT_EQ(child.interface_id_in, 5U);
  EXPECT_EQ(child.interface_id_out, 42U);
  EXPECT_EQ(faults_of("if_id_out=0"), "7:12: error: '0' is no value of if-id-out=\n");
  EXPECT_EQ(faults_of("if_id_in=%unique"), "7:11: error: '%unique' is no value of if-id-in=\n");
}

TEST(KernelWords, InterfacesToBeMade) {
  const auto seven = load_one("ipsec-interface=7").children.at(0);
  EXPECT_EQ(seven.interface_number, 7U);
  EXPECT_EQ(seven.device, "ipsec7");
  const auto yes = load_one("ipsec-interface=yes").children.at(0);
  EXPECT_EQ(yes.interface_number, 1U);
  EXPECT_EQ(yes.device, "ipsec0");
  EXPECT_EQ(load_one("ipsec-interface=no").children.at(0).interface_number, 0U);
  EXPECT_EQ(load_one("ipsec-interface=0").children.at(0).interface_number, 0U);
  EXPECT_EQ(load_one("").children.at(0).interface_number, 0U);
  EXPECT_EQ(faults_of("ipsec-interface=7\nif-id-out=7"),
            "1:1: error: conn net: ipsec-interface= makes an XFRM interface, if-id-in= and if-id-out= name one that is "
            "there\n");
}

TEST(KernelWords, MarksTellConnectionsWithEqualSubnetsApart) {
  const auto text = [](const std::string& words) {
    return conn_with("mark=1") +
           "conn other\n\tleft=192.0.2.1\n\tright=192.0.2.3\n\tleftsubnet=10.1.0.0/16\n\trightsubnet=10.2.0.0/16\n" +
           words + "\tauto=add\n";
  };
  EXPECT_EQ(lines_of(load_text(text("\tmark=2\n")).diagnostics), "");
  EXPECT_NE(lines_of(load_text(text("\tmark=1\n")).diagnostics), "");
  // Inward they would meet.
  EXPECT_NE(lines_of(load_text(text("\tmark-in=1\n\tmark-out=2\n")).diagnostics), "");
}

TEST(KernelWords, NetworkCards) {
  const auto offload = [](const std::string& words) { return load_one(words).children.at(0).nic_offload; };
  EXPECT_EQ(offload(""), model::NicOffload::kNo);
  EXPECT_EQ(offload("nic-offload=auto"), model::NicOffload::kAuto);
  EXPECT_EQ(offload("hw_offload=crypto"), model::NicOffload::kCrypto);
  EXPECT_EQ(offload("nic-offload=yes"), model::NicOffload::kCrypto);
  EXPECT_EQ(offload("nic-offload=no"), model::NicOffload::kNo);
  EXPECT_EQ(offload("nic-offload=packet"), model::NicOffload::kPacket);
  EXPECT_EQ(faults_of("nic-offload=full"), "7:14: error: 'full' is no value of nic-offload=\n");
}

TEST(KernelWords, AConnectionsOwnWordsWinOverThoseOfDefault) {
  const auto child = [](const std::string& defaults, const std::string& own) {
    const auto loaded = load_text("conn %default\n" + defaults + conn_with(own));
    return loaded.ok() ? loaded.connections.at(0).children.at(0) : model::Child{};
  };
  EXPECT_EQ(child("\tnic-offload=crypto\n", "hw-offload=no").nic_offload, model::NicOffload::kNo);
  const auto marked = child("\tmark-in=1\n\tmark-out=2\n", "mark=3");
  EXPECT_EQ(marked.mark_in.value, 3U);
  EXPECT_EQ(marked.mark_out.value, 3U);
  // Both in one section: the narrower word says more.
  EXPECT_EQ(child("", "mark=3\nmark-in=4").mark_in.value, 4U);
  EXPECT_EQ(child("\tmark=3\n", "mark-in=4").mark_out.value, 3U);
}

TEST(KernelWords, EngineOfAConnection) {
  EXPECT_EQ(load_one("").engine, std::nullopt);
  EXPECT_EQ(load_one("engine=user").engine, model::EngineKind::kUser);
  EXPECT_EQ(load_one("engine=XFRM").engine, model::EngineKind::kXfrm);
  EXPECT_EQ(load_one("engine=pfkey").engine, model::EngineKind::kPfkey);
  EXPECT_EQ(load_one("engine=auto").engine, model::EngineKind::kAuto);
  EXPECT_EQ(faults_of("engine=kernel"), "7:9: error: 'kernel' is no value of engine=\n");
}

TEST(KernelWords, Engines) {
  const auto engine = [](const std::string& word) {
    const auto loaded = load_text("config setup\n\tengine=" + word + "\n" + conn_with(""));
    return loaded.ok() ? std::optional(loaded.setup.engine) : std::nullopt;
  };
  EXPECT_EQ(engine("user"), model::EngineKind::kUser);
  EXPECT_EQ(engine("xfrm"), model::EngineKind::kXfrm);
  EXPECT_EQ(engine("PFKEY"), model::EngineKind::kPfkey);
  EXPECT_EQ(engine("auto"), model::EngineKind::kAuto);
  EXPECT_EQ(engine("netkey"), std::nullopt);
}

}  // namespace
}  // namespace cygnet::config
