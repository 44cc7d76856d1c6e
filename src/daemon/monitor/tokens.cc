// SPDX-License-Identifier: Apache-2.0
// The monitor's dealings with the token process.
#include "daemon/monitor/tokens.h"

#include <utility>

#include "daemon/monitor/monitor.h"
#include "io/process.h"
#include "model/pkcs11_uri.h"

namespace cygnet::daemon {

Result<std::string> FilesAndTokens::read(const std::string& path) {
  if (!model::is_pkcs11_uri(path)) return files_.read(path);
  const auto found = on_tokens_.find(path);
  return found != on_tokens_.end() ? Result<std::string>(found->second) : fail("no token has shown it yet");
}

TokenWork token_work_of(const Configuration& configuration) {
  TokenWork work{.module = configuration.conf.pkcs11_module, .keys = {}, .certificates = {}};
  for (const auto& key : configuration.secrets.private_keys) {
    if (!key.uri.empty()) work.keys.push_back({key.uri, key.passphrase, key.source});
  }
  std::set<std::string> certificates;
  for (const auto& connection : configuration.conf.connections) {
    for (const auto* end : {&connection.local, &connection.remote}) {
      if (model::is_pkcs11_uri(end->certificate)) certificates.insert(end->certificate);
    }
  }
  work.certificates.assign(certificates.begin(), certificates.end());
  return work;
}

// A token that is gone takes its certificates along only when nothing names them any more.
TokenNews take_certificates(std::map<std::string, std::string>& known, const std::set<std::string>& asked,
                            const std::vector<TokenCertificate>& shown) {
  TokenNews news;
  std::erase_if(known, [&](const auto& one) { return !asked.contains(one.first); });
  for (const auto& one : shown) {
    if (!asked.contains(one.uri) || one.der.size() > kMaxTokenCertificate) {
      ++news.left_out;
      continue;
    }
    auto& der = known[one.uri];
    std::string fresh(one.der.begin(), one.der.end());
    news.changed = news.changed || der != fresh;
    der = std::move(fresh);
  }
  return news;
}

void Monitor::wait_for_tokens(const TokenWork& work) {
  static constexpr Duration kPatience = std::chrono::seconds(10);
  token_awaited_ = true;
  start_token_with(work);
  loop_.after(kPatience, [this] {
    if (token_awaited_) log_.warning("token", "the library of the tokens does not answer; starting without them");
    go_on_without_waiting();
  });
}

void Monitor::start_token_again() {
  if (token_.pid != 0) return;
  const auto loaded = read_configuration();
  if (!loaded.tokens.empty()) start_token_with(loaded.tokens);
}

void Monitor::start_token_with(const TokenWork& work) {
  if (auto started = start_process(token_); !started)
    return start_again_later(token_, started.error(), &Monitor::start_token_again);
  tell_token(work);
  if (ike_.pid != 0) {
    connect_ike_to(token_, TokenPeer{}, TokenPeer{});
    send_processes();
  }
}

void Monitor::tell_token(const TokenWork& work) {
  token_asked_ = {work.certificates.begin(), work.certificates.end()};
  auto text = encode_token_work(work);
  auto file = io::make_memory_file("cygnet-tokens", text);
  wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  if (!file) return log_.error("monitor", file.error().message);
  std::vector<io::UniqueFd> fds;
  fds.push_back(std::move(*file));
  send(token_, StartToken{}, std::move(fds));
}

void Monitor::on_token_report(const TokenReport& report, const io::Message& message) {
  for (const auto& problem : report.problems) log_.warning("token", problem);
  const auto text =
      message.fds.size() == 1 ? io::read_memory_file(message.fds[0].get(), kMaxTokenFile) : fail("nothing arrived");
  const auto certificates = text ? decode_token_certificates(*text) : std::unexpected(text.error());
  if (!certificates) return log_.warning("token", certificates.error().message);
  auto asked = token_asked_;
  asked.insert(named_tokens_.certificates.begin(), named_tokens_.certificates.end());
  const auto news = take_certificates(on_tokens_, asked, *certificates);
  if (news.left_out != 0 && !std::exchange(told_left_out_, true))
    log_.warning("token", std::to_string(news.left_out) +
                              " certificates that came from the token process are left out: " +
                              "the configuration does not name them, or they have more than " +
                              std::to_string(kMaxTokenCertificate) + " octets");
  if (token_awaited_) {
    go_on_without_waiting();
  } else if (news.changed) {
    reload();
  }
}

void Monitor::go_on_without_waiting() {
  if (!std::exchange(token_awaited_, false) || shutting_down_) return;
  auto loaded = read_configuration();
  tell_warnings(loaded.configuration);
  if (const auto problem = why_not(loaded); problem.empty()) {
    use(loaded);
  } else {
    log_.error("config", "the files have changed while the token was asked: " + problem);
  }
  start_engines();
}

}  // namespace cygnet::daemon
