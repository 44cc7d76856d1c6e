// SPDX-License-Identifier: Apache-2.0
#include "cli/import.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "crypto/private_key.h"
#include "support/test_pki.h"

namespace cygnet::cli {
namespace {

struct Import : testing::Test {
  Import() {
    std::string pattern = testing::TempDir() + "cygnet-import-XXXXXX";
    folder = ::mkdtemp(pattern.data());
  }
  ~Import() override { std::filesystem::remove_all(folder); }
  [[nodiscard]] Bytes read(const std::string& name) const {
    std::ifstream in(folder + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  [[nodiscard]] ImportCommand command() const { return {.file = "/tmp/my moon.p12", .directory = folder}; }
  [[nodiscard]] std::size_t files() const {
    std::size_t n = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
      n += entry.is_regular_file() ? 1 : 0;
    return n;
  }

  std::string folder;
  test::TestCertificate root = test::make_authority("CN=Root");
  test::TestCertificate middle = test::make_authority("CN=Middle", &root);
  test::TestCertificate own = test::make_certificate({.names = "DNS:moon.example.org"}, &middle);
  Bytes file = test::make_pkcs12(own, {middle.der, root.der}, "open sesame", "x");
};

TEST_F(Import, WritesKeyCertificateAndAuthority) {
  const auto text = import_pkcs12(command(), file, view_of("open sesame"));
  ASSERT_TRUE(text.has_value()) << text.error().message;
  EXPECT_EQ(files(), 3U);
  auto chain = test::to_pem("CERTIFICATE", own.der);
  append(chain, test::to_pem("CERTIFICATE", middle.der));
  EXPECT_EQ(read("/certs/my-moon.pem"), chain);
  EXPECT_EQ(read("/cacerts/my-moon-ca.pem"), test::to_pem("CERTIFICATE", root.der));
  const auto key = crypto::PrivateKey::load(read("/private/my-moon.pem"), {});
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(key->public_key().spki(), test::key_to_spki(own.key.get()));
  struct stat status{};
  ASSERT_EQ(::stat((folder + "/private/my-moon.pem").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_NE(text->find("leftcert=my-moon.pem"), std::string::npos);
  EXPECT_NE(text->find("moon.example.org"), std::string::npos);
}

TEST_F(Import, OverwritesNothingAndLeavesNothingBehind) {
  ASSERT_TRUE(import_pkcs12(command(), file, view_of("open sesame")).has_value());
  const auto again = import_pkcs12(command(), file, view_of("open sesame"));
  ASSERT_FALSE(again.has_value());
  EXPECT_NE(again.error().message.find("is there already"), std::string::npos);
  auto other = command();
  other.name = "sun";
  std::ofstream(folder + "/cacerts/sun-ca.pem") << "mine";
  EXPECT_FALSE(import_pkcs12(other, file, view_of("open sesame")).has_value());
  EXPECT_FALSE(std::filesystem::exists(folder + "/private/sun.pem"));
  EXPECT_FALSE(std::filesystem::exists(folder + "/certs/sun.pem"));
}

TEST_F(Import, SaysWhatIsWrong) {
  const auto wrong = import_pkcs12(command(), file, view_of("wrong"));
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().message, "/tmp/my moon.p12: the passphrase of the PKCS#12 file is wrong");
  auto hidden = command();
  hidden.name = "../x";
  EXPECT_FALSE(import_pkcs12(hidden, file, view_of("open sesame")).has_value());
  EXPECT_EQ(files(), 0U);
}

}  // namespace
}  // namespace cygnet::cli
