// SPDX-License-Identifier: Apache-2.0
#include "daemon/token_role/cryptoki.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "crypto/signature.h"

namespace cygnet::daemon {

struct Cryptoki::Library {
  void* handle = nullptr;
  CK_FUNCTION_LIST* calls = nullptr;
};

namespace {

using crypto::SignatureScheme;

constexpr std::size_t kMaxSlots = 256;
constexpr std::size_t kMaxSignature = 4096;

std::string meaning(CK_RV code) {
  switch (code) {
    case CKR_PIN_INCORRECT: return "the PIN is wrong";
    case CKR_PIN_LOCKED: return "the token has locked its PIN after wrong ones: unlock it with the tool of its maker";
    case CKR_PIN_EXPIRED: return "the PIN has expired: set a new one";
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE: return "the PIN is none that this token could have";
    case CKR_USER_PIN_NOT_INITIALIZED: return "the token has no PIN yet: initialize it";
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_DEVICE_REMOVED: return "the token has been removed";
    case CKR_TOKEN_NOT_RECOGNIZED: return "the token is of no kind that its library knows";
    case CKR_DEVICE_ERROR: return "the token reports a fault of its own";
    case CKR_DEVICE_MEMORY:
    case CKR_HOST_MEMORY: return "there is no memory left";
    case CKR_USER_NOT_LOGGED_IN: return "the token wants a PIN: write it after the URI in ipsec.secrets, in quotes";
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED: return "the token has ended the session";
    case CKR_KEY_FUNCTION_NOT_PERMITTED: return "the key on the token may not sign (CKA_SIGN)";
    case CKR_MECHANISM_INVALID:
    case CKR_MECHANISM_PARAM_INVALID: return "the token cannot make signatures of this kind";
    default: break;
  }
  std::array<char, 32> number{};
  (void)std::snprintf(number.data(), number.size(), "0x%lx", static_cast<unsigned long>(code));
  return std::string("the token's library reports error ") + number.data() + " (PKCS#11)";
}
std::unexpected<Error> refused(const std::string& what, CK_RV code) { return fail(what + ": " + meaning(code)); }

// PKCS#11 strings have a fixed size and end in blanks.
template <std::size_t N>
std::string text_of(const CK_UTF8CHAR (&field)[N]) {  // NOLINT(cppcoreguidelines-avoid-c-arrays): the header's
  std::string_view text(reinterpret_cast<const char*>(field), N);
  while (text.ends_with(' ') || text.ends_with('\0')) text.remove_suffix(1);
  return std::string(text);
}

bool describes(const model::Pkcs11Uri& uri, CK_SLOT_ID slot, const CK_TOKEN_INFO& token) {
  const auto fits = [](const std::string& wanted, const std::string& is) { return wanted.empty() || wanted == is; };
  return (!uri.slot_id || *uri.slot_id == slot) && fits(uri.token, text_of(token.label)) &&
         fits(uri.manufacturer, text_of(token.manufacturerID)) && fits(uri.serial, text_of(token.serialNumber)) &&
         fits(uri.model, text_of(token.model));
}

CK_ATTRIBUTE_TYPE type_of(Cryptoki::Attribute which) {
  switch (which) {
    case Cryptoki::Attribute::kId: return CKA_ID;
    case Cryptoki::Attribute::kValue: return CKA_VALUE;
    case Cryptoki::Attribute::kModulus: return CKA_MODULUS;
    case Cryptoki::Attribute::kExponent: return CKA_PUBLIC_EXPONENT;
    case Cryptoki::Attribute::kCurve: return CKA_EC_PARAMS;
    case Cryptoki::Attribute::kPoint: return CKA_EC_POINT;
  }
  return CKA_ID;
}

CK_OBJECT_CLASS class_of(Cryptoki::Kind kind) {
  if (kind == Cryptoki::Kind::kCertificate) return CKO_CERTIFICATE;
  return kind == Cryptoki::Kind::kPrivateKey ? CKO_PRIVATE_KEY : CKO_PUBLIC_KEY;
}
const char* word_of(Cryptoki::Kind kind) {
  if (kind == Cryptoki::Kind::kCertificate) return "certificate";
  return kind == Cryptoki::Kind::kPrivateKey ? "private key" : "public key";
}

bool is_ecdsa(SignatureScheme scheme) {
  return scheme == SignatureScheme::kEcdsaSha256 || scheme == SignatureScheme::kEcdsaSha384 ||
         scheme == SignatureScheme::kEcdsaSha512;
}

std::optional<CK_MECHANISM_TYPE> mechanism_of(SignatureScheme scheme) {
  if (is_ecdsa(scheme)) return CKM_ECDSA;
  if (scheme == SignatureScheme::kEd25519 || scheme == SignatureScheme::kEd448) return std::nullopt;
  return crypto::is_pss(scheme) ? CKM_RSA_PKCS_PSS : CKM_RSA_PKCS;
}

CK_RSA_PKCS_PSS_PARAMS pss_parameters(SignatureScheme scheme) {
  // RFC 7427 appendix A.4: MGF1 with the same hash, a salt as long as the hash.
  switch (crypto::hash_of(scheme)) {
    case crypto::HashId::kSha2_384: return {CKM_SHA384, CKG_MGF1_SHA384, 48};
    case crypto::HashId::kSha2_512: return {CKM_SHA512, CKG_MGF1_SHA512, 64};
    default: return {CKM_SHA256, CKG_MGF1_SHA256, 32};
  }
}

// RFC 8017 section 9.2, notes: the DER that stands before the hash in DigestInfo.
Bytes digest_info(SignatureScheme scheme, ByteView hash) {
  const char* prefix = "3031300d060960864801650304020105000420";
  if (crypto::hash_of(scheme) == crypto::HashId::kSha1) prefix = "3021300906052b0e03021a05000414";
  if (crypto::hash_of(scheme) == crypto::HashId::kSha2_384) prefix = "3041300d060960864801650304020205000430";
  if (crypto::hash_of(scheme) == crypto::HashId::kSha2_512) prefix = "3051300d060960864801650304020305000440";
  Bytes out;
  (void)from_hex(prefix, out);
  append(out, hash);
  return out;
}

Bytes data_for(SignatureScheme scheme, ByteView octets) {
  auto hash = crypto::to_be_signed(scheme, octets);
  if (is_ecdsa(scheme) || crypto::is_pss(scheme)) return hash;
  return digest_info(scheme, hash);
}

Result<void> initialize(CK_FUNCTION_LIST& calls) {
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  const CK_RV code = calls.C_Initialize(&arguments);
  if (code == CKR_OK || code == CKR_CRYPTOKI_ALREADY_INITIALIZED) return {};
  return refused("the library cannot be initialized (may the daemon's user read its files?)", code);
}

CK_BYTE* writable(const SecretBytes& pin) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): C_Login takes no const and changes nothing
  return const_cast<CK_BYTE*>(pin.data());
}

}  // namespace

Cryptoki::Cryptoki(std::unique_ptr<Library> library) : library_(std::move(library)) {}

Cryptoki::~Cryptoki() {
  if (library_->calls != nullptr) (void)library_->calls->C_Finalize(nullptr);
  // The library stays in memory: threads it started may still be in it.
}

Result<std::shared_ptr<Cryptoki>> Cryptoki::load(const std::string& path) {
  auto library = std::make_unique<Library>();
  library->handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library->handle == nullptr) {
    const char* why = ::dlerror();  // NOLINT(concurrency-mt-unsafe): one thread
    return fail("the PKCS#11 library cannot be loaded: " + std::string(why == nullptr ? path.c_str() : why) +
                ": write its path as pkcs11module= in config setup, or module-path= in the URI");
  }
  const auto get = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library->handle, "C_GetFunctionList"));
  if (get == nullptr || get(&library->calls) != CKR_OK || library->calls == nullptr) {
    library->calls = nullptr;
    return fail(path + " is no PKCS#11 library (it has no C_GetFunctionList)");
  }
  if (auto begun = initialize(*library->calls); !begun) {
    library->calls = nullptr;
    return fail(path + ": " + begun.error().message);
  }
  return std::shared_ptr<Cryptoki>(new Cryptoki(std::move(library)));
}

Result<void> Cryptoki::begin_anew() {
  (void)library_->calls->C_Finalize(nullptr);
  return initialize(*library_->calls);
}

Result<Cryptoki::Handle> Cryptoki::find_slot(const model::Pkcs11Uri& uri) {
  auto& calls = *library_->calls;
  CK_ULONG count = 0;
  // Asking for the number alone makes libraries look what has been inserted.
  if (const CK_RV code = calls.C_GetSlotList(CK_TRUE, nullptr, &count); code != CKR_OK)
    return refused("the slots cannot be listed", code);
  std::vector<CK_SLOT_ID> slots(std::min<std::size_t>(count, kMaxSlots));
  count = slots.size();
  if (const CK_RV code = calls.C_GetSlotList(CK_TRUE, slots.data(), &count); code != CKR_OK)
    return refused("the slots cannot be listed", code);
  slots.resize(std::min<std::size_t>(count, slots.size()));
  std::optional<Handle> found;
  for (const auto slot : slots) {
    CK_TOKEN_INFO token{};
    if (calls.C_GetTokenInfo(slot, &token) != CKR_OK || !describes(uri, slot, token)) continue;
    if (found) return fail("several tokens fit: name one by token=, serial= or slot-id=");
    found = slot;
  }
  if (!found)
    return fail("there is no " + uri.token_text() + ": insert it, or compare the URI with `p11tool --list-tokens`");
  return *found;
}

Result<Cryptoki::Handle> Cryptoki::open_session(Handle slot) {
  CK_SESSION_HANDLE session = 0;
  const CK_RV code = library_->calls->C_OpenSession(slot, CKF_SERIAL_SESSION, nullptr, nullptr, &session);
  if (code != CKR_OK) return refused("no session with the token", code);
  return session;
}

void Cryptoki::close_session(Handle session) { (void)library_->calls->C_CloseSession(session); }

Cryptoki::LogIn Cryptoki::log_in(Handle session, const SecretBytes& pin, std::string& why) {
  const CK_RV code = library_->calls->C_Login(session, CKU_USER, writable(pin), pin.size());
  if (code == CKR_OK || code == CKR_USER_ALREADY_LOGGED_IN) return LogIn::kDone;
  why = meaning(code);
  const bool pin_at_fault = code == CKR_PIN_INCORRECT || code == CKR_PIN_LOCKED || code == CKR_PIN_EXPIRED ||
                            code == CKR_PIN_INVALID || code == CKR_PIN_LEN_RANGE;
  return pin_at_fault ? LogIn::kWrongPin : LogIn::kFailed;
}

Result<Cryptoki::Handle> Cryptoki::find_object(Handle session, Kind kind, const model::Pkcs11Uri& uri) {
  auto& calls = *library_->calls;
  CK_OBJECT_CLASS wanted = class_of(kind);
  auto label = uri.object;
  auto id = uri.id;
  std::vector<CK_ATTRIBUTE> filter{{CKA_CLASS, &wanted, sizeof wanted}};
  if (!label.empty()) filter.push_back({CKA_LABEL, label.data(), label.size()});
  if (!id.empty()) filter.push_back({CKA_ID, id.data(), id.size()});
  if (const CK_RV code = calls.C_FindObjectsInit(session, filter.data(), filter.size()); code != CKR_OK)
    return refused("the token cannot be searched", code);
  std::array<CK_OBJECT_HANDLE, 2> found{};
  CK_ULONG count = 0;
  const CK_RV code = calls.C_FindObjects(session, found.data(), found.size(), &count);
  (void)calls.C_FindObjectsFinal(session);
  if (code != CKR_OK) return refused("the token cannot be searched", code);
  const std::string named = label.empty() ? "id " + to_hex(id) : "the label '" + label + "'";
  if (count == 0)
    return fail(std::string("there is no ") + word_of(kind) + " with " + named + " on it (or the PIN is missing)");
  if (count > 1)
    return fail(std::string("it has more than one ") + word_of(kind) + " with " + named + ": add id= to the URI");
  return found[0];
}

Result<Bytes> Cryptoki::attribute(Handle session, Handle object, Attribute which) {
  CK_ATTRIBUTE asked{type_of(which), nullptr, 0};
  CK_RV code = library_->calls->C_GetAttributeValue(session, object, &asked, 1);
  if (code != CKR_OK) return refused("the token does not tell an attribute", code);
  if (asked.ulValueLen == CK_UNAVAILABLE_INFORMATION || asked.ulValueLen > kMaxAttribute)
    return fail("the token does not tell an attribute, or one of more than 64 KiB");
  Bytes value(asked.ulValueLen);
  asked.pValue = value.data();
  code = library_->calls->C_GetAttributeValue(session, object, &asked, 1);
  if (code != CKR_OK || asked.ulValueLen > value.size()) return refused("the token does not tell an attribute", code);
  value.resize(asked.ulValueLen);
  return value;
}

bool Cryptoki::always_authenticates(Handle session, Handle key) {
  CK_BBOOL value = CK_FALSE;
  CK_ATTRIBUTE asked{CKA_ALWAYS_AUTHENTICATE, &value, sizeof value};
  return library_->calls->C_GetAttributeValue(session, key, &asked, 1) == CKR_OK && value == CK_TRUE;
}

bool Cryptoki::can_sign(Handle slot, SignatureScheme scheme) {
  const auto mechanism = mechanism_of(scheme);
  CK_MECHANISM_INFO info{};
  return mechanism && library_->calls->C_GetMechanismInfo(slot, *mechanism, &info) == CKR_OK &&
         (info.flags & CKF_SIGN) != 0;
}

Result<Bytes> Cryptoki::sign(Handle session, Handle key, SignatureScheme scheme, ByteView octets,
                             const SecretBytes* pin) {
  auto& calls = *library_->calls;
  const auto type = mechanism_of(scheme);
  if (!type) return refused("no signature", CKR_MECHANISM_INVALID);
  auto pss = pss_parameters(scheme);
  CK_MECHANISM mechanism{*type, nullptr, 0};
  if (crypto::is_pss(scheme)) mechanism = {*type, &pss, sizeof pss};
  if (const CK_RV code = calls.C_SignInit(session, &mechanism, key); code != CKR_OK)
    return refused("no signature", code);
  if (pin != nullptr) {
    const CK_RV code = calls.C_Login(session, CKU_CONTEXT_SPECIFIC, writable(*pin), pin->size());
    if (code != CKR_OK) return refused("no signature", code);
  }
  auto data = data_for(scheme, octets);
  Bytes signature(kMaxSignature);
  CK_ULONG length = signature.size();
  if (const CK_RV code = calls.C_Sign(session, data.data(), data.size(), signature.data(), &length); code != CKR_OK)
    return refused("no signature", code);
  if (length == 0 || length > signature.size()) return fail("the token made a signature of no length");
  signature.resize(length);
  return signature;
}

}  // namespace cygnet::daemon
