// SPDX-License-Identifier: Apache-2.0
#include "cli/check_credentials.h"

#include <gtest/gtest.h>

#include "support/test_pki.h"

namespace cygnet::cli {
namespace {

using test::kDay;
using test::kPkiNow;

TEST(CheckCredentials, EachFaultWithItsFile) {
  const auto authority = test::make_authority("CN=Root");
  test::CertificateOptions options;
  options.subject = "CN=moon";
  const auto moon = test::make_certificate(options, &authority);
  options.subject = "CN=old";
  options.not_after = kPkiNow - 1;
  const auto old = test::make_certificate(options, &authority);
  options.subject = "CN=new";
  options.not_before = kPkiNow + 1;
  options.not_after = kPkiNow + kDay;
  const auto early = test::make_certificate(options, &authority);
  model::PublicCredentials credentials;
  credentials.certificates = {{"moon.pem", moon.der, "certs/moon.pem"},
                              {"old.pem", old.der, "certs/old.pem"},
                              {"new.pem", early.der, "certs/new.pem"}};
  credentials.authorities = {{"root.pem", authority.der, "cacerts/root.pem"}};
  credentials.crls = {{"root.crl", test::make_crl(authority, {}), "crls/root.crl"}};
  credentials.public_keys = {{"key.pem", test::key_to_spki(moon.key.get()), "certs/key.pem"}};
  EXPECT_EQ(config::to_string(check_credentials(credentials, kPkiNow)).find("moon"), std::string::npos);
  credentials.certificates.push_back({"bad.pem", {0x30, 0x00}, "certs/bad.pem"});
  credentials.authorities.push_back({"leaf.pem", moon.der, "cacerts/leaf.pem"});
  credentials.authorities.push_back({"junk.pem", {0x30, 0x00}, "cacerts/junk.pem"});
  credentials.crls.push_back({"late.crl", test::make_crl(authority, {.next_update = kPkiNow - 1}), "crls/late.crl"});
  credentials.public_keys.push_back({"junk", {0x30, 0x00}, "certs/junk.pem"});
  std::vector<std::string> found;
  for (const auto& d : check_credentials(credentials, kPkiNow)) {
    EXPECT_FALSE(d.hint.empty());
    found.push_back((d.level == config::Level::kError ? "error " : "warning ") + d.file);
  }
  EXPECT_EQ(found, (std::vector<std::string>{"warning certs/old.pem", "warning certs/new.pem", "error certs/bad.pem",
                                             "warning cacerts/leaf.pem", "warning cacerts/junk.pem",
                                             "warning crls/late.crl", "error certs/junk.pem"}));
}

}  // namespace
}  // namespace cygnet::cli
