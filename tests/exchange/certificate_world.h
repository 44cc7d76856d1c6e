// SPDX-License-Identifier: Apache-2.0
#pragma once

// Two ends that prove themselves with certificates, for exchange tests.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "crypto/certificate.h"
#include "exchange/arrows.h"
#include "support/test_pki.h"

namespace cygnet::test {

inline constexpr auto kRoot = "C=DE, O=Example, CN=Root";

struct Party {
  TestCertificate own;
  std::vector<Bytes> above;    // intermediates in its own file
  std::vector<Bytes> anchors;  // that it trusts
  std::vector<Bytes> crls;
  std::vector<Bytes> pinned;  // of peers: "peer", "peer2"

  [[nodiscard]] model::PublicCredentials credentials() const {
    model::PublicCredentials out;
    out.certificates.push_back({"own.pem", own.der, "/etc/ipsec.d/certs/own.pem"});
    for (std::size_t i = 0; i < above.size(); ++i)
      out.certificates.push_back({"own.pem#" + std::to_string(i + 2), above[i], "/etc/ipsec.d/certs/own.pem"});
    for (std::size_t i = 0; i < pinned.size(); ++i)
      out.certificates.push_back({i == 0 ? "peer" : "peer" + std::to_string(i + 1), pinned[i], "peer.pem"});
    for (const auto& anchor : anchors) out.authorities.push_back({"ca.pem", anchor, "/etc/ipsec.d/cacerts/ca.pem"});
    for (const auto& crl : crls) out.crls.push_back({"ca.crl", crl, "/etc/ipsec.d/crls/ca.crl"});
    return out;
  }
  [[nodiscard]] model::PrivateKeySource key() const {
    model::PrivateKeySource out;
    out.bytes = own.key_pem();
    out.source = "test.secrets:1";
    return out;
  }
};

// A and B, both certified by one root for the names their connections show.
struct World {
  TestCertificate root = make_authority(kRoot);
  Party a, b;
  model::Connection of_a = tunnel("tun");
  model::Connection of_b;
  Exchange e{tunnel("tun")};

  explicit World(crypto::KeyKind kind = crypto::KeyKind::kEd25519, unsigned rsa_bits = 2048) {
    a.own = issue("a.test", {.key = test_key(kind, 1, rsa_bits)}, root);
    b.own = issue("b.test", {.key = test_key(kind, 2, rsa_bits)}, root);
    a.anchors = b.anchors = {root.der};
    of_a.local.auth = of_a.remote.auth = model::AuthMethod::kSignature;
    of_b = mirrored(of_a);
    of_a.local.certificate = of_b.local.certificate = "own.pem";
  }
  static TestCertificate issue(const std::string& host, CertificateOptions options, const TestCertificate& issuer) {
    options.subject = "C=DE, O=Example, OU=VPN, CN=" + host;
    if (options.names.empty()) options.names = "DNS:" + host;
    return make_certificate(options, &issuer);
  }
  void load() {
    e.a().configure(e.now(), {of_a}, {secret("s3cret")}, a.credentials(), {a.key()});
    e.b().configure(e.now(), {of_b}, {secret("s3cret")}, b.credentials(), {b.key()});
  }
  std::vector<std::string> run() {
    load();
    e.initiate(e.a());
    return e.run();
  }
  void expect_up() {
    const auto arrows = run();
    EXPECT_TRUE(last_done(e.a()).ok) << last_done(e.a()).message << e.b().messages("auth-failed")
                                     << e.b().messages("not-authorized");
    e.expect_tunnel();
  }
  // B, the responder, does not take A, and says this about it; A hears AUTHENTICATION_FAILED alone.
  void expect_refused_by_b(std::string_view event, std::string_view why) {
    run();
    EXPECT_TRUE(contains(e.b().messages(event), why))
        << e.b().messages(event) << e.b().messages("auth-failed") << e.b().messages("not-authorized");
    EXPECT_TRUE(e.a().reported("auth-refused"));
    EXPECT_FALSE(last_done(e.a()).ok);
    EXPECT_TRUE(e.b().child_ups.empty());
    EXPECT_TRUE(e.b().ike_ups.empty());
    e.expect_nothing_left();
  }
  void expect_refused_by_a(std::string_view event, std::string_view why) {
    run();
    EXPECT_TRUE(contains(e.a().messages(event), why))
        << e.a().messages(event) << e.a().messages("auth-failed") << e.a().messages("not-authorized");
    EXPECT_FALSE(last_done(e.a()).ok);
    EXPECT_TRUE(e.a().child_ups.empty());
    EXPECT_TRUE(e.a().ike_ups.empty());
  }
};

}  // namespace cygnet::test
