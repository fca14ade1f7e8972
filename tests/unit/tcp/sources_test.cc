// Sources against a map: counts stay right through collisions, wrap-around and removal.

#include "dataplane/tcp/sources.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace ringway::tcp {
namespace {

TEST(Sources, CountsAsAMapDoes) {
  std::mt19937 random(11);
  Sources sources(256, 0x1234'5678'9abc'def0);
  std::map<u32, u32> wanted;
  std::vector<u32> open;
  for (u32 turn = 0; turn < 200'000; ++turn) {
    if (open.size() < 256 && (open.empty() || random() % 2 == 0)) {
      const u32 v = static_cast<u32>(random() % 300 * 0x0100'0001);
      sources.add(wire::Ip4{v});
      ++wanted[v];
      open.push_back(v);
    } else {
      const std::size_t i = random() % open.size();
      sources.remove(wire::Ip4{open[i]});
      if (--wanted[open[i]] == 0) wanted.erase(open[i]);
      open[i] = open.back();
      open.pop_back();
    }
    const u32 v = static_cast<u32>(random() % 300 * 0x0100'0001);
    const auto known = wanted.find(v);
    ASSERT_EQ(sources.count(wire::Ip4{v}), known == wanted.end() ? 0 : known->second) << turn;
    ASSERT_EQ(sources.size(), wanted.size());
  }
  sources.clear();
  EXPECT_EQ(sources.size(), 0u);
  for (const u32 v : open) EXPECT_EQ(sources.count(wire::Ip4{v}), 0u);
}

}  // namespace
}  // namespace ringway::tcp
