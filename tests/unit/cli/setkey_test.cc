// SPDX-License-Identifier: Apache-2.0
// setkey: command line, statements as messages, and what it prints.
#include <gtest/gtest.h>

#include <cstdlib>

#include "cli/setkey_messages.h"
#include "cli/setkey_options.h"
#include "cli/setkey_print.h"

namespace cygnet::cli {
namespace {

namespace pf = wire::pfkey;

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

// Two names, one of them with both families.
Result<std::vector<IpAddress>> names(const std::string& name, bool numbers_only) {
  if (const auto address = IpAddress::parse(name)) return std::vector{*address};
  if (numbers_only) return fail("no number: " + name);
  if (name == "both") return std::vector{ip("192.0.2.7"), ip("2001:db8::7")};
  if (name == "two") return std::vector{ip("192.0.2.8"), ip("192.0.2.9")};
  return fail("unknown: " + name);
}

std::vector<SetkeyMessage> messages(std::string_view text, bool with_forward = false) {
  const auto script = config::parse_setkey(text, "script");
  EXPECT_TRUE(script.diagnostics.empty()) << config::to_string(script.diagnostics);
  EXPECT_EQ(script.statements.size(), 1U);
  const auto made = messages_of(script.statements.at(0), names, with_forward);
  EXPECT_TRUE(made) << made.error().message;
  return made.value_or(std::vector<SetkeyMessage>{});
}

std::string failure(std::string_view text) {
  const auto script = config::parse_setkey(text, "script");
  const auto made = messages_of(script.statements.at(0), names, false);
  return made ? "" : made.error().message;
}

TEST(SetkeyMessages, AddAsOctets) {
  const auto made = messages(
      "add 192.0.2.1 192.0.2.2 esp 0x1234 -m tunnel -r 32 -u 5 -lh 3600 -E aes-gcm-16 "
      "0x000102030405060708090a0b0c0d0e0f10111213;");
  ASSERT_EQ(made.size(), 1U);
  EXPECT_EQ(to_hex(made[0].message.serialize()),
            "0203000314000000"
            "0000000000000000"
            "0200010000001234"
            "2001001400000000"
            "0400030000000000"
            "0000000000000000"
            "100e000000000000"
            "0000000000000000"
            "0300050000200000"
            "02000000c0000201"
            "0000000000000000"
            "0300060000200000"
            "02000000c0000202"
            "0000000000000000"
            "04000900a0000000"
            "0001020304050607"
            "08090a0b0c0d0e0f"
            "1011121300000000"
            "0200130002000000"
            "0000000005000000");
}

TEST(SetkeyMessages, UdpEncapsulationTakesThePortsOfTheAddresses) {
  const auto made = messages(
      "add 192.0.2.1[4500] 192.0.2.2[4501] esp-udp 4096 -E chacha20-poly1305 "
      "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223;");
  const auto& m = made.at(0).message;
  EXPECT_EQ(m.header.sa_type, pf::SaType::kEsp);
  EXPECT_EQ(m.nat_type->type, 2);
  EXPECT_EQ(m.nat_source_port->port, 4500);
  EXPECT_EQ(m.nat_destination_port->port, 4501);
  EXPECT_EQ(m.source->endpoint.port, 0);
}

TEST(SetkeyMessages, NamesWithSeveralAddresses) {
  EXPECT_EQ(messages("deleteall both both esp;").size(), 2U);
  EXPECT_EQ(messages("deleteall -6 both both esp;").at(0).message.source->endpoint.address, ip("2001:db8::7"));
  EXPECT_EQ(messages("spdadd two two any -P out none;").size(), 4U);
  EXPECT_EQ(messages("spdadd any any any -P out none;").size(), 2U);
  EXPECT_EQ(messages("spdadd any 10.0.0.0/8 any -P out none;").size(), 1U);
  EXPECT_EQ(failure("delete -n two 192.0.2.1 esp 4096;"), "no number: two");
  EXPECT_EQ(failure("deleteall 192.0.2.1 2001:db8::1 esp;"), "source and destination have no address family in common");
  EXPECT_EQ(failure("deleteall -4 2001:db8::1 both esp;"), "'2001:db8::1' has no address of the family asked for");
  EXPECT_NE(failure("spdadd tagged x -P out none;"), "");
  EXPECT_NE(failure("spdadd any any any -P out ipsec esp/tunnel/two-two/require;"), "");
}

TEST(SetkeyMessages, EachInPolicyIsFollowedByFwd) {
  const auto text = "spdadd 10.2.0.0/16[any] 10.1.0.0/16[22] tcp -P in prio high ipsec esp/transport//use;";
  const auto made = messages(text, true);
  ASSERT_EQ(made.size(), 2U);
  EXPECT_FALSE(made[0].implied);
  EXPECT_TRUE(made[1].implied);
  EXPECT_EQ(made[0].message.policy->direction, pf::PolicyDirection::kIn);
  EXPECT_EQ(made[1].message.policy->direction, pf::PolicyDirection::kForward);
  EXPECT_EQ(made[0].message.policy->priority, 0x40000000U);
  EXPECT_EQ(made[0].message.policy->requests,
            (std::vector<pf::PolicyRequest>{{pf::kProtocolEsp, pf::Mode::kTransport, pf::Level::kUse, 0, {}}}));
  EXPECT_EQ(*made[0].message.destination, (pf::AddressExtension{6, 16, {ip("10.1.0.0"), 22}}));
  EXPECT_EQ(messages(text, false).size(), 1U);
  EXPECT_EQ(messages("spdadd any 10.0.0.0/8 any -P out none;", true).size(), 1U);
}

TEST(SetkeyPrint, AnSaAsIpsecToolsDid) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  pf::Message m;
  m.header = {.type = pf::MessageType::kDump, .sa_type = pf::SaType::kEsp, .sequence = 1, .pid = 2215};
  m.source = pf::AddressExtension::host(ip("192.168.1.2"));
  m.destination = pf::AddressExtension::host(ip("192.168.1.1"));
  m.sa = pf::SaExtension{.spi = Spi{769},
                         .state = pf::SaState::kMature,
                         .auth = pf::AuthAlgorithm::kSha1,
                         .encrypt = pf::EncryptAlgorithm::kAesCbc};
  m.sa2 = pf::Sa2Extension{.mode = pf::Mode::kTransport, .sequence = 3};
  m.encrypt_key = pf::KeyExtension{128, SecretBytes(16, 0xab)};
  m.auth_key = pf::KeyExtension{160, SecretBytes(20, 0)};
  m.current = pf::LifetimeExtension{.allocations = 2, .bytes = 168, .add_time = 1'700'000'000};
  m.hard = pf::LifetimeExtension{.bytes = 1000, .add_time = 3600};
  const SetkeyStyle style{.keys_hidden = true, .now_s = 1'700'000'100};
  EXPECT_EQ(print_sa(m, style),
            "192.168.1.2 192.168.1.1 \n"
            "\tesp mode=transport spi=769(0x00000301) reqid=0(0x00000000)\n"
            "\tE: aes-cbc  abababab abababab abababab abababab\n"
            "\tA: hmac-sha1  (160 bits, hidden: --show-keys shows them)\n"
            "\tseq=0x00000003 replay=0 flags=0x00000000 state=mature \n"
            "\tcreated: Nov 14 22:13:20 2023\tcurrent: Nov 14 22:15:00 2023\n"
            "\tdiff: 100(s)\thard: 3600(s)\tsoft: 0(s)\n"
            "\tlast:                     \thard: 0(s)\tsoft: 0(s)\n"
            "\tcurrent: 168(bytes)\thard: 1000(bytes)\tsoft: 0(bytes)\n"
            "\tallocated: 2\thard: 0\tsoft: 0\n"
            "\tsadb_seq=1 pid=2215 refcnt=0\n");
  EXPECT_EQ(print_message(m).find("abab"), std::string::npos) << "messages are shown without keys";
}

TEST(SetkeyPrint, APolicyAsIpsecToolsDid) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  pf::Message m;
  m.header = {.type = pf::MessageType::kSpdDump, .sequence = 2, .pid = 13000};
  m.source = pf::AddressExtension{pf::kAnyProtocol, 24, {ip("10.10.10.0"), 0}};
  m.destination = pf::AddressExtension{pf::kAnyProtocol, 32, {ip("192.168.0.1"), 80}};
  m.policy = pf::PolicyExtension{pf::PolicyType::kIpsec,
                                 pf::PolicyDirection::kOut,
                                 345,
                                 0x80000000,
                                 {{pf::kProtocolEsp, pf::Mode::kTunnel, pf::Level::kUnique, 7,
                                   pf::PolicyRequest::Ends{{ip("1.2.3.4"), 4500}, {ip("5.6.7.8"), 4500}}},
                                  {pf::kProtocolAh, pf::Mode::kTransport, pf::Level::kRequire, 0, {}}}};
  m.current = pf::LifetimeExtension{.add_time = 1'700'000'000};
  EXPECT_EQ(print_policy(m, {}),
            "10.10.10.0/24[any] 192.168.0.1[80] any\n"
            "\tout prio def ipsec\n"
            "\tesp/tunnel/1.2.3.4-5.6.7.8/unique:7\n"
            "\tah/transport//require\n"
            "\tcreated: Nov 14 22:13:20 2023  lastused:                     \n"
            "\tlifetime: 0(s) validtime: 0(s)\n"
            "\tspid=345 seq=2 pid=13000\n"
            "\trefcnt=1\n");
  EXPECT_NE(print_policy(m, {.ports = true}).find("1.2.3.4[4500]-5.6.7.8[4500]"), std::string::npos);
  m.policy->priority = 0x40000000 - 10;
  EXPECT_NE(print_policy(m, {}).find("\tout prio high + 10 ipsec\n"), std::string::npos);
  m.policy->priority = 0xC0000000 + 10;
  EXPECT_NE(print_policy(m, {}).find("\tout prio low - 10 ipsec\n"), std::string::npos);
  m.policy->priority = 0;
  EXPECT_NE(print_policy(m, {}).find("\tout ipsec\n"), std::string::npos);
}

TEST(SetkeyOptions, LettersTogetherAndApart) {
  const auto o = parse_setkey_options({"-DPp", "--show-keys", "--run-dir=/x"}, nullptr);
  ASSERT_TRUE(o);
  EXPECT_EQ(o->action, SetkeyOptions::Action::kDump);
  EXPECT_TRUE(o->policies && o->ports && o->show_keys && o->run_dir_given);
  EXPECT_EQ(o->run_dir, "/x");
  EXPECT_EQ(parse_setkey_options({"-D"}, nullptr)->run_dir, "/run/cygnet");
  EXPECT_EQ(parse_setkey_options({"-D"}, "/env")->run_dir, "/env");
  EXPECT_EQ(parse_setkey_options({"-nvf", "a", "-f", "b"}, nullptr)->files, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(parse_setkey_options({"-c"}, nullptr)->files, std::vector<std::string>{"-"});
  EXPECT_TRUE(parse_setkey_options({"-xx"}, nullptr)->raw_time);
  EXPECT_FALSE(parse_setkey_options({}, nullptr));
  EXPECT_FALSE(parse_setkey_options({"-DF"}, nullptr));
  EXPECT_FALSE(parse_setkey_options({"-f"}, nullptr));
  EXPECT_FALSE(parse_setkey_options({"-Q"}, nullptr));
  EXPECT_EQ(parse_setkey_options({"-v", "one", "two"}, nullptr)->files, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(parse_setkey_options({"one"}, nullptr)->action, SetkeyOptions::Action::kScript);
  EXPECT_FALSE(parse_setkey_options({"-D", "file"}, nullptr));
  EXPECT_FALSE(parse_setkey_options({"file", "-D"}, nullptr));
  EXPECT_FALSE(parse_setkey_options({"--kernel", "--run-dir", "/x", "-D"}, nullptr));
}

}  // namespace
}  // namespace cygnet::cli
