// WebSockets and other tunnels that begin as a request, between every pair of protocols (RFC 6455, RFC 8441, RFC 9110 7.8).

#include <set>

#include "dataplane/http/websocket.h"
#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const std::string kHandshake = "GET /chat HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
const std::string kAsked = kHandshake + "Sec-WebSocket-Key: " + std::string(kKey) + "\r\n\r\n";

std::string field(std::string_view head, std::string_view name) {
  const auto at = head.find("\r\n" + std::string(name) + ": ");
  if (at == std::string_view::npos) return {};
  const auto from = at + name.size() + 4;
  return std::string(head.substr(from, head.find("\r\n", from) - from));
}

class UpgradeTest : public H2RelayTest {
 protected:
  // An extended CONNECT of an HTTP/2 client, given as the Upgrade that it means.
  u32 connect_stream(u32 client, std::string_view text = kAsked) {
    Peer& peer = client_side->peers[client];
    http::RequestHead head;
    RW_ASSERT(http::read_request(bytes_of(text), {}, head).status == http::ReadStatus::complete);
    const u32 stream = client_side->h2.open_stream(peer.h2, 0);
    peer.streams[stream];
    RW_ASSERT(client_side->h2.send_request(stream, head, {.client_ip = test::World::kClient, .via = "far", .upgrade = true}, {}, false));
    world->run_for(3000);
    return stream;
  }
  void say_h2(u32 stream, std::string_view text, bool end = false) {
    send_body(*client_side, stream, text, end);
    world->run_for(3000);
  }
  // Endpoints over HTTP/2 that take a WebSocket and echo what they hear.
  void echo_h2() {
    respond = [this](Peer&, u32 stream, Message& message) {
      if (asked.empty()) {
        asked = message.head;
        http::ResponseHead head;
        const std::string text = "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: p\r\n\r\n";
        RW_ASSERT(http::read_response(bytes_of(text), http::Method::get, {}, head).status == http::ReadStatus::complete);
        RW_ASSERT(server_side->h2.send_response(stream, head, {.via = "far", .upgrade = true}, {}, false));
      }
      const std::string heard = std::exchange(message.body, {});
      said += heard;
      if (!heard.empty() || message.ended) {
        RW_ASSERT(server_side->h2.send_data(stream, chain_of(world->server, heard), message.ended));
      }
    };
  }
  // An endpoint over HTTP/1.1 that does, and proves `key`, or the key that it was shown.
  void echo_h1(std::string_view key = {}) {
    on_request = [this, key](Serving& s) {
      if (asked.empty() && s.got.find("\r\n\r\n") != std::string::npos) {
        asked = std::exchange(s.got, {});
        const std::string shown = key.empty() ? field(asked, "Sec-WebSocket-Key") : std::string(key);
        const http::WebsocketAccept accept{http::WebsocketKey(shown)};
        return world->server.send(s.id, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " +
                                            std::string(accept.text()) + "\r\n\r\nhi ");
      }
      if (s.got.empty()) return;
      said += s.got;
      world->server.send(s.id, std::exchange(s.got, {}));
    };
  }

  std::string asked, said;
};

TEST_F(UpgradeTest, FromH1ToH1KeyAndProofPassAsTheyAre) {
  start();
  echo_h1();
  const u32 c = connect();
  say(c, kAsked);
  EXPECT_EQ(field(asked, "Sec-WebSocket-Key"), kKey);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 101 "));
  EXPECT_EQ(field(clients[c].got, "Sec-WebSocket-Accept"), kAccept);
  say(c, "one");
  EXPECT_THAT(clients[c].got, EndsWith("\r\n\r\nhi one"));
}

TEST_F(UpgradeTest, FromH2ToH1AKeyIsMadeAndItsProofIsKeptHere) {
  start();
  echo_h1();
  const u32 c = connect_h2();
  const u32 stream = connect_stream(c, kHandshake + "\r\n");
  const std::string key = field(asked, "Sec-WebSocket-Key");
  EXPECT_FALSE(http::WebsocketKey(key).empty()) << key;
  EXPECT_THAT(asked, AllOf(StartsWith("GET /chat HTTP/1.1\r\n"), HasSubstr("Upgrade: websocket"), HasSubstr("ec-websocket-version: 13")));
  EXPECT_THAT(answer_to(c, stream).head, AllOf(StartsWith("HTTP/1.1 101 "), Not(HasSubstr("accept")))) << "101: the engine's word for 200";
  say_h2(stream, "hello");
  say_h2(stream, " you", true);
  EXPECT_EQ(said, "hello you");
  EXPECT_EQ(answer_to(c, stream).body, "hi hello you");
  EXPECT_TRUE(serving[0].peer_closed) << "END_STREAM is the end of the client's direction";
  EXPECT_TRUE(answer_to(c, stream).ended);
  EXPECT_EQ(count(Counter::tunnels), 1u);
}

TEST_F(UpgradeTest, FromH2ToH1EveryRequestHasAKeyOfItsOwnWhateverTheClientSent) {
  start();
  std::set<std::string> keys;
  const u32 c = connect_h2();
  for (u32 i = 0; i < 8; ++i) {
    asked.clear();
    echo_h1();
    connect_stream(c);
    keys.insert(field(asked, "Sec-WebSocket-Key"));
  }
  EXPECT_EQ(keys.size(), 8u);
  EXPECT_FALSE(keys.contains(std::string(kKey)));
}

TEST_F(UpgradeTest, FromH2ToH1TheProofOfAnotherKeyIs502) {
  start();
  echo_h1(kKey);
  const u32 c = connect_h2();
  const u32 stream = connect_stream(c);
  EXPECT_THAT(answer_to(c, stream).head, StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(count(Counter::websocket_unproven), 1u);
  EXPECT_EQ(count(Counter::tunnels), 0u);
  EXPECT_TRUE(serving[0].closed);
  const auto events = mails(MailKind::endpoint_event);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.back().outcome, Outcome::bad_response);
}

TEST_F(UpgradeTest, FromH2ToH1AnOrdinaryAnswerIsNotTakenForATunnel) {
  start();
  always(ok("a page"));
  const u32 c = connect_h2();
  EXPECT_THAT(answer_to(c, connect_stream(c)).head, AllOf(StartsWith("HTTP/1.1 501 "), HasSubstr("x-ringway-flag: protocol")));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_THAT(answer_to(c, request(c, kGet)).head, StartsWith("HTTP/1.1 200 ")) << "which anybody else gets";
  EXPECT_THAT(ask(kAsked), AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("a page"))) << "over HTTP/1.1 it says what it is";
}

TEST_F(UpgradeTest, FromH2ToH1AnotherProtocolHasNoKey) {
  start();
  on_request = [&](Serving& s) {
    if (s.got.find("\r\n\r\n") == std::string::npos) return;
    asked = std::exchange(s.got, {});
    world->server.send(s.id, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n\r\nhi");
  };
  const u32 c = connect_h2();
  const u32 stream = connect_stream(c, "GET /x HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n\r\n");
  EXPECT_THAT(asked, AllOf(HasSubstr("Upgrade: connect-udp"), Not(HasSubstr("Key"))));
  EXPECT_EQ(answer_to(c, stream).body, "hi");
}

TEST_F(UpgradeTest, FromH1ToH2TheHandshakeIsDoneHere) {
  start_h2();
  echo_h2();
  const u32 c = connect();
  say(c, kAsked);
  EXPECT_THAT(asked, AllOf(StartsWith("GET /chat HTTP/1.1\r\n"), HasSubstr("upgrade: websocket\r\n"),
                           HasSubstr("sec-websocket-version: 13"), Not(HasSubstr("key"))));
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 101 Switching Protocols\r\n"), HasSubstr("\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"),
                                    HasSubstr("ec-websocket-protocol: p\r\n"), EndsWith("\r\n\r\n")));
  EXPECT_EQ(field(clients[c].got, "Sec-WebSocket-Accept"), kAccept);
  say(c, "one");
  say(c, " two");
  EXPECT_THAT(clients[c].got, EndsWith("\r\n\r\none two"));
  EXPECT_EQ(count(Counter::tunnels), 1u);
  world->client.tcp().shutdown(clients[c].id);
  world->run_for(3000);
  EXPECT_TRUE(clients[c].peer_closed) << "END_STREAM of both sides";
  EXPECT_FALSE(server_side->peers[0].closed) << "the connection serves others";
}

TEST_F(UpgradeTest, FromH2ToH2ItPassesAsItIs) {
  start_h2();
  echo_h2();
  const u32 c = connect_h2();
  const u32 stream = connect_stream(c);
  EXPECT_THAT(asked, AllOf(HasSubstr("upgrade: websocket\r\n"), Not(HasSubstr("key"))));
  EXPECT_THAT(answer_to(c, stream).head, StartsWith("HTTP/1.1 101 "));
  say_h2(stream, "hello");
  EXPECT_EQ(answer_to(c, stream).body, "hello");
  say_h2(stream, " you", true);
  EXPECT_EQ(answer_to(c, stream).body, "hello you");
  EXPECT_TRUE(answer_to(c, stream).ended);
  EXPECT_FALSE(answer_to(c, stream).reset);
  // The second finds the connection's SETTINGS known.
  asked.clear();
  const u32 second = connect_stream(c);
  say_h2(second, "more");
  EXPECT_EQ(answer_to(c, second).body, "more");
  EXPECT_EQ(server_side->peers.size(), 1u);
}

TEST_F(UpgradeTest, ManyThatWaitForOneConnectionsSettingsAllGoOut) {
  start_h2();
  respond = [this](Peer&, u32 stream, Message&) { respond_with(stream, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"); };
  const u32 c = connect_h2();
  const u32 other = connect();
  world->client.send(clients[other].id, kAsked);
  for (int i = 0; i < 4; ++i) {
    http::RequestHead head;
    ASSERT_EQ(http::read_request(bytes_of(kAsked), {}, head).status, http::ReadStatus::complete);
    const u32 stream = client_side->h2.open_stream(client_side->peers[c].h2, 0);
    client_side->peers[c].streams[stream];
    ASSERT_TRUE(client_side->h2.send_request(stream, head, {.client_ip = test::World::kClient, .via = "far", .upgrade = true}, {}, false));
  }
  world->run_for(5000);
  EXPECT_EQ(server_side->peers.size(), 1u);
  for (const auto& [stream, message] : client_side->peers[c].streams) EXPECT_THAT(message.head, StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(clients[other].got, StartsWith("HTTP/1.1 403 "));
}

TEST_F(UpgradeTest, ARefusalPassesAndLeavesNoStreamBehind) {
  start_h2();
  std::vector<std::pair<bool, std::optional<http::H2Error>>> ends;
  respond = [&](Peer& peer, u32 stream, Message& message) {
    if (!message.ended && !message.reset) return respond_with(stream, "HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\n", "no\n");
    ends.emplace_back(message.ended, message.reset);
    if (message.reset) return;  // which the far end's connection forgets by itself
    server_side->h2.release(stream, http::H2Error::no_error);
    peer.streams.erase(stream);
  };
  const u32 c = connect();
  say(c, kAsked);
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 403 "), EndsWith("\r\n\r\nno\n"), Not(HasSubstr("ccept"))));
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_TRUE(ends[0].first) << "our side ends too, without a reset";
  say(c, kAsked);
  EXPECT_EQ(ends.size(), 2u) << "the client's connection goes on";
}

TEST_F(UpgradeTest, WhatComesBehindARefusedOfferIsTheNextRequest) {
  start_h2();
  respond = [this](Peer& peer, u32 stream, Message& message) {
    if (message.reset) return;
    seen.push_back(message.head);
    respond_with(stream, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    server_side->h2.release(stream, http::H2Error::no_error);
    peer.streams.erase(stream);
  };
  const u32 c = connect();
  say(c, kAsked + "not a request\r\n\r\n");
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 403 "), HasSubstr("\r\n\r\nHTTP/1.1 400 ")));
  EXPECT_EQ(seen.size(), 1u);
}

TEST_F(UpgradeTest, AnEndpointWithoutExtendedConnectIs501ForAnH2Client) {
  server_settings.extended_connect = false;
  start_h2();
  always_h2("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "hello");
  const u32 c = connect_h2();
  EXPECT_THAT(answer_to(c, connect_stream(c)).head, AllOf(StartsWith("HTTP/1.1 501 "), HasSubstr("x-ringway-flag: protocol")));
  EXPECT_THAT(answer_to(c, connect_stream(c)).head, StartsWith("HTTP/1.1 501 ")) << "its SETTINGS are known by now";
  EXPECT_TRUE(seen.empty());
  EXPECT_EQ(answer_to(c, request(c, kGet)).body, "hello");
}

TEST_F(UpgradeTest, AnEndpointWithoutExtendedConnectServesAnH1ClientsRequestWithoutTheOffer) {
  server_settings.extended_connect = false;
  start_h2();
  always_h2("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 5\r\n\r\n", "hello");
  EXPECT_THAT(ask(kAsked), StartsWith("HTTP/1.1 426 "));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_THAT(seen[0], AllOf(StartsWith("GET /chat "), Not(HasSubstr("upgrade"))));
}

TEST_F(UpgradeTest, AnOfferThatHttp2HasNoWordForIsLeftOut) {
  start_h2();
  always_h2("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "hello");
  EXPECT_THAT(ask("GET /a HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"), EndsWith("hello"));
  EXPECT_THAT(ask(kHandshake + "\r\n"), EndsWith("hello")) << "without a key";
  EXPECT_THAT(ask(kHandshake + "Sec-WebSocket-Key: short\r\n\r\n"), EndsWith("hello"));
  EXPECT_EQ(seen.size(), 3u);
  for (const std::string& head : seen) EXPECT_THAT(head, Not(HasSubstr("upgrade")));
}

TEST_F(UpgradeTest, AnEndpointThatDiesBeforeItsSettingsLeavesTheWaitingToAnother) {
  start_h2(2);
  bool first = true;
  world->server_app = [&, inner = world->server_app] {
    inner();
    if (first && !server_side->peers.empty()) {
      first = false;
      world->server.tcp().abort(server_side->peers[0].conn);
    }
  };
  echo_h2();
  const u32 c = connect();
  say(c, kAsked);
  say(c, "one");
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 101 "), EndsWith("\r\n\r\none")));
  EXPECT_EQ(count(Counter::upstream_retries), 1u);
}

TEST_F(UpgradeTest, LargeMessagesPassBothWaysUncopied) {
  start_h2();
  echo_h2();
  const u32 c = connect();
  say(c, kAsked);
  const std::string head = clients[c].got;
  const std::string sent = pattern(600'000);
  respond = [this](Peer&, u32, Message&) {};  // what comes is kept
  world->client.send(clients[c].id, sent);
  world->run_for(300'000);
  ASSERT_EQ(server_side->peers[0].streams.size(), 1u);
  const auto& [stream, message] = *server_side->peers[0].streams.begin();
  EXPECT_EQ(said + message.body, sent);
  send_body(*server_side, stream, sent, true);
  world->run_for(300'000);
  EXPECT_EQ(clients[c].got.substr(head.size()), sent);
  EXPECT_EQ(count(Counter::payload_copied), 0u);
}

}  // namespace
}  // namespace ringway
