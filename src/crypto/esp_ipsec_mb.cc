// SPDX-License-Identifier: Apache-2.0
// ESP through intel-ipsec-mb: AEADs packet by packet with its wide kernels, CBC and HMAC with many packets side by
// side.
#include "crypto/esp_transform.h"

#ifdef CYGNET_IPSEC_MB

#include <intel-ipsec-mb.h>

#include <algorithm>
#include <string>

#include "base/slab.h"
#include "crypto/hmac.h"

namespace cygnet::crypto {
namespace {

using Manager = std::unique_ptr<IMB_MGR, decltype([](IMB_MGR* manager) { free_mb_mgr(manager); })>;

// Null where the CPU lacks AES-NI, carry-less multiplication or AVX: OpenSSL serves those.
Manager make_manager() {
  Manager manager(alloc_mb_mgr(0));
  if (manager == nullptr) return nullptr;
  IMB_ARCH arch = IMB_ARCH_NONE;
  init_mb_mgr_auto(manager.get(), &arch);
  constexpr std::uint64_t kNeeded = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_AVX;
  if (imb_get_errno(manager.get()) != 0 || arch < IMB_ARCH_AVX || (manager->features & kNeeded) != kNeeded)
    return nullptr;
  return manager;
}

// The library's scheduler must not be shared between threads: each has its own, empty between calls.
IMB_MGR* manager() {
  thread_local const Manager kManager = make_manager();
  return kManager.get();
}

// Ciphers exist only where the first thread found a manager; without memory for this thread's there is no way on.
IMB_MGR& local() {
  auto* mine = manager();
  require(mine != nullptr);
  return *mine;
}

// What a packet reads stands together (prefetch_keys): salt and functions in the first cache line, the key behind it.
class alignas(64) MbGcm final : public EspTransform, public InSlab<MbGcm> {
 public:
  MbGcm(const model::SaSpec& spec, const EspKeys& keys) : EspTransform(spec), salt_(keys.salt) {
    auto& library = local();
    switch (keys.key.size()) {
      case 16:
        IMB_AES128_GCM_PRE(&library, keys.key.data(), &key_);
        seal_ = library.gcm128_enc;
        open_ = library.gcm128_dec;
        break;
      case 24:
        IMB_AES192_GCM_PRE(&library, keys.key.data(), &key_);
        seal_ = library.gcm192_enc;
        open_ = library.gcm192_dec;
        break;
      default:
        IMB_AES256_GCM_PRE(&library, keys.key.data(), &key_);
        seal_ = library.gcm256_enc;
        open_ = library.gcm256_dec;
        break;
    }
  }
  ~MbGcm() override {
    wipe({reinterpret_cast<std::uint8_t*>(&key_), sizeof key_});
    wipe(salt_.octets);
  }

  void seal(std::span<EspJob> jobs) override {
    gcm_context_data context;
    for (auto& job : jobs) {
      job.ok = fits(job);
      if (!job.ok) continue;
      if (iv_octets() != 0) store_be64(iv(job), iv_number(job));
      run(seal_, context, job, job.from != nullptr ? job.from : payload(job).data(), icv(job), icv_octets());
    }
  }

  void open(std::span<EspJob> jobs) override {
    gcm_context_data context;
    for (auto& job : jobs) {
      job.ok = fits(job);
      if (!job.ok) continue;
      std::array<std::uint64_t, 2> computed{};
      std::array<std::uint64_t, 2> received{};
      std::memcpy(received.data(), icv(job), icv_octets());
      run(open_, context, job, payload(job).data(), reinterpret_cast<std::uint8_t*>(computed.data()), icv_octets());
      // All octets are looked at, whichever is the first to differ.
      job.ok = ((computed[0] ^ received[0]) | (computed[1] ^ received[1])) == 0;
      if (!job.ok) wipe(payload(job));
    }
  }

  [[nodiscard]] bool seals_from_elsewhere() const override { return true; }
  [[nodiscard]] bool shareable() const override { return true; }
  [[nodiscard]] const std::uint8_t* key_memory() const override { return reinterpret_cast<const std::uint8_t*>(this); }

 private:
  void run(aes_gcm_enc_dec_t transform, gcm_context_data& context, const EspJob& job, const std::uint8_t* from,
           std::uint8_t* tag, std::size_t tag_octets) const {
    const auto nonce = iv_octets() != 0 ? EspNonce(salt_, iv(job)) : EspNonce::implicit(salt_, job.sequence, esn());
    const auto data = payload(job);
    if (!esn()) {
      transform(&key_, &context, data.data(), from, data.size(), nonce.data(), job.esp, kEspHeaderOctets, tag,
                tag_octets);
      return;
    }
    const EspAad aad(job, true);
    transform(&key_, &context, data.data(), from, data.size(), nonce.data(), aad.view().data(), aad.view().size(), tag,
              tag_octets);
  }

  Salt salt_;
  aes_gcm_enc_dec_t seal_ = nullptr;
  aes_gcm_enc_dec_t open_ = nullptr;
  alignas(64) gcm_key_data key_{};  // its kernels use aligned access; the header says so only under its own build macro
};

// The manager's queue of jobs; flush() runs every one to its end and leaves each result in its EspJob.
class JobQueue {
 public:
  explicit JobQueue(IMB_MGR* manager) : manager_(manager) {}
  // The caller fills all of the job's fields that its algorithms read.
  [[nodiscard]] IMB_JOB& next() { return *IMB_GET_NEXT_JOB(manager_); }
  void submit() { finish(IMB_SUBMIT_JOB(manager_)); }
  void flush() {
    while (auto* done = IMB_FLUSH_JOB(manager_)) note(*done);
  }

 private:
  void finish(IMB_JOB* done) {
    for (; done != nullptr; done = IMB_GET_COMPLETED_JOB(manager_)) note(*done);
  }
  static void note(const IMB_JOB& done) {
    static_cast<EspJob*>(done.user_data)->ok = done.status == IMB_STATUS_COMPLETED;
  }

  IMB_MGR* manager_;
};

class MbChaCha final : public EspTransform {
 public:
  MbChaCha(const model::SaSpec& spec, const EspKeys& keys) : EspTransform(spec), salt_(keys.salt) {
    std::ranges::copy(keys.key, key_.begin());
  }
  ~MbChaCha() override {
    wipe(key_);
    wipe(salt_.octets);
  }

  void seal(std::span<EspJob> jobs) override {
    JobQueue queue(&local());
    for (auto& job : jobs) {
      job.ok = fits(job);
      if (!job.ok) continue;
      store_be64(iv(job), iv_number(job));
      run(queue, job, IMB_DIR_ENCRYPT, icv(job));
    }
  }

  void open(std::span<EspJob> jobs) override {
    JobQueue queue(&local());
    for (auto& job : jobs) {
      job.ok = fits(job);
      if (!job.ok) continue;
      std::array<std::uint8_t, 16> tag{};
      run(queue, job, IMB_DIR_DECRYPT, tag.data());
      job.ok = job.ok && constant_time_equal(tag, {icv(job), tag.size()});
      if (!job.ok) wipe(payload(job));
    }
  }

  [[nodiscard]] bool shareable() const override { return true; }

 private:
  void run(JobQueue& queue, EspJob& packet, IMB_CIPHER_DIRECTION direction, std::uint8_t* tag) const {
    const EspNonce nonce(salt_, iv(packet));
    const EspAad aad(packet, esn());
    const auto data = payload(packet);
    IMB_JOB& job = queue.next();
    job.user_data = &packet;
    job.cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    job.hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    job.cipher_direction = direction;
    job.chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
    job.enc_keys = key_.data();
    job.dec_keys = key_.data();
    job.key_len_in_bytes = key_.size();
    job.src = data.data();
    job.dst = data.data();
    job.cipher_start_src_offset_in_bytes = 0;
    job.msg_len_to_cipher_in_bytes = data.size();
    job.hash_start_src_offset_in_bytes = 0;
    job.msg_len_to_hash_in_bytes = data.size();
    job.iv = nonce.data();
    job.iv_len_in_bytes = nonce.size();
    job.auth_tag_output = tag;
    job.auth_tag_output_len_in_bytes = 16;
    job.u.CHACHA20_POLY1305.aad = aad.view().data();
    job.u.CHACHA20_POLY1305.aad_len_in_bytes = aad.view().size();
    queue.submit();
    queue.flush();
  }

  std::array<std::uint8_t, 32> key_{};
  Salt salt_;
};

// AES-CBC or NULL with HMAC. Up to kChunk packets are in the library's lanes at a time.
class MbCipherHmac final : public EspTransform {
 public:
  MbCipherHmac(const model::SaSpec& spec, const EspKeys& keys)
      : EspTransform(spec), cbc_octets_(static_cast<std::uint8_t>(keys.key.size())) {
    expand_cipher_key(keys.key);
    prepare_hmac(spec.integrity, keys.integrity_key);
  }
  ~MbCipherHmac() override {
    for (const auto memory :
         {MutableByteView(encrypt_), MutableByteView(decrypt_), MutableByteView(inner_), MutableByteView(outer_)}) {
      wipe(memory);
    }
  }

  void seal(std::span<EspJob> jobs) override {
    for (; !jobs.empty(); jobs = jobs.subspan(std::min(jobs.size(), kChunk)))
      seal_chunk(jobs.first(std::min(jobs.size(), kChunk)));
  }
  void open(std::span<EspJob> jobs) override {
    for (; !jobs.empty(); jobs = jobs.subspan(std::min(jobs.size(), kChunk)))
      open_chunk(jobs.first(std::min(jobs.size(), kChunk)));
  }
  [[nodiscard]] bool shareable() const override { return true; }

 private:
  static constexpr std::size_t kChunk = 64;
  static constexpr std::size_t kMaxIcv = 32;
  using Schedule = std::array<std::uint8_t, std::size_t{15} * 16>;
  using IcvOctets = std::array<std::uint8_t, kMaxIcv>;

  void expand_cipher_key(ByteView key) {
    switch (key.size()) {
      case 16: IMB_AES_KEYEXP_128(&local(), key.data(), encrypt_.data(), decrypt_.data()); break;
      case 24: IMB_AES_KEYEXP_192(&local(), key.data(), encrypt_.data(), decrypt_.data()); break;
      case 32: IMB_AES_KEYEXP_256(&local(), key.data(), encrypt_.data(), decrypt_.data()); break;
      default: break;  // NULL
    }
  }

  // RFC 2104 section 4: the two keyed first blocks are computed once. The key is never longer than a block here.
  void prepare_hmac(model::IntegrityId integrity, ByteView key) {
    std::array<std::uint8_t, kMaxHashBlock> block{};
    const auto keyed_block = [&](std::uint8_t pad) {
      block.fill(pad);
      for (std::size_t i = 0; i < key.size(); ++i) block[i] ^= key[i];
    };
    const auto one_block = [&](std::uint8_t* out) {
      switch (integrity) {
        case model::IntegrityId::kHmacSha2_256_128: IMB_SHA256_ONE_BLOCK(&local(), block.data(), out); break;
        case model::IntegrityId::kHmacSha2_384_192: IMB_SHA384_ONE_BLOCK(&local(), block.data(), out); break;
        default: IMB_SHA512_ONE_BLOCK(&local(), block.data(), out); break;
      }
    };
    keyed_block(0x36);
    one_block(inner_.data());
    keyed_block(0x5c);
    one_block(outer_.data());
    wipe(block);
    switch (integrity) {
      case model::IntegrityId::kHmacSha2_256_128: hash_ = IMB_AUTH_HMAC_SHA_256; break;
      case model::IntegrityId::kHmacSha2_384_192: hash_ = IMB_AUTH_HMAC_SHA_384; break;
      default: hash_ = IMB_AUTH_HMAC_SHA_512; break;
    }
  }

  // RFC 4303 section 2.2.1: with ESN the high-order 32 bits follow the Next Header field for the ICV only. They stand
  // where the ICV goes, which is written after they have been read.
  void append_high_word(const EspJob& packet) const {
    if (esn()) store_be32(icv(packet), static_cast<std::uint32_t>(packet.sequence >> 32));
  }

  void seal_chunk(std::span<EspJob> packets) const {
    JobQueue queue(&local());
    for (auto& packet : packets) {
      packet.ok = fits(packet);
      if (!packet.ok) continue;
      append_high_word(packet);
      IMB_JOB& job = fill_job(queue, packet, icv(packet));
      job.cipher_direction = IMB_DIR_ENCRYPT;
      job.chain_order = IMB_ORDER_CIPHER_HASH;
      if (cbc_octets_ != 0) set_cbc_seal(job, packet);
      queue.submit();
    }
    queue.flush();
  }

  void open_chunk(std::span<EspJob> packets) const {
    std::array<IcvOctets, kChunk> received;
    std::array<IcvOctets, kChunk> computed;
    JobQueue queue(&local());
    for (std::size_t i = 0; i < packets.size(); ++i) {
      auto& packet = packets[i];
      packet.ok = fits(packet);
      if (!packet.ok) continue;
      std::memcpy(received[i].data(), icv(packet), icv_octets());
      append_high_word(packet);
      IMB_JOB& job = fill_job(queue, packet, computed[i].data());
      job.cipher_direction = IMB_DIR_DECRYPT;
      job.chain_order = IMB_ORDER_HASH_CIPHER;
      if (cbc_octets_ != 0) set_cbc_open(job, packet);
      queue.submit();
    }
    queue.flush();
    for (std::size_t i = 0; i < packets.size(); ++i) {
      auto& packet = packets[i];
      if (!fits(packet)) continue;
      std::memcpy(icv(packet), received[i].data(), icv_octets());
      packet.ok = packet.ok && constant_time_equal(ByteView(computed[i]).first(icv_octets()),
                                                   ByteView(received[i]).first(icv_octets()));
      if (!packet.ok) wipe(payload(packet));
    }
  }

  [[nodiscard]] IMB_JOB& fill_job(JobQueue& queue, EspJob& packet, std::uint8_t* tag) const {
    IMB_JOB& job = queue.next();
    job.user_data = &packet;
    job.cipher_mode = IMB_CIPHER_NULL;
    job.key_len_in_bytes = 0;
    job.src = packet.esp;
    job.dst = packet.esp;
    job.cipher_start_src_offset_in_bytes = 0;
    job.msg_len_to_cipher_in_bytes = 0;
    job.iv = nullptr;
    job.iv_len_in_bytes = 0;
    job.hash_alg = hash_;
    job.hash_start_src_offset_in_bytes = 0;
    job.msg_len_to_hash_in_bytes = packet.octets - icv_octets() + (esn() ? kEsnHighOctets : 0);
    job.auth_tag_output = tag;
    job.auth_tag_output_len_in_bytes = icv_octets();
    job.u.HMAC._hashed_auth_key_xor_ipad = inner_.data();
    job.u.HMAC._hashed_auth_key_xor_opad = outer_.data();
    return job;
  }

  void set_cbc(IMB_JOB& job, const std::uint8_t* iv, std::size_t start, std::size_t length) const {
    job.cipher_mode = IMB_CIPHER_CBC;
    job.enc_keys = encrypt_.data();
    job.dec_keys = decrypt_.data();
    job.key_len_in_bytes = cbc_octets_;
    job.iv = iv;
    job.iv_len_in_bytes = 16;
    job.cipher_start_src_offset_in_bytes = start;
    job.dst += start;
    job.msg_len_to_cipher_in_bytes = length;
  }

  // The sequence number goes in front as a block of its own under an IV of zeros: its ciphertext is the packet's IV,
  // and the chain goes on from there as CBC with that IV.
  void set_cbc_seal(IMB_JOB& job, const EspJob& packet) const {
    alignas(16) static constexpr std::array<std::uint8_t, 16> kZeros{};
    store_be64(iv(packet), 0);
    store_be64(iv(packet) + 8, iv_number(packet));
    set_cbc(job, kZeros.data(), kEspHeaderOctets, iv_octets() + payload(packet).size());
  }
  void set_cbc_open(IMB_JOB& job, const EspJob& packet) const {
    set_cbc(job, iv(packet), kEspHeaderOctets + iv_octets(), payload(packet).size());
  }

  alignas(16) Schedule encrypt_{};
  alignas(16) Schedule decrypt_{};
  alignas(16) std::array<std::uint8_t, kMaxDigestOctets> inner_{};
  alignas(16) std::array<std::uint8_t, kMaxDigestOctets> outer_{};
  IMB_HASH_ALG hash_{};
  std::uint8_t cbc_octets_;  // 0: NULL encryption
};

}  // namespace

std::unique_ptr<EspCipher> create_ipsec_mb_esp_cipher(const model::SaSpec& spec, const EspKeys& keys) {
  switch (spec.encryption) {
    case model::EncryptionId::kAesGcm8:
    case model::EncryptionId::kAesGcm12:
    case model::EncryptionId::kAesGcm16:
    case model::EncryptionId::kAesGcm16ImplicitIv: return std::make_unique<MbGcm>(spec, keys);
    case model::EncryptionId::kChaCha20Poly1305: return std::make_unique<MbChaCha>(spec, keys);
    default: return std::make_unique<MbCipherHmac>(spec, keys);
  }
}

bool ipsec_mb_available() { return manager() != nullptr; }

std::string ipsec_mb_name() {
  constexpr std::array<std::string_view, 6> kArchitectures = {"?", "no AES-NI", "SSE", "AVX", "AVX2", "AVX512"};
  const auto arch = static_cast<std::size_t>(manager()->used_arch);
  const unsigned version = imb_get_version();
  return "intel-ipsec-mb " + std::to_string(version >> 16) + "." + std::to_string((version >> 8) & 0xff) + " (" +
         std::string(kArchitectures[arch < kArchitectures.size() ? arch : 0]) + ")";
}

}  // namespace cygnet::crypto

#else

namespace cygnet::crypto {

std::unique_ptr<EspCipher> create_ipsec_mb_esp_cipher(const model::SaSpec&, const EspKeys&) { return nullptr; }
bool ipsec_mb_available() { return false; }
std::string ipsec_mb_name() { return {}; }

}  // namespace cygnet::crypto

#endif
