// HPACK beside nghttp2's, both ways, over long lives of connections: what one writes the other reads, with tables that
// fill, change their size and are full of odd entries; and blocks that were spoilt on the way are read, or refused, by
// both alike. Each life comes from a seed, which a failure shows.

#include <gtest/gtest.h>

#include "tests/support/hpack.h"

namespace ringway::http::test {
namespace {

class Random {
 public:
  explicit Random(u64 seed) : engine_(seed) {}
  u32 below(u32 count) { return static_cast<u32>(engine_() % count); }
  bool one_in(u32 count) { return below(count) == 0; }
  template <class T>
  const T& of(const std::vector<T>& all) {
    return all[below(static_cast<u32>(all.size()))];
  }

 private:
  std::mt19937_64 engine_;
};

std::string odd_text(Random& random) {
  const u32 bytes = random.one_in(40) ? random.below(5000) : random.below(random.one_in(5) ? 200 : 24);
  const u32 kind = random.below(4);
  std::string text;
  for (u32 i = 0; i < bytes; ++i) {
    if (kind == 0) text += static_cast<char>(random.below(256));
    if (kind == 1) text += static_cast<char>('a' + random.below(26));
    if (kind == 2) text += static_cast<char>('0' + random.below(10));
    if (kind == 3) text += static_cast<char>(' ' + random.below(95));
  }
  return text;
}

std::string lower_case(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return text;
}

// Names and values come again now and then, as they do in life: a connection has its own stock of both.
class Speaker {
 public:
  explicit Speaker(Random& random) : random_(random) {
    for (u32 i = 1; i <= kHpackStaticEntries; i += 1 + random.below(6)) names_.emplace_back(kHpackStatic[i].name);
    for (int i = 0; i < 8; ++i) names_.push_back(lower_case(odd_text(random)));
    for (const char* name : {"x-request-id", "x-forwarded-for", "cookie", "authorization"}) names_.emplace_back(name);
    for (int i = 0; i < 20; ++i) values_.push_back(odd_text(random));
    for (const char* value : {"GET", "200", "", "gzip, deflate", "/"}) values_.emplace_back(value);
  }

  FieldList say() {
    FieldList fields;
    for (u32 count = random_.below(random_.one_in(20) ? 100 : 12); count > 0; --count) {
      if (random_.one_in(8)) names_[random_.below(static_cast<u32>(names_.size()))] = lower_case(odd_text(random_));
      if (random_.one_in(3)) values_[random_.below(static_cast<u32>(values_.size()))] = odd_text(random_);
      fields.push_back({random_.of(names_), random_.of(values_), random_.one_in(20)});
    }
    return fields;
  }

 private:
  Random& random_;
  std::vector<std::string> names_, values_;
};

u32 some_size(Random& random) {
  if (random.one_in(4)) return contract::kHpackTableBytesMax;
  return random.one_in(4) ? random.below(64) : random.below(contract::kHpackTableBytesMax + 1);
}

std::vector<std::string> in_pieces(const std::string& block, Random& random) {
  std::vector<std::string> pieces;
  const u32 most = 1 + random.below(random.one_in(2) ? 8 : 600);
  for (std::size_t at = 0; at < block.size();) {
    const std::size_t bytes = random.below(most + 1);
    pieces.push_back(block.substr(at, bytes));
    at += bytes;
  }
  return pieces;
}

TEST(HpackBesideNghttp2, WhatNghttp2WritesIsReadInWhateverPieces) {
  for (u64 seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Speaker speaker(random);
    Nghttp2Encoder encoder;
    HpackDecoder decoder;
    for (int block = 0; block < 60; ++block) {
      for (u32 changes = random.one_in(6) ? 1 + random.below(3) : 0; changes > 0; --changes) {
        const u32 size = some_size(random);
        encoder.set_table_bytes_max(size);
        decoder.set_table_bytes_max(size);
      }
      FieldList fields = speaker.say();
      const std::string wire = encode(encoder, fields);
      // nghttp2 has a policy of its own about which fields are secrets.
      Decoded seen = decode_pieces(decoder, in_pieces(wire, random));
      ASSERT_TRUE(seen.ok);
      ASSERT_EQ(seen.fields.size(), fields.size());
      for (std::size_t i = 0; i < fields.size(); ++i) {
        fields[i].never_indexed = seen.fields[i].never_indexed =
            fields[i].never_indexed || seen.fields[i].never_indexed;
      }
      ASSERT_EQ(seen.fields, fields);
    }
  }
}

TEST(HpackBesideNghttp2, WhatWeWriteIsReadByNghttp2AndByUsAlike) {
  for (u64 seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Speaker speaker(random);
    HpackEncoder encoder;
    HpackDecoder ours;
    Nghttp2Decoder theirs;
    for (int block = 0; block < 60; ++block) {
      for (u32 changes = random.one_in(6) ? 1 + random.below(3) : 0; changes > 0; --changes) {
        const u32 size = some_size(random);
        encoder.set_table_bytes_max(size);
        ours.set_table_bytes_max(size);
        theirs.set_table_bytes_max(size);
      }
      const FieldList fields = speaker.say();
      const std::string wire = encode(encoder, fields);
      const Decoded seen = decode(ours, wire);
      ASSERT_EQ(seen, decode(theirs, wire));
      ASSERT_TRUE(seen.ok);
      ASSERT_EQ(seen.fields.size(), fields.size());
      for (std::size_t i = 0; i < fields.size(); ++i) {
        ASSERT_EQ(seen.fields[i].name, fields[i].name);
        ASSERT_EQ(seen.fields[i].value, fields[i].value);
        ASSERT_GE(seen.fields[i].never_indexed, fields[i].never_indexed);
      }
      ASSERT_EQ(ours.table_bytes(), encoder.table_bytes());
      ASSERT_EQ(ours.table_bytes(), theirs.table_bytes());
      ASSERT_EQ(ours.table_entries(), encoder.table_entries());
    }
  }
}

std::string spoilt(std::string wire, Random& random) {
  for (u32 changes = 1 + random.below(3); changes > 0; --changes) {
    const std::size_t at = random.below(static_cast<u32>(wire.size() + 1));
    switch (random.below(5)) {
      case 0:
        wire.resize(at);
        break;
      case 1:
        wire.insert(at, 1, static_cast<char>(random.below(256)));
        break;
      case 2:
        wire.insert(at, wire.substr(0, random.below(20)));
        break;
      case 3:
        if (at < wire.size()) wire.erase(at, 1);
        break;
      default:
        if (at < wire.size()) wire[at] = static_cast<char>(wire[at] ^ (1 << random.below(8)));
    }
  }
  return wire;
}

TEST(HpackBesideNghttp2, SpoiltBlocksAreReadOrRefusedAlike) {
  u32 refused = 0;
  u32 read = 0;
  for (u64 seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Speaker speaker(random);
    HpackEncoder one;
    Nghttp2Encoder other;
    HpackDecoder ours;
    Nghttp2Decoder theirs;
    for (bool alive = true; alive;) {
      const u32 size = some_size(random);
      if (random.one_in(6)) {
        one.set_table_bytes_max(size);
        other.set_table_bytes_max(size);
        ours.set_table_bytes_max(size);
        theirs.set_table_bytes_max(size);
      }
      const FieldList fields = speaker.say();
      std::string wire = random.one_in(2) ? encode(one, fields) : encode(other, fields);
      if (random.one_in(2)) wire = spoilt(wire, random);
      const Decoded seen = decode_pieces(ours, in_pieces(wire, random));
      const Decoded expected = decode(theirs, wire);
      ASSERT_EQ(seen.ok, expected.ok);
      ASSERT_EQ(seen.fields, expected.fields);
      alive = seen.ok;
      if (alive) {
        ASSERT_EQ(ours.table_bytes(), theirs.table_bytes());
      }
      ++(alive ? read : refused);
    }
  }
  EXPECT_EQ(refused, 1000u);
  EXPECT_GT(read, 500u);
}

}  // namespace
}  // namespace ringway::http::test
