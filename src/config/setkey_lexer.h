// SPDX-License-Identifier: Apache-2.0
#pragma once

// Words of setkey's language. A word is what stands between blanks; `;` ends a statement wherever it stands, "..."
// is one word, # begins a comment, a backslash before the end of a line is a blank.
#include <optional>
#include <string>
#include <string_view>

#include "config/setkey_script.h"

namespace cygnet::config {

struct SetkeyWord {
  SetkeyPlace place;
  std::string text;
  bool quoted = false;
  [[nodiscard]] bool is(std::string_view what) const { return !quoted && text == what; }
};

class SetkeyLexer {
 public:
  explicit SetkeyLexer(std::string_view text) : text_(text) {}
  // Nothing: the end. An unterminated string gives a word that begins with a quote.
  [[nodiscard]] std::optional<SetkeyWord> next();

 private:
  void skip_blanks();
  void step();
  [[nodiscard]] char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  std::string_view text_;
  std::size_t at_ = 0;
  SetkeyPlace place_{1, 1};
};

}  // namespace cygnet::config
