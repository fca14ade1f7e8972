// Header blocks as browsers' requests and servers' responses made them, by three encoders: decoded exactly. And the
// same fields encoded by us: how many bytes that takes beside nghttp2. The stories are in the shared folder; one story
// is one connection.

#include <gtest/gtest.h>

#include "tests/support/hpack_stories.h"

namespace ringway::http::test {
namespace {

class HpackStories : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { archive_ = std::make_unique<StoryArchive>(); }
  static void TearDownTestSuite() { archive_.reset(); }
  void SetUp() override {
    if (!archive_->present()) GTEST_SKIP() << "no shared folder of stories";
    ASSERT_TRUE(archive_->readable()) << "data/hpack/stories.tar.xz";
  }

  static void expect_decoded(const std::string& set) {
    std::size_t fields = 0;
    for (const Story& story : archive_->stories(set)) {
      HpackDecoder decoder;
      for (const StoryBlock& block : story) {
        if (block.table_bytes_max) decoder.set_table_bytes_max(*block.table_bytes_max);
        Decoded seen = decode(decoder, block.wire);
        ASSERT_TRUE(seen.ok);
        for (FieldText& field : seen.fields) field.never_indexed = false;  // the stories do not say
        ASSERT_EQ(seen.fields, block.fields);
        fields += seen.fields.size();
      }
    }
    EXPECT_GT(fields, 30'000u);
  }

  static inline std::unique_ptr<StoryArchive> archive_;
};

TEST_F(HpackStories, OfGoAreDecodedExactly) { expect_decoded("go-hpack"); }
TEST_F(HpackStories, OfHaskellAreDecodedExactly) { expect_decoded("haskell-http2-linear-huffman"); }
TEST_F(HpackStories, OfNghttp2WithTablesThatChangeAreDecodedExactly) { expect_decoded("nghttp2-change-table-size"); }

TEST_F(HpackStories, WrittenByUsAreReadByNghttp2AndNotLongerThanItsOwnByMoreThan5Percent) {
  u64 plain = 0;
  u64 ours = 0;
  u64 theirs = 0;
  for (const Story& story : archive_->stories("raw-data")) {
    HpackEncoder our_encoder;
    Nghttp2Encoder their_encoder;
    Nghttp2Decoder their_decoder;
    for (const StoryBlock& block : story) {
      const std::string wire = encode(our_encoder, block.fields);
      Decoded seen = decode(their_decoder, wire);
      ASSERT_TRUE(seen.ok);
      for (FieldText& field : seen.fields) field.never_indexed = false;
      ASSERT_EQ(seen.fields, block.fields);
      plain += text_bytes(block.fields);
      ours += wire.size();
      theirs += encode(their_encoder, block.fields).size();
    }
  }
  std::printf("%lu bytes of names and values: %lu coded by us (%.1f %%), %lu by nghttp2 (%.1f %%)\n", plain, ours,
              100.0 * static_cast<double>(ours) / static_cast<double>(plain), theirs,
              100.0 * static_cast<double>(theirs) / static_cast<double>(plain));
  EXPECT_GT(plain, 1'000'000u);
  EXPECT_LE(ours * 100, theirs * 105);
}

}  // namespace
}  // namespace ringway::http::test
