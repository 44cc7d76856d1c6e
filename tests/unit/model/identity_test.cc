// SPDX-License-Identifier: Apache-2.0
#include "model/identity.h"

#include <gtest/gtest.h>

namespace cygnet::model {
namespace {

void expect_id(std::string_view text, IdType type, std::string_view octets) {
  const auto id = Identity::parse(text);
  ASSERT_TRUE(id) << text;
  EXPECT_EQ(id->type, type) << text;
  EXPECT_EQ(std::string(id->data.begin(), id->data.end()), octets) << text;
}

TEST(Identity, ReadsWhatPeopleWrite) {
  expect_id("192.0.2.1", IdType::kIpv4Addr, std::string("\xc0\x00\x02\x01", 4));
  expect_id("@gw.example", IdType::kFqdn, "gw.example");
  expect_id("gw.example", IdType::kFqdn, "gw.example");
  expect_id("alice@example.org", IdType::kRfc822Addr, "alice@example.org");
  expect_id("@alice@example.org", IdType::kRfc822Addr, "alice@example.org");
  expect_id("@@alice@example.org", IdType::kRfc822Addr, "alice@example.org");
  expect_id("@#00ff", IdType::kKeyId, std::string("\x00\xff", 2));
  expect_id("@[my-group]", IdType::kKeyId, "my-group");
  expect_id("keyid:branch7", IdType::kKeyId, "branch7");
  expect_id("fqdn:10.0.0.1", IdType::kFqdn, "10.0.0.1");
  expect_id("2001:db8::1", IdType::kIpv6Addr, std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16));
}

TEST(Identity, RefusesWhatCannotBeOne) {
  for (const auto* bad : {"", "%any", "@", "@@", "@#", "@#0", "@#xy", "C=DE, O=Example", "ipv4:2001:db8::1", "keyid:"})
    EXPECT_FALSE(Identity::parse(bad)) << bad;
}

TEST(Identity, NamesCompareWithoutCaseKeyIdsWithIt) {
  EXPECT_TRUE(Identity::parse("@GW.example")->matches(*Identity::parse("@gw.EXAMPLE")));
  EXPECT_FALSE(Identity::parse("keyid:A")->matches(*Identity::parse("keyid:a")));
  EXPECT_FALSE(Identity::parse("@a")->matches(*Identity::parse("keyid:a")));
}

TEST(Identity, EscapesWhatAPeerCouldSmuggleIntoATerminal) {
  const Identity hostile{IdType::kFqdn, {'a', 0x1b, '[', '2', 'J', '\n', 0xff}};
  EXPECT_EQ(hostile.to_string(), "a\\x1b[2J\\x0a\\xff");
  const Identity short_address{IdType::kIpv4Addr, {1, 2}};
  EXPECT_EQ(short_address.to_string(), "ID_IPV4_ADDR:0102");
}

}  // namespace
}  // namespace cygnet::model
