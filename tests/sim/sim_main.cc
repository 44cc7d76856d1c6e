// SPDX-License-Identifier: Apache-2.0
// sim: thousands of lives of IKE endpoints over a bad network. A failure prints the one command that replays it.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "sim/life.h"

using namespace cygnet::sim;

namespace {

struct Arguments {
  std::uint64_t from = 1;
  std::uint64_t seeds = 1000;
  bool verbose = false;
  LifeOptions life;
  std::string mutation;
  std::optional<Feature> only;
  std::string feature;
  Edition edition = Edition::kFourth;
};

[[noreturn]] void usage(int status) {
  std::string mutations;
  for (const auto& [name, mutation] : all_mutations()) mutations += " " + std::string(name);
  (void)std::fprintf(status == 0 ? stdout : stderr,
                     "sim: lives of IKE endpoints over a bad network, in simulated time\n\n"
                     "  --seeds N      how many lives (1000)\n"
                     "  --from S       the first seed (1)\n"
                     "  --seed S       this one only\n"
                     "  --verbose      every datagram, report and SA, with its time\n"
                     "  --real         real X25519 instead of a toy of the same shape\n"
                     "  --only NAME    lives with this in them:%s\n"
                     "  --edition N    lives as they were in the first, second or third edition of plans\n"
                     "  --mutate NAME  break something on purpose:%s\n",
                     feature_names().c_str(), mutations.c_str());
  std::exit(status);
}

std::uint64_t number(const char* text) {
  char* end = nullptr;
  const auto value = std::strtoull(text == nullptr ? "" : text, &end, 10);
  if (text == nullptr || *text == '\0' || *end != '\0') usage(2);
  return value;
}

Arguments parse(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const char* next = i + 1 < argc ? argv[i + 1] : nullptr;
    if (word == "--help" || word == "-h") usage(0);
    if (word == "--verbose") {
      out.verbose = true;
    } else if (word == "--real") {
      out.life.real_key_exchange = true;
    } else if (word == "--edition" && next != nullptr && next[0] >= '1' && next[0] <= '4' && next[1] == '\0') {
      out.edition = static_cast<Edition>(next[0] - '1');
      ++i;
    } else if (word == "--seeds") {
      out.seeds = number(next), ++i;
    } else if (word == "--from") {
      out.from = number(next), ++i;
    } else if (word == "--seed") {
      out.from = number(next), ++i;
      out.seeds = 1;
    } else if (const auto mutation = word == "--mutate" && next != nullptr ? parse_mutation(next) : std::nullopt;
               mutation) {
      out.life.mutation = *mutation;
      out.mutation = next;
      ++i;
    } else if (const auto only = word == "--only" && next != nullptr ? parse_feature(next) : std::nullopt; only) {
      out.only = only;
      out.feature = next;
      ++i;
    } else {
      usage(2);
    }
  }
  if (out.verbose) out.life.trace = [](const std::string& line) { std::printf("%s\n", line.c_str()); };
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  const auto started = std::chrono::steady_clock::now();
  std::uint64_t datagrams = 0;
  std::uint64_t packets = 0;
  std::uint64_t forgeries = 0;
  for (std::uint64_t seed = arguments.from; seed < arguments.from + arguments.seeds; ++seed) {
    const auto result = Life(make_plan(seed, arguments.only, arguments.edition), arguments.life).run();
    datagrams += result.datagrams;
    packets += result.packets;
    forgeries += result.forgeries;
    if (!result.fault) continue;
    std::printf("seed %llu failed %s\n", static_cast<unsigned long long>(seed), result.fault->c_str());
    std::printf("replay: ./dev sim --seed %llu --verbose%s%s%s%s%s%s\n", static_cast<unsigned long long>(seed),
                arguments.life.real_key_exchange ? " --real" : "", arguments.mutation.empty() ? "" : " --mutate ",
                arguments.mutation.c_str(), arguments.only ? " --only " : "", arguments.feature.c_str(),
                arguments.edition == Edition::kFirst    ? " --edition 1"
                : arguments.edition == Edition::kSecond ? " --edition 2"
                : arguments.edition == Edition::kThird  ? " --edition 3"
                                                        : "");
    return 1;
  }
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  std::printf("%llu lives without a fault: %llu IKE datagrams, %llu forged ones, %llu packets, %.1f s\n",
              static_cast<unsigned long long>(arguments.seeds), static_cast<unsigned long long>(datagrams),
              static_cast<unsigned long long>(forgeries), static_cast<unsigned long long>(packets), took);
  return 0;
}
