// SPDX-License-Identifier: Apache-2.0
#pragma once

// Certificates and public keys that a configuration names: found in files, as DER. Directories beside ipsec.conf are
// read too: cacerts/ (authorities) and crls/.
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/connection_draft.h"
#include "config/file_reader.h"
#include "config/sections.h"
#include "model/credentials.h"

namespace cygnet::config {

class CredentialFiles {
 public:
  CredentialFiles(const std::string& config_path, FileReader& files, Reporter& report);

  void read_directories();
  void read_ca_section(const Section& section);
  // Reads what the ends name and decides how each proves itself where the words leave it open.
  void finish(ConnectionDraft& draft);
  [[nodiscard]] model::PublicCredentials take() { return std::move(out_); }

 private:
  void check_null(const EndDraft& words, const model::End& end, const ConnectionDraft& draft);
  struct Found {
    std::string path;
    std::string text;
  };
  [[nodiscard]] Result<Found> find(const std::string& folder, const std::string& name);
  void load_certificate(const Entry& entry, model::End& end);
  void load_from_token(const Entry& entry);
  void load_public_key(const Entry& entry, const std::string& conn, model::End& end);
  void add_authority(const std::string& name, const std::string& path, Bytes der);

  std::string folder_;  // of ipsec.conf, with its slash
  FileReader& files_;
  Reporter& report_;
  model::PublicCredentials out_;
  std::set<std::string> certificates_, public_keys_;  // names in out_
  std::map<Bytes, std::string> authorities_;          // DER to name
};

// The folder a file stands in, with its slash.
[[nodiscard]] std::string folder_of(const std::string& path);

// leftcert=, leftca=, leftid=%fromcert, leftauth=, authby= and their like. False: no such word.
[[nodiscard]] bool apply_credential_word(const Entry& entry, ConnectionDraft& draft, Reporter& report);
[[nodiscard]] std::vector<std::string_view> credential_words(bool of_an_end);

}  // namespace cygnet::config
