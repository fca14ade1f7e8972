// HPACK encoding: which form each field gets, and that what is written is read again, by our decoder here and by others
// in hpack_nghttp2_test.cc and hpack_python_test.py.

#include <gtest/gtest.h>

#include "dataplane/http/hpack_names.h"
#include "dataplane/http/huffman.h"
#include "tests/support/hpack.h"

namespace ringway::http::test {
namespace {

using Index = HpackEncoder::Index;

enum class Form { indexed, indexing, without_indexing, never_indexed };

Form form_of(std::string_view block) {
  const u8 first = static_cast<u8>(block.at(0));
  if (first & 0x80) return Form::indexed;
  if (first & 0x40) return Form::indexing;
  return first & 0x10 ? Form::never_indexed : Form::without_indexing;
}

std::string encode_one(HpackEncoder& encoder, std::string_view name, std::string_view value, Index index = Index::yes,
                       FieldId id = FieldId::other) {
  std::string block(name.size() + value.size() + 32, '\0');
  block.resize(encoder.encode(id, name, value, index, {reinterpret_cast<u8*>(block.data()), block.size()}));
  return block;
}

Form form_of_field(std::string_view name, std::string_view value) {
  HpackEncoder encoder;
  return form_of(encode_one(encoder, name, value));
}

TEST(HpackEncode, PolicyWhatComesAgainIsIndexed) {
  for (const char* name : {":authority", "user-agent", "accept-language", "content-type", "server", "date",
                           "x-forwarded-proto", "x-envoy-expected-rq-timeout-ms", "x-some-field-of-an-application"}) {
    HpackEncoder encoder;
    EXPECT_EQ(form_of(encode_one(encoder, name, "a value")), Form::indexing) << name;
    EXPECT_EQ(encode_one(encoder, name, "a value"), "\xbe") << name;
  }
}

TEST(HpackEncode, PolicyWhatEachMessageHasAnewIsNot) {
  for (const char* name : {":path", "content-length", "etag", "age", "location", "set-cookie", "if-none-match"}) {
    EXPECT_EQ(form_of_field(name, "a value"), Form::without_indexing) << name;
  }
}

TEST(HpackEncode, PolicyOfANameInNoTableOnlyTheNameIsIndexedOnce) {
  for (const char* name : {"x-request-id", "x-forwarded-for", "x-envoy-upstream-service-time", "traceparent"}) {
    HpackEncoder encoder;
    EXPECT_EQ(form_of(encode_one(encoder, name, "a value")), Form::indexing) << name;
    const std::string second = encode_one(encoder, name, "another");
    EXPECT_EQ(form_of(second), Form::without_indexing) << name;
    EXPECT_EQ(second.substr(0, 2), "\x0f\x2f") << name << ": 15 + 47 is 62, the newest entry";
    EXPECT_EQ(encoder.table_entries(), 1u);
  }
}

TEST(HpackEncode, Rfc7541_7_1_3_PolicySecretsAreNeverIndexed) {
  EXPECT_EQ(form_of_field("authorization", "Bearer 0123456789012345678901234567890123456789"), Form::never_indexed);
  EXPECT_EQ(form_of_field("proxy-authorization", "Basic YTpi"), Form::never_indexed);
  EXPECT_EQ(form_of_field("cookie", "1234567890123456789"), Form::never_indexed);
  EXPECT_EQ(form_of_field("cookie", "12345678901234567890"), Form::indexing);
  HpackEncoder encoder;
  EXPECT_EQ(form_of(encode_one(encoder, "authorization", "Basic YTpi", Index::no)), Form::never_indexed);
}

TEST(HpackEncode, WhatTheCallerSaysIsStricterThanThePolicy) {
  HpackEncoder encoder;
  EXPECT_EQ(form_of(encode_one(encoder, "server", "ringway", Index::no)), Form::without_indexing);
  EXPECT_EQ(form_of(encode_one(encoder, "x-request-id", "1", Index::no)), Form::without_indexing);
  EXPECT_EQ(form_of(encode_one(encoder, "server", "ringway", Index::never)), Form::never_indexed);
  EXPECT_EQ(encoder.table_entries(), 0u);
}

// RFC 7541 6.2.3: an intermediary keeps the form, even where a table has the whole field.
TEST(HpackEncode, Rfc7541_6_2_3_NeverIndexedStaysSoForFieldsThatATableHas) {
  HpackEncoder encoder;
  HpackDecoder decoder;
  const FieldList fields{{":method", "GET", true}, {"x-name", "value"}, {"x-name", "value", true}};
  EXPECT_EQ(decode(decoder, encode(encoder, fields)), (Decoded{fields, true}));
}

TEST(HpackEncode, StaticFieldsAreOneByteEach) {
  for (u32 index = 1; index <= kHpackStaticEntries; ++index) {
    const HpackEntry& entry = kHpackStatic[index];
    if (entry.name.ends_with("authorization") || entry.name == "cookie") continue;
    HpackEncoder encoder;
    EXPECT_EQ(encode_one(encoder, entry.name, entry.value), std::string(1, static_cast<char>(0x80 | index)));
  }
}

TEST(HpackEncode, NameIsTakenFromTheFieldIdWhereThatIsKnown) {
  for (u32 id = 1; id < static_cast<u32>(FieldId::count_); ++id) {
    const std::string_view name = field_name(static_cast<FieldId>(id));
    HpackEncoder by_name;
    HpackEncoder by_id;
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(encode_one(by_id, name, "some value", Index::yes, static_cast<FieldId>(id)),
                encode_one(by_name, name, "some value"))
          << name;
    }
  }
}

TEST(HpackEncode, Rfc9113_8_2_NamesAreWrittenInLowerCase) {
  HpackDecoder decoder;
  HpackEncoder encoder;
  const std::string odd = "A-Z[\\]^_`@{|}~\x7f\x80\xc1\xda\xff";
  const std::string lower_odd = "a-z[\\]^_`@{|}~\x7f\x80\xc1\xda\xff";
  const std::string tail = std::string(80, 'B') + odd;
  const std::string lower_tail = std::string(80, 'b') + lower_odd;
  EXPECT_EQ(
      decode(decoder, encode(encoder, {{"Content-Type", "Text"}, {odd, "A"}, {"X-Y", "Z"}, {tail, "C"}, {"X", ""}})),
      (Decoded{{{"content-type", "Text"}, {lower_odd, "A"}, {"x-y", "Z"}, {lower_tail, "C"}, {"x", ""}}, true}));
  // In another case it is the same field.
  EXPECT_EQ(form_of(encode_one(encoder, "x-Y", "Z")), Form::indexed);
  EXPECT_EQ(form_of(encode_one(encoder, "CONTENT-TYPE", "Text")), Form::indexed);
}

TEST(HpackEncode, EveryByteOfANameIsFoundAgainInLowerCase) {
  for (u32 byte = 0; byte < 256; ++byte) {
    HpackEncoder encoder;
    HpackDecoder decoder;
    const char lowered = static_cast<char>(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
    for (const std::string before : {"x", "x-some-name-"}) {
      const Decoded seen =
          decode(decoder, encode(encoder, {{before + static_cast<char>(byte), "v"}, {before + lowered, "v"}}));
      EXPECT_EQ(seen, (Decoded{{{before + lowered, "v"}, {before + lowered, "v"}}, true})) << byte;
    }
    EXPECT_EQ(encoder.table_entries(), 2u) << byte;
  }
}

TEST(HpackEncode, Rfc7541_C_4_RequestsAreWrittenAsThere) {
  HpackEncoder encoder;
  const FieldList common{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "www.example.com"}};
  FieldList second = common;
  second.push_back({"cache-control", "no-cache"});
  EXPECT_EQ(encode(encoder, common), unhex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"));
  EXPECT_EQ(encode(encoder, second), unhex("8286 84be 5886 a8eb 1064 9cbf"));
  EXPECT_EQ(encode(encoder, {{":method", "GET"},
                             {":scheme", "https"},
                             {":path", "/index.html"},
                             {":authority", "www.example.com"},
                             {"custom-key", "custom-value"}}),
            unhex("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf"));
}

TEST(HpackEncode, StringsAreHuffmanCodedOnlyWhereThatIsShorter) {
  HpackEncoder encoder;
  EXPECT_EQ(encode_one(encoder, ":path", "aaa"), unhex("0482 18c7"));
  EXPECT_EQ(encode_one(encoder, ":path", "X"), unhex("0401 58"));
  EXPECT_EQ(encode_one(encoder, ":path", "\x01"), unhex("0401 01"));
}

TEST(HpackEncode, EveryLengthOfNameIsReadAgain) {
  HpackEncoder encoder;
  HpackDecoder decoder;
  for (std::size_t length = 0; length < 300; ++length) {
    for (const bool never : {false, true}) {
      const FieldList fields{{std::string(length, 'n'), std::string(length, 'v'), never}};
      ASSERT_EQ(decode(decoder, encode(encoder, fields)), (Decoded{fields, true})) << length;
    }
  }
}

TEST(HpackEncode, WithoutRoomNothingIsWrittenAndNothingHasChanged) {
  const FieldList fields{{":method", "GET"},
                         {"server", "ringway"},
                         {"x-new-name", "value"},
                         {"server", "ringway"},
                         {":path", "/a/long/path"},
                         {"X-New-Name", "two"},
                         {"cookie", "short"},
                         {std::string(70, 'n'), "long name"},
                         {"x-request-id", std::string(200, '\x01')}};
  HpackEncoder roomy;
  HpackEncoder tight;
  for (const FieldText& field : fields) {
    const std::string expected = encode_one(roomy, field.name, field.value);
    for (std::size_t room = 0; room < expected.size(); ++room) {
      std::vector<u8> out(room);
      ASSERT_EQ(tight.encode(FieldId::other, field.name, field.value, Index::yes, out), 0u) << field.name << room;
    }
    std::vector<u8> out(expected.size());
    ASSERT_EQ(tight.encode(FieldId::other, field.name, field.value, Index::yes, out), out.size());
    EXPECT_EQ(std::string(out.begin(), out.end()), expected);
    EXPECT_EQ(tight.table_bytes(), roomy.table_bytes());
  }
}

TEST(HpackEncode, FieldsThatWouldFillTheTableStayOut) {
  EXPECT_EQ(form_of_field("x-name", std::string(3072 - 32 - 6, 'v')), Form::indexing);
  EXPECT_EQ(form_of_field("x-name", std::string(3072 - 32 - 5, 'v')), Form::without_indexing);
}

// --- RFC 7541 4.2: what is announced, and when

std::string begun(HpackEncoder& encoder) {
  std::string out(HpackEncoder::kSizeUpdateBytesMax, '\0');
  out.resize(encoder.begin_block({reinterpret_cast<u8*>(out.data()), out.size()}));
  return out;
}

TEST(HpackEncode, Rfc7541_4_2_ReductionIsAnnouncedOnceByTheNextBlock) {
  HpackEncoder encoder;
  EXPECT_EQ(begun(encoder), "");
  encoder.set_table_bytes_max(100);
  EXPECT_EQ(begun(encoder), "\x3f\x45");
  EXPECT_EQ(begun(encoder), "");
  encoder.set_table_bytes_max(100);
  EXPECT_EQ(begun(encoder), "");
}

TEST(HpackEncode, Rfc7541_4_2_SmallestThenLastSizeIsAnnounced) {
  HpackEncoder encoder;
  encoder.set_table_bytes_max(2048);
  encoder.set_table_bytes_max(0);
  encoder.set_table_bytes_max(100);
  EXPECT_EQ(begun(encoder), "\x20\x3f\x45");
  encoder.set_table_bytes_max(64);
  encoder.set_table_bytes_max(100);
  EXPECT_EQ(begun(encoder), "\x3f\x21\x3f\x45");
}

TEST(HpackEncode, Rfc7541_4_2_NoMoreThanOurOwnSizeIsUsedOfWhatThePeerOffers) {
  HpackEncoder encoder;
  encoder.set_table_bytes_max(1u << 20);
  EXPECT_EQ(begun(encoder), "");
  encoder.begin(0xffff'ffff);
  EXPECT_EQ(begun(encoder), "");
  encoder.begin(0);
  EXPECT_EQ(begun(encoder), "\x20");
  encoder.set_table_bytes_max(1u << 20);
  EXPECT_EQ(begun(encoder), "\x3f\xe1\x1f");
}

TEST(HpackEncode, ReductionWaitsForTheNextBlockAndThenEvicts) {
  HpackEncoder encoder;
  encode_one(encoder, "server", "ringway");
  encoder.set_table_bytes_max(0);
  EXPECT_EQ(form_of(encode_one(encoder, "server", "ringway")), Form::indexed) << "still the block before";
  begun(encoder);
  EXPECT_EQ(encoder.table_entries(), 0u);
  EXPECT_EQ(form_of(encode_one(encoder, "server", "ringway")), Form::without_indexing);
}

TEST(HpackEncode, BeginForgetsEverything) {
  HpackEncoder encoder;
  const std::string first = encode_one(encoder, "server", "ringway");
  encoder.set_table_bytes_max(0);
  encoder.begin();
  EXPECT_EQ(encoder.table_entries(), 0u);
  EXPECT_EQ(begun(encoder), "");
  EXPECT_EQ(encode_one(encoder, "server", "ringway"), first);
}

// --- the look-up

TEST(HpackIndex, NearlyEveryEntryOfAFullTableIsFound) {
  for (const std::size_t length : {0u, 20u, 60u}) {
    HpackTable table;
    HpackIndex index;
    index.clear();
    const auto value_of = [&](u32 i) { return std::to_string(1000 + i) + std::string(length, 'v'); };
    const auto hash_of = [&](u32 i) { return hpack_hash(hpack_hash(0, "name"), value_of(i)); };
    for (u32 i = 0; i < 1000; ++i) {
      table.insert("name", value_of(i));
      index.remember_newest(table, hash_of(i));
    }
    u32 found = 0;
    for (u32 age = 0; age < table.entries(); ++age) {
      const std::string value = value_of(999 - age);
      found += index.find(table, hash_of(999 - age), [&](const HpackEntry& e) { return e.value == value; }) == age;
    }
    EXPECT_GE(found * 100, table.entries() * 97) << found << " of " << table.entries();
  }
}

TEST(HpackIndex, EvictedEntriesAreNotFound) {
  HpackTable table;
  HpackIndex index;
  index.clear();
  const auto any = [](const HpackEntry&) { return true; };
  for (u32 i = 0; i < 1000; ++i) {
    table.insert("name", std::string(500, 'v'));
    index.remember_newest(table, i * 0x0123'4567'89ab'cdefu);
  }
  ASSERT_EQ(table.entries(), 7u);
  for (u32 i = 0; i < 1000; ++i) {
    const u32 age = index.find(table, i * 0x0123'4567'89ab'cdefu, any);
    EXPECT_TRUE(i < 993 || age == 999 - i) << i;
    EXPECT_TRUE(age == kNone32 || age < table.entries()) << i;
  }
}

TEST(HpackIndex, FullSetForgetsItsOldest) {
  HpackTable table;
  HpackIndex index;
  index.clear();
  const auto find = [&](u64 tag) { return index.find(table, tag << 56, [](const HpackEntry&) { return true; }); };
  for (u64 tag = 1; tag <= 5; ++tag) {
    table.insert("name", "value");
    index.remember_newest(table, tag << 56);
  }
  EXPECT_EQ(find(1), kNone32);
  for (u64 tag = 2; tag <= 5; ++tag) EXPECT_EQ(find(tag), 5 - tag);
}

// --- the Huffman code

TEST(Huffman, EverySymbolAtEveryPlaceIsReadAgain) {
  for (u32 symbol = 0; symbol < 256; ++symbol) {
    for (std::size_t before = 0; before < 20; ++before) {
      const std::string text = std::string(before, 'a') + static_cast<char>(symbol) + std::string(before % 3, 'Z');
      std::vector<u8> coded(huffman_bytes(text));
      ASSERT_EQ(huffman_encode(text, coded.data()), coded.data() + coded.size());
      std::vector<u8> out(huffman_decoded_bytes_max(coded.size()));
      const u32 bytes = huffman_decode(coded, out.data());
      ASSERT_EQ(std::string(out.begin(), out.begin() + bytes), text);
    }
  }
}

TEST(Huffman, NoBytesMakeDecodingLeaveItsRoom) {
  std::mt19937 random(1);
  for (u32 i = 0; i < 300'000; ++i) {
    std::vector<u8> coded(i < 65'536 ? 2 : 1 + random() % 12);
    for (u8& byte : coded) byte = static_cast<u8>(random() % 4 == 0 ? 0 : random());
    if (i < 65'536) coded = {static_cast<u8>(i >> 8), static_cast<u8>(i)};
    constexpr u8 kUntouched = 0xa5;
    std::vector<u8> out(huffman_decoded_bytes_max(coded.size()) + 1, kUntouched);
    const u32 bytes = huffman_decode(coded, out.data());
    ASSERT_EQ(out.back(), kUntouched);
    ASSERT_TRUE(bytes == kNone32 || bytes <= coded.size() * 8 / 5);
  }
}

TEST(Huffman, TextsOfTheRfc) {
  const auto coded = [](std::string_view text) {
    std::string out(huffman_bytes(text), '\0');
    huffman_encode(text, reinterpret_cast<u8*>(out.data()));
    return out;
  };
  EXPECT_EQ(coded("www.example.com"), "\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff");
  EXPECT_EQ(coded("no-cache"), "\xa8\xeb\x10\x64\x9c\xbf");
  EXPECT_EQ(coded(""), "");
}

TEST(HpackStatic, EntriesStandWhereTheRfcHasThem) {
  EXPECT_EQ(kHpackStatic[1].name, ":authority");
  EXPECT_EQ(kHpackStatic[16].value, "gzip, deflate");
  EXPECT_EQ(kHpackStatic[61].name, "www-authenticate");
  for (u32 i = 2; i <= kHpackStaticEntries; ++i) {
    EXPECT_FALSE(kHpackStatic[i].name.empty());
    EXPECT_FALSE(kHpackStatic[i].name == kHpackStatic[i - 1].name &&
                 kHpackStatic[i].value == kHpackStatic[i - 1].value);
  }
}

}  // namespace
}  // namespace ringway::http::test
