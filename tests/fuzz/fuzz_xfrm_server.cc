// SPDX-License-Identifier: Apache-2.0

// What programs send to the NETLINK_XFRM service, beside one that listens to everything and one that speaks PF_KEY:
// whatever the engine is given, the flushes take back, and what is said to programs is sound.
#include <cstdlib>
#include <cstring>
#include <set>

#include "base/random.h"
#include "keyed_engine.h"
#include "sadb/xfrm_server/server.h"

namespace {

using namespace cygnet;

template <typename Server, typename Message>
void read_all(Server& server, std::uint32_t id, sadb::PfkeyTime time) {
  while (const auto bytes = server.next(id, time)) {
    if (!Message::parse(*bytes)) std::abort();
    server.sent(id);
  }
}

void join_all_groups(sadb::XfrmServer& server, std::uint32_t id, sadb::PfkeyTime time) {
  wire::xfrm::WrapMessage said;
  said.octets = sizeof said;
  said.type = static_cast<std::uint16_t>(wire::xfrm::WrapType::kGroups);
  said.pid = id;
  said.value = 0xffffffff;
  Bytes bytes(sizeof said);
  std::memcpy(bytes.data(), &said, sizeof said);
  server.on_datagram(id, bytes, time);
}

void flush(sadb::XfrmServer& server, std::uint32_t id, sadb::PfkeyTime time) {
  wire::xfrm::Message message;
  message.header = {wire::xfrm::MessageType::kFlushSa, wire::xfrm::kRequest, 1, 0};
  message.body = wire::xfrm::SaFlush{};
  server.on_datagram(id, message.serialize(), time);
  message.header.type = wire::xfrm::MessageType::kFlushPolicy;
  message.body = wire::xfrm::Nothing{};
  server.on_datagram(id, message.serialize(), time);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::KeyedEngine engine;
  SeededRandom random(1);
  fuzz::Silent log;
  sadb::PfkeyServer hub(engine, random, log);
  sadb::XfrmServer server(hub, log);
  sadb::PfkeyTime time{Instant{std::chrono::hours(2)}, 1'700'000'000};
  const auto pfkey = hub.add_client("pfkey").value();
  const auto writer = server.add_client("writer").value();
  const auto reader = server.add_client("reader").value();
  join_all_groups(server, reader, time);
  ByteReader rest({data, size});
  while (rest.remaining() > 2) {
    const std::size_t octets = rest.u16() % 1024;
    server.on_datagram(writer, rest.take(std::min(octets, rest.remaining())), time);
    if (octets % 3 == 0) read_all<sadb::XfrmServer, wire::xfrm::Message>(server, writer, time);
    time.now += std::chrono::seconds(1);
    ++time.wall_s;
    hub.on_timer(time);
    for (const auto& [direction, child] : std::set(engine.sas)) {
      if (octets % 7 == 0) (void)hub.on_event(sadb::SaExpiring{Spi{}, direction, model::ChildId{child}, true}, time);
    }
    for (const auto policy : std::set(engine.policies)) {
      const auto one = model::TrafficSelector::of(IpPrefix::host(IpAddress::v4(0x0a000001)));
      if (octets % 5 == 0) (void)hub.on_event(sadb::Acquire{model::PolicyId{policy}, one, one}, time);
    }
    read_all<sadb::XfrmServer, wire::xfrm::Message>(server, reader, time);
    read_all<sadb::PfkeyServer, wire::pfkey::Message>(hub, pfkey, time);
  }
  flush(server, writer, time);
  read_all<sadb::XfrmServer, wire::xfrm::Message>(server, writer, time);
  if (!engine.sas.empty() || !engine.policies.empty() || engine.routes != 0) std::abort();
  return 0;
}
