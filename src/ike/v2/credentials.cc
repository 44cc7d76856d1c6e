// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/credentials.h"

#include "ike/v2/world.h"

namespace cygnet::ike::v2 {
namespace {

model::Identity subject_of(const crypto::Certificate& certificate) {
  return {model::IdType::kDerAsn1Dn, certificate.subject()};
}

template <typename Map>
const typename Map::mapped_type* find_in(const Map& map, const std::string& name) {
  const auto found = name.empty() ? map.end() : map.find(name);
  return found == map.end() ? nullptr : &found->second;
}

void unusable(World& world, const std::string& what, const model::NamedObject& object, const Error& error) {
  world.report(Severity::kError, "", "", "credential-unusable",
               "the " + what + " '" + object.name + "' (" + object.source + ") cannot be used: " + error.message);
}

}  // namespace

const crypto::PublicKey* Credentials::find_key(const std::string& name) const { return find_in(public_keys, name); }

const crypto::Certificate* Credentials::find_certificate(const std::string& name) const {
  return find_in(certificates, name);
}

const crypto::PublicKey* Credentials::key_of(const model::End& end) const {
  if (const auto* certificate = find_certificate(end.certificate)) return &certificate->public_key();
  return find_key(end.public_key);
}

Credentials read_credentials(World& world, const model::PublicCredentials& credentials) {
  Credentials out;
  for (const auto& object : credentials.public_keys) {
    if (auto key = crypto::PublicKey::from_spki(ByteView(object.der))) {
      out.public_keys.emplace(object.name, std::move(*key));
    } else {
      unusable(world, "public key", object, key.error());
    }
  }
  for (const auto& object : credentials.certificates) {
    if (auto certificate = crypto::Certificate::parse(ByteView(object.der))) {
      out.certificates.emplace(object.name, std::move(*certificate));
    } else {
      unusable(world, "certificate", object, certificate.error());
    }
  }
  for (const auto& object : credentials.authorities) {
    if (auto certificate = crypto::Certificate::parse(ByteView(object.der))) {
      out.authorities.push_back(std::move(*certificate));
    } else {
      unusable(world, "authority", object, certificate.error());
    }
  }
  return out;
}

void fill_in_identities(World& world, model::Connection& connection) {
  auto& own = connection.local;
  auto& peer = connection.remote;
  const auto* pinned =
      peer.auth == model::AuthMethod::kSignature ? world.credentials.find_certificate(peer.certificate) : nullptr;
  if (!peer.id && !peer.id_any) {
    if (pinned != nullptr) {
      peer.id = subject_of(*pinned);
    } else if (peer.auth == model::AuthMethod::kSignature && peer.public_key.empty() &&
               peer.host.kind == model::HostSpec::Kind::kName) {
      // The name that was written says who is meant; the address is only what it led to today.
      peer.id = model::Identity::parse(peer.host.name);
    }
  }
  const auto* certificate =
      own.auth == model::AuthMethod::kSignature ? world.credentials.find_certificate(own.certificate) : nullptr;
  if (certificate == nullptr) return;
  if (!own.id) {
    own.id = subject_of(*certificate);
    own.id_any = true;  // or any other that it carries, to a peer that asks for it
  } else if (!certificate->carries(*own.id)) {
    world.report(Severity::kWarning, connection.name, "", "own-identity-not-in-certificate",
                 "connection " + connection.name + " shows '" + own.id->to_string() + "', which its certificate '" +
                     own.certificate + "' does not carry: peers will not believe it. The certificate names " +
                     certificate->names_text() + ": write one of these as leftid=, or leave leftid= out");
  }
}

}  // namespace cygnet::ike::v2
