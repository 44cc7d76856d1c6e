// SPDX-License-Identifier: Apache-2.0
// Many clients, slow clients and clients that send nonsense.
#include "unit/sadb/pfkey_fixture.h"

namespace cygnet::sadb::test {
namespace {

using Type = pf::MessageType;
using PfkeyClients = PfkeyTest;

TEST_F(PfkeyClients, ChangesAreToldToAllAnswersToTheAskerAlone) {
  const auto other = server.add_client("other").value();
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000)), 0);
  auto told = read(other);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].header.type, Type::kAdd);
  EXPECT_FALSE(told[0].encrypt_key);
  EXPECT_EQ(error_of(sa(Type::kGet, "192.0.2.1", "192.0.2.2", 0x1000)), 0);
  EXPECT_EQ(error_of(base(Type::kRegister, pf::SaType::kEsp)), 0);
  EXPECT_EQ(error_of(base(Type::kDump)), 0);
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000)), EEXIST);
  EXPECT_TRUE(read(other).empty());
  EXPECT_EQ(error_of(sa(Type::kDelete, "192.0.2.1", "192.0.2.2", 0x1000)), 0);
  told = read(other);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].header.type, Type::kDelete);
}

TEST_F(PfkeyClients, DumpIsNumberedAndEndsWithZero) {
  for (std::uint32_t i = 0; i < 5; ++i) EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000 + i)), 0);
  auto m = base(Type::kDump);
  m.header.pid = 9;
  send(m, me);
  const auto entries = read(me);
  ASSERT_EQ(entries.size(), 5U);
  for (std::uint32_t i = 0; i < 5; ++i) {
    EXPECT_EQ(entries[i].header.sequence, i == 4 ? 0 : i + 1);
    EXPECT_EQ(entries[i].header.pid, 9U);
    EXPECT_EQ(entries[i].sa->spi, Spi{0x1000 + i});
  }
}

TEST_F(PfkeyClients, ChangesDuringADumpAreAnnouncedAndNothingIsMissed) {
  for (std::uint32_t i = 0; i < 100; ++i) EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000 + i)), 0);
  const auto reader = server.add_client("reader").value();
  send(base(Type::kDump), reader);
  std::set<std::uint32_t> known;
  std::size_t taken = 0;
  bool ended = false;
  while (const auto bytes = server.next(reader, time)) {
    const auto message = pf::Message::parse(*bytes).value();
    if (message.header.type == Type::kDelete)
      known.erase(message.sa->spi.value);
    else
      known.insert(message.sa->spi.value);
    ended = ended || (message.header.type == Type::kDump && message.header.sequence == 0);
    server.sent(reader);
    // Behind, before and at the place where the dump is, SAs come and go.
    if (++taken == 10) {
      EXPECT_EQ(error_of(sa(Type::kDelete, "192.0.2.1", "192.0.2.2", 0x1002)), 0);
      EXPECT_EQ(error_of(sa(Type::kDelete, "192.0.2.1", "192.0.2.2", 0x100a)), 0);
      EXPECT_EQ(error_of(sa(Type::kDelete, "192.0.2.1", "192.0.2.2", 0x1063)), 0);
      EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x2000)), 0);
    }
  }
  EXPECT_TRUE(ended);
  std::set<std::uint32_t> there;
  for (const auto& [key, spec] : engine.sas) there.insert(spec.spi.value);
  EXPECT_EQ(known, there);
}

TEST_F(PfkeyClients, WhatIsRemovedAtTheEndOfADumpEndsItAsDead) {
  for (std::uint32_t i = 0; i < 2; ++i) EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000 + i)), 0);
  const auto reader = server.add_client("reader").value();
  send(base(Type::kDump), reader);
  ASSERT_NE(server.next(reader, time), nullptr);
  server.sent(reader);
  EXPECT_EQ(error_of(base(Type::kFlush)), 0);
  auto rest = read(reader);
  ASSERT_EQ(rest.size(), 2U);
  EXPECT_EQ(rest[0].header.type, Type::kFlush);
  EXPECT_EQ(rest[1].header.type, Type::kDump);
  EXPECT_EQ(rest[1].header.sequence, 0U);
  EXPECT_EQ(rest[1].sa->state, pf::SaState::kDead);

  for (const auto* from : {"10.1.0.0/16", "10.2.0.0/16"}) {
    auto m = spd(Type::kSpdAdd, from, "10.9.0.0/16", pf::PolicyDirection::kOut);
    m.policy->type = pf::PolicyType::kDiscard;
    EXPECT_EQ(error_of(m), 0);
  }
  (void)read(reader);
  send(base(Type::kSpdDump), reader);
  ASSERT_NE(server.next(reader, time), nullptr);
  server.sent(reader);
  EXPECT_EQ(error_of(base(Type::kSpdFlush)), 0);
  rest = read(reader);
  ASSERT_EQ(rest.size(), 3U);
  EXPECT_EQ(rest[0].header.type, Type::kSpdFlush);
  EXPECT_EQ(rest[1].header.type, Type::kSpdDump);
  EXPECT_EQ(rest[1].header.sequence, 0U);
  EXPECT_EQ(rest[2].header.type, Type::kSpdDelete);
}

TEST_F(PfkeyClients, DumpFromACursor) {
  for (std::uint32_t i = 0; i < 7; ++i) EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000 + i)), 0);
  std::vector<std::uint32_t> seen;
  pf::CursorExtension at{3, 0};
  for (int round = 0; round < 3; ++round) {
    auto m = base(Type::kDump);
    m.cursor = at;
    send(m, me);
    const auto entries = read(me);
    for (const auto& entry : entries) seen.push_back(entry.sa->spi.value);
    ASSERT_TRUE(entries.back().cursor);
    EXPECT_EQ(entries.back().header.sequence, 0U);
    EXPECT_EQ(entries.back().cursor->most, round == 2 ? 0U : 1U) << "whether there is more";
    at.position = entries.back().cursor->position;
  }
  EXPECT_EQ(seen, (std::vector<std::uint32_t>{0x1000, 0x1001, 0x1002, 0x1003, 0x1004, 0x1005, 0x1006}));
}

TEST_F(PfkeyClients, DumpWithAFilter) {
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000)), 0);
  EXPECT_EQ(error_of(add("192.0.2.1", "198.51.100.2", 0x1001)), 0);
  auto m = base(Type::kDump);
  m.filter = pf::FilterExtension{prefix("0.0.0.0/0"), prefix("198.51.100.0/24")};
  send(m, me);
  const auto entries = read(me);
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].sa->spi, Spi{0x1001});
  m.filter->destination = prefix("203.0.113.0/24");
  EXPECT_EQ(error_of(m), ENOENT);
}

TEST_F(PfkeyClients, WhoNeverReadsIsCutOffAlone) {
  const auto sleeper = server.add_client("the sleeper").value();
  std::size_t heard = 0;
  for (std::uint32_t i = 0; i < PfkeyServer::kMostWaiting / 2 + 1; ++i) {
    send(sa(Type::kDelete, "192.0.2.1", "192.0.2.2", 0x1000), me);
    send(add("192.0.2.1", "192.0.2.2", 0x1000), me);
    send(sa(Type::kDelete, "192.0.2.1", "192.0.2.2", 0x1000), me);
    heard += read(me).size();
  }
  EXPECT_EQ(heard, 3U * (PfkeyServer::kMostWaiting / 2 + 1)) << "the one that reads misses nothing";
  EXPECT_EQ(server.take_cut_off(), std::vector{sleeper});
  EXPECT_EQ(server.next(sleeper, time), nullptr);
  ASSERT_FALSE(log.lines.empty());
  EXPECT_NE(log.lines.back().find("the sleeper does not read"), std::string::npos);
  EXPECT_NE(server.statistics().find("clients-cut-off 1\n"), std::string::npos);
  server.remove_client(sleeper);
  EXPECT_NE(server.statistics().find("messages-waiting 0\n"), std::string::npos);
}

TEST_F(PfkeyClients, WhoDoesNotReadItsAnswersIsNotAskedForMore) {
  EXPECT_TRUE(server.takes_requests(me));
  std::size_t sent_requests = 0;
  while (server.takes_requests(me) && sent_requests < 200000) {
    send(base(Type::kRegister, pf::SaType::kEsp), me);
    ++sent_requests;
  }
  EXPECT_LT(sent_requests, 20000U);
  EXPECT_TRUE(server.take_cut_off().empty());
  EXPECT_EQ(read(me).size(), sent_requests);
  EXPECT_TRUE(server.takes_requests(me));
}

TEST_F(PfkeyClients, AThousandOfThem) {
  std::vector<Id> all;
  for (int i = 0; i < 1000; ++i) all.push_back(server.add_client("one of many").value());
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000)), 0);
  for (const auto id : all) {
    EXPECT_EQ(read(id).size(), 1U);
    server.remove_client(id);
  }
  EXPECT_EQ(server.clients(), 1U);
  while (server.clients() < PfkeyServer::kMostClients) ASSERT_TRUE(server.add_client("one of many"));
  EXPECT_FALSE(server.add_client("one too many"));
  EXPECT_NE(log.lines.back().find("one too many was turned away"), std::string::npos);
}

TEST_F(PfkeyClients, BatchesAreTakenMessageByMessage) {
  Bytes batch;
  for (std::uint32_t i = 0; i < 200; ++i) append(batch, add("192.0.2.1", "192.0.2.2", 0x1000 + i % 199).serialize());
  server.on_datagram(me, batch, time);
  const auto answers = read(me);
  ASSERT_EQ(answers.size(), 200U);
  for (std::size_t i = 0; i < 200; ++i) EXPECT_EQ(answers[i].header.error, i == 199 ? EEXIST : 0) << i;
  EXPECT_EQ(engine.sas.size(), 199U);
}

TEST_F(PfkeyClients, NonsenseIsAnsweredAndCounted) {
  want_error_texts();
  const auto raw = [&](std::string_view hex) {
    Bytes bytes;
    EXPECT_TRUE(from_hex(hex, bytes));
    server.on_datagram(me, bytes, time);
    auto answers = read(me);
    EXPECT_EQ(answers.size(), 1U);
    return answers.empty() ? pf::Message{} : answers[0];
  };
  EXPECT_EQ(raw("0203").header.error, EMSGSIZE);
  EXPECT_EQ(raw("010a0003020000000000000000000000").header.error, EMSGSIZE);
  EXPECT_EQ(raw("020a0003030000000000000000000000").header.error, EMSGSIZE);
  const auto twice =
      raw("020300030400000001000000020000000100140002000000"
          "0100140002000000");
  EXPECT_EQ(twice.header.error, EINVAL);
  EXPECT_EQ(twice.header.sequence, 1U);
  EXPECT_NE(twice.error_text->text.find("twice"), std::string::npos);
  EXPECT_EQ(raw("02630003020000000100000002000000").header.error, EOPNOTSUPP);
  const auto statistics = ask(base(Type::kCygnetStatistics)).statistics->text;
  EXPECT_NE(statistics.find("refused-duplicate-extension 1\n"), std::string::npos) << statistics;
  EXPECT_NE(statistics.find("refused-truncated 1\n"), std::string::npos) << statistics;
  EXPECT_NE(statistics.find("refused-bad-version 1\n"), std::string::npos) << statistics;
}

TEST_F(PfkeyClients, PromiscuousOnesSeeEverythingButKeys) {
  const auto watcher = server.add_client("watcher").value();
  send(base(Type::kPromisc, static_cast<pf::SaType>(1)), watcher);
  EXPECT_EQ(read(watcher).size(), 1U);
  EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000)), 0);
  const auto seen = read(watcher);
  std::size_t wrapped = 0;
  for (const auto& one : seen) {
    if (one.header.type != Type::kPromisc) continue;
    ++wrapped;
    const auto inner = pf::Message::parse(one.enclosed);
    ASSERT_TRUE(inner);
    EXPECT_EQ(inner->header.type, Type::kAdd);
    if (inner->encrypt_key) {
      EXPECT_EQ(to_hex(inner->encrypt_key->key), std::string(40, '0'));
    }
  }
  EXPECT_EQ(wrapped, 2U) << "request and answer";
  EXPECT_EQ(error_of(base(Type::kPromisc, static_cast<pf::SaType>(2))), EINVAL);
  send(base(Type::kPromisc), watcher);
  (void)read(watcher);
  EXPECT_EQ(error_of(sa(Type::kGet, "192.0.2.1", "192.0.2.2", 0x1000)), 0);
  EXPECT_TRUE(read(watcher).empty());
}

TEST_F(PfkeyClients, TooManyDumpsAtOnceAreRefused) {
  for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(error_of(add("192.0.2.1", "192.0.2.2", 0x1000 + i)), 0);
  for (std::size_t i = 0; i <= PfkeyServer::kMostDumps; ++i) send(base(Type::kDump), me);
  const auto answers = read(me);
  EXPECT_EQ(answers.size(), PfkeyServer::kMostDumps * 3 + 1);
  EXPECT_EQ(std::ranges::count(answers, EBUSY, [](const auto& m) { return int{m.header.error}; }), 1);
}

}  // namespace
}  // namespace cygnet::sadb::test
