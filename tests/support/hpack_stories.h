#pragma once
// The shared header stories (http2jp/hpack-test-case): header blocks of three encoders with the fields that are in
// them, and the fields alone. One story is one connection. Whoever uses this says so where the shared folder is absent.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "tests/support/hpack.h"

namespace ringway::http::test {

struct StoryBlock {
  std::string wire;  // empty in the set "raw-data"
  FieldList fields;
  std::optional<u32> table_bytes_max;  // changes before this block
};
using Story = std::vector<StoryBlock>;

// The stories unpacked into a folder that lives as long as this.
class StoryArchive {
 public:
  // Nothing is unpacked where RINGWAY_SHARED names no folder.
  StoryArchive() {
    const char* shared = std::getenv("RINGWAY_SHARED");
    if (shared == nullptr || !std::filesystem::exists(shared)) return;
    present_ = true;
    char name[] = "/tmp/ringway-stories-XXXXXX";
    if (mkdtemp(name) == nullptr) return;
    folder_ = name;
    const std::filesystem::path archive = std::filesystem::path(shared) / "data" / "hpack" / "stories.tar.xz";
    readable_ = std::system(("tar -xJf '" + archive.string() + "' -C " + folder_).c_str()) == 0;
  }
  ~StoryArchive() {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  StoryArchive(const StoryArchive&) = delete;
  StoryArchive& operator=(const StoryArchive&) = delete;

  bool present() const { return present_; }
  bool readable() const { return readable_; }

  std::vector<Story> stories(const std::string& set) const {
    std::vector<Story> all;
    for (const auto& file : std::filesystem::directory_iterator(folder_ + "/" + set)) {
      Story& story = all.emplace_back();
      const nlohmann::json told = nlohmann::json::parse(std::ifstream(file.path()));
      for (const nlohmann::json& said : told.at("cases")) {
        StoryBlock& block = story.emplace_back();
        block.wire = unhex(said.value("wire", ""));
        for (const nlohmann::json& field : said.at("headers")) {
          block.fields.push_back({field.begin().key(), field.begin().value()});
        }
        if (said.contains("header_table_size")) block.table_bytes_max = said["header_table_size"];
      }
    }
    return all;
  }

 private:
  std::string folder_;
  bool present_ = false;
  bool readable_ = false;
};

}  // namespace ringway::http::test
