// The scoreboard against a model of one byte each, and RACK-TLP and PRR against the arithmetic of RFC 8985 and RFC 6937.

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "dataplane/tcp/prr.h"
#include "dataplane/tcp/rack.h"
#include "dataplane/tcp/scoreboard.h"

namespace ringway::tcp {
namespace {

using wire::SeqNo;

constexpr SeqNo kStart{0xffff'fe00};

std::string text(const Scoreboard& b) {
  std::string s;
  for (u32 i = 0; i < b.runs(); ++i) {
    s += std::to_string(b.begin(i) - kStart) + "-" + std::to_string(b.run(i).end - kStart) + ":" +
         (b.run(i).state & Scoreboard::kSacked ? "S" : b.run(i).state & Scoreboard::kLost ? "L" : "f") +
         (b.run(i).state & Scoreboard::kAgain && !(b.run(i).state & Scoreboard::kSacked) ? "a " : " ");
  }
  return s;
}

Scoreboard ten() {  // ten segments of 100 bytes, one per 10 us
  Scoreboard b;
  b.start(kStart);
  for (u32 i = 1; i <= 10; ++i) b.sent(kStart + 100 * i, 1000 + 10 * i, 0);
  return b;
}

Delivered at(u32 now, const Scoreboard& b) {
  Delivered d;
  d.now_us = now;
  d.highest = b.highest_delivered();
  return d;
}

TEST(Scoreboard, SendsWithinOneGrainAreOneRun) {
  Scoreboard b;
  b.start(kStart);
  b.sent(kStart + 100, 1024, 4);
  b.sent(kStart + 200, 1039, 4);
  b.sent(kStart + 300, 1040, 4);
  EXPECT_EQ(text(b), "0-200:f 200-300:f ");
  EXPECT_EQ(b.pipe(), 300u);
}

TEST(Scoreboard, SackSplitsRunsAndTheLastSentIsReported) {
  Scoreboard b = ten();
  Delivered d = at(2000, b);
  b.sack(kStart + 200, kStart + 350, d);
  EXPECT_EQ(text(b), "0-100:f 100-200:f 200-350:S 350-400:f 400-500:f 500-600:f 600-700:f 700-800:f 800-900:f 900-1000:f ");
  EXPECT_EQ(d.bytes, 150u);
  EXPECT_EQ(d.sent_us, 1040u);
  EXPECT_EQ(d.end, kStart + 350);
  EXPECT_FALSE(d.reordered);
  EXPECT_EQ(b.pipe(), 850u);
  b.sack(kStart + 200, kStart + 350, d);
  EXPECT_EQ(d.bytes, 150u) << "the same block twice";
}

// What shares a run left before the run's time, and would make round trips shorter than they are.
TEST(Scoreboard, OnlyTheLastByteOfARunOfManyMomentsTellsARoundTrip) {
  const auto board = [] {
    Scoreboard b;
    b.start(kStart);
    b.sent(kStart + 100, 1024, 4);
    b.sent(kStart + 200, 1030, 4);
    return b;
  };
  Scoreboard b = board();
  Delivered d = at(2030, b);
  b.ack(kStart + 100, d);
  EXPECT_EQ(d.rtt_us, 0u);
  EXPECT_TRUE(d.any);
  b.ack(kStart + 200, d);
  EXPECT_EQ(d.rtt_us, 1000u);
  b = board();
  Delivered e = at(2030, b);
  b.sack(kStart + 50, kStart + 150, e);
  b.ack(kStart + 50, e);
  EXPECT_EQ(e.rtt_us, 0u);
  b.sack(kStart + 150, kStart + 200, e);
  EXPECT_EQ(e.rtt_us, 1000u);
}

TEST(Scoreboard, UsedUpRunsAreJoinedByTheirTimesAndNotAllToTheLatest) {
  Scoreboard b;
  b.start(kStart);
  const u32 sends = 4 * Scoreboard::kRuns;
  for (u32 i = 1; i <= sends; ++i) b.sent(kStart + 100 * i, 100 * i, 0);
  EXPECT_TRUE(b.recount());
  for (u32 i = 1; i <= sends; ++i) {
    Delivered d = at(100 * i + 100'000, b);
    b.ack(kStart + 100 * i, d);
    ASSERT_LE(d.sent_us, 100 * i + 100 * sends / 16) << i;
    if (d.rtt_us != 0) {
      ASSERT_EQ(d.rtt_us, 100'000u) << i;
    }
  }
}

TEST(Scoreboard, ArrivalBehindWhatWasSentLaterIsReordering) {
  Scoreboard b = ten();
  Delivered d = at(2000, b);
  b.sack(kStart + 500, kStart + 600, d);
  EXPECT_FALSE(d.reordered);
  Delivered e = at(2000, b);
  b.sack(kStart + 200, kStart + 300, e);
  EXPECT_TRUE(e.reordered);
  Delivered f = at(2000, b);
  b.ack(kStart + 100, f);
  EXPECT_TRUE(f.reordered);
}

TEST(Scoreboard, DetectMarksWhatWasSentBeforeAndLongEnoughAgo) {
  Scoreboard b = ten();
  u32 wait = 0;
  EXPECT_EQ(b.detect(kStart + 400, 1040, 1130, 100, wait), 300u);
  EXPECT_EQ(wait, 0u) << "the fourth is what arrived, the others were sent later";
  EXPECT_EQ(b.lost(), 300u);
  b = ten();
  EXPECT_EQ(b.detect(kStart + 400, 1040, 1120, 100, wait), 200u);
  EXPECT_EQ(wait, 10u);
}

TEST(Scoreboard, LostRangesAreWalkedAndWhatWentAgainIsInFlightAgain) {
  Scoreboard b = ten();
  Delivered d = at(2000, b);
  b.sack(kStart + 300, kStart + 400, d);
  u32 wait = 0;
  b.detect(kStart + 400, 1040, 9000, 100, wait);
  SeqNo from;
  EXPECT_EQ(b.next_lost(from, 150), 150u);
  EXPECT_EQ(from, kStart);
  b.again(from, 150, 9000);
  EXPECT_EQ(b.next_lost(from, 1000), 150u);
  EXPECT_EQ(from, kStart + 150);
  b.again(from, 150, 9000);
  EXPECT_EQ(b.next_lost(from, 1000), 0u);
  EXPECT_EQ(b.pipe(), 900u);
  EXPECT_TRUE(b.recount());
}

TEST(Scoreboard, FirstByteSackedAtATimeoutMeansThatThePeerReneged) {
  Scoreboard b = ten();
  Delivered d = at(2000, b);
  b.sack(kStart, kStart + 300, d);
  EXPECT_TRUE(b.lose_all());
  EXPECT_EQ(b.lost(), 1000u);
  EXPECT_EQ(b.sacked(), 0u);
  b = ten();
  b.sack(kStart + 100, kStart + 300, d);
  EXPECT_FALSE(b.lose_all());
  EXPECT_EQ(b.sacked(), 200u);
}

TEST(Regret14, ManyTinyBlocksNeverOpenMoreRunsThanThereAre) {
  Scoreboard b;
  b.start(kStart);
  b.sent(kStart + 10'000, 1000, 0);
  Delivered d = at(2000, b);
  for (u32 i = 1; i < 9000; i += 2) {
    b.sack(kStart + i, kStart + i + 1, d);
    ASSERT_LE(b.runs(), Scoreboard::kRuns);
    ASSERT_TRUE(b.recount());
  }
  for (u32 i = 1; i < 200; ++i) {
    b.sent(kStart + 10'000 + i * 100, 5000 + i, 0);
    ASSERT_LE(b.runs(), Scoreboard::kRuns);
    ASSERT_TRUE(b.recount());
  }
  EXPECT_EQ(b.end(), kStart + 10'000 + 19'900);
}

// Every byte on its own: 0 in flight, 1 SACKed, 2 lost.
TEST(Scoreboard, AgreesWithAModelOfBytesOverRandomHistories) {
  for (u32 seed = 0; seed < 200; ++seed) {
    std::mt19937 rng(seed);
    Scoreboard b;
    b.start(kStart);
    std::vector<u8> model;
    u32 una = 0, now = 1000;
    for (u32 step = 0; step < 300; ++step) {
      now += static_cast<u32>(rng() % 50);
      Delivered d = at(now, b);
      const u32 end = static_cast<u32>(model.size());
      const u32 x = una + (end == una ? 0 : static_cast<u32>(rng() % (end - una + 1)));
      const u32 y = std::min<u32>(end, x + static_cast<u32>(rng() % 300));
      switch (rng() % 6) {
        case 0:
        case 1:
          model.resize(end + 1 + rng() % 200, 0);
          b.sent(kStart + static_cast<u32>(model.size()), now, 3);
          break;
        case 2:
          b.ack(kStart + x, d);
          una = x;
          break;
        case 3: {
          const u32 before = b.sacked();
          b.sack(kStart + x, kStart + y, d);
          if (b.sacked() - before == d.bytes && b.runs() < Scoreboard::kRuns - 2)
            for (u32 i = x; i < y; ++i) model[i] = 1;
          break;
        }
        case 4:
          if (rng() % 8 == 0) {
            const bool reneged = b.lose_all();
            for (u32 i = una; i < end; ++i) model[i] = !reneged && model[i] == 1 ? 1 : 2;
          }
          break;
        default: {
          SeqNo from;
          const u32 n = b.next_lost(from, 100);
          if (n == 0) break;
          b.again(from, n, now);
          const u32 f = static_cast<u32>(from - kStart);
          for (u32 i = f; i < f + n; ++i) model[i] = 0;
        }
      }
      u32 count[3] = {};
      for (u32 i = una; i < model.size(); ++i) ++count[model[i]];
      if (b.runs() >= Scoreboard::kRuns - 2) break;  // beyond this the board may know less than the model
      ASSERT_TRUE(b.recount()) << seed << " " << text(b);
      ASSERT_EQ(b.pipe(), count[0]) << seed << " step " << step << " " << text(b);
      ASSERT_EQ(b.sacked(), count[1]) << seed << " step " << step << " " << text(b);
      ASSERT_EQ(b.lost(), count[2]) << seed << " step " << step << " " << text(b);
    }
  }
}

// --- RFC 8985
TEST(Rfc8985_6_2, WindowIsNothingUntilReorderingWasSeenAndThreeAreSacked) {
  Rack r;
  r.min_rtt_us = 1000;
  EXPECT_EQ(r.window_us(1000, true, false), 0u);
  EXPECT_EQ(r.window_us(1000, false, true), 0u);
  EXPECT_EQ(r.window_us(1000, false, false), 250u);
  r.reordering_seen = true;
  EXPECT_EQ(r.window_us(1000, true, true), 250u);
}

TEST(Rfc8985_6_2, WindowGrowsOncePerRoundOfDsacksUpToSrttAndShrinksAfter16Recoveries) {
  Rack r;
  r.min_rtt_us = 1000;
  r.on_dsack(SeqNo{5000});
  r.on_dsack(SeqNo{5000});
  EXPECT_EQ(r.window_us(4000, true, true), 500u);
  r.on_ack(SeqNo{5000});
  r.on_dsack(SeqNo{9000});
  EXPECT_EQ(r.window_us(4000, true, true), 750u);
  EXPECT_EQ(r.window_us(600, true, true), 600u);
  for (u32 i = 0; i < 16; ++i) r.on_recovery_end();
  EXPECT_EQ(r.window_us(4000, true, true), 250u);
}

TEST(Rfc8985_6_2, TheLastSentAmongTheDeliveredRules) {
  Rack r;
  Delivered d;
  d.any = true;
  d.sent_us = 300;
  d.rtt_us = 200;
  d.end = SeqNo{100};
  r.on_delivered(d);
  EXPECT_EQ(r.rtt_us, 200u);
  d.sent_us = 250;
  d.rtt_us = 250;
  d.end = SeqNo{50};
  r.on_delivered(d);
  EXPECT_EQ(r.sent_us, 300u);
  EXPECT_EQ(r.end, SeqNo{100});
  EXPECT_EQ(r.min_rtt_us, 200u);
}

TEST(Rfc8985_7_2, ProbeComesAfterTwoRoundTripsAndWaitsForADelayedAckOfOneSegment) {
  EXPECT_EQ(probe_timeout_us(10'000, false, 200'000), 20'000u);
  EXPECT_EQ(probe_timeout_us(10'000, true, 200'000), 60'000u);
  EXPECT_EQ(probe_timeout_us(10, false, 200'000), kTlpFloorUs);
  EXPECT_EQ(probe_timeout_us(10'000, true, 30'000), 30'000u);
  EXPECT_EQ(probe_timeout_us(0, false, 1'000'000), 1'000'000u);
}

// --- RFC 6937
TEST(Rfc6937_3_1, ProportionalPartLetsHalfOutOverTheRound) {
  Prr p;
  p.start(20'000);
  u32 pipe = 19'000, out = 0;
  for (u32 i = 0; i < 10; ++i) {  // ten acknowledgements, ssthresh is half
    pipe -= 1000;
    const u32 quota = p.on_ack(1000, pipe, 10'000, 1000);
    const u32 n = quota / 1000 * 1000;
    p.on_sent(n);
    pipe += n;
    out += n;
  }
  EXPECT_EQ(out, 5000u);
}

TEST(Rfc6937_3_1, BelowTheThresholdItGrowsByOneSegmentPerAckAtMost) {
  Prr p;
  p.start(20'000);
  EXPECT_EQ(p.on_ack(1000, 2000, 10'000, 1000), 2000u);
  p.on_sent(2000);
  EXPECT_EQ(p.on_ack(1000, 3000, 10'000, 1000), 2000u);
  EXPECT_EQ(p.on_ack(1000, 9500, 10'000, 1000), 500u);
}

}  // namespace
}  // namespace ringway::tcp
