// SPDX-License-Identifier: Apache-2.0
#pragma once

// Memory for many objects of one size, next to each other and from some hundreds of them on in huge pages: with a
// hundred thousand SAs each packet needs other ones, and on small pages it would wait for the page tables too. Safe
// from several threads. What is given back is used again, and returns to the system with the slab.
#include <cstddef>
#include <mutex>
#include <new>
#include <vector>

namespace cygnet {

class Slab {
 public:
  // The size is rounded up to cache lines, and objects begin on one.
  explicit Slab(std::size_t object_octets);
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  // No object of it is in use any more.
  ~Slab();

  [[nodiscard]] void* allocate();
  void release(void* object);

 private:
  struct Free {
    Free* next;
  };
  struct Chunk {
    void* memory;
    std::size_t octets;
  };
  static constexpr std::size_t kFirstChunk = std::size_t{64} * 1024;

  std::mutex mutex_;
  std::size_t octets_;
  std::size_t chunk_ = kFirstChunk;
  std::byte* at_ = nullptr;
  std::size_t left_ = 0;
  Free* free_ = nullptr;
  std::vector<Chunk> chunks_;
};

// Puts the objects of a class into a slab of their own: `struct X : InSlab<X> { ... };`.
template <typename T>
struct InSlab {
  static void* operator new(std::size_t) { return slab().allocate(); }
  static void* operator new(std::size_t, std::align_val_t) { return slab().allocate(); }
  static void operator delete(void* object) { slab().release(object); }
  static void operator delete(void* object, std::align_val_t) { slab().release(object); }

 private:
  // Never destroyed: objects may outlive what is destroyed at the end of the process.
  static Slab& slab() {
    static auto* const kSlab = new Slab(sizeof(T));
    return *kSlab;
  }
};

}  // namespace cygnet
