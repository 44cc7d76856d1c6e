// SPDX-License-Identifier: Apache-2.0

// URLs, HTTP responses in pieces and hostile ones, and fetching from a server on loopback.
#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "io/http_get.h"
#include "support/http_server.h"

namespace cygnet::io {
namespace {

using Progress = HttpResponse::Progress;

TEST(HttpUrl, PartsOfAnAddress) {
  const auto plain = parse_http_url("http://crl.example.org/root.crl");
  ASSERT_TRUE(plain);
  EXPECT_EQ(*plain, (HttpUrl{"crl.example.org", 80, "/root.crl"}));
  EXPECT_EQ(*parse_http_url("HTTP://192.0.2.7:8080/a/b?c=d#e"), (HttpUrl{"192.0.2.7", 8080, "/a/b?c=d"}));
  EXPECT_EQ(*parse_http_url("http://[2001:db8::1]:81"), (HttpUrl{"2001:db8::1", 81, "/"}));
  EXPECT_EQ(*parse_http_url("http://host?q"), (HttpUrl{"host", 80, "/?q"}));
}

TEST(HttpUrl, WhatCannotBeFetchedIsRefusedByName) {
  const auto why = [](const char* text) { return parse_http_url(text).error().message; };
  EXPECT_NE(why("https://host/").find("only http://"), std::string::npos);
  EXPECT_NE(why("ldap://host/cn=x").find("only http://"), std::string::npos);
  EXPECT_NE(why("http://host/a\r\nX: y").find("refused"), std::string::npos);
  EXPECT_NE(why("http://user@host/").find("no name"), std::string::npos);
  EXPECT_NE(why("http:///path").find("no name"), std::string::npos);
  EXPECT_NE(why("http://host:0/").find("port"), std::string::npos);
  EXPECT_NE(why("http://host:65536/").find("port"), std::string::npos);
  EXPECT_NE(why("http://host:/").find("port"), std::string::npos);
  EXPECT_FALSE(parse_http_url("http://" + std::string(2048, 'a')));
}

TEST(HttpUrl, ARedirectStaysOnTheServerOrNamesAnother) {
  const HttpUrl from{"2001:db8::1", 8080, "/old"};
  EXPECT_EQ(*follow_location(from, "/new"), (HttpUrl{"2001:db8::1", 8080, "/new"}));
  EXPECT_EQ(*follow_location(from, "http://other/x"), (HttpUrl{"other", 80, "/x"}));
  EXPECT_FALSE(follow_location(from, "https://other/x"));
  EXPECT_FALSE(follow_location(from, "//other/x"));
}

TEST(HttpRequest, AsItGoesOut) {
  EXPECT_TRUE(serialize({{"host", 80, "/x"}, {}, {}}).starts_with("GET /x HTTP/1.1\r\nHost: host\r\n"));
  const auto post = serialize({{"::1", 81, "/"}, "application/ocsp-request", to_bytes("abc")});
  EXPECT_TRUE(post.starts_with("POST / HTTP/1.1\r\nHost: [::1]:81\r\n"));
  EXPECT_TRUE(post.ends_with("Content-Type: application/ocsp-request\r\nContent-Length: 3\r\n\r\nabc"));
}

struct Read {
  unsigned status = 0;
  std::string body;
  std::string error;
  bool complete = false;
};
Read read(std::string_view text, std::size_t piece, bool close = true) {
  HttpResponse response;
  Read out;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    const auto progress = response.feed(view_of(text.substr(at, piece)));
    if (!progress) return {0, {}, progress.error().message, false};
    out.complete = *progress == Progress::kComplete;
  }
  if (close && !out.complete) {
    const auto progress = response.end();
    if (!progress) return {0, {}, progress.error().message, false};
    out.complete = true;
  }
  out.status = response.status();
  out.body = {response.body().begin(), response.body().end()};
  return out;
}

TEST(HttpResponse, EachFramingInPiecesOfAnySize) {
  const std::string counted = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello";
  const std::string chunked =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"
      "2;ext=1\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: z\r\n\r\n";
  const std::string to_the_end = "HTTP/1.0 200\r\n\r\nhello";
  for (const auto& text : {counted, chunked, to_the_end}) {
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
      const auto out = read(text, piece);
      EXPECT_EQ(out.error, "");
      EXPECT_TRUE(out.complete);
      EXPECT_EQ(out.status, 200U);
      EXPECT_EQ(out.body, "hello") << piece;
    }
  }
  EXPECT_TRUE(read(counted, 7, false).complete);
  EXPECT_FALSE(read(to_the_end, 7, false).complete);
  EXPECT_EQ(read("HTTP/1.1 204 No Content\r\n\r\n", 100, false).status, 204U);
}

TEST(HttpResponse, HostileServersAreRefused) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const auto why = [](const std::string& text) { return read(text, 1000).error; };
  EXPECT_NE(why("SSH-2.0-OpenSSH\r\n\r\n").find("not answer in HTTP"), std::string::npos);
  EXPECT_NE(why("HTTP/1.1 2000 OK\r\n\r\n").find("not answer in HTTP"), std::string::npos);
  EXPECT_NE(why(ok + "Content-Length: 1048577\r\n\r\n").find("at most 1 MiB"), std::string::npos);
  EXPECT_NE(why(ok + "Content-Length: -1\r\n\r\n").find("at most 1 MiB"), std::string::npos);
  EXPECT_NE(why(ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n").find("two different"), std::string::npos);
  EXPECT_NE(why(ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n").find("at once"), std::string::npos);
  EXPECT_NE(why(ok + "Transfer-Encoding: gzip\r\n\r\n").find("encoding"), std::string::npos);
  EXPECT_NE(why(ok + "Content-Encoding: gzip\r\n\r\n").find("compressed"), std::string::npos);
  EXPECT_NE(why(ok + " folded\r\n\r\n").find("without a name"), std::string::npos);
  EXPECT_NE(why(ok + "Content-Length: 9\r\n\r\nshort").find("in the middle"), std::string::npos);
  EXPECT_NE(why(ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n").find("chunk of a size"), std::string::npos);
  EXPECT_NE(why(ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n").find("longer than it said"), std::string::npos);
  EXPECT_NE(why("HTTP/1.1 200 OK\r\n" + std::string(20000, 'x')).find("16 KiB"), std::string::npos);
  EXPECT_NE(why(ok + "\r\n" + std::string((1U << 20U) + 1, 'x')).find("longer than 1 MiB"), std::string::npos);
  EXPECT_EQ(read(ok + "\r\n" + std::string(1U << 20U, 'x'), 5000).body.size(), 1U << 20U);
}

class Fetching : public testing::Test {
 protected:
  Result<Bytes> fetch(const std::string& target, Bytes body = {}, const std::string& host = "127.0.0.1") {
    std::optional<Result<Bytes>> out;
    client.fetch({{host, server.port, target}, "application/ocsp-request", std::move(body)}, [&](Result<Bytes> result) {
      out = std::move(result);
      loop.stop();
    });
    if (!out) {
      loop.restart();
      loop.run();
    }
    EXPECT_EQ(client.under_way(), 0U);
    return *out;
  }
  EventLoop loop;
  test::HttpServer server{loop};
  HttpClient client{loop,
                    [](const std::string& host, const std::function<void(HttpClient::Addresses)>& done) {
                      // The first address refuses, the second one answers.
                      done(host == "known.example"
                               ? HttpClient::Addresses{*IpAddress::parse("127.0.0.99"), *IpAddress::parse("127.0.0.1")}
                               : HttpClient::Addresses{});
                    },
                    std::chrono::milliseconds(300)};
};

TEST_F(Fetching, GetPostAndRedirects) {
  server.answers["GET /a"] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
  server.answers["POST /o"] = "HTTP/1.1 200 OK\r\n\r\nanswer";
  server.answers["GET /old"] = "HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n";
  server.answers["GET /loop"] = "HTTP/1.1 301 Moved\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n";
  server.answers["GET /gone"] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
  server.answers["GET /tls"] = "HTTP/1.1 302 Found\r\nLocation: https://x/\r\nContent-Length: 0\r\n\r\n";
  EXPECT_EQ(fetch("/a").value(), to_bytes("abc"));
  EXPECT_EQ(fetch("/a", {}, "known.example").value(), to_bytes("abc"));
  EXPECT_EQ(fetch("/o", to_bytes("question")).value(), to_bytes("answer"));
  EXPECT_TRUE(server.requests.back().ends_with("\r\n\r\nquestion"));
  EXPECT_EQ(fetch("/old").value(), to_bytes("abc"));
  EXPECT_EQ(fetch("/loop").error().message, "the server redirects more than 3 times");
  EXPECT_EQ(fetch("/gone").error().message, "the server answers 404");
  EXPECT_NE(fetch("/tls").error().message.find("only http://"), std::string::npos);
}

TEST_F(Fetching, SilenceRefusalAndUnknownNames) {
  EXPECT_NE(fetch("/silent").error().message.find("does not answer"), std::string::npos);
  EXPECT_EQ(fetch("/", {}, "unknown.example").error().message,
            "the name unknown.example has no address that can be found");
  EXPECT_NE(fetch("/", {}, "127.0.0.98").error().message.find("Connection refused"), std::string::npos);
}

}  // namespace
}  // namespace cygnet::io
