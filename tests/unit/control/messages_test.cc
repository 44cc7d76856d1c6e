// SPDX-License-Identifier: Apache-2.0
#include "control/messages.h"

#include <gtest/gtest.h>

#include "control/describe.h"
#include "control/frame.h"
#include "control/wireshark.h"

namespace cygnet::control {
namespace {

StatusReport some_status() {
  ChildReport child;
  child.name = "net/1x1";
  child.spi_in = Spi(0xc0000001);
  child.spi_out = Spi(0x1f);
  child.algorithms = "AES_GCM_16_256";
  child.mode = "tunnel";
  child.local = {"10.1.0.0/16", "2001:db8:1::/48"};
  child.remote = {"10.2.0.0/16"};
  child.device = "ipsec0";
  child.udp_encapsulation = true;
  child.established_s = 12;
  child.rekey_in_s = 3000;
  child.rekeys = 2;
  child.in = {10, 1000, 1, 3};
  child.out = {11, 1100, 0, std::nullopt};
  child.iptfs = TfsReport{10000000, 20000000, true, 1400, TfsTraffic{1, 2, 3, 4, 5}, std::nullopt};
  child.diet_esp = 2;
  child.traffic = "latency";
  IkeReport ike;
  ike.state = "established";
  ike.initiator = true;
  ike.spi_i = IkeSpi(0x0123456789abcdef);
  ike.spi_r = IkeSpi(1);
  ike.local = {*IpAddress::parse("192.0.2.1"), 4500};
  ike.remote = {*IpAddress::parse("2001:db8::2"), 500};
  ike.local_id = "gw-a";
  ike.remote_id = "gw-b";
  ike.nat = "local";
  ike.pending = {"CREATE_CHILD_SA"};
  ike.children = {child};
  StatusReport status;
  status.version = "0.1.0";
  status.uptime_s = 99;
  status.engine_connected = false;
  status.connections = {
      {"net", State::kUp, "192.0.2.1", "%any", "", {ike}, {{"net/1x2", State::kWaiting, "10.1.0.0/16", "10.3.0.0/16"}}},
      {"idle", State::kDown, "192.0.2.1", "192.0.2.9", "no answer", {}, {}}};
  status.threads = {{"packets", true, 3, 1200, 45}, {"ciphers", false, 0, 7, 1}};
  status.esp_interfaces = {{"eth0", 1234, 7}};
  status.pool_routes = {{"10.9.0.0/24", "10.0.0.0/8", true}};
  status.covered_links = {{"10.8.0.0/24", "lan"}};
  status.outward_problem = "none";
  status.held = 7;
  status.ciphers = {1, 2, 3, 4};
  status.ike.datagrams_in = 18446744073709551615ULL;
  return status;
}

template <typename T>
void expect_round_trip(const T& request) {
  const auto decoded = decode_request(encode(Request(request)));
  ASSERT_TRUE(decoded) << decoded.error().message;
  ASSERT_TRUE(std::holds_alternative<T>(*decoded));
  EXPECT_EQ(std::get<T>(*decoded), request);
}

TEST(ControlMessages, RequestsSurviveTheWire) {
  expect_round_trip(UpRequest{"net", "net/1x1"});
  expect_round_trip(DownRequest{"net", ""});
  expect_round_trip(RekeyRequest{"net", "", true});
  expect_round_trip(StatusRequest{"net", false});
  expect_round_trip(StatusRequest{"", true});
  expect_round_trip(ListRequest{});
  expect_round_trip(ReloadRequest{});
  expect_round_trip(ExplainRequest{*IpAddress::parse("10.1.0.5"), *IpAddress::parse("10.2.0.5"), 6, 443});
  expect_round_trip(
      ExplainRequest{*IpAddress::parse("2001:db8::1"), *IpAddress::parse("2001:db8::2"), 0, std::nullopt});
  expect_round_trip(DropsRequest{});
  expect_round_trip(MonitorRequest{"net"});
  expect_round_trip(DebugKeysRequest{});
  expect_round_trip(DebugTransitionsRequest{});
  expect_round_trip(DoctorRequest{});
  expect_round_trip(ShutdownRequest{});
  expect_round_trip(CertsRequest{});
  expect_round_trip(LeasesRequest{});
  expect_round_trip(ReleaseLeaseRequest{*IpAddress::parse("fd09::7")});
}

void expect_round_trip(const Response& response) {
  const auto decoded = decode_response(encode(response));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(*decoded, response);
}

TEST(ControlMessages, ResponsesSurviveTheWire) {
  expect_round_trip(
      Response(Progress{1700000000, Severity::kWarning, "net", "192.0.2.2:500", "no-answer", "line one\nline two"}));
  expect_round_trip(Response(Done{false, "no proposal chosen:\n  ours …", {}}));
  expect_round_trip(Response(Done{true, "", some_status()}));
  ListReport list;
  list.connections = {{"net",
                       "ipsec.conf:3",
                       "192.0.2.1",
                       "192.0.2.2",
                       "a",
                       "b",
                       "aes256gcm16",
                       "auto",
                       {{"net", "tunnel", "10.1.0.0/16", "10.2.0.0/16", "aes256gcm16", "start", "ipsec0"}}}};
  list.policies = {{7, 1000, "protect", true, "10.1.0.0/16", "10.2.0.0/16", "tunnel", "ipsec0", "net", "net"}};
  expect_round_trip(Response(Done{true, "", list}));
  expect_round_trip(Response(Done{true, "", ReloadReport{{"a"}, {"b"}, {"c"}, {"d"}, {"w"}}}));
  ExplainReport explain;
  explain.question = {*IpAddress::parse("10.1.0.5"), *IpAddress::parse("10.2.0.5"), 17, 53};
  explain.verdict = "protect";
  explain.policy = list.policies[0];
  explain.sas = {{"net",
                  "net",
                  Spi(5),
                  "AES_GCM_16_256",
                  {*IpAddress::parse("192.0.2.1"), 4500},
                  {*IpAddress::parse("192.0.2.2"), 4500},
                  true,
                  true,
                  9}};
  explain.why = {"because"};
  expect_round_trip(Response(Done{true, "", explain}));
  DropsReport drops;
  drops.drops[static_cast<std::size_t>(DropReason::kReplaySeen)] = 3;
  drops.bytes_in = 1ULL << 60;
  expect_round_trip(Response(Done{true, "", drops}));
  expect_round_trip(Response(Done{true, "", KeysReport{{"\"IPv4\",…"}, {"01,02"}}}));
  expect_round_trip(Response(Done{true, "", TransitionsReport{"table"}}));
  expect_round_trip(Response(Done{true, "",
                                  LeasesReport{{{"roadwarriors", "10.9.0.0/24", 254, 1, 2}},
                                               {{"10.9.0.7", "carol", "carol", true, "192.0.2.9", 60},
                                                {"10.9.0.8", "dave", "", false, "", 3600}}}}));
  DoctorFacts facts;
  facts.processes = {{"ike", 77, 1}};
  facts.devices = {"ipsec0"};
  facts.routes = {{"10.2.0.0/16", "ipsec0", "10.1.0.1"}};
  facts.status = some_status();
  facts.drops = drops;
  CertificateReport certificate;
  certificate.subject = "CN=moon";
  certificate.names = {"moon.example.org"};
  certificate.expires_in_s = -5;
  certificate.private_key = false;
  certificate.connections = {"net"};
  facts.certs.certificates = {certificate};
  facts.certs.crls = {{"root.crl", "CN=Root", false, 1700000000, 1700086400, ""},
                      {"http://x/", "", true, 0, {}, "404"}};
  expect_round_trip(Response(Done{true, "", facts}));
  expect_round_trip(Response(Done{true, "", SummaryReport{"0.2.0", 99, false, 10000, 9000, 9001, 7, 1000, {}}}));
  expect_round_trip(Response(Done{true, "", facts.certs}));
}

TEST(ControlMessages, StatusShowsTheUsualCaseWithoutLists) {
  const auto text = to_json_text(Data(some_status()), -1);
  EXPECT_NE(
      text.find(
          R"("ike":{"state":"established","initiator":true,"spi_i":"0123456789abcdef","spi_r":"0000000000000001","local":"192.0.2.1:4500","remote":"[2001:db8::2]:500")"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find(R"("children":[{"name":"net/1x1","spi_in":"c0000001","spi_out":"0000001f")"), std::string::npos)
      << text;
  EXPECT_NE(
      text.find(
          R"("in":{"packets":10,"bytes":1000,"errors":1,"idle_s":3},"out":{"packets":11,"bytes":1100,"errors":0,"idle_s":null})"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find(R"("name":"idle","state":"down")"), std::string::npos);
  EXPECT_NE(text.find(R"("ike":null,"children":[])"), std::string::npos);
}

TEST(ControlMessages, DropsShowNameCountWhyAndRemedy) {
  DropsReport drops;
  drops.drops[static_cast<std::size_t>(DropReason::kReplaySeen)] = 3;
  const auto text = to_json_text(Data(drops), -1);
  EXPECT_EQ(text.substr(0, 62), R"({"drops":[{"name":"replay-seen","count":3,"why":"A packet with)");
  EXPECT_NE(text.find(R"("do":")"), std::string::npos);
}

TEST(ControlMessages, TextThatIsNoUtf8DoesNotStopTheEncoder) {
  const auto text = encode(Response(Progress{0, Severity::kInfo, "\xff\xfe", "", "", ""}));
  const auto decoded = decode_response(text);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(std::get<Progress>(*decoded).connection, "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(ControlMessages, HostileRequestsAreRefused) {
  const auto error_of = [](const std::string& text) {
    const auto decoded = decode_request(text);
    return decoded ? std::string("accepted") : decoded.error().message;
  };
  EXPECT_EQ(error_of(""), "control message is no JSON object");
  EXPECT_EQ(error_of("[]"), "control message is no JSON object");
  EXPECT_EQ(error_of("{\"version\":1"), "control message is no JSON object");
  EXPECT_EQ(error_of(std::string(100000, '[')), "control message is no JSON object");
  EXPECT_EQ(error_of("{}"),
            "control request of version 0; this daemon speaks version 1: use the cygnet that belongs to it");
  EXPECT_EQ(error_of(R"({"version":-1,"command":"up"})"),
            "control request of version 0; this daemon speaks version 1: use the cygnet that belongs to it");
  EXPECT_EQ(error_of(R"({"version":1,"command":"format-disk"})"), "unknown control request");
  EXPECT_EQ(error_of(R"({"version":1,"command":["up"]})"), "unknown control request");
  EXPECT_EQ(error_of(R"({"version":1,"command":"up","connection":7})"),
            "control request: field 'connection' has a wrong value");
  EXPECT_EQ(error_of(R"({"version":1,"command":"explain","source":"nowhere"})"),
            "control request: field 'source' has a wrong value");
  EXPECT_EQ(error_of(R"({"version":1,"command":"explain","protocol":256})"),
            "control request: field 'protocol' has a wrong value");
  EXPECT_EQ(error_of(R"({"version":1,"command":"explain","port":65536})"),
            "control request: field 'port' has a wrong value");
  EXPECT_EQ(error_of(R"({"version":1,"command":"explain","port":-1})"),
            "control request: field 'port' has a wrong value");
  EXPECT_EQ(error_of(R"({"version":1,"command":"up","connection":"a","new":1})"), "accepted");
}

TEST(ControlMessages, HostileResponsesAreRefused) {
  for (const auto* text :
       {R"({"type":"done","kind":"status"})", R"({"type":"done","kind":"moon","data":{}})", R"({"type":"done","ok":1})",
        R"({"type":"done","kind":"status","data":[]})",
        R"({"type":"done","kind":"status","data":{"connections":[{"state":"flying"}]}})",
        R"({"type":"done","kind":"status","data":{"connections":[{"ike_sas":[{"local":"1.2.3.4:99999"}]}]}})",
        R"({"type":"done","kind":"drops","data":{"drops":[{"name":1,"count":1}]}})",
        R"({"type":"done","kind":"drops","data":{"drops":7}})", R"({"type":"progress","severity":"loud"})",
        R"({"type":"other"})",
        R"({"type":"done","kind":"status","data":{"connections":[{"ike_sas":[{"spi_i":"00112233445566778"}]}]}})"}) {
    EXPECT_FALSE(decode_response(text)) << text;
  }
}

TEST(ControlFrame, PiecesBecomeWholeMessages) {
  FrameReader reader(100);
  Bytes stream = frame("hello");
  append(stream, frame(""));
  append(stream, frame("world"));
  std::vector<std::string> seen;
  for (const auto octet : stream) {
    reader.feed({&octet, 1});
    for (auto message = reader.next(); message && *message; message = reader.next()) seen.push_back(**message);
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"hello", "", "world"}));
}

TEST(ControlFrame, TooLongIsAnError) {
  FrameReader reader(4);
  reader.feed(Bytes{0, 0, 0, 5});
  const auto message = reader.next();
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().message, "control message of 5 octets; at most 4 are taken");
}

TEST(Wireshark, RowsOfEspAndIke) {
  model::SaSpec sa;
  sa.direction = model::Direction::kInbound;
  sa.spi = Spi(0x1000);
  sa.local = {*IpAddress::parse("192.0.2.1"), 4500};
  sa.remote = {*IpAddress::parse("192.0.2.2"), 4500};
  sa.encryption = model::EncryptionId::kAesGcm16;
  sa.encryption_bits = 128;
  sa.encryption_key.assign(20, 0xab);
  EXPECT_EQ(wireshark_esp_sa(sa),
            "\"IPv4\",\"192.0.2.2\",\"192.0.2.1\",\"0x00001000\",\"AES-GCM with 16 octet ICV "
            "[RFC4106]\",\"0xabababababababababababababababababababab\",\"NULL\",\"\",\"32-bit\",\"\"");
  sa.direction = model::Direction::kOutbound;
  sa.encryption = model::EncryptionId::kAesCbc;
  sa.encryption_key.assign(2, 1);
  sa.integrity = model::IntegrityId::kHmacSha2_256_128;
  sa.integrity_key.assign(2, 2);
  sa.esn = true;
  EXPECT_EQ(wireshark_esp_sa(sa),
            "\"IPv4\",\"192.0.2.1\",\"192.0.2.2\",\"0x00001000\",\"AES-CBC [RFC3602]\",\"0x0101\",\"HMAC-SHA-256-128 "
            "[RFC4868]\",\"0x0202\",\"64-bit\",\"0x00000000\"");
  sa.encryption = model::EncryptionId::kChaCha20Poly1305;
  EXPECT_EQ(wireshark_esp_sa(sa), std::nullopt);

  const Bytes key(3, 0x11);
  IkeKeys keys{IkeSpi(1), IkeSpi(0xffeeddccbbaa9988), key, key, {}, {}, {}};
  keys.algorithms.encryption = model::EncryptionId::kAesGcm16;
  keys.algorithms.encryption_bits = 256;
  EXPECT_EQ(wireshark_ikev2(keys),
            "0000000000000001,ffeeddccbbaa9988,111111,111111,\"AES-GCM-256 with 16 octet ICV "
            "[RFC5282]\",\"\",\"\",\"NONE [RFC4306]\"");
}

TEST(Describe, AConnectionAsConfigured) {
  model::Connection connection;
  connection.name = "net";
  connection.source = "ipsec.conf:1";
  connection.local.host.kind = model::HostSpec::Kind::kAddress;
  connection.local.host.address = *IpAddress::parse("192.0.2.1");
  connection.remote.id_any = true;
  connection.encapsulation = model::Encapsulation::kForce;
  model::Child child;
  child.name = "net";
  child.local = {model::TrafficSelector::of(*IpPrefix::parse("10.1.0.0/16"))};
  child.start = model::StartAction::kOnDemand;
  connection.children = {child};
  const auto listed = describe(connection);
  EXPECT_EQ(listed.local_id, "192.0.2.1");
  EXPECT_EQ(listed.remote_id, "%any");
  EXPECT_EQ(listed.encapsulation, "yes");
  EXPECT_EQ(listed.children[0].local, "10.1.0.0/16");
  EXPECT_EQ(listed.children[0].remote, "dynamic");
  EXPECT_EQ(listed.children[0].start, "ondemand");
}

}  // namespace
}  // namespace cygnet::control
