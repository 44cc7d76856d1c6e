// SPDX-License-Identifier: Apache-2.0
#include "daemon/token_role/token_work.h"

#include "sadb/archive.h"

namespace cygnet::daemon {
namespace {

using sadb::Reader;
using sadb::Writer;

template <typename A, typename V>
void work_fields(A& a, V& work) {
  a.text(work.module);
  a.list(work.keys, [](A& each, auto& key) {
    each.text(key.uri);
    each.octets(key.pin);
    each.text(key.source);
  });
  a.list(work.certificates, [](A& each, auto& uri) { each.text(uri); });
}
template <typename A, typename V>
void certificate_fields(A& a, V& certificates) {
  a.list(certificates, [](A& each, auto& certificate) {
    each.text(certificate.uri);
    each.octets(certificate.der);
  });
}

std::string text_of(Bytes octets) {
  std::string text(octets.begin(), octets.end());
  wipe(MutableByteView(octets));
  return text;
}

}  // namespace

std::string encode_token_work(const TokenWork& work) {
  Writer writer;
  work_fields(writer, work);
  return text_of(std::move(writer).take());
}

Result<TokenWork> decode_token_work(const std::string& text) {
  Reader reader(view_of(text));
  TokenWork work;
  work_fields(reader, work);
  return reader.finished() ? Result<TokenWork>(std::move(work)) : fail("what to ask tokens for did not arrive whole");
}

std::string encode_token_certificates(const std::vector<TokenCertificate>& certificates) {
  Writer writer;
  certificate_fields(writer, certificates);
  return text_of(std::move(writer).take());
}

Result<std::vector<TokenCertificate>> decode_token_certificates(const std::string& text) {
  Reader reader(view_of(text));
  std::vector<TokenCertificate> certificates;
  certificate_fields(reader, certificates);
  if (!reader.finished()) return fail("the certificates of the tokens did not arrive whole");
  return certificates;
}

}  // namespace cygnet::daemon
