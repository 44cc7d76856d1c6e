// SPDX-License-Identifier: Apache-2.0
#include "model/pkcs11_uri.h"

#include <gtest/gtest.h>

namespace cygnet::model {
namespace {

std::string why_not(std::string_view text) {
  const auto uri = Pkcs11Uri::parse(text);
  return uri ? "taken" : uri.error().message;
}
bool says(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST(Pkcs11UriTest, AttributesArePercentDecoded) {
  // After RFC 7512 section 3.
  const auto uri = Pkcs11Uri::parse(
      "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;"
      "object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;serial=12;slot-id=327"
      "?module-path=/usr/lib/softhsm/libsofthsm2.so");
  ASSERT_TRUE(uri.has_value()) << uri.error().message;
  EXPECT_EQ(uri->token, "The Software PKCS#11 Softtoken");
  EXPECT_EQ(uri->manufacturer, "Snake Oil, Inc.");
  EXPECT_EQ(uri->model, "1.0");
  EXPECT_EQ(uri->serial, "12");
  EXPECT_EQ(uri->object, "my-certificate");
  EXPECT_EQ(uri->type, "cert");
  EXPECT_EQ(uri->id, (Bytes{0x69, 0x95, 0x3e, 0x5c, 0xf4, 0xbd, 0xec, 0x91}));
  EXPECT_EQ(uri->slot_id, 327U);
  EXPECT_EQ(uri->module_path, "/usr/lib/softhsm/libsofthsm2.so");
  EXPECT_EQ(uri->token_text(), "token 'The Software PKCS#11 Softtoken'");
}

TEST(Pkcs11UriTest, WhatIsNotUnderstoodIsRefusedByName) {
  EXPECT_EQ(why_not("pkcs11:object=a"), "taken");
  EXPECT_EQ(why_not("pkcs11:id=%01"), "taken");
  EXPECT_TRUE(says(why_not("pkcs12:object=a"), "begins with pkcs11:"));
  EXPECT_TRUE(says(why_not("pkcs11:"), "no object"));
  EXPECT_TRUE(says(why_not("pkcs11:token=vpn"), "no object"));
  EXPECT_TRUE(says(why_not("pkcs11:object=a;object=b"), "twice"));
  EXPECT_TRUE(says(why_not("pkcs11:object=a;library-version=3"), "'library-version=' is not looked at"));
  EXPECT_TRUE(says(why_not("pkcs11:object=a;x-vendor=3"), "an attribute that RFC 7512 does not name"));
  EXPECT_FALSE(says(why_not("pkcs11:object=a;hunter2=3"), "hunter2")) << "it may have been the PIN";
  EXPECT_FALSE(says(why_not("pkcs11:object=a;type=hunter2"), "hunter2"));
  EXPECT_TRUE(says(why_not("pkcs11:object=%0"), "hexadecimal"));
  EXPECT_TRUE(says(why_not("pkcs11:object=%zz"), "hexadecimal"));
  EXPECT_TRUE(says(why_not("pkcs11:object=%0a"), "control characters"));
  EXPECT_TRUE(says(why_not("pkcs11:object="), "empty"));
  EXPECT_TRUE(says(why_not("pkcs11:object"), "no name=value"));
  EXPECT_TRUE(says(why_not("pkcs11:object=a;type=data"), "neither private nor cert"));
  EXPECT_TRUE(says(why_not("pkcs11:object=a;slot-id=x"), "no number"));
  EXPECT_TRUE(says(why_not("pkcs11:object=a?pin-value=1234"), "ipsec.secrets"));
  EXPECT_FALSE(says(why_not("pkcs11:object=a?pin-value=1234"), "1234"));
  EXPECT_TRUE(says(why_not("pkcs11:object=a?module-path=lib.so"), "absolute"));
  EXPECT_TRUE(says(why_not("pkcs11:object=a?module-name=opensc"), "'module-name='"));
  EXPECT_TRUE(says(why_not("pkcs11:object=" + std::string(2000, 'a')), "1024"));
}

}  // namespace
}  // namespace cygnet::model
