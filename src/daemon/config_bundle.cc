// SPDX-License-Identifier: Apache-2.0
#include "daemon/config_bundle.h"

namespace cygnet::daemon {

namespace {

void put(ByteWriter& out, std::string_view text) {
  out.u32(static_cast<std::uint32_t>(text.size())).bytes(view_of(text));
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
  ByteWriter out;
  out.u32(static_cast<std::uint32_t>(files_.size()));
  for (const auto& [path, text] : files_) {
    put(out, path);
    out.u8(text ? 1 : 0);
    put(out, text ? *text : text.error().message);
  }
  out.u32(static_cast<std::uint32_t>(globs_.size()));
  for (const auto& [pattern, found] : globs_) {
    put(out, pattern);
    out.u32(static_cast<std::uint32_t>(found.size()));
    for (const auto& path : found) {
      put(out, path);
    }
  }
  return {out.view().begin(), out.view().end()};
}

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

Configuration load(const std::string& config_path, const std::string& secrets_path, config::FileReader& files) {
  return {config::load_ipsec_conf(config_path, files), config::load_ipsec_secrets(secrets_path, files)};
}

}  // namespace cygnet::daemon
