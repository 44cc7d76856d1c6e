// SPDX-License-Identifier: Apache-2.0
#pragma once

// The parser behind parse_setkey(); statements are in setkey_script.cc, policies in setkey_policy.cc.
#include <initializer_list>
#include <optional>

#include "config/setkey_lexer.h"

namespace cygnet::config {

class SetkeyParser {
 public:
  SetkeyParser(std::string_view text, std::string file) : lexer_(text), file_(std::move(file)) { advance(); }
  [[nodiscard]] SetkeyScript run();

 private:
  // ---- words
  void advance() { word_ = lexer_.next(); }
  [[nodiscard]] bool at(std::string_view text) const { return word_ && word_->is(text); }
  [[nodiscard]] bool at_end() const { return !word_ || word_->is(";"); }
  // Does a word follow that begins with a digit?
  [[nodiscard]] bool at_number() const {
    return word_ && !word_->quoted && !word_->text.empty() && word_->text[0] >= '0' && word_->text[0] <= '9';
  }
  // Takes a word that must be there. what: for the message, "an SPI".
  [[nodiscard]] std::optional<SetkeyWord> take(const std::string& what);
  // Always false: what went wrong is noted.
  bool error(SetkeyPlace place, std::string message, std::string hint = {});
  bool error_here(const std::string& expected);
  template <typename T>
  bool number(const SetkeyWord& word, const std::string& what, std::uint64_t most, T& out);
  template <typename T>
  bool take_number(const std::string& what, std::uint64_t most, T& out);

  // ---- statements
  bool statement(SetkeyStatement& out);
  // "exit;", "quit;" and "bye;": what follows is not read.
  [[nodiscard]] bool at_exit() const { return at("exit") || at("quit") || at("bye"); }
  bool arguments(SetkeyStatement& out);
  bool family_options(SetkeyStatement& out);
  bool sa_name(SetkeyStatement& out, bool with_spi);
  bool protocol(SetkeyProtocol& out);
  bool optional_protocol(SetkeyStatement& out);
  bool extensions(SetkeySa& sa);
  bool extension(const SetkeyWord& option, SetkeySa& sa);
  bool lifetime(std::string_view option, SetkeySa& sa);
  bool mode(const SetkeyWord& word, SetkeyMode& out);
  bool sa_flag(SetkeySa& sa);
  bool context(std::optional<SetkeySa::Context>& out);
  bool algorithms(SetkeyStatement& out);
  bool algorithm(char kind, SetkeySa& sa);
  bool key(SecretBytes& out, SetkeyPlace& place);
  bool check_sa(const SetkeyStatement& statement);

  // ---- addresses and policies
  bool address(SetkeyAddress& out, bool range);
  bool split_address(const SetkeyWord& word, SetkeyAddress& out, bool range);
  bool port(std::string_view text, SetkeyPlace place, std::uint16_t& out);
  bool upper_layer(SetkeyStatement& out);
  bool icmp(SetkeyStatement& out);
  bool gre_key(SetkeyStatement& out);
  bool spd_statement(SetkeyStatement& out);
  bool policy(SetkeyPolicy& out, bool direction_only);
  bool priority(SetkeyPolicy& out);
  bool request(const SetkeyWord& word, SetkeyPolicy& out);
  bool request_ends(std::string_view text, SetkeyPlace place, SetkeyRequest& out);
  bool request_level(std::string_view text, SetkeyPlace place, SetkeyRequest& out);

  SetkeyLexer lexer_;
  std::string file_;
  std::optional<SetkeyWord> word_;
  SetkeyPlace last_;  // of the word taken last
  SetkeyScript script_;
};

// Decimal, or hexadecimal with 0x. Nothing: no number, or more than most.
[[nodiscard]] std::optional<std::uint64_t> parse_setkey_number(std::string_view text, std::uint64_t most);

}  // namespace cygnet::config
