// SPDX-License-Identifier: Apache-2.0
#include "sadb/recording_backend.h"

#include <algorithm>
#include <array>

namespace cygnet::sadb {

namespace {

std::string text_of(model::Direction direction, Spi spi) {
  std::array<std::uint8_t, 4> octets{};
  store_be32(octets.data(), spi.value);
  return (direction == model::Direction::kInbound ? "in 0x" : "out 0x") + to_hex(octets);
}

}  // namespace

void RecordingBackend::answer(std::string call, const Done& done) {
  calls.push_back(std::move(call));
  if (!done) {
    return;
  }
  if (const auto error = std::exchange(fail_next, std::nullopt)) {
    done(fail(*error));
  } else {
    done({});
  }
}

void RecordingBackend::install_sa(const model::SaSpec& spec, Done done) {
  std::erase_if(
      sas, [&](const auto& s) { return s.direction == spec.direction && s.spi == spec.spi && s.child == spec.child; });
  sas.push_back(spec);
  answer("install-sa " + text_of(spec.direction, spec.spi), done);
}

void RecordingBackend::remove_sa(model::Direction direction, Spi spi, model::ChildId child, Done done) {
  std::erase_if(sas, [&](const auto& s) { return s.direction == direction && s.spi == spi && s.child == child; });
  answer("remove-sa " + text_of(direction, spi), done);
}

void RecordingBackend::expect_spi(Spi spi, Done done) {
  answer("expect-spi " + text_of(model::Direction::kInbound, spi), done);
}

void RecordingBackend::activate(model::ChildId child, Done done) {
  for (auto& sa : sas) {
    sa.standby = sa.standby && sa.child != child;
  }
  answer("activate " + std::to_string(child.value), done);
}

void RecordingBackend::update_endpoints(model::ChildId child, const Endpoint& local, const Endpoint& remote,
                                        bool udp_encapsulation, std::uint32_t keepalive_s, Done done) {
  for (auto& sa : sas) {
    if (sa.child == child) {
      sa.local = local;
      sa.remote = remote;
      sa.udp_encapsulation = udp_encapsulation;
      sa.keepalive_s = keepalive_s;
    }
  }
  answer("update-endpoints " + std::to_string(child.value) + " " + local.to_string() + " " + remote.to_string(), done);
}

void RecordingBackend::install_policy(const model::PolicySpec& spec, Done done) {
  policies.insert_or_assign(spec.id, spec);
  answer("install-policy " + std::to_string(spec.id.value), done);
}

void RecordingBackend::remove_policy(model::PolicyId id, Done done) {
  policies.erase(id);
  answer("remove-policy " + std::to_string(id.value), done);
}

void RecordingBackend::acquire_failed(model::PolicyId id, Done done) {
  answer("acquire-failed " + std::to_string(id.value), done);
}

void RecordingBackend::put_checkpoint(const std::string& key, const Bytes& value, Done done) {
  checkpoints.insert_or_assign(key, value);
  answer("put-checkpoint " + key, done);
}

void RecordingBackend::drop_checkpoint(const std::string& key, Done done) {
  checkpoints.erase(key);
  answer("drop-checkpoint " + key, done);
}

void RecordingBackend::query_sas(bool with_keys, std::function<void(Result<Dump>)> done) {
  Dump dump;
  for (const auto& sa : sas) {
    dump.sas.push_back({sa, {}});
    if (!with_keys) {
      dump.sas.back().spec.encryption_key.clear();
      dump.sas.back().spec.integrity_key.clear();
    }
  }
  for (const auto& [id, policy] : policies) {
    dump.policies.push_back(policy);
  }
  dump.checkpoints.assign(checkpoints.begin(), checkpoints.end());
  done(std::move(dump));
}

void RecordingBackend::query_usage(const std::vector<Spi>& spis, std::function<void(Result<std::vector<Usage>>)> done) {
  std::vector<Usage> list;
  for (const auto spi : spis) {
    if (std::ranges::any_of(sas,
                            [&](const auto& s) { return s.direction == model::Direction::kInbound && s.spi == spi; })) {
      list.push_back({spi, {}, {}});
    }
  }
  done(std::move(list));
}

void RecordingBackend::query_statistics(std::function<void(Result<Statistics>)> done) { done(Statistics{}); }

void RecordingBackend::explain(const model::TrafficSelector& /*local*/, const model::TrafficSelector& /*remote*/,
                               std::function<void(Result<Explanation>)> done) {
  done(Explanation{});
}

}  // namespace cygnet::sadb
