// SPDX-License-Identifier: Apache-2.0
#include "sadb/messages.h"

#include <utility>

#include "sadb/fields.h"

namespace cygnet::sadb {

namespace {

// Types on the wire: the alternative's place in its variant, from a base of its own.
constexpr std::uint8_t kRequestBase = 0x10;
constexpr std::uint8_t kReplyBase = 0x40;
constexpr std::uint8_t kEventBase = 0x60;

template <typename Variant>
Bytes encode_variant(std::uint8_t base, std::uint32_t request, const Variant& message) {
  Writer writer;
  writer.number(kVersion);
  writer.number(static_cast<std::uint8_t>(base + message.index()));
  writer.number(request);
  std::visit([&](const auto& value) { fields(writer, value); }, message);
  return std::move(writer).take();
}

// As encode_variant() of a request that holds the specification and nothing else.
template <typename Holder, typename Spec>
Bytes encode_held(std::uint32_t request, const Spec& spec) {
  static const auto kType = static_cast<std::uint8_t>(kRequestBase + Request(Holder{}).index());
  Writer writer;
  writer.number(kVersion);
  writer.number(kType);
  writer.number(request);
  fields(writer, spec);
  return std::move(writer).take();
}

// The alternative number `index`, read from the reader.
template <typename Variant, std::size_t I = 0>
bool decode_alternative(std::size_t index, Reader& reader, Variant& out) {
  if constexpr (I < std::variant_size_v<Variant>) {
    if (index == I) {
      std::variant_alternative_t<I, Variant> value{};
      fields(reader, value);
      out = std::move(value);
      return reader.finished();
    }
    return decode_alternative<Variant, I + 1>(index, reader, out);
  } else {
    return false;
  }
}

struct Header {
  std::uint8_t type = 0;
  std::uint32_t request = 0;
};

Result<Header> decode_header(Reader& reader) {
  std::uint8_t version = 0;
  Header header;
  reader.number(version);
  reader.number(header.type);
  reader.number(header.request);
  if (!reader.ok()) {
    return fail("a message between ike and engine is shorter than its header");
  }
  if (version != kVersion) {
    return fail("ike and engine speak different versions (" + std::to_string(version) + ", here " +
                std::to_string(kVersion) + "): restart cygnetd");
  }
  return header;
}

std::unexpected<Error> refuse(std::uint8_t type) {
  return fail("a message of type " + std::to_string(type) + " between ike and engine is malformed");
}

}  // namespace

Bytes encode(std::uint32_t request, const Request& message) { return encode_variant(kRequestBase, request, message); }
Bytes encode_install(std::uint32_t request, const model::SaSpec& spec) {
  return encode_held<InstallSaRequest>(request, spec);
}
Bytes encode_install(std::uint32_t request, const model::PolicySpec& spec) {
  return encode_held<InstallPolicyRequest>(request, spec);
}
Bytes encode(std::uint32_t request, const Reply& message) { return encode_variant(kReplyBase, request, message); }
Bytes encode(const Event& event) { return encode_variant(kEventBase, 0, event); }

std::vector<Bytes> encode_dump(std::uint32_t request, const Dump& dump) {
  std::vector<Bytes> out;
  DumpPiece piece;
  std::size_t used = 0;
  const auto flush = [&] {
    out.push_back(encode(request, Reply{piece}));
    piece = {};
    used = 0;
  };
  // How large an element is, is known once it has been written.
  const auto add = [&](const auto& element, auto& list) {
    Writer measure;
    fields(measure, element);
    if (used + measure.size() > kMaxEncoded - 64 || list.size() >= kMaxItems) {
      flush();
    }
    used += measure.size();
    list.push_back(element);
  };
  for (const auto& sa : dump.sas) {
    add(sa, piece.part.sas);
  }
  for (const auto& policy : dump.policies) {
    add(policy, piece.part.policies);
  }
  for (const auto& [key, value] : dump.checkpoints) {
    const auto most = kMaxCheckpointPiece - key.size() - 6;
    for (std::size_t at = 0; at == 0 || at < value.size(); at += most) {
      const auto octets = std::min(most, value.size() - at);
      const auto size = key.size() + octets + 6;
      if (used + size > kMaxEncoded - 64 || piece.part.checkpoints.size() >= kMaxItems) {
        flush();
      }
      used += size;
      const auto from = value.begin() + static_cast<std::ptrdiff_t>(at);
      piece.part.checkpoints.emplace_back(key, Bytes(from, from + static_cast<std::ptrdiff_t>(octets)));
    }
  }
  piece.last = true;
  flush();
  return out;
}

Result<std::pair<std::uint32_t, Request>> decode_request(ByteView message) {
  Reader reader(message);
  const auto header = decode_header(reader);
  if (!header) {
    return std::unexpected(header.error());
  }
  Request request;
  if (header->type < kRequestBase ||
      !decode_alternative<Request>(static_cast<std::size_t>(header->type - kRequestBase), reader, request)) {
    return refuse(header->type);
  }
  return std::pair{header->request, std::move(request)};
}

Result<std::pair<std::uint32_t, FromEngine>> decode_from_engine(ByteView message) {
  Reader reader(message);
  const auto header = decode_header(reader);
  if (!header) {
    return std::unexpected(header.error());
  }
  if (header->type >= kEventBase) {
    Event event;
    if (decode_alternative<Event>(static_cast<std::size_t>(header->type - kEventBase), reader, event)) {
      return std::pair{header->request, FromEngine{std::move(event)}};
    }
    return refuse(header->type);
  }
  Reply reply;
  if (header->type >= kReplyBase &&
      decode_alternative<Reply>(static_cast<std::size_t>(header->type - kReplyBase), reader, reply)) {
    return std::pair{header->request, FromEngine{std::move(reply)}};
  }
  return refuse(header->type);
}

}  // namespace cygnet::sadb
