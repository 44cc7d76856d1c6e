// SPDX-License-Identifier: Apache-2.0
// Checkpoints come from another process: whatever stands in them, adopting one neither crashes nor leaves SAs without
// owner.
//
// Input: octet 0 even: the rest is the checkpoint. Odd: octets 1 and 2 are an offset into a sound checkpoint, which the
// rest overwrites from there.
#include <algorithm>
#include <cstdlib>
#include <map>

#include "base/bytes.h"
#include "support/exchange.h"

using namespace cygnet;

namespace {

struct Sound {
  std::map<std::string, Bytes> checkpoints;
  test::DataPlane plane;
};

test::Exchange& scene(Sound& sound) {
  static test::Exchange* exchange = [&sound] {
    auto* made = new test::Exchange();
    made->toy_key_exchange = true;
    const auto connection = test::tunnel("tun");
    made->add("A", "192.0.2.1", {connection}, {test::secret("s3cret")});
    made->add("B", "198.51.100.1", {test::mirrored(connection)}, {test::secret("s3cret")});
    made->initiate(made->a());
    made->run();
    sound = {made->b().checkpoints, made->b().plane};
    if (sound.checkpoints.size() != 1) std::abort();
    made->on_wire = [](test::Flight&) { return false; };
    return made;
  }();
  return *exchange;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Sound sound;
  auto& e = scene(sound);
  if (size < 3) return 0;
  ByteView rest(data + 1, size - 1);
  auto checkpoints = sound.checkpoints;
  Bytes& value = checkpoints.begin()->second;
  if (data[0] % 2 == 0) {
    value.assign(rest.begin(), rest.end());
  } else {
    const std::size_t offset = load_be16(rest.data()) % value.size();
    rest = rest.subspan(2);
    std::copy_n(rest.begin(), std::min(rest.size(), value.size() - offset),
                value.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  auto& victim = e.b();
  victim.forget_history();
  victim.crash();
  victim.plane = sound.plane;
  victim.checkpoints = checkpoints;
  victim.restart(e.now());
  e.advance(std::chrono::seconds(5));
  if (victim.endpoint().status().size() > 2) std::abort();
  // SAs that nobody owns would carry traffic that nobody can stop.
  if (victim.endpoint().status().empty() && !victim.plane.entries().empty()) std::abort();
  return 0;
}
