// HPACK decoding: the examples of RFC 7541 appendix C, and everything that the RFC says a decoder has to refuse.

#include <gtest/gtest.h>

#include "tests/support/hpack.h"

namespace ringway::http::test {
namespace {

// A block on a decoder of its own.
Decoded decode_hex(std::string_view block) {
  HpackDecoder decoder;
  return decode(decoder, unhex(block));
}
void expect_refused(std::string_view block) { EXPECT_FALSE(decode_hex(block).ok) << block; }

struct Example {
  std::string_view block;
  FieldList fields;
  u32 table_bytes, table_entries;
};

void expect_examples(HpackDecoder& decoder, const std::vector<Example>& examples) {
  for (const Example& example : examples) {
    const Decoded seen = decode(decoder, unhex(example.block));
    EXPECT_TRUE(seen.ok) << example.block;
    EXPECT_EQ(seen.fields, example.fields) << example.block;
    EXPECT_EQ(decoder.table_bytes(), example.table_bytes);
    EXPECT_EQ(decoder.table_entries(), example.table_entries);
  }
}

// The table's entries, newest first, by asking for each.
FieldList table_of(HpackDecoder& decoder) {
  std::string block;
  for (u32 i = 0; i < decoder.table_entries(); ++i) {
    const u32 index = kHpackStaticEntries + 1 + i;
    block += static_cast<char>(0x80 | std::min(index, 0x7fu));
    if (index >= 0x7f) block += static_cast<char>(index - 0x7f);
  }
  const Decoded seen = decode(decoder, block);
  EXPECT_TRUE(seen.ok);
  return seen.fields;
}

TEST(HpackDecode, Rfc7541_C_1_IntegersOfOneAndOfMoreBytes) {
  HpackDecoder decoder;
  EXPECT_TRUE(decode(decoder, unhex("2a")).ok);       // 10 in 5 bits
  EXPECT_TRUE(decode(decoder, unhex("3f 9a0a")).ok);  // 1337 in 5 bits
  decoder.begin(1337);
  EXPECT_TRUE(decode(decoder, unhex("3f 9a0a")).ok);
  decoder.begin(1336);
  EXPECT_FALSE(decode(decoder, unhex("3f 9a0a")).ok);
}

TEST(HpackDecode, Rfc7541_C_2_LiteralsAndIndexed) {
  EXPECT_EQ(decode_hex("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572").fields,
            (FieldList{{"custom-key", "custom-header"}}));
  EXPECT_EQ(decode_hex("040c 2f73 616d 706c 652f 7061 7468").fields, (FieldList{{":path", "/sample/path"}}));
  EXPECT_EQ(decode_hex("1008 7061 7373 776f 7264 0673 6563 7265 74").fields, (FieldList{{"password", "secret", true}}));
  EXPECT_EQ(decode_hex("82").fields, (FieldList{{":method", "GET"}}));
}

const FieldList kRequest1{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "www.example.com"}};
const FieldList kRequest2{{":method", "GET"},
                          {":scheme", "http"},
                          {":path", "/"},
                          {":authority", "www.example.com"},
                          {"cache-control", "no-cache"}};
const FieldList kRequest3{{":method", "GET"},
                          {":scheme", "https"},
                          {":path", "/index.html"},
                          {":authority", "www.example.com"},
                          {"custom-key", "custom-value"}};
const FieldList kRequestTable{
    {"custom-key", "custom-value"}, {"cache-control", "no-cache"}, {":authority", "www.example.com"}};

TEST(HpackDecode, Rfc7541_C_3_RequestsWithoutHuffman) {
  HpackDecoder decoder;
  expect_examples(decoder,
                  {{"8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", kRequest1, 57, 1},
                   {"8286 84be 5808 6e6f 2d63 6163 6865", kRequest2, 110, 2},
                   {"8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", kRequest3, 164, 3}});
  EXPECT_EQ(table_of(decoder), kRequestTable);
}

TEST(HpackDecode, Rfc7541_C_4_RequestsWithHuffman) {
  HpackDecoder decoder;
  expect_examples(decoder, {{"8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", kRequest1, 57, 1},
                            {"8286 84be 5886 a8eb 1064 9cbf", kRequest2, 110, 2},
                            {"8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", kRequest3, 164, 3}});
  EXPECT_EQ(table_of(decoder), kRequestTable);
}

const std::string kDate1 = "Mon, 21 Oct 2013 20:13:21 GMT";
const std::string kDate2 = "Mon, 21 Oct 2013 20:13:22 GMT";
const std::string kLocation = "https://www.example.com";
const std::string kCookie = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const FieldList kResponse1{{":status", "302"}, {"cache-control", "private"}, {"date", kDate1}, {"location", kLocation}};
const FieldList kResponse2{{":status", "307"}, {"cache-control", "private"}, {"date", kDate1}, {"location", kLocation}};
const FieldList kResponse3{{":status", "200"},      {"cache-control", "private"}, {"date", kDate2},
                           {"location", kLocation}, {"content-encoding", "gzip"}, {"set-cookie", kCookie}};
const FieldList kResponseTable{{"set-cookie", kCookie}, {"content-encoding", "gzip"}, {"date", kDate2}};

// The examples leave out how the table became one of 256 bytes; a size update does it.
HpackDecoder decoder_of_256() {
  HpackDecoder decoder;
  EXPECT_TRUE(decode(decoder, unhex("3fe101")).ok);
  return decoder;
}

TEST(HpackDecode, Rfc7541_C_5_ResponsesWithoutHuffmanAndWithEviction) {
  HpackDecoder decoder = decoder_of_256();
  expect_examples(
      decoder,
      {{"4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d"
        "546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        kResponse1, 222, 4},
       {"4803 3330 37c1 c0bf", kResponse2, 222, 4},
       {"88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f"
        "6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b"
        "2076 6572 7369 6f6e 3d31",
        kResponse3, 215, 3}});
  EXPECT_EQ(table_of(decoder), kResponseTable);
}

TEST(HpackDecode, Rfc7541_C_6_ResponsesWithHuffmanAndWithEviction) {
  HpackDecoder decoder = decoder_of_256();
  expect_examples(
      decoder,
      {{"4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7"
        "8f0b 97c8 e9ae 82ae 43d3",
        kResponse1, 222, 4},
       {"4883 640e ffc1 c0bf", kResponse2, 222, 4},
       {"88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335"
        "dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        kResponse3, 215, 3}});
  EXPECT_EQ(table_of(decoder), kResponseTable);
}

TEST(HpackDecode, Rfc7541_2_3_3_IndexZeroIsRefused) { expect_refused("80"); }

TEST(HpackDecode, Rfc7541_2_3_3_IndexBeyondTheTableIsRefused) {
  EXPECT_TRUE(decode_hex("bd").ok);  // 61, the last of the static table
  expect_refused("be");              // 62 of an empty dynamic table
  EXPECT_TRUE(decode_hex("4001 6101 62 be").ok);
  expect_refused("4001 6101 62 bf");
  expect_refused("7e 0162");         // as the name of a literal with indexing,
  expect_refused("0f2f 0162");       // without,
  expect_refused("1f2f 0162");       // and of one never to be indexed
  expect_refused("ff80 ffff ff0f");  // 2^32 - 1, where arithmetic that wraps round might begin anew
}

TEST(HpackDecode, Rfc7541_5_1_IntegerAbove32BitsIsRefused) {
  expect_refused("ffff ffff ff7f");
  expect_refused("ff83 ffff ff0f");     // 2^32 + 2: index 2, if it wrapped round
  expect_refused("00 7f81 ffff ff10");  // a length of 2^32
  expect_refused("3f80 8080 8010");
}

TEST(HpackDecode, Rfc7541_5_1_IntegerInMoreBytesThan32BitsNeedIsRefused) {
  EXPECT_TRUE(decode_hex("3f80 8080 8000").ok);  // 31, in the five that they may need
  expect_refused("3f80 8080 8080 00");
  expect_refused("ff80 8080 8080 8080 8080 00");
}

TEST(HpackDecode, Rfc7541_5_2_StringLongerThanTheBlockIsRefused) {
  expect_refused("0003 6162");
  expect_refused("0001 6102 62");
  expect_refused("0001 617f ffff ff07");
  expect_refused("0083 ffff");
}

// 16 times "a" are 80 bits: no padding, and long enough for the path that takes eight bytes at a time.
TEST(HpackDecode, Rfc7541_5_2_PaddingOfMoreThan7BitsIsRefused) {
  EXPECT_EQ(decode_hex("0001 6184 18c6 31ff").fields, (FieldList{{"a", "aaaaa"}}));  // 7 bits
  EXPECT_EQ(decode_hex("0001 6181 fc").fields, (FieldList{{"a", "X"}}));             // none
  EXPECT_EQ(decode_hex("0001 618a 18c6 318c 6318 c631 8c63").fields, (FieldList{{"a", std::string(16, 'a')}}));
  expect_refused("0001 6182 fcff");
  expect_refused("0001 6182 1fff");
  expect_refused("0001 6181 ff");
  expect_refused("0001 6185 18c6 31ff ff");
  expect_refused("0001 618b 18c6 318c 6318 c631 8c63 ff");
}

TEST(HpackDecode, Rfc7541_5_2_PaddingThatIsNotOnesIsRefused) {
  EXPECT_EQ(decode_hex("0001 6181 1f").fields, (FieldList{{"a", "a"}}));
  for (u32 padding = 0; padding < 7; ++padding) {
    HpackDecoder decoder;
    EXPECT_FALSE(decode(decoder, unhex("0001 6181") + static_cast<char>(0x18 | padding)).ok) << padding;
  }
  expect_refused("0001 6184 18c6 31fe");
  expect_refused("0001 618b 18c6 318c 6318 c631 8c63 1e");
}

TEST(HpackDecode, Rfc7541_5_2_EosIsRefused) {
  expect_refused("0001 6184 ffff ffff");
  expect_refused("0001 6185 ffff fffc 7f");  // followed by "a"
  expect_refused("0001 618e 18c6 318c 6318 c631 8c63 ffff ffff");
  expect_refused("0001 6198 ffff ffff 18c6 318c 6318 c631 8c63 18c6 318c 6318 c631 8c63");
}

TEST(HpackDecode, Rfc7541_5_2_EmptyStringsAreStrings) {
  EXPECT_EQ(decode_hex("0000 00").fields, (FieldList{{"", ""}}));
  EXPECT_EQ(decode_hex("0080 80").fields, (FieldList{{"", ""}}));
}

TEST(HpackDecode, Rfc7541_4_2_SizeUpdateAboveTheLimitIsRefused) {
  EXPECT_TRUE(decode_hex("3fe1 1f").ok);
  expect_refused("3fe2 1f");
  HpackDecoder decoder;
  decoder.set_table_bytes_max(100);
  EXPECT_FALSE(decode(decoder, unhex("3f46")).ok);  // 101
  decoder.begin(100);
  EXPECT_TRUE(decode(decoder, unhex("3f45")).ok);  // 100
  EXPECT_FALSE(decode(decoder, unhex("3f46")).ok);
}

TEST(HpackDecode, Rfc7541_4_2_SizeUpdateBehindAFieldIsRefused) {
  EXPECT_TRUE(decode_hex("20 3fe1 1f 82").ok);
  expect_refused("82 20");
  expect_refused("0001 6101 62 20");
}

TEST(HpackDecode, Rfc7541_4_2_SizeUpdateIsOwedAfterAReductionAndOnlyThen) {
  HpackDecoder decoder;
  decoder.set_table_bytes_max(4096);
  EXPECT_TRUE(decode(decoder, unhex("82")).ok);
  decoder.set_table_bytes_max(0);
  EXPECT_FALSE(decode(decoder, unhex("82")).ok);
  EXPECT_FALSE(decode(decoder, "").ok);
  EXPECT_TRUE(decode(decoder, unhex("20 82")).ok);
  decoder.set_table_bytes_max(4096);
  EXPECT_TRUE(decode(decoder, unhex("82")).ok);
}

TEST(HpackDecode, Rfc7541_4_2_AfterReducingAndRaisingTheSmallestSizeComesFirst) {
  const auto reduced_and_raised = [] {
    HpackDecoder decoder;
    decoder.set_table_bytes_max(64);
    decoder.set_table_bytes_max(2048);
    return decoder;
  };
  HpackDecoder decoder = reduced_and_raised();
  EXPECT_FALSE(decode(decoder, unhex("3fe1 0f")).ok);  // 2048 alone
  decoder = reduced_and_raised();
  EXPECT_TRUE(decode(decoder, unhex("3f21 3fe1 0f")).ok);  // 64, then 2048
  EXPECT_TRUE(decode(decoder, unhex("82")).ok);
}

TEST(HpackDecode, Rfc7541_4_3_SizeUpdateEvicts) {
  HpackDecoder decoder;
  ASSERT_TRUE(decode(decoder, unhex("4001 6101 31  4001 6201 32  4001 6301 33")).ok);
  EXPECT_EQ(decoder.table_bytes(), 3 * 34u);
  ASSERT_TRUE(decode(decoder, unhex("3f36")).ok);  // 85
  EXPECT_EQ(table_of(decoder), (FieldList{{"c", "3"}, {"b", "2"}}));
  ASSERT_TRUE(decode(decoder, unhex("20")).ok);
  EXPECT_EQ(decoder.table_entries(), 0u);
}

TEST(HpackDecode, Rfc7541_4_4_EntryLargerThanTheTableEmptiesItAndIsNoError) {
  HpackDecoder decoder;
  ASSERT_TRUE(decode(decoder, unhex("3f41 4001 6101 31")).ok);  // 96
  EXPECT_EQ(decoder.table_entries(), 1u);
  const std::string value(64, 'v');
  const Decoded seen = decode(decoder, unhex("4001 6240") + value);
  EXPECT_TRUE(seen.ok);
  EXPECT_EQ(seen.fields, (FieldList{{"b", value}}));
  EXPECT_EQ(decoder.table_entries(), 0u);
  EXPECT_EQ(decoder.table_bytes(), 0u);
}

std::string plain_string(const std::string& text) {
  std::string coded;
  u64 left = text.size();
  if (left < 0x7f) return static_cast<char>(left) + text;
  coded += '\x7f';
  for (left -= 0x7f; left >= 0x80; left >>= 7) coded += static_cast<char>(0x80 | left);
  return coded + static_cast<char>(left) + text;
}

// The new entry's name is that of the oldest of two, which has to go for it, while the other moves to where that was.
TEST(HpackDecode, Rfc7541_4_4_NameOfTheEntryThatIsEvictedIsKept) {
  HpackDecoder decoder;
  for (u32 round = 0; round < 1000; ++round) {
    const std::string name = std::string(1 + round * 37 % 2500, static_cast<char>('a' + round % 26)) + "-end";
    const std::string value(round % 50, 'v');
    const std::string stays(contract::kHpackTableBytesMax - 2 * contract::kHpackEntryBytes - name.size() - 50 - 1, 's');
    ASSERT_TRUE(decode(decoder, unhex("20 3fe11f 40") + plain_string(name) + plain_string(std::string(50, 'x')) +
                                    unhex("40") + plain_string("n") + plain_string(stays))
                    .ok);
    ASSERT_EQ(decoder.table_bytes(), contract::kHpackTableBytesMax);
    ASSERT_TRUE(decode(decoder, unhex("7f00") + plain_string(value)).ok);  // 63
    ASSERT_EQ(table_of(decoder), (FieldList{{name, value}, {"n", stays}})) << round;
  }
}

TEST(HpackDecode, Rfc7541_6_2_3_NeverIndexedIsShownAndNothingElseIs) {
  EXPECT_EQ(
      decode_hex("1f08 0161  0f08 0161  5701 61  97").fields,
      (FieldList{{"authorization", "a", true}, {"authorization", "a"}, {"authorization", "a"}, {"authorization", ""}}));
}

TEST(HpackDecode, TruncatedBlockShowsTheFieldsBeforeAndIsRefused) {
  const std::vector<std::string> fields{unhex("88"), unhex("4882 6402"), unhex("0085 f2b2 4a84 ff 0261 62"),
                                        unhex("0f2b 0163"), unhex("1001 6183 18c6 3f")};
  std::string block;
  std::vector<std::size_t> ends{0};
  for (const std::string& field : fields) {
    block += field;
    ends.push_back(block.size());
  }
  for (std::size_t cut = 0; cut <= block.size(); ++cut) {
    HpackDecoder decoder;
    const Decoded seen = decode(decoder, std::string_view(block).substr(0, cut));
    const auto whole = std::upper_bound(ends.begin(), ends.end(), cut) - ends.begin() - 1;
    EXPECT_EQ(seen.fields.size(), static_cast<std::size_t>(whole)) << cut;
    EXPECT_EQ(seen.ok, std::find(ends.begin(), ends.end(), cut) != ends.end()) << cut;
  }
}

// Integers of several bytes, strings of both kinds that are long enough for every path, entries put in and referred to.
TEST(HpackDecode, BlockInPiecesCutAtEveryByteIsTheSame) {
  const FieldList fields{{":status", "302"},      {"x-long-name", std::string(200, 'v')},
                         {"date", kDate1},        {"x-plain", std::string(150, '\x80')},
                         {"set-cookie", kCookie}, {"authorization", "x", true}};
  HpackEncoder encoder;
  const std::string first = encode(encoder, fields);
  encoder.set_table_bytes_max(1000);
  const std::string second = encode(encoder, fields);
  ASSERT_LT(second.size(), first.size());
  for (std::size_t cut = 0; cut <= first.size(); ++cut) {
    HpackDecoder decoder;
    ASSERT_EQ(decode_pieces(decoder, {first.substr(0, cut), "", first.substr(cut)}), (Decoded{fields, true})) << cut;
    const std::size_t at = std::min(cut, second.size());
    ASSERT_EQ(decode_pieces(decoder, {"", second.substr(0, at), second.substr(at), ""}), (Decoded{fields, true})) << at;
  }
  for (std::size_t size = 1; size < 20; ++size) {
    HpackDecoder decoder;
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < first.size(); at += size) pieces.push_back(first.substr(at, size));
    ASSERT_EQ(decode_pieces(decoder, pieces), (Decoded{fields, true})) << size;
  }
}

TEST(HpackDecode, BeginForgetsEverything) {
  HpackDecoder decoder;
  ASSERT_TRUE(decode(decoder, unhex("4001 6101 31")).ok);
  decoder.set_table_bytes_max(0);
  decoder.begin();
  EXPECT_EQ(decoder.table_entries(), 0u);
  EXPECT_FALSE(decode(decoder, unhex("be")).ok);
  EXPECT_TRUE(decode(decoder, unhex("82")).ok);
}

}  // namespace
}  // namespace ringway::http::test
