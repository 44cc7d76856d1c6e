// SPDX-License-Identifier: Apache-2.0
// Several peers behind one NAT in transport mode (RFC 3948 section 5.2).
#include "engine/shared_addresses.h"

#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

constexpr std::string_view kNat = "203.0.113.9";
constexpr std::string_view kServer = "198.51.100.1";

class SharedAddress : public ::testing::Test {
 protected:
  struct Client {
    std::uint16_t nat_port = 0;
    std::uint32_t number = 0;  // of its child
    std::uint64_t sequence = 0;
  };

  [[nodiscard]] static model::SaSpec spec(const Client& client, model::Direction direction) {
    const bool out = direction == model::Direction::kOutbound;
    model::SaSpec s;
    s.direction = direction;
    s.spi = Spi{(out ? 0x5000 : 0x4000) + client.number};
    s.child = model::ChildId{client.number};
    s.policy = kPolicy;
    s.mode = model::Mode::kTransport;
    s.local = {ip(kServer), 4500};
    s.remote = {ip(kNat), client.nat_port};
    s.udp_encapsulation = true;
    s.encryption = model::EncryptionId::kAesGcm16;
    s.encryption_bits = 128;
    s.encryption_key = key_of(20, static_cast<std::uint8_t>(s.spi.value * 3));
    s.local_selectors = selectors({std::string(kServer) + "/32"});
    s.remote_selectors = selectors({std::string(kNat) + "/32"});
    return s;
  }
  void SetUp() override {
    model::PolicySpec p;
    p.id = kPolicy;
    p.local = selectors({std::string(kServer) + "/32"});
    p.remote = selectors({std::string(kNat) + "/32"});
    p.mode = model::Mode::kTransport;
    ASSERT_TRUE(server.engine.install_policy(p));
  }
  void connect(const Client& client) {
    for (const auto direction : {model::Direction::kInbound, model::Direction::kOutbound}) {
      ASSERT_TRUE(server.engine.install_sa(spec(client, direction), server.now));
    }
  }
  // The upper layer of a packet, as the client's ESP carries it, arrives.
  Outcome from(Client& client, const Bytes& packet) {
    server.from_local = {ip(kServer), 4500};
    server.from_remote = {ip(kNat), client.nat_port};
    server.from_udp = true;
    return server.receive(seal_by_hand(spec(client, model::Direction::kInbound), ++client.sequence,
                                       ByteView(packet).subspan(20), packet[9]));
  }
  Outcome l2tp_from(Client& client) { return from(client, udp_packet("10.0.0.2", kServer, 30, {}, 1701, 1701)); }
  Outcome to_port(std::uint16_t port) { return server.send(udp_packet(kServer, kNat, 40, {}, 1701, port)); }
  // The UDP header and data that a client gets.
  [[nodiscard]] Bytes opened(const Client& client, const Outcome& outcome) const {
    const auto esp = outcome.esp().at(0);
    EXPECT_EQ(load_be32(esp.data()), 0x5000 + client.number);
    EXPECT_EQ(outcome.sent.at(0).way.remote.port, client.nat_port);
    return open_by_hand(spec(client, model::Direction::kOutbound), esp, load_be32(&esp[4])).first;
  }

  static constexpr model::PolicyId kPolicy{7};
  Gateway server{1};
  Client alice{20001, 1};
  Client bob{30001, 2};
};

TEST_F(SharedAddress, EachAnswerGoesToWhoAsked) {
  connect(alice);
  connect(bob);
  const auto first = l2tp_from(alice);
  ASSERT_EQ(first.packets().size(), 1U);
  EXPECT_EQ(load_be16(&first.packets()[0][20]), 1701);
  const auto second = l2tp_from(bob);
  ASSERT_EQ(second.packets().size(), 1U);
  EXPECT_EQ(load_be16(&second.packets()[0][20]), 49152) << "alice has 1701";
  EXPECT_EQ(load_be16(&second.packets()[0][22]), 1701);
  EXPECT_TRUE(checksum_right(second.packets()[0]));
  EXPECT_EQ(load_be16(&l2tp_from(bob).packets().at(0)[20]), 49152) << "and keeps it";
  EXPECT_EQ(load_be16(opened(alice, to_port(1701)).data() + 2), 1701);
  const auto answer = opened(bob, to_port(49152));
  EXPECT_EQ(load_be16(answer.data() + 2), 1701);
  const auto whole = ip_packet(kServer, kNat, wire::protocol::kUdp, answer);
  EXPECT_TRUE(checksum_right(whole));
}

TEST_F(SharedAddress, TcpToo) {
  connect(alice);
  connect(bob);
  TcpOptions tcp;
  tcp.source_port = 5000;
  tcp.destination_port = 80;
  const auto syn = tcp_packet("10.0.0.2", kServer, tcp);
  from(alice, syn);
  const auto got = from(bob, syn).packets().at(0);
  EXPECT_EQ(load_be16(&got[20]), 49152);
  EXPECT_TRUE(checksum_right(got));
  tcp.source_port = 80;
  tcp.destination_port = 49152;
  const auto answer = opened(bob, server.send(tcp_packet(kServer, kNat, tcp)));
  EXPECT_EQ(load_be16(answer.data() + 2), 5000);
  EXPECT_TRUE(checksum_right(ip_packet(kServer, kNat, wire::protocol::kTcp, answer)));
  // Large sends of the device have their checksum still to be completed.
  tcp.payload = pattern(3000);
  auto super = tcp_packet(kServer, kNat, tcp);
  const auto sum = wire::pseudo_header_sum(wire::source_octets(super), wire::destination_octets(super),
                                           wire::protocol::kTcp, static_cast<std::uint32_t>(super.size() - 20));
  store_be16(&super[36], wire::checksum_fold(sum));
  const auto sent = server.send(super, {.needs_checksum = true,
                                        .gso = Offload::Gso::kTcpV4,
                                        .header_octets = 40,
                                        .segment_octets = 1000,
                                        .checksum_start = 20,
                                        .checksum_offset = 16});
  ASSERT_EQ(sent.esp().size(), 3U);
  for (const auto& esp : sent.esp()) {
    const auto segment = open_by_hand(spec(bob, model::Direction::kOutbound), esp, load_be32(&esp[4])).first;
    EXPECT_EQ(load_be16(segment.data() + 2), 5000);
    EXPECT_TRUE(checksum_right(ip_packet(kServer, kNat, wire::protocol::kTcp, segment)));
  }
}

TEST_F(SharedAddress, WithoutAnythingToTellThemApartNothingGoes) {
  connect(alice);
  EXPECT_EQ(opened(alice, to_port(9999)).size(), 48U) << "one peer: no question";
  connect(bob);
  EXPECT_EQ(to_port(9999).dropped, std::vector{DropReason::kSharedAddress});
  // Neither has GRE ports: the second one is refused while the first one speaks.
  const auto gre = ip_packet("10.0.0.2", kServer, 47, pattern(20));
  EXPECT_EQ(from(alice, gre).packets().size(), 1U);
  EXPECT_EQ(from(bob, gre).dropped, std::vector{DropReason::kSharedAddress});
  server.now += SharedAddresses::kIdle;
  EXPECT_EQ(from(bob, gre).packets().size(), 1U);
}

TEST_F(SharedAddress, PingsAreToldApartByTheirIdentifier) {
  connect(alice);
  connect(bob);
  const auto echo = [](std::uint8_t type, std::uint16_t id) {
    Bytes icmp(16);
    icmp[0] = type;
    store_be16(&icmp[4], id);
    store_be16(&icmp[2], wire::internet_checksum(icmp));
    return icmp;
  };
  EXPECT_EQ(from(alice, ip_packet("10.0.0.2", kServer, 1, echo(8, 11))).packets().size(), 1U);
  EXPECT_EQ(from(bob, ip_packet("10.0.0.2", kServer, 1, echo(8, 12))).packets().size(), 1U);
  (void)opened(bob, server.send(ip_packet(kServer, kNat, 1, echo(0, 12))));
  (void)opened(alice, server.send(ip_packet(kServer, kNat, 1, echo(0, 11))));
}

TEST_F(SharedAddress, FlowsOutliveRekeysAndMoves) {
  connect(alice);
  connect(bob);
  l2tp_from(alice);
  l2tp_from(bob);
  Client rekeyed{bob.nat_port, 3};
  connect(rekeyed);
  EXPECT_EQ(load_be16(opened(rekeyed, to_port(49152)).data() + 2), 1701);
  EXPECT_EQ(load_be16(&l2tp_from(rekeyed).packets().at(0)[20]), 49152);
  // The NAT gives alice another port.
  ASSERT_TRUE(server.engine.update_endpoints(model::ChildId{1}, {ip(kServer), 4500}, {ip(kNat), 20777}, true));
  alice.nat_port = 20777;
  EXPECT_EQ(opened(alice, to_port(1701)).size(), 48U);
  EXPECT_EQ(load_be16(&l2tp_from(alice).packets().at(0)[20]), 1701);
}

TEST_F(SharedAddress, WhoIsGoneKeepsNoPort) {
  connect(alice);
  connect(bob);
  l2tp_from(alice);
  ASSERT_TRUE(server.engine.remove_sa(model::Direction::kInbound, Spi{0x4001}, model::ChildId{1}));
  ASSERT_TRUE(server.engine.remove_sa(model::Direction::kOutbound, Spi{0x5001}, model::ChildId{1}));
  EXPECT_EQ(to_port(1701).dropped, std::vector{DropReason::kSharedAddress}) << "it was alice's";
  EXPECT_EQ(load_be16(&l2tp_from(bob).packets().at(0)[20]), 1701);
  EXPECT_EQ(opened(bob, to_port(1701)).size(), 48U);
}

TEST_F(SharedAddress, APortThatNoSelectorCoversIsNotGiven) {
  for (auto* client : {&alice, &bob}) {
    for (const auto direction : {model::Direction::kInbound, model::Direction::kOutbound}) {
      auto narrow = spec(*client, direction);
      narrow.remote_selectors = selectors({std::string(kNat) + "/32[udp/1701]"});
      ASSERT_TRUE(server.engine.install_sa(narrow, server.now));
    }
  }
  EXPECT_EQ(l2tp_from(alice).packets().size(), 1U);
  EXPECT_EQ(l2tp_from(bob).dropped, std::vector{DropReason::kSharedAddress});
}

TEST_F(SharedAddress, WhoSharesNothingIsNotBounded) {
  connect(alice);
  std::size_t delivered = 0;
  for (std::uint16_t i = 0; i < 5000; ++i) {
    const auto packet = udp_packet("10.0.0.2", kServer, 1, {}, static_cast<std::uint16_t>(1000 + i), 53);
    delivered += from(alice, packet).packets().size();
  }
  EXPECT_EQ(delivered, 5000U);
}

TEST(SharedAddresses, PortsOfThoseWhoAreGoneAreFree) {
  SharedAddresses shared;
  std::uint16_t living = 1;
  const auto lives = [&](const Endpoint& peer) { return peer.port == 1 || peer.port == living; };
  const Instant now{1h};
  const SharedAddresses::Flow flow{
      .local = ip(kServer), .remote = ip(kNat), .protocol = 17, .local_port = 1701, .remote_port = 1701};
  EXPECT_EQ(shared.on_inbound({ip(kNat), 1}, flow, now, lives), 1701);
  for (std::uint16_t peer = 2; peer < 20000; ++peer) {
    living = peer;
    ASSERT_TRUE(shared.on_inbound({ip(kNat), peer}, flow, now, lives)) << peer;
  }
  EXPECT_LE(shared.size(), 16385U);
}

TEST(SharedAddresses, AreBounded) {
  SharedAddresses shared;
  const auto lives = [](const Endpoint&) { return true; };
  Instant now{1h};
  const Endpoint peer{ip(kNat), 20001};
  SharedAddresses::Flow flow{.local = ip(kServer), .remote = ip(kNat), .protocol = 17};
  for (std::uint16_t i = 0; i < SharedAddresses::kMostOfPeer; ++i) {
    flow.remote_port = i;
    EXPECT_EQ(shared.on_inbound(peer, flow, now, lives), i);
  }
  flow.remote_port = 60000;
  EXPECT_FALSE(shared.on_inbound(peer, flow, now, lives)) << "one peer does not fill the table";
  EXPECT_EQ(shared.on_inbound({ip(kNat), 30001}, flow, now, lives), 60000);
  EXPECT_EQ(shared.size(), SharedAddresses::kMostOfPeer + 1);
  flow.remote_port = 60001;
  EXPECT_EQ(shared.on_inbound(peer, flow, now + SharedAddresses::kIdle, lives), 60001);
  EXPECT_EQ(shared.size(), 1U) << "what is idle made room";
  // Another address: what was seen under the old one is nobody's.
  shared.move(peer, {ip("203.0.113.77"), 20001});
  EXPECT_EQ(shared.size(), 0U);
}

}  // namespace
}  // namespace cygnet::engine::test
