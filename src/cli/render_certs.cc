// SPDX-License-Identifier: Apache-2.0
#include <ctime>

#include "cli/render.h"

namespace cygnet::cli {
namespace {

using control::CertificateReport;

constexpr std::int64_t kDay_s = 86400;

std::string date_text(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm utc{};
  char text[40] = "";
  if (::gmtime_r(&time, &utc) != nullptr) (void)std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc);
  return text;
}

std::string validity_text(const CertificateReport& one, const Style& style) {
  const auto left = one.expires_in_s;
  if (left <= 0) return style.paint(Tone::kBad, "expired on " + date_text(one.valid_until));
  const auto until = "valid until " + date_text(one.valid_until);
  const auto days = ", " +
                    (left < 2 * kDay_s ? duration_text(static_cast<std::uint64_t>(left))
                                       : grouped(static_cast<std::uint64_t>(left / kDay_s)) + " days") +
                    " left";
  const auto tone = left > 30 * kDay_s ? Tone::kPlain : left > 7 * kDay_s ? Tone::kWarn : Tone::kBad;
  return style.paint(tone, until + days);
}

std::string key_text(const CertificateReport& one, const Style& style) {
  if (one.key_on_token) return "; its private key is on a token";
  if (one.private_key == true) return "; its private key is here";
  if (!one.own) return "";
  return one.private_key ? "; " + style.paint(Tone::kBad, "its private key is missing") : "; private key not known";
}

std::string certificate_text(const CertificateReport& one, const Style& style) {
  auto text = "  " + style.paint(Tone::kBold, harmless(one.name)) + "  " + harmless(one.subject);
  if (!one.names.empty()) text += " (" + harmless(joined(one.names, ", ")) + ")";
  text += '\n';
  if (!one.subject.empty()) {
    text += "    " + validity_text(one, style) + key_text(one, style) + '\n';
    text += "    " + one.key + ", serial " + one.serial + ", issued by " + harmless(one.issuer) + '\n';
  }
  if (!one.fault.empty()) text += "    " + style.paint(Tone::kBad, "not used: " + harmless(one.fault)) + '\n';
  if (!one.connections.empty()) text += "    used by " + joined(one.connections, ", ") + '\n';
  return text + "    " + style.paint(Tone::kDim, one.source) + '\n';
}

std::string list_text(const char* title, const std::vector<CertificateReport>& list, const Style& style) {
  auto text = style.paint(Tone::kBold, title) + '\n';
  for (const auto& one : list) text += certificate_text(one, style);
  return list.empty() ? text + "  none\n" : text;
}

}  // namespace

std::string render(const control::CertsReport& certs, const Style& style) {
  auto text = list_text("Certificates", certs.certificates, style);
  text += list_text("Authorities", certs.authorities, style);
  text += style.paint(Tone::kBold, "CRLs and OCSP responses") + '\n';
  for (const auto& crl : certs.crls) {
    text += "  " + harmless(crl.source) + (crl.ocsp ? "  (OCSP)" : "  " + harmless(crl.issuer)) + '\n';
    if (crl.issued != 0 || crl.good_until) {
      text += crl.issued != 0 ? "    issued " + date_text(crl.issued) + ", " : std::string("    ");
      text += crl.good_until ? "good until " + date_text(*crl.good_until) : std::string("without an end");
      text += '\n';
    }
    if (!crl.fault.empty()) text += "    " + style.paint(Tone::kWarn, harmless(crl.fault)) + '\n';
  }
  return certs.crls.empty() ? text + "  none\n" : text;
}

}  // namespace cygnet::cli
