// The loader's table of keys against the shipped JSON Schema, both ways. JSON is YAML, so yaml-cpp reads it.

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <set>
#include <string>

#include "control/config/keys.h"

namespace ringway::config {
namespace {

YAML::Node resolve(const YAML::Node& schema, const YAML::Node& node) {
  if (!node["$ref"]) return node;
  const std::string name = node["$ref"].Scalar();
  return schema["definitions"][name.substr(name.rfind('/') + 1)];
}

// One line per key: its path, with '!' behind it when it is obligatory.
void keys_in(const YAML::Node& schema, const YAML::Node& node, const std::string& path, std::set<std::string>& out) {
  std::set<std::string> required;
  for (const auto& name : node["required"]) required.insert(name.Scalar());
  EXPECT_EQ(node["additionalProperties"].Scalar(), "false") << path;
  for (const auto& entry : node["properties"]) {
    const std::string key = entry.first.Scalar();
    const std::string below = path.empty() ? key : path + "." + key;
    out.insert(below + (required.contains(key) ? "!" : ""));
    YAML::Node value = resolve(schema, entry.second);
    std::string list;
    if (value["type"] && value["type"].Scalar() == "array") {
      value.reset(resolve(schema, value["items"]));
      list = "[]";
    }
    if (value["properties"]) keys_in(schema, value, below + list, out);
  }
}

TEST(Schema, Keys_AreThoseOfTheLoader) {
  const char* file = std::getenv("RINGWAY_SCHEMA");
  ASSERT_NE(file, nullptr);
  const YAML::Node schema = YAML::LoadFile(file);
  std::set<std::string> in_schema, in_loader;
  keys_in(schema, schema, "", in_schema);
  for (const ObjectKeys& object : keys::kAll) {
    for (const Key& key : object.keys) {
      in_loader.insert((object.path.empty() ? "" : std::string(object.path) + ".") + std::string(key.name) + (key.required ? "!" : ""));
    }
  }
  EXPECT_EQ(in_schema, in_loader);
}

}  // namespace
}  // namespace ringway::config
