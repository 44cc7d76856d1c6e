// SPDX-License-Identifier: Apache-2.0

// What the kernel answers over NETLINK_XFRM; and with the policies of a kernel, in a network namespace of its own.
#include "daemon/kernel_role/netlink_port.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <set>

#include "daemon/kernel_role/kernel_link.h"
#include "daemon/monitor/engine_choice.h"
#include "unit/daemon/network_namespace.h"

namespace cygnet::daemon {
namespace {

namespace xfrm = wire::xfrm;

Bytes answer(xfrm::MessageType type, xfrm::Body body, std::uint32_t sequence = 7) {
  xfrm::Message message;
  message.header = {type, 0, sequence, 0};
  message.body = std::move(body);
  return message.serialize();
}

xfrm::SaInfo sa(std::uint32_t spi) {
  xfrm::SaInfo info;
  info.family = xfrm::kFamilyV4;
  info.selector.family = xfrm::kFamilyV4;
  info.id = {xfrm::Address::of(IpAddress::v4(0x0a000001)), Spi(spi), xfrm::kProtocolEsp};
  info.mode = xfrm::kTunnel;
  return info;
}

// A message of the type with too few octets.
Bytes broken(xfrm::MessageType type) {
  xfrm::Message message;
  message.header = {xfrm::MessageType::kNoop, 0, 7, 0};
  auto octets = message.serialize();
  octets[4] = static_cast<std::uint8_t>(type);
  return octets;
}

TEST(NetlinkAnswers, OneSaThatIsNotUnderstoodDoesNotHideTheOthers) {
  Bytes datagram;
  for (const auto& piece : {answer(xfrm::MessageType::kNewSa, sa(1)), broken(xfrm::MessageType::kNewSa),
                            broken(static_cast<xfrm::MessageType>(0x77)), answer(xfrm::MessageType::kNewSa, sa(2)),
                            answer(xfrm::MessageType::kDone, xfrm::DoneReply{})}) {
    datagram.insert(datagram.end(), piece.begin(), piece.end());
  }
  const xfrm::Header dump{xfrm::MessageType::kGetSa, xfrm::kRequest | xfrm::kDump, 7, 0};
  std::vector<xfrm::Message> answers;
  const auto over = take_answers(datagram, dump, answers);
  ASSERT_TRUE(over);
  EXPECT_TRUE(*over);
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(std::get<xfrm::SaInfo>(answers[1].body).id.spi, Spi(2));
}

TEST(NetlinkAnswers, AFaultIsToldForWhatItIs) {
  std::vector<xfrm::Message> answers;
  const xfrm::Header dump{xfrm::MessageType::kGetSa, xfrm::kRequest | xfrm::kDump, 7, 0};
  const xfrm::Header single{xfrm::MessageType::kGetSa, xfrm::kRequest, 7, 0};
  EXPECT_EQ(take_answers(broken(xfrm::MessageType::kNewSa), single, answers).error().number, EIO);
  EXPECT_EQ(take_answers(broken(xfrm::MessageType::kError), dump, answers).error().number, EIO);
  EXPECT_EQ(take_answers(answer(xfrm::MessageType::kDone, xfrm::DoneReply{-EMSGSIZE}), dump, answers).error().number,
            EMSGSIZE);
  // Notices of what others do, whatever they say.
  auto notice = broken(xfrm::MessageType::kNewSa);
  notice[8] = 6;
  EXPECT_EQ(take_answers(notice, single, answers), false);
  // Of an earlier question.
  EXPECT_EQ(take_answers(answer(xfrm::MessageType::kDone, xfrm::DoneReply{}, 6), dump, answers), false);
  EXPECT_TRUE(answers.empty());
}

model::PolicySpec policy(std::uint32_t id) {
  return {.id = model::PolicyId(id),
          .order = 1100,
          .local = {*model::TrafficSelector::parse("10.1.0.0/16")},
          .remote = {*model::TrafficSelector::parse("10.2.0.0/16")},
          .connection = "office",
          .child_name = "office",
          .outer_local = IpAddress::v4(0xc0000201),
          .outer_remote = IpAddress::v4(0xc0000209)};
}

TEST(KernelPolicies, WhatOthersFlushIsThereAgain) {
  const NetworkNamespace space;
  if (!space.usable() || space.shell("ip xfrm policy >/dev/null 2>&1") != 0) GTEST_SKIP() << "needs root and XFRM";
  auto socket = space.in([] { return io::XfrmSocket::open(); });
  ASSERT_TRUE(socket) << socket.error().message;
  NetlinkPort port(std::move(*socket));
  EXPECT_NE(port.number(), 0U);
  constexpr std::uint32_t kSaAndPolicy = 0b1100;
  const auto events = space.in([] { return io::open_xfrm_events(kSaAndPolicy); });
  ASSERT_TRUE(events);
  sadb::kernel::KernelEngine engine(port, 0);
  const auto hear = [&] {
    std::size_t own = 0;
    (void)io::read_xfrm_events(events->get(), [&](ByteView datagram) {
      const auto pieces = xfrm::split_messages(datagram);
      ASSERT_TRUE(pieces);
      for (const auto& piece : *pieces) {
        const auto message = xfrm::Message::parse(piece);
        ASSERT_TRUE(message) << message.error().message;
        if (message->header.port == port.number()) {
          ++own;
        } else {
          engine.on_message(*message);
        }
      }
    });
    return own;
  };
  ASSERT_TRUE(engine.begin({}));
  ASSERT_TRUE(engine.install_policy(policy(1)));
  EXPECT_EQ(hear(), 18U);
  EXPECT_EQ(engine.put_back().policies, 0U);
  const auto there = [&] { return space.shell("exit $(ip xfrm policy | grep -c 'priority')"); };
  EXPECT_EQ(there(), 18);
  ASSERT_EQ(space.shell("ip xfrm policy flush"), 0);
  EXPECT_EQ(there(), 0);
  EXPECT_EQ(hear(), 0U);
  EXPECT_EQ(engine.put_back().policies, 18U);
  EXPECT_EQ(there(), 18);
  EXPECT_EQ(hear(), 18U);
  for (const char* one : {"ip xfrm policy delete src 10.1.0.0/16 dst 10.2.0.0/16 dir out",
                          "ip xfrm policy delete src 10.2.0.0/16 dst 10.1.0.0/16 dir fwd"}) {
    ASSERT_EQ(space.shell(one), 0);
    EXPECT_EQ(hear(), 0U);
    EXPECT_EQ(engine.put_back().policies, 1U) << one;
    EXPECT_EQ(there(), 18);
    (void)hear();
  }
  // Others' policies are theirs.
  ASSERT_EQ(space.shell("ip xfrm policy add src 10.7.0.0/16 dst 10.8.0.0/16 dir out action block && "
                        "ip xfrm policy delete src 10.7.0.0/16 dst 10.8.0.0/16 dir out"),
            0);
  EXPECT_EQ(hear(), 0U);
  EXPECT_EQ(engine.put_back().policies, 0U);
  engine.end();
  EXPECT_EQ(there(), 0);
}

class NoLog final : public Logger {
 public:
  void write(const LogEntry& /*entry*/) override {}
};

TEST(KernelSettings, LarvalDropIsGivenBack) {
  const NetworkNamespace space;
  const std::string file = "/tmp/cygnet-in-kernel-" + std::to_string(::getpid());
  if (!space.usable() || space.shell("test -w /proc/sys/net/core/xfrm_larval_drop") != 0) {
    GTEST_SKIP() << "needs root and XFRM";
  }
  NoLog log;
  const auto set = [&] { return space.shell("exit $(cat /proc/sys/net/core/xfrm_larval_drop)"); };
  for (const int before : {1, 0}) {
    ASSERT_EQ(space.shell("echo " + std::to_string(before) + " > /proc/sys/net/core/xfrm_larval_drop"), 0);
    space.in([&] { note_in_kernel({.user = false, .kernel = true}, file, log); });
    EXPECT_EQ(set(), 0);
    // Killed, and begun again: what was there before the first one counts.
    space.in([&] { note_in_kernel({.user = false, .kernel = true}, file, log); });
    EXPECT_EQ(set(), 0);
    space.in([&] { remove_from_kernel(file, log); });
    EXPECT_EQ(set(), before);
    EXPECT_NE(::access(file.c_str(), F_OK), 0);
  }
}

// What is left there is known of until it is gone.
TEST(KernelSettings, WhatCannotBeTakenOutOfTheKernelIsNamedAndNotForgotten) {
  if (open_kernel_port(model::EngineKind::kPfkey)) GTEST_SKIP() << "this kernel has PF_KEY";
  const std::string file = "/tmp/cygnet-in-kernel-" + std::to_string(::getpid());
  std::ofstream(file) << "engine=pfkey 0\n";
  struct : Logger {
    void write(const LogEntry& entry) override { text += entry.message; }
    std::string text;
  } log;
  remove_from_kernel(file, log);
  EXPECT_NE(log.text.find("our SAs and policies stay in the kernel: "), std::string::npos) << log.text;
  EXPECT_NE(log.text.find("`cygnetd --clean-up` tries it again"), std::string::npos) << log.text;
  EXPECT_EQ(std::remove(file.c_str()), 0);
}

}  // namespace
}  // namespace cygnet::daemon
