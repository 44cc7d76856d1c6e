// SPDX-License-Identifier: Apache-2.0
#include "cli/import.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

#include "cli/options.h"
#include "crypto/certificate.h"
#include "crypto/private_key.h"
#include "io/errno_text.h"
#include "io/fd.h"

namespace cygnet::cli {
namespace {

struct NewFile {
  std::string path;
  SecretBytes content;
  mode_t mode = 0644;
};

void append_pem(SecretBytes& out, ByteView der) {
  static constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text = "-----BEGIN CERTIFICATE-----\n";
  for (std::size_t i = 0; i < der.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, der.size() - i);
    std::uint32_t bits = static_cast<std::uint32_t>(der[i]) << 16U;
    if (n > 1) bits |= static_cast<std::uint32_t>(der[i + 1]) << 8U;
    if (n > 2) bits |= der[i + 2];
    for (std::size_t k = 0; k < 4; ++k) text += k <= n ? kAlphabet[(bits >> (18 - 6 * k)) & 63U] : '=';
    if (i % 48 == 45) text += '\n';
  }
  if (text.back() != '\n') text += '\n';
  append(out, view_of(text + "-----END CERTIFICATE-----\n"));
}

std::string name_for(const ImportCommand& command) {
  auto name = command.name;
  if (name.empty()) {
    name = command.file.substr(command.file.find_last_of('/') + 1);
    name = name.substr(0, name.find_last_of('.'));
  }
  for (auto& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '_' && c != '.') c = '-';
  }
  return name;
}

Result<void> make_folder(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
  return io::fail_errno("cannot make " + path);
}

Result<void> write_new(const NewFile& file) {
  const io::UniqueFd fd(::open(file.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, file.mode));
  if (!fd && errno == EEXIST) {
    return fail(file.path + " is there already: remove it, or give the new files another --name");
  }
  if (!fd) return io::fail_errno("cannot write " + file.path);
  const auto written = ::write(fd.get(), file.content.data(), file.content.size());
  if (written != static_cast<ssize_t>(file.content.size()) || ::fsync(fd.get()) != 0) {
    auto error = io::fail_errno("cannot write " + file.path);
    (void)::unlink(file.path.c_str());
    return error;
  }
  return {};
}

Result<std::vector<NewFile>> plan(const ImportCommand& command, const crypto::Pkcs12& parts, const std::string& name) {
  if (parts.private_key_pem.empty() || parts.certificate.empty()) {
    return fail(command.file + " holds no private key with its certificate: export both into one PKCS#12 file");
  }
  std::vector<NewFile> files;
  files.push_back({command.directory + "/private/" + name + ".pem", parts.private_key_pem, 0600});
  files.push_back({command.directory + "/certs/" + name + ".pem", {}, 0644});
  append_pem(files[1].content, parts.certificate);
  int count = 0;
  for (const auto& der : parts.authorities) {
    const auto certificate = crypto::Certificate::parse(der);
    if (!certificate) return fail(command.file + ": " + certificate.error().message);
    if (!certificate->is_self_issued()) {
      append_pem(files[1].content, der);
      continue;
    }
    const auto number = ++count == 1 ? std::string() : "-" + std::to_string(count);
    std::string path = command.directory;
    path.append("/cacerts/").append(name).append("-ca").append(number).append(".pem");
    files.push_back({std::move(path), {}, 0644});
    append_pem(files.back().content, der);
  }
  return files;
}

Result<void> write_all(const std::vector<NewFile>& files) {
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto written = write_new(files[i]);
    if (written) continue;
    for (std::size_t k = 0; k < i; ++k) (void)::unlink(files[k].path.c_str());
    return written;
  }
  return {};
}

Result<SecretBytes> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return io::fail_errno("cannot read " + path);
  SecretBytes bytes(std::istreambuf_iterator<char>(in), {});
  return in.bad() ? Result<SecretBytes>(fail("cannot read " + path)) : std::move(bytes);
}

// One line, without showing it. From a pipe it is read as it comes.
SecretBytes ask_passphrase(const std::string& file) {
  termios before{};
  const bool terminal = ::tcgetattr(STDIN_FILENO, &before) == 0;
  if (terminal) {
    (void)std::fprintf(stderr, "Passphrase of %s: ", file.c_str());
    auto hidden = before;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    (void)::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
  }
  SecretBytes line;
  for (int c = std::getchar(); c != EOF && c != '\n' && line.size() < 1024; c = std::getchar()) {
    line.push_back(static_cast<std::uint8_t>(c));
  }
  if (terminal) {
    (void)::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    (void)std::fputc('\n', stderr);
  }
  return line;
}

Result<std::string> read_and_import(const ImportCommand& command) {
  const auto file = read_file(command.file);
  if (!file) return std::unexpected(file.error());
  if (command.passphrase_file.empty()) return import_pkcs12(command, *file, ask_passphrase(command.file));
  auto passphrase = read_file(command.passphrase_file);
  if (!passphrase) return std::unexpected(passphrase.error());
  passphrase->erase(std::find_if(passphrase->begin(), passphrase->end(), [](auto c) { return c == '\n' || c == '\r'; }),
                    passphrase->end());
  return import_pkcs12(command, *file, *passphrase);
}

}  // namespace

Result<std::string> import_pkcs12(const ImportCommand& command, ByteView file, ByteView passphrase) {
  const auto parts = crypto::parse_pkcs12(file, passphrase);
  if (!parts) return fail(command.file + ": " + parts.error().message);
  const auto name = name_for(command);
  if (name.empty() || name.starts_with('.')) return fail("'" + name + "' is no name for files: give one with --name");
  const auto files = plan(command, *parts, name);
  if (!files) return std::unexpected(files.error());
  for (const auto& [folder, mode] :
       {std::pair("/private", 0700), std::pair("/certs", 0755), std::pair("/cacerts", 0755)}) {
    if (auto made = make_folder(command.directory + folder, static_cast<mode_t>(mode)); !made) {
      return std::unexpected(made.error());
    }
  }
  if (auto written = write_all(*files); !written) return std::unexpected(written.error());
  const auto certificate = crypto::Certificate::parse(parts->certificate);
  if (!certificate) return fail(command.file + ": " + certificate.error().message);
  std::string text;
  for (const auto& written : *files) text += "wrote " + written.path + '\n';
  text += "certificate of " + certificate->names_text() + "\n\nin ipsec.conf:\n    leftcert=" + name +
          ".pem\n    leftid=%fromcert\nin ipsec.secrets: nothing, keys in private/ are found by themselves\n";
  return text;
}

int run_import(const ImportCommand& command) {
  const auto done = read_and_import(command);
  if (!done) {
    (void)std::fprintf(stderr, "cygnet: %s\n", done.error().message.c_str());
    return kFailed;
  }
  (void)std::fputs(done->c_str(), stdout);
  return kOk;
}

}  // namespace cygnet::cli
