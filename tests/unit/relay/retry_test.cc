// Retries and circuit breakers: the decisions as tables, then whole cores that follow them.

#include <deque>
#include <set>

#include "dataplane/relay/concurrency.h"
#include "dataplane/relay/retry.h"
#include "tests/unit/relay/fixture.h"

namespace ringway {
namespace {

using relay::ConcurrencyLimit;
using relay::TryEnd;
using relay::backoff_us;
using relay::is_safe_to_repeat;
using relay::is_within_budget;
using relay::is_worth_a_retry;
using Kind = relay::TryEnd::Kind;
using contract::RetryPolicy;
using http::Method;

// ---------------------------------------------------------------------------------------------------------- decisions

TEST(RetryDecision, EachWordMeansWhatEnvoySays) {
  struct Row {
    u32 on;
    TryEnd end;
    bool worth;
  };
  const Row rows[] = {
      {contract::kOnConnectFailure, {Kind::not_connected}, true},
      {contract::kOnConnectFailure, {Kind::broken}, false},
      {contract::kOnConnectFailure, {Kind::answered, 503}, false},
      {contract::kOnRefusedStream, {Kind::refused}, true},
      {contract::kOnRefusedStream, {Kind::not_connected}, false},
      {contract::kOnReset, {Kind::broken}, true},
      {contract::kOnReset, {Kind::answered, 500}, false},
      {contract::kOn5xx, {Kind::broken}, true},
      {contract::kOn5xx, {Kind::answered, 500}, true},
      {contract::kOn5xx, {Kind::answered, 599}, true},
      {contract::kOn5xx, {Kind::answered, 499}, false},
      {contract::kOn5xx, {Kind::not_connected}, false},
      {contract::kOnGatewayError, {Kind::answered, 501}, false},
      {contract::kOnGatewayError, {Kind::answered, 502}, true},
      {contract::kOnGatewayError, {Kind::answered, 504}, true},
      {contract::kOnGatewayError, {Kind::answered, 505}, false},
      {contract::kOnRetriable4xx, {Kind::answered, 409}, true},
      {contract::kOnRetriable4xx, {Kind::answered, 404}, false},
      {contract::kOnStatusCodes, {Kind::answered, 503}, true},
      {contract::kOnStatusCodes, {Kind::answered, 502}, false},
      {contract::kOnCancelled, {Kind::answered, 200, 1}, true},
      {contract::kOnDeadlineExceeded, {Kind::answered, 200, 4}, true},
      {contract::kOnResourceExhausted, {Kind::answered, 200, 8}, true},
      {contract::kOnInternal, {Kind::answered, 200, 13}, true},
      {contract::kOnUnavailable, {Kind::answered, 200, 14}, true},
      {contract::kOnUnavailable, {Kind::answered, 200, 13}, false},
      {contract::kOnUnavailable, {Kind::answered, 200, 0}, false},
      {0, {Kind::not_connected}, false},
      {0, {Kind::answered, 503}, false},
  };
  for (const Row& row : rows) {
    RetryPolicy policy;
    policy.on = row.on;
    EXPECT_EQ(is_worth_a_retry(policy, row.end), row.worth)
        << "on " << row.on << ", kind " << static_cast<int>(row.end.kind) << ", status " << row.end.status;
  }
}

TEST(RetryDecision, ByDefaultItIsWhatServiceConnectRetries) {
  const RetryPolicy policy;
  EXPECT_EQ(policy.retries, 2u);
  EXPECT_TRUE(is_worth_a_retry(policy, {Kind::not_connected}));
  EXPECT_TRUE(is_worth_a_retry(policy, {Kind::refused}));
  EXPECT_TRUE(is_worth_a_retry(policy, {Kind::broken}));
  EXPECT_TRUE(is_worth_a_retry(policy, {Kind::answered, 503}));
  EXPECT_TRUE(is_worth_a_retry(policy, {Kind::answered, 200, 14}));
  EXPECT_FALSE(is_worth_a_retry(policy, {Kind::answered, 500}));
  EXPECT_FALSE(is_worth_a_retry(policy, {Kind::answered, 504}));
  EXPECT_FALSE(is_worth_a_retry(policy, {Kind::answered, 404}));
}

TEST(RetryDecision, WhatAnEndpointMayHaveActedOnIsRepeatedOnlyWhereMethodOrServiceAllowsIt) {
  RetryPolicy policy;
  for (const Method method : {Method::get, Method::head, Method::put, Method::delete_, Method::options, Method::trace})
    EXPECT_TRUE(is_safe_to_repeat(policy, {Kind::broken}, method));
  for (const Method method : {Method::post, Method::patch, Method::connect, Method::other}) {
    EXPECT_FALSE(is_safe_to_repeat(policy, {Kind::broken}, method));
    EXPECT_FALSE(is_safe_to_repeat(policy, {Kind::answered, 503}, method));
    EXPECT_TRUE(is_safe_to_repeat(policy, {Kind::not_connected}, method));
    EXPECT_TRUE(is_safe_to_repeat(policy, {Kind::refused}, method));
    EXPECT_TRUE(is_safe_to_repeat(policy, {Kind::answered, 200, 14}, method));
  }
  policy.non_idempotent = true;
  EXPECT_TRUE(is_safe_to_repeat(policy, {Kind::broken}, Method::post));
}

TEST(RetryDecision, BackOffIsUniformUpToTwoToTheNLessOneTimesTheBase) {
  const RetryPolicy policy;  // 25 ms, 250 ms
  const u64 bounds[] = {25'000, 75'000, 175'000, 250'000, 250'000, 250'000, 250'000};
  for (u32 retry = 1; retry <= 7; ++retry) {
    EXPECT_EQ(backoff_us(policy, retry, 0), 0u);
    EXPECT_EQ(backoff_us(policy, retry, ~u64{0}), bounds[retry - 1] - 1);
    EXPECT_EQ(backoff_us(policy, retry, u64{1} << 63), bounds[retry - 1] / 2);
  }
  EXPECT_EQ(relay::retry_after_us(4, 0), 4'000'000u);
  EXPECT_EQ(relay::retry_after_us(4, ~u64{0}), 5'999'999u);
}

TEST(RetryDecision, BudgetIsAShareOfWhatIsUnderWayAndAlwaysAFew) {
  const RetryPolicy policy;  // 20 %, 3
  EXPECT_TRUE(is_within_budget(policy, 1, 0));
  EXPECT_TRUE(is_within_budget(policy, 3, 2));
  EXPECT_FALSE(is_within_budget(policy, 3, 3));
  EXPECT_FALSE(is_within_budget(policy, 19, 3));
  EXPECT_TRUE(is_within_budget(policy, 20, 3));
  EXPECT_TRUE(is_within_budget(policy, 100, 19));
  EXPECT_FALSE(is_within_budget(policy, 100, 20));
}

// A service that serves `capacity` at once in 1 ms each; what exceeds that waits in its queue.
u32 settle(ConcurrencyLimit& limit, u32 capacity, u32 rounds = 20'000) {
  for (u32 i = 0; i < rounds; ++i) {
    const u64 active = limit.limit();  // there is always more to do
    limit.on_response(1000 * std::max<u64>(active, capacity) / capacity, active, 1);
  }
  return limit.limit();
}

TEST(Concurrency, SettlesWhereQueuesBegin) {
  for (const u32 capacity : {20u, 200u, 2000u}) {
    ConcurrencyLimit limit;
    const u32 at = settle(limit, capacity);
    EXPECT_GE(at, capacity) << capacity;
    EXPECT_LE(at, capacity * 2) << capacity;
  }
}

TEST(Concurrency, FollowsAServiceThatLosesCapacityAndOneThatRegainsIt) {
  ConcurrencyLimit limit;
  settle(limit, 400);
  EXPECT_LE(settle(limit, 40), 80u + 40u);
  EXPECT_GE(settle(limit, 400), 300u);
}

TEST(Concurrency, DoesNotGrowWhileNobodyComesNearItAndNeverGoesBelowItsLeast) {
  ConcurrencyLimit limit;
  for (u32 i = 0; i < 10'000; ++i) limit.on_response(1000, 3, 10);
  EXPECT_EQ(limit.limit(), ConcurrencyLimit::kInitial);
  for (u32 i = 0; i < 10'000; ++i) limit.on_response(1000 + i * 100, 100, 10);
  EXPECT_GE(limit.limit(), 10u);
}

// --------------------------------------------------------------------------------------------------------- whole cores

const std::string kPut = "PUT /a HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody";
const std::string kPost = "POST /a HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody";

class RetryTest : public RelayTest {
 protected:
  void start_with(u32 endpoints, std::function<void(contract::Service&)> change = {}) {
    plan = test::one_service_plan(1, endpoints);
    if (change) change(plan->services[0]);
    adopt(endpoints);
  }
  // Every endpoint answers complete requests with what `answer` makes of it; "" resets the connection.
  void answering(std::function<std::string(u32 endpoint, u32 nth)> answer) {
    on_request = [this, answer](Serving& s) {
      if (!is_complete(s.got)) return;
      seen.push_back(std::exchange(s.got, ""));
      seen_at.push_back(s.endpoint);
      const std::string text = answer(s.endpoint, static_cast<u32>(seen.size()));
      if (text.empty()) return world->server.tcp().abort(s.id);
      if (text != "silence") world->server.send(s.id, text);
    };
  }
  static bool is_complete(const std::string& got) {
    const auto end = got.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const auto length = got.find("Content-Length: ");
    return length == std::string::npos || got.size() >= end + 4 + std::stoul(got.substr(length + 16));
  }
  contract::ServiceStats& numbers() { return world->stats.services[0]; }
};

const std::string kBusy = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

TEST_F(RetryTest, A503IsTriedElsewhereAndTheConnectionIsKept) {
  start_with(2);
  answering([](u32 endpoint, u32) { return endpoint == 0 ? kBusy : ok("fine"); });
  const u32 c = connect();
  for (int i = 0; i < 6; ++i) say(c, kGet);
  EXPECT_THAT(clients[c].got, Not(HasSubstr("503")));
  EXPECT_GE(numbers().retries.get(), 2u);
  EXPECT_EQ(serving.size(), 2u);  // one connection each: the 503 did not cost its own
  EXPECT_EQ(numbers().retrying.get(), 0u);
  EXPECT_GE(world->stats.endpoints[0].responses[5].get(), 2u);
  EXPECT_EQ(numbers().responses[5].get(), 0u);
}

TEST_F(RetryTest, A503WhoseBodyIsNotThereYetIsTriedElsewhereToo) {
  start_with(2);
  answering([](u32 endpoint, u32) {
    return endpoint == 0 ? std::string("HTTP/1.1 503 Busy\r\nContent-Length: 400\r\n\r\nbu") : ok("fine");
  });
  for (int i = 0; i < 3; ++i) EXPECT_THAT(ask(kGet), EndsWith("fine"));
}

TEST_F(RetryTest, WhenAllTriesAre503TheLastOneReachesTheClient) {
  start_with(5);
  answering([](u32, u32 nth) { return "HTTP/1.1 503 Busy\r\nContent-Length: 1\r\n\r\n" + std::to_string(nth); });
  EXPECT_THAT(ask(kGet), AllOf(StartsWith("HTTP/1.1 503 "), EndsWith("3")));
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_EQ(std::set(seen_at.begin(), seen_at.end()).size(), 3u);  // never the same endpoint
}

TEST_F(RetryTest, APutIsRepeatedWithItsBodyAndAPostIsNot) {
  start_with(2);
  answering([](u32, u32 nth) { return nth == 1 ? std::string() : ok("fine"); });
  EXPECT_THAT(ask(kPut), EndsWith("fine"));
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_THAT(seen[1], EndsWith("\r\n\r\nbody"));
  seen.clear();
  EXPECT_THAT(ask(kPost), HasSubstr("x-ringway-flag: UC"));
  EXPECT_EQ(seen.size(), 1u);
}

TEST_F(RetryTest, APostIsRepeatedWhereTheServiceSaysThatItMayBe) {
  start_with(2, [](auto& service) { service.retry.non_idempotent = true; });
  answering([](u32, u32 nth) { return nth == 1 ? kBusy : ok("fine"); });
  EXPECT_THAT(ask(kPost), EndsWith("fine"));
  EXPECT_THAT(seen.at(1), EndsWith("\r\n\r\nbody"));
}

TEST_F(RetryTest, ALongBodyIsKeptUpToTheLimitAndNoFurther) {
  start_with(2, [](auto& service) { service.retry.body_bytes = 10'000; });
  const auto put = [](std::size_t bytes) {
    return "PUT /a HTTP/1.1\r\nHost: web\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n" + std::string(bytes - 1, 'x') + "y";
  };
  answering([](u32, u32 nth) { return nth == 1 ? kBusy : ok("fine"); });
  EXPECT_THAT(ask(put(10'000)), EndsWith("fine"));
  EXPECT_THAT(seen.at(1), EndsWith("xy"));
  EXPECT_EQ(seen[1].size() - seen[1].find("\r\n\r\n") - 4, 10'000u);
  seen.clear();
  EXPECT_THAT(ask(put(10'001)), StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(seen.size(), 1u);
}

TEST_F(RetryTest, ABodyThatComesInCrumbsIsNotKept) {
  start_with(2);
  answering([](u32, u32 nth) { return nth == 1 ? kBusy : ok("fine"); });
  const u32 c = connect();
  say(c, "PUT /a HTTP/1.1\r\nHost: web\r\nContent-Length: 200\r\n\r\n");
  for (int i = 0; i < 200; ++i) say(c, "x");
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(seen.size(), 1u);
}

TEST_F(RetryTest, ARetryWaitsForItsBackOff) {
  start_with(2, [](auto& service) { service.retry.backoff_base_us = service.retry.backoff_max_us = 400'000; });
  TimeUs failed = 0, again = 0;
  answering([&](u32, u32 nth) {
    (nth == 1 ? failed : again) = world->now_us;
    return nth == 1 ? kBusy : ok("fine");
  });
  const u32 c = connect();
  say(c, kGet);
  world->run_for(500'000);
  EXPECT_THAT(clients[c].got, EndsWith("fine"));
  EXPECT_GT(again - failed, 1000u);  // uniform in [0, 400 ms): this seed's
  EXPECT_LT(again - failed, 405'000u);
}

TEST_F(RetryTest, RetryAfterIsWaitedForBySetting) {
  start_with(2, [](auto& service) { service.retry.retry_after = true; });
  TimeUs failed = 0, again = 0;
  answering([&](u32, u32 nth) {
    (nth == 1 ? failed : again) = world->now_us;
    return nth == 1 ? std::string("HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n") : ok("fine");
  });
  const u32 c = connect();
  say(c, kGet);
  world->run_for(3'100'000);
  EXPECT_THAT(clients[c].got, EndsWith("fine"));
  EXPECT_GE(again - failed, 2'000'000u);
  EXPECT_LE(again - failed, 3'010'000u);
}

TEST_F(RetryTest, ARetryThatWouldComeTooLateIsNotMade) {
  start_with(2, [](auto& service) {
    service.retry.retry_after = true;
    service.timeouts.per_request_us = 1'000'000;
  });
  answering([&](u32, u32) { return std::string("HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n"); });
  EXPECT_THAT(ask(kGet), StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(seen.size(), 1u);
}

TEST_F(RetryTest, ATryThatTakesTooLongIsMadeElsewhereAndTheEndpointIsToldOn) {
  start_with(2, [](auto& service) { service.retry.per_try_us = 50'000; });
  answering([](u32, u32 nth) { return nth == 1 ? std::string("silence") : ok("fine"); });
  const u32 c = connect();
  say(c, kGet);
  EXPECT_EQ(clients[c].got, "");
  world->run_for(60'000);
  EXPECT_THAT(clients[c].got, EndsWith("fine"));
  EXPECT_EQ(count(Counter::try_timeouts), 1u);
  EXPECT_EQ(mails(MailKind::endpoint_event).at(0).outcome, Outcome::timed_out);
}

TEST_F(RetryTest, TheRequestsTimeIncludesItsRetries) {
  start_with(3, [](auto& service) {
    service.retry.per_try_us = 80'000;
    service.retry.retries = 7;
    service.timeouts.per_request_us = 200'000;
  });
  answering([](u32, u32) { return std::string("silence"); });
  const u32 c = connect();
  const TimeUs began = world->now_us;
  say(c, kPut);
  while (clients[c].got.empty() && world->now_us < began + 1'000'000) world->run_for(1000);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 504 "));
  EXPECT_NEAR(static_cast<double>(world->now_us - began), 200'000, 5000);
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_THAT(seen[0], HasSubstr("X-Envoy-Expected-Rq-Timeout-Ms: 80\r\n"));
  EXPECT_THAT(seen[2], HasSubstr("X-Envoy-Expected-Rq-Timeout-Ms: 3"));  // what is left of the whole
}

TEST_F(RetryTest, AttemptsAreCountedTowardsTheEndpointBySetting) {
  start_with(2, [](auto& service) { service.retry.attempt_count = true; });
  answering([](u32, u32 nth) { return nth == 1 ? kBusy : ok("fine"); });
  EXPECT_THAT(ask("GET /a HTTP/1.1\r\nHost: web\r\nX-Envoy-Attempt-Count: 9\r\n\r\n"), EndsWith("fine"));
  EXPECT_THAT(seen.at(0), AllOf(HasSubstr("X-Envoy-Attempt-Count: 1\r\n"), Not(HasSubstr(": 9"))));
  EXPECT_THAT(seen.at(1), HasSubstr("X-Envoy-Attempt-Count: 2\r\n"));
}

TEST_F(RetryTest, WithoutABudgetNothingIsAskedAgainHoweverLongItWaits) {
  start_with(2, [](auto& service) { service.retry.budget_min = service.retry.budget_percent = 0; });
  answering([](u32, u32) { return kBusy; });
  const u32 c = connect();
  say(c, kGet);
  world->run_for(10'000);
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("x-ringway-flag: URX")));
  EXPECT_EQ(seen.size(), 1u);
  EXPECT_EQ(numbers().retries_denied.get(), 1u);
}

TEST_F(RetryTest, RetriesOverTheBudgetFollowEachOther) {
  start_with(2, [](auto& service) {
    service.retry.budget_min = 1;
    service.retry.budget_percent = 0;
    service.retry.backoff_base_us = 20'000;
    service.retry.backoff_max_us = 40'000;
  });
  std::deque<tcp::ConnId> held;
  std::size_t most = 0;
  u32 asked = 0;
  on_request = [&](Serving& s) {
    if (!is_complete(s.got)) return;
    s.got.clear();
    if (++asked <= 4) return world->server.send(s.id, kBusy);
    held.push_back(s.id);
    most = std::max(most, held.size());
  };
  const u32 all[] = {connect(), connect(), connect(), connect()};
  for (const u32 c : all) world->client.send(clients[c].id, kGet);
  for (u32 round = 0; round < 200; ++round) {
    world->run_for(2000);
    if (held.empty()) continue;
    world->server.send(held.front(), ok("fine"));
    held.pop_front();
  }
  for (const u32 c : all) EXPECT_THAT(clients[c].got, EndsWith("fine"));
  EXPECT_EQ(most, 1u);
  EXPECT_EQ(numbers().retries_denied.get(), 0u);
}

class SmallBudgetRetryTest : public RetryTest {
 protected:
  test::WorldSizes sizes() const override {
    test::WorldSizes s;
    s.tcp.send_budget_bytes = 10'000;
    return s;
  }
};

TEST_F(SmallBudgetRetryTest, ABodyWhoseRepetitionBreaksHalfWayIsWholeTheNextTime) {
  start_with(3, [](auto& service) { service.retry.retries = 3; });
  const std::string body = pattern(30'000);
  const std::string put = "PUT /a HTTP/1.1\r\nHost: web\r\nContent-Length: 30000\r\n\r\n" + body;
  u32 tries = 0;
  on_request = [&](Serving& s) {
    const bool second = tries == 1;  // breaks as soon as something of the body is there
    if (second ? s.got.find("\r\n\r\n") + 4 >= s.got.size() : !is_complete(s.got)) return;
    ++tries;
    if (tries < 3) return world->server.tcp().abort(s.id);
    seen.push_back(std::exchange(s.got, ""));
    world->server.send(s.id, ok("fine"));
  };
  const u32 c = connect();
  say(c, put);
  world->run_for(400'000);
  EXPECT_EQ(tries, 3u);
  EXPECT_THAT(clients[c].got, EndsWith("fine"));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_TRUE(seen[0].substr(seen[0].find("\r\n\r\n") + 4) == body);
}

TEST_F(RetryTest, TheRequestsTimeRunsWhileItsBodyWaitsForAConnection) {
  start_with(1, [](auto& service) {
    service.breakers.connections = 1;
    service.timeouts.per_request_us = 100'000;
  });
  answering([](u32, u32) { return std::string("silence"); });
  const u32 a = connect(), b = connect();
  world->client.send(clients[a].id, "PUT /a HTTP/1.1\r\nHost: web\r\nContent-Length: 1000\r\n\r\n");  // and never ends
  world->run_for(2000);
  say(b, kPost);
  EXPECT_EQ(numbers().pending.get(), 1u);
  world->run_for(110'000);
  EXPECT_THAT(clients[b].got, AllOf(StartsWith("HTTP/1.1 504 "), HasSubstr("x-ringway-flag: UT")));
  EXPECT_EQ(numbers().pending.get(), 0u);
}

TEST_F(RetryTest, TheRequestsTimeBeginsWithItsEndAlsoInALaterTry) {
  start_with(2, [](auto& service) { service.timeouts.per_request_us = 100'000; });
  for (u32 i = 0; i < 2; ++i) world->server.tcp().unlisten(test::World::endpoint_ip(i), 8080);
  TimeUs asked = 0;
  on_request = [&](Serving& s) {
    if (is_complete(s.got)) asked = world->now_us;
  };
  const u32 c = connect();
  world->client.send(clients[c].id, kPut.substr(0, kPut.size() - 1));
  const auto failures = [&] { return world->stats.endpoints[0].connect_failures.get() + world->stats.endpoints[1].connect_failures.get(); };
  for (u32 i = 0; i < 50 && failures() == 0; ++i) world->run_for(100);
  for (u32 i = 0; i < 2; ++i) world->server.tcp().listen(test::World::endpoint_ip(i), 8080, i);
  world->run_for(150'000);
  say(c, "y");
  EXPECT_GT(asked, 0u);
  EXPECT_EQ(numbers().retries.get(), 1u);
  world->run_for(50'000);
  EXPECT_EQ(clients[c].got, "");
  world->server.send(serving[0].id, ok("fine"));
  world->run_for(2000);
  EXPECT_THAT(clients[c].got, EndsWith("fine"));
}

TEST_F(SmallBudgetRetryTest, TheRequestsTimeRunsWhileItsBodyIsSentAgain) {
  start_with(2, [](auto& service) { service.timeouts.per_request_us = 200'000; });
  u32 tries = 0;
  on_request = [&](Serving& s) {
    if (tries == 0 && is_complete(s.got)) {
      ++tries;
      world->server.tcp().abort(s.id);
    }
  };
  // From the second try on nothing that endpoints say arrives but SYN-ACK: the body stays on its way.
  world->tamper = [&](rte_ring& frames) {
    for (u32 n = tries == 0 ? 0 : rte_ring_count(&frames); n > 0; --n) {
      void* taken = nullptr;
      if (rte_ring_dequeue(&frames, &taken) != 0) return;
      const auto* frame = rte_pktmbuf_mtod(static_cast<rte_mbuf*>(taken), const u8*);
      const u8 flags = frame[14 + 20 + 13];
      const bool acknowledges = frame[12] == 8 && frame[13] == 0 && frame[26] == 10 && frame[27] == 2 && frame[29] >= 2 && (flags & 0x06) == 0;
      if (acknowledges) rte_pktmbuf_free(static_cast<rte_mbuf*>(taken));
      else RW_ASSERT(rte_ring_enqueue(&frames, taken) == 0);
    }
  };
  const u32 c = connect();
  say(c, "PUT /a HTTP/1.1\r\nHost: web\r\nContent-Length: 30000\r\n\r\n" + pattern(30'000));
  world->run_for(300'000);
  EXPECT_EQ(tries, 1u);
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 504 "), HasSubstr("x-ringway-flag: UT")));
}

TEST_F(RetryTest, AClientThatLeavesWhileItsRetryWaitsEndsIt) {
  start_with(2, [](auto& service) { service.retry.backoff_base_us = service.retry.backoff_max_us = 1'000'000; });
  answering([](u32, u32) { return kBusy; });
  const u32 c = connect();
  say(c, kGet);
  world->client.tcp().abort(clients[c].id);
  world->run_for(1'100'000);
  EXPECT_EQ(seen.size(), 1u);
  EXPECT_EQ(numbers().active.get(), 0u);
  EXPECT_EQ(numbers().retrying.get(), 0u);
}

TEST_F(RetryTest, RequestsOverTheLimitAreAnswered503AtOnce) {
  start_with(2, [](auto& service) { service.breakers.requests = 2; });
  answering([](u32, u32) { return std::string("silence"); });
  const u32 a = connect(), b = connect(), c = connect();
  say(a, kGet);
  say(b, kGet);
  say(c, kGet);
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("x-envoy-overloaded: true\r\n"), HasSubstr("x-ringway-flag: UO")));
  EXPECT_EQ(numbers().overflows.get(), 1u);
  EXPECT_EQ(seen.size(), 2u);
}

TEST_F(RetryTest, RequestsWaitForOneOfTheConnectionsThatTheServiceMayHave) {
  start_with(1, [](auto& service) {
    service.breakers.connections = 1;
    service.breakers.pending = 1;
  });
  u32 held = kNone32;
  answering([&](u32, u32 nth) {
    if (nth == 1) held = static_cast<u32>(serving.size()) - 1;
    return nth == 1 ? std::string("silence") : ok("second");
  });
  const u32 a = connect(), b = connect(), c = connect();
  say(a, kGet);
  say(b, kGet);
  EXPECT_EQ(clients[b].got, "");
  EXPECT_EQ(numbers().pending.get(), 1u);
  say(c, kGet);
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("x-envoy-overloaded: true")));
  EXPECT_EQ(numbers().overflows.get(), 1u);
  world->server.send(serving[held].id, ok("first"));
  world->run_for(3000);
  EXPECT_THAT(clients[a].got, EndsWith("first"));
  EXPECT_THAT(clients[b].got, EndsWith("second"));
  EXPECT_EQ(serving.size(), 1u);
  EXPECT_EQ(numbers().upstreams.get(), 1u);
  EXPECT_EQ(numbers().pending.get(), 0u);
}

TEST_F(RetryTest, AnIdleConnectionToAnotherEndpointMakesRoom) {
  start_with(2, [](auto& service) { service.breakers.connections = 1; });
  answering([](u32, u32) { return ok("fine"); });
  const u32 c = connect();
  for (int i = 0; i < 4; ++i) say(c, kGet);  // in turn
  EXPECT_EQ(seen.size(), 4u);
  EXPECT_EQ(std::set(seen_at.begin(), seen_at.end()).size(), 2u);
  EXPECT_EQ(numbers().upstreams.get(), 1u);
}

TEST_F(RetryTest, AnExchangeThatEndsWhileItWaitsForAConnectionLeavesTheQueue) {
  start_with(1, [](auto& service) { service.breakers.connections = 1; });
  answering([](u32, u32) { return std::string("silence"); });
  const u32 a = connect(), b = connect();
  say(a, kGet);
  say(b, kGet);
  world->client.tcp().abort(clients[b].id);
  world->run_for(2000);
  EXPECT_EQ(numbers().pending.get(), 0u);
  EXPECT_EQ(numbers().active.get(), 1u);
}

TEST_F(RetryTest, AdaptiveConcurrencyTurnsAwayWhatIsOverIt) {
  start_with(1, [](auto& service) {
    service.breakers.adaptive = true;
    service.breakers.adaptive_min = 1;
  });
  answering([](u32, u32) { return std::string("silence"); });
  std::vector<u32> all;
  for (u32 i = 0; i < ConcurrencyLimit::kInitial + 1; ++i) all.push_back(connect());
  for (const u32 c : all) say(c, kGet);
  EXPECT_THAT(clients[all.back()].got, HasSubstr("x-envoy-overloaded: true"));
  EXPECT_EQ(seen.size(), ConcurrencyLimit::kInitial);
}

}  // namespace
}  // namespace ringway
