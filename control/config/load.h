#pragma once
// Reads the configuration file: YAML text in, a checked Config or every problem at once out.
//
// What is refused: unknown and duplicate keys, wrong types, values out of range, names that break the ECS API's rules
// (ServiceConnectService: portName, discoveryName, clientAliases), duplicates that must be unique, references that lead
// nowhere, addresses that collide. Each with file, line and column; one mistake does not hide the next. Regular
// expressions are compiled later, by control/compile, which reports them with the marks kept in the Config.
//
// Nothing is thrown to the caller, nothing but the one file is touched. Any thread; each call stands alone.

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "control/config/config.h"

namespace ringway::config {

inline constexpr std::size_t kFileBytesMax = 16u << 20;
inline constexpr std::size_t kProblemsMax = 1000;  // a file with more says so in the last one

// Problems come sorted by place. A file that cannot be read is one Problem at line 0.
std::expected<Config, std::vector<Problem>> load_file(const std::string& path);
std::expected<Config, std::vector<Problem>> parse(std::string_view text, std::string file);

// `file:line:column: message`; without line and column where there are none.
std::string to_string(const Problem& problem);

}  // namespace ringway::config
