// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "base/version.h"
#include "model/traffic_selector.h"

namespace cygnet::cli {
namespace {

using control::Request;

// What CLI11 fills in.
struct Words {
  std::string name, child, source, destination, protocol, port, config, secrets, action, address;
  bool ike = false;
  bool summary = false;
};

// SRC DST [PROTO [PORT]] as a request; the error names the word.
Result<control::ExplainRequest> explain_request(const Words& words) {
  control::ExplainRequest request;
  const auto source = IpAddress::parse(words.source);
  const auto destination = IpAddress::parse(words.destination);
  if (!source) return fail("'" + words.source + "' is not an IP address");
  if (!destination) return fail("'" + words.destination + "' is not an IP address");
  if (source->family() != destination->family())
    return fail("source and destination are of different address families");
  request.source = *source;
  request.destination = *destination;
  if (words.protocol.empty()) return request;
  const auto protocol = model::parse_ip_protocol(words.protocol);
  if (!protocol) return fail("'" + words.protocol + "' is no protocol: tcp, udp, icmp, or a number");
  request.protocol = *protocol;
  if (words.port.empty()) return request;
  const auto selector = model::TrafficSelector::parse("0.0.0.0/0[" + words.protocol + "/" + words.port + "]");
  if (!selector || *protocol == 0) return fail("'" + words.port + "' is no port (or, with icmp, type.code)");
  request.port = selector->port_first;
  return request;
}

// list, or release ADDRESS
Result<Request> leases_request(const Words& words) {
  if (words.action.empty() || words.action == "list") {
    if (words.address.empty()) return Request(control::LeasesRequest{});
    return fail("leases list takes no address");
  }
  if (words.action != "release") return fail("'" + words.action + "' is nothing to do with leases: list or release");
  const auto address = IpAddress::parse(words.address);
  if (!address) {
    return fail(words.address.empty() ? "leases release needs the address of a lease"
                                      : "'" + words.address + "' is not an IP address");
  }
  return Request(control::ReleaseLeaseRequest{*address});
}

class CommandLine {
 public:
  explicit CommandLine(const char* run_dir) {
    options_.run_dir = run_dir != nullptr && *run_dir != 0 ? run_dir : "/run/cygnet";
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.add_option("--run-dir", options_.run_dir, "run directory of the daemon (or CYGNET_RUN_DIR)")
        ->capture_default_str();
    app_.add_flag("--json", options_.json, "print JSON");
    app_.set_version_flag("--version", "cygnet " + std::string(version()));
    app_.footer("Exit status: 0 done, 1 failed, 2 wrong usage, 3 no daemon. See cygnet(8) and ipsec.conf(5).");
    add_connection_commands();
    add_question_commands();
    add_other_commands();
  }

  ParsedOptions parse(int argc, const char* const* argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      const int code = app_.exit(error);
      return {std::nullopt, code == 0 ? kOk : kUsage};
    }
    if (!error_.empty()) {
      std::cerr << "cygnet: " << error_ << '\n';
      return {std::nullopt, kUsage};
    }
    return {options_, kOk};
  }

 private:
  CLI::App* add(const char* name, const char* what, std::function<void()> make) {
    auto* command = app_.add_subcommand(name, what);
    command->callback(std::move(make));
    return command;
  }
  template <typename T>
  void set_named() {
    T request;
    split_name(words_.name, request.connection, request.child);
    if (!words_.child.empty()) request.child = words_.child;
    if constexpr (requires { request.ike_sa; }) request.ike_sa = words_.ike;
    options_.command = Request(request);
  }
  void add_connection_commands();
  void add_question_commands();
  void add_other_commands();

  CLI::App app_{"Sees into and steers cygnetd, the IPsec daemon", "cygnet"};
  Options options_;
  Words words_;
  ImportCommand import_;
  std::string error_;
};

void CommandLine::add_connection_commands() {
  const auto named = [&](CLI::App* command) {
    command->add_option("CONNECTION", words_.name, "name of a connection, or of one child: net/1x1")->required();
    command->add_option("CHILD", words_.child, "one child of it");
    return command;
  };
  named(add("up", "bring a connection up, and follow the negotiation", [&] { set_named<control::UpRequest>(); }));
  named(add("down", "take a connection down", [&] { set_named<control::DownRequest>(); }));
  named(add("rekey", "make new keys for a connection now", [&] {
    set_named<control::RekeyRequest>();
  }))->add_flag("--ike", words_.ike, "for the IKE SA instead of its children");
}

void CommandLine::add_question_commands() {
  auto* status = add("status", "what is up, with addresses, algorithms and counters",
                     [&] { options_.command = Request(control::StatusRequest{words_.name, words_.summary}); });
  auto* one = status->add_option("CONNECTION", words_.name, "only this one");
  status->add_flag("--summary", words_.summary, "numbers only: at once, however many tunnels there are")->excludes(one);
  add("list", "configured connections, and the policies in force",
      [&] { options_.command = Request(control::ListRequest{}); });
  auto* explain = add("explain", "which policy, SA and route a packet would take", [&] {
    if (auto request = explain_request(words_)) {
      options_.command = Request(*request);
    } else {
      error_ = request.error().message;
    }
  });
  explain->add_option("SRC", words_.source, "source address")->required();
  explain->add_option("DST", words_.destination, "destination address")->required();
  explain->add_option("PROTO", words_.protocol, "tcp, udp, icmp or a number");
  explain->add_option("PORT", words_.port, "destination port, or ICMP type.code");
  add("drops", "dropped packets: how many, why, and what to do",
      [&] { options_.command = Request(control::DropsRequest{}); });
  add("certs", "certificates, authorities and CRLs: whose, until when, used by what",
      [&] { options_.command = Request(control::CertsRequest{}); });
  auto* leases = add("leases", "addresses given to peers: who has which, and whose they were", [&] {
    if (auto request = leases_request(words_)) {
      options_.command = *request;
    } else {
      error_ = request.error().message;
    }
  });
  leases->add_option("ACTION", words_.action, "list (default), or release: forget whose an address was");
  leases->add_option("ADDRESS", words_.address, "the address to release");
  add("monitor", "follow events as they happen", [&] {
    options_.command = Request(control::MonitorRequest{words_.name});
  })->add_option("CONNECTION", words_.name, "only this one");
  add("doctor", "look for what is wrong, and say what to do",
      [&] { options_.command = Request(control::DoctorRequest{}); });
}

void CommandLine::add_other_commands() {
  add("reload", "read the configuration again; what did not change is not touched",
      [&] { options_.command = Request(control::ReloadRequest{}); });
  auto* check = add("check", "read a configuration and report its faults; needs no daemon", [&] {
    CheckCommand command;
    if (!words_.config.empty()) command.config = words_.config;
    command.secrets = words_.secrets;
    options_.command = command;
  });
  auto* file = check->add_option("FILE", words_.config, "the configuration");
  check->add_option("--config", words_.config, "the same")->excludes(file);
  check->add_option("--secrets", words_.secrets, "check this secrets file too");
  auto* import = add("import", "take key and certificates out of a PKCS#12 file; needs no daemon",
                     [&] { options_.command = import_; });
  import->add_option("FILE", import_.file, "the file, *.p12 or *.pfx")->required();
  import->add_option("--dir", import_.directory, "where to write (default: /etc/cygnet)");
  import->add_option("--name", import_.name, "what to call the new files (default: as FILE)");
  import->add_option("--passphrase-file", import_.passphrase_file, "its first line is the passphrase of FILE");
  auto* wrap =
      app_.add_subcommand("wrap", "COMMAND ...: run a program whose PF_KEY or NETLINK_XFRM is to be the engine's");
  // Everything behind it is the program's, options too.
  wrap->fallthrough(false);
  wrap->prefix_command();
  wrap->callback([this, wrap] {
    options_.command = WrapCommand{wrap->remaining()};
    if (wrap->remaining().empty()) error_ = "wrap needs a program to run";
  });
  auto* debug = app_.add_subcommand("debug", "for those who look into the protocol");
  debug->require_subcommand(1);
  debug->fallthrough();
  debug->add_subcommand("keys", "session keys for Wireshark (needs allow-key-export=yes)")->callback([&] {
    options_.command = Request(control::DebugKeysRequest{});
  });
  debug->add_subcommand("transitions", "the IKEv2 state machine as a table")->callback([&] {
    options_.command = Request(control::DebugTransitionsRequest{});
  });
  add("shutdown", "tell all peers and end the daemon", [&] { options_.command = Request(control::ShutdownRequest{}); });
}

}  // namespace

void split_name(const std::string& name, std::string& connection, std::string& child) {
  const auto slash = name.find('/');
  connection = name.substr(0, slash);
  child = slash == std::string::npos ? std::string() : name;
}

ParsedOptions parse_options(int argc, const char* const* argv, const char* run_dir_from_environment) {
  return CommandLine(run_dir_from_environment).parse(argc, argv);
}

}  // namespace cygnet::cli
