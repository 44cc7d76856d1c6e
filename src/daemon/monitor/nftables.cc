// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/nftables.h"

#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <sys/socket.h>

#include "io/errno_text.h"
#include "io/fd.h"

namespace cygnet::daemon {

void Nftables::Free::operator()(nft_ctx* context) const { nft_ctx_free(context); }

Result<Nftables> Nftables::open() {
  // The library ends the whole process where it cannot open this socket: tried before.
  const io::UniqueFd probe(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!probe) {
    return io::fail_errno("cannot open a netlink socket to the packet filter");
  }
  nft_ctx* context = nft_ctx_new(NFT_CTX_DEFAULT);
  if (context == nullptr) {
    return fail("cannot begin with the packet filter");
  }
  (void)nft_ctx_buffer_output(context);
  (void)nft_ctx_buffer_error(context);
  return Nftables(context);
}

Result<std::string> Nftables::run(const std::string& commands) {
  const int failed = nft_run_cmd_from_buffer(context_.get(), commands.c_str());
  const char* printed = nft_ctx_get_output_buffer(context_.get());
  std::string out = printed == nullptr ? "" : printed;
  const char* complaint = nft_ctx_get_error_buffer(context_.get());
  if (failed == 0) {
    return out;
  }
  // The first line says what is wrong, those below point at the place.
  std::string why = complaint == nullptr ? "" : complaint;
  why = why.substr(0, why.find('\n'));
  return fail(why.empty() ? "the packet filter refused a command" : why);
}

}  // namespace cygnet::daemon
