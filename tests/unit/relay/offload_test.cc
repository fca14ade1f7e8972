// A core whose ports fill in checksums and cut large packets (TSO): both legs, with a NIC of the test's own behind the rings.

#include "tests/unit/relay/fixture.h"

namespace ringway {
namespace {

using test::World;
using test::WorldSizes;

class Offload : public RelayTest {
 protected:
  WorldSizes sizes() const override {
    WorldSizes s;
    s.tcp.caps = {.ip_checksum = true, .tcp_checksum = true, .tso4 = true, .tso_segs_max = 16};
    return s;
  }
  void SetUp() override {
    RelayTest::SetUp();
    world->client.deliver_into(world->gateway_pools());
    world->server.deliver_into(world->gateway_pools());
    world->tamper = [this, turn = 0u](rte_ring& frames) mutable {
      switch (turn++ & 3) {
        case 0: return test::send_as_a_nic(frames, world->client.pools());
        case 2: return test::send_as_a_nic(frames, world->server.pools());
        default: return;
      }
    };
  }
};

TEST_F(Offload, LargeBodiesGoBothWaysInPacketsOfManySegmentsWithoutACopy) {
  start();
  std::string body(300'000, 0);
  for (u32 i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i * 7 % 26);
  on_request = [&](Serving& s) {
    if (!s.got.ends_with("END")) return;
    world->server.send(s.id, ok(std::to_string(s.got.size()) + s.got.substr(s.got.find("\r\n\r\n") + 4)));
    s.got.clear();
  };
  const u32 c = connect();
  say(c, "POST /a HTTP/1.1\r\nHost: web\r\nContent-Length: 300003\r\n\r\n" + body + "END");
  world->run_for(60'000);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 200 OK"));
  EXPECT_TRUE(clients[c].got.ends_with(body + "END"));
  EXPECT_GT(count(Counter::tcp_tso_packets), 20u);
  EXPECT_LT(count(Counter::tx_packets) * 3, count(Counter::tcp_segments_out) * 2);
  EXPECT_EQ(count(Counter::tx_linearized), 0u);
  EXPECT_EQ(count(Counter::tcp_retransmits), 0u);
}

// Endpoints take packets of 9001 bytes, as in a VPC, clients 1500. A packet that arrives lies in five mbufs.
class Jumbo : public RelayTest {
 protected:
  WorldSizes sizes() const override {
    WorldSizes s;
    s.tcp.caps.mtu = s.host_tcp.caps.mtu = 9001;
    s.tcp.port_mtu[0] = 1500;
    return s;
  }
  void SetUp() override {
    RelayTest::SetUp();
    world->client.deliver_into(world->gateway_pools());
    world->server.deliver_into(world->gateway_pools());
    world->tamper = [this, turn = 0u](rte_ring& frames) mutable {
      const bool back = (turn++ & 2) != 0;
      std::vector<rte_mbuf*> held(rte_ring_count(&frames));
      for (auto& m : held) rte_ring_dequeue(&frames, reinterpret_cast<void**>(&m));
      for (rte_mbuf* m : held) {
        (back ? back_most : front_most) = std::max(back ? back_most : front_most, m->pkt_len);
        mbufs_most = std::max<u32>(mbufs_most, m->nb_segs);
        rte_ring_enqueue(&frames, m);
      }
    };
  }
  u32 front_most = 0, back_most = 0, mbufs_most = 0;
};

TEST_F(Jumbo, PacketsOf9001BytesToEndpointsAnd1500ToClients) {
  start();
  std::string body(200'000, 0);
  for (u32 i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i * 7 % 26);
  on_request = [&](Serving& s) {
    if (!s.got.ends_with("END")) return;
    world->server.send(s.id, ok(s.got.substr(s.got.find("\r\n\r\n") + 4)));
    s.got.clear();
  };
  const u32 c = connect();
  say(c, "POST /a HTTP/1.1\r\nHost: web\r\nContent-Length: 200003\r\n\r\n" + body + "END");
  world->run_for(60'000);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 200 OK"));
  EXPECT_TRUE(clients[c].got.ends_with(body + "END"));
  EXPECT_LE(back_most, 14u + 9001);
  EXPECT_GT(back_most, 6 * 1448u) << "six slices of the client's segments";
  EXPECT_EQ(front_most, 14u + 1500);
  EXPECT_GE(mbufs_most, 5u);
  EXPECT_EQ(count(Counter::tx_linearized), 0u);
  EXPECT_EQ(count(Counter::tcp_retransmits), 0u);
  EXPECT_EQ(world->stats.page.verdicts[static_cast<u32>(contract::Verdict::tcp_out_of_budget)].get(), 0u);
}

}  // namespace
}  // namespace ringway
