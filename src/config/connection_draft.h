// SPDX-License-Identifier: Apache-2.0
#pragma once

// A connection while its words are read, before its children are made.
#include <optional>
#include <string>
#include <vector>

#include "config/sections.h"
#include "model/connection.h"

namespace cygnet::config {

struct EndDraft {
  std::string side;  // "left" or "right"
  bool host_set = false;
  Place host_place;
  std::optional<Entry> subnet, subnets, protoport, sourceip, addresspool;
  std::optional<Entry> cert, public_key;
  std::optional<model::AuthMethod> auth;  // leftauth=
  bool from_certificate = false;          // leftid=%fromcert
  bool revocation_set = false;
  bool modecfg_client = false;
};

enum class Pfs : std::uint8_t { kOptional, kRequired, kOff };
enum class Esn : std::uint8_t { kEither, kOnly, kNever };

// Before any word is read.
[[nodiscard]] inline model::Connection blank_connection() {
  model::Connection connection;
  connection.childless = model::Childless::kAllow;
  return connection;
}

struct ConnectionDraft {
  model::Connection connection = blank_connection();
  model::Child child;  // what all children have in common
  EndDraft left{"left"}, right{"right"};
  Place place;  // of the section header
  bool auto_set = false;
  bool keep = false;  // auto=keep
  bool weak_algorithms = false;
  Pfs pfs = Pfs::kOptional;
  Esn esn = Esn::kEither;
  std::optional<Place> margin_place, dpd_action_place, keying_tries_place;
  bool device_set = false, lifetime_set = false;
  bool max_children_set = false;
  std::optional<model::AuthMethod> authby;
  std::optional<bool> mobike;
  std::vector<std::string> asked_devices;

  [[nodiscard]] model::StartAction start() const { return child.start; }
};

// Reads one entry into the draft. False: no word of that name is supported (the caller says why).
[[nodiscard]] bool apply_word(const Entry& entry, ConnectionDraft& draft, Reporter& report);
// The words apply_word knows; for tests. End words without left/right.
[[nodiscard]] std::vector<std::string_view> applied_words(bool of_an_end);

// Makes the children, fills in what follows from several words, and checks that the whole makes sense. `keepalive_s`
// and `device` come from config setup.
struct SetupDefaults {
  std::string device = "ipsec0";
  std::optional<std::uint32_t> keepalive_s;
};
void finish_connection(ConnectionDraft& draft, const SetupDefaults& defaults, Reporter& report);

// Makes child.local and child.remote of all children.
void make_children(ConnectionDraft& draft, Reporter& report);

// A name the kernel takes for a device (IFNAMSIZ).
[[nodiscard]] bool is_device_name(std::string_view name);

}  // namespace cygnet::config
