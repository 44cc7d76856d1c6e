// SPDX-License-Identifier: Apache-2.0
#include "sim/knockers.h"

#include "ike/puzzle.h"
#include "support/connections.h"
#include "support/newcomers.h"
#include "wire/ike/puzzle_payload.h"

namespace cygnet::sim {
namespace {

namespace wi = wire::ike;

constexpr std::uint64_t kAddresses = 200;
constexpr std::uint64_t kFirstSpi = 0x6b6e6f636b000000;

IpAddress address_of(std::uint64_t number) {
  return test::address("198.18.0." + std::to_string(1 + number % kAddresses));
}

}  // namespace

bool Knockers::is_one(const IpAddress& address) { return address.to_string().starts_with("198.18.0."); }

void Knockers::see(std::size_t to, const ike::Path& path, const Bytes& bytes) {
  const auto message = wi::parse_message(bytes);
  if (!message || message->header.exchange != wi::ExchangeType::kIkeSaInit || message->header.response) return;
  if (wi::find_notify(message->payloads, wi::NotifyType::kCookie) != nullptr) return;
  examples_.insert_or_assign(to, Example{path.local, *message});
}

std::optional<Forgery> Knockers::knock(std::size_t to) {
  const auto example = examples_.find(to);
  if (example == examples_.end()) return std::nullopt;
  auto request = example->second.request;
  const auto number = count_++;
  request.header.spi_i = IkeSpi(kFirstSpi + number);
  waiting_.insert_or_assign(request.header.spi_i.value, request);
  if (waiting_.size() > kMostWaiting) waiting_.erase(waiting_.begin());
  return say(to, {example->second.at, {address_of(number), 500}, false}, request);
}

std::optional<Forgery> Knockers::go_on(std::size_t to, const ike::SendDatagram& heard) {
  const auto answer = wi::parse_message(heard.bytes);
  const auto known = answer ? waiting_.find(answer->header.spi_i.value) : waiting_.end();
  if (known == waiting_.end()) return std::nullopt;
  const ike::Path path{heard.path.local, heard.path.remote, false};
  if (const auto* cookie = wi::find_notify(answer->payloads, wi::NotifyType::kCookie)) {
    auto request = known->second;
    const auto* puzzle = wi::find_notify(answer->payloads, wi::NotifyType::kPuzzle);
    const auto asked = puzzle == nullptr ? std::nullopt : wi::parse_puzzle_demand(ByteView(puzzle->data));
    if (asked) {
      auto keys = ike::solve_puzzle(asked->prf, asked->difficulty, ByteView(cookie->data));
      if (!keys) return std::nullopt;
      request.payloads.insert(request.payloads.begin(), wi::PuzzleSolutionPayload{std::move(*keys)});
    }
    request.payloads.insert(request.payloads.begin(), *cookie);
    return say(to, path, request);
  }
  waiting_.erase(known);
  if (wi::find_payload<wi::NoncePayload>(answer->payloads) == nullptr) return std::nullopt;  // refused
  return say(to, path, test::unreadable_auth(answer->header));
}

Forgery Knockers::say(std::size_t to, const ike::Path& path, const wi::Message& message) {
  const auto after = std::chrono::milliseconds(static_cast<std::int64_t>(5 + random_.below(50)));
  return {after, to, path, wi::serialize_message(message)};
}

}  // namespace cygnet::sim
