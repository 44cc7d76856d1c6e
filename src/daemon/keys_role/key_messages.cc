// SPDX-License-Identifier: Apache-2.0
#include "daemon/keys_role/key_messages.h"

#include "sadb/archive.h"
#include "sadb/fields.h"

namespace cygnet::daemon {
namespace {

using namespace ike::auth;
using sadb::Is;
using sadb::Reader;
using sadb::Writer;

template <typename A, typename V>
void identity(A& a, V& v) {
  a.enumeration(v.type, model::IdType::kNull);
  a.octets(v.data);
}
template <typename A, typename V>
void query(A& a, V& v) {
  identity(a, v.local_id);
  identity(a, v.remote_id);
  a.address(v.local);
  a.address(v.remote);
}
template <typename A, Is<PskProve> V>
void fields(A& a, V& v) {
  a.enumeration(v.prf, model::PrfId{0xffff});
  query(a, v.query);
  a.octets(v.octets);
}
template <typename A, Is<PskVerify> V>
void fields(A& a, V& v) {
  a.enumeration(v.prf, model::PrfId{0xffff});
  query(a, v.query);
  a.octets(v.octets);
  a.octets(v.presented);
  a.octets(v.answer);
}
template <typename A, Is<SignatureProve> V>
void fields(A& a, V& v) {
  a.octets(v.key_id);
  a.flag(v.digital_signature);
  a.list(v.hashes, [](A& each, auto& hash) { each.enumeration(hash, crypto::HashId{0xffff}); });
  a.octets(v.octets);
}
template <typename A, Is<AuthResult> V>
void fields(A& a, V& v) {
  a.number(v.job);
  a.flag(v.ok);
  a.text(v.error);
  a.text(v.source);
  a.enumeration(v.method, wire::ike::AuthMethodId{0xff});
  a.octets(v.auth);
}

void write(Writer& writer, const AuthJob& job) {
  writer.number(job.job);
  writer.number(static_cast<std::uint8_t>(job.what.index()));
  std::visit(
      [&](const auto& what) {
        if constexpr (requires { fields(writer, what); }) fields(writer, what);
      },
      job.what);
}

template <typename T>
void read_as(Reader& reader, AuthJob& job) {
  fields(reader, job.what.emplace<T>());
}
void read(Reader& reader, AuthJob& job) {
  std::uint8_t kind = 0;
  reader.number(job.job);
  reader.number(kind);
  switch (kind) {
    case 0: return read_as<PskProve>(reader, job);
    case 1: return read_as<PskVerify>(reader, job);
    case 2: return read_as<SignatureProve>(reader, job);
    default: return reader.refuse();
  }
}

template <typename T>
Result<std::vector<T>> decode_list(ByteView bytes, void (*each)(Reader&, T&)) {
  Reader reader(bytes);
  std::uint16_t count = 0;
  reader.number(count);
  if (count > kMaxJobsInMessage) reader.refuse();
  std::vector<T> out;
  for (std::uint16_t i = 0; i < count && reader.ok(); ++i) each(reader, out.emplace_back());
  if (!reader.finished()) return fail("a message between ike and keys is malformed");
  return out;
}

}  // namespace

Bytes encode_jobs(const std::vector<AuthJob>& jobs) {
  Writer writer;
  writer.number(static_cast<std::uint16_t>(jobs.size()));
  for (const auto& job : jobs) write(writer, job);
  return std::move(writer).take();
}

Result<std::vector<AuthJob>> decode_jobs(ByteView bytes) { return decode_list<AuthJob>(bytes, read); }

Bytes encode_results(const std::vector<AuthResult>& results) {
  Writer writer;
  writer.number(static_cast<std::uint16_t>(results.size()));
  for (const auto& result : results) fields(writer, result);
  return std::move(writer).take();
}

Result<std::vector<AuthResult>> decode_results(ByteView bytes) {
  return decode_list<AuthResult>(bytes, [](Reader& reader, AuthResult& result) { fields(reader, result); });
}

// Where a message with results counts them.
constexpr std::uint16_t kHeldKeys = 0xffff;
static_assert(kMaxJobsInMessage < kHeldKeys);

Bytes encode_held_keys(const HeldKeys& held) {
  Writer writer;
  writer.number(kHeldKeys);
  writer.flag(held.first);
  writer.list(held.key_ids, [](Writer& each, const Bytes& id) { each.octets(id); });
  return std::move(writer).take();
}

std::optional<HeldKeys> decode_held_keys(ByteView bytes) {
  Reader reader(bytes);
  std::uint16_t mark = 0;
  HeldKeys held;
  reader.number(mark);
  if (mark != kHeldKeys) return std::nullopt;
  reader.flag(held.first);
  reader.list(held.key_ids, [](Reader& each, Bytes& id) { each.octets(id); });
  return reader.finished() ? std::optional(std::move(held)) : std::nullopt;
}

std::size_t octets_of(const AuthJob& job) {
  const auto of_query = [](const PskQuery& q) { return q.local_id.data.size() + q.remote_id.data.size(); };
  constexpr std::size_t kRest = 128;
  if (const auto* prove = std::get_if<PskProve>(&job.what))
    return kRest + of_query(prove->query) + prove->octets.size();
  if (const auto* verify = std::get_if<PskVerify>(&job.what))
    return kRest + of_query(verify->query) + verify->octets.size() + verify->presented.size() + verify->answer.size();
  if (const auto* sign = std::get_if<SignatureProve>(&job.what))
    return kRest + sign->octets.size() + sign->hashes.size() * 2;
  return kRest;
}

}  // namespace cygnet::daemon
