// The recorder: what is not wanted costs nothing and is not there, what is wanted is there field by field, the oldest goes.

#include "src/contract/recorder.h"

#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

namespace ringway::contract {
namespace {

struct Memory {
  explicit Memory(u32 records) : words(std::size_t{records} * EventRing::kWords), ring(words) { recorder.attach(ring); }
  std::vector<EventRing::Word> words;
  EventRing ring;
  Recorder recorder;
  u32 kept() const {
    u32 n = 0;
    for (u32 place = 0; place < ring.capacity(); ++place) {
      Event e;
      n += ring.read(place, e);
    }
    return n;
  }
};

TEST(Recorder, IsOffUntilItIsSwitchedOn) {
  Memory m(8);
  m.recorder.note<EventKind::request>({.x = 1});
  EXPECT_EQ(m.kept(), 0u);
  EXPECT_TRUE(m.recorder.record(kAllEventGroups));
  m.recorder.note<EventKind::request>({.x = 1});
  EXPECT_EQ(m.kept(), 1u);
  EXPECT_TRUE(m.recorder.record(0));
  m.recorder.note<EventKind::request>({.x = 1});
  EXPECT_EQ(m.kept(), 1u);
}

TEST(Recorder, WithoutMemoryCannotBeSwitchedOn) {
  Recorder recorder;
  EXPECT_FALSE(recorder.record(kAllEventGroups));
  recorder.note<EventKind::request>({.x = 1});
  EXPECT_EQ(recorder.groups(), 0u);
}

TEST(Recorder, KeepsTheGroupsThatAreWanted) {
  Memory m(8);
  m.recorder.record(bit_of(EventGroup::timers));
  m.recorder.note<EventKind::request>({});
  m.recorder.note<EventKind::segment_in>({});
  m.recorder.note<EventKind::timer>({});
  Event e;
  ASSERT_EQ(m.kept(), 1u);
  ASSERT_TRUE(m.ring.read(1, e));
  EXPECT_EQ(e.kind, EventKind::timer);
}

TEST(Recorder, ARecordIsReadAsItWasWritten) {
  Memory m(8);
  m.recorder.record(kAllEventGroups);
  m.recorder.at(0x1234'5678'9abc'def0);
  m.recorder.note<EventKind::picked>(
      {.code = 0xfe, .half = 0xfedc, .conn = 0xfedc'ba98, .exchange = 0x8765'4321, .x = 0xffff'fffe, .y = 0x8000'0001});
  Event e;
  ASSERT_TRUE(m.ring.read(1, e));
  EXPECT_EQ(e.kind, EventKind::picked);
  EXPECT_EQ(e.number, 1u);
  EXPECT_EQ(e.tsc, 0x1234'5678'9abc'def0u);
  EXPECT_EQ(e.code, 0xfe);
  EXPECT_EQ(e.half, 0xfedc);
  EXPECT_EQ(e.conn, 0xfedc'ba98u);
  EXPECT_EQ(e.exchange, 0x8765'4321u);
  EXPECT_EQ(e.x, 0xffff'fffeu);
  EXPECT_EQ(e.y, 0x8000'0001u);
}

TEST(Recorder, AFullRingGivesUpItsOldest) {
  Memory m(8);
  m.recorder.record(kAllEventGroups);
  for (u32 i = 1; i <= 21; ++i) m.recorder.note<EventKind::request>({.x = i});
  EXPECT_EQ(m.kept(), 8u);
  for (u32 number = 14; number <= 21; ++number) {
    Event e;
    ASSERT_TRUE(m.ring.read(number, e));
    EXPECT_EQ(e.number, number);
    EXPECT_EQ(e.x, number);
  }
}

TEST(Recorder, WhatIsBeingWrittenOrWasNeverWrittenIsNotRead) {
  Memory m(8);
  m.recorder.record(kAllEventGroups);
  Event e;
  EXPECT_FALSE(m.ring.read(1, e));
  m.recorder.note<EventKind::request>({});
  EXPECT_TRUE(m.ring.read(1, e));
  m.words[4].store(0);  // as the writer does first
  EXPECT_FALSE(m.ring.read(1, e));
  m.words[4].store(u64{0xff} << 24);  // no kind of ours
  EXPECT_FALSE(m.ring.read(1, e));
}

// A word that tells before it is read, and writes down what is stored in it.
struct TellingWord {
  static inline std::function<void()> before_load;
  static inline std::vector<std::pair<TellingWord*, u64>> stored;
  u64 value = 0;
  u64 load(std::memory_order) const {
    if (before_load) before_load();
    return value;
  }
  void store(u64 v, std::memory_order) {
    value = v;
    stored.emplace_back(this, v);
  }
};

// Every way in which the five stores of a writer may fall between the five loads of a reader.
TEST(Recorder, InNoOrderOfLoadsAndStoresIsATornRecordRead) {
  constexpr u32 kSteps = 5;
  std::vector<TellingWord> words(4);
  EventRingOf<TellingWord> ring(words);
  const auto write = [&](u32 number, u64 tsc, u64 ids, u64 numbers) {
    ring.write(number, ring.head_of(EventKind::request, static_cast<u8>(number), static_cast<u16>(number)), tsc, ids, numbers);
  };
  write(2, 20, 21, 22);
  const auto second = std::exchange(TellingWord::stored, {});
  ASSERT_EQ(second.size(), kSteps);
  u32 firsts = 0, seconds = 0, none = 0;
  std::vector<u32> stores_before(kSteps);  // of each load: how many of the writer's stores were made
  const std::function<void(u32)> each_order = [&](u32 load) {
    if (load < kSteps) {
      for (u32 n = load == 0 ? 0 : stores_before[load - 1]; n <= kSteps; ++n) {
        stores_before[load] = n;
        each_order(load + 1);
      }
      return;
    }
    TellingWord::before_load = nullptr;
    write(1, 10, 11, 12);
    u32 loads = 0, stores = 0;
    TellingWord::before_load = [&] {
      ASSERT_LT(loads, kSteps);
      for (; stores < stores_before[loads]; ++stores) second[stores].first->value = second[stores].second;
      ++loads;
    };
    Event e;
    if (!ring.read(0, e)) {
      ++none;
    } else if (e.number == 1) {
      EXPECT_TRUE(e.tsc == 10 && e.conn == 11 && e.x == 12) << testing::PrintToString(stores_before);
      ++firsts;
    } else {
      EXPECT_TRUE(e.number == 2 && e.tsc == 20 && e.conn == 21 && e.x == 22) << testing::PrintToString(stores_before);
      ++seconds;
    }
  };
  each_order(0);
  TellingWord::before_load = nullptr;
  TellingWord::stored.clear();
  EXPECT_EQ(firsts + seconds + none, 252u);
  EXPECT_GE(firsts, 1u);
  EXPECT_GE(seconds, 1u);
}

TEST(Recorder, EveryEventHasAGroupAndAText) {
  for (u32 k = 1; k < kEventKinds; ++k) {
    EXPECT_LT(kEventTexts[k].group, EventGroup::count_) << k;
    EXPECT_FALSE(kEventTexts[k].text.empty()) << k;
  }
  EXPECT_LE(kEventKinds, 256u);
  EXPECT_LE(kEventGroups, 32u);
}

}  // namespace
}  // namespace ringway::contract
