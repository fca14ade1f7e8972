// Requests of a service whose new version is being brought in: test traffic by its header, of the rest a share.

#include <gtest/gtest.h>

#include <cmath>

#include "dataplane/route/explain.h"
#include "tests/unit/route/world.h"

namespace ringway::test {
namespace {

class Version : public testing::Test {
 protected:
  Version() {
    w.add_service("blue", {1});
    w.add_service("green", {1});
    w.plan.services[0].deployment.green = 1;
    w.plan.services[0].deployment.test_header = "x-test";
    w.plan.shifts = board.get();
    listener.service = 0;
  }
  u32 to_green(u32 requests, const Headers& headers = {}) {
    const TestHead head("GET", "/", "blue", headers);
    u32 green = 0;
    for (u32 i = 0; i < requests; ++i) {
      const route::Match match = w.router->match(w.plan, listener, *head);
      EXPECT_EQ(match.green, match.service == 1);
      green += match.green;
    }
    return green;
  }

  World w;
  std::unique_ptr<contract::ShiftBoard> board = std::make_unique<contract::ShiftBoard>();
  contract::Listener listener;
};

TEST_F(Version, WithoutShareAndTestTrafficTheOldOneServes) { EXPECT_EQ(to_green(1000, {{"x-test", "1"}}), 0u); }

TEST_F(Version, ShareIsThatOfTheBoard) {
  // 100 000 draws of one share: five standard deviations either way.
  for (const u32 share : {10u, 500u, 2500u, 5000u, 9990u, 10'000u}) {
    board->set(0, share, false);
    const double p = share / 10'000.0;
    EXPECT_NEAR(to_green(100'000), 100'000 * p, 5 * std::sqrt(100'000 * p * (1 - p)) + 1e-9) << share;
  }
}

TEST_F(Version, TestTrafficIsMarkedByItsHeaderInAnyCase) {
  board->set(0, 0, true);
  EXPECT_EQ(to_green(10, {{"X-Test", "anything"}}), 10u);
  EXPECT_EQ(to_green(10, {{"x-tes", "anything"}}), 0u);
  EXPECT_EQ(to_green(10), 0u);
}

TEST_F(Version, TestTrafficWithAValueIsThatValueOnly) {
  board->set(0, 0, true);
  w.plan.services[0].deployment.test_value = "yes";
  EXPECT_EQ(to_green(10, {{"x-test", "no"}}), 0u);
  EXPECT_EQ(to_green(10, {{"x-test", "yes"}}), 10u);
  EXPECT_EQ(to_green(10, {{"x-test", "no"}, {"x-test", "yes"}}), 10u);
}

// explain shows the version that the cores would choose, and how it was chosen.
TEST_F(Version, ExplainSaysWhichOneServesAndWhy) {
  route::Explainer explainer(*w.board, *w.stats, 1);
  const auto told = [&](const Headers& headers) {
    const TestHead head("GET", "/", "blue", headers);
    const route::Explanation e = explainer.explain(w.plan, listener, *head, wire::Ip(wire::Ip4::of(10, 0, 0, 9)), 0);
    return e.service + " | " + (e.choices.empty() ? "" : e.choices.front());
  };
  board->set(0, 50, true);
  EXPECT_EQ(told({{"x-test", "1"}}), "green | deployment of blue: 0.5 % of the requests go to green, and all that have x-test; this one does");
  board->set(0, 0, false);
  EXPECT_EQ(told({{"x-test", "1"}}), "blue | deployment of blue: 0 % of the requests go to green; this one does not");
  w.plan.services[0].deployment.green = kNone32;
  EXPECT_EQ(told({}), "blue | ");
}

}  // namespace
}  // namespace ringway::test
