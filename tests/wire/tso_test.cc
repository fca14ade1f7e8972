// Packets that the port cuts into segments (TSO): how large they are, what they are made of, and that everything that counts
// segments (loss recovery, round trips, windows) sees what the wire carries. The wire's port cuts as a NIC does, so a test
// sees segments; `cut` counts the packets they came from.

#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

tcp::EngineConfig with_tso(u16 segs_max = 17) {
  auto c = Wire::small();
  c.send_budget_bytes = c.receive_budget_bytes = 1'000'000;
  c.caps = {.multi_segs = true, .ip_checksum = true, .tcp_checksum = true, .segs_max = segs_max, .tso4 = true,
            .tso6 = true, .tso_segs_max = segs_max};
  return c;
}

// The peer takes the next `n` segments, which have to be full; returns the first byte behind them.
u32 take_full(Wire& w, u32 n, u32 from, u32 mss = 1460) {
  for (u32 i = 0; i < n; ++i, from += mss) w.out("A seq=" + std::to_string(from) + " len=" + std::to_string(mss));
  return from;
}

TEST(Tso, WindowOfTenSegmentsIsOnePacket) {
  Wire w(with_tso());
  w.established();
  w.send(std::string(14'600, 'x'));
  take_full(w, 9, 1);
  w.out("A seq=13141 len=1460 psh");
  w.quiet();
  EXPECT_EQ(w.cut, 1u);
  EXPECT_EQ(w.joined, 1u);
  EXPECT_EQ(w.counter(Counter::tcp_tso_packets), 1u);
  EXPECT_EQ(w.counter(Counter::tcp_segments_out), 11u) << "SYN|ACK and ten";
  EXPECT_EQ(w.counter(Counter::payload_copied) + w.counter(Counter::tx_linearized), 0u);
  w.audit();
}

TEST(Tso, WithoutItEverySegmentIsAPacket) {
  for (const int off : {0, 1, 2}) {
    auto c = with_tso();
    (off == 0 ? c.caps.tso4 : off == 1 ? c.caps.tcp_checksum : c.caps.multi_segs) = false;
    Wire w(c);
    w.established();
    w.send(std::string(14'600, 'x'));
    take_full(w, 10, 1);
    EXPECT_EQ(w.cut, 0u);
    w.audit();
  }
}

TEST(Tso, IsAskedForEachFamilyApart) {
  auto c = with_tso();
  c.caps.tso6 = false;
  Wire w(c);
  const wire::Ip6 ours{{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}, theirs{{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
  w.connect(1, w.book.name(ours), w.book.name(theirs));
  w.out("S seq=0");
  w.in("SA seq=0 ack=1 win=65535 mss=1440");
  w.forget_sent();
  w.send(std::string(14'400, 'x'), 1440);
  take_full(w, 10, 1, 1440);
  EXPECT_EQ(w.cut, 0u);
  w.audit();
}

TEST(Tso, OverIp6WhereThePortHasIt) {
  Wire w(with_tso());
  const wire::Ip6 ours{{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}, theirs{{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
  w.connect(1, w.book.name(ours), w.book.name(theirs));
  w.out("S seq=0");
  w.in("SA seq=0 ack=1 win=65535 mss=1440");
  w.forget_sent();
  w.send(std::string(14'400, 'x'), 1440);
  take_full(w, 10, 1, 1440);
  EXPECT_EQ(w.cut, 1u);
  w.audit();
}

TEST(Tso, PacketIsAtMostAsManyMbufsAsThePortTakes) {
  Wire w(with_tso(4));  // the wire checks every packet
  w.established();
  w.send(std::string(14'600, 'x'));
  take_full(w, 10, 1);
  EXPECT_EQ(w.cut, 3u) << "3 + 3 + 3 segments, the last is one";
  w.audit();
}

TEST(Tso, LengthsStayWithin16Bits) {
  auto c = with_tso(200);
  Wire w(c, 4095);
  w.established("S seq=0 win=65535 mss=1460 ws=8");
  w.in("A seq=1 ack=1 win=4000");
  w.send(std::string(600'000, 'x'));
  for (int round = 0; round < 4; ++round) {  // opens the congestion window
    std::vector<u32> ends;
    for (u32 n = w.pending(); n > 0; --n) {
      w.out("A");
      ends.push_back(static_cast<u32>(w.last.seg.seq - w.our_isn(w.tuple)) + static_cast<u32>(w.last.data.size()));
    }
    for (const u32 end : ends) w.in("A seq=1 ack=" + std::to_string(end) + " win=4000");
  }
  const u32 before = w.cut;
  EXPECT_GT(w.pending(), 2 * 44u);
  EXPECT_GT(w.cut, before + 1) << "no packet of 64 KiB or more, as the cutter asserts";
  w.forget_sent();
  w.audit();
}

TEST(Tso, SlicesOfHalfASegmentFillSegments) {
  Wire w(with_tso());
  w.established();
  w.send(std::string(11'680, 'x'), 730);
  take_full(w, 8, 1);
  w.quiet();
  EXPECT_EQ(w.cut, 1u);
  w.audit();
}

TEST(Tso, ShortHeadInFrontOfABodyLeavesLaterPacketsWhole) {
  Wire w(with_tso(9));
  w.established();
  mbuf::Chain c = w.bytes(std::string(200, 'h'));
  c.append(w.bytes(std::string(20 * 1460, 'x')));
  w.engine().send(w.id, std::move(c));
  const u32 at = take_full(w, 7, 1);
  w.out("A seq=" + std::to_string(at) + " len=200");
  w.in("A seq=1 ack=" + std::to_string(at + 200) + " win=65535");
  w.forget_sent();
  EXPECT_EQ(w.counter(Counter::tx_linearized), 0u);
  w.audit();
}

TEST(Tso, WindowOfThePeerCutsAtFullSegments) {
  Wire w(with_tso());
  w.listen();
  w.in("S seq=0 win=5000 mss=1460");
  w.out("SA");
  w.in("A seq=1 ack=1 win=5000");
  w.expect(State::established);
  w.send(std::string(14'600, 'x'));
  take_full(w, 3, 1);
  w.quiet();
  w.in("A seq=1 ack=4381 win=5000");
  take_full(w, 3, 4381);
  w.quiet();
  EXPECT_EQ(w.cut, 2u);
  w.audit();
}

TEST(Tso, FinRidesOnTheLastSegmentOnly) {
  Wire w(with_tso());
  w.established();
  w.send(std::string(4380, 'x'));
  w.shutdown();
  take_full(w, 2, 1);
  w.out("FA seq=2921 len=1460 psh");
  w.quiet();
  EXPECT_EQ(w.cut, 1u);
  w.audit();
}

TEST(Tso, SackInTheMiddleOfAPacketSendsOnlyTheHoleAgain) {
  Wire w(with_tso());
  w.established("S seq=0 win=65535 mss=1460 sackok");
  w.send(std::string(14'600, 'x'));
  take_full(w, 10, 1);
  EXPECT_EQ(w.cut, 1u);
  w.after(1ms);
  // Segments 3 and 5 are missing of the one packet.
  w.in("A seq=1 ack=2921 win=65535 sack=4381-5841");
  w.in("A seq=1 ack=2921 win=65535 sack=7301-14601,4381-5841");
  w.out("A seq=2921 len=1460");
  w.out("A seq=5841 len=1460");
  w.quiet();
  w.in("A seq=1 ack=14601 win=65535");
  w.quiet();
  EXPECT_EQ(w.cut, 1u) << "what is sent again is single segments";
  EXPECT_EQ(w.counter(Counter::tcp_retransmits), 2u);
  EXPECT_EQ(w.info().send_queue_bytes, 0u);
  w.audit();
}

TEST(Tso, RetransmissionWhileTheNicHoldsThePacketReadsTheSameBytes) {
  Wire w(with_tso());
  w.nic_holds = true;
  w.established("S seq=0 win=65535 mss=1460 sackok");
  std::string text;
  for (u32 i = 0; i < 14'600; ++i) text += static_cast<char>('a' + i * 7 % 26);
  w.send(text);
  std::string seen;
  for (u32 i = 0; i < 10; ++i) {
    w.out("A");
    seen += w.last.data;
  }
  EXPECT_EQ(seen, text);
  w.after(1500ms);
  ASSERT_GT(w.pending(), 0u);
  w.forget_sent();
  w.in("A seq=1 ack=1461 win=65535");
  seen.clear();
  for (u32 n = w.pending(); n > 0; --n) {
    w.out("A");
    const u32 at = static_cast<u32>(w.last.seg.seq - w.our_isn(w.tuple)) - 1;
    EXPECT_EQ(w.last.data, text.substr(at, w.last.data.size()));
    seen += w.last.data;
  }
  EXPECT_FALSE(seen.empty());
  w.audit();
}

TEST(Tso, TimeoutWithoutSackGoesBackBySingleSegments) {
  Wire w(with_tso());
  w.established();
  w.send(std::string(14'600, 'x'));
  w.forget_sent();
  EXPECT_EQ(w.cut, 1u);
  w.after(1500ms);
  w.forget_sent();
  w.in("A seq=1 ack=1461 win=65535");
  take_full(w, 2, 1461);
  w.quiet();
  EXPECT_EQ(w.cut, 1u);
  w.audit();
}

TEST(Tso, RoundTripIsThatOfTheFirstSegment) {
  Wire w(with_tso());
  w.established();
  w.send(std::string(14'600, 'x'));
  w.forget_sent();
  const u32 before = w.info().srtt_us;
  w.after(8ms);
  w.in("A seq=1 ack=1461 win=65535");
  EXPECT_NE(w.info().srtt_us, before) << "the rest of the packet need not be there";
  w.audit();
}

TEST(Tso, IdleConnectionBeginsAnewBeforeItsNextPacketIsMeasured) {
  Wire w(with_tso(60), 2047);
  w.established("S seq=0 win=65535 mss=1460 ws=8");
  w.in("A seq=1 ack=1 win=4000");
  u32 acked = 1;
  w.send(std::string(200'000, 'x'));
  while (w.info().send_queue_bytes > 0) {
    for (u32 n = w.pending(); n > 0; --n) w.out("A");
    acked = static_cast<u32>(w.last.seg.seq - w.our_isn(w.tuple)) + static_cast<u32>(w.last.data.size());
    w.in("A seq=1 ack=" + std::to_string(acked) + " win=4000");
  }
  ASSERT_GT(w.info().cwnd_bytes, 30 * 1460u);
  w.after(30s);
  w.send(std::string(60'000, 'y'));
  EXPECT_EQ(w.pending(), 10u) << "RFC 5681 4.1: the restart window";
  w.forget_sent();
  w.audit();
}

TEST(Tso, CwrIsOnOneSegment) {
  auto c = with_tso();
  Wire w(c);
  w.listen();
  w.in("SEW seq=0 win=65535 mss=1460");
  w.out("SAE");
  w.in("A seq=1 ack=1 win=65535");
  w.expect(State::established);
  w.send(std::string(14'600, 'x'));
  w.forget_sent();
  w.in("AE seq=1 ack=14601 win=65535");
  w.send(std::string(7300, 'y'));
  w.out("AW seq=14601 len=1460");
  w.out("A seq=16061 len=1460");
  w.forget_sent();
  EXPECT_EQ(w.cut, 2u);
  w.audit();
}

}  // namespace
}  // namespace ringway::test
