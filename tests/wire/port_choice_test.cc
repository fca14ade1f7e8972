// Local ports by the port's RSS hash: whatever the remote, answers to a connection come to the queue of its core.

#include <gtest/gtest.h>

#include <set>

#include "src/lookup/toeplitz.h"
#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

TEST(PortChoice, EveryConnectionTakesAnotherPortThatHashesHome) {
  const std::vector<u16> reta{0, 1, 2, 3};
  const lookup::RssPortChooser chooser(lookup::kRssKeyMicrosoft, reta, 2, 20'000, 20'063);
  const u32 choices = chooser.choices(kTheirs, 8080, kOurs);
  ASSERT_GT(choices, 4u);
  auto c = Wire::small();
  c.port_chooser = &chooser;
  Wire w(c);
  std::set<u16> ports;
  for (u32 i = 0; i < choices; ++i) {
    const auto id = w.engine().connect(kOurs, kTheirs, 8080, 0, w.now);
    ASSERT_TRUE(id.has_value());
    const u16 port = w.engine().info(*id)->tuple.local_port;
    EXPECT_TRUE(chooser.lands(kTheirs, 8080, kOurs, port)) << port;
    ports.insert(port);
  }
  EXPECT_EQ(ports.size(), choices);
  EXPECT_FALSE(w.engine().connect(kOurs, kTheirs, 8080, 0, w.now).has_value()) << "no port that leads home is left";
  EXPECT_TRUE(w.engine().connect(kOurs, kTheirs, 8081, 0, w.now).has_value()) << "another remote has other ports";
  w.audit();
}

}  // namespace
}  // namespace ringway::test
