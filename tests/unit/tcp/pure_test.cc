// The parts of tcp that need no packet: the table, RTT, sequence numbers of a new connection, headers, options.

#include <gtest/gtest.h>

#include <set>

#include "dataplane/tcp/flow_table.h"
#include "dataplane/tcp/isn.h"
#include "dataplane/tcp/listen.h"
#include "dataplane/tcp/rtt.h"
#include "dataplane/tcp/table.h"
#include "dataplane/tcp/time_wait.h"
#include "dataplane/tcp/timestamps.h"
#include "src/wire/tcp.h"
#include "src/wire/tcp_options.h"

namespace ringway::tcp {
namespace {

constexpr wire::Ip4 kHost{1};

using wire::SeqNo;

// --- table.def
TEST(Table, EveryStateHasARowAndEveryContradictionIsRefused) {
  for (u32 s = 0; s < kStateCount; ++s) {
    for (u32 f = 0; f < 64; ++f) {
      const u32 which = (f & gate::kSyn ? 1u : 0u) + (f & gate::kFin ? 1u : 0u) + (f & gate::kRst ? 1u : 0u);
      EXPECT_EQ(action(static_cast<State>(s), static_cast<u8>(f)) == Action::bad_flags, which > 1) << s << " " << f;
    }
  }
}

TEST(Table, RstIsNeverAnsweredByRst) {
  for (u32 s = 0; s < kStateCount; ++s) {
    EXPECT_NE(action(static_cast<State>(s), gate::kRst), Action::reset);
    EXPECT_NE(action(static_cast<State>(s), gate::kRst | gate::kAck), Action::reset);
  }
}

TEST(Table, OnlyAPlainSynBeginsAConnection) {
  for (u32 s = 0; s < kStateCount; ++s)
    for (u32 f = 0; f < 32; ++f)
      EXPECT_EQ(action(static_cast<State>(s), static_cast<u8>(f)) == Action::listen,
                static_cast<State>(s) == State::listen &&
                    (f & (gate::kSyn | gate::kAck | gate::kFin | gate::kRst)) == gate::kSyn);
}

TEST(Table, SynchronisedStatesRunTheStepsOfThe_3_10_7_4) {
  for (u32 s = 0; s < kStateCount; ++s) {
    const State state = static_cast<State>(s);
    if (!in(state, kSynchronised) || state == State::time_wait) continue;
    for (const u8 f : {u8{0}, u8{gate::kAck}, u8{gate::kFin | gate::kAck}, u8{gate::kSyn}, u8{gate::kRst}})
      EXPECT_EQ(action(state, f), Action::input);
  }
}

TEST(States, HaveTheirNamesOfTheRfc) {
  EXPECT_EQ(name(State::syn_rcvd), "SYN-RECEIVED");
  EXPECT_EQ(name(State::time_wait), "TIME-WAIT");
}

// --- RFC 6298
TEST(Rtt, FirstSampleGivesThreeTimesItself) {
  Rtt r;
  r.start(1'000'000);
  EXPECT_EQ(r.rto_us, 1'000'000u);
  r.sample(100'000, 1'000, 60'000'000);
  EXPECT_EQ(r.srtt_us(), 100'000u);
  EXPECT_EQ(r.rto_us, 300'000u);
}

TEST(Rtt, SteadySamplesShrinkTheVarianceToTheClockGranularity) {
  Rtt r;
  r.start(1'000'000);
  for (int i = 0; i < 200; ++i) r.sample(10'000, 1, 60'000'000);
  EXPECT_EQ(r.srtt_us(), 10'000u);
  EXPECT_NEAR(r.rto_us, 10'000 + kClockGranularityUs, 16);
}

TEST(Rtt, MinimumMaximumAndBackoffHold) {
  Rtt r;
  r.start(1'000'000);
  r.sample(1, 200'000, 60'000'000);
  EXPECT_EQ(r.rto_us, 200'000u);
  EXPECT_EQ(r.backed_off_us(3, 60'000'000), 1'600'000u);
  EXPECT_EQ(r.backed_off_us(200, 60'000'000), 60'000'000u);
  r.sample(~0u, 200'000, 60'000'000);
  EXPECT_EQ(r.rto_us, 60'000'000u);
}

TEST(Rtt, FollowsTheEquationsOfTheRfcInFloatingPoint) {
  Rtt r;
  r.start(1'000'000);
  double srtt = 0, var = 0;
  u32 sample = 20'000;
  for (int i = 0; i < 1000; ++i) {
    sample = sample * 1103515245 + 12345;
    const u32 us = 10'000 + sample % 50'000;
    if (i == 0) {
      srtt = us;
      var = us / 2.0;
    } else {
      var = 0.75 * var + 0.25 * std::abs(srtt - us);
      srtt = 0.875 * srtt + 0.125 * us;
    }
    r.sample(us, 1, 60'000'000);
    EXPECT_NEAR(r.srtt_us(), srtt, 8);
    EXPECT_NEAR(r.rto_us, srtt + 4 * var, 64);
  }
}

// --- flow table
TEST(FlowTable, FindsWhatWasInsertedAndNothingElse) {
  FlowTable t(1000);
  u32 x = 1;
  const auto next = [&] { return x = x * 1664525 + 1013904223; };
  std::vector<std::pair<u32, u32>> in;
  for (u32 i = 0; i < 1000; ++i) {
    in.emplace_back(next(), i);
    t.insert(in.back().first, i);
  }
  for (const auto& [hash, value] : in) EXPECT_EQ(t.find(hash, [v = value](u32 c) { return c == v; }), value);
  EXPECT_EQ(t.find(next(), [](u32) { return false; }), kNone32);
  for (u32 i = 0; i < 1000; i += 2) t.erase(in[i].first, i);
  EXPECT_EQ(t.size(), 500u);
  for (u32 i = 0; i < 1000; ++i)
    EXPECT_EQ(t.find(in[i].first, [&](u32 c) { return c == i; }), i % 2 == 0 ? kNone32 : i);
}

TEST(FlowTable, CollidingHashesSpillAndComeBackOutInAnyOrder) {
  FlowTable t(64);
  for (u32 i = 0; i < 64; ++i) t.insert(0x1234'0003, i);  // one bucket, one tag
  for (u32 i = 0; i < 64; ++i) EXPECT_EQ(t.find(0x1234'0003, [&](u32 c) { return c == i; }), i);
  for (u32 i = 0; i < 64; ++i) {
    const u32 out = i * 37 % 64;
    t.erase(0x1234'0003, out);
    EXPECT_EQ(t.find(0x1234'0003, [&](u32 c) { return c == out; }), kNone32);
  }
  EXPECT_EQ(t.size(), 0u);
  u32 looked_at = 0;
  t.find(0x1234'0003, [&](u32) { return ++looked_at, false; });
  EXPECT_EQ(looked_at, 0u);
}

TEST(FlowTable, ReplaceKeepsThePlace) {
  FlowTable t(8);
  t.insert(5, 1);
  t.replace(5, 1, 9);
  EXPECT_EQ(t.find(5, [](u32) { return true; }), 9u);
}

// --- listeners
TEST(Listeners, AddFindRemoveAgreeWithASet) {
  Listeners l(64);
  std::set<u16> is;
  u32 x = 7;
  for (u32 i = 0; i < 20'000; ++i) {
    x = x * 1664525 + 1013904223;
    const u16 port = static_cast<u16>(x >> 16 & 127);
    if (x & 0x80) {
      EXPECT_EQ(l.add(kHost, port, port), is.size() < 64 && !is.contains(port));
      if (is.size() < 64) is.insert(port);
    } else {
      l.remove(kHost, port);
      is.erase(port);
    }
    for (u16 p = 0; p < 128; p = static_cast<u16>(p + 13)) EXPECT_EQ(l.find(kHost, p) != nullptr, is.contains(p));
  }
  EXPECT_EQ(l.size(), is.size());
}

// --- TIME-WAIT records
TEST(TimeWaitRecords, ExpireInOrderOfTheirLastRestart) {
  TimeWait t(4, 10'240);
  const u32 a = t.add({}, {}, {}, 1'000'000);
  const u32 b = t.add({}, {}, {}, 1'005'000);
  EXPECT_EQ(t.due(1'009'000), kNone32);
  t.restart(a, 1'008'000);
  EXPECT_EQ(t.due(1'016'000), b);
  t.remove(b);
  EXPECT_EQ(t.due(1'016'000), kNone32);
  EXPECT_LE(t.next_us(1'016'000, 100'000), 3'072u);
  EXPECT_EQ(t.due(1'020'000), a);
}

// --- RFC 6528
TEST(Isn, SipHashGivesThePublishedVector) {
  // Aumasson and Bernstein, appendix A: key 00..0f, message 00..0e.
  SipHash k(0x0706050403020100, 0x0f0e0d0c0b0a0908);
  k.block(0x0706050403020100);
  k.block(0x0f0e'0d0c'0b0a'0908);  // seven bytes and the length, 15, in the top byte
  EXPECT_EQ(k.finish(), 0xa129ca6149be45e5u);
}

TEST(Isn, DependsOnTupleSecretAndClock) {
  const u64 s1[2] = {1, 2}, s2[2] = {1, 3};
  const wire::FourTuple t{kHost, wire::Ip4{2}, 3, 4}, u{kHost, wire::Ip4{2}, 3, 5};
  EXPECT_EQ(first_numbers(t, s1, 4000).iss - first_numbers(t, s1, 0).iss, 1000);
  EXPECT_NE(first_numbers(t, s1, 0).iss.v, first_numbers(u, s1, 0).iss.v);
  EXPECT_NE(first_numbers(t, s1, 0).iss.v, first_numbers(t, s2, 0).iss.v);
}

TEST(Isn, OffsetOfTimestampsDependsOnTupleAndSecretAndNotOnTheClock) {
  const u64 s1[2] = {1, 2}, s2[2] = {1, 3};
  const wire::FourTuple t{kHost, wire::Ip4{2}, 3, 4}, u{kHost, wire::Ip4{2}, 3, 5};
  EXPECT_EQ(first_numbers(t, s1, 4000).ts_offset, timestamp_offset(t, s1));
  EXPECT_EQ(first_numbers(t, s1, 0).ts_offset, timestamp_offset(t, s1));
  EXPECT_NE(timestamp_offset(t, s1), timestamp_offset(u, s1));
  EXPECT_NE(timestamp_offset(t, s1), timestamp_offset(t, s2));
  EXPECT_NE(timestamp_offset(t, s1), first_numbers(t, s1, 0).iss.v);
}

// --- header and options
TEST(TcpHeader, WhatIsWrittenIsRead) {
  u8 b[20];
  wire::write_tcp(b, {80, 40'000, SeqNo{0xfffffff0}, SeqNo{7}, 28, gate::kSyn | gate::kAck, 512});
  const wire::TcpView v(b);
  EXPECT_EQ(v.source_port(), 80);
  EXPECT_EQ(v.destination_port(), 40'000);
  EXPECT_EQ(v.seq().v, 0xfffffff0u);
  EXPECT_EQ(v.ack().v, 7u);
  EXPECT_EQ(v.header_bytes(), 28u);
  EXPECT_EQ(v.flags(), gate::kSyn | gate::kAck);
  EXPECT_EQ(v.window(), 512);
  EXPECT_EQ(v.checksum(), 0);
  EXPECT_EQ(v.urgent(), 0);
}

TEST(TcpOptions, SynOptionsHaveTheLayoutOfTheRfcs) {
  u8 b[8] = {};
  EXPECT_EQ(wire::write_syn_options(b, {1460, 7}), 8u);
  const u8 want[8] = {2, 4, 0x05, 0xb4, 1, 3, 3, 7};
  EXPECT_TRUE(std::equal(b, b + 8, want));
  EXPECT_EQ(wire::write_syn_options(b, {536, 0xff}), 4u);
  EXPECT_EQ(wire::syn_option_bytes({536, 0xff}), 4u);
}

TEST(TcpOptions, TimestampsAndSackPermittedShareFourBytesOnASyn) {
  const auto written = [](const wire::SynOptions& o) {
    u8 b[wire::kTcpSynOptionBytesMax] = {};
    const u32 n = wire::write_syn_options(b, o);
    EXPECT_EQ(n, wire::syn_option_bytes(o));
    return std::vector<u8>(b, b + n);
  };
  EXPECT_EQ(written({.mss = 1460, .window_scale = 7, .sack_permitted = true, .timestamps = true, .ts_value = 0x01020304,
                     .ts_echo = 0x05060708}),
            (std::vector<u8>{2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7}));
  EXPECT_EQ(written({.mss = 1460, .timestamps = true, .ts_value = 1, .ts_echo = 2}),
            (std::vector<u8>{2, 4, 5, 0xb4, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}));
  EXPECT_EQ(written({.mss = 1460, .window_scale = 7, .sack_permitted = true}),
            (std::vector<u8>{2, 4, 5, 0xb4, 4, 2, 1, 1, 1, 3, 3, 7}));
}

// --- timestamps
TEST(PeerStamps, OldIsWhatLiesBehindModulo2To32AndNotLongerAgoThan24Days) {
  const PeerStamp s{0xffff'fff0, 100, SeqNo{1000}};
  EXPECT_TRUE(s.is_old(0xffff'ffef, 200));
  EXPECT_FALSE(s.is_old(0xffff'fff0, 200));
  EXPECT_FALSE(s.is_old(5, 200));
  EXPECT_TRUE(s.is_old(0xffff'ffef, 99 + kTimestampStaleTicks));
  EXPECT_FALSE(s.is_old(0xffff'ffef, 100 + kTimestampStaleTicks));
}

TEST(PeerStamps, SeeTakesOnlyWhatBeginsAtOrBeforeTheLastAcknowledgement) {
  PeerStamp s{10, 100, SeqNo{1000}};
  s.see(20, SeqNo{1001}, 200);
  EXPECT_EQ(s.recent, 10u);
  s.see(9, SeqNo{1000}, 200);
  EXPECT_EQ(s.recent, 10u);
  s.see(20, SeqNo{1000}, 200);
  EXPECT_EQ(s.recent, 20u);
  EXPECT_EQ(s.at, 200u);
}

TEST(PeerStamps, EchoTellsTheRoundTripInTicksAndNothingWhenItIsFromTheFuture) {
  EXPECT_EQ(echo_rtt_us(5, 3), 2048u);
  EXPECT_EQ(echo_rtt_us(1, 0xffff'ffff), 2048u);
  EXPECT_EQ(echo_rtt_us(3, 3), 0u);
  EXPECT_EQ(echo_rtt_us(3, 4), 0u);
}

}  // namespace
}  // namespace ringway::tcp
