// SPDX-License-Identifier: Apache-2.0
#include "daemon/config_bundle.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "config/missing_secrets.h"

namespace cygnet::daemon {

namespace {

void put_number(std::string& out, std::size_t value) {
  std::array<std::uint8_t, 4> octets{};
  store_be32(octets.data(), static_cast<std::uint32_t>(value));
  out.append(octets.begin(), octets.end());
}
void put(std::string& out, std::string_view text) {
  put_number(out, text.size());
  out += text;
}

void wipe_texts(std::map<std::string, Result<std::string>>& files) {
  for (auto& [path, text] : files) {
    if (text) wipe({reinterpret_cast<std::uint8_t*>(text->data()), text->size()});
  }
}

std::string get(ByteReader& in) {
  const auto bytes = in.take(in.u32());
  return {bytes.begin(), bytes.end()};
}

}  // namespace

Result<std::string> RecordingFiles::read(const std::string& path) {
  auto text = from_.read(path);
  files_.insert_or_assign(path, text);
  return text;
}

std::vector<std::string> RecordingFiles::glob(const std::string& pattern) {
  auto found = from_.glob(pattern);
  globs_.insert_or_assign(pattern, found);
  return found;
}

std::string RecordingFiles::to_text() const {
  constexpr std::size_t kLengths = 16;
  std::size_t octets = kLengths;
  for (const auto& [path, text] : files_)
    octets += kLengths + path.size() + (text ? text->size() : text.error().message.size());
  for (const auto& [pattern, found] : globs_) {
    octets += kLengths + pattern.size();
    for (const auto& path : found) octets += kLengths + path.size();
  }
  // In one piece: what a growing string leaves behind would not be wiped.
  std::string out;
  out.reserve(octets);
  put_number(out, files_.size());
  for (const auto& [path, text] : files_) {
    put(out, path);
    out.push_back(text ? '\1' : '\0');
    put(out, text ? *text : text.error().message);
  }
  put_number(out, globs_.size());
  for (const auto& [pattern, found] : globs_) {
    put(out, pattern);
    put_number(out, found.size());
    for (const auto& path : found) put(out, path);
  }
  return out;
}

RecordingFiles::~RecordingFiles() { wipe_texts(files_); }
BundledFiles::~BundledFiles() { wipe_texts(files_); }

Result<BundledFiles> BundledFiles::from_text(const std::string& text) {
  BundledFiles bundle;
  ByteReader in(view_of(text));
  for (std::uint32_t left = in.u32(); left > 0 && in.ok(); --left) {
    auto path = get(in);
    const bool good = in.u8() == 1;
    auto content = get(in);
    bundle.files_.insert_or_assign(std::move(path),
                                   good ? Result<std::string>(std::move(content)) : fail(std::move(content)));
  }
  for (std::uint32_t left = in.u32(); left > 0 && in.ok(); --left) {
    auto& found = bundle.globs_[get(in)];
    for (std::uint32_t paths = in.u32(); paths > 0 && in.ok(); --paths) {
      found.push_back(get(in));
    }
  }
  if (!in.ok() || in.remaining() != 0) {
    return fail("the configuration did not arrive whole");
  }
  return bundle;
}

Result<std::string> BundledFiles::read(const std::string& path) {
  const auto it = files_.find(path);
  return it == files_.end() ? fail(path + " was not read by the monitor") : it->second;
}

std::vector<std::string> BundledFiles::glob(const std::string& pattern) {
  const auto it = globs_.find(pattern);
  return it == globs_.end() ? std::vector<std::string>{} : it->second;
}

std::string Configuration::problems() const {
  return config::to_string(conf.diagnostics) + config::to_string(secrets.diagnostics);
}

Configuration load(const std::string& config_path, config::FileReader& conf_files, const std::string& secrets_path,
                   config::FileReader& secret_files) {
  Configuration out{config::load_ipsec_conf(config_path, conf_files),
                    config::load_ipsec_secrets(secrets_path, secret_files)};
  auto missing = config::missing_secrets(out.conf, out.secrets);
  std::ranges::move(missing, std::back_inserter(out.secrets.diagnostics));
  return out;
}

Configuration load(const std::string& config_path, const std::string& secrets_path, config::FileReader& files) {
  return load(config_path, files, secrets_path, files);
}

}  // namespace cygnet::daemon
