// Steering: every flow has exactly one owner, the same from every core, and return traffic belongs to whoever holds
// the local port.

#include "dataplane/port/steering.h"

#include <gtest/gtest.h>

#include <random>

#include "src/lookup/flow_hash.h"
#include "tests/unit/port/addresses.h"

namespace ringway::port {
namespace {

constexpr wire::Ip4 kVip = wire::Ip4::of(10, 0, 9, 1);

TEST(Steering, OneCoreOwnsEveryFlowAndTheWholeRange) {
  const Steering s({.cores = 1, .port_addresses = {kOurs}});
  EXPECT_EQ(s.mode(), Steering::Mode::single);
  EXPECT_EQ(s.owner({kOurs, kPeer, 20'000, 80}, 0xffff'ffff, 0), 0u);
  EXPECT_EQ(s.slice(0), (PortSlice{16'384, 49'152}));
  EXPECT_FALSE(s.why().empty());
}

TEST(Steering, SlicesOfAllCoresAreDisjointAndEveryPortIsOwnedByItsSlice) {
  for (u32 cores : {2u, 3u, 5u, 7u, 13u, 31u, 64u}) {
    const Steering s({.cores = cores, .port_addresses = {kOurs}});
    ASSERT_EQ(s.mode(), Steering::Mode::handover);
    u32 owned = 0;
    for (u32 core = 0; core < cores; ++core) {
      const PortSlice slice = s.slice(core);
      owned += slice.count;
      for (u32 port = slice.first; port < u32{slice.first} + slice.count; ++port) {
        ASSERT_EQ(s.owner({kOurs, kPeer, static_cast<u16>(port), 80}, port * 2654435761u, 0), core)
            << cores << " cores, port " << port;
      }
      if (core > 0) {
        EXPECT_EQ(slice.first, s.slice(core - 1).first + s.slice(core - 1).count);
      }
    }
    EXPECT_EQ(owned, 49'152 / cores * cores);
  }
}

TEST(Steering, ClientFlowsAreOwnedByHashWhateverCoreReceivedThem) {
  const Steering s({.cores = 4, .port_addresses = {kOurs}});
  std::vector<u32> flows(4);
  for (u32 i = 0; i < 40'000; ++i) {
    const wire::FourTuple t{i % 2 ? kVip : kOurs, kPeer, 4000, static_cast<u16>(i)};
    const u32 hash = lookup::flow_hash(t, 42);
    const u32 owner = s.owner(t, hash, 0);
    for (u32 rx = 1; rx < 4; ++rx) ASSERT_EQ(s.owner(t, hash, rx), owner);
    ++flows[owner];
  }
  for (u32 n : flows) EXPECT_NEAR(n, 10'000, 600);
}

TEST(Steering, HighPortOfAVipIsAListenerAndGoesByHash) {
  const Steering s({.cores = 2, .port_addresses = {kOurs}});
  EXPECT_EQ(s.owner({kVip, kPeer, 16'384, 5555}, 0xf000'0000, 0), 1u);
  EXPECT_EQ(s.owner({kOurs, kPeer, 16'384, 5555}, 0xf000'0000, 0), 0u);
}

TEST(Steering, AddressOfACoreIsThatCoresWhateverThePort) {
  const wire::Ip4 first = wire::Ip4::of(10, 0, 0, 100);
  const Steering s({.cores = 3, .port_addresses = {kOurs}, .core_addresses = {first}});
  for (u32 core = 0; core < 3; ++core) {
    EXPECT_EQ(s.slice(core), kLocalPorts) << "no core shares its address";
    for (u32 rx = 0; rx < 3; ++rx) EXPECT_EQ(s.owner({wire::Ip4{first.v + core}, kPeer, 16'384, 80}, rx << 30, rx), core);
  }
  // The next address is nobody's, and what comes to the port's own address is a client's.
  EXPECT_EQ(s.owner({wire::Ip4{first.v + 3}, kPeer, 16'384, 80}, 0, 1), 0u);
  EXPECT_EQ(s.owner({kOurs, kPeer, 65'000, 80}, 0, 1), 0u);
}

Rss spread(u32 queues, u32 entries, const lookup::RssKey& key = lookup::kRssKeyMicrosoft) {
  Rss rss{key, std::vector<u16>(entries)};
  for (u32 i = 0; i < entries; ++i) rss.reta[i] = static_cast<u16>(i % queues);
  return rss;
}

TEST(Steering, Ipv6_IsOwnedByHashOrByTheLocalPortOfAPortsAddress) {
  const wire::Ip6 ours = wire::Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 1), peer = wire::Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 2);
  const Steering handover({.cores = 2, .port_addresses = {kOurs}, .port_addresses6 = {ours}});
  for (u32 core = 0; core < 2; ++core) {
    const wire::FourTuple ports{{}, {}, handover.slice(core).first, 80};
    EXPECT_EQ(handover.owner(ours, peer, ports, core << 31, 1 - core), core);
    EXPECT_EQ(handover.owner(peer, ours, ports, core << 31, 1 - core), core);
    EXPECT_EQ(handover.owner(ours, peer, {{}, {}, 443, 80}, core << 31, 1 - core), core);
  }
  const Rss rss = spread(3, 128);
  const Steering by_rss({.cores = 3}, rss);
  const lookup::Toeplitz nic(rss.key);
  for (u32 core = 0; core < 3; ++core) {
    const u16 local = by_rss.port_chooser(core)->pick(peer, 80, ours, 0x8765'4321u * (core + 1));
    EXPECT_EQ(rss.reta[nic.hash(peer, ours, 80, local) % 128], core);
    EXPECT_EQ(by_rss.owner(ours, peer, {{}, {}, local, 80}, 0, 2 - core), core);
  }
}

TEST(Steering, Regret16_InModeRssEveryPortThatACoreChoosesHashesHome) {
  std::mt19937 random(16);
  for (const u32 cores : {2u, 3u, 6u, 16u}) {
    for (const auto& key : {lookup::kRssKeyMicrosoft, lookup::kRssKeySymmetric}) {
      const Rss rss = spread(cores, 128, key);
      const Steering s({.cores = cores, .port_addresses = {kOurs}}, rss);
      ASSERT_EQ(s.mode(), Steering::Mode::rss);
      const lookup::Toeplitz nic(key);
      for (u32 i = 0; i < 2000; ++i) {
        const u32 core = i % cores;
        wire::FourTuple t{kOurs, wire::Ip4{static_cast<u32>(random())}, 0, static_cast<u16>(random())};
        const u32 choices = s.port_chooser(core)->choices(t.remote.ip4(), t.remote_port, t.local.ip4());
        ASSERT_GT(choices, 49'152 / cores / 2);
        const u32 n = static_cast<u32>(random()) % choices;
        t.local_port = s.port_chooser(core)->choice(t.remote.ip4(), t.remote_port, t.local.ip4(), n);
        ASSERT_GE(t.local_port, 16'384);
        const u32 queue = rss.reta[nic.hash(t.remote.ip4(), t.local.ip4(), t.remote_port, t.local_port) % 128];
        ASSERT_EQ(queue, core);
        for (u32 rx = 0; rx < cores; ++rx) ASSERT_EQ(s.owner(t, static_cast<u32>(random()), rx), core);
      }
    }
  }
}

TEST(Steering, InModeRssClientFlowsBelongToTheQueueThatTheTableNames) {
  const Rss rss = spread(4, 512);
  const Steering s({.cores = 4, .port_addresses = {kOurs}}, rss);
  const lookup::Toeplitz nic(rss.key);
  for (u32 i = 0; i < 10'000; ++i) {
    const wire::FourTuple t{kVip, kPeer, 4000, static_cast<u16>(i)};
    ASSERT_EQ(s.owner(t, i, i % 4), rss.reta[nic.hash(kPeer, kVip, static_cast<u16>(i), 4000) % 512]);
  }
}

TEST(Steering, OtherModesLeaveTheChoiceOfPortsToTheSlices) {
  EXPECT_EQ(Steering({.cores = 2, .port_addresses = {kOurs}}).port_chooser(1), nullptr);
  EXPECT_EQ(Steering({.cores = 1, .port_addresses = {kOurs}}).port_chooser(0), nullptr);
}

}  // namespace
}  // namespace ringway::port
