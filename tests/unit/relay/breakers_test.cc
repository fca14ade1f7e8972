// Circuit breakers where connections are few: who waits for one, what makes room, and who is told. See h2_fixture.h.

#include <algorithm>

#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

class BreakersTest : public H2RelayTest {
 protected:
  void start_with(u32 endpoints, contract::AppProtocol protocol, u32 connections, std::function<void(contract::Plan&)> change = {}) {
    plan = test::one_service_plan(1, endpoints, protocol);
    limit(*plan, connections);
    if (change) change(*plan);
    if (protocol == contract::AppProtocol::http2) world->server_app = [this] { run_h2_server(); };
    adopt(endpoints);
  }
  static void limit(contract::Plan& plan, u32 connections) {
    plan.services[0].breakers.connections = connections;
    plan.services[0].breakers.share_among(1);
  }
  // What nobody answers yet, by endpoint, in the order of its coming.
  struct Open {
    u32 endpoint = 0, stream = kNone32;
    Peer* peer = nullptr;
  };
  void hold_streams() {
    respond = [this](Peer& peer, u32 stream, Message& message) {
      if (message.ended) open.push_back({peer.endpoint, stream, &peer});
    };
  }
  void answer(const Open& one) {
    respond_with(one.stream, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "fine");
    server_side->h2.release(one.stream, http::H2Error::no_error);
    one.peer->streams.erase(one.stream);
    world->run_for(3000);
  }
  // From now on every connection to the endpoint is believed to take `streams` at once, until it says otherwise.
  void teach(u32 streams) {
    server_settings.streams_max = streams;
    hold_streams();
    const u32 c = connect_h2();
    request(c, kGet);
    answer(open.at(0));
    world->server.tcp().close(open[0].peer->conn);
    open.clear();
    world->run_for(3000);
    ASSERT_EQ(numbers().upstreams.get(), 0u);
  }
  contract::ServiceStats& numbers() { return world->stats.services[0]; }

  std::vector<Open> open;
};

TEST_F(BreakersTest, ACoreKeepsToItsShareOfConnectionsAndOfThoseThatWait) {
  start_with(1, contract::AppProtocol::http, 8, [](auto& p) {
    p.services[0].breakers.pending = 4;
    p.services[0].breakers.share_among(4);
  });
  const u32 c[] = {connect(), connect(), connect(), connect()};
  for (const u32 i : c) say(i, kGet);
  EXPECT_EQ(serving.size(), 2u);
  EXPECT_EQ(numbers().pending.get(), 1u);
  EXPECT_THAT(clients[c[3]].got, HasSubstr("x-envoy-overloaded: true"));
}

}  // namespace
}  // namespace ringway
