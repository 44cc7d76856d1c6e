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
  const auto rename = [&](IkeSpi spi, auto& known, std::vector<SaIndex::Name> names) {
    index.rename(spi, known, names);
  };
  const auto first = SaIndex::of_connection("office");
  const auto second = SaIndex::of_connection("home");
  rename(IkeSpi(9), of_a, {first, second, first});
  rename(IkeSpi(5), of_b, {first});
  EXPECT_EQ(index.find(first), (std::vector{IkeSpi(5), IkeSpi(9)}));
  EXPECT_EQ(index.find(second), (std::vector{IkeSpi(9)}));
  EXPECT_EQ(index.size(), 3U);
  rename(IkeSpi(9), of_a, {second});
  EXPECT_EQ(index.find(first), (std::vector{IkeSpi(5)}));
  EXPECT_EQ(index.find(second), (std::vector{IkeSpi(9)}));
  rename(IkeSpi(9), of_a, {});
  rename(IkeSpi(5), of_b, {});
  EXPECT_EQ(index.size(), 0U);
  EXPECT_TRUE(of_a.empty());
}

TEST(SaIndex, MatchingIdentitiesHaveOneName) {
  const auto local = fqdn("gate.test");
  EXPECT_EQ(SaIndex::of_ends(local, fqdn("Peer.Test")), SaIndex::of_ends(local, fqdn("peer.test")));
  EXPECT_NE(SaIndex::of_ends(local, fqdn("peer.test")), SaIndex::of_ends(fqdn("peer.test"), local));
  EXPECT_NE(hash_of(fqdn("a")), hash_of({model::IdType::kKeyId, to_bytes("a")}));
}

TEST(SaIndex, DistinguishedNamesThatAreEqualHaveOneName) {
  const auto dn = [](const char* text) { return model::Identity::parse(text).value(); };
  const auto moon = dn("C=DE, O=Example, CN=moon");
  for (const auto* same : {"C=de, O=EXAMPLE, CN=Moon", "CN=moon, O=Example, C=DE", "C=DE, O=  Example , CN=moon"}) {
    ASSERT_TRUE(moon.matches(dn(same))) << same;
    EXPECT_EQ(hash_of(moon), hash_of(dn(same))) << same;
  }
  auto printable = moon;  // the same with UTF8String for PrintableString, or the other way round
  for (auto& octet : printable.data) octet = octet == 0x0c ? 0x13 : octet == 0x13 ? 0x0c : octet;
  ASSERT_TRUE(moon.matches(printable));
  EXPECT_EQ(hash_of(moon), hash_of(printable));
  EXPECT_NE(hash_of(moon), hash_of(dn("C=DE, O=Example, CN=sun")));
}

TEST(ConnectionIndex, APatternIsOfferedToAllOfItsKind) {
  ConnectionIndex index;
  const auto family = expecting("family", fqdn("*.test"));
  const auto mails = expecting("mails", model::Identity{model::IdType::kRfc822Addr, to_bytes("*@example.org")});
  const auto names = expecting("names", model::Identity::parse("C=DE, O=Example, CN=*"));
  const auto bob = expecting("bob", fqdn("bob.test"));
  index.rebuild({family, mails, names, bob});
  const auto offered = [&](const model::Identity& id) {
    std::string text;
    for (const auto& c : index.expecting(id)) text += c->name + " ";
    return text;
  };
  EXPECT_EQ(offered(fqdn("eve.test")), "family mails names ");
  EXPECT_EQ(offered(fqdn("bob.test")), "family mails names bob ");
  EXPECT_EQ(offered(*model::Identity::parse("C=DE, O=Example, CN=moon")), "family mails names ");
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

ConnectionPtr between(std::string name, std::string_view local, std::string_view remote, std::uint16_t bits = 128) {
  const auto host = [](std::string_view text) {
    model::HostSpec out;
    out.kind = text == "%any" ? model::HostSpec::Kind::kAny : model::HostSpec::Kind::kAddress;
    if (const auto address = IpAddress::parse(text)) out.address = *address;
    return out;
  };
  auto c = std::make_shared<model::Connection>();
  c->name = std::move(name);
  c->local.host = host(local);
  c->remote.host = host(remote);
  c->proposals = {{model::Protocol::kIke, {{model::TransformType::kEncryption, 20, bits}}}};
  return c;
}

TEST(ConnectionIndex, OffersByAddressTheMostSpecificFirstAndEachKindOfProposalsOnce) {
  ConnectionIndex index;
  const auto anywhere = between("anywhere", "%any", "%any");
  const auto here = between("here", "192.0.2.1", "%any");
  const auto peer = between("peer", "%any", "198.51.100.1");
  const auto both = between("both", "192.0.2.1", "198.51.100.1");
  const auto both_again = between("both-again", "192.0.2.1", "198.51.100.1");
  const auto both_stronger = between("both-stronger", "192.0.2.1", "198.51.100.1", 256);
  auto unresolved = std::make_shared<model::Connection>(*anywhere);
  unresolved->remote.host.kind = model::HostSpec::Kind::kName;
  index.rebuild({anywhere, unresolved, here, peer, both, both_again, both_stronger});
  const auto us = *IpAddress::parse("192.0.2.1");
  const auto them = *IpAddress::parse("198.51.100.1");
  const auto other = *IpAddress::parse("203.0.113.1");
  EXPECT_EQ(index.by_path(us, them), (std::vector<ConnectionPtr>{both, both_stronger, peer, here, anywhere}));
  EXPECT_EQ(index.by_path(us, other), (std::vector<ConnectionPtr>{here, anywhere}));
  EXPECT_EQ(index.by_path(other, them), (std::vector<ConnectionPtr>{peer, anywhere}));
  index.rebuild({both});
  EXPECT_EQ(index.by_path(us, other), std::vector<ConnectionPtr>{});
}

}  // namespace
}  // namespace cygnet::ike::v2
