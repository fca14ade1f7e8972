// The scan alone: pieces, hits, positions, and rooms that do not disturb each other.

#include <gtest/gtest.h>

#include "control/compile/patterns.h"
#include "dataplane/inspect/pieces.h"
#include "dataplane/inspect/scan.h"
#include "tests/unit/route/world.h"

namespace ringway::test {
namespace {

using compile::PatternSet;
using contract::PieceKind;

struct ScanWorld {
  PatternSet set;
  u32 path = set.add(PieceKind::path, "", "/a[0-9]+");
  u32 header = set.add(PieceKind::header, "x-one", "v.*");
  u32 other = set.add(PieceKind::header, "x-two", "v.*");
  u32 query = set.add(PieceKind::query, "q", "[a-f]+");
  std::shared_ptr<const contract::PatternDb> db = set.build(2).value();
  std::vector<u32> all{0, 1, 2, 3};

  std::vector<bool> hits(const TestHead& head, std::span<const u32> pieces, u32 room = 0) {
    inspect::Scan scan(db.get(), room, pieces, *head);
    return {scan.matches(path), scan.matches(header), scan.matches(other), scan.matches(query)};
  }
};

TEST(Scan, EachPattern_SeesItsOwnPieceOnly) {
  ScanWorld w;
  const TestHead all("GET", "/a12?q=abc", "h", {{"X-One", "v1"}, {"x-TWO", "v2"}});
  EXPECT_EQ(w.hits(all, w.all), (std::vector<bool>{true, true, true, true}));
  const TestHead crossed("GET", "/v?q=a12", "h", {{"X-One", "/a1"}, {"x-two", "abc"}});
  EXPECT_EQ(w.hits(crossed, w.all), (std::vector<bool>{false, false, false, false}));
  const TestHead one("GET", "/b?q=zz", "h", {{"x-one", "v"}});
  EXPECT_EQ(w.hits(one, w.all), (std::vector<bool>{false, true, false, false}));
}

TEST(Scan, PiecesThatTheTableDoesNotNeed_AreLeftOut) {
  ScanWorld w;
  const TestHead all("GET", "/a12?q=abc", "h", {{"X-One", "v1"}, {"x-two", "v2"}});
  const std::vector<u32> some{1, 3};
  EXPECT_EQ(w.hits(all, some), (std::vector<bool>{false, true, false, true}));
  EXPECT_EQ(w.hits(all, {}), (std::vector<bool>{false, false, false, false}));
}

TEST(Scan, AScan_ForgetsTheOneBefore) {
  ScanWorld w;
  EXPECT_EQ(w.hits(TestHead("GET", "/a1?q=a"), w.all), (std::vector<bool>{true, false, false, true}));
  EXPECT_EQ(w.hits(TestHead("GET", "/b"), w.all), (std::vector<bool>{false, false, false, false}));
}

TEST(Scan, NothingRuns_BeforeTheFirstQuestion) {
  ScanWorld w;
  const TestHead head("GET", "/a1");
  inspect::Scan scan(w.db.get(), 0, w.all, *head);
  EXPECT_FALSE(scan.done());
  EXPECT_TRUE(scan.matches(w.path));
  EXPECT_TRUE(scan.done());
}

TEST(Scan, TwoRooms_KeepTheirOwnHits) {
  ScanWorld w;
  const TestHead hit("GET", "/a1"), miss("GET", "/b");
  inspect::Scan first(w.db.get(), 0, w.all, *hit), second(w.db.get(), 1, w.all, *miss);
  EXPECT_TRUE(first.matches(w.path));
  EXPECT_FALSE(second.matches(w.path));
  EXPECT_TRUE(first.matches(w.path));
}

TEST(Scan, LongValuesAndManyFields_AreReadWhereTheyLie) {
  ScanWorld w;
  Headers headers;
  for (int i = 0; i < 90; ++i) headers.emplace_back(std::string("h").append(std::to_string(i)), std::string(100, 'v'));
  headers.emplace_back("X-One", std::string(5000, 'v'));
  std::string target("/a");
  target.append(8000, '7').append("?q=").append(3000, 'f');
  const TestHead head("GET", target, "h", headers);
  EXPECT_EQ(w.hits(head, w.all), (std::vector<bool>{true, true, false, true}));
}

TEST(Pieces, QueryParameters_AreFoundByWholeNames) {
  const TestHead head("GET", "/?aa=1&a=2&b&a=3&=x&c=d=e");
  EXPECT_EQ(inspect::find_query(*head, "a"), "2");
  EXPECT_EQ(inspect::find_query(*head, "b"), "");
  EXPECT_EQ(inspect::find_query(*head, "c"), "d=e");
  EXPECT_EQ(inspect::find_query(*head, ""), "x");
  EXPECT_EQ(inspect::find_query(*head, "z"), std::nullopt);
  EXPECT_EQ(inspect::find_query(*TestHead("GET", "/"), "a"), std::nullopt);
}

TEST(Pieces, Headers_FoldLettersOnly) {
  EXPECT_TRUE(inspect::equals_lower("X-FoO", "x-foo"));
  EXPECT_FALSE(inspect::equals_lower("X\x0d" "Foo", "x-foo"));  // '-' without its case bit
  EXPECT_FALSE(inspect::equals_lower("@", "`"));
  EXPECT_FALSE(inspect::equals_lower("[", "{"));
}

}  // namespace
}  // namespace ringway::test
