// SPDX-License-Identifier: Apache-2.0
#include "cli/xfrm_counters.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace cygnet::cli {
namespace {

struct Row {
  std::string_view name, why, remedy;
};

constexpr std::array kRows{
    Row{"XfrmInError", "packets were refused for a reason that no other counter names",
        "look at the peer's configuration and at dmesg"},
    Row{"XfrmInBufferError", "the kernel had no memory for a packet, or it was too deep in SAs",
        "look at the memory of this machine"},
    Row{"XfrmInHdrError", "packets had an ESP or AH header that contradicts itself",
        "something on the path changes packets, or cuts them: look at the MTU"},
    Row{"XfrmInNoStates", "ESP or AH came for an SPI that no SA here has",
        "the peer uses an SA that is gone: `cygnet rekey` or `cygnet down` and `up`; after a restart it passes"},
    Row{"XfrmInStateProtoError", "packets failed the cipher or the integrity check",
        "both ends must have the same keys and algorithms; a middlebox may change packets"},
    Row{"XfrmInStateModeError", "packets had an inner header that their mode does not allow",
        "one end has a tunnel and the other transport mode: compare type="},
    Row{"XfrmInStateSeqError", "packets came twice, or too late for the replay window",
        "where the path reorders much, a larger replay-window= helps; otherwise somebody repeats packets"},
    Row{"XfrmInStateExpired", "packets came under an SA whose lifetime was over",
        "compare the lifetimes of both ends; the clocks need not agree"},
    Row{"XfrmInStateMismatch",
        "what came out of an SA is outside its selectors, or the SA has UDP encapsulation and the "
        "packet not, or the other way round",
        "compare leftsubnet= and rightsubnet= of both ends, and encapsulation="},
    Row{"XfrmInStateInvalid", "packets came for an SA that is not ready yet or already going",
        "passes by itself; if it grows, the peer sends before the exchange is over"},
    Row{"XfrmInTmplMismatch", "packets came in the clear, or through another SA than their policy asks for",
        "the peer sends in the clear what it should protect: look at its policies and routes"},
    Row{"XfrmInNoPols", "packets came out of an SA, and no inbound policy lets them in",
        "compare the selectors of both ends; `ip xfrm policy` shows what is there"},
    Row{"XfrmInPolBlock", "an inbound policy blocks these packets", "`ip xfrm policy` shows which"},
    Row{"XfrmInPolError", "an inbound policy could not be evaluated", "look at dmesg"},
    Row{"XfrmOutError", "packets could not be sent for a reason that no other counter names",
        "look at dmesg, and at the route to the peer"},
    Row{"XfrmOutBundleGenError", "no path could be put together for packets that a policy protects",
        "is there a route to the peer? `ip route get PEER`"},
    Row{"XfrmOutBundleCheckError", "a path that was put together is not good any more",
        "passes by itself when routes or SAs change"},
    Row{"XfrmOutNoStates", "a policy protects these packets, and there is no SA for them",
        "the tunnel is down: `cygnet up NAME`; `cygnet status` says why it does not come up"},
    Row{"XfrmOutStateProtoError", "sealing a packet failed", "look at dmesg: a cipher's module may be missing"},
    Row{"XfrmOutStateModeError", "a packet does not go into its SA's mode, mostly because it is too large for the path",
        "let ICMP through, or set mtu= on the connection"},
    Row{"XfrmOutStateSeqError", "an SA has used up its sequence numbers",
        "rekey in time: lower the lifetime, or write esn=yes at both ends"},
    Row{"XfrmOutStateExpired", "packets were to leave under an SA whose lifetime was over",
        "look at the log for why it was not rekeyed in time"},
    Row{"XfrmOutPolBlock", "an outbound policy blocks these packets",
        "that is meant where a tunnel is down and nothing may leave in the clear; `ip xfrm policy` shows which"},
    Row{"XfrmOutPolDead", "packets met a policy that was just being removed", "passes by itself"},
    Row{"XfrmOutPolError", "an outbound policy could not be evaluated", "look at dmesg"},
    Row{"XfrmFwdHdrError", "packets to be forwarded had a header that could not be read",
        "something on the path cuts packets: look at the MTU"},
    Row{"XfrmOutStateInvalid", "packets were to leave under an SA that is not ready yet or already going",
        "passes by itself"},
    Row{"XfrmAcquireError", "the kernel asked for an SA, and nobody was there to make one",
        "is cygnetd running? is another IKE daemon running as well?"},
    Row{"XfrmOutStateDirError", "packets were to leave under an SA that is for inbound packets only",
        "two programs manage SAs here: see who with `ip xfrm monitor`"},
    Row{"XfrmInStateDirError", "packets came under an SA that is for outbound packets only",
        "two programs manage SAs here: see who with `ip xfrm monitor`"},
    Row{"XfrmInIptfsError", "IP-TFS payloads contradicted themselves", "compare iptfs= of both ends"},
    Row{"XfrmOutNoQueueSpace", "IP-TFS had more packets to send than its queue holds",
        "raise the rate or the queue of IP-TFS"},
};

}  // namespace

std::vector<XfrmCounter> xfrm_counters_in(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  std::vector<XfrmCounter> out;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const auto name = line.substr(0, line.find_first_of(kBlanks));
    const auto at = line.find_first_not_of(kBlanks, name.size());
    if (name.empty() || at == std::string_view::npos) continue;
    XfrmCounter counter{.name = std::string(name), .why = {}, .remedy = {}};
    const auto digits = line.substr(at);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), counter.count);
    if (error != std::errc{} || end != digits.data() + digits.size() || counter.count == 0) continue;
    const auto* const row = std::ranges::find(kRows, name, &Row::name);
    const bool known = row != kRows.end();
    counter.why = known ? row->why : "a counter of a kernel newer than this program";
    counter.remedy = known ? row->remedy : "Documentation/networking/xfrm_proc.rst of the kernel says more";
    out.push_back(std::move(counter));
  }
  return out;
}

// sk RefCnt Rmem Wmem User Inode
std::optional<std::uint64_t> pfkey_backlog_in(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  constexpr int kUnread = 2;
  if (!text.starts_with("sk")) return std::nullopt;
  std::uint64_t most = 0;
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    std::string_view word;
    for (int i = 0; i <= kUnread; ++i) {
      line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
      word = line.substr(0, line.find_first_of(kBlanks));
      line.remove_prefix(word.size());
    }
    std::uint64_t unread = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), unread);
    if (error == std::errc{} && end == word.data() + word.size()) most = std::max(most, unread);
  }
  return most;
}

}  // namespace cygnet::cli
