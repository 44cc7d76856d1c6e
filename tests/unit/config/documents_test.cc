// SPDX-License-Identifier: Apache-2.0
// What the documents say is true: examples load, and the manual page has every word.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/keywords.h"
#include "unit/config/config_test_support.h"

namespace cygnet::config {
namespace {

const std::string kRoot = std::string(CYGNET_TEST_DATA) + "/..";

std::string read_text(const std::string& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in) << path;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(Examples, AllLoadWithoutAWarning) {
  int count = 0;
  DiskFiles files;
  for (const auto& entry : std::filesystem::directory_iterator(kRoot + "/docs/examples")) {
    if (entry.path().extension() != ".conf") continue;
    const auto loaded = load_ipsec_conf(entry.path(), files);
    EXPECT_EQ(to_string(loaded.diagnostics), "");
    EXPECT_FALSE(loaded.connections.empty()) << entry.path();
    ++count;
  }
  EXPECT_EQ(count, 9);
  const auto secrets = load_ipsec_secrets(kRoot + "/docs/examples/ipsec.secrets", files);
  EXPECT_EQ(to_string(secrets.diagnostics), "");
  EXPECT_EQ(secrets.secrets.size(), 5U);
}

// Blocks of README.md and of the manual page that hold a conn section.
std::vector<std::string> configurations_in(const std::string& text, const std::string& begin, const std::string& end) {
  std::vector<std::string> out;
  for (auto at = text.find(begin); at != std::string::npos;) {
    const auto first = text.find('\n', at) + 1;
    const auto last = text.find(end, first);
    if (last == std::string::npos) break;
    const auto block = text.substr(first, last - first);
    if (block.starts_with("conn ") || block.find("\nconn ") != std::string::npos) out.push_back(block);
    at = text.find(begin, last + end.size());
  }
  return out;
}

TEST(Documents, ConfigurationsInThemLoad) {
  auto found = configurations_in(read_text(kRoot + "/README.md"), "```", "```");
  EXPECT_EQ(found.size(), 2U);
  for (auto& block : configurations_in(read_text(kRoot + "/man/ipsec.conf.5"), ".Bd -literal", ".Ed"))
    found.push_back(block);
  EXPECT_EQ(found.size(), 4U);
  const std::string certificate = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
  for (const auto& text : found) {
    MemoryFiles files({{"/etc/ipsec.conf", text}, {"/etc/certs/moon.pem", certificate}});
    const auto loaded = load_ipsec_conf("/etc/ipsec.conf", files);
    EXPECT_EQ(to_string(loaded.diagnostics), "");
    EXPECT_EQ(loaded.connections.size(), 1U);
  }
}

TEST(ManualPage, HasEverySupportedWord) {
  const auto page = read_text(kRoot + "/man/ipsec.conf.5");
  for (const auto& keyword : all_keywords()) {
    if (keyword.standing != Standing::kSupported) continue;
    const auto word = (keyword.scope == Scope::kEnd ? "left" : "") + std::string(keyword.name);
    EXPECT_NE(page.find("\n.It Cm " + word + " Ns = Ns"), std::string::npos) << word;
  }
}

TEST(ManualPage, NamesNoWordThatIsNotSupported) {
  std::istringstream lines(read_text(kRoot + "/man/ipsec.conf.5"));
  std::string line;
  int words = 0;
  while (std::getline(lines, line)) {
    const auto end = line.find(" Ns = Ns");
    if (!line.starts_with(".It Cm ") || end == std::string::npos) continue;
    const auto word = line.substr(7, end - 7);
    const auto* conn = find_keyword(word, false);
    const auto* setup = find_keyword(word, true);
    const bool supported = (conn != nullptr && conn->standing == Standing::kSupported) ||
                           (setup != nullptr && setup->standing == Standing::kSupported);
    EXPECT_TRUE(supported) << word;
    ++words;
  }
  EXPECT_GT(words, 60);
}

}  // namespace
}  // namespace cygnet::config
