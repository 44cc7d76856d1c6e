// SPDX-License-Identifier: Apache-2.0
#include "config/credentials.h"

#include <algorithm>
#include <array>

#include "config/pem.h"
#include "config/values.h"
#include "model/pkcs11_uri.h"

namespace cygnet::config {
namespace {

using model::AuthMethod;

const std::vector<std::string_view> kCertificateLabels{"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"};
const std::vector<std::string_view> kCrlLabels{"X509 CRL", "CRL"};
const std::vector<std::string_view> kKeyLabels{"PUBLIC KEY", "RSA PUBLIC KEY"};
constexpr std::size_t kMaxCertificate = 65536;

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool has_key(const EndDraft& end) { return end.cert || end.public_key; }

}  // namespace

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

CredentialFiles::CredentialFiles(const std::string& config_path, FileReader& files, Reporter& report)
    : folder_(folder_of(config_path)), files_(files), report_(report) {}

// An absolute name, or one in the folder for its kind beside ipsec.conf, or one beside ipsec.conf itself.
Result<CredentialFiles::Found> CredentialFiles::find(const std::string& folder, const std::string& name) {
  if (name.starts_with('/')) {
    auto text = files_.read(name);
    if (!text) return std::unexpected(text.error());
    return Found{name, std::move(*text)};
  }
  const auto first = folder_ + folder + "/" + name;
  if (auto text = files_.read(first)) return Found{first, std::move(*text)};
  const auto second = folder_ + name;
  if (auto text = files_.read(second)) return Found{second, std::move(*text)};
  return fail("there is neither '" + first + "' nor '" + second + "', or it cannot be read");
}

void CredentialFiles::read_directories() {
  for (const auto* ending : {"pem", "crt", "cer", "der"}) {
    for (const auto& path : files_.glob(folder_ + "cacerts/*." + ending)) {
      const auto text = files_.read(path);
      auto objects = text ? read_objects(*text, "certificate", kCertificateLabels)
                          : Result<std::vector<Bytes>>(std::unexpected(text.error()));
      if (!objects) {
        report_.warning({path, 0, 0, {}}, "this authority is not used: " + objects.error().message);
        continue;
      }
      for (auto& der : *objects) add_authority(base_name(path), path, std::move(der));
    }
  }
  for (const auto* ending : {"pem", "crl", "der"}) {
    for (const auto& path : files_.glob(folder_ + "crls/*." + ending)) {
      const auto text = files_.read(path);
      auto objects =
          text ? read_objects(*text, "CRL", kCrlLabels) : Result<std::vector<Bytes>>(std::unexpected(text.error()));
      if (!objects) {
        report_.warning({path, 0, 0, {}}, "this CRL is not used: " + objects.error().message);
        continue;
      }
      for (auto& der : *objects) out_.crls.push_back({base_name(path), std::move(der), path});
    }
  }
}

void CredentialFiles::add_authority(const std::string& name, const std::string& path, Bytes der) {
  if (der.size() > kMaxCertificate)
    return report_.warning({path, 0, 0, {}}, "this authority is not used: larger than 65536 octets");
  if (authorities_.emplace(der, name).second) out_.authorities.push_back({name, std::move(der), path});
}

void CredentialFiles::read_ca_section(const Section& section) {
  model::AuthorityOptions options;
  options.name = section.name;
  for (const auto& entry : section.entries) {
    if (entry.value.empty() || entry.key.starts_with("x-")) continue;
    if (entry.key == "auto") {
      if (entry.value == "ignore") return;
    } else if (entry.key == "cacert") {
      auto found = find("cacerts", entry.value);
      if (!found) return report_.error(entry.value_place(), found.error().message);
      auto objects = read_objects(found->text, "certificate", kCertificateLabels);
      if (!objects) return report_.error(entry.value_place(), "'" + found->path + "': " + objects.error().message);
      options.certificate = authorities_.contains(objects->front()) ? authorities_[objects->front()] : entry.value;
      add_authority(entry.value, found->path, objects->front());
    } else if (entry.key.starts_with("crluri") || entry.key.starts_with("ocspuri")) {
      if (!entry.value.starts_with("http://"))
        return report_.error(entry.value_place(), "'" + entry.value + "' cannot be fetched", "write http://…");
      (entry.key[0] == 'c' ? options.crl_urls : options.ocsp_urls).push_back(entry.value);
    } else {
      report_.error(entry.place, "'" + entry.key + "=' does not belong into a ca section",
                    "words there: cacert, crluri, ocspuri, auto");
    }
  }
  if (options.certificate.empty())
    return report_.error(section.place, "ca " + section.name + " has no cacert=", "name the authority's certificate");
  out_.authority_options.push_back(std::move(options));
}

void CredentialFiles::load_certificate(const Entry& entry, model::End& end) {
  end.certificate = entry.value;
  if (certificates_.contains(entry.value)) return;
  if (model::is_pkcs11_uri(entry.value)) return load_from_token(entry);
  auto found = find("certs", entry.value);
  if (!found) return report_.error(entry.value_place(), found.error().message, "give the path of a PEM or DER file");
  auto objects = read_objects(found->text, "certificate", kCertificateLabels);
  if (!objects) return report_.error(entry.value_place(), "'" + found->path + "': " + objects.error().message);
  certificates_.insert(entry.value);
  // The first is the end's own; others are what leads from it to an authority.
  for (std::size_t i = 0; i < objects->size(); ++i) {
    if ((*objects)[i].size() > kMaxCertificate)
      return report_.error(entry.value_place(), "'" + found->path + "' is larger than 65536 octets");
    const auto name = i == 0 ? entry.value : entry.value + "#" + std::to_string(i + 1);
    out_.certificates.push_back({name, std::move((*objects)[i]), found->path});
  }
}

// Who asks the tokens hands us what they hold as if it were a file with that name.
void CredentialFiles::load_from_token(const Entry& entry) {
  const auto uri = model::Pkcs11Uri::parse(entry.value);
  if (!uri) return report_.error(entry.value_place(), uri.error().message);
  if (!uri->type.empty() && uri->type != "cert") {
    return report_.error(entry.value_place(), "'type=" + uri->type + "' is no certificate",
                         "write type=cert here; the private key belongs into ipsec.secrets");
  }
  certificates_.insert(entry.value);
  auto text = files_.read(entry.value);
  if (!text) return report_.warning(entry.value_place(), "this certificate is not at hand: " + text.error().message);
  auto objects = read_objects(*text, "certificate", kCertificateLabels);
  if (!objects) return report_.error(entry.value_place(), "what the token holds there: " + objects.error().message);
  out_.certificates.push_back({entry.value, std::move(objects->front()), entry.value});
}

void CredentialFiles::load_public_key(const Entry& entry, const std::string& conn, model::End& end) {
  const auto& text = entry.value;
  const bool inline_key = text.starts_with("0s") || text.starts_with("0x");
  end.public_key = inline_key ? conn + "/" + entry.key : text;
  if (public_keys_.contains(end.public_key)) return;
  Bytes octets;
  std::string source = entry.place.file + ':' + std::to_string(entry.place.line);
  if (inline_key) {
    auto base64 = text.starts_with("0s") ? parse_base64(std::string_view(text).substr(2)) : std::nullopt;
    if (base64) octets = std::move(*base64);
    if (!base64 && (text.starts_with("0s") || !from_hex(text, octets)))
      return report_.error(entry.value_place(), "this is neither base64 after 0s nor hexadecimal after 0x");
  } else {
    auto found = find("certs", text);
    if (!found) return report_.error(entry.value_place(), found.error().message, "give a file, or 0s and base64");
    auto objects = read_objects(found->text, "public key", kKeyLabels);
    if (!objects) return report_.error(entry.value_place(), "'" + found->path + "': " + objects.error().message);
    octets = std::move(objects->front());
    source = found->path;
  }
  auto info = to_subject_public_key_info(octets);
  if (!info) return report_.error(entry.value_place(), info.error().message);
  public_keys_.insert(end.public_key);
  out_.public_keys.push_back({end.public_key, std::move(*info), source});
}

// RFC 7619: who proves nothing is nobody, and gets nothing that is given to names.
void CredentialFiles::check_null(const EndDraft& words, const model::End& end, const ConnectionDraft& draft) {
  if (end.auth != AuthMethod::kNull) return;
  const auto what = "conn " + draft.connection.name + ": " + words.side + " proves nothing";
  if (end.id && end.id->type != model::IdType::kNull) {
    report_.error(draft.place, what + ", so its name '" + end.id->to_string() + "' means nothing",
                  "leave " + words.side + "id= out, or write %null");
  }
  if (words.subnet && end.host.kind == model::HostSpec::Kind::kAny) {
    report_.warning(words.subnet->value_place(), what + ": anybody may claim these networks",
                    "leave " + words.side + "subnet= out: then it gets what is sent to its own address");
  }
  if (!end.pools.empty()) {
    report_.error(draft.place, what + ", and addresses are given to identities",
                  "write " + words.side + "auth=pubkey or psk, or no pool");
  }
}

void CredentialFiles::finish(ConnectionDraft& draft) {
  auto& conn = draft.connection;
  const bool asymmetric = draft.left.auth || draft.right.auth;
  const auto usual = [&] {
    if (draft.authby) return *draft.authby;
    const bool keys = !asymmetric && (has_key(draft.left) || has_key(draft.right));
    return keys ? AuthMethod::kSignature : AuthMethod::kPsk;
  }();
  const std::array<std::pair<EndDraft*, model::End*>, 2> ends{
      {{&draft.left, &conn.local}, {&draft.right, &conn.remote}}};
  bool any_key = false;
  for (const auto& [words, end] : ends) {
    end->auth = words->auth.value_or(!draft.authby && has_key(*words) ? AuthMethod::kSignature : usual);
    if (words->cert) load_certificate(*words->cert, *end);
    if (words->public_key) load_public_key(*words->public_key, conn.name, *end);
    any_key = any_key || has_key(*words);
    const auto& unused = words->cert ? words->cert : words->public_key;
    if (unused && end->auth != AuthMethod::kSignature) {
      report_.warning(
          unused->place,
          "conn " + conn.name + ": " + words->side + " does not prove itself with a signature: this is not used",
          "write " + words->side + "auth=pubkey");
    }
  }
  const bool both = conn.local.auth == AuthMethod::kSignature && conn.remote.auth == AuthMethod::kSignature;
  if (both && !any_key) {
    report_.error(draft.place, "conn " + conn.name + ": signatures are asked for, but neither end names a key",
                  "write leftcert= (or leftpubkey=) with this host's certificate (or key)");
  }
  for (const auto& [words, end] : ends) check_null(*words, *end, draft);
  if (conn.local.auth == AuthMethod::kNull && conn.remote.auth == AuthMethod::kNull) {
    // RFC 7619 section 3: without authentication an active attacker can stand in the middle.
    report_.warning(draft.place,
                    "conn " + conn.name + ": neither end proves who it is; anybody may be at the other end");
  }
}

}  // namespace cygnet::config
