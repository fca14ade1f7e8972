// Prints the problems of one configuration file; exit status 1 when there are any. schema_test.py asks it for the
// loader's opinion.

#include <cstdio>

#include "control/config/load.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto config = ringway::config::load_file(argv[1]);
  if (config) return 0;
  for (const auto& problem : config.error()) std::printf("%s\n", ringway::config::to_string(problem).c_str());
  return 1;
}
