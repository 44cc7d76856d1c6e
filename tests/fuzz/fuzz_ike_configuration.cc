// SPDX-License-Identifier: Apache-2.0
// Configuration payloads of authenticated but hostile peers: octet 0 even, one that asks us for addresses; odd, one
// that assigns us some. The rest is the payload's body. What comes of it is usable, bounded, and all of it is given
// back.
#include <cstdlib>
#include <memory>

#include "base/bytes.h"
#include "ike/v2/configuration.h"
#include "ike/v2/world.h"
#include "support/connections.h"
#include "support/pool_source.h"
#include "wire/ike/configuration_payload.h"

using namespace cygnet;

namespace {

namespace wi = wire::ike;

void check(bool holds) {
  if (!holds) std::abort();
}

struct Scene {
  test::PoolSource pools;
  SeededRandom random{1};
  ike::v2::World world{{.addresses = &pools}, random};
  ike::v2::IkeSa sa;

  explicit Scene(model::Connection connection) {
    pools.pools.configure({connection});
    sa.connection = std::make_shared<const model::Connection>(std::move(connection));
    sa.spi_i = IkeSpi(1);
    sa.spi_r = IkeSpi(2);
    sa.remote_id = *model::Identity::parse("@peer.test");
    sa.path = {{test::address("192.0.2.1"), 500}, {test::address("198.51.100.1"), 500}, false};
  }
};

model::Connection gateway() {
  auto out = test::tunnel("tun");
  out.children[0].remote = {};
  for (const auto* text : {"10.9.0.0/24", "2001:db8:9::/64"})
    out.remote.pools.push_back({model::usable_range(*IpPrefix::parse(text)), text});
  out.dns = {test::address("10.1.0.53"), test::address("2001:db8:1::53")};
  out.dns_domains = {"corp.example"};
  return out;
}

model::Connection roadwarrior() {
  auto out = test::tunnel("tun");
  out.local.request_ip4 = out.local.request_ip6 = true;
  out.children[0].local = {};
  return out;
}

void be_asked(const wi::ConfigurationPayload& payload) {
  Scene s(gateway());
  wi::Payloads answer;
  const auto refusal = ike::v2::assign_addresses(s.world, s.sa, {payload}, answer);
  const auto& got = s.sa.assigned.addresses;
  check(refusal.has_value() == got.empty());
  check(got.size() <= 2 && s.pools.pools.in_use() == got.size());
  check(answer.size() == (got.empty() ? 0 : 1));
  if (!answer.empty()) {
    // What we say, we can read ourselves.
    ByteWriter out;
    wi::serialize(std::get<wi::ConfigurationPayload>(answer[0]), out);
    const auto bytes = std::move(out).take();
    check(wi::parse_configuration(ByteView(bytes)).has_value());
  }
  for (const auto& address : got) check(model::is_assignable(address) && !model::ends_in_zeros(address));
  ike::v2::give_addresses_back(s.world, s.sa);
  check(s.pools.pools.in_use() == 0);
}

void be_told(const wi::ConfigurationPayload& payload) {
  Scene s(roadwarrior());
  s.sa.initiator = true;
  const auto refusal = ike::v2::take_addresses(s.world, s.sa, {payload});
  const auto& got = s.sa.assigned;
  check(refusal.has_value() == got.addresses.empty());
  check(got.addresses.size() <= 2 && got.dns.size() <= 8 && got.domains.size() <= 64);
  for (const auto& address : got.addresses) check(model::is_assignable(address) && address != s.sa.path.remote.address);
  for (const auto& server : got.dns) check(model::is_assignable(server));
  for (const auto& domain : got.domains) check(model::is_domain_name(domain));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const auto payload = wi::parse_configuration(ByteView(data + 1, size - 1));
  if (!payload) return 0;
  data[0] % 2 == 0 ? be_asked(*payload) : be_told(*payload);
  return 0;
}
