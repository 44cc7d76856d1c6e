// SPDX-License-Identifier: Apache-2.0
#include "crypto/x509.h"

#include <array>
#include <cstdio>

namespace cygnet::crypto {
namespace {

Bytes digest(const EVP_MD* hash, ByteView octets) {
  Bytes out(static_cast<std::size_t>(EVP_MD_get_size(hash)));
  require_ok(EVP_Digest(octets.data(), octets.size(), out.data(), nullptr, hash, nullptr));
  return out;
}

// Days since 1970 of a date of the Gregorian calendar, and back (the usual arithmetic of eras of 400 years).
std::int64_t days_of(std::int64_t year, unsigned month, unsigned day) {
  year -= month <= 2 ? 1 : 0;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned day_of_year = (153 * (month + (month > 2 ? -3U : 9U)) + 2) / 5 + day - 1;
  const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + static_cast<std::int64_t>(day_of_era) - 719468;
}

std::optional<std::int64_t> seconds_of_any(const ASN1_TIME* time) {
  tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) {
    ERR_clear_error();
    return std::nullopt;
  }
  const auto days =
      days_of(parts.tm_year + 1900LL, static_cast<unsigned>(parts.tm_mon + 1), static_cast<unsigned>(parts.tm_mday));
  return days * 86400 + parts.tm_hour * 3600LL + parts.tm_min * 60LL + parts.tm_sec;
}

}  // namespace

Bytes sha2_256(ByteView octets) { return digest(sha256_digest(), octets); }
Bytes sha1(ByteView octets) { return digest(sha1_digest(), octets); }

std::optional<std::int64_t> seconds_of(const ASN1_TIME* time) { return seconds_of_any(time); }
std::optional<std::int64_t> seconds_of_generalized(const ASN1_GENERALIZEDTIME* time) { return seconds_of_any(time); }

std::string date_text(std::int64_t seconds) {
  const std::int64_t days = (seconds >= 0 ? seconds : seconds - 86399) / 86400;
  const auto of_day = static_cast<int>(seconds - days * 86400);
  const std::int64_t shifted = days + 719468;
  const std::int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
  const auto day_of_era = static_cast<unsigned>(shifted - era * 146097);
  const unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned shifted_month = (5 * day_of_year + 2) / 153;
  const unsigned day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  const unsigned month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  const std::int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  std::array<char, 64> text{};
  const int n = std::snprintf(text.data(), text.size(), "%04lld-%02u-%02u %02d:%02d:%02d UTC",
                              static_cast<long long>(year), month, day, of_day / 3600, of_day / 60 % 60, of_day % 60);
  return {text.data(), static_cast<std::size_t>(n)};
}

}  // namespace cygnet::crypto
