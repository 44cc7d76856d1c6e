// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over its committed corpus, and over seeded mutations of it, without libFuzzer.
// Takes the flags of a GoogleTest program, so that the test run can treat both alike; --gtest_output=xml:FILE is
// obeyed.
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
  return inputs;
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
  // A crash or an abort() in the target ends the program: that is the failure.
  for (const auto& input : corpus) {
    (void)LLVMFuzzerTestOneInput(input.data(), input.size());
    for (int i = 0; i < mutations; ++i, ++runs) {
      const auto changed = mutate(input, random);
      (void)LLVMFuzzerTestOneInput(changed.data(), changed.size());
    }
  }
  const std::string flag = "--gtest_output=xml:";
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], flag.c_str(), flag.size()) == 0) write_result(argv[i] + flag.size(), corpus.size());
  }
  std::printf("%zu seeds, %zu mutations\n", corpus.size(), runs);
  return 0;
}
