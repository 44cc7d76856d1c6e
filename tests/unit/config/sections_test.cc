// SPDX-License-Identifier: Apache-2.0
#include "config/sections.h"

#include "unit/config/config_test_support.h"

namespace cygnet::config {
namespace {

std::vector<Section> parse(const std::string& text, Diagnostics& diagnostics) {
  MemoryFiles files({{"f", text}});
  return parse_sections("f", files, diagnostics);
}

TEST(Sections, ReadKeysValuesCommentsAndQuotes) {
  Diagnostics diagnostics;
  const auto sections = parse(
      "# comment\nversion 2\nconfig setup   # here too\n\tlog_level = debug\r\n\n"
      "conn  a\n  LeftID=@#a1b2 # a hash inside a value is none\n\tx = \"two  words # \\\" \\\\ \"\n\tleftsubnets={ "
      "10.0.0.0/8 11.0.0.0/8 }\n",
      diagnostics);
  EXPECT_EQ(lines_of(diagnostics), "");
  ASSERT_EQ(sections.size(), 2U);
  EXPECT_EQ(sections[0].kind, SectionKind::kSetup);
  ASSERT_EQ(sections[0].entries.size(), 1U);
  EXPECT_EQ(sections[0].entries[0].key, "log-level");
  EXPECT_EQ(sections[0].entries[0].value, "debug");
  EXPECT_EQ(sections[1].name, "a");
  ASSERT_EQ(sections[1].entries.size(), 3U);
  EXPECT_EQ(sections[1].entries[0].key, "leftid");
  EXPECT_EQ(sections[1].entries[0].value, "@#a1b2");
  EXPECT_EQ(sections[1].entries[0].place.line, 7U);
  EXPECT_EQ(sections[1].entries[0].place.column, 3U);
  EXPECT_EQ(sections[1].entries[0].value_column, 10U);
  EXPECT_EQ(sections[1].entries[1].value, "two  words # \" \\ ");
  EXPECT_EQ(sections[1].entries[2].value, "{ 10.0.0.0/8 11.0.0.0/8 }");
}

TEST(Sections, AllFaultsOfAFileAreReported) {
  Diagnostics diagnostics;
  (void)parse(
      "cnon a\n\tleft=1.2.3.4\nleft=1.2.3.4\nconn\nconn a b\nconn a/b\nconfig startup\nversion 3\n\tleft=1\nconn "
      "c\n\tnonsense\n\tleft=\"open\n"
      "\tright=a\"b\n\tid=\"a\" b\n  conn d\ninclude\n\x01\n",
      diagnostics);
  EXPECT_EQ(lines_of(diagnostics),
            "1:1: error: 'cnon' opens no section\n"
            "3:1: error: 'left=' stands at the start of the line\n"
            "4:1: error: conn without a name\n"
            "5:1: error: the name 'a b' has a blank or a character that no name may have\n"
            "6:1: error: the name 'a/b' has a '/', which separates a connection from its children\n"
            "7:1: error: 'config startup' is not known\n"
            "8:9: error: version '3' is not known\n"
            "11:2: error: 'nonsense' is not of the form key=value\n"
            "12:7: error: the quote is not closed\n"
            "13:8: error: a quote in the middle of a value\n"
            "14:5: error: text follows the closing quote\n"
            "15:3: error: 'conn d' is not of the form key=value\n"
            "16:8: error: include without a file name\n"
            "17:1: error: control character in the file\n");
  EXPECT_EQ(diagnostics[0].hint, "did you mean 'conn'?");
  EXPECT_EQ(diagnostics[11].hint, "remove the white space before 'conn'");
}

TEST(Sections, DiagnosticsLookLikeACompilers) {
  const auto loaded = load_text("conn a\n\tleft=192.0.2.1\n\trigth=192.0.2.2\n");
  EXPECT_EQ(to_string(loaded.diagnostics),
            "/etc/ipsec.conf:3:2: error: 'rigth' is not known\n"
            "  \trigth=192.0.2.2\n"
            "  \t^\n"
            "  hint: did you mean 'right'?\n");
}

TEST(Sections, ALineOfTheSecretsFileIsNotShown) {
  const auto loaded = load_text("@gw-a @gw-b : PSK \"hunter2\"\nconn a\n\tauthby = psk # fine\n\t : psk \"hunter2\"\n");
  EXPECT_EQ(to_string(loaded.diagnostics),
            "/etc/ipsec.conf:1:1: error: a pre-shared key does not belong here\n"
            "  hint: put it into ipsec.secrets, or name this file with --secrets\n"
            "/etc/ipsec.conf:4:1: error: a pre-shared key does not belong here\n"
            "  hint: put it into ipsec.secrets, or name this file with --secrets\n");
}

TEST(Include, IsRelativeToItsFileAndTakesPatterns) {
  MemoryFiles files({{"/etc/ipsec.conf", "include conf.d/*.conf\ninclude extra\n"},
                     {"/etc/conf.d/b.conf", "conn b\n\tx-b=1\n"},
                     {"/etc/conf.d/a.conf", "conn a\n\tx-a=1\n"},
                     {"/etc/conf.d/no.txt", "nonsense"},
                     {"/etc/extra", "conn c\n"}});
  Diagnostics diagnostics;
  const auto sections = parse_sections("/etc/ipsec.conf", files, diagnostics);
  EXPECT_EQ(lines_of(diagnostics), "");
  ASSERT_EQ(sections.size(), 3U);
  EXPECT_EQ(sections[0].name, "a");
  EXPECT_EQ(sections[1].name, "b");
  EXPECT_EQ(sections[2].name, "c");
  EXPECT_EQ(sections[2].place.file, "/etc/extra");
}

TEST(Include, APatternThatFindsNothingIsNamed) {
  MemoryFiles files({{"/etc/ipsec.conf", "include conf.d/*.conf\nconn c\n"}, {"/etc/other", ""}});
  Diagnostics diagnostics;
  EXPECT_EQ(parse_sections("/etc/ipsec.conf", files, diagnostics).size(), 1U);
  ASSERT_EQ(diagnostics.size(), 1U);
  EXPECT_EQ(to_line(diagnostics[0]),
            "/etc/ipsec.conf:1:9: warning: include conf.d/*.conf: there is no such file: /etc/conf.d/*.conf");
}

TEST(Include, LoopsDepthAndMissingFilesAreErrors) {
  MemoryFiles files({{"a", "include b\n"}, {"b", "include a\ninclude gone\n"}});
  Diagnostics diagnostics;
  (void)parse_sections("a", files, diagnostics);
  ASSERT_EQ(diagnostics.size(), 2U);
  EXPECT_EQ(to_line(diagnostics[0]), "b:1:9: error: 'a' includes itself");
  EXPECT_EQ(to_line(diagnostics[1]), "b:2:9: error: cannot read 'gone': no such file");

  MemoryFiles deep;
  for (int i = 0; i < 20; ++i) deep.put("f" + std::to_string(i), "include f" + std::to_string(i + 1) + "\n");
  diagnostics.clear();
  (void)parse_sections("f0", deep, diagnostics);
  ASSERT_EQ(diagnostics.size(), 1U);
  EXPECT_EQ(diagnostics[0].message, "include goes deeper than 10 files");
}

TEST(Include, AFileThatIncludesItselfManyTimesEnds) {
  // Each of ten levels includes the next one a hundred times: 10^20 files if nobody counts.
  MemoryFiles files;
  for (int i = 0; i <= 10; ++i) {
    std::string text;
    for (int k = 0; k < 100; ++k) text += "include f" + std::to_string(i + 1) + "\n";
    files.put("f" + std::to_string(i), i == 10 ? "conn x\n" : text);
  }
  Diagnostics diagnostics;
  (void)parse_sections("f0", files, diagnostics);
  ASSERT_FALSE(diagnostics.empty());
  EXPECT_EQ(diagnostics.back().message, "more than 20000 files are included");
}

TEST(Sections, MissingMainFileIsAnError) {
  MemoryFiles files;
  const auto loaded = load_ipsec_conf("/none", files);
  EXPECT_FALSE(loaded.ok());
  EXPECT_EQ(to_string(loaded.diagnostics), "/none: error: cannot read '/none': no such file\n");
}

TEST(Sections, AtMostTwoHundredMessages) {
  std::string text = "conn a\n";
  for (int i = 0; i < 1000; ++i) text += "\tnonsense" + std::to_string(i) + "\n";
  Diagnostics diagnostics;
  (void)parse(text, diagnostics);
  EXPECT_EQ(diagnostics.size(), kMaxDiagnostics + 1);
  EXPECT_EQ(diagnostics.back().message, "more than 200 messages: the rest is not shown");
}

}  // namespace
}  // namespace cygnet::config
