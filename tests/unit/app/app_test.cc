// App's decisions that need no port: DPDK's words, what a reload may change, and when a file has changed.

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "src/app/eal.h"
#include "src/app/reload.h"
#include "src/app/watch.h"

namespace ringway::app {
namespace {

config::GatewayConfig two_cores() {
  config::GatewayConfig g;
  g.cores = {1, 1};
  g.control_core = 0;
  config::PortConfig port;
  port.devices = {"net_af_xdp0,iface=gw0"};
  g.ports.push_back(port);
  return g;
}

bool has(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}
std::string after(const std::vector<std::string>& words, const std::string& word) {
  const auto at = std::find(words.begin(), words.end(), word);
  return at == words.end() || std::next(at) == words.end() ? "" : *std::next(at);
}

TEST(EalWords, ControlIsLcoreZero_WorkersFollowAndMayShareACpu) {
  EXPECT_EQ(after(eal_words(two_cores(), "p"), "--lcores"), "0@0,1@1,2@1");
  EXPECT_EQ(after(eal_words(two_cores(), "p"), "--main-lcore"), "0");
}

TEST(EalWords, VdevIsNamedAndPciLeftAlone) {
  const auto words = eal_words(two_cores(), "p");
  EXPECT_EQ(after(words, "--vdev"), "net_af_xdp0,iface=gw0");
  EXPECT_TRUE(has(words, "--no-pci"));
  EXPECT_TRUE(has(words, "--iova-mode=va"));
}

TEST(EalWords, PciAddress_IsAllowedByName) {
  auto g = two_cores();
  g.ports[0].devices = {"0000:00:05.0"};
  const auto words = eal_words(g, "p");
  EXPECT_EQ(after(words, "-a"), "0000:00:05.0");
  EXPECT_FALSE(has(words, "--no-pci"));
}

TEST(EalWords, Memory_HugepagesWithoutAMountOrNone) {
  auto g = two_cores();
  EXPECT_TRUE(has(eal_words(g, "p"), "--no-huge"));
  EXPECT_EQ(after(eal_words(g, "p"), "-m"), "512");
  g.memory.hugepages = true;
  EXPECT_TRUE(has(eal_words(g, "p"), "--in-memory"));
  EXPECT_FALSE(has(eal_words(g, "p"), "--no-huge"));
}

TEST(Device, PciAddressesAndVdevsAreToldApart) {
  EXPECT_TRUE(is_pci_address("0000:00:05.0"));
  EXPECT_TRUE(is_pci_address("3b:00.1"));
  EXPECT_FALSE(is_pci_address("net_af_xdp0,iface=gw0"));
  EXPECT_FALSE(is_pci_address("net_null0"));
  EXPECT_EQ(ethdev_name("net_af_xdp0,iface=gw0"), "net_af_xdp0");
}

TEST(Reload, SameGateway_NamesNothing) {
  auto next = two_cores();
  next.ports[0].mark = {9, 9};  // moved in the file
  EXPECT_TRUE(keep_until_restart(two_cores(), next).empty());
}

TEST(Reload, WhatNeedsARestart_IsKeptAndNamedAndTheRestIsTaken) {
  auto next = two_cores();
  next.cores = {1};
  next.pools.packets = 1;
  next.ports[0].mtu = 9000;
  next.tcp.tso = config::Tso::off;
  next.limits.fields = 10;
  next.dns.ttl_s = 77;
  next.recorder.groups = 1;
  next.http2.connections = 7;
  EXPECT_EQ(keep_until_restart(two_cores(), next), (std::vector<std::string>{"gateway.ports", "gateway.cores", "gateway.pools", "gateway.tcp", "gateway.http2.connections", "gateway.recorder"}));
  EXPECT_EQ(next.cores, two_cores().cores);
  EXPECT_EQ(next.ports[0].mtu, 1500);
  EXPECT_EQ(next.http2.connections, two_cores().http2.connections);
  EXPECT_EQ(next.limits.fields, 10u);
  EXPECT_EQ(next.dns.ttl_s, 77u);
}

struct Watched : ::testing::Test {
  std::filesystem::path folder = std::filesystem::temp_directory_path() / ("ringway-watch-" + std::to_string(getpid()));
  std::filesystem::path file = folder / "gw.yaml";
  void SetUp() override {
    std::filesystem::create_directories(folder);
    write(file, "a");
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  static void write(const std::filesystem::path& path, const char* text) { std::ofstream(path) << text; }
};

TEST_F(Watched, WrittenFile_IsChangedOnceWhenItHasBeenQuiet) {
  FileWatch watch(file);
  write(file, "b");
  watch.read(1000);
  EXPECT_FALSE(watch.changed(1000 + FileWatch::kQuietUs - 1));
  EXPECT_TRUE(watch.changed(1000 + FileWatch::kQuietUs));
  EXPECT_FALSE(watch.changed(1000 + 2 * FileWatch::kQuietUs));
}

TEST_F(Watched, ReplacedFile_IsAChange_AsEditorsDoIt) {
  FileWatch watch(file);
  write(folder / "new", "b");
  std::filesystem::rename(folder / "new", file);
  watch.read(1);
  EXPECT_TRUE(watch.changed(1 + FileWatch::kQuietUs));
}

TEST_F(Watched, WhatWasReadAnyway_IsNoChange) {
  FileWatch watch(file);
  write(file, "b");
  watch.read(1);
  write(file, "c");
  watch.forget();
  watch.read(2);
  EXPECT_FALSE(watch.changed(2 + FileWatch::kQuietUs));
  write(file, "d");
  watch.read(3);
  EXPECT_TRUE(watch.changed(3 + FileWatch::kQuietUs));
}

TEST_F(Watched, OtherFilesOfTheFolder_AreNoChange) {
  FileWatch watch(file);
  write(folder / "other", "b");
  watch.read(1);
  EXPECT_FALSE(watch.changed(1 + FileWatch::kQuietUs));
}

}  // namespace
}  // namespace ringway::app
