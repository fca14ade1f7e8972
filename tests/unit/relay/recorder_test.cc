// What the recorder tells of real traffic through a whole core: the story of a request in order, and every kind of event.

#include "control/trace/trace.h"
#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

using contract::EventGroup;
using contract::EventKind;
using trace::Traced;

template <class Base>
class Recorded : public Base {
 protected:
  using Base::world;
  void SetUp() override {
    Base::SetUp();
    std::string error;
    memory = trace::RecorderMemory::make("", 1, 4096, 2'000'000'000, error);
    ASSERT_NE(memory, nullptr) << error;
    recorder().attach(memory->ring(0));
    record(contract::kAllEventGroups);
  }
  contract::Recorder& recorder() { return world->stats.page.recorder; }
  void record(u32 groups) { ASSERT_TRUE(recorder().record(groups)); }

  std::vector<Traced> events(std::optional<u32> conn = {}) { return trace::collect(*memory, {.core = {}, .conn = conn}); }
  std::vector<Traced> events(EventKind kind) {
    std::vector<Traced> out = events();
    std::erase_if(out, [kind](const Traced& e) { return e.kind != kind; });
    return out;
  }
  std::vector<EventKind> kinds(std::initializer_list<EventGroup> groups, u32 conn) {
    u32 wanted = 0;
    for (const EventGroup g : groups) wanted |= bit_of(g);
    std::vector<EventKind> out;
    for (const Traced& e : events(conn))
      if ((bit_of(contract::kEventTexts[static_cast<u32>(e.kind)].group) & wanted) != 0) out.push_back(e.kind);
    return out;
  }
  // Loses the next `n` frames on the way from the gateway to the endpoints.
  void lose_to_endpoints(u32 n) {
    lost = n;
    turn = 0;
    world->tamper = [this](rte_ring& ring) {
      void* frame = nullptr;
      if (turn++ % 4 != 2) return;  // World::step: from and to the clients, from and to the endpoints
      while (lost > 0 && rte_ring_dequeue(&ring, &frame) == 0) {
        rte_pktmbuf_free(static_cast<rte_mbuf*>(frame));
        --lost;
      }
    };
  }

  std::unique_ptr<trace::RecorderMemory> memory;
  u32 lost = 0, turn = 0;
};
class RecorderTest : public Recorded<RelayTest> {};
class H2RecorderTest : public Recorded<H2RelayTest> {};

TEST_F(RecorderTest, TellsTheStoryOfARequest) {
  start();
  always(ok("hello"));
  const u32 c = connect();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, EndsWith("hello"));

  ASSERT_EQ(events(EventKind::accepted).size(), 1u);
  const Traced accepted = events(EventKind::accepted)[0];
  EXPECT_EQ(accepted.x, test::World::kClient.v);
  EXPECT_THAT(kinds({EventGroup::requests, EventGroup::connections}, accepted.conn),
              testing::ElementsAre(EventKind::accepted, EventKind::request, EventKind::routed,
                                   EventKind::connecting, EventKind::state, EventKind::picked, EventKind::state,
                                   EventKind::response, EventKind::request_end));

  const Traced request = events(EventKind::request)[0], routed = events(EventKind::routed)[0];
  const Traced picked = events(EventKind::picked)[0], response = events(EventKind::response)[0];
  const Traced end = events(EventKind::request_end)[0], connecting = events(EventKind::connecting)[0];
  EXPECT_EQ(request.x, kGet.size());
  EXPECT_EQ(request.y, 1u);
  for (const Traced& e : {routed, picked, response, end}) {
    EXPECT_EQ(e.conn, accepted.conn);
    EXPECT_EQ(e.exchange, routed.exchange);
  }
  EXPECT_EQ(routed.x, 0u) << "slot of the service";
  EXPECT_EQ(picked.code, 1u) << "first try";
  EXPECT_EQ(picked.half, 0u) << "a new connection";
  EXPECT_EQ(picked.y, connecting.conn);
  EXPECT_NE(picked.y, accepted.conn);
  EXPECT_EQ(connecting.x, test::World::endpoint_ip(0).v);
  EXPECT_EQ(connecting.half, 8080u);
  EXPECT_EQ(response.half, 200u);
  EXPECT_EQ(end.half, 200u);
}

TEST_F(RecorderTest, ASecondRequestIsOnThePooledConnectionAndAnotherExchange) {
  start();
  always(ok("hello"));
  const u32 c = connect();
  say(c, kGet);
  say(c, kGet);
  const auto picked = events(EventKind::picked), requests = events(EventKind::request);
  ASSERT_EQ(picked.size(), 2u);
  EXPECT_EQ(picked[1].half, 1u);
  EXPECT_EQ(picked[1].y, picked[0].y);
  EXPECT_NE(picked[1].exchange, picked[0].exchange);
  EXPECT_EQ(requests[1].y, 2u);
}

TEST_F(H2RecorderTest, StreamsOfOneConnectionAreExchangesOfTheirOwn) {
  start_h2();
  always_h2("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "hello");
  const u32 c = connect_h2();
  EXPECT_EQ(answer_to(c, request(c, kGet)).body, "hello");
  EXPECT_EQ(answer_to(c, request(c, kGet)).body, "hello");
  const auto routed = events(EventKind::routed), picked = events(EventKind::picked), ends = events(EventKind::request_end);
  ASSERT_EQ(routed.size(), 2u);
  EXPECT_EQ(routed[0].y, 1u) << "stream";
  EXPECT_EQ(routed[1].y, 3u);
  EXPECT_EQ(routed[0].conn, routed[1].conn);
  EXPECT_NE(routed[0].exchange, routed[1].exchange);
  ASSERT_EQ(picked.size(), 2u);
  EXPECT_EQ(picked[1].y, picked[0].y) << "both over one connection";
  ASSERT_EQ(ends.size(), 2u);
  EXPECT_EQ(ends[1].exchange, routed[1].exchange);
  EXPECT_EQ(ends[1].half, 200u);
}

TEST_F(RecorderTest, SegmentsBothWaysHaveTheirConnectionFlagsAndBytes) {
  start();
  always(ok("hello"));
  const u32 c = connect();
  say(c, kGet);
  const u32 conn = events(EventKind::accepted)[0].conn;
  const auto in = events(EventKind::segment_in), out = events(EventKind::segment_out);
  EXPECT_EQ(in[0].code, gate::kSyn);
  EXPECT_EQ(in[0].conn, 0u) << "a SYN belongs to no connection yet";
  EXPECT_EQ(out[0].code, gate::kSyn | gate::kAck);
  const auto request = std::ranges::find(in, kGet.size(), &Traced::half);
  ASSERT_NE(request, in.end());
  EXPECT_EQ(request->conn, conn);
  EXPECT_TRUE(std::ranges::any_of(out, [&](const Traced& e) { return e.conn == conn && e.half == clients[c].got.size(); }));
}

TEST_F(RecorderTest, StatesOfAConnectionAreSeenUntilItsEnd) {
  start();
  always(ok("hello"));
  ask("GET /a HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n");
  world->client.tcp().close(clients[0].id);
  world->run_for(5000);
  const u32 conn = events(EventKind::accepted)[0].conn;
  std::vector<std::pair<u32, u32>> steps;
  for (const Traced& e : events(EventKind::state))
    if (e.conn == conn) steps.emplace_back(e.half, e.code);
  const auto step = [](tcp::State from, tcp::State to) { return std::pair(static_cast<u32>(from), static_cast<u32>(to)); };
  using enum tcp::State;
  EXPECT_THAT(steps, testing::ElementsAre(step(established, fin_wait_1), step(fin_wait_1, fin_wait_2)));
  const auto ends = events(EventKind::closed);
  ASSERT_FALSE(ends.empty());
  EXPECT_EQ(ends[0].conn, conn);
  EXPECT_EQ(ends[0].code, static_cast<u8>(tcp::CloseReason::finished));
  EXPECT_EQ(ends[0].half, static_cast<u16>(fin_wait_2));
  EXPECT_EQ(ends[0].x, 49u);
  EXPECT_EQ(ends[0].y, clients[0].got.size());
}

TEST_F(RecorderTest, ALostSegmentIsATimerAndASegmentSentAgain) {
  start();
  always(ok("hello"));
  const u32 c = connect();
  say(c, kGet);
  lose_to_endpoints(1);
  say(c, kGet);
  world->run_for(300'000, 500);
  const u32 to_endpoint = events(EventKind::picked)[0].y;
  const auto timers = events(EventKind::timer), again = events(EventKind::sent_again);
  ASSERT_FALSE(timers.empty());
  EXPECT_EQ(timers[0].conn, to_endpoint);
  EXPECT_GT(timers[0].x, 0u) << "bytes in flight";
  ASSERT_FALSE(again.empty());
  EXPECT_EQ(again[0].conn, to_endpoint);
  EXPECT_GT(again[0].half, 0u);
}

TEST_F(RecorderTest, VerdictsAreToldWithTheirName) {
  start();
  const auto nobody = world->client.tcp().connect(test::World::kClient, kVip, 81, 0, world->now_us);
  ASSERT_TRUE(nobody.has_value());
  clients.push_back({.id = *nobody});
  world->run_for(2000);
  const auto verdicts = events(EventKind::verdict);
  ASSERT_TRUE(std::ranges::any_of(verdicts, [](const Traced& e) {
    return e.code == static_cast<u8>(contract::Verdict::tcp_no_listener);
  }));
}

TEST_F(RecorderTest, AnAnswerOfTheGatewaysOwnIsTold) {
  start();
  ask("GET / HTTP/1.1\r\n\r\n");  // without a Host
  ASSERT_EQ(events(EventKind::answered).size(), 1u);
  EXPECT_EQ(events(EventKind::answered)[0].half, 400u);
}

TEST_F(RecorderTest, PlansMailAndOutcomesAreTold) {
  start();
  always("HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n");
  ask(kGet);
  EXPECT_EQ(events(EventKind::plan_adopted)[0].x, 1u);
  EXPECT_EQ(events(EventKind::mail_in)[0].code, static_cast<u8>(MailKind::adopt_plan));
  const auto out = events(EventKind::mail_out);
  ASSERT_GE(out.size(), 2u);
  EXPECT_EQ(out[0].code, static_cast<u8>(MailKind::plan_adopted));
  EXPECT_EQ(out[1].code, static_cast<u8>(MailKind::endpoint_event));
  EXPECT_EQ(out[1].half, static_cast<u16>(Outcome::bad_status));
}

TEST_F(RecorderTest, HealthIsToldByWhoeverWritesTheBoard) {
  contract::Recorder control;
  control.attach(memory->ring(1));
  control.record(bit_of(EventGroup::planes));
  world->board.record_to(control);
  world->board.store(3, contract::kHealthFailing);
  world->board.store(3, contract::kHealthFailing);  // nothing new
  control.note<EventKind::plan_published>({.x = 9});
  const auto health = events(EventKind::health);
  ASSERT_EQ(health.size(), 1u);
  EXPECT_EQ(health[0].x, 3u);
  EXPECT_EQ(health[0].code, contract::kHealthFailing);
  EXPECT_EQ(health[0].core, 1u);
  EXPECT_EQ(events(EventKind::plan_published).size(), 1u);
}

TEST_F(RecorderTest, WhatIsSwitchedOffIsNotTold) {
  record(bit_of(EventGroup::requests));
  start();
  always(ok("hello"));
  const u32 c = connect();
  say(c, kGet);
  EXPECT_EQ(events().size(), 5u);  // request, routed, picked, response, request_end
  record(0);
  say(c, kGet);
  EXPECT_EQ(events().size(), 5u);
  EXPECT_EQ(count(Counter::requests), 2u);
}

}  // namespace
}  // namespace ringway
