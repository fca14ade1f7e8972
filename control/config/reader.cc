// See reader.h.

#include "control/config/reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "control/config/load.h"
#include "src/base/assert.h"
#include "src/wire/ip6.h"
#include "src/wire/text.h"

namespace ringway::config {
namespace {

Mark mark_of(const YAML::Node& node) {
  const YAML::Mark at = node.Mark();
  return at.is_null() ? Mark{} : Mark{at.line + 1, at.column + 1};
}

constexpr std::size_t kKeysListed = 16;  // in the message about one that is unknown

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, 80)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out + (text.size() > 80 ? "...\"" : "\"");
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::string_view unsigned_part(std::string_view text) {
  return !text.empty() && (text[0] == '-' || text[0] == '+') ? text.substr(1) : text;
}

bool looks_like_number(std::string_view text) {
  const std::string_view body = unsigned_part(text);
  if (body == ".inf" || body == ".Inf" || body == ".INF" || text == ".nan" || text == ".NaN" || text == ".NAN") return true;
  double unused = 0;
  if (body.empty() || (body[0] != '.' && (body[0] < '0' || body[0] > '9'))) return false;
  const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), unused);
  return error != std::errc::invalid_argument && end == body.data() + body.size();
}

// What stands there, so that who reads the message need not look it up.
std::string what_is(const YAML::Node& node) {
  if (node.IsMap()) return "a mapping";
  if (node.IsSequence()) return "a list";
  switch (scalar_type(node)) {
    case ScalarType::null: return "nothing";
    case ScalarType::boolean:
    case ScalarType::integer:
    case ScalarType::number: return node.Scalar().substr(0, 40);
    case ScalarType::string: return "the text " + quoted(node.Scalar());
  }
  return "nothing";
}

void wrong_type(Reader& reader, const Value& value, std::string_view wanted, const std::string& hint = "") {
  const std::string name = value.name.empty() ? "the file" : value.name;
  reader.problem(value.mark, name + ": must be " + std::string(wanted) + ", not " + what_is(value.node) + hint);
}

// The keys that there are, where they are few.
std::string key_list(const ObjectKeys& keys) {
  if (keys.keys.size() > kKeysListed) return "; docs/configuration.md has its keys";
  std::string out;
  for (const Key& key : keys.keys) out += (out.empty() ? "; its keys are " : ", ") + std::string(key.name);
  return out;
}

std::string plain(double v) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, v, std::chars_format::fixed);
  return error == std::errc{} ? std::string(text, end) : "?";
}

// Steps of inserting, deleting, replacing or swapping neighbours that lead from one word to the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + replace});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1])) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

// The only candidate that begins like most of the word: "interval" is intervalSeconds, and so is "intervalMs".
std::string_view same_beginning(std::string_view text, std::span<const std::string_view> known) {
  constexpr std::size_t kLettersMin = 5;
  std::string_view best;
  std::size_t best_letters = 0;
  bool several = false;
  for (const std::string_view candidate : known) {
    const auto [end, unused] = std::ranges::mismatch(text, candidate, {}, lower, lower);
    const std::size_t letters = static_cast<std::size_t>(end - text.begin());
    if (letters < kLettersMin || letters * 3 < text.size() * 2) continue;
    if (letters >= best_letters) several = letters == best_letters;
    if (letters > best_letters) {
      best = candidate;
      best_letters = letters;
    }
  }
  return several ? std::string_view{} : best;
}

}  // namespace

ScalarType scalar_type(const YAML::Node& node) {
  if (node.IsNull()) return ScalarType::null;
  const std::string& text = node.Scalar();
  if (node.Tag() != "?") return ScalarType::string;  // yaml-cpp tags plain scalars "?" and quoted ones "!"
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return ScalarType::null;
  for (const char* word : {"true", "True", "TRUE", "false", "False", "FALSE"}) {
    if (text == word) return ScalarType::boolean;
  }
  if (is_digits(unsigned_part(text))) return ScalarType::integer;
  return looks_like_number(text) ? ScalarType::number : ScalarType::string;
}

void Reader::problem(Mark at, std::string message) {
  if (problems.size() < kProblemsMax) problems.push_back({file, at.line, at.column, std::move(message)});
}

void Reader::warning(Mark at, std::string message) {
  if (warnings.size() < kProblemsMax) warnings.push_back({file, at.line, at.column, std::move(message)});
}

std::optional<std::string> read_string(Reader& reader, const Value& value) {
  if (!value.node.IsScalar() || scalar_type(value.node) == ScalarType::null) {
    wrong_type(reader, value, "a string");
    return std::nullopt;
  }
  if (scalar_type(value.node) != ScalarType::string) {
    reader.problem(value.mark, value.name + ": must be a string: write \"" + value.node.Scalar() + "\" in quotes");
    return std::nullopt;
  }
  return value.node.Scalar();
}

std::optional<std::string> read_word(Reader& reader, const Value& value) {
  if (value.node.IsScalar() && scalar_type(value.node) != ScalarType::null) return value.node.Scalar();
  wrong_type(reader, value, "a word");
  return std::nullopt;
}

std::optional<i64> read_integer(Reader& reader, const Value& value, i64 least, i64 most) {
  if (!value.node.IsScalar() || scalar_type(value.node) != ScalarType::integer) {
    wrong_type(reader, value, "a whole number");
    return std::nullopt;
  }
  const std::string& text = value.node.Scalar();
  const char* first = text.data() + (text[0] == '+' ? 1 : 0);
  i64 number = 0;
  const auto [end, error] = std::from_chars(first, text.data() + text.size(), number);
  if (error != std::errc{} || number < least || number > most) {
    reader.problem(value.mark, value.name + ": " + text.substr(0, 40) + " is not within " + std::to_string(least) + " to " +
                                   std::to_string(most));
    return std::nullopt;
  }
  return number;
}

std::optional<double> read_number(Reader& reader, const Value& value, double least, double most) {
  const ScalarType type = value.node.IsScalar() ? scalar_type(value.node) : ScalarType::null;
  if (type != ScalarType::integer && type != ScalarType::number) {
    wrong_type(reader, value, "a number");
    return std::nullopt;
  }
  const std::string& text = value.node.Scalar();
  const char* first = text.data() + (text[0] == '+' ? 1 : 0);
  double number = 0;
  const auto [end, error] = std::from_chars(first, text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || !(number >= least && number <= most)) {
    reader.problem(value.mark, value.name + ": " + text.substr(0, 40) + " is not within " + plain(least) + " to " + plain(most));
    return std::nullopt;
  }
  return number;
}

std::optional<bool> read_boolean(Reader& reader, const Value& value) {
  if (!value.node.IsScalar() || scalar_type(value.node) != ScalarType::boolean) {
    wrong_type(reader, value, "true or false");
    return std::nullopt;
  }
  return lower(value.node.Scalar()[0]) == 't';
}

std::optional<wire::Ip4> to_unicast(Reader& reader, const Value& value, std::string_view text) {
  const auto ip = wire::parse_ip4(text);
  if (!ip) {
    reader.problem(value.mark, value.name + ": " + quoted(text) + " is not an IPv4 address such as 10.0.0.1");
    return std::nullopt;
  }
  const u32 first = ip->v >> 24;
  if (first == 0 || first == 127 || first >= 224) {
    reader.problem(value.mark, value.name + ": " + to_string(*ip) + " is not the address of a host on a network");
    return std::nullopt;
  }
  return ip;
}

std::optional<wire::Ip6> to_unicast6(Reader& reader, const Value& value, std::string_view text, LinkLocal link_local) {
  const auto ip = wire::parse_ip6(text);
  if (!ip) {
    reader.problem(value.mark, value.name + ": " + quoted(text) + " is not an IPv6 address such as fd00::1");
    return std::nullopt;
  }
  if (wire::never_a_source(*ip)) {
    reader.problem(value.mark, value.name + ": " + std::string(text) + " is not the address of a host on a network");
    return std::nullopt;
  }
  if (wire::is_link_local(*ip) && link_local == LinkLocal::refused) {
    reader.problem(value.mark, value.name + ": " + std::string(text) + " is good on one link only");
    return std::nullopt;
  }
  return ip;
}

std::optional<wire::Ip4> read_ip4(Reader& reader, const Value& value) {
  const auto text = read_string(reader, value);
  return text ? to_unicast(reader, value, *text) : std::nullopt;
}

std::string_view near_miss(std::string_view text, std::span<const std::string_view> known) {
  std::string_view best;
  std::size_t best_steps = 3;
  if (text.size() > 64) return best;
  for (const std::string_view candidate : known) {
    const std::size_t steps = edit_distance(text, candidate);
    if (steps < best_steps && steps * 2 < candidate.size()) {
      best = candidate;
      best_steps = steps;
    }
  }
  return best.empty() ? same_beginning(text, known) : best;
}

void refuse_choice(Reader& reader, const Value& value, std::string_view text, std::span<const std::string_view> known) {
  std::string message = value.name + ": " + quoted(text) + " is none of ";
  for (std::size_t i = 0; i < known.size(); ++i) message += (i == 0 ? "" : ", ") + std::string(known[i]);
  const std::string_view meant = near_miss(text, known);
  if (!meant.empty()) message += "; did you mean " + std::string(meant) + "?";
  reader.problem(value.mark, std::move(message));
}

Map::Map(Reader& reader, const Value& value, const ObjectKeys& keys)
    : reader_(reader), keys_(keys), object_(value.name), node_(value.node), mark_(value.mark) {
  if (!node_.IsMap()) {
    wrong_type(reader, value, "a mapping", key_list(keys));
    return;
  }
  valid_ = true;
  std::set<std::string_view> seen;
  for (const auto& entry : node_) {
    const Mark at = mark_of(entry.first);
    if (!entry.first.IsScalar()) {
      reader.problem(at, "a key must be a word");
      continue;
    }
    const std::string_view key = entry.first.Scalar();
    const auto known = std::ranges::find(keys.keys, key, &Key::name);
    if (known == keys.keys.end()) {
      refuse_unknown(key, at);
    } else if (!seen.insert(known->name).second) {
      reader.problem(at, "duplicate key " + quoted(key));
    }
  }
  for (const Key& key : keys.keys) {
    if (key.required && !seen.contains(key.name)) {
      reader.problem(mark_, "missing key " + quoted(key.name) + (value.name.empty() ? "" : " in " + value.name));
    }
  }
}

void Map::refuse_unknown(std::string_view key, Mark at) const {
  std::vector<std::string_view> names;
  for (const Key& known : keys_.keys) names.push_back(known.name);
  const std::string_view meant = near_miss(key, names);
  const std::string in = object_.empty() ? "" : " in " + object_;
  reader_.problem(at, "unknown key " + quoted(key) + (meant.empty() ? in + key_list(keys_) : "; did you mean " + quoted(meant) + "?"));
}

std::optional<Value> Map::get(std::string_view key) const {
  RW_ASSERT(std::ranges::find(keys_.keys, key, &Key::name) != keys_.keys.end());
  if (!valid_) return std::nullopt;
  for (const auto& entry : node_) {
    if (!entry.first.IsScalar() || entry.first.Scalar() != key) continue;
    Mark at = mark_of(entry.second);
    if (at.line == 0 || entry.second.IsNull()) at = mark_of(entry.first);
    return Value{entry.second, at, std::string(key)};
  }
  return std::nullopt;
}

std::vector<Value> Map::list(std::string_view key, std::size_t least, std::size_t most) const {
  std::vector<Value> out;
  const auto value = get(key);
  if (!value) return out;
  if (!value->node.IsSequence()) {
    const bool one = value->node.IsScalar() && scalar_type(value->node) != ScalarType::null;
    wrong_type(reader_, *value, "a list", one ? "; a list of one is [" + value->node.Scalar().substr(0, 80) + "]" : "");
    return out;
  }
  const std::size_t count = value->node.size();
  if (count < least || count > most) {
    reader_.problem(value->mark, value->name + ": " + std::to_string(count) + " entries, must be " + std::to_string(least) +
                                     " to " + std::to_string(most));
    if (count > most) return out;
  }
  for (const auto& element : value->node) {
    Mark at = mark_of(element);
    if (at.line == 0) at = value->mark;
    out.push_back({element, at, std::string(key) + "[" + std::to_string(out.size()) + "]"});
  }
  return out;
}

std::optional<Mark> Map::strings(std::string_view key, std::map<std::string, std::string>& out, std::size_t most) const {
  const auto value = get(key);
  if (!value) return std::nullopt;
  if (!value->node.IsMap()) {
    wrong_type(reader_, *value, "a mapping");
    return std::nullopt;
  }
  if (value->node.size() > most) {
    reader_.problem(value->mark, value->name + ": " + std::to_string(value->node.size()) + " entries, must be at most " + std::to_string(most));
    return std::nullopt;
  }
  for (const auto& entry : value->node) {
    const Mark at = mark_of(entry.first);
    if (!entry.first.IsScalar()) {
      reader_.problem(at, "a key must be a word");
      continue;
    }
    const std::string& name = entry.first.Scalar();
    const auto text = read_string(reader_, Value{entry.second, entry.second.IsNull() ? at : mark_of(entry.second), name});
    if (text && !out.emplace(name, *text).second) reader_.problem(at, "duplicate key " + quoted(name));
  }
  return value->mark;
}

std::optional<Mark> Map::string(std::string_view key, std::string& out) const {
  const auto value = get(key);
  if (!value) return std::nullopt;
  auto text = read_string(reader_, *value);
  if (!text) return std::nullopt;
  out = std::move(*text);
  return value->mark;
}

std::optional<Mark> Map::boolean(std::string_view key, bool& out) const {
  const auto value = get(key);
  if (!value) return std::nullopt;
  const auto read = read_boolean(reader_, *value);
  if (!read) return std::nullopt;
  out = *read;
  return value->mark;
}

std::optional<Mark> Map::ip4(std::string_view key, wire::Ip4& out) const {
  const auto value = get(key);
  if (!value) return std::nullopt;
  const auto read = read_ip4(reader_, *value);
  if (!read) return std::nullopt;
  out = *read;
  return value->mark;
}

std::optional<Mark> Map::ip6(std::string_view key, wire::Ip6& out, LinkLocal link_local) const {
  const auto value = get(key);
  if (!value) return std::nullopt;
  const auto text = read_string(reader_, *value);
  const auto read = text ? to_unicast6(reader_, *value, *text, link_local) : std::nullopt;
  if (!read) return std::nullopt;
  out = *read;
  return value->mark;
}

std::optional<Mark> Map::ip(std::string_view key, wire::Ip& out) const {
  const auto value = get(key);
  if (!value) return std::nullopt;
  const auto text = read_string(reader_, *value);
  if (!text) return std::nullopt;
  if (text->find(':') != std::string::npos) {
    const auto read = to_unicast6(reader_, *value, *text);
    if (!read) return std::nullopt;
    out = *read;
  } else {
    const auto read = to_unicast(reader_, *value, *text);
    if (!read) return std::nullopt;
    out = *read;
  }
  return value->mark;
}

std::optional<Mark> Map::number(std::string_view key, double& out, double least, double most) const {
  const auto value = get(key);
  if (!value) return std::nullopt;
  const auto read = read_number(reader_, *value, least, most);
  if (!read) return std::nullopt;
  out = *read;
  return value->mark;
}

std::optional<Mark> Map::seconds(std::string_view key, u64& out_us, double least_s, double most_s) const {
  double read = 0;
  const auto at = number(key, read, least_s, most_s);
  if (at) out_us = static_cast<u64>(std::llround(read * 1e6));
  return at;
}

}  // namespace ringway::config
