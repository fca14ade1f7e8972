#pragma once
// Starts DPDK's EAL once per test process: no hugepages, no PCI, nothing left on disk.

#include <rte_eal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "src/base/assert.h"

namespace ringway::test {

// Call from any test that needs mbufs or ports. `extra` counts only at the first call of the process.
inline void start_eal(std::vector<std::string> extra = {}) {
  static bool started = false;
  if (started) return;
  started = true;
  std::vector<std::string> words{"test",           "--no-huge",    "-m", "512",      "--no-pci", "--no-telemetry",
                                 "--no-shconf",    "--iova-mode=va", "-l", "0",      "--log-level=*:error",
                                 "--file-prefix=rwtest" + std::to_string(getpid())};
  words.insert(words.end(), extra.begin(), extra.end());
  std::vector<char*> argv;
  for (auto& w : words) argv.push_back(w.data());
  RW_ASSERT(rte_eal_init(static_cast<int>(argv.size()), argv.data()) >= 0);
  std::atexit([] { rte_eal_cleanup(); });
}

// For benchmarks: hugepages where at least `megabytes` of 2 MiB pages are free, else as start_eal. Returns whether.
inline bool start_eal_huge(unsigned megabytes) {
  unsigned long free_pages = 0;
  std::ifstream("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") >> free_pages;
  if (free_pages * 2 < megabytes) {
    start_eal();
    return false;
  }
  std::vector<std::string> words{"bench", "--in-memory", "-m", std::to_string(megabytes), "--no-pci", "--no-telemetry",
                                 "-l", "0", "--log-level=*:error"};
  std::vector<char*> argv;
  for (auto& w : words) argv.push_back(w.data());
  RW_ASSERT(rte_eal_init(static_cast<int>(argv.size()), argv.data()) >= 0);
  return true;
}

}  // namespace ringway::test
