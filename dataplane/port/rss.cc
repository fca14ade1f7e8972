// Receive-side scaling: a port is told our key and table, and believed only what it says when asked for them. See
// device.h; lookup/toeplitz.h computes what the port then does.

#include <rte_errno.h>
#include <rte_ethdev.h>

#include <algorithm>
#include <bit>

#include "dataplane/port/device.h"

namespace ringway::port {

namespace {

constexpr u32 kRetaEntriesMax = 1024;

using RetaGroups = std::array<rte_eth_rss_reta_entry64, kRetaEntriesMax / RTE_ETH_RETA_GROUP_SIZE>;

std::string reason(int error) { return rte_strerror(error < 0 ? -error : error); }

void ask_for(RetaGroups& groups, u32 entries) {
  for (u32 i = 0; i < entries; ++i) {
    rte_eth_rss_reta_entry64& g = groups[i / RTE_ETH_RETA_GROUP_SIZE];
    g.mask |= u64{1} << (i % RTE_ETH_RETA_GROUP_SIZE);
  }
}

}  // namespace

std::string Device::program_rss(const lookup::RssKey& key, u64 functions, u64 welcome, u32 reta_entries) {
  if (!std::has_single_bit(reta_entries) || reta_entries > kRetaEntriesMax) {
    return reta_entries == 0 ? "it has no RSS table that can be set"
                             : "its RSS table has " + std::to_string(reta_entries) + " entries";
  }
  lookup::RssKey mine = key;
  rte_eth_rss_conf set{};
  set.rss_key = mine.data();
  set.rss_key_len = static_cast<u8>(mine.size());
  set.rss_hf = functions | welcome;
  if (const int e = rte_eth_dev_rss_hash_update(id_, &set); e != 0) return "its RSS key cannot be set: " + reason(e);
  lookup::RssKey told{};
  rte_eth_rss_conf get{};
  get.rss_key = told.data();
  get.rss_key_len = static_cast<u8>(told.size());
  if (const int e = rte_eth_dev_rss_hash_conf_get(id_, &get); e != 0) {
    return "its RSS key cannot be read back: " + reason(e);
  }
  if (told != key) return "it keeps an RSS key of its own";
  if ((get.rss_hf & functions) != functions) return "its RSS does not hash TCP ports";

  RetaGroups groups{};
  ask_for(groups, reta_entries);
  for (u32 i = 0; i < reta_entries; ++i) {
    groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = static_cast<u16>(i % queues_);
  }
  const u16 entries = static_cast<u16>(reta_entries);
  if (const int e = rte_eth_dev_rss_reta_update(id_, groups.data(), entries); e != 0) {
    return "its RSS table cannot be set: " + reason(e);
  }
  RetaGroups now{};
  ask_for(now, reta_entries);
  if (const int e = rte_eth_dev_rss_reta_query(id_, now.data(), entries); e != 0) {
    return "its RSS table cannot be read back: " + reason(e);
  }
  std::vector<u16> reta(reta_entries);
  for (u32 i = 0; i < reta_entries; ++i) {
    reta[i] = now[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
    if (reta[i] >= queues_) return "its RSS table names queue " + std::to_string(reta[i]) + ", which is not in use";
  }
  rss_ = Rss{key, std::move(reta)};
  return {};
}

}  // namespace ringway::port
