// SPDX-License-Identifier: Apache-2.0
#pragma once

// The exchanges that nearly every test begins with, as they read between sides A (initiator) and B.
#include <string>
#include <vector>

#include "support/exchange.h"

namespace cygnet::test {

using namespace std::chrono_literals;

inline const std::string kNat(kNatD);
inline const std::vector<std::string> kInitExchange = {"A -> B IKE_SA_INIT request 0: SA KE Ni " + kNat,
                                                       "A <- B IKE_SA_INIT response 0: SA KE Nr " + kNat};
inline const std::vector<std::string> kAuthExchange = {
    "A -> B IKE_AUTH request 1: IDi N(INITIAL_CONTACT) IDr AUTH SA TSi TSr",
    "A <- B IKE_AUTH response 1: IDr AUTH SA TSi TSr"};

[[nodiscard]] inline std::vector<std::string> operator+(std::vector<std::string> left,
                                                        const std::vector<std::string>& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// The last InitiationDone of a side, or an empty one.
[[nodiscard]] inline ike::InitiationDone last_done(const Side& side) {
  return side.done.empty() ? ike::InitiationDone{} : side.done.back();
}

[[nodiscard]] inline bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace cygnet::test
