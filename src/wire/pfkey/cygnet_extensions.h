// SPDX-License-Identifier: Apache-2.0
#pragma once

// What Cygnet adds to PF_KEY. Nothing of it is sent to a client that did not ask.
#include <vector>

#include "wire/pfkey/octets.h"
#include "wire/pfkey/refusal.h"

namespace cygnet::wire::pfkey {

// In a CYGNET_OPTIONS message: what this client wants from now on.
//
//   +---------------+---------------+---------------+---------------+
//   |              len              |            exttype            |
//   +---------------+---------------+---------------+---------------+
//   |                             flags                             |
//   +---------------+---------------+---------------+---------------+
struct OptionsExtension {
  static constexpr std::uint32_t kErrorText = 1;     // errors come with a sentence
  static constexpr std::uint32_t kShowKeys = 2;      // keys are not blanked out
  static constexpr std::uint32_t kQuietBatches = 4;  // our own ADD and the like are answered only if they fail
  static constexpr std::uint32_t kKnown = kErrorText | kShowKeys | kQuietBatches;
  std::uint32_t flags = 0;

  [[nodiscard]] static Parsed<OptionsExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const OptionsExtension&) const = default;
};

// In an answer with an error: why, as a sentence. Length, type, UTF-8 text, padded with NULs.
struct ErrorTextExtension {
  static constexpr std::size_t kMostOctets = 1024;
  std::string text;

  [[nodiscard]] static Parsed<ErrorTextExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const ErrorTextExtension&) const = default;
};

// In a DUMP: where to go on, and how many entries at most. In its last answer: where the next one shall go on.
//
//   +---------------+---------------+---------------+---------------+
//   |              len              |            exttype            |
//   +---------------+---------------+---------------+---------------+
//   |              most entries (0: all); answer: 1 if there is more|
//   +---------------+---------------+---------------+---------------+
//   |                  position (64 bits; 0: from the beginning)    |
//   +---------------+---------------+---------------+---------------+
struct CursorExtension {
  std::uint32_t most = 0;
  std::uint64_t position = 0;

  [[nodiscard]] static Parsed<CursorExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const CursorExtension&) const = default;
};

// In the answer to CYGNET_STATISTICS: lines "name value", each with a newline.
struct StatisticsExtension {
  std::string text;

  [[nodiscard]] static Parsed<StatisticsExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const StatisticsExtension&) const = default;
};

}  // namespace cygnet::wire::pfkey
