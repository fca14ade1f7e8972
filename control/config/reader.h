#pragma once
// Typed reading of YAML nodes: every wrong value becomes a Problem with its place, and reading goes on.
//
// `Reader` gathers the problems of one file. `Map` is one object of the file: made with its row of keys.h, it refuses
// unknown, duplicate and missing keys at once, and its readers then leave `out` alone when a key is absent or wrong.
// Types are those of YAML 1.2's core schema: 80 is a number, "80" a string, and neither stands for the other.
// Used by control/config alone.

#include <yaml-cpp/yaml.h>

#include <concepts>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/config/config.h"
#include "control/config/keys.h"

namespace ringway::config {

enum class ScalarType : u8 { null, boolean, integer, number, string };
ScalarType scalar_type(const YAML::Node& node);

class Reader {
 public:
  explicit Reader(std::string file_name) : file(std::move(file_name)) {}

  void problem(Mark at, std::string message);
  void warning(Mark at, std::string message);

  const std::string file;
  std::vector<Problem> problems;
  std::vector<Problem> warnings;
};

struct Value {
  YAML::Node node;
  Mark mark;
  std::string name;  // for messages: the key, or "key[2]" within a list, counted from 0
};

template <class T>
using Choices = std::span<const std::pair<std::string_view, T>>;

// Readers of single values. Empty when wrong, and the problem has been noted.
std::optional<std::string> read_string(Reader& reader, const Value& value);
std::optional<i64> read_integer(Reader& reader, const Value& value, i64 least, i64 most);
std::optional<double> read_number(Reader& reader, const Value& value, double least, double most);
std::optional<bool> read_boolean(Reader& reader, const Value& value);
std::optional<wire::Ip4> read_ip4(Reader& reader, const Value& value);  // unicast, not 0.x, not loopback
std::optional<wire::Ip4> to_unicast(Reader& reader, const Value& value, std::string_view text);
// Of a host, not loopback and no IPv4 address in disguise; link-local only where that makes sense.
enum class LinkLocal : bool { refused, allowed };
std::optional<wire::Ip6> to_unicast6(Reader& reader, const Value& value, std::string_view text,
                                     LinkLocal link_local = LinkLocal::refused);
// "10.80.0.1/24" into the address and `bits`; `least` and `most` bound the length, `whole` is that of an address; `example` is
// what it should look like. Empty when wrong.
std::optional<std::string> split_prefix(Reader& reader, const Value& value, u8& bits, u32 least, u32 most, u32 whole,
                                        const char* example);
// `ip` with its host bits cleared.
wire::Ip6 network_of(const wire::Ip6& ip, u8 bits);
// A network of either family, any of them; IPv4 as ::ffff:a.b.c.d with 96 bits more.
std::optional<wire::Ip6Prefix> read_network(Reader& reader, const Value& value);
void refuse_choice(Reader& reader, const Value& value, std::string_view text, std::span<const std::string_view> known);

// The entry of `known` that was probably meant, or "".
std::string_view near_miss(std::string_view text, std::span<const std::string_view> known);

class Map {
 public:
  // Not a mapping: a problem, and every key counts as absent.
  Map(Reader& reader, const Value& value, const ObjectKeys& keys);

  bool valid() const { return valid_; }
  Mark mark() const { return mark_; }
  // The value of a key of this object, if it is there. Its mark is the key's where the value is empty.
  std::optional<Value> get(std::string_view key) const;
  // Elements of a list; a problem when it is none or its length lies outside [least, most].
  std::vector<Value> list(std::string_view key, std::size_t least, std::size_t most) const;

  // Each returns the place of the value when it was there and right.
  std::optional<Mark> string(std::string_view key, std::string& out) const;
  std::optional<Mark> boolean(std::string_view key, bool& out) const;
  // A mapping whose keys the user chooses, to strings; at most so many.
  std::optional<Mark> strings(std::string_view key, std::map<std::string, std::string>& out, std::size_t most) const;
  std::optional<Mark> ip4(std::string_view key, wire::Ip4& out) const;
  std::optional<Mark> ip6(std::string_view key, wire::Ip6& out, LinkLocal link_local = LinkLocal::refused) const;
  std::optional<Mark> ip(std::string_view key, wire::Ip& out) const;  // of either family
  // Seconds, a fraction allowed, into microseconds.
  std::optional<Mark> seconds(std::string_view key, u64& out_us, double least_s, double most_s) const;
  std::optional<Mark> number(std::string_view key, double& out, double least, double most) const;

  template <std::integral T>
  std::optional<Mark> integer(std::string_view key, T& out, i64 least, i64 most) const {
    const auto value = get(key);
    if (!value) return std::nullopt;
    const auto read = read_integer(reader_, *value, least, most);
    if (!read) return std::nullopt;
    out = static_cast<T>(*read);
    return value->mark;
  }

  template <class T, std::size_t n>
  std::optional<Mark> choice(std::string_view key, T& out, const std::pair<std::string_view, T> (&choices)[n]) const {
    const auto value = get(key);
    if (!value) return std::nullopt;
    const auto text = read_string(reader_, *value);
    if (!text) return std::nullopt;
    std::vector<std::string_view> known;
    for (const auto& [name, meaning] : choices) {
      if (name == *text) {
        out = meaning;
        return value->mark;
      }
      known.push_back(name);
    }
    refuse_choice(reader_, *value, *text, known);
    return std::nullopt;
  }

 private:
  void refuse_unknown(std::string_view key, Mark at) const;

  Reader& reader_;
  const ObjectKeys& keys_;
  YAML::Node node_;
  Mark mark_;
  bool valid_ = false;
};

}  // namespace ringway::config
