// The PROXY protocol through a whole core: who the client is when a trusted front end says so, and what endpoints are told.

#include <set>

#include "src/wire/proxy_protocol.h"
#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

using wire::ProxyVersion;

const wire::ProxyEnds kEnds{wire::Ip4::of(203, 0, 113, 7), wire::Ip4::of(198, 51, 100, 1), 4711, 443};
const wire::ProxyEnds kEnds6{wire::Ip6::of(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7), wire::Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 1), 4711, 443};

std::string header(ProxyVersion version, const wire::ProxyEnds& ends = kEnds) {
  u8 out[wire::kProxyWrittenBytesMax];
  return {reinterpret_cast<const char*>(out), wire::write_proxy_header(version, ends, out)};
}
std::string local_header() {
  u8 out[wire::kProxyWrittenBytesMax];
  return {reinterpret_cast<const char*>(out), wire::write_proxy_local(ProxyVersion::v2, kEnds, out)};
}

class ProxyTest : public H2RelayTest {
 protected:
  // From the network of all clients here, unless told otherwise.
  void trust(wire::Ip6Prefix from = {wire::Ip(wire::Ip4::of(10, 1, 0, 0)).ip6(), 120}) { plan->listeners[0].proxies = {from}; }
  void expect_refused(u32 client, u64 times = 1) {
    EXPECT_TRUE(clients[client].closed);
    EXPECT_EQ(clients[client].got, "");
    EXPECT_EQ(count(Counter::proxy_refused), times);
    EXPECT_EQ(count(Counter::proxy_headers), 0u);
  }
};

TEST_F(ProxyTest, TheClientThatAHeaderNamesIsTheClient) {
  start();
  trust();
  always(ok("x"));
  for (const ProxyVersion version : {ProxyVersion::v1, ProxyVersion::v2, ProxyVersion::v2_crc32c}) {
    EXPECT_THAT(ask(header(version) + std::string(kGet)), EndsWith("x"));
    EXPECT_THAT(seen.back(), HasSubstr("X-Forwarded-For: 203.0.113.7\r\n"));
  }
  EXPECT_THAT(ask(header(ProxyVersion::v2, kEnds6) + std::string(kGet)), EndsWith("x"));
  EXPECT_THAT(seen.back(), HasSubstr("X-Forwarded-For: 2001:db8::7\r\n"));
  EXPECT_EQ(count(Counter::proxy_headers), 4u);
}

TEST_F(ProxyTest, ItIsTheClientOfEveryRequestOfTheConnection) {
  start();
  trust();
  always(ok("x"));
  const u32 c = connect();
  say(c, header(ProxyVersion::v1) + std::string(kGet));
  say(c, kGet);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_THAT(seen[1], HasSubstr("X-Forwarded-For: 203.0.113.7\r\n"));
}

TEST_F(ProxyTest, ItIsHashedOn) {
  plan = test::one_service_plan(1, 3);
  plan->services[0].policy = contract::BalancePolicy::maglev;
  plan->services[0].bound_percent = 0;
  plan->services[0].maglev.resize(contract::kMaglevSlotsDefault);
  for (u32 i = 0; i < plan->services[0].maglev.size(); ++i) plan->services[0].maglev[i] = static_cast<u16>(i % 3);
  trust();
  adopt(3);
  always(ok("x"));
  std::set<u32> of_one, of_many;
  for (u8 i = 0; i < 6; ++i) {
    ask(header(ProxyVersion::v2) + std::string(kGet));
    of_one.insert(seen_at.back());
  }
  for (u8 i = 0; i < 20; ++i) {
    ask(header(ProxyVersion::v2, {wire::Ip4::of(203, 0, 113, i), kEnds.destination, 1, 443}) + std::string(kGet));
    of_many.insert(seen_at.back());
  }
  EXPECT_EQ(of_one.size(), 1u);
  EXPECT_EQ(of_many.size(), 3u);
}

TEST_F(ProxyTest, AHeaderMayComeByteByByteAndSoMayWhatFollows) {
  start();
  trust();
  always(ok("x"));
  const u32 c = connect();
  for (const char byte : header(ProxyVersion::v2_crc32c) + std::string(kGet)) say(c, std::string(1, byte));
  EXPECT_THAT(clients[c].got, EndsWith("x"));
  EXPECT_THAT(seen.back(), HasSubstr("X-Forwarded-For: 203.0.113.7\r\n"));
}

TEST_F(ProxyTest, LocalConnectionsAreTheFrontEndsOwn) {
  start();
  trust();
  always(ok("x"));
  ask(local_header() + std::string(kGet));
  EXPECT_THAT(seen.back(), HasSubstr("X-Forwarded-For: 10.1.0.2\r\n"));
  ask("PROXY UNKNOWN\r\n" + std::string(kGet));
  EXPECT_THAT(seen.back(), HasSubstr("X-Forwarded-For: 10.1.0.2\r\n"));
}

TEST_F(ProxyTest, AnHttp2ConnectionMayFollow) {
  start();
  trust();
  always(ok("x"));
  const u32 c = static_cast<u32>(client_side->peers.size());
  const auto conn = world->client.tcp().connect(test::World::kClient, kVip, 80, kH2 | c, world->now_us);
  world->client.send(*conn, header(ProxyVersion::v2));
  client_side->peers.push_back({.conn = *conn, .h2 = client_side->h2.open(http::H2Role::client, {}, world->now_us)});
  world->run_for(1000);
  EXPECT_EQ(answer_to(c, request(c, kGet)).body, "x");
  EXPECT_THAT(seen.back(), HasSubstr("203.0.113.7"));
}

TEST_F(ProxyTest, ATrustedFrontEndWithoutAHeaderIsEnded) {
  start();
  trust();
  always(ok("x"));
  const u32 c = connect();
  say(c, kGet);
  expect_refused(c);
  EXPECT_TRUE(seen.empty());
}

TEST_F(ProxyTest, SoIsOneWhoseHeaderIsWrongOrEndsEarlyOrNamesNobodysAddress) {
  start();
  trust();
  const std::string summed = header(ProxyVersion::v2_crc32c);
  std::string wrong = summed;
  wrong[20] = static_cast<char>(wrong[20] ^ 1);
  u64 times = 0;
  for (const std::string& bytes : {std::string("PROXY TCP4 1.2.3.4\r\n"), wrong,
                                   header(ProxyVersion::v1, {wire::Ip4::of(255, 255, 255, 255), kEnds.destination, 1, 1}),
                                   header(ProxyVersion::v1, {wire::Ip6{}, wire::Ip6{}, 1, 1})}) {
    const u32 c = connect();
    say(c, bytes + std::string(kGet));
    expect_refused(c, ++times);
  }
  const u32 c = connect();
  say(c, summed.substr(0, 20));
  world->client.tcp().shutdown(clients[c].id);
  world->run_for(3000);
  expect_refused(c, ++times);
}

TEST_F(ProxyTest, AHeaderThatDoesNotComeInTimeEndsTheConnection) {
  start();
  trust();
  plan->limits.header_timeout_us = 100'000;
  const u32 silent = connect();
  const u32 slow = connect();
  say(slow, "PROXY ");
  world->run_for(120'000);
  expect_refused(silent, 2);
  expect_refused(slow, 2);
}

TEST_F(ProxyTest, FromAnybodyElseItIsNoHeader) {
  start();
  trust({wire::Ip(wire::Ip4::of(10, 1, 0, 128)).ip6(), 121});
  always(ok("x"));
  for (const std::string& bytes : {header(ProxyVersion::v1), header(ProxyVersion::v2)}) {
    EXPECT_THAT(ask(bytes + std::string(kGet)), StartsWith("HTTP/1.1 400 "));
  }
  EXPECT_TRUE(seen.empty());
  EXPECT_THAT(ask(kGet), EndsWith("x"));
  EXPECT_EQ(count(Counter::proxy_headers) + count(Counter::proxy_refused), 0u);
}

class ProxyVersionsTest : public ProxyTest, public testing::WithParamInterface<ProxyVersion> {};
INSTANTIATE_TEST_SUITE_P(Each, ProxyVersionsTest, testing::Values(ProxyVersion::v1, ProxyVersion::v2, ProxyVersion::v2_crc32c));

TEST_P(ProxyVersionsTest, AnEndpointIsToldOfTheClientInFrontOfTheFirstByte) {
  start(1, contract::AppProtocol::tcp);
  plan->services[0].proxy_protocol = GetParam();
  on_request = [](Serving&) {};
  const u32 c = connect();
  ASSERT_EQ(serving.size(), 1u);
  const u16 port = world->client.tcp().tuple(clients[c].id).local_port;
  const std::string told = header(GetParam(), {test::World::kClient, kVip, port, 80});
  EXPECT_EQ(serving[0].got, told) << "before the client has said anything";
  say(c, "hello");
  EXPECT_EQ(serving[0].got, told + "hello");
  EXPECT_EQ(world->stats.services[0].bytes_in.get(), 5u) << "the client's bytes alone";
}

TEST_P(ProxyVersionsTest, AHealthCheckSaysThatItIsTheGatewaysOwn) {
  plan = test::one_service_plan(1, 1, contract::AppProtocol::tcp);
  plan->services[0].proxy_protocol = GetParam();
  plan->services[0].health_check = {.kind = contract::HealthCheckKind::http, .request = "GET / HTTP/1.1\r\nHost: web\r\n\r\n"};
  adopt(1);
  std::string heard;
  on_request = [&](Serving& s) {
    heard += std::exchange(s.got, {});
    if (heard.ends_with("web\r\n\r\n")) world->server.send(s.id, ok("fine"));
  };
  contract::Mail mail;
  mail.kind = MailKind::probe;
  mail.plan = plan.get();
  world->inbox.push(mail);
  world->run_for(5000);
  const wire::ProxyHeader told = wire::read_proxy_header(bytes_of(heard), 200);
  ASSERT_EQ(told.status, wire::ProxyHeader::Status::complete);
  EXPECT_EQ(told.ends.has_value(), GetParam() == ProxyVersion::v1) << "which has no word for it but the connection's own ends";
  if (told.ends) {
    EXPECT_EQ(told.ends->source, wire::Ip(test::World::kBack));
    EXPECT_EQ(told.ends->destination, wire::Ip(test::World::endpoint_ip(0)));
  }
  EXPECT_EQ(heard.substr(told.bytes), plan->services[0].health_check.request);
  const auto done = mails(MailKind::probe_done);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].outcome, Outcome::success);
}

TEST_F(ProxyTest, WhomAFrontEndNamesTheEndpointIsToldOf) {
  start(1, contract::AppProtocol::tcp);
  trust();
  plan->services[0].proxy_protocol = ProxyVersion::v2;
  on_request = [](Serving&) {};
  const u32 c = connect();
  EXPECT_TRUE(serving.empty()) << "nobody is connected to before the header has come";
  say(c, header(ProxyVersion::v1, kEnds6) + "hello");
  ASSERT_EQ(serving.size(), 1u);
  EXPECT_EQ(serving[0].got, header(ProxyVersion::v2, {kEnds6.source, kVip, 4711, 80}) + "hello");
}

TEST_F(ProxyTest, EveryTryTellsAnew) {
  start(2, contract::AppProtocol::tcp);
  plan->services[0].proxy_protocol = ProxyVersion::v1;
  std::vector<std::string> heard(2);
  on_request = [&](Serving& s) {
    heard[s.endpoint] += std::exchange(s.got, {});
    if (s.endpoint == 0 && !heard[0].empty()) world->server.tcp().abort(s.id);
  };
  const u32 c = connect();
  world->run_for(3000);
  say(c, "hello");
  EXPECT_THAT(heard[0], AllOf(StartsWith("PROXY TCP4 10.1.0.2 10.9.0.1 "), EndsWith(" 80\r\n")));
  EXPECT_EQ(heard[1], heard[0] + "hello");
}

}  // namespace
}  // namespace ringway
