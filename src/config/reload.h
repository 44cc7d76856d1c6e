// SPDX-License-Identifier: Apache-2.0
#pragma once

// A configuration of ten thousand connections in which one has changed is not read as if it were new: the text of the
// others is compared, and only what changed is read again, by the same rules as ever. Whatever could make one section
// bear upon another (config setup, %default, also=, ca, certificates, messages, ends that two connections share) leads
// back to load().
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/file_reader.h"
#include "config/load.h"
#include "model/connection.h"

namespace cygnet::config {

struct ConfigurationChange {
  struct Placed {
    std::string name, source;  // as Connection::source
  };
  std::vector<model::Connection> fresh;  // added, or written differently
  std::vector<std::string> removed;
  std::vector<Placed> order;         // all connections there are now
  std::vector<std::string> ignored;  // as LoadedConfiguration::ignored
};

class Reloader {
 public:
  Reloader();
  ~Reloader();
  Reloader(const Reloader&) = delete;
  Reloader& operator=(const Reloader&) = delete;

  // All of it, which is remembered if it is good.
  [[nodiscard]] LoadedConfiguration load(const std::string& path, FileReader& files);
  // What is different from what was remembered, which is then the new state; reads every file through `files` that
  // load() would. Nothing: ask load().
  [[nodiscard]] std::optional<ConfigurationChange> reload(const std::string& path, FileReader& files);
  // config setup, as remembered.
  [[nodiscard]] const model::Setup& setup() const { return setup_; }

 private:
  struct Text;   // what the files say, cut into sections
  struct Facts;  // what became of a section
  struct Round;
  // Text of a file that is no part of the configuration's own, by its name: a certificate, say.
  using Others = std::map<std::string, std::pair<std::size_t, std::size_t>>;  // octets, hash
  using Globs = std::map<std::string, std::vector<std::string>>;

  void remember(const std::string& path, Round& round, const LoadedConfiguration& loaded);
  [[nodiscard]] bool others_are_the_same(Round& round) const;
  [[nodiscard]] bool read_fresh(const std::string& path, Round& round, Text& now, std::vector<Facts>& facts,
                                ConfigurationChange& change) const;

  std::unique_ptr<Text> text_;  // null: nothing is remembered
  std::vector<Facts> facts_;    // of its sections
  Others others_;
  Globs globs_;
  model::Setup setup_;
};

}  // namespace cygnet::config
