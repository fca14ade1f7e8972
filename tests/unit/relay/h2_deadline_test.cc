// How long an exchange of an HTTP/2 client may last that does nothing any more.

#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

class H2DeadlineTest : public H2RelayTest {
 protected:
  static constexpr u64 kIdleUs = 200'000;

  // A client whose window is shut asks for more than it takes, and then says that it will say nothing more.
  u32 half_closed(u64 per_request_us) {
    plan->services[0].timeouts = {.per_request_us = per_request_us, .idle_us = kIdleUs};
    const u32 c = connect_h2({.stream_window_bytes = 10});
    client_side->peers[c].taking = false;
    request(c, kGet);
    world->client.tcp().shutdown(client_side->peers[c].conn);
    world->run_for(2000);
    EXPECT_EQ(active(), 1u);
    return c;
  }
  u64 active() const { return world->stats.services[0].active.get(); }
};

TEST_F(H2DeadlineTest, AHalfClosedClientWhoseWindowStaysShutIsGivenUpWhenItsStreamIsIdle) {
  start();
  always(ok(std::string(50'000, 'x')));
  const u32 c = half_closed(0);
  world->run_for(kIdleUs + 20'000, 500);
  EXPECT_EQ(active(), 0u);
  EXPECT_EQ(count(Counter::request_timeouts), 1u);
  world->run_for(2'100'000, 500);  // the time that we linger
  EXPECT_TRUE(client_side->peers[c].closed);
  EXPECT_EQ(world->worker->engine().active(), 0u);
}

TEST_F(H2DeadlineTest, SoIsOneOfAnH2Endpoint) {
  start_h2();
  always_h2("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n", std::string(50'000, 'x'));
  half_closed(0);
  world->run_for(kIdleUs + 20'000, 500);
  EXPECT_EQ(active(), 0u);
}

TEST_F(H2DeadlineTest, SoIsOneWhoseEndpointGoesOnSending) {
  start_h2();
  u32 at = kNone32;
  respond = [&](Peer&, u32 stream, Message& message) {
    if (!message.ended || at != kNone32) return;
    respond_with(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "first of many", false);
    at = stream;
  };
  half_closed(0);
  for (u64 us = 0; us < kIdleUs + 20'000 && active() > 0; us += 10'000) {
    if (server_side->h2.send_space(at) > 0) {
      ASSERT_TRUE(server_side->h2.send_data(at, chain_of(world->server, "more"), false));
    }
    world->run_for(10'000, 500);
  }
  EXPECT_EQ(active(), 0u);
}

TEST_F(H2DeadlineTest, ACallThatIsStillBeingMadeOnAConnectionWithTimeLeftIsGivenUpInTime) {
  start();
  always(ok("x"));
  const u32 c = connect_h2();
  EXPECT_THAT(answer_to(c, request(c, kGet)).head, StartsWith("HTTP/1.1 200"));
  on_request = nullptr;
  request(c, "POST /a HTTP/1.1\r\nHost: web\r\nContent-Type: application/grpc\r\nTE: trailers\r\ngrpc-timeout: 100m\r\n"
             "Transfer-Encoding: chunked\r\n\r\n", "some", false);
  EXPECT_EQ(active(), 1u);
  world->run_for(120'000, 500);
  EXPECT_EQ(active(), 0u);
}

}  // namespace
}  // namespace ringway
