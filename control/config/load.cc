// See load.h: the file as text; read.cc does the rest.

#include "control/config/load.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "control/config/sections.h"

namespace ringway::config {

using Problems = std::vector<Problem>;

std::expected<Config, Problems> parse(std::string_view text, std::string file) {
  Config config;
  Problems problems = read(text, std::move(file), config);
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return config;
}

std::expected<Config, Problems> load_file(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text;
  if (in) {
    text.resize(kFileBytesMax + 1);
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
  }
  if (!in && !in.eof()) {
    return std::unexpected(Problems{{path, 0, 0, std::string("cannot be read: ") + (errno != 0 ? std::strerror(errno) : "read failed")}});
  }
  return parse(text, path);
}

}  // namespace ringway::config
