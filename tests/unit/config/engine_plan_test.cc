// SPDX-License-Identifier: Apache-2.0
// engine= in config setup and in connections: who carries what, and what cannot be.
#include "config/engine_plan.h"

#include <gtest/gtest.h>

#include <optional>

#include "model/engine_limits.h"

namespace cygnet::config {
namespace {

using model::EngineKind;

constexpr EnginePlan kBoth{.user = true, .kernel = true};

model::TrafficSelector network(const char* text) { return model::TrafficSelector::of(*IpPrefix::parse(text)); }

model::HostSpec host(const char* text) {
  return {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse(text)};
}
std::vector<model::AddressPool> pool(const char* text) {
  return {model::AddressPool{.range = IpRange::of(*IpPrefix::parse(text)), .text = text}};
}

model::Connection connection(const std::string& name, std::optional<EngineKind> engine, const char* local = nullptr,
                             const char* remote = nullptr) {
  model::Connection out;
  out.name = name;
  out.source = "f:" + name;
  out.engine = engine;
  auto& child = out.children.emplace_back();
  if (local != nullptr) child.local = {network(local)};
  if (remote != nullptr) child.remote = {network(remote)};
  return out;
}

TEST(EnginePlan, WhatAConnectionSaysComesFirst) {
  EXPECT_FALSE(in_kernel(kBoth, connection("a", std::nullopt)));
  EXPECT_TRUE(in_kernel(kBoth, connection("a", EngineKind::kXfrm)));
  const EnginePlan usual{.user = true, .kernel = true, .usual = EngineKind::kXfrm};
  EXPECT_TRUE(in_kernel(usual, connection("a", std::nullopt)));
  EXPECT_FALSE(in_kernel(usual, connection("a", EngineKind::kUser)));
  EXPECT_EQ(engine_word(usual, connection("a", std::nullopt)), "xfrm");
  EXPECT_EQ(engine_word(usual, connection("a", EngineKind::kUser)), "user");
}

TEST(EnginePlan, AutoIsOneForAllOrToEachItsOwn) {
  auto plan = kBoth;
  auto marked = connection("m", EngineKind::kAuto);
  marked.children[0].mark_out = {1, 1};
  EXPECT_FALSE(in_kernel(plan, marked));
  plan.automatic = EngineKind::kXfrm;
  EXPECT_TRUE(in_kernel(plan, connection("a", EngineKind::kAuto)));
  plan.automatic = EngineKind::kAuto;
  EXPECT_TRUE(in_kernel(plan, marked));
  EXPECT_FALSE(in_kernel(plan, connection("a", EngineKind::kAuto)));
}

TEST(EnginePlan, TrafficInCommonIsRefusedByName) {
  const auto kernel = connection("k", EngineKind::kXfrm, "10.1.0.0/16", "10.2.0.0/16");
  const auto why = [&](const model::Connection& other) { return why_not_apart(kBoth, {other, kernel}); };
  EXPECT_EQ(why(connection("u", EngineKind::kUser, "10.1.5.0/24", "10.2.0.0/24")),
            "connection k (f:k), which the kernel carries, and connection u (f:u), which Cygnet's own engine carries, "
            "have traffic in common: 10.1.0.0/16 to 10.2.0.0/16. Give both the same engine=");
  // The other way round: which end is here is not known yet.
  EXPECT_NE(why(connection("u", EngineKind::kUser, "10.2.0.0/24", "10.1.5.0/24")), "");
  EXPECT_NE(why(connection("u", EngineKind::kUser, "0.0.0.0/0", "0.0.0.0/0")), "");
  EXPECT_EQ(why(connection("u", EngineKind::kUser, "10.1.0.0/16", "10.3.0.0/16")), "");
  EXPECT_EQ(why(connection("u", EngineKind::kUser, "10.4.0.0/16", "10.2.0.0/16")), "");
  EXPECT_EQ(why(connection("u", EngineKind::kUser, "2001:db8::/32", "2001:db8::/32")), "");
  EXPECT_EQ(why(connection("x", EngineKind::kXfrm, "10.1.0.0/16", "10.2.0.0/16")), "");
  // Nothing is known of either end.
  EXPECT_EQ(why(connection("u", EngineKind::kUser)), "");
  EXPECT_EQ(why_not_apart({}, {kernel, connection("u", EngineKind::kUser, "10.1.0.0/16", "10.2.0.0/16")}), "");
}

TEST(EnginePlan, ProtocolsPortsAndMarksKeepTrafficApart) {
  auto kernel = connection("k", EngineKind::kXfrm, "10.1.0.0/16", "10.2.0.0/16");
  auto user = connection("u", EngineKind::kUser, "10.1.0.0/16", "10.2.0.0/16");
  ASSERT_NE(why_not_apart(kBoth, {kernel, user}), "");
  kernel.children[0].remote[0].protocol = user.children[0].remote[0].protocol = 6;
  kernel.children[0].remote[0].port_first = kernel.children[0].remote[0].port_last = 80;
  user.children[0].remote[0].port_first = user.children[0].remote[0].port_last = 443;
  EXPECT_EQ(why_not_apart(kBoth, {kernel, user}), "");
  user.children[0].remote[0].port_first = 1;
  EXPECT_NE(why_not_apart(kBoth, {kernel, user}), "");
  kernel.children[0].mark_out = {1, 1};
  EXPECT_EQ(why_not_apart(kBoth, {kernel, user}), "");
}

TEST(EnginePlan, HostsAndPoolsCount) {
  auto kernel = connection("k", EngineKind::kXfrm);
  kernel.local.host = host("192.0.2.1");
  kernel.remote.host = host("192.0.2.9");
  auto user = connection("u", EngineKind::kUser, "192.0.2.0/24", nullptr);
  user.remote.pools = pool("192.0.2.8/30");
  EXPECT_NE(why_not_apart(kBoth, {kernel, user}), "");
  user.remote.pools = pool("192.0.2.16/30");
  EXPECT_EQ(why_not_apart(kBoth, {kernel, user}), "");
}

TEST(EnginePlan, AnEngineThatDoesNotRunIsRefused) {
  EXPECT_EQ(why_not_running({}, {connection("k", EngineKind::kXfrm)}),
            "connection k (f:k) is for the kernel's IPsec (engine=), which this cygnetd did not need when it was "
            "started: restart it");
  EXPECT_EQ(why_not_running(kBoth, {connection("k", EngineKind::kPfkey)}),
            "connection k (f:k) has engine=pfkey, and others have engine=xfrm: the kernel is driven in one language, "
            "write the same one");
  EXPECT_EQ(why_not_running(kBoth, {connection("k", EngineKind::kXfrm), connection("u", EngineKind::kUser)}), "");
  EXPECT_NE(why_not_running({.user = false, .kernel = true, .usual = EngineKind::kXfrm},
                            {connection("u", EngineKind::kUser)}),
            "");
}

// ---- XFRM interfaces
LoadedConfiguration with_interface(EngineKind engine, std::uint32_t number) {
  LoadedConfiguration out;
  out.connections.push_back(connection("k", engine, "10.1.0.0/16", "10.2.0.0/16"));
  auto& child = out.connections[0].children[0];
  child.interface_number = number;
  child.device = "ipsec" + std::to_string(number);
  out.setup.devices.push_back(child.device);
  return out;
}

TEST(EnginePlan, TheKernelsInterfacesAreNoDevicesOfOurs) {
  auto loaded = with_interface(EngineKind::kXfrm, 7);
  ASSERT_TRUE(take_interfaces(kBoth, loaded));
  EXPECT_EQ(loaded.setup.devices, std::vector<std::string>{"ipsec0"});
  EXPECT_EQ(loaded.setup.interfaces, (std::vector<model::XfrmInterface>{{"ipsec7", 7}}));
  EXPECT_EQ(device_names(loaded.setup), (std::vector<std::string>{"ipsec0", "ipsec7"}));
  EXPECT_EQ(loaded.connections[0].children[0].interface_id_in, 7U);
  EXPECT_EQ(loaded.connections[0].children[0].interface_id_out, 7U);
  EXPECT_EQ(model::needs_kernel(loaded.connections[0]), "") << "a number alone is for either engine";
  // Twice is once.
  ASSERT_TRUE(take_interfaces(kBoth, loaded));
  EXPECT_EQ(loaded.setup.interfaces.size(), 1U);
}

TEST(EnginePlan, YesIsTheFirstInterfaceOfTheKernel) {
  auto loaded = with_interface(EngineKind::kXfrm, 1);
  loaded.connections[0].children[0].device = "ipsec0";
  loaded.setup.devices = {"ipsec0"};
  ASSERT_TRUE(take_interfaces(kBoth, loaded));
  EXPECT_EQ(loaded.connections[0].children[0].device, "ipsec1");
  EXPECT_EQ(loaded.setup.interfaces, (std::vector<model::XfrmInterface>{{"ipsec1", 1}}));
}

TEST(EnginePlan, OurOwnEngineHasADeviceOfThatName) {
  auto loaded = with_interface(EngineKind::kUser, 7);
  ASSERT_TRUE(take_interfaces(kBoth, loaded));
  EXPECT_EQ(loaded.setup.devices, (std::vector<std::string>{"ipsec0", "ipsec7"}));
  EXPECT_TRUE(loaded.setup.interfaces.empty());
  EXPECT_EQ(loaded.connections[0].children[0].interface_id_out, 0U);
  // Not both.
  loaded.connections.push_back(with_interface(EngineKind::kXfrm, 7).connections[0]);
  const auto taken = take_interfaces(kBoth, loaded);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().message,
            "ipsec-interface=7: ipsec7 is a device of Cygnet's own engine, too, and cannot be the kernel's XFRM "
            "interface: write another number");
}

TEST(EnginePlan, RoutesIntoOurInterfaceCompeteWithOthers) {
  auto loaded = with_interface(EngineKind::kXfrm, 7);
  ASSERT_TRUE(take_interfaces(kBoth, loaded));
  loaded.connections.push_back(connection("u", EngineKind::kUser, "10.1.0.0/16", "10.2.0.0/16"));
  EXPECT_NE(why_not_apart(kBoth, loaded.connections), "");
  loaded.connections[0].children[0].interface_number = 0;
  EXPECT_EQ(why_not_apart(kBoth, loaded.connections), "") << "an interface of somebody else's";
}

// ---- cygnet check, cygnetd --check
TEST(EnginePlan, WhatNoMachineCouldDo) {
  const auto why = [](const std::vector<model::Connection>& connections, EngineKind usual = EngineKind::kUser) {
    LoadedConfiguration loaded;
    loaded.setup.engine = usual;
    loaded.connections = connections;
    return why_not_anywhere(loaded);
  };
  auto c = connection("c", std::nullopt, "10.1.0.0/16", "10.2.0.0/16");
  EXPECT_EQ(why({c}), "");
  EXPECT_EQ(why({c}, EngineKind::kXfrm), "");
  auto marked = c;
  marked.children[0].mark_in = marked.children[0].mark_out = {1, 1};
  EXPECT_EQ(why({marked}),
            "engine=user: connection c (f:c) has mark=, which only the kernel's IPsec heeds (engine=xfrm)");
  EXPECT_EQ(why({marked}, EngineKind::kXfrm), "");
  EXPECT_EQ(why({marked}, EngineKind::kAuto), "");
  EXPECT_EQ(why({marked}, EngineKind::kPfkey),
            "connection c (f:c) has mark=, which cannot be asked of the kernel over PF_KEY");
  auto quick = c;
  quick.children[0].traffic = model::Traffic::kLatency;
  EXPECT_EQ(why({quick}), "");
  EXPECT_EQ(why({quick}, EngineKind::kXfrm),
            "connection c (f:c) has traffic=latency, which is not built for the kernel's IPsec");
  auto routed = c;
  routed.children[0].interface_number = 7;
  routed.children[0].mode = model::Mode::kTransport;
  EXPECT_NE(why({routed}, EngineKind::kXfrm).find("ipsec-interface= without type=tunnel"), std::string::npos);
  routed.children[0].mode = model::Mode::kTunnel;
  EXPECT_NE(why({routed}, EngineKind::kPfkey).find("ipsec-interface= (PF_KEY knows no interfaces)"), std::string::npos);
  auto cards = c;
  cards.children[0].nic_offload = model::NicOffload::kPacket;
  EXPECT_NE(why({cards}).find("nic-offload=packet"), std::string::npos);
  cards.children[0].nic_offload = model::NicOffload::kNo;
  cards.children[0].clones = 2;
  EXPECT_EQ(why({cards}, EngineKind::kXfrm), "");
  EXPECT_NE(why({cards}, EngineKind::kPfkey).find("clones="), std::string::npos);
  auto kernel = connection("k", EngineKind::kXfrm, "10.1.0.0/16", "10.2.0.0/16");
  EXPECT_NE(why({c, kernel}).find("have traffic in common"), std::string::npos);
}

}  // namespace
}  // namespace cygnet::config
