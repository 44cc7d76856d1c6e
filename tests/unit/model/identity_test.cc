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
  for (const auto* bad : {"", "%any", "@", "@@", "@#", "@#0", "@#xy", "X=DE, O=Example", "C=", "dn:#3000ff",
                          "ipv4:2001:db8::1", "keyid:"})
    EXPECT_FALSE(Identity::parse(bad)) << bad;
}

TEST(Identity, NamesCompareWithoutCaseKeyIdsWithIt) {
  EXPECT_TRUE(Identity::parse("@GW.example")->matches(*Identity::parse("@gw.EXAMPLE")));
  EXPECT_FALSE(Identity::parse("keyid:A")->matches(*Identity::parse("keyid:a")));
  EXPECT_FALSE(Identity::parse("@a")->matches(*Identity::parse("keyid:a")));
}

TEST(Identity, DistinguishedNames) {
  const auto id = Identity::parse("C=DE, O=Example, CN=moon");
  ASSERT_TRUE(id);
  EXPECT_EQ(id->type, IdType::kDerAsn1Dn);
  EXPECT_EQ(id->to_string(), "C=DE, O=Example, CN=moon");
  EXPECT_EQ(*Identity::parse("dn:/C=DE/O=Example/CN=moon"), *id);
  EXPECT_EQ(*Identity::parse("asn1dn:#" + to_hex(id->data)), *id);
  EXPECT_TRUE(id->matches(*Identity::parse("c=de,o=EXAMPLE,  cn=Moon")));
  EXPECT_FALSE(id->matches(*Identity::parse("C=DE, O=Example, CN=sun")));
  EXPECT_EQ((Identity{IdType::kDerAsn1Dn, {0x30, 0x05}}).to_string(), "ID_DER_ASN1_DN:3005");
}

TEST(Identity, PatternsCoverWhatTheyStandFor) {
  const auto covers = [](std::string_view pattern, std::string_view name) {
    return Identity::parse(pattern)->covers(*Identity::parse(name));
  };
  EXPECT_TRUE(Identity::parse("@*.example.org")->is_pattern());
  EXPECT_TRUE(Identity::parse("*@example.org")->is_pattern());
  EXPECT_TRUE(Identity::parse("C=DE, CN=*")->is_pattern());
  for (const auto* literal : {"@gw.example.org", "a@example.org", "C=DE, CN=a", "@*", "keyid:*.a", "@a.*.b"})
    EXPECT_FALSE(Identity::parse(literal)->is_pattern()) << literal;
  EXPECT_TRUE(covers("@*.example.org", "@gw.Example.org"));
  EXPECT_TRUE(covers("@*.example.org", "@a.b.example.org"));
  EXPECT_FALSE(covers("@*.example.org", "@example.org"));
  EXPECT_FALSE(covers("@*.example.org", "fqdn:.example.org"));
  EXPECT_FALSE(covers("@*.example.org", "@evilexample.org"));
  EXPECT_FALSE(covers("@*.example.org", "a@b.example.org"));
  EXPECT_TRUE(covers("*@example.org", "alice@example.org"));
  EXPECT_FALSE(covers("*@example.org", "email:alice@evil@example.org"));
  EXPECT_TRUE(covers("C=DE, O=Example, CN=*", "C=DE, O=example, CN=moon"));
  EXPECT_FALSE(covers("C=DE, O=Example, CN=*", "C=DE, O=Other, CN=moon"));
  EXPECT_FALSE(covers("C=DE, CN=*", "C=DE, O=Example, CN=moon"));
  // The other one's asterisk is a name like any other.
  EXPECT_FALSE(covers("C=DE, CN=moon", "C=DE, CN=*"));
  EXPECT_FALSE(covers("@gw.example.org", "@*.example.org"));
}

TEST(Identity, EscapesWhatAPeerCouldSmuggleIntoATerminal) {
  const Identity hostile{IdType::kFqdn, {'a', 0x1b, '[', '2', 'J', '\n', 0xff}};
  EXPECT_EQ(hostile.to_string(), "a\\x1b[2J\\x0a\\xff");
  const Identity short_address{IdType::kIpv4Addr, {1, 2}};
  EXPECT_EQ(short_address.to_string(), "ID_IPV4_ADDR:0102");
}

}  // namespace
}  // namespace cygnet::model
