// SPDX-License-Identifier: Apache-2.0
#include "config/setup_changes.h"

#include <map>
#include <set>

#include "config/keywords.h"
#include "unit/config/config_test_support.h"

namespace cygnet::config {
namespace {

SetupInForce setup_of(const std::string& words) {
  const auto loaded = load_text("config setup\n" + words);
  EXPECT_TRUE(loaded.ok()) << words << to_string(loaded.diagnostics);
  return {loaded.setup, loaded.threads};
}

// Every word of config setup that this program knows: a new one needs a place here, and in words_for_restart() unless
// it has its effect at once.
TEST(SetupChanges, EveryWordIsNamedThatTakesARestart) {
  const std::map<std::string_view, std::pair<std::string, std::string>> words{
      {"devices", {"ipsec0,ipsec1", "devices"}},
      {"engine", {"auto", "engine"}},
      {"allow-key-export", {"yes", "allow-key-export"}},
      {"ikeport", {"1500", "ikeport"}},
      {"ike-port", {"1500", "ikeport"}},
      {"nat-ikeport", {"14500", "nat-ikeport"}},
      {"nat-port", {"14500", "nat-ikeport"}},
      {"fwmark", {"77", "fwmark"}},
      {"route-table", {"77", "route-table"}},
      {"rule-priority", {"77", "rule-priority"}},
      {"ddos-ike-threshold", {"77", "cookie-threshold"}},
      {"cookie-threshold", {"77", "cookie-threshold"}},
      {"max-halfopen-ike", {"7777", "half-open-limit"}},
      {"half-open-limit", {"7777", "half-open-limit"}},
      {"half-open-per-address", {"77", "half-open-per-address"}},
      {"half-open-per-network", {"77", "half-open-per-network"}},
      {"puzzle-threshold", {"77", "puzzle-threshold"}},
      {"puzzle-difficulty", {"7", "puzzle-difficulty"}},
      {"auth-puzzle-threshold", {"77", "auth-puzzle-threshold"}},
      {"auth-puzzle-difficulty", {"7", "auth-puzzle-difficulty"}},
      {"hardest-puzzle", {"7", "hardest-puzzle"}},
      {"uniqueids", {"keep", "uniqueids"}},
      {"ike-sas-per-identity", {"77", "ike-sas-per-identity"}},
      {"workers", {"7", "workers"}},
      {"worker-cpus", {"0", "worker-cpus"}},
      {"busy-poll", {"77", "busy-poll"}},
      {"esp-path", {"xdp", "esp-path"}},
      {"crypto-threads", {"2", "crypto-threads"}},
      {"crypto-cpus", {"0", "crypto-threads, crypto-cpus"}},  // for which there is one thread
      {"crypto-cpu", {"77%", "crypto-threads, crypto-cpu"}},
  };
  // These are read anew with each reload, or stand in connections.
  const std::set<std::string_view> at_once{"log-level",  "keep-alive",  "pkcs11module", "strictcrlpolicy",
                                           "crl-strict", "ocsp-strict", "plutodebug"};
  const auto usual = setup_of("");
  for (const auto& keyword : all_keywords()) {
    if (keyword.scope != Scope::kSetup || keyword.standing != Standing::kSupported) continue;
    if (at_once.contains(keyword.name)) continue;
    const auto word = words.find(keyword.name);
    ASSERT_NE(word, words.end()) << keyword.name;
    const auto& [value, named] = word->second;
    const auto other = setup_of("\t" + std::string(keyword.name) + "=" + value + "\n");
    EXPECT_EQ(words_for_restart(usual, other), named) << keyword.name;
    EXPECT_EQ(words_for_restart(other, usual), named) << keyword.name;
  }
  EXPECT_EQ(words_for_restart(usual, setup_of("\tlog-level=debug\n")), "");
  EXPECT_EQ(words_for_restart(usual, setup_of("\tikeport=1500\n\tdevices=ipsec7\n\tworkers=2\n")),
            "devices, ikeport, workers");
}

}  // namespace
}  // namespace cygnet::config
