// SPDX-License-Identifier: Apache-2.0
#include "config/setkey_lexer.h"

namespace cygnet::config {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v'; }

}  // namespace

void SetkeyLexer::step() {
  if (here() == '\n') {
    ++place_.line;
    place_.column = 1;
  } else {
    ++place_.column;
  }
  ++at_;
}

void SetkeyLexer::skip_blanks() {
  while (at_ < text_.size()) {
    const bool continued =
        here() == '\\' && at_ + 1 < text_.size() && (text_[at_ + 1] == '\n' || text_[at_ + 1] == '\r');
    if (is_blank(here()) || continued) {
      step();
    } else if (here() == '#') {
      while (at_ < text_.size() && here() != '\n') step();
    } else {
      return;
    }
  }
}

std::optional<SetkeyWord> SetkeyLexer::next() {
  skip_blanks();
  if (at_ >= text_.size()) return std::nullopt;
  SetkeyWord word{.place = place_};
  if (here() == ';') {
    word.text = ";";
    step();
    return word;
  }
  if (here() == '"') {
    const auto start = at_;
    step();
    while (at_ < text_.size() && here() != '"' && here() != '\n') {
      word.text += here();
      step();
    }
    if (here() != '"') return SetkeyWord{word.place, std::string(text_.substr(start, at_ - start)), false};
    step();
    word.quoted = true;
    return word;
  }
  while (at_ < text_.size() && !is_blank(here()) && here() != ';' && here() != '#' && here() != '"') {
    word.text += here();
    step();
  }
  return word;
}

}  // namespace cygnet::config
