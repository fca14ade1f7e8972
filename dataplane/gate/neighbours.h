#pragma once
// Neighbours: which MAC address answers for an IPv4 address on a port (RFC 826). One table for all cores.
//
// Core 0 is the only writer: it sends the requests, reads the replies and keeps the time. Every core reads without a
// lock: an entry is a key word and a MAC word, the key is checked again after the MAC. Other cores ask through a ring.
//
// An address is learned from the answer to a question of ours, or from a request that was addressed to us. An
// announcement (RFC 5227 3) changes what is known and adds nothing; nothing else is believed. Unanswered questions are repeated (kTries, kRetryUs apart). An entry is good for kReachableUs; then
// it is asked for again, by unicast, if somebody used it meanwhile, and dropped if not. The table holds kEntries and
// looks at kWindow places for an address; a full window gives up its entry that was least recently confirmed.

#include <atomic>
#include <memory>
#include <vector>

#include "src/base/cacheline.h"
#include "src/base/types.h"
#include "src/contract/ring.h"
#include "src/wire/addr.h"

namespace ringway::gate {

class Neighbours {
 public:
  static constexpr u32 kEntries = 4096;
  static constexpr u32 kWindow = 8;
  static constexpr u32 kTries = 3;
  static constexpr TimeUs kRetryUs = 1'000'000;
  static constexpr TimeUs kReachableUs = 60'000'000;
  static constexpr TimeUs kWalkEveryUs = 100'000;

  Neighbours();

  // --- any core
  // True with the MAC when it is known. Marks the entry as in use.
  bool find(u32 port, wire::Ip4 ip, wire::Mac& out) const;
  // Wants `ip` to be asked for. May be repeated; a full ring forgets it.
  void ask(u32 port, wire::Ip4 ip) { asks_.push({ip.v, port}); }

  // --- core 0 only
  struct Request {
    u32 port = 0;
    wire::Ip4 ip;
    wire::Mac to = wire::kMacBroadcast;
  };
  // The next ARP request that is due; false when there is none. Call until false.
  bool next_request(TimeUs now_us, Request& out);
  // `ip` says that it has `mac`. `solicited`: a reply, believed only if we have asked. False when not believed.
  bool learn(u32 port, wire::Ip4 ip, const wire::Mac& mac, bool solicited, TimeUs now_us);
  // `ip` announces that it has `mac` now. False, and nothing is learned, when we do not use `ip`.
  bool update(u32 port, wire::Ip4 ip, const wire::Mac& mac, TimeUs now_us);
  // Entries that hold a MAC now.
  u32 known() const;

 private:
  enum class State : u8 { empty, asked, reachable, confirming };

  struct RW_CACHE_ALIGNED Entry {
    std::atomic<u64> key{0};   // 0: never used
    std::atomic<u64> mac{0};   // kValid | 48 bits; 0: not known
    mutable std::atomic<u8> used{0};
    State state = State::empty;
    u8 tries = 0;
    bool listed = false;
    TimeUs due_us = 0;         // next retry, or end of reachability
    TimeUs learned_us = 0;
  };
  struct Ask {
    u32 ip = 0;
    u32 port = 0;
  };
  static constexpr u64 kValid = u64{1} << 63;

  static u64 key_of(u32 port, wire::Ip4 ip) { return (u64{port} + 1) << 32 | ip.v; }
  static u32 first_place(u64 key) {
    return static_cast<u32>(key * 0x9e37'79b9'7f4a'7c15u >> 52);
  }
  static_assert(kEntries == 1u << 12);
  static wire::Mac unpack(u64 word);
  static u64 pack(const wire::Mac& mac);

  Entry* existing(u64 key) const;
  Entry& make(u64 key);
  void list(Entry& entry);
  void forget(Entry& entry);
  bool step(Entry& entry, TimeUs now_us, Request& out);
  void fill(const Entry& entry, bool unicast, Request& out) const;

  std::unique_ptr<Entry[]> entries_;
  contract::Ring<Ask, contract::Producers::many> asks_{1023};
  std::vector<u32> live_;  // entries with something to time
  u32 walk_at_ = 0;        // index into live_
  TimeUs walk_due_us_ = 0;
};

}  // namespace ringway::gate
