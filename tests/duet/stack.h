#pragma once
// One end of a wire: an engine with memory of its own, fed with the bytes of packets as a gate would read them, and emptied
// into bytes. What tests/duet and the actor fuzzer build their two sides from. One thread; the clock is the caller's.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/gate/segment_parse.h"
#include "dataplane/tcp/engine.h"
#include "tests/support/cutter.h"
#include "tests/support/eal.h"
#include "tests/wire/decode.h"

namespace ringway::test {

struct Stack {
  // Pools of a name of their own.
  static std::shared_ptr<mbuf::Pools> memory(mbuf::PoolConfig c) {
    static int serial = 0;
    start_eal();
    c.name += std::to_string(serial++);
    c.cache = 0;
    std::string error;
    auto made = mbuf::Pools::make(c, error);
    RW_ASSERT(made != nullptr);
    return made;
  }

  Stack(const tcp::EngineConfig& c, std::shared_ptr<mbuf::Pools> p) : config(c), pools(std::move(p)) {
    engine = std::make_unique<tcp::Engine>(config, *pools, *page);
  }
  u64 counter(contract::Counter c) const { return page->counters[static_cast<u32>(c)].get(); }
  u64 verdict(contract::Verdict v) const { return page->verdicts[static_cast<u32>(v)].get(); }

  // A packet from its IPv4 header on. False: no receiver takes it, or there is no mbuf, as for a NIC without descriptors.
  bool arrive(const std::vector<u8>& bytes, TimeUs now_us) {
    if (!sound(bytes)) return false;
    gate::Segment seg;
    const u32 n = static_cast<u32>(bytes.size());
    if (gate::parse_segment(bytes, n, config.secret[1], seg) != contract::Verdict::ok) return false;
    mbuf::Pkt pkt = pools->alloc();
    if (!pkt) return false;
    std::memcpy(pkt.append(n), bytes.data(), n);
    engine->input(seg, std::move(pkt), now_us);
    return true;
  }

  // Everything that is owed, packet by packet, into `depart`.
  void flush(TimeUs now_us, const std::function<void(mbuf::Pkt)>& depart) {
    do {
      batch->count = 0;
      engine->flush(*batch, now_us);
      for (u32 i = 0; i < batch->count; ++i) depart(std::move(batch->items[i].pkt));
    } while (batch->full());
    batch->count = 0;
  }

  // Lengths and checksums, as the gate looks at them before it reads on.
  static bool sound(const std::vector<u8>& b) {
    if (b.size() < 40 || b[0] != 0x45 || wire::load_be16(&b[2]) != b.size()) return false;
    if (wire::fold(wire::sum_words(b.data(), 20)) != 0xffff) return false;
    const u16 n = static_cast<u16>(b.size() - 20);
    wire::Checksum sum(wire::pseudo_header_sum({wire::load_be32(&b[12])}, {wire::load_be32(&b[16])}, 6, n));
    sum.add({b.data() + 20, n});
    return sum.verifies();
  }

  tcp::EngineConfig config;
  std::unique_ptr<contract::CorePage> page = std::make_unique<contract::CorePage>();
  std::shared_ptr<mbuf::Pools> pools;
  std::unique_ptr<tcp::Engine> engine;
  std::unique_ptr<tcp::OutBatch> batch = std::make_unique<tcp::OutBatch>();
};

}  // namespace ringway::test
