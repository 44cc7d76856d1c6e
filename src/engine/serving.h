// SPDX-License-Identifier: Apache-2.0
#pragma once

// The outbound SAs that serve one policy. A packet takes the newest one whose selectors it lies in; with more than a
// few SAs (a policy narrowed ten thousand times) they are found through a classifier. One thread changes it; others may
// look up meanwhile.
#include <atomic>
#include <cstdint>
#include <memory>

#include "engine/classifier/classifier.h"
#include "engine/epochs.h"
#include "engine/sa.h"
#include "engine/selectors.h"

namespace cygnet::engine {

// In use, and within the packet's reach: neither standby nor dead, selectors, in transport mode the outer addresses.
[[nodiscard]] bool takes(const OutboundSa& sa, const PacketSelectors& packet);

class Serving {
 public:
  Serving(classifier::Pool& pool, model::PolicyId policy) : pool_(pool), policy_(policy) {}
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;
  // Readers must be gone.
  ~Serving();

  void insert(OutboundSa& sa);
  void erase(OutboundSa& sa);
  // The newest that takes the packet, one for a single thread (RFC 9611) only where no other does; null if none does.
  [[nodiscard]] OutboundSa* find(const PacketSelectors& packet) const;
  [[nodiscard]] model::PolicyId policy() const { return policy_; }
  [[nodiscard]] std::size_t clones() const { return clones_; }  // SAs for single threads among them
  [[nodiscard]] bool empty() const { return newest_ == nullptr; }
  // Newest first; for the writer. The next older one: OutboundSa::serving.older.
  [[nodiscard]] OutboundSa* newest() const { return newest_; }

 private:
  static constexpr std::size_t kFew = 8;
  // What readers walk while there are few: newest first, never changed once published.
  struct Few {
    std::array<OutboundSa*, kFew> sa{};
    std::size_t count = 0;
  };
  struct Index {
    explicit Index(classifier::Pool& of);
    ~Index();
    classifier::Pool& pool;
    classifier::Classifier<classifier::V4> v4;
    classifier::Classifier<classifier::V6> v6;
    // Of SAs that stand elsewhere by now. Who is still looking here must find them: they go with the index.
    classifier::Rule<classifier::V4>* v4_left = nullptr;
    classifier::Rule<classifier::V6>* v6_left = nullptr;
  };

  void publish_few();
  void publish_index();
  void put_in(Index& index, OutboundSa& sa);
  void take_out(Index& index, OutboundSa& sa);

  classifier::Pool& pool_;
  model::PolicyId policy_;
  OutboundSa* newest_ = nullptr;
  std::size_t count_ = 0;
  std::size_t clones_ = 0;
  std::uint64_t next_age_ = 0;
  std::atomic<Few*> few_{nullptr};
  std::atomic<Index*> index_{nullptr};  // if not null it counts, few_ does not
};

}  // namespace cygnet::engine
