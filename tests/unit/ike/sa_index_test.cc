// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/sa_index.h"

#include <gtest/gtest.h>

namespace cygnet::ike::v2 {
namespace {

model::Identity fqdn(std::string_view text) { return {model::IdType::kFqdn, to_bytes(text)}; }

ConnectionPtr expecting(std::string name, std::optional<model::Identity> id) {
  auto c = std::make_shared<model::Connection>();
  c->name = std::move(name);
  c->remote.id = std::move(id);
  return c;
}

TEST(SaIndex, FindsByEveryNameUntilRenamed) {
  SaIndex index;
  std::vector<SaIndex::Name> of_a, of_b;
  const auto first = SaIndex::of_connection("office");
  const auto second = SaIndex::of_connection("home");
  index.rename(IkeSpi(9), of_a, {first, second, first});
  index.rename(IkeSpi(5), of_b, {first});
  EXPECT_EQ(index.find(first), (std::vector{IkeSpi(5), IkeSpi(9)}));
  EXPECT_EQ(index.find(second), (std::vector{IkeSpi(9)}));
  EXPECT_EQ(index.size(), 3U);
  index.rename(IkeSpi(9), of_a, {second});
  EXPECT_EQ(index.find(first), (std::vector{IkeSpi(5)}));
  EXPECT_EQ(index.find(second), (std::vector{IkeSpi(9)}));
  index.rename(IkeSpi(9), of_a, {});
  index.rename(IkeSpi(5), of_b, {});
  EXPECT_EQ(index.size(), 0U);
  EXPECT_TRUE(of_a.empty());
}

TEST(SaIndex, MatchingIdentitiesHaveOneName) {
  const auto local = fqdn("gate.test");
  EXPECT_EQ(SaIndex::of_ends(local, fqdn("Peer.Test")), SaIndex::of_ends(local, fqdn("peer.test")));
  EXPECT_NE(SaIndex::of_ends(local, fqdn("peer.test")), SaIndex::of_ends(fqdn("peer.test"), local));
  EXPECT_NE(hash_of(fqdn("a")), hash_of({model::IdType::kKeyId, to_bytes("a")}));
}

TEST(ConnectionIndex, OffersWhoExpectsThePeerInTheOrderWritten) {
  ConnectionIndex index;
  auto anyone = expecting("anyone", std::nullopt);
  auto bob = expecting("bob", fqdn("bob.test"));
  auto eve = expecting("eve", fqdn("eve.test"));
  index.rebuild({eve, anyone, bob});
  EXPECT_EQ(index.expecting(fqdn("BOB.test")), (std::vector<ConnectionPtr>{anyone, bob}));
  EXPECT_EQ(index.expecting(fqdn("eve.test")), (std::vector<ConnectionPtr>{eve, anyone}));
  EXPECT_EQ(index.expecting(fqdn("nobody.test")), (std::vector<ConnectionPtr>{anyone}));
  EXPECT_EQ(index.find("bob"), bob);
  EXPECT_EQ(index.find("carol"), nullptr);
  index.rebuild({anyone});
  EXPECT_EQ(index.find("bob"), nullptr);
}

}  // namespace
}  // namespace cygnet::ike::v2
