// SPDX-License-Identifier: Apache-2.0
#include "io/cpus.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>

namespace cygnet::io {

namespace {

constexpr std::size_t kMostText = 1U << 20U;
constexpr std::string_view kReceived = "NET_RX:";

// The next word of a line; empty at its end.
std::string_view next_word(std::string_view& line) {
  const auto from = std::min(line.find_first_not_of(' '), line.size());
  line.remove_prefix(from);
  const auto word = line.substr(0, std::min(line.find(' '), line.size()));
  line.remove_prefix(word.size());
  return word;
}

template <typename T>
std::optional<T> number(std::string_view word) {
  T value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  return error == std::errc{} && end == word.data() + word.size() ? std::optional(value) : std::nullopt;
}

std::string_view next_line(std::string_view& text) {
  const auto line = text.substr(0, std::min(text.find('\n'), text.size()));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

}  // namespace

std::optional<cpu_set_t> allowed_cpus() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  return ::sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? std::optional(cpus) : std::nullopt;
}

bool allow_cpus(const cpu_set_t& cpus) { return ::sched_setaffinity(0, sizeof cpus, &cpus) == 0; }

cpu_set_t only_cpu(std::uint16_t cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (cpu < CPU_SETSIZE) CPU_SET(cpu, &cpus);
  return cpus;
}

std::optional<SchedulerAccount> parse_schedstat(std::string_view text) {
  auto line = next_line(text);
  const auto ran = number<std::int64_t>(next_word(line));
  const auto waited = number<std::int64_t>(next_word(line));
  const auto stints = number<std::uint64_t>(next_word(line));
  if (!ran || !waited || !stints) return std::nullopt;
  return SchedulerAccount{Duration(*ran), Duration(*waited), *stints};
}

std::vector<ArrivalCount> parse_arrivals(std::string_view softirqs) {
  std::vector<ArrivalCount> found;
  auto head = next_line(softirqs);
  for (auto word = next_word(head); !word.empty(); word = next_word(head)) {
    const auto cpu = word.starts_with("CPU") ? number<std::uint16_t>(word.substr(3)) : std::nullopt;
    if (!cpu) return {};
    found.push_back({*cpu, 0});
  }
  while (!softirqs.empty()) {
    auto line = next_line(softirqs);
    if (next_word(line) != kReceived) continue;
    for (auto& one : found) {
      const auto count = number<std::uint64_t>(next_word(line));
      if (!count) return {};
      one.count = *count;
    }
    return found;
  }
  return {};
}

std::optional<CpuReader> CpuReader::open() {
  UniqueFd schedstat(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC));
  UniqueFd softirqs(::open("/proc/softirqs", O_RDONLY | O_CLOEXEC));
  if (!schedstat || !softirqs) return std::nullopt;
  CpuReader reader(std::move(schedstat), std::move(softirqs));
  // Some kernels have the file and count nothing.
  const auto first = reader.account();
  if (!first || first->stints == 0) return std::nullopt;
  return reader;
}

std::optional<SchedulerAccount> CpuReader::account() const {
  std::array<char, 96> text{};
  const auto n = ::pread(schedstat_.get(), text.data(), text.size(), 0);
  if (n <= 0) return std::nullopt;
  return parse_schedstat({text.data(), static_cast<std::size_t>(n)});
}

std::vector<ArrivalCount> CpuReader::arrivals() {
  text_.clear();
  std::array<char, 4096> piece;  // NOLINT(cppcoreguidelines-pro-type-member-init): pread() fills it
  // As far as the end of the line.
  for (std::size_t line = std::string::npos; text_.size() < kMostText;) {
    const auto n = ::pread(softirqs_.get(), piece.data(), piece.size(), static_cast<off_t>(text_.size()));
    if (n <= 0) break;
    text_.append(piece.data(), static_cast<std::size_t>(n));
    if (line == std::string::npos) line = text_.find(kReceived);
    if (line != std::string::npos && text_.find('\n', line) != std::string::npos) break;
  }
  return parse_arrivals(text_);
}

}  // namespace cygnet::io
