// SPDX-License-Identifier: Apache-2.0
#pragma once

// cygnet import: a PKCS#12 file becomes files where the daemon looks for them. Asks no daemon.
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace cygnet::cli {

struct ImportCommand {
  std::string file;
  std::string directory = "/etc/cygnet";
  std::string name;             // of the new files; empty: that of FILE
  std::string passphrase_file;  // its first line; empty: asked for on the terminal
};

// Writes private/NAME.pem (mode 0600), certs/NAME.pem (the certificate, intermediates behind it) and cacerts/NAME*.pem
// (what signs itself). Overwrites nothing; after an error nothing is left behind. The text to show: what was written,
// and the lines to configure.
[[nodiscard]] Result<std::string> import_pkcs12(const ImportCommand& command, ByteView file, ByteView passphrase);

// Exit status. Reads file and passphrase, then import_pkcs12.
[[nodiscard]] int run_import(const ImportCommand& command);

}  // namespace cygnet::cli
