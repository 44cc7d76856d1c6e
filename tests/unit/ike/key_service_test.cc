// SPDX-License-Identifier: Apache-2.0
#include "ike/auth/key_service.h"

#include <gtest/gtest.h>

namespace cygnet::ike::auth {
namespace {

model::SharedSecret secret(std::string source, std::initializer_list<std::string_view> ids, bool any_peer = false) {
  model::SharedSecret out;
  for (const auto id : ids) out.ids.push_back(*model::Identity::parse(id));
  out.any_peer = any_peer || ids.size() == 0;
  out.secret.assign(source.begin(), source.end());
  out.source = std::move(source);
  return out;
}

PskQuery query(std::string_view local_id, std::string_view remote_id) {
  return {*model::Identity::parse(local_id), *model::Identity::parse(remote_id), *IpAddress::parse("192.0.2.1"),
          *IpAddress::parse("198.51.100.1")};
}

std::string chosen(const std::vector<model::SharedSecret>& secrets, const PskQuery& q) {
  const auto* found = find_secret(secrets, q);
  return found == nullptr ? "none" : found->source;
}

TEST(FindSecret, MostSpecificWinsWhateverTheOrder) {
  std::vector<model::SharedSecret> all{secret("anyone", {}), secret("peer", {"@b"}),
                                       secret("addresses", {"192.0.2.1", "198.51.100.1"}),
                                       secret("pair", {"@a", "@b"})};
  EXPECT_EQ(chosen(all, query("@a", "@b")), "pair");
  all.pop_back();
  EXPECT_EQ(chosen(all, query("@a", "@b")), "addresses");
  all.pop_back();
  EXPECT_EQ(chosen(all, query("@a", "@b")), "peer");
  all.pop_back();
  EXPECT_EQ(chosen(all, query("@a", "@b")), "anyone");
}

TEST(FindSecret, OrderOfTheNamesDoesNotMatter) {
  EXPECT_EQ(chosen({secret("pair", {"@b", "@a"})}, query("@a", "@b")), "pair");
}

TEST(FindSecret, AKeyForTwoIsNotForAThird) {
  EXPECT_EQ(chosen({secret("pair", {"@a", "@b"})}, query("@a", "@c")), "none");
  EXPECT_EQ(chosen({secret("pair", {"@a", "@b"})}, query("@c", "@b")), "none");
}

TEST(FindSecret, AnyPeerOfOurs) { EXPECT_EQ(chosen({secret("road", {"@a"}, true)}, query("@a", "@c")), "road"); }

TEST(FindSecret, FirstAmongEquals) {
  EXPECT_EQ(chosen({secret("one", {"@b"}), secret("two", {"@b"})}, query("@a", "@b")), "one");
}

TEST(PskAuth, FailsWithALineToWrite) {
  const LocalKeys keys({});
  const auto auth = keys.psk_auth(model::PrfId::kHmacSha2_256, query("@a", "@b"), {});
  ASSERT_FALSE(auth);
  EXPECT_NE(auth.error().message.find("ipsec.secrets"), std::string::npos);
}

TEST(PskAuth, DependsOnKeyAndOctets) {
  const LocalKeys one({secret("one", {})});
  const LocalKeys two({secret("two", {})});
  const Bytes octets = to_bytes("signed");
  const auto q = query("@a", "@b");
  const auto a = one.psk_auth(model::PrfId::kHmacSha2_256, q, octets);
  ASSERT_TRUE(a);
  EXPECT_EQ(a->value.size(), 32U);
  EXPECT_EQ(a->value, one.psk_auth(model::PrfId::kHmacSha2_256, q, octets)->value);
  EXPECT_NE(a->value, two.psk_auth(model::PrfId::kHmacSha2_256, q, octets)->value);
  EXPECT_NE(a->value, one.psk_auth(model::PrfId::kHmacSha2_256, q, to_bytes("signet"))->value);
  EXPECT_EQ(one.psk_auth(model::PrfId::kHmacSha2_512, q, octets)->value.size(), 64U);
}

}  // namespace
}  // namespace cygnet::ike::auth
