// IndexList: order, membership and independence of links, against a std::list as the model.

#include "src/base/index_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>
#include <vector>

#include "src/base/slab.h"

namespace ringway {
namespace {

struct Element {
  IndexLink a;
  IndexLink b;
};
using ListA = IndexList<&Element::a>;
using ListB = IndexList<&Element::b>;

std::vector<u32> walk(const ListA& list, const std::vector<Element>& c) {
  std::vector<u32> out;
  for (u32 i = list.front(); i != kNone32; i = list.next(c, i)) out.push_back(i);
  return out;
}

TEST(IndexList, PushBackAndFront_KeepOrder) {
  std::vector<Element> c(4);
  ListA list;
  EXPECT_TRUE(list.empty());
  list.push_back(c, 1);
  list.push_back(c, 2);
  list.push_front(c, 0);
  list.push_back(c, 3);
  EXPECT_EQ(walk(list, c), (std::vector<u32>{0, 1, 2, 3}));
  EXPECT_EQ(list.back(), 3u);
  EXPECT_EQ(list.size(), 4u);
}

TEST(IndexList, PopFrontOnEmpty_IsNone) {
  std::vector<Element> c(1);
  ListA list;
  EXPECT_EQ(list.pop_front(c), kNone32);
  list.push_back(c, 0);
  EXPECT_EQ(list.pop_front(c), 0u);
  EXPECT_EQ(list.pop_front(c), kNone32);
  EXPECT_TRUE(list.empty());
}

TEST(IndexList, SoleElement_IsLinkedUntilRemoved) {
  std::vector<Element> c(2);
  ListA list;
  list.push_back(c, 1);
  EXPECT_TRUE(list.linked(c, 1));
  EXPECT_FALSE(list.linked(c, 0));
  list.remove(c, 1);
  EXPECT_FALSE(list.linked(c, 1));
}

TEST(IndexList, TwoLinks_AreIndependent) {
  std::vector<Element> c(3);
  ListA a;
  ListB b;
  for (u32 i = 0; i < 3; i++) {
    a.push_back(c, i);
    b.push_front(c, i);
  }
  a.remove(c, 1);
  EXPECT_EQ(walk(a, c), (std::vector<u32>{0, 2}));
  EXPECT_TRUE(b.linked(c, 1));
  EXPECT_EQ(b.pop_front(c), 2u);
  EXPECT_EQ(b.pop_front(c), 1u);
  EXPECT_EQ(b.pop_front(c), 0u);
}

TEST(IndexList, OverASlab_Works) {
  Slab<Element> slab(4);
  ListA list;
  const u32 i = slab.alloc();
  list.push_back(slab, i);
  EXPECT_EQ(list.pop_front(slab), i);
}

TEST(IndexListDeath, PushingWhatIsLinked_IsCaught) {
  std::vector<Element> c(2);
  ListA list;
  list.push_back(c, 0);
  EXPECT_DEATH(list.push_back(c, 0), "assertion failed");
  EXPECT_DEATH(list.remove(c, 1), "assertion failed");
}

TEST(IndexList, RandomisedAgainstStdList_SameOrder) {
  std::mt19937 random(7);
  std::vector<Element> c(32);
  ListA list;
  std::list<u32> model;
  for (int step = 0; step < 20'000; step++) {
    const u32 i = static_cast<u32>(random() % 32);
    const auto at = std::find(model.begin(), model.end(), i);
    ASSERT_EQ(list.linked(c, i), at != model.end());
    if (at != model.end()) {
      list.remove(c, i);
      model.erase(at);
    } else if (random() % 2 == 0) {
      list.push_back(c, i);
      model.push_back(i);
    } else {
      list.push_front(c, i);
      model.push_front(i);
    }
    ASSERT_EQ(list.size(), model.size());
    ASSERT_EQ(walk(list, c), std::vector<u32>(model.begin(), model.end()));
  }
}

}  // namespace
}  // namespace ringway
