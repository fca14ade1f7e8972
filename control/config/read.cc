// The text as YAML, the YAML as sections, then the checks across them; and the small grammars that sections share. See
// sections.h and load.h.

#include <algorithm>
#include <sstream>

#include <yaml-cpp/eventhandler.h>

#include "control/config/load.h"
#include "control/config/sections.h"

namespace ringway::config {
namespace {

using Problems = std::vector<Problem>;

void sort_problems(Problems& problems) {
  std::ranges::stable_sort(problems, {}, [](const Problem& p) { return std::pair(p.line, p.column); });
}

// Whether there is a tab in the indentation of a line, counted from 0.
bool begins_with_tab(std::string_view text, int line) {
  for (; line > 0; --line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return false;
    text.remove_prefix(end + 1);
  }
  const std::size_t at = text.find_first_not_of(' ');
  return at != std::string_view::npos && text[at] == '\t';
}

void read_root(Reader& reader, const YAML::Node& node, Config& config) {
  const Map root(reader, {node, Mark{1, 1}, ""}, keys::kRoot);
  if (const auto gateway = root.get("gateway")) read_gateway(reader, *gateway, config.gateway);
  read_services(reader, root, config.gateway.namespace_name, config.services);
  read_listeners(reader, root, config.listeners);
  read_callers(reader, root, config.callers);
  check(reader, config);
  if (reader.problems.size() == kProblemsMax) reader.problems.back().message += " (further problems are not listed)";
  sort_problems(reader.problems);
  sort_problems(reader.warnings);
  config.warnings = std::move(reader.warnings);
}

}  // namespace

// True when something follows the first document. YAML::LoadAll would say so too, but yaml-cpp 0.7 makes empty documents
// for ever of a token that begins none, such as a line with a comma: the second is where we stop.
bool has_second_document(std::string_view text) {
  struct Nobody : YAML::EventHandler {
    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
    void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
    void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
    void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnMapEnd() override {}
  } nobody;
  std::istringstream stream{std::string(text)};
  YAML::Parser parser(stream);
  return parser.HandleNextDocument(nobody) && parser.HandleNextDocument(nobody);
}

Problems read(std::string_view text, std::string file, Config& config) {
  if (text.size() > kFileBytesMax) return {{std::move(file), 0, 0, "file is larger than 16 MiB"}};
  if (text.find('\0') != std::string_view::npos) return {{std::move(file), 0, 0, "file contains a zero byte: not YAML"}};
  config.file = file;
  Reader reader(std::move(file));
  try {
    const bool several = has_second_document(text);
    const YAML::Node document = several ? YAML::Node() : YAML::Load(std::string(text));
    if (several || document.IsNull()) {
      return {{reader.file, 1, 1, several ? "file holds more than one YAML document" : "file is empty"}};
    }
    read_root(reader, document, config);
    return std::move(reader.problems);
  } catch (const YAML::Exception& e) {
    const bool placed = !e.mark.is_null();
    const std::string hint = placed && begins_with_tab(text, e.mark.line) ? ": a tab cannot indent, spaces do" : "";
    return {{reader.file, placed ? e.mark.line + 1 : 0, placed ? e.mark.column + 1 : 0, "not YAML: " + e.msg + hint}};
  } catch (const std::exception& e) {
    return {{reader.file, 0, 0, std::string("cannot be read: ") + e.what()}};
  }
}

std::string to_string(const Problem& problem) {
  std::string out = problem.file;
  if (problem.line > 0) out += ":" + std::to_string(problem.line) + ":" + std::to_string(problem.column);
  return out + ": " + problem.message;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool valid_dns_name(std::string_view name) {
  if (name.empty() || name.size() > 127) return false;
  std::size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
    } else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-') {
      if (++label > 63) return false;
    } else {
      return false;
    }
  }
  return label > 0;
}

bool valid_token(std::string_view text) {
  static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kMarks.find(c) != std::string_view::npos;
  });
}

bool printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace ringway::config
