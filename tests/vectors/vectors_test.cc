// SPDX-License-Identifier: Apache-2.0
// Puts the published numbers of data/*.txt through src/crypto.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>

#include "crypto/aead.h"
#include "crypto/esp_cipher.h"
#include "crypto/ike_cipher.h"
#include "crypto/key_exchange.h"
#include "crypto/mac.h"
#include "crypto/prf.h"
#include "ike/v2/keymat.h"
#include "model/legacy.h"
#include "vectors/vector_file.h"

namespace cygnet::vectors {
namespace {

using crypto::EspProvider;
using model::EncryptionId;
using model::IntegrityId;
using model::KeGroup;
using model::PrfId;

// ---- words of the files

template <typename T>
T lookup(const std::map<std::string, T>& table, const std::string& word) {
  const auto at = table.find(word);
  EXPECT_NE(at, table.end()) << "unknown word " << word;
  return at == table.end() ? T{} : at->second;
}

PrfId prf_of(const Record& r) {
  static const std::map<std::string, PrfId> kPrfs = {{"hmac-sha1", model::legacy::kPrfHmacSha1},
                                                     {"hmac-sha2-256", PrfId::kHmacSha2_256},
                                                     {"hmac-sha2-384", PrfId::kHmacSha2_384},
                                                     {"hmac-sha2-512", PrfId::kHmacSha2_512}};
  return lookup(kPrfs, r.word("prf"));
}

IntegrityId integrity_of(const Record& r) {
  static const std::map<std::string, IntegrityId> kIntegrity = {{"hmac-md5-96", IntegrityId::kHmacMd5_96},
                                                                {"hmac-sha1-96", IntegrityId::kHmacSha1_96},
                                                                {"aes-xcbc-96", IntegrityId::kAesXcbc96},
                                                                {"aes-cmac-96", IntegrityId::kAesCmac96},
                                                                {"hmac-sha2-256-128", IntegrityId::kHmacSha2_256_128},
                                                                {"hmac-sha2-384-192", IntegrityId::kHmacSha2_384_192},
                                                                {"hmac-sha2-512-256", IntegrityId::kHmacSha2_512_256}};
  return lookup(kIntegrity, r.word("integrity"));
}

EncryptionId encryption_of(const std::string& word) {
  static const std::map<std::string, EncryptionId> kEncryption = {
      {"aes-gcm", EncryptionId::kAesGcm16},
      {"chacha20-poly1305", EncryptionId::kChaCha20Poly1305},
      {"aes-cbc", EncryptionId::kAesCbc},
      {"null", EncryptionId::kNull}};
  return lookup(kEncryption, word);
}

KeGroup group_of(const Record& r) {
  static const std::map<std::string, KeGroup> kGroups = {
      {"modp1024", model::legacy::kModp1024}, {"modp1536", model::legacy::kModp1536}, {"modp2048", KeGroup::kModp2048},
      {"modp3072", KeGroup::kModp3072},       {"modp4096", KeGroup::kModp4096},       {"ecp256", KeGroup::kEcp256},
      {"ecp384", KeGroup::kEcp384},           {"ecp521", KeGroup::kEcp521},           {"x25519", KeGroup::kX25519}};
  return lookup(kGroups, r.word("group"));
}

SecretBytes secret(ByteView bytes) { return {bytes.begin(), bytes.end()}; }
std::string hex(ByteView bytes) { return to_hex(bytes); }

std::vector<EspProvider> providers() {
  std::vector<EspProvider> out{EspProvider::kOpenSsl};
  if (crypto::is_available(EspProvider::kIpsecMb)) out.push_back(EspProvider::kIpsecMb);
  return out;
}

// Opens a copy of a packet and gives its payload back, or "refused".
std::string open_packet(const model::SaSpec& spec, EspProvider provider, Bytes packet, std::uint64_t sequence) {
  const auto cipher = crypto::create_esp_cipher(spec, provider);
  if (!cipher) return cipher.error().message;
  crypto::EspJob job{.esp = packet.data(), .octets = packet.size(), .sequence = sequence};
  (*cipher)->open({&job, 1});
  if (!job.ok) return "refused";
  const std::size_t before = 8 + (*cipher)->iv_octets();
  return hex(ByteView(packet).subspan(before, packet.size() - before - (*cipher)->icv_octets()));
}

// ---- functions of the files

void run_prf(const Record& r) {
  const auto data = r.bytes("data");
  const auto output = crypto::prf(prf_of(r), r.bytes("key"), std::array<ByteView, 1>{data});
  EXPECT_EQ(hex(output), hex(r.bytes("output")));
}

// The data stands for a whole ESP packet without its ICV: with NULL encryption nothing else happens to it.
void run_integrity(const Record& r) {
  model::SaSpec spec;
  spec.encryption = EncryptionId::kNull;
  spec.integrity = integrity_of(r);
  spec.integrity_key = secret(r.bytes("key"));
  const auto icv = r.bytes("icv");
  const auto mac = crypto::create_mac(spec.integrity, spec.integrity_key);
  ASSERT_NE(mac, nullptr);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{16}, std::size_t{4000}}) {
    mac->start();
    const auto data = r.bytes("data");
    for (ByteView rest(data); !rest.empty(); rest = rest.subspan(std::min(piece, rest.size())))
      mac->update(rest.first(std::min(piece, rest.size())));
    std::array<std::uint8_t, crypto::kMaxDigestOctets> out{};
    mac->finish(out);
    EXPECT_EQ(hex(ByteView(out).first(icv.size())), hex(icv)) << "in pieces of " << piece;
  }
  if (r.bytes("data").size() < 8) return;  // no ESP header
  for (const auto provider : providers()) {
    const auto cipher = crypto::create_esp_cipher(spec, provider);
    ASSERT_TRUE(cipher.has_value());
    ASSERT_EQ((*cipher)->icv_octets(), icv.size());
    auto packet = r.bytes("data");
    packet.resize(packet.size() + icv.size());
    crypto::EspJob job{.esp = packet.data(), .octets = packet.size(), .sequence = 1};
    (*cipher)->seal({&job, 1});
    ASSERT_TRUE(job.ok);
    EXPECT_EQ(hex(ByteView(packet).last(icv.size())), hex(icv));
  }
}

// Associated data of 8 or 12 octets is an ESP header, without or with the high sequence word in its middle.
void run_aead_as_esp(EncryptionId id, const Record& r) {
  const auto aad = r.bytes("aad");
  const auto key = r.bytes("key");
  const auto nonce = r.bytes("nonce");
  if (aad.size() != 8 && aad.size() != 12) return;
  model::SaSpec spec;
  spec.encryption = id;
  spec.encryption_bits = static_cast<std::uint16_t>(key.size() * 8);
  spec.encryption_key = secret(key);
  append(spec.encryption_key, ByteView(nonce).first(4));
  spec.esn = aad.size() == 12;
  Bytes packet;
  append(packet, ByteView(aad).first(4));
  append(packet, ByteView(aad).last(4));
  append(packet, ByteView(nonce).subspan(4));
  append(packet, r.bytes("sealed"));
  const std::uint64_t sequence = load_be64(aad.data() + aad.size() - 8);
  for (const auto provider : providers()) {
    EXPECT_EQ(open_packet(spec, provider, packet, sequence), r.valid() ? hex(r.bytes("plaintext")) : "refused");
  }
}

void run_aead(const Record& r) {
  const auto id = encryption_of(r.word("algorithm"));
  const auto opened = crypto::aead_open(id, r.bytes("key"), r.bytes("nonce"), r.bytes("aad"), r.bytes("sealed"));
  ASSERT_EQ(opened.has_value(), r.valid());
  run_aead_as_esp(id, r);
  if (!r.valid()) {
    (void)r.bytes("plaintext");
    return;
  }
  EXPECT_EQ(hex(*opened), hex(r.bytes("plaintext")));
  const auto sealed = crypto::aead_seal(id, r.bytes("key"), r.bytes("nonce"), r.bytes("aad"), r.bytes("plaintext"));
  ASSERT_TRUE(sealed.has_value());
  EXPECT_EQ(hex(*sealed), hex(r.bytes("sealed")));
}

void run_cbc(const Record& r) {
  const auto key = r.bytes("key");
  const auto iv = r.bytes("iv");
  const auto ciphertext = r.bytes("ciphertext");
  const SecretBytes mac_key(32, 7);
  const auto bits = static_cast<std::uint16_t>(key.size() * 8);
  // IKE: the IV is the caller's; what follows the given blocks is padding.
  const auto ike =
      crypto::IkeCipher::create({EncryptionId::kAesCbc, bits, IntegrityId::kHmacSha2_256_128}, key, mac_key);
  ASSERT_TRUE(ike.has_value());
  const auto body = ike->seal(Bytes(32, 0), r.bytes("plaintext"), iv);
  ASSERT_TRUE(body.has_value());
  EXPECT_EQ(hex(ByteView(*body).subspan(16, ciphertext.size())), hex(ciphertext));
  // ESP: a packet with this IV, signed by hand.
  model::SaSpec spec;
  spec.encryption = EncryptionId::kAesCbc;
  spec.encryption_bits = bits;
  spec.encryption_key = secret(key);
  spec.integrity = IntegrityId::kHmacSha2_256_128;
  spec.integrity_key = mac_key;
  Bytes packet = {0, 0, 1, 0, 0, 0, 0, 1};
  append(packet, iv);
  append(packet, ciphertext);
  append(packet, ByteView(crypto::prf(PrfId::kHmacSha2_256, mac_key, std::array<ByteView, 1>{packet})).first(16));
  for (const auto provider : providers()) EXPECT_EQ(open_packet(spec, provider, packet, 1), hex(r.bytes("plaintext")));
}

// ESP puts the sequence number into the IV: the given IV is one.
void run_ctr(const Record& r) {
  const auto key = r.bytes("key");
  const auto iv = r.bytes("iv");
  const auto ciphertext = r.bytes("ciphertext");
  model::SaSpec spec;
  spec.encryption = EncryptionId::kAesCtr;
  spec.encryption_bits = static_cast<std::uint16_t>(key.size() * 8);
  spec.encryption_key = secret(key);
  append(spec.encryption_key, r.bytes("nonce"));
  spec.integrity = IntegrityId::kHmacSha2_256_128;
  spec.integrity_key = SecretBytes(32, 7);
  Bytes packet(8);
  append(packet, iv);
  append(packet, r.bytes("plaintext"));
  packet.resize(packet.size() + 16);
  const auto cipher = crypto::create_esp_cipher(spec);
  ASSERT_TRUE(cipher.has_value());
  crypto::EspJob job{.esp = packet.data(), .octets = packet.size(), .sequence = load_be64(iv.data())};
  (*cipher)->seal({&job, 1});
  ASSERT_TRUE(job.ok);
  EXPECT_EQ(hex(ByteView(packet).subspan(8, 8)), hex(iv));
  EXPECT_EQ(hex(ByteView(packet).subspan(16, ciphertext.size())), hex(ciphertext));
}

// A source that hands out one given value: key generation then computes that private value's public one.
class GivenRandom final : public Random {
 public:
  explicit GivenRandom(ByteView value) : value_(value) {}
  void fill(MutableByteView out) override {
    std::copy_n(value_.begin(), std::min(out.size(), value_.size()), out.begin());
  }

 private:
  ByteView value_;
};

void run_dh(const Record& r) {
  const auto private_value = r.bytes("private");
  const crypto::KeyPair own{group_of(r), secret(private_value), {}};
  const auto shared = crypto::derive_shared_secret(own, r.bytes("peer"));
  const auto expected = r.bytes("shared");
  ASSERT_EQ(shared.has_value(), r.valid());
  if (r.valid()) {
    EXPECT_EQ(hex(*shared), hex(expected));
  }
  if (r.has("public")) {
    GivenRandom random(private_value);
    const auto generated = crypto::generate_key_pair(own.group, random);
    ASSERT_TRUE(generated.has_value());
    EXPECT_EQ(hex(generated->private_key), hex(private_value)) << "the private value is taken as it is";
    EXPECT_EQ(hex(generated->public_value), hex(r.bytes("public")));
  }
}

std::string joined(std::initializer_list<ByteView> keys) {
  std::string text;
  for (const auto key : keys) text += hex(key);
  return text;
}

// As much of the keys as the published material covers.
void expect_prefix(const std::string& keys, const std::string& published) {
  const auto common = std::min(keys.size(), published.size());
  EXPECT_EQ(keys.substr(0, common), published.substr(0, common));
}

// The chain below through the functions that the IKE daemon calls, cut into keys for AES-CBC-256 with
// HMAC-SHA2-512-256.
void run_ikev2_keymat(const Record& r) {
  const auto prf_id = prf_of(r);
  const auto ni = r.bytes("ni");
  const auto nr = r.bytes("nr");
  const auto skeyseed = ike::v2::initial_skeyseed(prf_id, ni, nr, r.bytes("g_ir"));
  EXPECT_EQ(hex(skeyseed), hex(r.bytes("skeyseed")));

  const IkeSpi spi_i{load_be64(r.bytes("spi_i").data())};
  const IkeSpi spi_r{load_be64(r.bytes("spi_r").data())};
  const model::ChosenIke algorithms{EncryptionId::kAesCbc, 256, IntegrityId::kHmacSha2_512_256, prf_id,
                                    KeGroup::kX25519};
  const auto keys = ike::v2::derive_ike_keys(algorithms, skeyseed, ni, nr, spi_i, spi_r);
  ASSERT_TRUE(keys.has_value());
  expect_prefix(joined({keys->d, keys->ai, keys->ar, keys->ei, keys->er, keys->pi, keys->pr}), hex(r.bytes("dkm")));

  const model::ChosenEsp esp{EncryptionId::kAesCbc, 256, IntegrityId::kHmacSha2_512_256, KeGroup::kNone, false};
  const auto child = [&](ByteView shared_secret, const char* name) {
    const auto c = ike::v2::derive_child_keys(esp, prf_id, keys->d, ni, nr, shared_secret);
    ASSERT_TRUE(c.has_value());
    expect_prefix(joined({c->encryption_i, c->integrity_i, c->encryption_r, c->integrity_r}), hex(r.bytes(name)));
  };
  child({}, "dkm_child");
  const auto g_ir_new = r.bytes("g_ir_new");
  child(g_ir_new, "dkm_child_dh");
  EXPECT_EQ(hex(ike::v2::rekeyed_skeyseed(prf_id, keys->d, ni, nr, g_ir_new)), hex(r.bytes("skeyseed_rekey")));
}

// RFC 7296: SKEYSEED = prf(Ni | Nr, g^ir) and { SK_d … } = prf+ (SKEYSEED, Ni | Nr | SPIi | SPIr) (2.14);
// KEYMAT = prf+(SK_d, [g^ir (new) |] Ni | Nr) (2.17); SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr) (2.18).
void run_ikev2_kdf(const Record& r) {
  const auto prf_id = prf_of(r);
  auto nonces = r.bytes("ni");
  append(nonces, r.bytes("nr"));
  const auto g_ir = r.bytes("g_ir");
  const auto skeyseed = crypto::prf(prf_id, nonces, std::array<ByteView, 1>{g_ir});
  EXPECT_EQ(hex(skeyseed), hex(r.bytes("skeyseed")));

  auto seed = nonces;
  append(seed, r.bytes("spi_i"));
  append(seed, r.bytes("spi_r"));
  const auto dkm = crypto::prf_plus(prf_id, skeyseed, seed, r.bytes("dkm").size());
  ASSERT_TRUE(dkm.has_value());
  EXPECT_EQ(hex(*dkm), hex(r.bytes("dkm")));
  const auto sk_d = ByteView(*dkm).first(model::key_octets(prf_id));

  const auto child = crypto::prf_plus(prf_id, sk_d, nonces, r.bytes("dkm_child").size());
  ASSERT_TRUE(child.has_value());
  EXPECT_EQ(hex(*child), hex(r.bytes("dkm_child")));

  auto with_dh = r.bytes("g_ir_new");
  append(with_dh, nonces);
  const auto child_dh = crypto::prf_plus(prf_id, sk_d, with_dh, r.bytes("dkm_child_dh").size());
  ASSERT_TRUE(child_dh.has_value());
  EXPECT_EQ(hex(*child_dh), hex(r.bytes("dkm_child_dh")));

  EXPECT_EQ(hex(crypto::prf(prf_id, sk_d, std::array<ByteView, 1>{with_dh})), hex(r.bytes("skeyseed_rekey")));
  run_ikev2_keymat(r);
}

void run_esp(const Record& r) {
  model::SaSpec spec;
  spec.encryption = encryption_of(r.word("encryption"));
  spec.encryption_key = secret(r.bytes("key"));
  spec.encryption_bits =
      static_cast<std::uint16_t>((spec.encryption_key.size() - model::salt_octets(spec.encryption)) * 8);
  spec.integrity_key = secret(r.bytes("integrity_key"));
  spec.esn = r.word("esn") == "yes";
  const std::uint64_t sequence = std::stoull(r.word("sequence"));
  const auto packet = r.bytes("packet");
  for (const auto provider : providers()) {
    EXPECT_EQ(open_packet(spec, provider, packet, sequence), hex(r.bytes("payload")));
    auto damaged = packet;
    damaged.back() ^= 1;
    EXPECT_EQ(open_packet(spec, provider, damaged, sequence), "refused");
  }
}

void run_ike_encrypted(const Record& r) {
  const auto id = encryption_of(r.word("encryption"));
  const auto sk_e = r.bytes("sk_e");
  const auto bits = static_cast<std::uint16_t>((sk_e.size() - model::salt_octets(id)) * 8);
  const auto cipher = crypto::IkeCipher::create({id, bits, IntegrityId::kNone}, sk_e, {});
  ASSERT_TRUE(cipher.has_value());
  const auto body = cipher->seal(r.bytes("header"), r.bytes("plaintext"), r.bytes("iv"));
  ASSERT_TRUE(body.has_value());
  EXPECT_EQ(hex(*body), hex(r.bytes("body")));
  const auto opened = cipher->open(r.bytes("header"), r.bytes("body"));
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(hex(*opened), hex(r.bytes("plaintext")));
}

// ---- one test a file

using Runner = void (*)(const Record&);
const std::map<std::string, Runner>& runners() {
  static const std::map<std::string, Runner> kRunners = {{"prf", run_prf},
                                                         {"integrity", run_integrity},
                                                         {"aead", run_aead},
                                                         {"cbc", run_cbc},
                                                         {"ctr", run_ctr},
                                                         {"dh", run_dh},
                                                         {"ikev2-kdf", run_ikev2_kdf},
                                                         {"esp", run_esp},
                                                         {"ike-encrypted", run_ike_encrypted}};
  return kRunners;
}

std::vector<std::filesystem::path> data_files() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(CYGNET_TEST_DATA "/vectors/data")) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class VectorsTest : public testing::TestWithParam<std::filesystem::path> {};
INSTANTIATE_TEST_SUITE_P(Published, VectorsTest, testing::ValuesIn(data_files()), [](const auto& instance) {
  auto name = instance.param.stem().string();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST_P(VectorsTest, EveryRecord) {
  const auto file = read_vector_file(GetParam());
  ASSERT_TRUE(runners().contains(file.function)) << "function '" << file.function << "'";
  EXPECT_FALSE(file.records.empty());
  for (const auto& record : file.records) {
    SCOPED_TRACE(GetParam().filename().string() + ": " + record.word("id"));
    runners().at(file.function)(record);
    EXPECT_EQ(record.unused(), "");
  }
}

// A folder that lost its files would pass without this.
TEST(VectorFiles, EveryFunctionHasData) {
  std::set<std::string> seen;
  std::size_t records = 0;
  for (const auto& path : data_files()) {
    const auto file = read_vector_file(path);
    seen.insert(file.function);
    records += file.records.size();
  }
  for (const auto& [function, runner] : runners()) EXPECT_TRUE(seen.contains(function)) << function;
  EXPECT_GE(records, 1500U);
}

}  // namespace
}  // namespace cygnet::vectors
