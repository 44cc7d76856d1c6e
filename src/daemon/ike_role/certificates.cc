// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/certificates.h"

#include <algorithm>
#include <set>
#include <string>

#include "crypto/certificate.h"
#include "crypto/revocation.h"
#include "model/distinguished_name.h"

namespace cygnet::daemon {

namespace {

constexpr std::int64_t kDay_s = 86400;

// Decoding one takes longer than all the rest here: each is decoded once.
control::CertificateReport describe(const model::NamedObject& object, const CertificateFacts& facts, bool key) {
  control::CertificateReport report;
  report.name = object.name;
  report.source = object.source;
  const auto certificate = crypto::Certificate::parse(object.der);
  if (!certificate) {
    report.fault = certificate.error().message;
    return report;
  }
  report.subject = certificate->subject_text();
  report.issuer = certificate->issuer_text();
  report.serial = certificate->serial_text();
  report.key = certificate->public_key().to_string();
  report.authority = certificate->is_authority();
  for (const auto& name : certificate->alternative_names()) report.names.push_back(name.to_string());
  report.valid_from = certificate->not_before();
  report.valid_until = certificate->not_after();
  report.expires_in_s = report.valid_until - facts.now;
  if (key && facts.held_keys != nullptr) {
    const auto& id = certificate->public_key().key_id();
    report.key_on_token = facts.token_keys != nullptr && facts.token_keys->contains(id);
    report.private_key = report.key_on_token || facts.held_keys->contains(id);
  }
  return report;
}

void add_use(control::CertificateReport& report, const CertificateFacts& facts) {
  bool own = false;
  for (const auto& connection : facts.connections) {
    const bool local = connection.local.certificate == report.name;
    if (!local && connection.remote.certificate != report.name) continue;
    report.connections.push_back(connection.name);
    own = own || local;
  }
  report.own = own;
}

control::CrlReport describe_crl(const std::string& source, ByteView octets) {
  control::CrlReport report;
  report.source = source;
  const auto crl = crypto::Crl::parse(octets);
  if (!crl) {
    report.fault = crl.error().message;
    return report;
  }
  report.issuer = model::distinguished_name_to_string(crl->issuer());
  report.issued = crl->this_update();
  if (crl->next_update() != 0) report.good_until = crl->next_update();
  return report;
}

control::CrlReport describe_fetched(const RevocationCache::Kept& kept) {
  using Kind = crypto::RevocationSource::Kind;
  control::CrlReport report;
  if (kept.kind == Kind::kCrl && !kept.answer.empty()) {
    report = describe_crl(kept.url, kept.answer);
  } else if (!kept.answer.empty()) {
    report.good_until = kept.good_until;
  }
  report.source = kept.url;
  report.ocsp = kept.kind == Kind::kOcsp;
  if (!kept.error.empty()) report.fault = kept.error;
  return report;
}

std::string remaining(std::int64_t seconds) {
  const auto days = seconds / kDay_s;
  if (days >= 2) return "in " + std::to_string(days) + " days";
  return seconds >= 7200 ? "in " + std::to_string(seconds / 3600) + " hours" : "within two hours";
}

void warn_of_end(const control::CertificateReport& certificate, std::vector<LogEntry>& out) {
  const auto name = "the certificate '" + certificate.subject + "' (" + certificate.source + ")";
  const auto left = certificate.expires_in_s;
  if (left > 30 * kDay_s) return;
  const auto severity = left <= kDay_s ? Severity::kError : left <= 7 * kDay_s ? Severity::kWarning : Severity::kNotice;
  out.push_back({severity, "certificates",
                 name + (left <= 0 ? " has expired: nobody accepts it any more" : " expires " + remaining(left)) +
                     ": renew it, put the new one into its place, and run cygnet reload"});
}

}  // namespace

control::CertsReport report_certificates(const CertificateFacts& facts) {
  control::CertsReport report;
  for (const auto& object : facts.credentials.certificates) {
    auto one = describe(object, facts, true);
    add_use(one, facts);
    report.certificates.push_back(std::move(one));
  }
  for (const auto& object : facts.credentials.authorities) {
    report.authorities.push_back(describe(object, facts, false));
    if (const auto& one = report.authorities.back(); one.fault.empty() && !one.authority)
      report.authorities.back().fault = "it is no authority (basicConstraints): only itself is trusted";
  }
  for (const auto& crl : facts.credentials.crls) report.crls.push_back(describe_crl(crl.source, crl.der));
  for (const auto& kept : facts.fetched) report.crls.push_back(describe_fetched(kept));
  return report;
}

std::vector<Bytes> own_certificates(const model::PublicCredentials& credentials,
                                    const std::vector<model::Connection>& connections) {
  std::set<std::string> names;
  for (const auto& connection : connections) {
    if (connection.local.auth == model::AuthMethod::kSignature) names.insert(connection.local.certificate);
  }
  std::vector<Bytes> out;
  for (const auto& object : credentials.certificates) {
    if (names.contains(object.name)) out.push_back(object.der);
  }
  return out;
}

std::int64_t next_certificate_warning_s(const control::CertsReport& report) {
  std::int64_t next = 0;
  for (const auto* list : {&report.certificates, &report.authorities}) {
    for (const auto& certificate : *list) {
      if (certificate.subject.empty()) continue;
      for (const std::int64_t before : {std::int64_t{0}, kDay_s, 7 * kDay_s, 30 * kDay_s}) {
        // A second later it is certain.
        const auto left = certificate.expires_in_s - before + 1;
        if (left > 0 && (next == 0 || left < next)) next = left;
      }
    }
  }
  return next;
}

std::vector<LogEntry> certificate_warnings(const control::CertsReport& report) {
  std::vector<LogEntry> out;
  for (const auto* list : {&report.certificates, &report.authorities}) {
    for (const auto& certificate : *list) {
      if (certificate.subject.empty()) continue;  // what cannot be read was told when it was loaded
      warn_of_end(certificate, out);
      if (certificate.own && certificate.private_key == false) {
        out.push_back({Severity::kWarning, "certificates",
                       "there is no private key for our certificate '" + certificate.subject + "' (" +
                           certificate.source + "), which " + certificate.connections.front() +
                           " uses: put the key into private/ beside ipsec.secrets, or name its file there"});
      }
    }
  }
  return out;
}

}  // namespace cygnet::daemon
