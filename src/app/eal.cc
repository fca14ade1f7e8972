#include "src/app/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace ringway::app {

bool is_pci_address(const std::string& device) {
  // domain:bus:device.function, the domain may be missing
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); };
  const std::string shape = [&] {
    std::string out;
    for (const char c : device.substr(0, device.find(','))) out += is_hex(c) ? 'h' : c;
    return out;
  }();
  return shape == "hhhh:hh:hh.h" || shape == "hh:hh.h";
}

std::string ethdev_name(const std::string& device) { return device.substr(0, device.find(',')); }

std::vector<std::string> eal_words(const config::GatewayConfig& gateway, const std::string& prefix) {
  std::vector<std::string> words{"ringway", "--file-prefix", prefix, "--log-level=*:warning"};
  const u32 control = gateway.control_core.value_or(gateway.cores.empty() ? 0 : gateway.cores.front());
  std::string lcores = "0@" + std::to_string(control);
  for (std::size_t i = 0; i < gateway.cores.size(); i++)
    lcores += "," + std::to_string(i + 1) + "@" + std::to_string(gateway.cores[i]);
  words.insert(words.end(), {"--lcores", lcores, "--main-lcore", "0", "-m", std::to_string(gateway.memory.megabytes)});
  // In-memory: pages come from the kernel without a mounted hugetlbfs, and no file outlives us.
  words.push_back(gateway.memory.hugepages ? "--in-memory" : "--no-huge");
  if (!gateway.memory.hugepages) words.push_back("--no-shconf");

  bool pci = false;
  std::set<std::string> seen;
  for (const auto& port : gateway.ports)
    for (const std::string& device : port.devices) {
      if (!seen.insert(device).second) continue;
      const bool is_pci = is_pci_address(device);
      pci = pci || is_pci;
      words.push_back(is_pci ? "-a" : "--vdev");
      words.push_back(device);
    }
  // net_af_xdp needs a pool in one chunk of memory, which only virtual addresses promise; a NIC may need physical ones.
  if (!pci) words.insert(words.end(), {"--no-pci", "--iova-mode=va"});
  return words;
}

std::optional<std::string> start_eal(const config::GatewayConfig& gateway, const std::string& prefix) {
  std::vector<std::string> words = eal_words(gateway, prefix);
  std::vector<char*> argv;
  std::string all;
  for (std::string& word : words) {
    argv.push_back(word.data());
    all += (all.empty() ? "" : " ") + word;
  }
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) >= 0) return std::nullopt;
  std::string hint = "are you root, and do the configured devices exist?";
  if (gateway.memory.hugepages)
    hint = "reserve hugepages (echo 512 > /proc/sys/vm/nr_hugepages) or set gateway.memory.hugepages: false; " + hint;
  return "DPDK does not start: " + std::string(rte_strerror(rte_errno)) + "; " + hint + " It was called as: " + all;
}

void end_eal() {
  const std::string folder = rte_eal_get_runtime_dir();
  rte_eal_cleanup();
  std::error_code ignored;
  // A folder of this process alone, by its prefix.
  if (folder.find("/dpdk/ringway-") != std::string::npos) std::filesystem::remove_all(folder, ignored);
}

}  // namespace ringway::app
