// Bodies: every framing, every split, every refusal of the chunk grammar and of the trailer section.

#include "tests/unit/http/support.h"

namespace ringway::http::test {
namespace {

using Kind = BodyReader::RunKind;

struct Read {
  std::string payload;
  std::string framing;
  std::string rest;
  bool done = false;
  Reject reject = Reject::none;
};

// Shows `pieces` to a reader one after the other.
Read read_pieces(BodyReader reader, const std::vector<std::string>& pieces) {
  Read read;
  for (const std::string& piece : pieces) {
    std::size_t at = 0;
    while (at < piece.size() && !reader.done()) {
      const Exact rest(std::string_view(piece).substr(at));
      const BodyReader::Run run = reader.next(rest.bytes());
      if (run.kind == Kind::invalid) {
        read.reject = run.reject;
        EXPECT_EQ(run.bytes, 0u);
        EXPECT_EQ(reader.next(rest.bytes()).kind, Kind::invalid) << "a refusal does not heal";
        return read;
      }
      EXPECT_GT(run.bytes, 0u);
      (run.kind == Kind::payload ? read.payload : read.framing) += piece.substr(at, run.bytes);
      at += run.bytes;
    }
    read.rest += piece.substr(at);
  }
  read.done = reader.done();
  if (read.done) {
    EXPECT_EQ(reader.next({}).kind, Kind::end);
  }
  return read;
}

BodyReader chunked() {
  BodyReader r;
  r.begin(Framing::chunked, 0);
  return r;
}

constexpr const char* kChunks =
    "5\r\nhello\r\n006;a;b=c;d=\"e \\\" f\"\r\n world\r\n1\r\n!\r\n0;last\r\nX-Sum: \t abc\xff\r\nVary:\r\n\r\n";

TEST(Rfc9112_7_1, ChunksWithExtensionsAndTrailersAreFramingAndPayload) {
  const Read read = read_pieces(chunked(), {std::string(kChunks) + "GET"});
  EXPECT_TRUE(read.done);
  EXPECT_EQ(read.payload, "hello world!");
  EXPECT_EQ(read.framing.size() + read.payload.size(), std::string(kChunks).size());
  EXPECT_EQ(read.rest, "GET");
}

TEST(Rfc9112_7_1, EverySplitReadsTheSame) {
  const std::string whole = kChunks;
  for (std::size_t a = 0; a <= whole.size(); ++a) {
    for (std::size_t b = a; b <= whole.size(); b += 3) {
      const Read read = read_pieces(chunked(), {whole.substr(0, a), whole.substr(a, b - a), whole.substr(b)});
      ASSERT_TRUE(read.done) << a << ' ' << b;
      ASSERT_EQ(read.payload, "hello world!");
    }
  }
}

TEST(Rfc9112_7_1, ByteByByteReadsTheSameAndEndsWithTheLastByte) {
  const std::string whole = kChunks;
  std::vector<std::string> bytes;
  for (const char c : whole) bytes.emplace_back(1, c);
  EXPECT_EQ(read_pieces(chunked(), bytes).payload, "hello world!");
  bytes.pop_back();
  EXPECT_FALSE(read_pieces(chunked(), bytes).done);
}

struct Bad {
  const char* name;
  std::string body;
  Reject reject;
};
void PrintTo(const Bad& c, std::ostream* out) { *out << c.name; }

class BadChunks : public testing::TestWithParam<Bad> {};

TEST_P(BadChunks, AreRefusedWholeAndByteByByte) {
  const Bad& c = GetParam();
  SCOPED_TRACE(shown(c.body));
  EXPECT_EQ(text_of(read_pieces(chunked(), {c.body}).reject).name, text_of(c.reject).name);
  std::vector<std::string> bytes;
  for (const char ch : c.body) bytes.emplace_back(1, ch);
  EXPECT_EQ(text_of(read_pieces(chunked(), bytes).reject).name, text_of(c.reject).name);
}

using R = Reject;

INSTANTIATE_TEST_SUITE_P(Rfc9112_7_1, BadChunks, testing::Values(
    Bad{"EmptySize", "\r\n", R::bad_chunk}, Bad{"Sign", "+1\r\n", R::bad_chunk},
    Bad{"Minus", "-1\r\n", R::bad_chunk}, Bad{"HexPrefix", "0x1\r\n", R::bad_chunk},
    Bad{"LeadingSpace", " 1\r\n", R::bad_chunk}, Bad{"TrailingSpace", "1 \r\n", R::bad_chunk},
    Bad{"Underscore", "1_0\r\n", R::bad_chunk}, Bad{"NotHex", "g\r\n", R::bad_chunk},
    Bad{"SeventeenDigits", "00000000000000001\r\n", R::bad_chunk},
    Bad{"Above63Bits", "8000000000000000\r\n", R::bad_chunk}, Bad{"BareLf", "1\na", R::bad_chunk},
    Bad{"BareCr", "1\r\ra", R::bad_chunk}, Bad{"NoCrLfBehindData", "1\r\naX", R::bad_chunk},
    Bad{"BareLfBehindData", "1\r\na\n", R::bad_chunk}, Bad{"CrWithoutLfBehindData", "1\r\na\rX", R::bad_chunk},
    Bad{"Nul", std::string("1\0\r\n", 4), R::bad_chunk}), [](const auto& c) { return std::string(c.param.name); });

INSTANTIATE_TEST_SUITE_P(Rfc9112_7_1_1_Extensions, BadChunks, testing::Values(
    Bad{"SpaceBefore", "1 ;a\r\n", R::bad_chunk}, Bad{"SpaceAfterSemicolon", "1; a\r\n", R::bad_chunk},
    Bad{"EmptyName", "1;\r\n", R::bad_chunk}, Bad{"EmptyValue", "1;a=\r\n", R::bad_chunk},
    Bad{"SpaceAroundEquals", "1;a =b\r\n", R::bad_chunk}, Bad{"ControlByte", "1;a\x01\r\n", R::bad_chunk},
    Bad{"BareLf", "1;a\nb", R::bad_chunk}, Bad{"BareCr", "1;a\rb", R::bad_chunk},
    Bad{"OpenQuote", "1;a=\"b\r\n", R::bad_chunk}, Bad{"TabInQuotes", "1;a=\"\t\"\r\n", R::bad_chunk},
    Bad{"ObsTextInQuotes", "1;a=\"\xff\"\r\n", R::bad_chunk}, Bad{"TextBehindQuotes", "1;a=\"b\"c\r\n", R::bad_chunk},
    Bad{"EscapedControl", "1;a=\"\\\x01\"\r\n", R::bad_chunk},
    Bad{"LineTooLong", "1;" + std::string(contract::kChunkLineBytesMax, 'a') + "\r\n", R::bad_chunk}),
    [](const auto& c) { return std::string(c.param.name); });

INSTANTIATE_TEST_SUITE_P(Rfc9110_6_5_1_Trailers, BadChunks, testing::Values(
    Bad{"ContentLength", "0\r\nContent-Length: 1\r\n\r\n", R::bad_trailer},
    Bad{"TransferEncodingInAnyCase", "0\r\ntRANSFER-encoding: chunked\r\n\r\n", R::bad_trailer},
    Bad{"Host", "0\r\nHost: a\r\n\r\n", R::bad_trailer}, Bad{"SecondField", "0\r\nA: b\r\nHost: a\r\n\r\n", R::bad_trailer},
    Bad{"Connection", "0\r\nConnection: close\r\n\r\n", R::bad_trailer},
    Bad{"ForwardedFor", "0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n", R::bad_trailer},
    Bad{"Authorization", "0\r\nAuthorization: x\r\n\r\n", R::bad_trailer},
    Bad{"Folded", "0\r\nA: b\r\n c\r\n\r\n", R::bad_trailer}, Bad{"SpaceBeforeColon", "0\r\nA : b\r\n\r\n", R::bad_trailer},
    Bad{"NoColon", "0\r\nA\r\n\r\n", R::bad_trailer}, Bad{"EmptyName", "0\r\n: b\r\n\r\n", R::bad_trailer},
    Bad{"BareLf", "0\r\n\n", R::bad_trailer}, Bad{"BareCr", "0\r\n\rX", R::bad_trailer},
    Bad{"ControlByte", "0\r\nA: \x01\r\n\r\n", R::bad_trailer},
    Bad{"TooLong", "0\r\nA: " + std::string(contract::kTrailerBytesMax, 'a'), R::bad_trailer}),
    [](const auto& c) { return std::string(c.param.name); });

TEST(Rfc9112_7_1, ExtensionsAreCountedAgainEachLine) {
  std::string body;
  for (int i = 0; i < 100; ++i) body += "1;" + std::string(contract::kChunkLineBytesMax - 2, 'a') + "\r\nx\r\n";
  EXPECT_EQ(read_pieces(chunked(), {body + "0\r\n\r\n"}).payload.size(), 100u);
}

TEST(Rfc9112_7_1, LargestChunkIsCountedRight) {
  BodyReader r = chunked();
  EXPECT_EQ(r.next(bytes_of("7fffffffffffffff\r\nab")).bytes, 18u);
  EXPECT_EQ(r.remaining(), 0x7fff'ffff'ffff'ffffu);
  EXPECT_EQ(r.next(bytes_of("ab")).bytes, 2u);
}

TEST(Rfc9112_6_2, LengthEndsAtItsLastByteInEverySplit) {
  const std::string body = "0123456789";
  for (std::size_t a = 0; a <= body.size(); ++a) {
    BodyReader r;
    r.begin(Framing::length, body.size());
    const Read read = read_pieces(r, {body.substr(0, a), body.substr(a) + "rest"});
    EXPECT_TRUE(read.done);
    EXPECT_EQ(read.payload, body);
    EXPECT_EQ(read.framing, "");
    EXPECT_EQ(read.rest, "rest");
  }
}

TEST(Rfc9112_6_2, CloseInsideALengthIsNotAnEnd) {
  BodyReader r;
  r.begin(Framing::length, 2);
  EXPECT_EQ(r.next(bytes_of("a")).bytes, 1u);
  EXPECT_EQ(r.remaining(), 1u);
  EXPECT_FALSE(r.connection_closed());
  BodyReader c = chunked();
  EXPECT_FALSE(c.connection_closed());
}

TEST(Rfc9112_6_3, UntilCloseEndsWithTheConnectionOnly) {
  BodyReader r;
  r.begin(Framing::until_close, 0);
  EXPECT_EQ(r.next({}).kind, Kind::more);
  EXPECT_EQ(r.next(bytes_of("abc")).bytes, 3u);
  EXPECT_FALSE(r.done());
  EXPECT_TRUE(r.connection_closed());
  EXPECT_TRUE(r.done());
}

TEST(Rfc9112_6_3, NoBodyAndZeroLengthAreDoneAtOnce) {
  BodyReader r;
  r.begin(Framing::none, 0);
  EXPECT_TRUE(r.done());
  EXPECT_EQ(r.next(bytes_of("GET")).kind, Kind::end);
  r.begin(Framing::length, 0);
  EXPECT_TRUE(r.done());
  r.begin(Framing::chunked, 0);
  EXPECT_FALSE(r.done());
}

}  // namespace
}  // namespace ringway::http::test
