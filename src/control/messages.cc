// SPDX-License-Identifier: Apache-2.0
// Writer and Reader walk the same description of each struct (fields.h).
#include "control/messages.h"

#include <algorithm>
#include <array>
#include <concepts>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "control/fields.h"

namespace cygnet::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 4> kStates{"down", "waiting", "connecting", "up"};
constexpr std::array<Severity, 5> kSeverities{Severity::kDebug, Severity::kInfo, Severity::kNotice, Severity::kWarning,
                                              Severity::kError};

// ---- values -> JSON -------------------------------------------------------------------------------------------------

std::string hex(std::uint64_t value, unsigned digits) {
  std::string text(digits, '0');
  for (unsigned i = digits; i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 0xf];
  return text;
}

struct Writer {
  Json& out;
  template <typename T>
  void operator()(const char* name, const T& value) {
    out[name] = to_json(value);
  }
  void drops(const char* name, const DropCounters& counters) {
    auto list = Json::array();
    for (std::size_t i = 0; i < counters.size(); ++i) {
      if (counters[i] == 0) continue;
      const auto& row = info(static_cast<DropReason>(i));
      list.push_back({{"name", row.name}, {"count", counters[i]}, {"why", row.why}, {"do", row.remedy}});
    }
    out[name] = std::move(list);
  }

  static Json to_json(const std::string& value) { return value; }
  static Json to_json(bool value) { return value; }
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  static Json to_json(T value) {
    return value;
  }
  static Json to_json(State value) { return to_string(value); }
  static Json to_json(Severity value) { return cygnet::to_string(value); }
  static Json to_json(const IpAddress& value) { return value.to_string(); }
  static Json to_json(const Endpoint& value) { return value.to_string(); }
  static Json to_json(Spi value) { return hex(value.value, 8); }
  static Json to_json(IkeSpi value) { return hex(value.value, 16); }
  template <typename T>
  static Json to_json(const std::optional<T>& value) {
    return value ? to_json(*value) : Json(nullptr);
  }
  template <typename T>
  static Json to_json(const std::vector<T>& values) {
    auto list = Json::array();
    for (const auto& value : values) list.push_back(to_json(value));
    return list;
  }
  // One IKE SA is the usual case: it and the children are also there without going through the list.
  static Json to_json(const ConnectionReport& value) {
    auto object = to_object(value);
    object["ike"] = object["ike_sas"].empty() ? Json(nullptr) : object["ike_sas"][0];
    if (object["ike"].is_object()) object["ike"].erase("children");
    auto children = Json::array();
    for (const auto& ike : object["ike_sas"]) {
      for (const auto& child : ike["children"]) children.push_back(child);
    }
    object["children"] = std::move(children);
    return object;
  }
  template <typename T>
    requires requires(Writer& w, const T& t) { fields(w, t); }
  static Json to_json(const T& value) {
    return to_object(value);
  }
  template <typename T>
  static Json to_object(const T& value) {
    auto object = Json::object();
    Writer writer{object};
    fields(writer, value);
    return object;
  }
};

// ---- JSON -> values -------------------------------------------------------------------------------------------------

// Fields that are absent keep their default, so that old and new versions understand each other; a field of another
// type or out of range is an error.
struct Reader {
  const Json& in;
  std::string& error;

  template <typename T>
  void operator()(const char* name, T& value) {
    const auto found = in.find(name);
    if (found == in.end()) return;
    if (!from_json(*found, value) && error.empty()) error = std::string("field '") + name + "' has a wrong value";
  }
  void drops(const char* name, DropCounters& counters) {
    const auto found = in.find(name);
    if (found == in.end()) return;
    if (!found->is_array()) error = "field 'drops' is no list";
    for (const auto& row : *found) {
      std::string reason;
      std::uint64_t count = 0;
      if (!row.is_object() || !row.contains("name") || !row.contains("count") || !from_json(row["name"], reason) ||
          !from_json(row["count"], count)) {
        error = "field 'drops' has a wrong row";
        return;
      }
      for (std::size_t i = 0; i < counters.size(); ++i) {
        if (info(static_cast<DropReason>(i)).name == reason) counters[i] = count;
      }
    }
  }

  bool from_json(const Json& json, std::string& value) {
    if (!json.is_string()) return false;
    value = json.get_ref<const std::string&>();
    return true;
  }
  bool from_json(const Json& json, bool& value) {
    if (!json.is_boolean()) return false;
    value = json.get<bool>();
    return true;
  }
  template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>)
  bool from_json(const Json& json, T& value) {
    if (!json.is_number_unsigned()) return false;
    const auto number = json.get<std::uint64_t>();
    if (number > std::numeric_limits<T>::max()) return false;
    value = static_cast<T>(number);
    return true;
  }
  bool from_json(const Json& json, std::int64_t& value) {
    if (!json.is_number_integer()) return false;
    if (json.is_number_unsigned() &&
        json.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
      return false;
    value = json.get<std::int64_t>();
    return true;
  }
  bool from_json(const Json& json, State& value) {
    std::string text;
    if (!from_json(json, text)) return false;
    const auto found = std::find(kStates.begin(), kStates.end(), text);
    if (found == kStates.end()) return false;
    value = static_cast<State>(found - kStates.begin());
    return true;
  }
  bool from_json(const Json& json, Severity& value) {
    std::string text;
    if (!from_json(json, text)) return false;
    const auto found =
        std::find_if(kSeverities.begin(), kSeverities.end(), [&](Severity s) { return cygnet::to_string(s) == text; });
    if (found == kSeverities.end()) return false;
    value = *found;
    return true;
  }
  bool from_json(const Json& json, IpAddress& value) {
    std::string text;
    if (!from_json(json, text)) return false;
    const auto address = IpAddress::parse(text);
    if (address) value = *address;
    return address.has_value();
  }
  // "192.0.2.1:500" or "[2001:db8::1]:500"
  bool from_json(const Json& json, Endpoint& value) {
    std::string text;
    if (!from_json(json, text)) return false;
    const auto colon = text.rfind(':');
    if (colon == std::string::npos || colon + 1 == text.size() || text.size() - colon > 6) return false;
    std::uint32_t port = 0;
    for (const char c : text.substr(colon + 1)) {
      if (c < '0' || c > '9') return false;
      port = port * 10 + static_cast<std::uint32_t>(c - '0');
    }
    auto host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    const auto address = IpAddress::parse(host);
    if (!address || port > 65535) return false;
    value = {*address, static_cast<std::uint16_t>(port)};
    return true;
  }
  template <typename Tag, typename T>
  bool from_json(const Json& json, Strong<Tag, T>& value) {
    std::string text;
    if (!from_json(json, text) || text.empty() || text.size() > 2 * sizeof(T)) return false;
    T number = 0;
    for (const char c : text) {
      static constexpr std::string_view kDigits = "0123456789abcdef";
      const auto digit = kDigits.find(c);
      if (digit == std::string_view::npos) return false;
      number = static_cast<T>(static_cast<T>(number << 4) | static_cast<T>(digit));
    }
    value = Strong<Tag, T>(number);
    return true;
  }
  template <typename T>
  bool from_json(const Json& json, std::optional<T>& value) {
    if (json.is_null()) {
      value.reset();
      return true;
    }
    return from_json(json, value.emplace());
  }
  template <typename T>
  bool from_json(const Json& json, std::vector<T>& values) {
    if (!json.is_array()) return false;
    values.clear();
    values.reserve(json.size());
    for (const auto& item : json) {
      if (!from_json(item, values.emplace_back())) return false;
    }
    return true;
  }
  template <typename T>
    requires requires(Reader& r, T& t) { fields(r, t); }
  bool from_json(const Json& json, T& value) {
    if (!json.is_object()) return false;
    Reader inner{json, error};
    fields(inner, value);
    return error.empty();
  }
};

// ---- names of the alternatives --------------------------------------------------------------------------------------

constexpr std::array<const char*, std::variant_size_v<Request>> kRequestNames{"up",
                                                                              "down",
                                                                              "rekey",
                                                                              "status",
                                                                              "list",
                                                                              "reload",
                                                                              "explain",
                                                                              "drops",
                                                                              "monitor",
                                                                              "debug-keys",
                                                                              "debug-transitions",
                                                                              "doctor",
                                                                              "shutdown",
                                                                              "certs",
                                                                              "leases",
                                                                              "release-lease"};
constexpr std::array<const char*, std::variant_size_v<Data>> kDataNames{"none",    "status",  "list",  "reload",
                                                                        "explain", "drops",   "keys",  "transitions",
                                                                        "doctor",  "summary", "certs", "leases"};

// The alternative of that name, default made.
template <typename Variant, std::size_t I = 0>
bool emplace_by_index(Variant& variant, std::size_t index) {
  if constexpr (I == std::variant_size_v<Variant>) {
    return false;
  } else {
    if (I != index) return emplace_by_index<Variant, I + 1>(variant, index);
    variant.template emplace<I>();
    return true;
  }
}

template <typename Variant, std::size_t N>
bool emplace_by_name(Variant& variant, const std::array<const char*, N>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  return found != names.end() && emplace_by_index(variant, static_cast<std::size_t>(found - names.begin()));
}

Json data_json(const Data& data) {
  return std::visit(
      [](const auto& value) {
        if constexpr (std::same_as<std::decay_t<decltype(value)>, std::monostate>) {
          return Json::object();
        } else {
          return Writer::to_json(value);
        }
      },
      data);
}

template <typename Variant>
std::string read_variant(const Json& json, Variant& variant) {
  std::string error;
  Reader reader{json, error};
  std::visit(
      [&](auto& value) {
        if constexpr (!std::same_as<std::decay_t<decltype(value)>, std::monostate>) {
          if (!reader.from_json(json, value) && error.empty()) error = "message is no object";
        }
      },
      variant);
  return error;
}

Result<Json> parse(std::string_view text) {
  auto json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return fail("control message is no JSON object");
  return json;
}

std::string member(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<Response> decode_done(const Json& json) {
  Done done;
  std::string error;
  Reader reader{json, error};
  reader("ok", done.ok);
  reader("message", done.message);
  if (!error.empty()) return fail("control response: " + error);
  const auto kind = member(json, "kind");
  if (kind.empty() || kind == "none") return done;
  if (!emplace_by_name(done.data, kDataNames, kind)) return fail("control response of unknown kind");
  const auto data = json.find("data");
  if (data == json.end()) return fail("control response without data");
  if (const auto fault = read_variant(*data, done.data); !fault.empty()) return fail("control response: " + fault);
  return done;
}

}  // namespace

std::string_view to_string(State state) { return kStates[static_cast<std::size_t>(state)]; }

std::string encode(const Request& request) {
  auto json = std::visit([](const auto& value) { return Writer::to_object(value); }, request);
  json["version"] = kProtocolVersion;
  json["command"] = kRequestNames[request.index()];
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string encode(const Response& response) {
  Json json;
  if (const auto* progress = std::get_if<Progress>(&response)) {
    json = Writer::to_object(*progress);
    json["type"] = "progress";
  } else {
    const auto& done = std::get<Done>(response);
    json = {{"type", "done"}, {"ok", done.ok}, {"message", done.message}, {"kind", kDataNames[done.data.index()]}};
    json["data"] = data_json(done.data);
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Request> decode_request(std::string_view text) {
  const auto json = parse(text);
  if (!json) return std::unexpected(json.error());
  std::string error;
  unsigned version = 0;
  Reader reader{*json, error};
  reader("version", version);
  if (!error.empty() || version != kProtocolVersion) {
    return fail("control request of version " + std::to_string(version) + "; this daemon speaks version " +
                std::to_string(kProtocolVersion) + ": use the cygnet that belongs to it");
  }
  Request request;
  if (!emplace_by_name(request, kRequestNames, member(*json, "command"))) return fail("unknown control request");
  if (const auto fault = read_variant(*json, request); !fault.empty()) return fail("control request: " + fault);
  return request;
}

Result<Response> decode_response(std::string_view text) {
  const auto json = parse(text);
  if (!json) return std::unexpected(json.error());
  const auto type = member(*json, "type");
  if (type == "done") return decode_done(*json);
  if (type != "progress") return fail("control response of unknown type");
  Progress progress;
  std::string error;
  Reader reader{*json, error};
  if (!reader.from_json(*json, progress)) return fail("control response: " + error);
  return progress;
}

std::string to_json_text(const Data& data, int indent) {
  return data_json(data).dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string to_json_text(const Done& done, int indent) {
  Json json{{"ok", done.ok}, {"message", done.message}};
  json.update(data_json(done.data));
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string to_json_text(const Progress& progress) {
  return Writer::to_object(progress).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cygnet::control
