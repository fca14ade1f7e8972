// TCP over IPv6: the same engine with names for addresses (lookup/address_book.h); every packet is decoded whole, its
// checksum over the longer pseudo-header included. What remains of a connection, and only that, holds its names.

#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

constexpr wire::Ip6 kOurs6 = wire::Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 1);
constexpr wire::Ip6 kTheirs6 = wire::Ip6::of(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

struct Wire6 : Wire {
  explicit Wire6(tcp::EngineConfig config = small()) : Wire(config) {
    tuple.local = book.name(kOurs6);
    tuple.remote = book.name(kTheirs6);
    EXPECT_TRUE(engine().listen(tuple.local, kOurPort, 7));
  }
  void establish() {
    in("S seq=0 mss=1440");
    out("SA seq=0 ack=1 mss=1440");
    in("A seq=1 ack=1");
    expect(State::established);
  }
};

TEST(Tcp6, Handshake_AnnouncesTheMssOfTheLongerHeader) {
  Wire6 w;
  w.establish();
  EXPECT_EQ(w.engine().info(w.id)->tuple, w.tuple);
  w.audit();
}

TEST(Tcp6, DataBothWays_InFullSegments) {
  Wire6 w;
  w.establish();
  w.in("A seq=1 ack=1 data=hello");
  w.after(50ms);
  w.out("A seq=1 ack=6");
  w.send(std::string(3000, 'x'));
  w.out("A seq=1 len=1440");
  w.out("A seq=1441 len=1440");
  w.out("A seq=2881 len=120");
  w.in("A seq=6 ack=3001");
  w.quiet();
  w.audit();
}

TEST(Tcp6, Rfc9293_3_7_1_APeerWithoutMss_Gets1220) {
  Wire6 w;
  w.in("S seq=0");
  w.out("SA seq=0 ack=1");
  w.in("A seq=1 ack=1");
  w.expect(State::established);
  w.send(std::string(1300, 'x'));
  w.out("A seq=1 len=1220");
  w.out("A seq=1221 len=80");
  w.audit();
}

TEST(Tcp6, Rfc8201_PacketTooBig_MakesSegmentsSmaller) {
  Wire6 w;
  w.establish();
  w.send(std::string(1440, 'x'));
  w.out("A seq=1 len=1440");
  w.engine().too_big(w.tuple, w.last.seg.seq, 1280, w.now);
  w.out("A seq=1 len=1220");
  w.out("A seq=1221 len=220");
  w.audit();
}

TEST(Tcp6, ALostSegment_IsSentAgain) {
  Wire6 w;
  w.establish();
  w.send("hello");
  w.out("A seq=1 data=hello");
  w.after(1500ms);
  w.out("A seq=1 data=hello");
  w.in("A seq=1 ack=6");
  w.audit();
}

TEST(Tcp6, EveryKindOfRecord_HoldsItsNamesForAsLongAsItLives) {
  Wire6 w;
  EXPECT_EQ(w.book.held(), 1u);  // the listener's
  w.in("S seq=0 mss=1440");
  w.out("SA seq=0 ack=1");
  EXPECT_EQ(w.book.held(), 2u);  // half-open
  w.in("A seq=1 ack=1");
  w.expect(State::established);
  EXPECT_EQ(w.book.held(), 2u);
  w.engine().unlisten(w.tuple.local, kOurPort);
  EXPECT_EQ(w.book.held(), 2u);
  w.engine().close(w.id);
  w.out("FA seq=1 ack=1");
  w.in("FA seq=1 ack=2");
  w.out("A seq=2 ack=2");
  EXPECT_EQ(w.engine().active(), 0u);
  EXPECT_EQ(w.book.held(), 2u);  // TIME-WAIT
  w.in("FA seq=1 ack=2");
  w.out("A seq=2 ack=2");
  w.after(61s);
  EXPECT_EQ(w.book.held(), 0u);
  w.audit();
}

TEST(Tcp6, ADroppedHandshake_LetsItsNamesGo) {
  Wire6 w;
  w.in("S seq=0 mss=1440");
  w.out("SA seq=0 ack=1");
  w.in("R seq=1");
  EXPECT_EQ(w.book.held(), 1u);
  w.audit();
}

TEST(Tcp6, Strangers_AreResetAndKeepNothing) {
  Wire6 w;
  w.tuple.local_port = 81;
  w.in("A seq=1 ack=1");
  w.out("R");
  EXPECT_EQ(w.book.held(), 1u);
  w.audit();
}

TEST(Tcp6, Cookies_HoldWithoutARecordOrANameInBetween) {
  tcp::EngineConfig config = Wire::small();
  config.half_open_mark = 0;
  Wire6 w(config);
  w.in("S seq=0 mss=1440");
  w.out("SA seq=0 ack=1 mss=1440");
  EXPECT_EQ(w.book.held(), 1u);
  // So many others come by that both names are given away, and the address has another when it returns.
  for (u32 i = 0; i < 2 * lookup::AddressBook::kSpare; ++i) w.book.name(wire::Ip6::from_halves(1, i));
  EXPECT_EQ(w.book.find(kTheirs6), wire::Addr{});
  w.rename(w.book.name(kTheirs6));
  w.in("A seq=1 ack=1");
  w.expect(State::established);
  EXPECT_EQ(w.book.held(), 2u);
  w.audit();
}

TEST(Tcp6, ActiveOpen_GoesFromOurAddressToTheirs) {
  Wire6 w;
  w.connect(1, w.tuple.local, w.book.name(kTheirs6));
  w.out("S seq=0 mss=1440");
  EXPECT_EQ(w.book.ip(w.last.seg.tuple.local), wire::Ip(kTheirs6));
  EXPECT_EQ(w.book.ip(w.last.seg.tuple.remote), wire::Ip(kOurs6));
  w.in("SA seq=0 ack=1 mss=1440");
  w.out("A seq=1 ack=1");
  w.expect(State::established);
  w.audit();
}

// ENA with low-latency queues reads 96 bytes of headers: IPv6, TCP, timestamps and padded SACK would be two too many.
tcp::EngineConfig short_headers() {
  auto c = Wire::small();
  c.caps.header_bytes_max = 96;
  return c;
}

TEST(Tcp6, ShortHeadersOfThePort_LeaveRoomForOneSackBlockBesideTimestamps) {
  Wire6 w(short_headers());
  w.in("S seq=0 mss=1440 sackok ts=1 ecr=0");
  w.out("SA seq=0 ack=1 sackok");
  w.in("A seq=1 ack=1 ts=2 ecr=0");
  w.expect(State::established);
  w.in("A seq=101 ack=1 len=10 ts=2 ecr=0");
  w.out("A ack=1 sack=101-111 ts=0 ecr=2");
  w.in("A seq=201 ack=1 len=10 ts=2 ecr=0");
  w.out("A ack=1 sack=201-211");
  EXPECT_EQ(w.last.seg.payload_offset, 40 + 20 + 20);
  w.in("A seq=1 ack=1 len=100 ts=3 ecr=0");
  w.out("A ack=111 sack=201-211");
  w.audit();
}

TEST(Tcp6, ShortHeadersOfThePort_LeaveRoomForTwoSackBlocksWithoutTimestamps) {
  for (const bool bounded : {true, false}) {
    Wire6 w(bounded ? short_headers() : Wire::small());
    w.in("S seq=0 mss=1440 sackok");
    w.out("SA seq=0 ack=1 sackok");
    w.in("A seq=1 ack=1");
    w.expect(State::established);
    for (const u32 seq : {101u, 201u, 301u}) w.in("A ack=1 len=10 seq=" + std::to_string(seq));
    w.out("A ack=1 sack=201-211,101-111");  // every second one, behind a hole
    w.out(bounded ? "A ack=1 sack=301-311,201-211" : "A ack=1 sack=301-311,201-211,101-111");
    w.audit();
  }
}

TEST(Tcp6, ShortHeadersOfThePort_TakeNothingFromIp4) {
  Wire w(short_headers());
  w.listen();
  w.in("S seq=0 mss=1460 sackok ts=1 ecr=0");
  w.out("SA seq=0 ack=1 sackok");
  w.in("A seq=1 ack=1 ts=2 ecr=0");
  w.expect(State::established);
  for (const u32 seq : {101u, 201u, 301u}) w.in("A ack=1 len=10 ts=2 ecr=0 seq=" + std::to_string(seq));
  w.out("A ack=1 sack=201-211,101-111");
  w.out("A ack=1 sack=301-311,201-211,101-111");
  EXPECT_EQ(14 + w.last.seg.payload_offset, tcp::kHeaderBytesLeast);
  w.audit();
}

// Of an address that is longer than an event has room for, the half that tells hosts apart.
TEST(Tcp6, Recorder_TellsTheLowHalfOfTheFarAddress) {
  using contract::EventKind;
  std::vector<contract::EventRing::Word> words(64 * contract::EventRing::kWords);
  contract::EventRing ring(words);
  Wire6 w;
  w.recorder().attach(ring);
  w.recorder().record(bit_of(contract::EventGroup::connections));
  w.establish();
  w.connect(1, w.tuple.local, w.book.name(kTheirs6));
  w.out("S seq=0 mss=1440");
  const auto port_of = [&](EventKind kind) {
    for (u32 place = 0; place < ring.capacity(); ++place) {
      contract::Event e;
      if (!ring.read(place, e) || e.kind != kind) continue;
      EXPECT_EQ(u64{e.y} << 32 | e.x, kTheirs6.low());
      return u32{e.half};
    }
    return 0u;
  };
  EXPECT_EQ(port_of(EventKind::accepted6), kTheirPort);
  EXPECT_EQ(port_of(EventKind::connecting6), 8080u);
  w.audit();
}

}  // namespace
}  // namespace ringway::test
