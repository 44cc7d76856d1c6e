// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over its committed corpus, and over seeded mutations of it, without libFuzzer.
// Takes the flags of a GoogleTest program, so that the test run can treat both alike; --gtest_output=xml:FILE is
// obeyed.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr int kMutationsPerSeed = 200;

std::vector<cygnet::Bytes> read_corpus(const std::filesystem::path& folder) {
  std::vector<cygnet::Bytes> inputs = {{}};
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    std::ifstream in(entry.path(), std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  // A folder's order is another one on each machine, and the mutations follow from it.
  std::ranges::sort(inputs);
  return inputs;
}

// What was tried when the target gave up, to be kept as a seed.
const cygnet::Bytes* under_test = nullptr;

void tell_input(int /*signal*/) {
  if (under_test != nullptr) {
    std::fprintf(stderr, "\nthe input, in hexadecimal (xxd -r -p makes a seed of it): ");
    for (const auto octet : *under_test) std::fprintf(stderr, "%02x", static_cast<unsigned>(octet));
    std::fprintf(stderr, "\n");
  }
  (void)std::signal(SIGABRT, SIG_DFL);  // returns into abort(), which ends the program now
}

void run(const cygnet::Bytes& input) {
  under_test = &input;
  (void)LLVMFuzzerTestOneInput(input.data(), input.size());
  under_test = nullptr;
}

cygnet::Bytes mutate(cygnet::Bytes input, cygnet::Random& random) {
  const auto edits = 1 + random.below(4);
  for (std::uint64_t i = 0; i < edits && !input.empty(); ++i) {
    const auto at = static_cast<std::ptrdiff_t>(random.below(input.size()));
    switch (random.below(4)) {
      case 0: input[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(random.u32()); break;
      case 1: input[static_cast<std::size_t>(at)] ^= static_cast<std::uint8_t>(1U << random.below(8)); break;
      case 2: input.resize(static_cast<std::size_t>(at)); break;
      default: input.insert(input.begin() + at, static_cast<std::uint8_t>(random.u32())); break;
    }
  }
  return input;
}

void write_result(const std::string& file, std::size_t tests) {
  std::ofstream out(file);
  out << "<testsuites tests=\"" << tests << "\" failures=\"0\"/>\n";
}

}  // namespace

int main(int argc, char** argv) {
  const auto corpus = read_corpus(CYGNET_CORPUS);
  if (corpus.size() < 2) {
    std::fprintf(stderr, "no seeds in %s\n", CYGNET_CORPUS);
    return 1;
  }
  cygnet::SeededRandom random(1);
  // With --corpus-only, as ./dev fuzz --coverage wants it, without the mutations.
  const bool corpus_only = argc > 1 && std::strcmp(argv[1], "--corpus-only") == 0;
  const int mutations = corpus_only ? 0 : kMutationsPerSeed;
  std::size_t runs = 0;
  (void)std::signal(SIGABRT, tell_input);
  // A crash or an abort() in the target ends the program: that is the failure.
  for (const auto& input : corpus) {
    run(input);
    for (int i = 0; i < mutations; ++i, ++runs) run(mutate(input, random));
  }
  const std::string flag = "--gtest_output=xml:";
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], flag.c_str(), flag.size()) == 0) write_result(argv[i] + flag.size(), corpus.size());
  }
  std::printf("%zu seeds, %zu mutations\n", corpus.size(), runs);
  return 0;
}
