// SPDX-License-Identifier: Apache-2.0
#include "config/reload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/random.h"

namespace cygnet::config {
namespace {

constexpr const char* kPath = "/etc/ipsec.conf";

std::string conn(const std::string& name, int number, const std::string& more = {}) {
  return "conn " + name + "\n\tleft=192.0.2.1\n\tleftid=@" + name + ".test\n\tleftsubnet=10.1." +
         std::to_string(number) + ".0/24\n" + more;
}
std::string common(const std::string& more = {}) {
  return "config setup\n\tikeport=500\nconn %default\n\tright=198.51.100.1\n\trightid=@gw.test\n"
         "\trightsubnet=10.2.0.0/16\n\tauthby=secret\n\tauto=add\n" +
         more;
}

class ReloadTest : public ::testing::Test {
 protected:
  using Files = std::map<std::string, std::string>;
  void load(const Files& texts) {
    MemoryFiles files(texts);
    auto loaded = reloader.load(kPath, files);
    ASSERT_TRUE(loaded.ok()) << to_string(loaded.diagnostics);
    connections = std::move(loaded.connections);
  }
  void load(const std::string& text) { load(Files{{kPath, text}}); }

  // What load() makes of it, out of what there was and what changed. False: load() must be asked.
  bool reload(const Files& texts) {
    MemoryFiles files(texts);
    change = reloader.reload(kPath, files);
    if (!change) return false;
    std::map<std::string, model::Connection> now;
    for (auto& c : connections) now.insert_or_assign(c.name, c);
    for (const auto& name : change->removed) EXPECT_EQ(now.erase(name), 1U) << name;
    for (const auto& c : change->fresh) now.insert_or_assign(c.name, c);
    connections.clear();
    for (const auto& placed : change->order) {
      auto& c = now.at(placed.name);
      c.source = placed.source;
      connections.push_back(c);
    }
    EXPECT_EQ(connections.size(), now.size());
    const auto loaded = load_ipsec_conf(kPath, files);
    EXPECT_TRUE(loaded.ok());
    EXPECT_EQ(loaded.connections, connections);
    EXPECT_EQ(loaded.ignored, change->ignored);
    EXPECT_EQ(loaded.setup, reloader.setup());
    return true;
  }
  bool reload(const std::string& text) { return reload(Files{{kPath, text}}); }
  [[nodiscard]] std::vector<std::string> fresh() const {
    std::vector<std::string> names;
    for (const auto& c : change->fresh) names.push_back(c.name);
    return names;
  }
  using Names = std::vector<std::string>;

  Reloader reloader;
  std::vector<model::Connection> connections;
  std::optional<ConfigurationChange> change;
};

TEST_F(ReloadTest, OnlyWhatChangedIsReadAgain) {
  load(common() + conn("a", 1) + conn("b", 2) + conn("c", 3));
  ASSERT_TRUE(reload(common() + conn("a", 1) + conn("b", 2) + conn("c", 3)));
  EXPECT_EQ(fresh(), Names{});
  ASSERT_TRUE(reload(common() + conn("a", 1) + conn("b", 2, "\tmtu=1300\n") + conn("c", 3)));
  EXPECT_EQ(fresh(), Names{"b"});
  EXPECT_EQ(connections[1].children.at(0).mtu, 1300U);
  EXPECT_EQ(connections[2].source, std::string(kPath) + ":18");
  ASSERT_TRUE(reload(common() + conn("new", 9) + conn("c", 3) + conn("b", 2, "\tmtu=1300\n")));
  EXPECT_EQ(fresh(), Names{"new"});
  EXPECT_EQ(change->removed, Names{"a"});
  ASSERT_TRUE(reload(common() + conn("new", 9, "\tauto=ignore\n") + conn("c", 3)));
  EXPECT_EQ(change->removed, (Names{"b", "new"}));
  EXPECT_EQ(change->ignored, Names{"new"});
  ASSERT_TRUE(reload(common() + conn("new", 9) + conn("c", 3)));
  EXPECT_EQ(fresh(), Names{"new"});
}

TEST_F(ReloadTest, ErrorsAndWarningsAreForLoad) {
  const auto good = common() + conn("a", 1) + conn("b", 2);
  load(good);
  for (const std::string bad : {"\tmtu=many\n", "\tmut=1300\n", "\tklipsdebug=all\n", "\trightid=@b.test\n"}) {
    EXPECT_FALSE(reload(common() + conn("a", 1) + conn("b", 2, bad))) << bad;
  }
  EXPECT_FALSE(reload(good + conn("a", 3))) << "a name twice";
  EXPECT_FALSE(reload(good + "conn two words\n"));
  EXPECT_FALSE(reload(good + "\tnonsense\n"));
  EXPECT_FALSE(reload(good + "connn x\n"));
  // What was remembered is still good.
  EXPECT_TRUE(reload(good));
}

TEST_F(ReloadTest, WhatBearsUponOthersIsForLoad) {
  const auto rest = conn("a", 1) + conn("b", 2) + conn("child", 4, "\talso=base\n\tauto=add\n") +
                    "conn base\n\trightsubnet=10.7.0.0/16\n\tauto=ignore\n";
  load(common() + rest);
  EXPECT_FALSE(reload(common("\tmtu=1300\n") + rest)) << "%default";
  EXPECT_FALSE(reload("config setup\n\tikeport=501\n" + common().substr(common().find("conn %default")) + rest));
  EXPECT_FALSE(reload(common() + rest + "\tmtu=1300\n")) << "a section that another one names";
  EXPECT_FALSE(reload(common() + rest + conn("d", 5, "\talso=a\n"))) << "a is now named as well";
  EXPECT_FALSE(reload(common() + rest + "ca x\n\tauto=ignore\n"));
  EXPECT_TRUE(reload(common() + conn("a", 1, "\tmtu=1300\n") + rest.substr(rest.find("conn b\n"))));
  EXPECT_TRUE(reload(common() + conn("a", 1) + conn("b", 2) +
                     conn("child", 4, "\talso=base\n\tauto=add\n\tmtu=1300\n") +
                     "conn base\n\trightsubnet=10.7.0.0/16\n\tauto=ignore\n"));
  EXPECT_EQ(connections[2].children.at(0).remote.at(0).to_string(), "10.7.0.0/16");
}

TEST_F(ReloadTest, ConnectionsThatMeetAreForLoad) {
  const auto rest = conn("a", 1) + conn("b", 2);
  load(common() + rest);
  EXPECT_FALSE(reload(common() + rest + conn("c", 2))) << "the same packets as b";
  EXPECT_FALSE(reload(common() + rest + conn("c", 3, "\tleftid=@a.test\n"))) << "the same ends as a";
  EXPECT_FALSE(reload(common() + rest + conn("c", 3) + conn("d", 3))) << "two new ones";
  EXPECT_TRUE(reload(common() + rest + conn("c", 3)));
}

TEST_F(ReloadTest, IncludedFilesComeAndGo) {
  const auto base = common() + conn("a", 1) + "include conf.d/*.conf\n" + conn("z", 2);
  load(Files{{kPath, base}, {"/etc/conf.d/b.conf", conn("b", 3)}});
  ASSERT_TRUE(reload(Files{{kPath, base}, {"/etc/conf.d/b.conf", conn("b", 3)}, {"/etc/conf.d/c.conf", conn("c", 4)}}));
  EXPECT_EQ(fresh(), Names{"c"});
  EXPECT_EQ(connections.size(), 4U);
  EXPECT_EQ(connections[2].source, "/etc/conf.d/c.conf:1");
  ASSERT_TRUE(reload(Files{{kPath, base}, {"/etc/conf.d/c.conf", "# a comment\n\n" + conn("c", 5)}}) == false)
      << "a comment before the first section belongs to all";
  ASSERT_TRUE(reload(Files{{kPath, base}, {"/etc/conf.d/c.conf", conn("c", 5)}}));
  EXPECT_EQ(change->removed, Names{"b"});
  EXPECT_FALSE(reload(Files{{kPath, base + "include none.conf\n"}}));
}

TEST_F(ReloadTest, FilesBesideTheConfigurationAreComparedToo) {
  const auto text = common() + conn("a", 1);
  load(Files{{kPath, text}});
  EXPECT_TRUE(reload(Files{{kPath, text}}));
  EXPECT_FALSE(reload(Files{{kPath, text}, {"/etc/cacerts/root.pem", "?"}}));
}

// Anything may be edited: what comes of a part is what comes of the whole.
TEST_F(ReloadTest, AnyEditGivesWhatLoadGives) {
  SeededRandom random(11);
  const std::vector<std::string> lines{"\tmtu=1300\n", "\tauto=ignore\n", "# note\n",     "\t# note\n",
                                       "\n",           "\talso=c2\n",     "\trekey=no\n", "\tikelifetime=2h\n"};
  unsigned partly = 0;
  for (int round = 0; round < 60; ++round) {
    std::vector<std::string> sections;
    for (int i = 0; i < 8; ++i) sections.push_back(conn("c" + std::to_string(i), i));
    const auto text = [&] {
      std::string out = common();
      for (const auto& s : sections) out += s;
      return out;
    };
    load(text());
    for (int edit = 0; edit < 8; ++edit) {
      const auto before = sections;
      const auto which = random.below(sections.size());
      const auto place = static_cast<std::ptrdiff_t>(which);
      switch (random.below(4)) {
        case 0: sections.erase(sections.begin() + place); break;
        case 1: sections.insert(sections.begin() + place, conn("n" + std::to_string(edit), 20 + edit)); break;
        case 2: std::swap(sections[which], sections[random.below(sections.size())]); break;
        default: sections[which] += lines[random.below(lines.size())];
      }
      if (sections.empty()) break;
      if (reload(text())) {
        ++partly;
        continue;
      }
      MemoryFiles files(Files{{kPath, text()}});
      auto loaded = reloader.load(kPath, files);
      if (!loaded.ok()) {
        sections = before;
        load(text());
      } else {
        connections = std::move(loaded.connections);
      }
    }
  }
  EXPECT_GT(partly, 150U);
}

}  // namespace
}  // namespace cygnet::config
