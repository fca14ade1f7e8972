// Header blocks as browsers' requests and servers' responses made them, by three encoders: decoded exactly. And the same
// fields encoded by us: how many bytes that takes beside nghttp2. The stories are in the shared folder; one story is one
// connection.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "tests/support/hpack.h"

namespace ringway::http::test {
namespace {

struct Block {
  std::string wire;  // empty in stories that say what to encode
  FieldList fields;
  std::optional<u32> table_bytes_max;
};
using Story = std::vector<Block>;

class HpackStories : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const char* shared = std::getenv("RINGWAY_SHARED");
    if (shared == nullptr || !std::filesystem::exists(shared)) return;
    char name[] = "/tmp/ringway-stories-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    const std::filesystem::path archive = std::filesystem::path(shared) / "data" / "hpack" / "stories.tar.xz";
    ASSERT_EQ(std::system(("tar -xJf '" + archive.string() + "' -C " + folder_).c_str()), 0) << archive;
  }
  static void TearDownTestSuite() {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  void SetUp() override {
    if (folder_.empty()) GTEST_SKIP() << "no shared folder of stories";
  }

  static std::vector<Story> stories(const std::string& set) {
    std::vector<Story> all;
    for (const auto& file : std::filesystem::directory_iterator(folder_ + "/" + set)) {
      Story& story = all.emplace_back();
      const nlohmann::json told = nlohmann::json::parse(std::ifstream(file.path()));
      for (const nlohmann::json& said : told.at("cases")) {
        Block& block = story.emplace_back();
        const std::string hex = said.value("wire", "");
        for (std::size_t i = 0; i < hex.size(); i += 2) {
          block.wire += static_cast<char>(std::stoul(hex.substr(i, 2), nullptr, 16));
        }
        for (const nlohmann::json& field : said.at("headers")) {
          block.fields.push_back({field.begin().key(), field.begin().value()});
        }
        if (said.contains("header_table_size")) block.table_bytes_max = said["header_table_size"];
      }
    }
    return all;
  }

  static void expect_decoded(const std::string& set) {
    std::size_t fields = 0;
    for (const Story& story : stories(set)) {
      HpackDecoder decoder;
      for (const Block& block : story) {
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

  static inline std::string folder_;
};

TEST_F(HpackStories, OfGoAreDecodedExactly) { expect_decoded("go-hpack"); }
TEST_F(HpackStories, OfHaskellAreDecodedExactly) { expect_decoded("haskell-http2-linear-huffman"); }
TEST_F(HpackStories, OfNghttp2WithTablesThatChangeAreDecodedExactly) { expect_decoded("nghttp2-change-table-size"); }

TEST_F(HpackStories, WrittenByUsAreReadByNghttp2AndNotLongerThanItsOwnByMoreThan5Percent) {
  u64 plain = 0;
  u64 ours = 0;
  u64 theirs = 0;
  for (const Story& story : stories("raw-data")) {
    HpackEncoder our_encoder;
    Nghttp2Encoder their_encoder;
    Nghttp2Decoder their_decoder;
    for (const Block& block : story) {
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
