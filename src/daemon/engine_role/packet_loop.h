// SPDX-License-Identifier: Apache-2.0
#pragma once

// Packets between devices, engine and network; see packet_loop.cc for their way. One for each thread.
#include <array>
#include <functional>
#include <optional>
#include <vector>

#include "base/log.h"
#include "daemon/engine_role/crew.h"
#include "daemon/engine_role/crypto_pool.h"
#include "daemon/engine_role/esp_ports.h"
#include "engine/engine.h"
#include "engine/flights.h"
#include "io/outer_socket.h"
#include "io/tun.h"

namespace cygnet::daemon {

// With several threads each has a lane of the crew's.
struct PacketPlace {
  Crew* crew = nullptr;
  engine::Lane* lane = nullptr;
};

class PacketLoop : private engine::UrgentSink {
 public:
  struct Device {
    io::UniqueFd fd;
    std::string name;
  };
  // Takes an IKE message found on the encapsulation port (marker removed). False: no room.
  using OnIke = std::function<bool(const Endpoint& local, const Endpoint& remote, ByteView message)>;

  PacketLoop(engine::Engine& engine, std::vector<Device> devices, std::vector<io::OuterSocket> sockets, OnIke on_ike,
             PacketPlace place = {});
  PacketLoop(const PacketLoop&) = delete;
  PacketLoop& operator=(const PacketLoop&) = delete;
  ~PacketLoop() override = default;

  [[nodiscard]] const std::vector<Device>& devices() const { return devices_; }
  [[nodiscard]] const std::vector<io::OuterSocket>& sockets() const { return sockets_; }

  // A UDP socket that carries ESP beside those from the start; packets that leave from its port leave through it. Its
  // number among sockets(); those of removed ones (their fd is closed) are given again.
  [[nodiscard]] std::size_t add_socket(io::OuterSocket socket);
  void remove_socket(std::size_t socket);

  void on_device_readable(std::size_t device, Instant now);
  void on_socket_readable(std::size_t socket, Instant now);
  void on_socket_error(std::size_t socket, Instant now);
  void on_timer(Instant now);
  // Of packets, so far.
  [[nodiscard]] std::uint64_t bursts() const { return bursts_; }

  // Plain ESP goes and comes there too. With one thread that does everything.
  void use_ports(EspPorts& ports) { ports_ = &ports; }
  void on_port_readable(std::uint32_t token, Instant now);

  // ---- ciphers on threads of their own: bursts are flights from now on (engine/flights.h). Not with several threads
  // that move packets.
  void hand_ciphers_to(CryptoPool& pool);
  // Sends and delivers what has come back from them.
  void on_ciphers_done(Instant now);
  [[nodiscard]] const engine::Flights* flights() const { return flights_.get(); }

 private:
  static constexpr std::size_t kBurst = 32;  // packets a round: long enough to gather, short enough to be fair
  // Octets a round where others wait for what this thread sends.
  static constexpr std::size_t kSharedBurstOctets = 192U << 10U;

  [[nodiscard]] engine::Turn* turn() const { return place_.crew == nullptr ? nullptr : &place_.crew->turn(); }
  void count_drop(DropReason reason, std::size_t packets = 1);

  // What a burst is read into.
  struct Buffers {
    std::unique_ptr<std::uint8_t[]> device;
    std::optional<io::DatagramReceiver> receiver;
  };
  // A free flight; null: none became free in a moment.
  [[nodiscard]] engine::Flight* board(engine::Way way, Instant now);
  [[nodiscard]] Buffers& buffers_of(const engine::Flight& flight);
  void read_device(std::size_t device, std::uint8_t* buffers, std::vector<engine::OutPacket>& out);
  void drop_what_waits(std::size_t socket, Instant now);
  void read_socket(std::size_t socket, io::DatagramReceiver& receiver, std::vector<engine::InPacket>& in);

  void demultiplex(const io::ReceivedDatagram& datagram, io::OuterKind kind, std::vector<engine::InPacket>& in);
  void take_ike(const io::ReceivedDatagram& datagram, ByteView message);
  void on_urgent(engine::Verdicts& verdicts, Instant now) override;
  void perform(engine::Verdicts& verdicts, Instant now);
  void carry_out(std::span<const engine::Verdict> verdicts, Instant now);
  [[nodiscard]] std::optional<std::size_t> socket_for(const engine::SendToPeer& send) const;
  void queue(const engine::SendToPeer& send, Instant now);
  // True: it needs no socket any more.
  [[nodiscard]] bool sent_by_port(const engine::SendToPeer& send, Instant now);
  void put(std::size_t socket, const engine::SendToPeer& send);
  void process_in(Instant now);
  void queue_clear(const engine::Bypass& bypass);
  void queue_whole(ByteView packet, const IpAddress& destination);
  void deliver(const engine::DeliverToDevice& deliver);
  void flush(Instant now);
  void on_send_failure(const io::OuterSocket& socket, const io::SendFailure& failure);
  void on_outer_error(const io::OuterSocket& socket, const io::OuterError& error, Instant now);

  engine::Engine& engine_;
  std::vector<Device> devices_;
  std::vector<io::OuterSocket> sockets_;
  OnIke on_ike_;
  PacketPlace place_;

  std::unique_ptr<std::uint8_t[]> device_buffers_;
  io::DatagramReceiver receiver_{kBurst};
  io::DatagramSender sender_;
  engine::Verdicts verdicts_;
  std::vector<engine::OutPacket> out_;
  std::vector<engine::InPacket> in_;
  EspPorts* ports_ = nullptr;
  CryptoPool* pool_ = nullptr;
  bool seen_urgent_ = false;
  std::uint64_t bursts_ = 0;
  std::unique_ptr<engine::Flights> flights_;
  std::array<std::vector<Buffers>, 2> flight_buffers_;       // by way and number
  std::vector<std::vector<io::OutgoingDatagram>> outgoing_;  // one list a socket
  std::vector<engine::DeviceId> device_ids_;
  // The last datagram of this burst that our own kernel found too big: it says so, with the size, in the error queue.
  struct TooBig {
    Endpoint remote;
    std::array<std::uint8_t, 16> esp{};
    bool set = false;
  } too_big_;
};

}  // namespace cygnet::daemon
