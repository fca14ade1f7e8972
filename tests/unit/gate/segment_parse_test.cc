// parse_segment: RFC 9293 3.1 and 3.2, field by field, and what is refused.

#include "dataplane/gate/segment_parse.h"

#include <gtest/gtest.h>

#include "tests/unit/gate/frames.h"

namespace ringway::gate {
namespace {

using contract::Verdict;
using test::Frame;
constexpr wire::Ip4 kA = wire::Ip4::of(10, 0, 0, 1);
constexpr wire::Ip4 kB = wire::Ip4::of(10, 0, 0, 2);

Verdict parse(const Frame& f, Segment& s) { return parse_segment(f, static_cast<u32>(f.size()), 1, s); }
Verdict options(const Frame& f, TcpOptions& o) { return parse_tcp_options(f, o); }

TEST(SegmentParse, OptionsOfASynAreAllRead) {
  TcpOptions o;
  const Frame f{2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, 3, 7};
  ASSERT_EQ(options(f, o), Verdict::ok);
  EXPECT_EQ(o.mss, 1460);
  EXPECT_TRUE(o.sack_permitted);
  EXPECT_TRUE(o.timestamps);
  EXPECT_EQ(o.ts_value, 256u);
  EXPECT_EQ(o.window_scale, 7);
}

TEST(SegmentParse, SackBlocksAreReadInOrderUpToFour) {
  for (u32 blocks = 1; blocks <= 4; ++blocks) {
    Frame f{1, 1, 5, static_cast<u8>(2 + 8 * blocks)};
    for (u32 i = 0; i < blocks * 2; ++i) test::append(f, {0, 0, 0, static_cast<u8>(i + 1)});
    TcpOptions o;
    ASSERT_EQ(options(f, o), Verdict::ok);
    ASSERT_EQ(o.sack_count, blocks);
    EXPECT_EQ(o.sack[blocks - 1].begin.v, blocks * 2 - 1);
    EXPECT_EQ(o.sack[blocks - 1].end.v, blocks * 2);
  }
}

TEST(SegmentParse, NothingBehindEndOfOptionsIsRead) {
  TcpOptions o;
  EXPECT_EQ(options({0, 2, 1, 1}, o), Verdict::ok);
  EXPECT_EQ(o.mss, 0);
}

TEST(SegmentParse, UnknownOptionIsSkippedByItsLength) {
  TcpOptions o;
  EXPECT_EQ(options({253, 4, 2, 4, 2, 4, 1, 0}, o), Verdict::ok);
  EXPECT_EQ(o.mss, 256);
}

TEST(SegmentParse, ImpossibleOptionLengthsAreRefused) {
  const Frame bad[] = {{2},           {2, 0, 0, 0}, {2, 1, 0, 0},      {2, 5, 0, 0},  {2, 3, 0, 0}, {3, 4, 0, 0},
                       {4, 3, 0, 0},  {5, 2, 0, 0}, {5, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},      {8, 8, 0, 0, 0, 0, 0, 0},
                       {253, 0, 0, 0}, {1, 1, 1, 2}};
  for (const Frame& f : bad) {
    TcpOptions o;
    EXPECT_EQ(options(f, o), Verdict::tcp_bad_option) << int{f[0]} << " " << (f.size() > 1 ? int{f[1]} : -1);
  }
}

TEST(SegmentParse, ContradictoryFlagsAreRefusedAndOthersPass) {
  for (u32 flags = 0; flags < 256; ++flags) {
    Segment s;
    const bool bad = ((flags & kSyn) != 0 && (flags & (kFin | kRst)) != 0) || (flags & (kSyn | kFin | kRst | kAck)) == 0;
    EXPECT_EQ(parse(test::tcp(kA, 1, kB, 2, static_cast<u8>(flags)), s), bad ? Verdict::tcp_bad_flags : Verdict::ok)
        << flags;
  }
}

TEST(SegmentParse, EveryTruncationIsRefused) {
  const Frame whole = test::tcp(kA, 1, kB, 2, kAck, {1, 1, 1, 1}, {9});
  Segment s;
  ASSERT_EQ(parse(whole, s), Verdict::ok);
  EXPECT_EQ(s.payload_offset, 44);
  EXPECT_EQ(s.payload_bytes, 1u);
  for (std::size_t n = 0; n < 44; ++n) {
    const Frame cut(whole.begin(), whole.begin() + static_cast<long>(n));
    EXPECT_EQ(parse(cut, s), n < 20 ? Verdict::ip4_truncated : Verdict::tcp_truncated) << n;
    // The rest of it lies in a further segment: headers must still be here.
    EXPECT_NE(parse_segment(cut, static_cast<u32>(whole.size()), 1, s), Verdict::ok) << n;
  }
}

TEST(SegmentParse, DataOffsetBelowFiveOrBeyondThePacketIsTruncation) {
  for (u32 words : {0u, 1u, 4u, 7u, 15u}) {
    Frame f = test::tcp(kA, 1, kB, 2, kAck, {}, {1, 2, 3, 4});
    f[20 + 12] = static_cast<u8>(words << 4);
    Segment s;
    EXPECT_EQ(parse(f, s), Verdict::tcp_truncated) << words;
  }
}

}  // namespace
}  // namespace ringway::gate
