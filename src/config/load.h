// SPDX-License-Identifier: Apache-2.0
#pragma once

// ipsec.conf and ipsec.secrets, in Libreswan's and strongSwan's dialect, to model. Pure: text comes through a
// FileReader. All faults of a file are found in one go, not only the first.
#include <string>
#include <vector>

#include "config/diagnostic.h"
#include "config/file_reader.h"
#include "model/connection.h"
#include "model/engine_threads.h"

namespace cygnet::config {

struct LoadedConfiguration {
  model::Setup setup;
  model::EngineThreads threads;
  std::vector<model::Connection> connections;  // local = left, remote = right: call model::orient
  model::PublicCredentials credentials;        // what the connections, ca sections and directories name
  std::string pkcs11_module;                   // library for tokens; empty: none is named
  std::vector<std::string> ignored;            // names of conn sections with auto=ignore or without auto=
  Diagnostics diagnostics;
  // false: some diagnostic is an error; setup and connections are then not to be used.
  [[nodiscard]] bool ok() const { return !has_errors(diagnostics); }
};
[[nodiscard]] LoadedConfiguration load_ipsec_conf(const std::string& path, FileReader& files);

struct LoadedSecrets {
  std::vector<model::SharedSecret> secrets;
  std::vector<model::PrivateKeySource> private_keys;  // named in lines, and those in private/ beside the file
  Diagnostics diagnostics;                            // never show a secret, not even a wrong one
  [[nodiscard]] bool ok() const { return !has_errors(diagnostics); }
};
[[nodiscard]] LoadedSecrets load_ipsec_secrets(const std::string& path, FileReader& files);

}  // namespace cygnet::config
