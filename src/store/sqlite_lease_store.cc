// SPDX-License-Identifier: Apache-2.0
// One table in one file. Write-ahead logging: a crash at any moment leaves the last whole transaction.
#include <sqlite3.h>

#include <cstdio>
#include <utility>

#include "store/lease_store.h"

namespace cygnet::store {

namespace {

constexpr int kSchema = 1;  // PRAGMA user_version
constexpr int kPatience_ms = 500;
constexpr const char* kCreate =
    "CREATE TABLE IF NOT EXISTS leases ("
    "address BLOB PRIMARY KEY NOT NULL, "  // 4 or 16 octets
    "id_type INTEGER NOT NULL, "           // RFC 7296 section 3.5
    "id_data BLOB NOT NULL, "
    "last_used INTEGER NOT NULL"  // seconds since 1970
    ") WITHOUT ROWID";

struct CloseDatabase {
  void operator()(sqlite3* database) const { (void)sqlite3_close(database); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;

struct EndStatement {
  void operator()(sqlite3_stmt* statement) const { (void)sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, EndStatement>;

std::unexpected<Error> failed(sqlite3* database, const std::string& what) {
  return fail(what + ": " + (database == nullptr ? "out of memory" : sqlite3_errmsg(database)));
}

Result<void> run(sqlite3* database, const char* sql) {
  if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return failed(database, "the database of leases");
}

Result<Statement> prepare(sqlite3* database, const char* sql) {
  sqlite3_stmt* made = nullptr;
  if (sqlite3_prepare_v2(database, sql, -1, &made, nullptr) != SQLITE_OK)
    return failed(database, "the database of leases");
  return Statement(made);
}

Result<std::int64_t> number(sqlite3* database, const char* sql) {
  auto statement = prepare(database, sql);
  if (!statement) return std::unexpected(statement.error());
  if (sqlite3_step(statement->get()) != SQLITE_ROW) return failed(database, "the database of leases");
  return sqlite3_column_int64(statement->get(), 0);
}

ByteView column(sqlite3_stmt* row, int index) {
  const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(row, index));
  const int size = sqlite3_column_bytes(row, index);
  return data == nullptr || size <= 0 ? ByteView{} : ByteView(data, static_cast<std::size_t>(size));
}

void bind(sqlite3_stmt* statement, int index, ByteView octets) {
  // A null pointer would bind NULL, which the columns refuse.
  static constexpr std::uint8_t kNothing = 0;
  (void)sqlite3_bind_blob(statement, index, octets.empty() ? &kNothing : octets.data(), static_cast<int>(octets.size()),
                          SQLITE_TRANSIENT);
}

class SqliteLeaseStore final : public LeaseStore {
 public:
  explicit SqliteLeaseStore(Database database) : database_(std::move(database)) {}

  Result<std::vector<LeaseRecord>> load() override {
    auto rows =
        prepare(database_.get(), "SELECT address, id_type, id_data, last_used FROM leases ORDER BY last_used, address");
    if (!rows) return std::unexpected(rows.error());
    std::vector<LeaseRecord> out;
    int step = SQLITE_ROW;
    while ((step = sqlite3_step(rows->get())) == SQLITE_ROW) {
      const auto address = column(rows->get(), 0);
      const auto data = column(rows->get(), 2);
      // Rows that no cygnetd wrote say nothing.
      if (address.size() != 4 && address.size() != 16) continue;
      out.push_back({IpAddress::from_bytes(address),
                     {static_cast<model::IdType>(sqlite3_column_int(rows->get(), 1)), {data.begin(), data.end()}},
                     static_cast<std::uint64_t>(sqlite3_column_int64(rows->get(), 3))});
    }
    if (step != SQLITE_DONE) return failed(database_.get(), "the leases cannot be read");
    return out;
  }

  Result<void> save(const std::vector<LeaseChange>& changes) override {
    if (auto begun = run(database_.get(), "BEGIN IMMEDIATE"); !begun) return begun;
    auto done = write(changes);
    if (done) done = run(database_.get(), "COMMIT");
    // A failed COMMIT may have ended the transaction itself: then there is nothing to roll back.
    if (!done) (void)run(database_.get(), "ROLLBACK");
    return done;
  }

 private:
  Result<void> write(const std::vector<LeaseChange>& changes) {
    auto put = prepare(database_.get(), "INSERT OR REPLACE INTO leases VALUES (?1, ?2, ?3, ?4)");
    auto drop = prepare(database_.get(), "DELETE FROM leases WHERE address = ?1");
    if (!put) return std::unexpected(put.error());
    if (!drop) return std::unexpected(drop.error());
    for (const auto& change : changes) {
      auto* statement = change.forgotten ? drop->get() : put->get();
      bind(statement, 1, change.lease.address.bytes());
      if (!change.forgotten) {
        (void)sqlite3_bind_int(statement, 2, static_cast<int>(change.lease.peer.type));
        bind(statement, 3, ByteView(change.lease.peer.data));
        (void)sqlite3_bind_int64(statement, 4, static_cast<std::int64_t>(change.lease.last_used_s));
      }
      if (sqlite3_step(statement) != SQLITE_DONE) return failed(database_.get(), "the leases cannot be saved");
      (void)sqlite3_reset(statement);
    }
    return {};
  }

  Database database_;
};

struct Attempt {
  Database database;
  std::string fault;
  bool damaged = false;  // the file itself, not the disk or its rights
};

Attempt attempt(const std::string& path) {
  Attempt out;
  sqlite3* opened = nullptr;
  const int status = sqlite3_open_v2(path.c_str(), &opened,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, nullptr);
  out.database.reset(opened);
  const auto note = [&](const std::string& fault) {
    const int code = sqlite3_errcode(opened);
    out.damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    out.fault = fault;
  };
  if (status != SQLITE_OK) {
    note(failed(opened, path).error().message);
    return out;
  }
  (void)sqlite3_busy_timeout(opened, kPatience_ms);
  for (const char* sql : {"PRAGMA trusted_schema = OFF", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL"}) {
    if (auto done = run(opened, sql); !done) {
      note(done.error().message);
      return out;
    }
  }
  const auto schema = number(opened, "PRAGMA user_version");
  if (!schema) {
    note(schema.error().message);
  } else if (*schema > kSchema) {
    out.fault = path + " was written by a newer cygnetd";
  } else if (auto check = prepare(opened, "PRAGMA quick_check(1)");
             !check || sqlite3_step(check->get()) != SQLITE_ROW ||
             std::string(reinterpret_cast<const char*>(sqlite3_column_text(check->get(), 0))) != "ok") {
    out.damaged = true;
    out.fault = path + " is damaged";
  } else if (auto made = run(opened, kCreate); !made) {
    note(made.error().message);
  } else if (auto marked = run(opened, "PRAGMA user_version = 1"); !marked) {
    note(marked.error().message);
  }
  return out;
}

}  // namespace

Result<OpenedStore> open_lease_store(const std::string& path) {
  auto first = attempt(path);
  if (first.fault.empty()) return OpenedStore{std::make_unique<SqliteLeaseStore>(std::move(first.database)), {}};
  if (!first.damaged) return fail(first.fault);
  first.database.reset();
  const auto aside = path + ".damaged";
  if (std::rename(path.c_str(), aside.c_str()) != 0) return fail(path + " is damaged, and cannot be put aside");
  // Of the damaged one, not of the new one.
  for (const char* suffix : {"-wal", "-shm"}) (void)std::remove((path + suffix).c_str());
  auto second = attempt(path);
  if (!second.fault.empty()) return fail(second.fault);
  return OpenedStore{
      std::make_unique<SqliteLeaseStore>(std::move(second.database)),
      path + " was damaged (" + first.fault + "): it stands aside as " + aside + ", and the leases begin anew"};
}

}  // namespace cygnet::store
