// Cookies that the gateway makes: the response brings one, in either protocol, and it leads back to the same endpoint.

#include "src/lookup/maglev.h"
#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

constexpr std::string_view kAttributes = "; Path=/; Max-Age=60; HttpOnly; SameSite=Lax";

class CookieRelayTest : public H2RelayTest {
 protected:
  // The one service hashes on a cookie that is made where there is none.
  void start_sticky(u32 endpoints, contract::AppProtocol protocol = contract::AppProtocol::http) {
    plan = test::one_service_plan(1, endpoints, protocol);
    contract::Service& service = plan->services[0];
    service.policy = contract::BalancePolicy::maglev;
    service.hash_on = contract::HashOn::cookie;
    service.hash_name = "sid";
    service.pools.cookie_attributes = kAttributes;
    contract::EndpointPool pool{.slot = contract::kServicesMax};
    std::vector<lookup::MaglevEndpoint> identities;
    for (u32 i = 0; i < endpoints; ++i) {
      pool.members.push_back(static_cast<u16>(i));
      identities.push_back({plan->endpoints[i].id, 1});
    }
    pool.maglev = lookup::build_maglev(identities, 251);
    service.pools.list.push_back(pool);
    service.pools.levels = 1;
    adopt(endpoints);
  }
  // Value of the cookie in the only Set-Cookie line of a head, "" when there is none.
  static std::string cookie_in(const std::string& head) {
    for (const char* name : {"\r\nSet-Cookie: ", "\r\nset-cookie: "}) {
      const auto at = head.find(name);
      if (at == std::string::npos) continue;
      EXPECT_EQ(head.find(name, at + 1), std::string::npos) << "a second one";
      const std::string line = head.substr(at + 14, head.find("\r\n", at + 2) - at - 14);
      EXPECT_TRUE(line.starts_with("sid=") && line.ends_with(kAttributes)) << line;
      return line.substr(4, line.find(';') - 4);
    }
    return "";
  }
  static std::string get_with(const std::string& cookie) {
    return "GET /a HTTP/1.1\r\nHost: web\r\nCookie: sid=" + cookie + "\r\n\r\n";
  }
};

TEST_F(CookieRelayTest, RequestWithout_GetsOneThatLeadsBack) {
  start_sticky(3);
  always(ok("x"));
  std::set<std::string> cookies;
  for (int i = 0; i < 12; ++i) {
    const std::string cookie = cookie_in(ask(kGet));
    ASSERT_EQ(cookie.size(), 16u);
    cookies.insert(cookie);
    const u32 first = seen_at.back();
    for (int again = 0; again < 3; ++again) {
      EXPECT_EQ(cookie_in(ask(get_with(cookie))), "");
      EXPECT_EQ(seen_at.back(), first);
    }
  }
  EXPECT_EQ(cookies.size(), 12u);
  EXPECT_EQ(std::set<u32>(seen_at.begin(), seen_at.end()).size(), 3u);
}

TEST_F(CookieRelayTest, H2Client_GetsOneAsWell) {
  start_sticky(3);
  always(ok("x"));
  const std::string cookie = cookie_in(ask_h2(kGet).head);
  ASSERT_EQ(cookie.size(), 16u);
  const u32 first = seen_at.back();
  for (int again = 0; again < 5; ++again) {
    EXPECT_EQ(cookie_in(ask_h2(get_with(cookie)).head), "");
    EXPECT_EQ(seen_at.back(), first);
  }
}

TEST_F(CookieRelayTest, InterimResponse_DoesNotCarryIt) {
  start_sticky(1);
  always("HTTP/1.1 103 Early Hints\r\n\r\n" + ok("x"));
  const std::string answer = ask(kGet);
  const auto final_head = answer.find("HTTP/1.1 200");
  ASSERT_NE(final_head, std::string::npos);
  EXPECT_EQ(answer.substr(0, final_head).find("Cookie"), std::string::npos);
  EXPECT_EQ(cookie_in(answer.substr(final_head)).size(), 16u);
}

TEST_F(CookieRelayTest, SwitchedProtocols_CarryIt) {
  start_sticky(1);
  always("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
  EXPECT_EQ(cookie_in(ask("GET / HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")).size(), 16u);
}

TEST_F(CookieRelayTest, OwnAnswer_DoesNotCarryIt) {
  start_sticky(1);
  always("nonsense\r\n\r\n");
  const std::string answer = ask(kGet);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(answer.find("Cookie"), std::string::npos);
}

TEST_F(CookieRelayTest, FirstTryFails_TheCookieNamesWhoAnswered) {
  start_sticky(3);
  // Endpoint 1 hangs up on everything; the request goes on to another.
  on_request = [this](Serving& s) {
    if (s.got.find("\r\n\r\n") == std::string::npos) return;
    s.got.clear();
    seen_at.push_back(s.endpoint);
    if (s.endpoint == 1) return world->server.tcp().abort(s.id);
    world->server.send(s.id, ok("x"));
  };
  u32 retried = 0;
  for (int i = 0; i < 20; ++i) {
    seen_at.clear();
    const u32 c = connect();
    say(c, kGet);
    world->run_for(100'000);  // a retry waits a little
    const std::string cookie = cookie_in(clients[c].got);
    ASSERT_EQ(cookie.size(), 16u);
    retried += seen_at.front() == 1;
    const u32 served = seen_at.back();
    ask(get_with(cookie));
    EXPECT_EQ(seen_at.back(), served);
  }
  EXPECT_GT(retried, 0u);
}

}  // namespace
}  // namespace ringway
