#pragma once
// Where something stands in the configuration file, and what is wrong there.

#include <string>

namespace ringway::config {

// A place in the file, both 1-based; {0, 0} when there is none (the value is a default).
struct Mark {
  int line = 0;
  int column = 0;
  friend bool operator==(const Mark&, const Mark&) = default;
};

// What is wrong and where. Printed by `to_string` (load.h) as `file:line:column: message`.
struct Problem {
  std::string file;
  int line = 0;
  int column = 0;
  std::string message;
  friend bool operator==(const Problem&, const Problem&) = default;
};

}  // namespace ringway::config
