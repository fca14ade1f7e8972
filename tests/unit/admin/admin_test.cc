// Admin over a real unix socket: what it answers, from pages that a test fills.

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/admin/fake_gateway.h"

namespace ringway::admin {
namespace {

struct Served : ::testing::Test {
  test::FakeGateway gateway;
  Admin admin{gateway.sources()};
  std::string path = "/tmp/ringway-admin-test-" + std::to_string(getpid()) + ".sock";
  std::unique_ptr<UnixHttp> server;

  void SetUp() override {
    auto opened = UnixHttp::open(path, [this](const Request& r) { return admin.answer(r); });
    ASSERT_TRUE(opened.has_value()) << opened.error();
    server = std::move(*opened);
  }
  Json get(const std::string& target, u32 status = 200) { return call("GET", target, status); }
  Json call(const std::string& method, const std::string& target, u32 status = 200) {
    const auto reply = ask(path, method, target, 5);
    if (!reply.has_value()) {
      ADD_FAILURE() << reply.error();
      return {};
    }
    EXPECT_EQ(reply->status, status) << reply->body;
    return Json::parse(reply->body, nullptr, false);
  }
};

TEST_F(Served, Status_SaysStatePlanAndHowBusyCoresAre) {
  const Json j = get("/status");
  EXPECT_EQ(j["state"], "serving");
  EXPECT_EQ(j["plan_generation"], 7);
  EXPECT_EQ(j["endpoints"]["healthy"], 1);
  EXPECT_EQ(j["cores"][0]["busy_percent"], 25.0);
}

TEST_F(Served, Services_SumTheCores) {
  const Json j = get("/services");
  EXPECT_EQ(j[0]["requests"], 2000);
  EXPECT_EQ(j[0]["responses"]["5xx"], 20);
  EXPECT_EQ(j[0]["latency_us"]["p50"], 20);
  EXPECT_EQ(j[0]["latency_us"]["count"], 200);
  EXPECT_EQ(j[0]["healthy"], 1);
}

TEST_F(Served, Services_ShowWhatIsLeftOfTheirBreakers) {
  gateway.plan->services[0].breakers = {.connections = 0, .pending = 5, .requests = 10, .retries = 1};
  for (contract::CoreStats* core : {&gateway.core0, &gateway.core1}) {
    core->services[3].active.set(4);
    core->services[3].retrying.set(1);
  }
  const Json j = get("/services")[0]["breakers"];
  EXPECT_EQ(j["requests"], (Json{{"now", 8}, {"limit", 10}, {"remaining", 2}}));
  EXPECT_EQ(j["retries"]["remaining"], 0);  // two where one may be: cores look without a lock
  EXPECT_EQ(j["connections"]["limit"], nullptr);
  EXPECT_EQ(j["concurrency"], nullptr);
}

TEST_F(Served, Services_SayWhatTheGatewayRefusedForThemAndWhy) {
  for (contract::CoreStats* core : {&gateway.core0, &gateway.core1}) {
    contract::ServiceStats& numbers = core->services[3];
    numbers.denied.set(1);
    numbers.limited.set(2);
    numbers.overflows.set(3);
    numbers.no_endpoint.set(4);
    numbers.faulted.set(5);
  }
  const Json refused{{"denied", 2}, {"limited", 4}, {"overflows", 6}, {"no_endpoint", 8}, {"faulted", 10}};
  EXPECT_EQ(get("/services")[0]["refused"], refused);
  EXPECT_EQ(get("/service?name=auth-service")["numbers"]["refused"], refused);
}

TEST_F(Served, Service_TellsEverySettingByItsNameInTheFile) {
  contract::Service& service = gateway.plan->services[0];
  service.timeouts.per_request_us = 1'500'000;
  service.health_check = {.kind = contract::HealthCheckKind::http, .interval_us = 250'000, .status_min = 200, .status_max = 204,
                          .request = "GET /ping HTTP/1.1\r\nHost: auth\r\nUser-Agent: x\r\n\r\n", .body = {}};
  service.maglev.assign(17, 0);
  const Json j = get("/service?name=auth-service");
  EXPECT_EQ(j["plan_generation"], 7);
  const Json& s = j["settings"];
  EXPECT_EQ(s["portName"], "auth");
  EXPECT_EQ(s["discoveryName"], "auth-service");
  EXPECT_EQ(s["appProtocol"], "http");
  EXPECT_EQ(s["timeout"].dump(), R"({"perRequestTimeoutSeconds":1.5,"idleTimeoutSeconds":300})");
  EXPECT_EQ(s["connectTimeoutSeconds"], 5);
  EXPECT_EQ(s["healthCheck"].dump(),
            R"({"protocol":"http","path":"/ping","host":"auth","intervalSeconds":0.25,"timeoutSeconds":2,"healthyThreshold":1,)"
            R"("unhealthyThreshold":3,"jitterPercent":10,"matcher":"200-204"})");
  EXPECT_EQ(s["balancing"].dump(),
            R"({"policy":"maglev","hash":{"on":"source"},"boundFactor":1.25,"tableSize":17,"panicPercent":50})");
  EXPECT_EQ(s["retry"].dump(),
            R"({"retries":2,"on":["connect-failure","refused-stream","reset","retriable-status-codes","unavailable"],)"
            R"("statusCodes":[503],"nonIdempotent":false,"perTryTimeoutSeconds":0,"backoffMs":{"base":25,"max":250},)"
            R"("respectRetryAfter":false,"budget":{"percent":20,"min":3},"bodyBytes":65536,"attemptCount":false})");
  EXPECT_EQ(s["circuitBreakers"].dump(), R"({"maxConnections":0,"maxPendingRequests":1024,"maxRequests":0,"maxRetries":0,)"
                                         R"("adaptiveConcurrency":{"enabled":false,"min":10}})");
  EXPECT_EQ(s.contains("deployment"), false);
  EXPECT_EQ(s["drainSeconds"], 20);
  ASSERT_EQ(j["endpoints"].size(), 2u);
  EXPECT_EQ(j["endpoints"][0].dump(), get("/endpoints")[0].dump());
}

TEST_F(Served, Service_NamesListenersAndRoutesThatLeadToIt) {
  contract::RouteTable table;
  table.routes.resize(2);
  table.routes[0].name = "login";
  table.routes[0].backends.push_back({.service = 0, .weight = 3, .weight_end = 3});
  table.routes[1].name = "other";
  table.routes[1].backends.push_back({.service = 1, .weight = 1, .weight_end = 1});
  gateway.plan->route_tables.push_back(table);
  gateway.plan->listeners.push_back({.ip = wire::Ip4::of(10, 80, 64, 9), .port = 80, .route_table = 0, .name = "edge:80"});
  const Json j = get("/service?name=auth-service")["listeners"];
  EXPECT_EQ(j.dump(), R"([{"name":"auth-service:4000","address":"10.80.64.1:4000","default":true,"routes":[],"acceptProxyProtocol":{"from":["10.80.0.0/24"]}},)"
                      R"({"name":"edge:80","address":"10.80.64.9:80","default":false,"routes":[{"route":"login","weight":3}]}])");
}

TEST_F(Served, Service_OfNoOne_IsASentence) {
  EXPECT_EQ(get("/service?name=nobody", 404)["error"], "there is no service nobody");
  gateway.plan.reset();
  get("/service?name=auth-service", 404);
}

TEST_F(Served, Endpoints_SayTheirHealthInWords) {
  gateway.board.store(5, contract::kHealthFailing | contract::kHealthDraining);
  const Json j = get("/endpoints");
  EXPECT_EQ(j[0]["health"], "healthy");
  EXPECT_EQ(j[1]["health"], "failing,draining");
  EXPECT_EQ(j[0]["requests"], 2000);
}

TEST_F(Served, Connections_NameServiceAndEndpointAndCountWhatIsNotShown) {
  const Json j = get("/connections");
  EXPECT_EQ(j["total"], 9);
  EXPECT_EQ(j["shown"], 1);
  EXPECT_EQ(j["connections"][0]["client"], "10.80.0.2:5555");
  EXPECT_EQ(j["connections"][0]["endpoint"], "auth-service/10.0.0.11:80");
  EXPECT_EQ(j["connections"][0]["stage"], "exchanging");
  EXPECT_EQ(j["connections"][0]["caller"], "office");
}

TEST_F(Served, Counters_HaveEveryCounterVerdictAndPortNumber) {
  const Json j = get("/counters");
  EXPECT_EQ(j["counters"].size(), contract::kCounterCount);
  EXPECT_EQ(j["verdicts"].size(), contract::kVerdictCount - 1);
  EXPECT_EQ(j["counters"]["requests"], 2000);
  EXPECT_EQ(j["verdicts"]["eth_truncated"], 4);
  EXPECT_EQ(j["ports"]["net_ring0"]["rx_good_packets"], 5);
  EXPECT_EQ(j["cores"][0]["ticks"]["working"]["before"], 25);
}

TEST_F(Served, Histograms_HoldEveryBucketThatIsNotEmpty) {
  EXPECT_EQ(get("/histograms")["auth-service"]["latency_us"]["buckets"].dump(), "[[20,200]]");
}

TEST_F(Served, Trace_IsInOrderOfTimeWithTheNamesOfSlots) {
  const Json j = get("/trace");
  EXPECT_EQ(j["cores"], 2);
  EXPECT_EQ(j["recording"], "off");
  EXPECT_EQ(j["services"]["3"], "auth-service");
  EXPECT_EQ(j["endpoints"]["4"], "auth-service/10.0.0.11:80");
  ASSERT_EQ(j["events"].size(), 5u);
  EXPECT_EQ(j["events"][0]["event"], "plan_published");
  EXPECT_EQ(j["events"][0]["core"], 2) << "control";
  EXPECT_EQ(j["events"][1]["event"], "routed");
  EXPECT_EQ(j["events"][1]["unix_ns"], 1'700'000'000'002'000'000u);
  EXPECT_EQ(j["events"][1]["exchange"], 5);
}

TEST_F(Served, Trace_OfOneConnectionOrCoreAndAtMostSoMany) {
  EXPECT_EQ(get("/trace?conn=12")["events"].size(), 3u);
  EXPECT_EQ(get("/trace?core=2")["events"].size(), 1u);
  EXPECT_EQ(get("/trace?last=2")["events"][0]["event"], "request_end");
  EXPECT_EQ(get("/trace?conn=first", 400)["error"], "conn= wants a number");
}

TEST_F(Served, Record_SwitchesGroupsByName) {
  EXPECT_EQ(call("POST", "/record?groups=requests,timers")["recording"], "timers,requests");
  EXPECT_EQ(gateway.recording, bit_of(contract::EventGroup::requests) | bit_of(contract::EventGroup::timers));
  EXPECT_EQ(get("/status")["recording"], "timers,requests");
  EXPECT_EQ(call("POST", "/record?groups=all")["events_per_core"], 64);
  EXPECT_EQ(gateway.recording, contract::kAllEventGroups);
  call("POST", "/record?groups=everything", 400);
  EXPECT_EQ(gateway.recording, contract::kAllEventGroups);
  EXPECT_EQ(call("POST", "/record")["recording"], "off");
  EXPECT_EQ(gateway.recording, 0u);
  call("GET", "/record", 405);
}

TEST_F(Served, Hosts_AreLinesOfAnHostsFile) { EXPECT_EQ(ask(path, "GET", "/hosts", 5)->body, "10.80.64.1\tauth-service\n"); }

TEST_F(Served, Reload_RunsTheHookAndARefusalIsAConflictWithItsProblems) {
  EXPECT_EQ(call("POST", "/reload")["applied"], true);
  gateway.accepts_reload = false;
  EXPECT_EQ(call("POST", "/reload", 409)["problems"][0], "gw.yaml:3:5: unknown key \"x\"");
  EXPECT_EQ(gateway.reloads, 2u);
}

TEST_F(Served, ReloadByGet_IsNotAllowed) {
  call("GET", "/reload", 405);
  EXPECT_EQ(gateway.reloads, 0u);
}

TEST_F(Served, Drain_OfOneEndpointAndOfAll) {
  call("POST", "/drain?endpoint=auth-service%2F10.0.0.11%3A80");
  EXPECT_EQ(gateway.drained_endpoint, "+auth-service/10.0.0.11:80");
  call("POST", "/drain?endpoint=auth-service/10.0.0.11:80&undo=1");
  EXPECT_EQ(gateway.drained_endpoint, "-auth-service/10.0.0.11:80");
  call("POST", "/drain?endpoint=nobody", 404);
  EXPECT_EQ(gateway.drains, 0u);
  call("POST", "/drain");
  EXPECT_EQ(gateway.drains, 1u);
}

TEST_F(Served, Endpoints_SayHowOftenAndUntilWhenTheyAreEjected) {
  const Json j = get("/endpoints");
  EXPECT_EQ(j[0]["ejections"], 1);
  EXPECT_EQ(j[0]["ejection_cause"], "consecutive5xx");
  EXPECT_EQ(j[0]["ejected_until"], "2023-11-14T22:13:50Z");
  EXPECT_EQ(j[1]["ejections"], 0);
  EXPECT_EQ(j[1]["ejection_cause"], nullptr);
  EXPECT_EQ(j[1]["ejected_until"], nullptr);
  gateway.board.set(4, contract::kHealthEjected);
  EXPECT_EQ(get("/services")[0]["ejected"], 1);
  EXPECT_EQ(get("/services")[0]["ejections"], 1);
}

TEST_F(Served, Healthcheck_IsToldByPostWhatToAnswer) {
  EXPECT_EQ(call("POST", "/healthcheck?answer=fail")["healthcheck"], "fail");
  EXPECT_FALSE(gateway.health_answer);
  call("POST", "/healthcheck?answer=ok");
  EXPECT_TRUE(gateway.health_answer);
  call("POST", "/healthcheck?answer=maybe", 400);
  call("GET", "/healthcheck?answer=fail", 405);
}

TEST_F(Served, Shift_IsToldWhatAndWhy) {
  using Verb = shift::Shifter::Verb;
  call("POST", "/shift?service=auth-service&do=alarm&reason=" + percent_encode("auth-5xx, p99"));
  EXPECT_EQ(gateway.shifted, "auth-service " + std::to_string(static_cast<u32>(Verb::alarm)) + " auth-5xx, p99");
  call("POST", "/shift?service=auth-service&do=rollback");
  EXPECT_EQ(gateway.shifted, "auth-service " + std::to_string(static_cast<u32>(Verb::rollback)) + " ");
  EXPECT_EQ(call("POST", "/shift?service=nobody&do=alarm", 409)["error"], "service nobody has no deployment");
  gateway.shifted = "nothing";
  call("POST", "/shift?service=auth-service&do=ring", 400);
  call("POST", "/shift?service=auth-service&do=alarm&reason=" + percent_encode("two\nlines"), 400);
  call("POST", "/shift?service=auth-service&do=alarm&reason=" + std::string(201, 'x'), 400);
  call("GET", "/shift?service=auth-service&do=alarm", 405);
  EXPECT_EQ(gateway.shifted, "nothing");
}

TEST_F(Served, Explain_GetsMethodUrlSourceAndFieldsDecoded) {
  const Json j = get("/explain?method=PUT&url=" + percent_encode("http://a:1/b?c=d&e=f") + "&source=10.0.0.1&fields=" + percent_encode("A: 1\nB: 2\n"));
  EXPECT_EQ(j["why"], "PUT http://a:1/b?c=d&e=f 10.0.0.1A: 1\nB: 2\n");
  EXPECT_EQ(get("/explain?url=http://nowhere/", 400)["error"], "nowhere is not a name of this gateway");
  get("/explain", 400);
}

TEST_F(Served, UnknownPath_IsNotFoundWithASentence) { EXPECT_EQ(get("/nothing", 404)["error"], "there is nothing at /nothing"); }

TEST_F(Served, GatewayWithoutAPlan_AnswersEmpty) {
  gateway.plan.reset();
  EXPECT_EQ(get("/services").size(), 0u);
  EXPECT_EQ(get("/status")["plan_generation"], 0);
  EXPECT_EQ(get("/connections")["shown"], 1);
}

TEST_F(Served, CallerThatSaysNothing_DoesNotHoldOthersUpForEver) {
  const int silent = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(connect(silent, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(get("/ready")["ready"], true);
  close(silent);
}

TEST_F(Served, Socket_IsForOwnerAndGroupOnly) {
  struct stat st {};
  ASSERT_EQ(stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777u, 0660u);
}

TEST_F(Served, SocketOfALiveGateway_IsNotTakenOver) {
  const auto second = UnixHttp::open(path, [](const Request&) { return Response{}; });
  ASSERT_FALSE(second.has_value());
  EXPECT_NE(second.error().find("another gateway"), std::string::npos);
  get("/ready");
}

TEST(UnixHttp, DeadSocket_IsReplaced) {
  const std::string path = "/tmp/ringway-dead-" + std::to_string(getpid()) + ".sock";
  const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(dead, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  close(dead);
  const auto server = UnixHttp::open(path, [](const Request&) { return Response{.body = "here", .content_type = "text/plain"}; });
  ASSERT_TRUE(server.has_value()) << server.error();
  EXPECT_EQ(ask(path, "GET", "/", 5)->body, "here");
}

TEST(UnixHttp, NoGateway_IsASentence) {
  const auto reply = ask("/tmp/ringway-no-such.sock", "GET", "/status", 1);
  ASSERT_FALSE(reply.has_value());
  EXPECT_NE(reply.error().find("is the gateway running"), std::string::npos);
}

}  // namespace
}  // namespace ringway::admin
