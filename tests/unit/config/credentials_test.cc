// SPDX-License-Identifier: Apache-2.0
#include "config/credentials.h"

#include "config/pem.h"
#include "unit/config/config_test_support.h"

namespace cygnet::config {
namespace {

using model::AuthMethod;

// No certificates to OpenSSL, but DER to this folder, which looks no deeper.
const std::string kPemA = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
const std::string kPemB = "-----BEGIN CERTIFICATE-----\nMAMCAQI=\n-----END CERTIFICATE-----\n";
const std::string kCrl = "-----BEGIN X509 CRL-----\nMAMCAQM=\n-----END X509 CRL-----\n";
const std::string kKey = "-----BEGIN PUBLIC KEY-----\nMAQwAgUA\n-----END PUBLIC KEY-----\n";

MemoryFiles files_with(const std::string& conf) {
  return MemoryFiles({{"/etc/ipsec.conf", conf},
                      {"/etc/certs/moon.pem", "text before\n" + kPemA + kPemB},
                      {"/etc/sun.der", std::string("\x30\x03\x02\x01\x02", 5)},
                      {"/etc/cacerts/root.pem", kPemB},
                      {"/etc/cacerts/damaged.crt", "nothing"},
                      {"/etc/cacerts/README", "not looked at"},
                      {"/etc/crls/root.crl", kCrl},
                      {"/etc/certs/key.pem", kKey}});
}
LoadedConfiguration load_with(const std::string& words) {
  auto files = files_with(conn_with(words));
  return load_ipsec_conf("/etc/ipsec.conf", files);
}
std::string faults_with(const std::string& words) {
  auto loaded = load_with(words);
  std::erase_if(loaded.diagnostics, [](const auto& d) { return d.file != "/etc/ipsec.conf"; });
  return lines_of(loaded.diagnostics);
}
std::string hex_of(const model::NamedObject& object) {
  return object.name + " " + to_hex(object.der) + " " + object.source;
}

TEST(Credentials, CertificatesAuthoritiesAndLists) {
  const auto loaded =
      load_with("leftcert=moon.pem\nrightcert=sun.der\nrightca=\"C=DE, CN=Root\"\nrightgroups=\"a, b c\"");
  ASSERT_TRUE(loaded.ok()) << to_string(loaded.diagnostics);
  ASSERT_EQ(loaded.credentials.certificates.size(), 3U);
  EXPECT_EQ(hex_of(loaded.credentials.certificates[0]), "moon.pem 3003020101 /etc/certs/moon.pem");
  EXPECT_EQ(hex_of(loaded.credentials.certificates[1]), "moon.pem#2 3003020102 /etc/certs/moon.pem");
  EXPECT_EQ(hex_of(loaded.credentials.certificates[2]), "sun.der 3003020102 /etc/sun.der");
  ASSERT_EQ(loaded.credentials.authorities.size(), 1U);
  EXPECT_EQ(hex_of(loaded.credentials.authorities[0]), "root.pem 3003020102 /etc/cacerts/root.pem");
  ASSERT_EQ(loaded.credentials.crls.size(), 1U);
  EXPECT_EQ(hex_of(loaded.credentials.crls[0]), "root.crl 3003020103 /etc/crls/root.crl");
  ASSERT_EQ(loaded.diagnostics.size(), 1U);
  EXPECT_EQ(
      to_line(loaded.diagnostics[0]),
      "/etc/cacerts/damaged.crt: warning: this authority is not used: it holds no certificate, neither PEM nor DER");
  const auto& conn = loaded.connections.at(0);
  EXPECT_EQ(conn.local.certificate, "moon.pem");
  EXPECT_EQ(conn.local.auth, AuthMethod::kSignature);
  EXPECT_EQ(conn.remote.auth, AuthMethod::kSignature);
  EXPECT_EQ(conn.remote.authority->to_string(), "C=DE, CN=Root");
  EXPECT_EQ(conn.remote.groups, (std::vector<std::string>{"a", "b c"}));
}

TEST(Credentials, CertificatesOnTokensAreFilesWithAnotherName) {
  const std::string uri = "pkcs11:token=My%20VPN;object=moon;type=cert";
  auto files =
      files_with("config setup\n\tpkcs11module=/usr/lib/softhsm/libsofthsm2.so\n" + conn_with("leftcert=" + uri));
  const auto without = load_ipsec_conf("/etc/ipsec.conf", files);
  EXPECT_TRUE(without.ok()) << "the token may come later";
  EXPECT_NE(to_string(without.diagnostics).find("warning: this certificate is not at hand"), std::string::npos);
  EXPECT_EQ(without.connections.at(0).local.certificate, uri);
  files.put(uri, std::string("\x30\x03\x02\x01\x05", 5));
  const auto loaded = load_ipsec_conf("/etc/ipsec.conf", files);
  ASSERT_TRUE(loaded.ok()) << to_string(loaded.diagnostics);
  EXPECT_EQ(loaded.pkcs11_module, "/usr/lib/softhsm/libsofthsm2.so");
  ASSERT_EQ(loaded.credentials.certificates.size(), 1U);
  EXPECT_EQ(hex_of(loaded.credentials.certificates[0]), uri + " 3003020105 " + uri);
  EXPECT_EQ(loaded.connections.at(0).local.auth, AuthMethod::kSignature);
  EXPECT_NE(faults_with("leftcert=pkcs11:token=a").find("no object on it"), std::string::npos);
  EXPECT_NE(faults_with("leftcert=pkcs11:object=a;type=private").find("'type=private' is no certificate"),
            std::string::npos);
}

TEST(Credentials, FilesThatAreNotWhatTheyShouldBe) {
  EXPECT_EQ(faults_with("leftcert=gone.pem"),
            "7:11: error: there is neither '/etc/certs/gone.pem' nor '/etc/gone.pem', or it cannot be read\n");
  EXPECT_EQ(faults_with("leftcert=key.pem"),
            "7:11: error: '/etc/certs/key.pem': it holds no certificate but 'PUBLIC KEY'\n");
  EXPECT_EQ(faults_with("leftpubkey=moon.pem"),
            "7:13: error: '/etc/certs/moon.pem': it holds no public key but 'CERTIFICATE'\n");
  EXPECT_EQ(faults_with("leftpubkey=0s!"), "7:13: error: this is neither base64 after 0s nor hexadecimal after 0x\n");
  EXPECT_EQ(faults_with("leftpubkey=0sAAAA"),
            "7:13: error: neither a public key in DER nor an RSA key as RFC 3110 writes it\n");
}

TEST(Credentials, HowEachEndProvesItself) {
  const auto methods = [](const std::string& words) {
    const auto loaded = load_with(words);
    EXPECT_TRUE(loaded.ok()) << to_string(loaded.diagnostics);
    return std::pair{loaded.connections.at(0).local.auth, loaded.connections.at(0).remote.auth};
  };
  constexpr auto kPsk = AuthMethod::kPsk;
  constexpr auto kSign = AuthMethod::kSignature;
  constexpr auto kNull = AuthMethod::kNull;
  EXPECT_EQ(methods(""), std::pair(kPsk, kPsk));
  EXPECT_EQ(methods("leftpubkey=key.pem"), std::pair(kSign, kSign));
  EXPECT_EQ(methods("authby=rsasig,ecdsa\nleftcert=moon.pem"), std::pair(kSign, kSign));
  EXPECT_EQ(methods("leftauth=pubkey\nrightauth=psk\nleftcert=moon.pem"), std::pair(kSign, kPsk));
  EXPECT_EQ(methods("leftauth=null\nrightauth=pubkey\nrightcert=sun.der"), std::pair(kNull, kSign));
  EXPECT_EQ(methods("authby=secret\nrightauth=null"), std::pair(kPsk, kNull));
  EXPECT_EQ(faults_with("authby=pubkey"),
            "1:1: error: conn net: signatures are asked for, but neither end names a key\n");
  EXPECT_EQ(faults_with("authby=secret,rsasig"), "7:16: error: authby= names different ways to authenticate\n");
  EXPECT_EQ(faults_with("leftauth=rsa-sha1"), "7:11: error: leftauth=rsa-sha1: signatures with SHA-1 are not made\n");
  EXPECT_EQ(faults_with("authby=never"), "7:9: error: authby=never: say how the ends prove who they are\n");
  EXPECT_EQ(faults_with("authby=null"),
            "1:1: warning: conn net: neither end proves who it is; anybody may be at the other end\n");
  EXPECT_EQ(faults_with("authby=psk\nleftcert=moon.pem"),
            "8:2: warning: conn net: left does not prove itself with a signature: this is not used\n");
}

TEST(Credentials, WordsOfAnEnd) {
  const auto loaded = load_with(
      "leftid=%fromcert\nrightid=\"C=DE, O=Example, CN=*\"\nrightca=%same\nleftsendcert=ifasked\n"
      "rightrevocation=strict\nleftcert=moon.pem");
  ASSERT_TRUE(loaded.ok()) << to_string(loaded.diagnostics);
  const auto& conn = loaded.connections.at(0);
  EXPECT_FALSE(conn.local.id);
  EXPECT_TRUE(conn.remote.id->is_pattern());
  EXPECT_TRUE(conn.remote.same_authority);
  EXPECT_EQ(conn.local.send_certificate, model::SendCertificate::kIfAsked);
  EXPECT_EQ(conn.remote.revocation, model::Revocation::kStrict);
  EXPECT_EQ(conn.local.revocation, model::Revocation::kRelaxed);
  EXPECT_EQ(faults_with("leftid=%fromcrt"), "7:9: error: '%fromcrt' is no value of leftid=\n");
  EXPECT_EQ(faults_with("rightca=moon"), "7:10: error: 'moon' is no distinguished name\n");
  EXPECT_EQ(faults_with("leftsendcert=maybe"), "7:15: error: 'maybe' is no value of leftsendcert=\n");
}

TEST(Credentials, WhoProvesNothingIsNobody) {
  const auto conn = load_one("leftauth=null\nleftid=%null\nrightauth=psk");
  EXPECT_EQ(conn.local.auth, AuthMethod::kNull);
  EXPECT_EQ(conn.remote.auth, AuthMethod::kPsk);
  EXPECT_EQ(faults_of("leftauth=null\nleftid=@moon\nrightauth=psk"),
            "1:1: error: conn net: left proves nothing, so its name 'moon' means nothing\n");
  EXPECT_EQ(faults_of("leftauth=psk\nrightauth=null\nrightsourceip=10.9.0.0/24"),
            "1:1: error: conn net: right proves nothing, and addresses are given to identities\n");
  EXPECT_EQ(lines_of(load_text("conn a\n\tleft=192.0.2.1\n\tright=%any\n\tleftauth=psk\n\trightauth=null\n"
                               "\trightsubnet=10.2.0.0/16\n\tauto=add\n")
                         .diagnostics),
            "6:14: warning: conn a: right proves nothing: anybody may claim these networks\n");
}

TEST(Credentials, StrictRevocationForAll) {
  auto files = files_with("config setup\n\tcrl-strict=yes\n\n" + conn_with("leftrevocation=ignore"));
  const auto loaded = load_ipsec_conf("/etc/ipsec.conf", files);
  EXPECT_EQ(loaded.connections.at(0).local.revocation, model::Revocation::kIgnore);
  EXPECT_EQ(loaded.connections.at(0).remote.revocation, model::Revocation::kStrict);
}

TEST(Credentials, QuestionsAboutRevocationBehindTheTunnelThatWaitsForThem) {
  const auto faults = [](const std::string& words) {
    return faults_with("leftcert=moon.pem\nleftsubnet=10.1.0.0/16\n" + words);
  };
  const std::string warning = "would wait for each other";
  EXPECT_NE(faults("auto=ondemand\nrightsubnet=0.0.0.0/0\nrightrevocation=strict").find(warning), std::string::npos);
  EXPECT_NE(faults("auto=start\nrightsubnet=0.0.0.0/0\nrightrevocation=strict").find(warning), std::string::npos);
  EXPECT_EQ(faults("auto=ondemand\nrightsubnet=0.0.0.0/0").find(warning), std::string::npos);
  EXPECT_EQ(faults("auto=ondemand\nrightsubnet=10.0.0.0/8\nrightrevocation=strict").find(warning), std::string::npos);
  EXPECT_EQ(faults("auto=add\nrightsubnet=0.0.0.0/0\nrightrevocation=strict").find(warning), std::string::npos);
  const std::string strict = "auto=ondemand\nrightrevocation=strict\n";
  EXPECT_NE(faults(strict + "rightsubnet=0.0.0.0/1,128.0.0.0/1").find(warning), std::string::npos);
  auto children = conn_with("leftcert=moon.pem\n" + strict + "rightsubnets={0.0.0.0/1 128.0.0.0/1}");
  const std::string before = "\trightsubnet=10.2.0.0/16\n";
  children.erase(children.find(before), before.size());
  auto files = files_with(children);
  EXPECT_NE(lines_of(load_ipsec_conf("/etc/ipsec.conf", files).diagnostics).find(warning), std::string::npos);
  EXPECT_EQ(faults(strict + "rightsubnet=0.0.0.0/1,128.0.0.0/2").find(warning), std::string::npos);
}

TEST(Credentials, CaSections) {
  auto files = files_with(
      "ca one\n\tcacert=root.pem\n\tcrluri=http://a/crl\n\tcrluri2=http://b/crl\n\tocspuri=http://c\n\tauto=add\n"
      "ca two\n\tcrluri=https://a\n\nca three\n\tcacert=root.pem\n\tcolour=red\n\nca four\n\tauto=ignore\n");
  const auto loaded = load_ipsec_conf("/etc/ipsec.conf", files);
  ASSERT_EQ(loaded.credentials.authority_options.size(), 2U);
  const auto& one = loaded.credentials.authority_options[0];
  EXPECT_EQ(one.name + " " + one.certificate, "one root.pem");
  EXPECT_EQ(one.crl_urls, (std::vector<std::string>{"http://a/crl", "http://b/crl"}));
  EXPECT_EQ(one.ocsp_urls, (std::vector<std::string>{"http://c"}));
  EXPECT_EQ(loaded.credentials.authorities.size(), 1U);
  std::string faults;
  for (const auto& d : loaded.diagnostics) {
    if (d.file == "/etc/ipsec.conf") faults += to_line(d).substr(16) + "\n";
  }
  EXPECT_EQ(faults,
            "8:9: error: 'https://a' cannot be fetched\n"
            "12:2: error: 'colour=' does not belong into a ca section\n");
}

TEST(Pem, Base64) {
  EXPECT_EQ(to_hex(*parse_base64("TWFu")), "4d616e");
  EXPECT_EQ(to_hex(*parse_base64("TW\nE=")), "4d61");
  EXPECT_EQ(to_hex(*parse_base64("TQ==")), "4d");
  EXPECT_FALSE(parse_base64("T"));
  EXPECT_FALSE(
      parse_base64("TQ=="
                   "TQ"));
  EXPECT_FALSE(parse_base64("T-Fu"));
}

TEST(Pem, Blocks) {
  EXPECT_EQ(parse_pem("-----BEGIN A-----\nTWFu").error().message, "the PEM block 'A' does not end");
  EXPECT_EQ(parse_pem("-----BEGIN A").error().message, "a PEM block begins but has no label");
  std::string many;
  for (int i = 0; i < 65; ++i) many += kPemA;
  EXPECT_EQ(parse_pem(many).error().message, "more than 64 PEM blocks");
  EXPECT_EQ(
      read_objects("-----BEGIN CERTIFICATE-----\nMAUCAQE=\n-----END CERTIFICATE-----", "certificate", {"CERTIFICATE"})
          .error()
          .message,
      "the certificate in it is damaged");
  EXPECT_TRUE(is_der_sequence(Bytes{0x30, 0x81, 0x01, 0x00}));
  EXPECT_FALSE(is_der_sequence(Bytes{0x30, 0x80}));
  EXPECT_FALSE(is_der_sequence(Bytes{0x30, 0x01, 0x00, 0x00}));
}

// The same RSA key in all forms: e = 65537, n = ff 00 … 01.
TEST(Pem, RawPublicKeys) {
  Bytes modulus(64, 0);
  modulus.front() = 0xff;
  modulus.back() = 1;
  Bytes rfc3110{3, 1, 0, 1};
  append(rfc3110, modulus);
  const auto info = to_subject_public_key_info(rfc3110);
  ASSERT_TRUE(info);
  EXPECT_EQ(to_hex(*info), "305c300d06092a864886f70d0101010500034b003048024100" + to_hex(modulus) + "0203010001");
  Bytes long_form{0, 0, 3, 1, 0, 1};
  append(long_form, modulus);
  EXPECT_EQ(to_subject_public_key_info(long_form).value_or(Bytes{}), *info);
  const Bytes pkcs1(info->begin() + 20, info->end());
  EXPECT_EQ(to_subject_public_key_info(pkcs1).value_or(Bytes{}), *info);
  EXPECT_EQ(to_subject_public_key_info(*info).value_or(Bytes{}), *info);
  EXPECT_FALSE(to_subject_public_key_info({}));
  EXPECT_FALSE(to_subject_public_key_info(ByteView(rfc3110).first(40)));
}

}  // namespace
}  // namespace cygnet::config
