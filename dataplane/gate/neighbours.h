#pragma once
// Neighbours: which MAC address answers for an address on a port, by ARP (RFC 826) or neighbour discovery (RFC 4861). One
// table for all cores and both families.
//
// Core 0 is the only writer: it sends the requests, reads the replies and keeps the time. Every core reads without a
// lock: an entry is a key (one word, and the address where that is longer) and a MAC word; the key is checked again after
// the MAC. Other cores ask through a ring.
//
// An address is learned from the answer to a question of ours, or from a request that was addressed to us. An
// announcement (RFC 5227 3, RFC 4861 7.2.6) changes what is known and adds nothing; nothing else is believed. Unanswered
// questions are repeated (kTries, kRetryUs apart: RFC 4861 10). An entry is good for kReachableUs; then
// it is asked for again, by unicast, if somebody used it meanwhile, and dropped if not. The table holds kEntries and
// looks at kWindow places for an address; a full window gives up its entry that was least recently confirmed.

#include <atomic>
#include <cstring>
#include <memory>
#include <vector>

#include "dataplane/gate/routers.h"
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
  bool find(u32 port, wire::Ip4 ip, wire::Mac& out) const {
    const Key key = key_of(port, ip);
    return read(entries_[first_place(key.word)], key, out) || find(key, out);  // nearly always the first place
  }
  bool find(u32 port, const wire::Ip& ip, wire::Mac& out) const { return find(key_of(port, ip), out); }
  // Wants `ip` to be asked for. May be repeated; a full ring forgets it.
  void ask(u32 port, const wire::Ip& ip) { asks_.push({ip, port}); }

  Routers& routers() { return routers_; }

  // --- core 0 only
  struct Request {
    u32 port = 0;
    wire::Ip ip;
    wire::Mac to;          // with `unicast`; else everybody is asked
    bool unicast = false;
  };
  // The next request that is due; false when there is none. Call until false.
  bool next_request(TimeUs now_us, Request& out);
  // `ip` says that it has `mac`. `solicited`: a reply, believed only if we have asked. False when not believed.
  bool learn(u32 port, const wire::Ip& ip, const wire::Mac& mac, bool solicited, TimeUs now_us);
  // `ip` announces that it has `mac` now. False, and nothing is learned, when we do not use `ip`.
  bool update(u32 port, const wire::Ip& ip, const wire::Mac& mac, TimeUs now_us);
  // Entries that hold a MAC now.
  u32 known() const;

 private:
  enum class State : u8 { empty, asked, reachable, confirming };

  struct RW_CACHE_ALIGNED Entry {
    std::atomic<u64> key{0};   // 0: never used
    std::atomic<u64> mac{0};   // kValid | 48 bits; 0: not known
    std::atomic<u64> high{0}, low{0};  // the address, with kIs6 in the key
    mutable std::atomic<u8> used{0};
    State state = State::empty;
    u8 tries = 0;
    bool listed = false;
    TimeUs due_us = 0;         // next retry, or end of reachability
    TimeUs learned_us = 0;
  };
  struct Ask {
    wire::Ip ip;
    u64 port = 0;
  };
  // `word`: port and IPv4 address, or port, kIs6 and a mix of the address.
  struct Key {
    u64 word = 0, high = 0, low = 0;
  };
  static constexpr u64 kValid = u64{1} << 63;
  static constexpr u64 kIs6 = u64{1} << 63;

  static Key key_of(u32 port, wire::Ip4 ip) { return {(u64{port} + 1) << 32 | ip.v}; }
  static Key key_of(u32 port, const wire::Ip& ip);
  static u32 first_place(u64 word) {
    return static_cast<u32>(word * 0x9e37'79b9'7f4a'7c15u >> 52);
  }
  static bool holds(const Entry& e, const Key& key) {
    return e.key.load(std::memory_order_acquire) == key.word &&
           ((key.word & kIs6) == 0 || (e.high.load(std::memory_order_relaxed) == key.high &&
                                       e.low.load(std::memory_order_relaxed) == key.low));
  }
  static_assert(kEntries == 1u << 12);
  static wire::Mac unpack(u64 word) {
    wire::Mac mac;
    std::memcpy(mac.b.data(), &word, mac.b.size());
    return mac;
  }
  // The MAC of `e` when that holds `key` and knows it.
  static bool read(const Entry& e, const Key& key, wire::Mac& out) {
    if (!holds(e, key)) return false;
    const u64 word = e.mac.load(std::memory_order_acquire);
    // The writer may have given the place to another address in between.
    if ((word & kValid) == 0 || !holds(e, key)) return false;
    if (e.used.load(std::memory_order_relaxed) == 0) e.used.store(1, std::memory_order_relaxed);
    out = unpack(word);
    return true;
  }
  static u64 pack(const wire::Mac& mac);

  bool find(const Key& key, wire::Mac& out) const;
  Entry* existing(const Key& key) const;
  Entry& make(const Key& key);
  void list(Entry& entry);
  void forget(Entry& entry);
  bool step(Entry& entry, TimeUs now_us, Request& out);
  void fill(const Entry& entry, bool unicast, Request& out) const;

  std::unique_ptr<Entry[]> entries_;
  contract::Ring<Ask, contract::Producers::many> asks_{1023};
  Routers routers_;
  std::vector<u32> live_;  // entries with something to time
  u32 walk_at_ = 0;        // index into live_
  TimeUs walk_due_us_ = 0;
};

}  // namespace ringway::gate
