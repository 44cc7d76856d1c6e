// SPDX-License-Identifier: Apache-2.0

// What clients send to the PF_KEY service, with a little time between datagrams: whatever it takes, a flush takes back.
#include <cstdlib>
#include <set>

#include "base/random.h"
#include "keyed_engine.h"
#include "sadb/pfkey/server.h"

namespace {

using namespace cygnet;

using fuzz::Silent;

void read_all(sadb::PfkeyServer& server, sadb::PfkeyServer::ClientId id, sadb::PfkeyTime time) {
  while (const auto bytes = server.next(id, time)) {
    if (!wire::pfkey::Message::parse(*bytes)) std::abort();
    server.sent(id);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::KeyedEngine engine;
  SeededRandom random(1);
  Silent log;
  sadb::PfkeyServer server(engine, random, log);
  sadb::PfkeyTime time{Instant{std::chrono::hours(2)}, 1'700'000'000};
  const auto writer = server.add_client("writer").value();
  const auto reader = server.add_client("reader").value();
  ByteReader rest({data, size});
  while (rest.remaining() > 2) {
    const std::size_t octets = rest.u16() % 512;
    server.on_datagram(writer, rest.take(std::min(octets, rest.remaining())), time);
    if (octets % 3 == 0) read_all(server, writer, time);
    time.now += std::chrono::seconds(1);
    ++time.wall_s;
    server.on_timer(time);
    for (const auto& [direction, child] : std::set(engine.sas)) {
      if (octets % 7 == 0)
        (void)server.on_event(sadb::SaExpiring{Spi{}, direction, model::ChildId{child}, octets % 2 == 0}, time);
    }
    read_all(server, reader, time);
  }
  for (const auto type : {wire::pfkey::MessageType::kFlush, wire::pfkey::MessageType::kSpdFlush}) {
    wire::pfkey::Message flush;
    flush.header.type = type;
    server.on_datagram(writer, flush.serialize(), time);
  }
  read_all(server, writer, time);
  if (!engine.sas.empty() || !engine.policies.empty() || engine.routes != 0) std::abort();
  return 0;
}
