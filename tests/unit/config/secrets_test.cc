// SPDX-License-Identifier: Apache-2.0
#include "unit/config/config_test_support.h"

namespace cygnet::config {
namespace {

LoadedSecrets secrets_of(const std::string& text) {
  MemoryFiles files({{"/etc/ipsec.secrets", text}});
  return load_ipsec_secrets("/etc/ipsec.secrets", files);
}

std::string text_of(const SecretBytes& secret) { return {secret.begin(), secret.end()}; }

std::string ids_of(const model::SharedSecret& secret) {
  std::string text = secret.any_peer ? "%any" : "";
  for (const auto& id : secret.ids) text += (text.empty() ? "" : " ") + id.to_string();
  return text;
}

TEST(Secrets, BothDialects) {
  const auto loaded = secrets_of(
      "# comment\n: PSK \"everybody's secret\"\n@gw-a @gw-b : PSK 'quoted \"otherwise\"'\n192.0.2.1 %any: PSK "
      "0x000102030405060708090a0b\n"
      "2001:db8::1 : PSK 0sAAECAwQFBgcICQoL\n@a\n   @b   # goes on\n  : PSK plain-text-secret\nuser@host : psk "
      "0tlong-enough-text\n");
  EXPECT_EQ(lines_of(loaded.diagnostics), "");
  ASSERT_EQ(loaded.secrets.size(), 6U);
  EXPECT_EQ(ids_of(loaded.secrets[0]), "%any");
  EXPECT_EQ(text_of(loaded.secrets[0].secret), "everybody's secret");
  EXPECT_EQ(ids_of(loaded.secrets[1]), "gw-a gw-b");
  EXPECT_EQ(text_of(loaded.secrets[1].secret), "quoted \"otherwise\"");
  EXPECT_EQ(ids_of(loaded.secrets[2]), "%any 192.0.2.1");
  EXPECT_EQ(to_hex(loaded.secrets[2].secret), "000102030405060708090a0b");
  EXPECT_EQ(ids_of(loaded.secrets[3]), "2001:db8::1");
  EXPECT_EQ(to_hex(loaded.secrets[3].secret), "000102030405060708090a0b");
  EXPECT_EQ(ids_of(loaded.secrets[4]), "a b");
  EXPECT_EQ(text_of(loaded.secrets[4].secret), "plain-text-secret");
  EXPECT_EQ(loaded.secrets[4].source, "/etc/ipsec.secrets:8");
  EXPECT_EQ(text_of(loaded.secrets[5].secret), "long-enough-text");
}

TEST(Secrets, NoMessageEverShowsOne) {
  const auto loaded = secrets_of(
      ": \"hunter2-hunter2\"\n: hunter2-hunter2\nPSK \"hunter2-hunter2\"\n: PSK \"hunter2-hunter2\n: PSK hunter2 "
      "hunter2\n: PSK 0xhunter2\n"
      ": PSK 0shunter2!\nhunter2=hunter2 : PSK \"hunter2-hunter2\"\n@#hunter2 : PSK \"hunter2-hunter2\"\n: PSK "
      "\"hunter2\"\n: PSK \"\"\n: PSK\n:\n");
  EXPECT_EQ(lines_of(loaded.diagnostics),
            "1:3: error: the kind of the secret is missing or not known\n"
            "2:3: error: the kind of the secret is missing or not known\n"
            "3:1: error: this entry has no ':' between identities and secret\n"
            "4:7: error: the quote is not closed on this line\n"
            "5:15: error: something follows the secret\n"
            "6:7: error: the secret starts with 0x but is not hexadecimal with an even number of digits\n"
            "7:7: error: the secret starts with 0s but is not base64\n"
            "8:1: error: this is no identity\n"
            "9:1: error: this is no identity\n"
            "10:7: warning: this secret is short enough to be guessed\n"
            "11:7: error: the secret is empty\n"
            "12:3: error: PSK without a secret\n"
            "13:1: error: nothing follows the ':'\n");
  EXPECT_EQ(to_string(loaded.diagnostics).find("hunter2"), std::string::npos);
}

TEST(Secrets, PrivateKeys) {
  MemoryFiles files({{"/etc/ipsec.secrets",
                      ": RSA moon.pem\n@a : ECDSA sun.pem \"pass phrase\"\n: P12 /tmp/x.p12 'word'\n"
                      ": PIN \"pkcs11:token=t;object=o\" \"1234\"\nC=DE, CN=moon : PSK \"a secret of moon\"\n"},
                     {"/etc/private/moon.pem", "-----BEGIN PRIVATE KEY-----moon"},
                     {"/etc/sun.pem", "sun"},
                     {"/tmp/x.p12", "p12"},
                     {"/etc/private/found.key", "-----BEGIN EC PRIVATE KEY-----found"},
                     {"/etc/private/locked.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----"},
                     {"/etc/private/note.pem", "hello"}});
  const auto loaded = load_ipsec_secrets("/etc/ipsec.secrets", files);
  ASSERT_EQ(loaded.private_keys.size(), 5U);
  EXPECT_EQ(text_of(loaded.private_keys[0].bytes), "-----BEGIN PRIVATE KEY-----moon");
  EXPECT_EQ(loaded.private_keys[0].source, "/etc/ipsec.secrets:1 /etc/private/moon.pem");
  EXPECT_EQ(text_of(loaded.private_keys[1].bytes), "sun");
  EXPECT_EQ(text_of(loaded.private_keys[1].passphrase), "pass phrase");
  EXPECT_EQ(text_of(loaded.private_keys[2].passphrase), "word");
  EXPECT_EQ(loaded.private_keys[3].uri, "pkcs11:token=t;object=o");
  EXPECT_EQ(text_of(loaded.private_keys[3].passphrase), "1234");
  EXPECT_TRUE(loaded.private_keys[3].bytes.empty());
  EXPECT_EQ(loaded.private_keys[4].source, "/etc/private/found.key");
  EXPECT_EQ(to_string(loaded.diagnostics).find("hello"), std::string::npos);
  ASSERT_EQ(loaded.diagnostics.size(), 3U);
  EXPECT_EQ(to_line(loaded.diagnostics[0]), "/etc/ipsec.secrets:5:1: error: this is no identity");
  EXPECT_EQ(to_line(loaded.diagnostics[1]),
            "/etc/private/note.pem: warning: this file holds no private key: it is not used");
  EXPECT_EQ(to_line(loaded.diagnostics[2]),
            "/etc/private/locked.key: warning: this key is under a passphrase that no line gives: it is not used");
}

TEST(Secrets, WrongPrivateKeysAreNamed) {
  const auto loaded = secrets_of(
      ": RSA\n: RSA a.pem\n: PIN 1234\n: PKCS8 a b c\n: RSA a.pem %prompt\n@a : RSA {\n\t# 2048 bits\n\tModulus: "
      "0xabcdef\n\t}\n: PIN pkcs11:object=o?pin-value=1\n: EAP \"x\"\n\"C=DE, CN=moon\" : PSK \"a secret of moon\"\n");
  EXPECT_EQ(
      lines_of(loaded.diagnostics),
      "1:3: error: the file of the key is missing\n"
      "2:7: error: the file of the key cannot be read\n"
      "3:3: error: PIN belongs to a key on a token (RFC 7512)\n"
      "4:13: error: something follows the passphrase\n"
      "5:13: error: nobody is there to be asked for a passphrase\n"
      "6:6: warning: keys written out in this file are not read: this entry is not used\n"
      "10:7: error: the PIN belongs into ipsec.secrets, in quotes after the URI: inside the URI it shows in messages\n"
      "11:3: warning: passwords (EAP, XAUTH) are not built yet: this entry is not used\n");
  ASSERT_EQ(loaded.secrets.size(), 1U);
  EXPECT_EQ(ids_of(loaded.secrets[0]), "C=DE, CN=moon");
}

TEST(Secrets, KeysOnTokens) {
  const auto loaded = secrets_of(
      ": RSA pkcs11:token=vpn;object=moon 1234\n: ECDSA \"pkcs11:token=My%20VPN;id=%01;type=private\" \"a # b\"\n"
      ": PIN pkcs11:object=o %prompt\n: PIN pkcs11:object=o;type=cert \"1234\"\n: PIN pkcs11:token=t \"1234\"\n"
      ": PIN pkcs11:object=o \"1234\" more\n: PIN pkcs11:object=open\n");
  ASSERT_EQ(loaded.private_keys.size(), 3U);
  EXPECT_EQ(loaded.private_keys[0].uri, "pkcs11:token=vpn;object=moon");
  EXPECT_EQ(text_of(loaded.private_keys[0].passphrase), "1234");
  EXPECT_EQ(loaded.private_keys[1].uri, "pkcs11:token=My%20VPN;id=%01;type=private");
  EXPECT_EQ(text_of(loaded.private_keys[1].passphrase), "a # b");
  EXPECT_TRUE(loaded.private_keys[2].passphrase.empty());
  EXPECT_EQ(lines_of(loaded.diagnostics),
            "3:23: error: nobody is there to be asked for a PIN\n"
            "4:7: error: this URI is of no private key (type=cert)\n"
            "5:7: error: it names a token but no object on it: add object=LABEL or id=%01\n"
            "6:3: error: PIN belongs to a key on a token (RFC 7512)\n");
  EXPECT_EQ(to_string(loaded.diagnostics).find("1234"), std::string::npos);
}

TEST(Secrets, IncludesPatternsAndRefusesLoops) {
  MemoryFiles files({{"/etc/ipsec.secrets", "include ipsec.d/*.secrets\n"},
                     {"/etc/ipsec.d/a.secrets", ": PSK \"the secret of file a\"\ninclude ../ipsec.secrets\n"},
                     {"/etc/ipsec.d/b.secrets", "include b.secrets\n: PSK \"the secret of file b\"\n"}});
  const auto loaded = load_ipsec_secrets("/etc/ipsec.secrets", files);
  EXPECT_EQ(loaded.secrets.size(), 2U);
  ASSERT_EQ(loaded.diagnostics.size(), 2U);
  EXPECT_EQ(to_line(loaded.diagnostics[0]),
            "/etc/ipsec.d/a.secrets:2:9: error: cannot read '/etc/ipsec.d/../ipsec.secrets': no such file");
  EXPECT_EQ(to_line(loaded.diagnostics[1]),
            "/etc/ipsec.d/b.secrets:1:9: error: '/etc/ipsec.d/b.secrets' includes itself");
}

TEST(Secrets, AnIncludeThatFindsNothingIsNamed) {
  MemoryFiles files(
      {{"/etc/ipsec.secrets", "include more/*.secrets\n: PSK \"the secret of this file\"\n"}, {"/etc/other", ""}});
  const auto loaded = load_ipsec_secrets("/etc/ipsec.secrets", files);
  EXPECT_EQ(loaded.secrets.size(), 1U);
  EXPECT_EQ(lines_of(loaded.diagnostics),
            "1:9: warning: include more/*.secrets: there is no such file: /etc/more/*.secrets\n");
}

}  // namespace
}  // namespace cygnet::config
