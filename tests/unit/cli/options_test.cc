// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <gtest/gtest.h>

#include "cli/client.h"

namespace cygnet::cli {
namespace {

ParsedOptions parse(std::vector<const char*> words, const char* environment = nullptr) {
  words.insert(words.begin(), "cygnet");
  return parse_options(static_cast<int>(words.size()), words.data(), environment);
}

template <typename T>
T request_of(std::vector<const char*> words) {
  const auto parsed = parse(std::move(words));
  if (!parsed.options) return {};
  const auto* request = std::get_if<control::Request>(&parsed.options->command);
  if (request == nullptr || !std::holds_alternative<T>(*request)) {
    ADD_FAILURE() << "another command";
    return {};
  }
  return std::get<T>(*request);
}

int code_of(std::vector<const char*> words) {
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  const auto parsed = parse(std::move(words));
  (void)::testing::internal::GetCapturedStdout();
  (void)::testing::internal::GetCapturedStderr();
  EXPECT_FALSE(parsed.options);
  return parsed.exit_code;
}

TEST(Options, EveryCommand) {
  EXPECT_EQ(request_of<control::UpRequest>({"up", "net"}), (control::UpRequest{"net", ""}));
  EXPECT_EQ(request_of<control::UpRequest>({"up", "net/1x1"}), (control::UpRequest{"net", "net/1x1"}));
  EXPECT_EQ(request_of<control::UpRequest>({"up", "net", "child"}), (control::UpRequest{"net", "child"}));
  EXPECT_EQ(request_of<control::DownRequest>({"down", "net"}), (control::DownRequest{"net", ""}));
  EXPECT_EQ(request_of<control::RekeyRequest>({"rekey", "--ike", "net"}), (control::RekeyRequest{"net", "", true}));
  EXPECT_EQ(request_of<control::StatusRequest>({"status"}), control::StatusRequest{});
  EXPECT_EQ(request_of<control::StatusRequest>({"status", "net", "--json"}), (control::StatusRequest{"net", false}));
  EXPECT_EQ(request_of<control::StatusRequest>({"status", "--summary"}), (control::StatusRequest{"", true}));
  EXPECT_EQ(request_of<control::ListRequest>({"list"}), control::ListRequest{});
  EXPECT_EQ(request_of<control::ReloadRequest>({"reload"}), control::ReloadRequest{});
  EXPECT_EQ(request_of<control::DropsRequest>({"drops"}), control::DropsRequest{});
  EXPECT_EQ(request_of<control::MonitorRequest>({"monitor"}), control::MonitorRequest{});
  EXPECT_EQ(request_of<control::DoctorRequest>({"doctor"}), control::DoctorRequest{});
  EXPECT_EQ(request_of<control::DebugKeysRequest>({"debug", "keys"}), control::DebugKeysRequest{});
  EXPECT_EQ(request_of<control::DebugTransitionsRequest>({"debug", "transitions"}), control::DebugTransitionsRequest{});
  EXPECT_EQ(request_of<control::CertsRequest>({"certs"}), control::CertsRequest{});
  EXPECT_EQ(request_of<control::ShutdownRequest>({"shutdown"}), control::ShutdownRequest{});
  EXPECT_EQ(request_of<control::LeasesRequest>({"leases"}), control::LeasesRequest{});
  EXPECT_EQ(request_of<control::LeasesRequest>({"leases", "list"}), control::LeasesRequest{});
  EXPECT_EQ(request_of<control::ReleaseLeaseRequest>({"leases", "release", "10.9.0.7"}),
            control::ReleaseLeaseRequest{*IpAddress::parse("10.9.0.7")});
  const auto check = parse({"check", "f.conf", "--secrets", "f.secrets"});
  ASSERT_TRUE(check.options);
  EXPECT_EQ(std::get<CheckCommand>(check.options->command).config, "f.conf");
  EXPECT_EQ(std::get<CheckCommand>(check.options->command).secrets, "f.secrets");
}

TEST(Options, Explain) {
  const auto a = *IpAddress::parse("10.1.0.5");
  const auto b = *IpAddress::parse("10.2.0.5");
  EXPECT_EQ(request_of<control::ExplainRequest>({"explain", "10.1.0.5", "10.2.0.5"}),
            (control::ExplainRequest{a, b, 0, std::nullopt}));
  EXPECT_EQ(request_of<control::ExplainRequest>({"explain", "10.1.0.5", "10.2.0.5", "tcp", "443"}),
            (control::ExplainRequest{a, b, 6, 443}));
  EXPECT_EQ(request_of<control::ExplainRequest>({"explain", "10.1.0.5", "10.2.0.5", "icmp", "8.0"}),
            (control::ExplainRequest{a, b, 1, 0x0800}));
  EXPECT_EQ(code_of({"explain", "10.1.0.5"}), kUsage);
  EXPECT_EQ(code_of({"leases", "release"}), kUsage);
  EXPECT_EQ(code_of({"leases", "release", "carol"}), kUsage);
  EXPECT_EQ(code_of({"leases", "list", "10.9.0.7"}), kUsage);
  EXPECT_EQ(code_of({"leases", "drop", "10.9.0.7"}), kUsage);
  EXPECT_EQ(code_of({"explain", "10.1.0.5", "::1"}), kUsage);
  EXPECT_EQ(code_of({"explain", "10.1.0.5", "nowhere"}), kUsage);
  EXPECT_EQ(code_of({"explain", "10.1.0.5", "10.2.0.5", "tpc"}), kUsage);
  EXPECT_EQ(code_of({"explain", "10.1.0.5", "10.2.0.5", "tcp", "70000"}), kUsage);
}

TEST(Options, UsageAndHelp) {
  EXPECT_EQ(code_of({}), kUsage);
  EXPECT_EQ(code_of({"wibble"}), kUsage);
  EXPECT_EQ(code_of({"up"}), kUsage);
  EXPECT_EQ(code_of({"debug"}), kUsage);
  EXPECT_EQ(code_of({"--help"}), kOk);
  EXPECT_EQ(code_of({"--version"}), kOk);
}

TEST(Options, RunDirectory) {
  EXPECT_EQ(parse({"status"}).options->run_dir, "/run/cygnet");
  EXPECT_EQ(parse({"status"}, "/tmp/x").options->run_dir, "/tmp/x");
  EXPECT_EQ(parse({"status", "--run-dir", "/tmp/y"}, "/tmp/x").options->run_dir, "/tmp/y");
  EXPECT_EQ(parse({"--run-dir", "/tmp/y", "status"}).options->run_dir, "/tmp/y");
}

TEST(Client, SaysWhenNobodyListens) {
  const auto client = Client::connect("/nonexistent/run");
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().trouble, Trouble::kNobodyListens);
  EXPECT_EQ(client.error().message.substr(0, 75),
            "no cygnetd is running here: there is no /nonexistent/run/control.sock\n  sta");
  EXPECT_FALSE(Client::connect("/" + std::string(200, 'x')));
}

}  // namespace
}  // namespace cygnet::cli
