// What went wrong in other stacks, one test for each, by row of the list of regrets; and every tcp verdict provoked
// with the balance of the pools behind it.

#include "dataplane/tcp/reassembly.h"
#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

wire::FourTuple from_port(u16 port) { return {kOurs, kTheirs, kOurPort, port}; }

TEST(Regret1, TenThousandAbandonedSynsDoNotCloseTheListener) {
  auto c = Wire::small();
  c.syn_cookies = false;
  Wire w(c);
  w.listen();
  for (u32 i = 0; i < 10'000; ++i) {
    w.in_from({kOurs, wire::Ip4{kTheirs.v + 1 + i}, kOurPort, 999}, "S seq=0");
    w.poll();
  }
  w.forget_sent();
  EXPECT_EQ(w.engine().active(), 0u);
  EXPECT_LE(w.engine().half_open(), 16u);
  EXPECT_EQ(w.verdict(Verdict::tcp_listen_full), 10'000u - 16u);
  w.in("S seq=0");
  w.out("SA");
  w.in("A seq=1 ack=1");
  w.expect(State::established);
  w.audit();
}

TEST(Regret2, ByteInsideEveryAdvertisedEdgeIsTakenAndByteOutsideIsNot) {
  for (const u32 piece : {1u, 300u, 700u, 1460u}) {
    auto c = Wire::small();
    c.receive_budget_bytes = 40'000;
    Wire w(c);
    w.established("S seq=0 mss=1460 ws=2");
    w.in("A seq=1 ack=1");
    u32 at = 1;
    u32 edge = 1 + w.last.seg.window;  // 40,000 fits 16 bits: no scaling
    bool closed = false;
    for (u32 i = 0; i < 3000 && !closed; ++i) {
      const u32 n = std::min(piece, edge - at);
      if (n == 0) {  // closed: one byte more is refused, then the application reads
        w.forget_sent();
        const u64 refused = w.verdict(Verdict::tcp_unacceptable);
        w.in("A seq=" + std::to_string(at) + " ack=1 len=1");
        w.out("A ack=" + std::to_string(at) + " win=0");
        EXPECT_EQ(w.verdict(Verdict::tcp_unacceptable), refused + 1);
        EXPECT_EQ(w.read().size(), w.info().bytes_in);
        closed = true;
        continue;
      }
      const u64 before = w.info().bytes_in;
      w.in("A seq=" + std::to_string(at) + " ack=1 len=" + std::to_string(n));
      EXPECT_EQ(w.info().bytes_in, before + n) << "piece " << piece << " at " << at << "\n" << w.log();
      at += n;
      while (w.pending() > 0) {
        w.out("A");
        const u32 next = static_cast<u32>(w.last.seg.ack - kTheirIsn) + w.last.seg.window;
        EXPECT_GE(next, edge) << "the right edge moved back";
        edge = next;
      }
      if (::testing::Test::HasFailure()) break;
    }
    EXPECT_EQ(w.verdict(Verdict::tcp_out_of_budget), 0u);
    w.audit();
  }
}

TEST(Regret3, ReadingAFullWindowTellsThePeerWithinOnePoll) {
  auto c = Wire::small();
  c.receive_budget_bytes = 30'000;
  Wire w(c);
  w.established();
  u32 at = 1;
  for (u32 i = 0; i < 100; ++i) {
    w.in("A seq=" + std::to_string(at) + " ack=1 len=1000");
    w.poll();
    at = 1 + static_cast<u32>(w.info().bytes_in);
  }
  w.forget_sent();
  EXPECT_GT(w.read().size(), 10'000u);
  w.out("A ack=" + std::to_string(at));
  EXPECT_GT(w.last.seg.window, 10'000u);
  w.quiet();
  w.audit();
}

TEST(Regret4, OneByteSegmentsDoNotPinABufferEach) {
  Wire w;
  w.established();
  const u32 before = w.pools().packets_in_use();
  for (u32 i = 0; i < 5000; ++i) {
    w.in("A seq=" + std::to_string(1 + i) + " ack=1 len=1");
    w.poll();
  }
  w.forget_sent();
  EXPECT_LE(w.pools().packets_in_use() - before, 8u);
  EXPECT_GT(w.counter(Counter::payload_copied), 4900u);
  w.in_from(from_port(7), "S seq=0");
  w.out("SA");
  EXPECT_EQ(w.read(), Wire::pattern(kTheirIsn + 1, 5000));
  w.audit();
}

TEST(Regret4, MbufsHeldStayWithinTwiceTheBudgetForEverySegmentSize) {
  for (const u32 piece : {256u, 257u, 600u, 1000u, 1460u}) {
    auto c = Wire::small();
    c.receive_budget_bytes = 100 * 2304;
    Wire w(c);
    w.established("S seq=0 ws=4");
    for (u32 i = 0, at = 1; i < 900; ++i, at += piece) {
      w.in("A seq=" + std::to_string(at) + " ack=1 len=" + std::to_string(piece));
      w.poll();
    }
    w.forget_sent();
    EXPECT_LE(w.pools().packets_in_use(), 200u) << piece;
    EXPECT_EQ(w.verdict(Verdict::tcp_out_of_budget), 0u) << piece;
    w.audit();
  }
}

TEST(Regret4, OneByteSegmentsBehindAHoleDoNotPinABufferEach) {
  Wire w;
  w.established();
  const u32 before = w.pools().packets_in_use();
  for (u32 i = 1; i < 2000; ++i) {
    w.in("A seq=" + std::to_string(1 + i) + " ack=1 len=1");
    if (i % 100 == 0) w.forget_sent();
  }
  w.forget_sent();
  EXPECT_LE(w.pools().packets_in_use() - before, 8u);
  EXPECT_EQ(w.verdict(Verdict::tcp_out_of_budget), 0u);
  w.in("A seq=1 ack=1 len=1");
  w.out("A ack=2001");
  EXPECT_EQ(w.read(), Wire::pattern(kTheirIsn + 1, 2000));
  w.audit();
}

// Two ranges that grow towards one another: what would run into the next range is not copied over it.
TEST(Regret4, OneByteSegmentsThatFillAHoleFromBothSidesMeet) {
  Wire w;
  w.established();
  for (u32 i = 0; i < 20; ++i) w.in("A seq=" + std::to_string(30 + i) + " ack=1 len=1");
  for (u32 i = 0; i < 28; ++i) w.in("A seq=" + std::to_string(2 + i) + " ack=1 len=" + std::to_string(i % 3 + 1));
  w.in("A seq=1 ack=1 len=1");
  w.forget_sent();
  EXPECT_GT(w.counter(Counter::payload_copied), 0u);
  EXPECT_EQ(w.read(), Wire::pattern(kTheirIsn + 1, 49));
  w.audit();
}

TEST(Regret4, StreamThatIsReadAsItComesIsNeverCopied) {
  Wire w;
  w.established("S seq=0 win=65535 mss=1460 sackok");
  u32 at = 1;
  for (u32 i = 0; i < 1000; ++i) {
    const u32 n = i % 8 == 7 ? 100 : 1460;
    w.in("A seq=" + std::to_string(at) + " ack=1 len=" + std::to_string(n));
    at += n;
    if (i % 8 == 3) w.engine().discard(w.id, ~u32{0});
    if (i % 8 == 7) w.read();
    w.forget_sent();
  }
  EXPECT_EQ(w.counter(Counter::payload_copied), 0u);
  w.audit();
}

TEST(Regret5, PoolIsFullAgainAfterTrafficStops) {
  Wire w;
  w.established();
  for (u32 i = 0; i < 50; ++i) {
    w.in("A seq=" + std::to_string(1 + i * 1000) + " ack=" + std::to_string(1 + i * 4) + " len=1000");
    w.read();
    w.send("200\n");
    w.poll();
  }
  w.forget_sent();
  w.in("A seq=50001 ack=201");
  w.quiet();
  EXPECT_EQ(w.pools().packets_in_use(), 0u);
  EXPECT_EQ(w.pools().slices().in_use(), 0u);
  w.audit();
}

TEST(Regret6, EgressThatNeverCompletesBoundsWhatIsPending) {
  auto c = Wire::small();
  c.send_budget_bytes = 20'000;
  Wire w(c);
  w.nic_holds = true;
  w.established();
  u32 queued = 0;
  for (u32 i = 0; i < 1000; ++i) {
    if (w.engine().send_space(w.id) == 0) continue;
    w.send(std::string(1000, 'x'));
    queued += 1000;
    w.poll();
  }
  EXPECT_EQ(queued, 20'000u);
  EXPECT_LT(w.pools().packets_in_use(), 30u);
  w.release_nic();
  w.forget_sent();
  w.audit();
}

TEST(Regret8, TimerIsArmedWhileBytesAreInFlightWhateverArrives) {
  Wire w;
  w.established();
  w.send(std::string(5000, 'x'), 1000);
  w.forget_sent();
  const char* const noise[] = {"A seq=1 ack=1",      "A seq=1 ack=1 win=0", "A seq=1 ack=501",        "A seq=1 ack=501 win=9000",
                               "A seq=1 ack=1001",   "R seq=9",             "S seq=1",                "A seq=1 ack=9999",
                               "A seq=99999 ack=1",  "A seq=1 ack=2500 win=1", "A seq=1 ack=2500 data=x", "A seq=2 ack=4999"};
  for (const char* segment : noise) {
    w.in(segment);
    w.forget_sent();
    EXPECT_GT(w.info().in_flight_bytes, 0u);
    EXPECT_TRUE(w.info().send_timer) << segment;
  }
  w.in("A seq=2 ack=5001");
  w.quiet();
  EXPECT_FALSE(w.info().send_timer);
  w.audit();
}

TEST(Regret9, WindowShrunkBelowTheFlightThenReopenedGoesOnWithinOneTimeout) {
  Wire w;
  w.established();
  w.send(std::string(8760, 'x'), 1460);
  for (int i = 0; i < 6; ++i) w.out("A len=1460");
  w.in("A seq=1 ack=1461 win=0");
  w.after(500ms);
  w.forget_sent();
  w.in("A seq=1 ack=1461 win=20000");
  const auto rto = std::chrono::microseconds(w.info().rto_us);
  w.after(rto + 1ms);
  w.out("A seq=1461 len=1460");
  w.in("A seq=1 ack=8761 win=20000");
  w.forget_sent();
  EXPECT_EQ(w.engine().unacked(w.id), 0u);
  w.audit();
}

TEST(Regret11, RstForAnotherTupleDoesNotTouchThisConnection) {
  Wire w;
  w.established();
  w.in_from(from_port(7), "S seq=0");
  w.out("SA");
  w.in_from(from_port(7), "A seq=1 ack=1");
  w.quiet();
  const ConnId second = w.id;
  w.send("abc");
  w.out("A data=abc");
  const auto before = w.engine().info(second);
  w.in("R seq=1");
  w.in_from(from_port(8), "R seq=1");
  w.quiet();
  const auto after = w.engine().info(second);
  ASSERT_TRUE(before && after);
  EXPECT_TRUE(*before == *after);
  EXPECT_EQ(w.engine().active(), 1u);
  w.audit();
}

TEST(Regret13, AlternatingHolesAreBoundedAndTheConnectionGoesOn) {
  Wire w;
  w.established();
  for (u32 i = 0; i < 2000; ++i) w.in("A seq=" + std::to_string(3 + 2 * i) + " ack=1 len=1");
  w.forget_sent();
  EXPECT_LE(w.pools().packets_in_use(), tcp::Reassembly::kRanges + 8);
  EXPECT_EQ(w.verdict(Verdict::tcp_out_of_budget), 2000u - tcp::Reassembly::kRanges);
  w.in("A seq=1 ack=1 len=1000");
  w.out("A ack=1001");
  EXPECT_EQ(w.read(), Wire::pattern(kTheirIsn + 1, 1000));
  w.audit();
}

TEST(Regret15, ImpossibleOptionValuesAreClamped) {
  Wire w;
  w.listen();
  w.in("S seq=0 mss=0 ws=255");
  w.out("SA");
  w.in_from(from_port(7), "S seq=0 mss=0 ws=200");
  w.out("SA ws=3");
  w.in_from(from_port(7), "A seq=1 ack=1 win=1");
  w.collect();
  w.send(std::string(1000, 'x'));
  EXPECT_EQ(w.info().mss, 536u);
  w.out("A len=536");
  w.forget_sent();
  w.audit();
}

// --- regret 7: every way out gives the mbuf back
struct Provocation {
  Verdict verdict;
  void (*provoke)(Wire&);
};

class Verdicts : public testing::TestWithParam<Provocation> {};

TEST_P(Verdicts, IsCountedAndLeaksNothing) {
  auto c = Wire::small();
  c.connections = 4;
  c.half_open_max = 2;
  c.syn_cookies = GetParam().verdict == Verdict::tcp_bad_cookie;
  c.half_open_mark = 0;
  Wire w(c);
  GetParam().provoke(w);
  w.forget_sent();
  EXPECT_GT(w.verdict(GetParam().verdict), 0u) << w.log();
  w.audit();
}

const Provocation kProvocations[] = {
    {Verdict::tcp_bad_flags, [](Wire& w) { w.in("SF seq=0"); }},
    {Verdict::tcp_no_listener, [](Wire& w) { w.in("S seq=0"); }},
    {Verdict::tcp_listen_full,
     [](Wire& w) {
       w.listen();
       for (u16 p = 1; p < 5; ++p) w.in_from(from_port(p), "S seq=0 data=x");
     }},
    {Verdict::tcp_table_full,
     [](Wire& w) {
       w.listen();
       for (u16 p = 1; p < 6; ++p) {
         w.in_from(from_port(p), "S seq=0");
         w.poll();
         w.in_from(from_port(p), "A seq=1 ack=1");
       }
     }},
    {Verdict::tcp_bad_cookie,
     [](Wire& w) {
       w.listen();
       w.in("S seq=0");
       w.out("SA");
       w.in("A seq=1 ack=2 data=x");
     }},
    {Verdict::tcp_pool_low,
     [](Wire& w) {
       w.listen();
       std::vector<mbuf::Pkt> hog;
       while (w.pools().packets_free() > 20) hog.push_back(w.pools().alloc());
       w.after(2ms);
       w.in("S seq=0 data=x");
     }},
    {Verdict::tcp_unacceptable,
     [](Wire& w) {
       w.established();
       w.in("A seq=99999 ack=1 data=x");
     }},
    {Verdict::tcp_unacceptable_ack,
     [](Wire& w) {
       w.established();
       w.in("A seq=1 ack=99 data=x");
     }},
    {Verdict::tcp_bad_syn,
     [](Wire& w) {
       w.established();
       w.in("S seq=1 data=x");
     }},
    {Verdict::tcp_bad_rst,
     [](Wire& w) {
       w.established();
       w.in("R seq=2 data=x");
     }},
    {Verdict::tcp_source_full,
     [](Wire& w) {
       w.engine().limit_sources(1);
       w.established();
       w.in_from({kOurs, kTheirs, kOurPort, kTheirPort + 1}, "S seq=0");
     }},
    {Verdict::tcp_duplicate,
     [](Wire& w) {
       w.established();
       w.in("A seq=1 ack=1 data=x");
       w.in("A seq=1 ack=1 data=x");
     }},
    {Verdict::tcp_old_timestamp,
     [](Wire& w) {
       w.listen();
       w.in("S seq=0 mss=1460 ts=9");
       w.out("SA");
       w.in("A seq=1 ack=1 ts=9");
       w.in("A seq=1 ack=1 ts=8 data=x");
     }},
    {Verdict::tcp_out_of_budget,
     [](Wire& w) {
       w.established();
       for (u32 i = 0; i <= tcp::Reassembly::kRanges; ++i) w.in("A seq=" + std::to_string(3 + 2 * i) + " ack=1 len=1");
     }},
    {Verdict::tcp_after_close,
     [](Wire& w) {
       w.established();
       w.close();
       w.in("A seq=1 ack=1 data=x");
     }},
    {Verdict::tcp_time_wait,
     [](Wire& w) {
       w.time_wait();
       w.in("A seq=1 ack=2 data=x");
     }},
    {Verdict::no_mbuf,
     [](Wire& w) {
       w.established();
       mbuf::Pkt keep;
       std::vector<mbuf::Pkt> hog;
       w.send("ab", 1);
       while (mbuf::Pkt p = w.pools().alloc()) hog.push_back(std::move(p));
       w.poll();
     }},
};

INSTANTIATE_TEST_SUITE_P(Regret7, Verdicts, testing::ValuesIn(kProvocations), [](const auto& p) {
  return std::string(contract::kVerdictNames[static_cast<u32>(p.param.verdict)]);
});

TEST(Regret7, EveryTcpVerdictOfTheEngineIsProvoked) {
  for (u32 v = 0; v < contract::kVerdictCount; ++v) {
    const auto name = contract::kVerdictNames[v];
    if (!name.starts_with("tcp_")) continue;
    // Decided by the gate before the engine sees the segment.
    if (name == "tcp_truncated" || name == "tcp_bad_checksum" || name == "tcp_bad_option") continue;
    const bool there = std::any_of(std::begin(kProvocations), std::end(kProvocations),
                                   [&](const Provocation& p) { return static_cast<u32>(p.verdict) == v; });
    EXPECT_TRUE(there) << name;
  }
}

TEST(Regret7, SharedReceiveChainRunsIntoTheBudgetAndRecovers) {
  auto c = Wire::small();
  c.receive_budget_bytes = 10 * 2304;
  Wire w(c);
  w.established();
  std::vector<mbuf::Chain> shared;
  u32 at = 1;
  for (u32 i = 0; i < 40; ++i) {  // somebody else holds every mbuf, so nothing can be copied behind it
    w.in("A seq=" + std::to_string(at) + " ack=1 len=1");
    w.collect();
    at = 1 + static_cast<u32>(w.info().bytes_in);
    shared.push_back(w.engine().received(w.id).share());
  }
  w.forget_sent();
  EXPECT_EQ(w.info().receive_queue_bytes, 20u) << "twice ten mbufs";
  EXPECT_GT(w.verdict(Verdict::tcp_out_of_budget), 0u);
  shared.clear();
  w.read();
  w.forget_sent();
  w.in("A seq=" + std::to_string(at) + " ack=1 len=1");
  EXPECT_EQ(w.read().size(), 1u);
  w.audit();
}

}  // namespace
}  // namespace ringway::test
