#pragma once
// RelayTest: a whole gateway core in a network of rings, with clients and endpoints that a test drives by a few words:
// connect, say, ask; always, on_request. Every test ends with the audit of all packet memory.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "tests/support/world.h"

namespace ringway {

using contract::Counter;
using contract::MailKind;
using contract::Outcome;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

inline constexpr wire::Ip4 kVip = wire::Ip4::of(10, 9, 0, 1);

inline std::string ok(std::string_view body, std::string_view fields = "") {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + std::string(fields) + "\r\n" +
         std::string(body);
}
// Bytes that differ from place to place.
inline std::string pattern(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 2654435761u >> 24);
  return text;
}
inline constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: web\r\n\r\n";

class RelayTest : public testing::Test {
 protected:
  // One client connection as the test sees it.
  struct Client {
    tcp::ConnId id;
    std::string got;
    bool connected = false, peer_closed = false, closed = false;
    bool reading = true;
  };
  // One connection of an endpoint: what came in, and which endpoint it is.
  struct Serving {
    tcp::ConnId id;
    u32 endpoint = 0;
    std::string got;
    bool peer_closed = false, closed = false;
  };

  virtual test::WorldSizes sizes() const { return {}; }

  void SetUp() override {
    test::start_eal();
    static int number = 0;
    world = std::make_unique<test::World>("w" + std::to_string(number++), 3, 0, sizes());
    world->client_app = [this] { run_clients(); };
    world->server_app = [this] { run_server(); };
  }
  void TearDown() override {
    if (HasFailure()) {
      test::print_counts("client ", world->client.page());
      test::print_counts("gateway", world->stats.page);
      test::print_counts("server ", world->server.page());
    }
    EXPECT_EQ(world->audit(), "");
    world.reset();
  }

  void start(u32 endpoints = 1, contract::AppProtocol protocol = contract::AppProtocol::http) {
    plan = test::one_service_plan(1, endpoints, protocol);
    adopt(endpoints);
  }
  void adopt(u32 endpoints) {
    for (u32 i = 0; i < endpoints; ++i) world->server.tcp().listen(test::World::endpoint_ip(i), 8080, i);
    world->adopt(*plan);
    world->run_for(500);
  }

  u32 connect() {
    const u32 index = static_cast<u32>(clients.size());
    clients.push_back({.id = *world->client.tcp().connect(test::World::kClient, kVip, 80, index, world->now_us)});
    world->run_for(1000);
    return index;
  }
  void say(u32 client, std::string_view text) {
    world->client.send(clients[client].id, text);
    world->run_for(2000);
  }
  std::string ask(std::string_view text) {
    const u32 c = connect();
    say(c, text);
    return clients[c].got;
  }

  void run_clients() {
    tcp::AppEvent event;
    auto& tcp = world->client.tcp();
    while (tcp.next_event(event)) {
      Client& c = clients[event.user];
      if (event.bits & tcp::kConnected) c.connected = true;
      if (event.bits & tcp::kPeerClosed) c.peer_closed = true;
      if (event.bits & tcp::kClosed) c.closed = true;
    }
    for (Client& c : clients) {
      if (c.reading && !c.closed && tcp.alive(c.id) && !tcp.received(c.id).empty()) c.got += world->client.take(c.id);
    }
  }
  void run_server() {
    tcp::AppEvent event;
    auto& tcp = world->server.tcp();
    while (tcp.next_event(event)) {
      if (event.bits & tcp::kAccepted) {
        tcp.set_user(event.id, serving.size());
        event.user = serving.size();
        serving.push_back({.id = event.id, .endpoint = event.listener});
      }
      Serving& s = serving[event.user];
      if (event.bits & tcp::kPeerClosed) s.peer_closed = true;
      if (event.bits & tcp::kClosed) {
        s.closed = true;
        continue;
      }
      if (!tcp.received(s.id).empty()) s.got += world->server.take(s.id);
      if (on_request) on_request(s);
      if (close_when_told && s.peer_closed && tcp.alive(s.id)) tcp.close(s.id);
    }
  }
  // Answers every complete bodyless request with `answer`.
  void always(std::string answer) {
    on_request = [this, answer](Serving& s) {
      for (auto end = s.got.find("\r\n\r\n"); end != std::string::npos; end = s.got.find("\r\n\r\n")) {
        seen.push_back(s.got.substr(0, end + 4));
        seen_at.push_back(s.endpoint);
        s.got.erase(0, end + 4);
        world->server.send(s.id, answer);
      }
    };
  }
  u64 count(Counter c) const { return world->count(c); }
  std::vector<contract::Mail> mails(MailKind kind) {
    contract::Mail mail;
    std::vector<contract::Mail> found;
    while (world->outbox.pop(mail)) {
      if (mail.kind == kind) found.push_back(mail);
    }
    return found;
  }

  std::unique_ptr<test::World> world;
  std::unique_ptr<contract::Plan> plan, next_plan;
  std::vector<Client> clients;
  std::deque<Serving> serving;
  std::vector<std::string> seen;
  std::vector<u32> seen_at;
  std::function<void(Serving&)> on_request;
  bool close_when_told = true;  // endpoints end a connection that their side is told the end of
};

}  // namespace ringway
