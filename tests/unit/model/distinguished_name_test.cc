// SPDX-License-Identifier: Apache-2.0
#include "model/distinguished_name.h"

#include <gtest/gtest.h>

#include "model/printable.h"

namespace cygnet::model {
namespace {

Bytes der_of(std::string_view text) {
  auto der = parse_distinguished_name(text);
  EXPECT_TRUE(der) << text << ": " << (der ? "" : der.error().message);
  return der.value_or(Bytes{});
}
std::string why_not(std::string_view text) {
  const auto der = parse_distinguished_name(text);
  return der ? "read: " + to_hex(*der) : der.error().message;
}
bool equal(std::string_view a, std::string_view b) { return distinguished_names_equal(der_of(a), der_of(b)); }
bool match(std::string_view a, std::string_view b) { return distinguished_names_match(der_of(a), der_of(b)); }
Bytes octets(std::string_view hex) {
  Bytes out;
  EXPECT_TRUE(from_hex(hex, out));
  return out;
}

TEST(DistinguishedName, TextToDer) {
  EXPECT_EQ(to_hex(der_of("C=DE, CN=moon")),
            "301c"
            "310b3009060355040613024445"
            "310d300b06035504030c046d6f6f6e");
  // A country is a PrintableString, an address an IA5String; what is not ASCII is UTF-8 (RFC 5280 appendix A.1).
  EXPECT_EQ(to_hex(der_of("E=a@b")), "30143112301006092a864886f70d0109011603614062");
  EXPECT_EQ(to_hex(der_of("1.2.3=\xc3\xbc")), "300c310a300806022a030c02c3bc");
  // The elements of a SET OF stand in ascending order.
  EXPECT_EQ(der_of("UID=u+CN=a"), der_of("CN=a+UID=u"));
}

TEST(DistinguishedName, EverySpelling) {
  const auto der = der_of("C=DE, O=Ex\\, Ample, CN=moon");
  for (const auto* same :
       {"/C=DE/O=Ex, Ample/CN=moon", "c=DE,o=\"Ex, Ample\",cn=moon", "C=DE, O=Ex,, Ample, CN=moon",
        "countryName=DE, O=Ex\\2c Ample, commonName=moon", "2.5.4.6=#13024445, O=Ex\\, Ample, OID.2.5.4.3=moon "})
    EXPECT_EQ(to_hex(der_of(same)), to_hex(der)) << same;
  EXPECT_EQ(distinguished_name_to_string(der), "C=DE, O=Ex\\, Ample, CN=moon");
}

TEST(DistinguishedName, SaysWhatIsWrong) {
  EXPECT_EQ(why_not("moon"), "an attribute without '=' (write C=DE, O=Example, CN=name)");
  EXPECT_EQ(why_not("XX=moon"), "'XX' is no attribute of distinguished names");
  EXPECT_EQ(why_not("CN="), "an attribute without a value");
  EXPECT_EQ(why_not("CN=a, "), "an attribute without '=' (write C=DE, O=Example, CN=name)");
  EXPECT_EQ(why_not("CN=\"a"), "a quote is not closed");
  EXPECT_EQ(why_not("CN=\"a\" b"), "something follows the value of an attribute");
  EXPECT_EQ(why_not("CN=\\ff"), "a value is not UTF-8");
  EXPECT_EQ(why_not("CN=#0c05"), "the value after '#' is not the hexadecimal DER of one value");
  EXPECT_EQ(why_not("3.1=a"), "'3.1' is no attribute of distinguished names");
  EXPECT_EQ(why_not(std::string(9000, 'C')), "a distinguished name of more than 8192 characters");
  std::string many = "C=a";
  for (int i = 0; i < 64; ++i) many += ",C=a";
  EXPECT_EQ(why_not(many), "more than 64 attributes");
}

TEST(DistinguishedName, TextOfDerIsReadBack) {
  for (const auto* text : {"C=DE, O=Example, CN=moon", "CN=\\ blank\\ ", "CN=\\#1, OU=a\\+b\\=c", "CN=M\xc3\xbcnchen",
                           "CN=a\\0ab", "CN=a + UID=u, DC=org", "1.3.6.1.4.1.99999=x", "CN=a\\\\b\\/c\\\"", "CN=#0400"})
    EXPECT_EQ(distinguished_name_to_string(der_of(text)), text);
  // Octets that turn the direction of writing, or are no text at all, do not reach a terminal.
  EXPECT_EQ(distinguished_name_to_string(der_of("CN=a\xe2\x80\xae")), "CN=a\\e2\\80\\ae");
  EXPECT_EQ(distinguished_name_to_string(octets("300b3109300706035504030c00")), "CN=#0c00");
  EXPECT_EQ(distinguished_name_to_string(octets("300d310b300906035504031e0200fc")), "CN=\xc3\xbc");
  EXPECT_EQ(distinguished_name_to_string(octets("3005")), "(not a distinguished name: 3005)");
}

TEST(DistinguishedName, RefusesWhatIsNoName) {
  const auto good = der_of("C=DE, CN=moon");
  EXPECT_TRUE(is_distinguished_name(good));
  EXPECT_TRUE(is_distinguished_name(octets("3000")));
  for (std::size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(is_distinguished_name(ByteView(good).first(n))) << n;
  auto longer = good;
  longer.push_back(0);
  EXPECT_FALSE(is_distinguished_name(longer));
  EXPECT_FALSE(is_distinguished_name(octets("30023100")));    // an RDN without attributes
  EXPECT_FALSE(is_distinguished_name(octets("30810400")));    // length not in its shortest form
  EXPECT_FALSE(is_distinguished_name(octets("3080310000")));  // indefinite length
}

TEST(DistinguishedName, CompareAsRfc5280Says) {
  EXPECT_TRUE(equal("C=DE, CN=moon", "C=de, CN=  MOON "));
  EXPECT_TRUE(equal("O=Two  Words", "O=two words"));
  EXPECT_TRUE(equal("CN=#0c0161", "CN=#130161"));
  EXPECT_FALSE(equal("O=TwoWords", "O=two words"));
  EXPECT_FALSE(equal("C=DE, CN=moon", "C=DE, CN=moon, CN=moon"));
  EXPECT_FALSE(equal("C=DE, O=moon", "C=DE, CN=moon"));
  EXPECT_FALSE(equal("C=DE, O=a, OU=b", "C=DE, OU=b, O=a"));
  EXPECT_FALSE(equal("OU=a, OU=b", "OU=b, OU=a"));
  EXPECT_FALSE(equal("CN=a+UID=u", "CN=a, UID=u"));
  // As RFC 4514 writes it.
  EXPECT_TRUE(equal("CN=moon, O=Example, C=DE", "C=DE, O=Example, CN=moon"));
  EXPECT_FALSE(equal("CN=*", "CN=moon"));
  EXPECT_TRUE(match("C=DE, CN=*", "C=DE, CN=moon"));
  EXPECT_FALSE(match("C=DE, CN=*", "C=DE, OU=moon"));
  EXPECT_FALSE(match("C=DE, CN=moon", "C=DE, CN=*"));
  EXPECT_TRUE(has_wildcard_attribute(der_of("C=DE, CN=*")));
  EXPECT_FALSE(has_wildcard_attribute(der_of("C=DE, CN=*.de")));
}

TEST(Printable, Utf8) {
  for (const auto* good : {"", "a", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x90\xa6"}) EXPECT_TRUE(is_utf8(good));
  for (const auto* bad : {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"})
    EXPECT_FALSE(is_utf8(bad));
}

}  // namespace
}  // namespace cygnet::model
