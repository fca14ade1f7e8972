#pragma once
// AddressBook: the IPv6 addresses that one core's connections have, each under a number of 32 bits (wire::Addr).
//
// A connection, a half-open record, a record of TIME-WAIT and a segment name their ends by Addr: an IPv4 address by itself,
// an IPv6 address by its number here. So tuples have 12 bytes in either family, IPv4 costs nothing more, and an IPv6
// address costs its entry once however many connections it has.
//
// Whoever keeps an Addr beyond the poll in which it was named holds it (`hold`, `drop`: counted). What nobody holds stays
// findable until its place is needed: at least kSpare other addresses are named first, more than one poll can name, so an
// Addr is good until the poll ends without being held. IPv4 addresses pass through every call unchanged.
//
// One core's; not shared. Memory is mapped at construction and touched as it is used. Numbers mean nothing on another
// core; `digest` does: it is the same on every core that was given the same seed, and a stranger cannot choose it.

#include <bit>
#include <cstdlib>
#include <memory>

#include "src/base/assert.h"
#include "src/base/index_list.h"
#include "src/base/slab.h"
#include "src/base/types.h"
#include "src/lookup/flow_hash.h"
#include "src/wire/addr.h"

namespace ringway::lookup {

class AddressBook {
 public:
  using Addr = wire::Addr;
  static constexpr u32 kSpare = 8192;

  // `held_max`: addresses that may be held at once.
  AddressBook(u64 seed, u32 held_max)
      : seed_(seed), slab_(held_max + kSpare), mask_(std::bit_ceil(held_max + kSpare) - 1),
        heads_(static_cast<u32*>(std::calloc(std::size_t{mask_} + 1, sizeof(u32)))) {
    RW_ASSERT(heads_ != nullptr && held_max < Addr::kFirst6 >> 4);
  }

  // The Addr of `ip`, new or known. Not held; an IPv6 address counts as just used.
  wire::Addr name(const wire::Ip6& ip) {
    const u32 head = digest(ip) & mask_;
    u32 i = look(ip, head);
    if (i == kNone32) {
      i = take_place();
      Entry& e = slab_[i];
      e.ip = ip;
      e.next = heads_[head];
      heads_[head] = i + 1;
      idle_.push_back(slab_, i);
    } else if (slab_[i].held == 0) {
      idle_.remove(slab_, i);
      idle_.push_back(slab_, i);
    }
    return Addr::of6(i);
  }
  wire::Addr name(const wire::Ip& ip) { return ip.is6() ? name(ip.ip6()) : Addr(ip.ip4()); }
  // The Addr of `ip` if it has one; 0.0.0.0 when not.
  wire::Addr find(const wire::Ip6& ip) const {
    const u32 i = look(ip, digest(ip) & mask_);
    return i == kNone32 ? Addr{} : Addr::of6(i);
  }

  wire::Ip ip(wire::Addr a) const { return a.is4() ? wire::Ip(a.ip4()) : wire::Ip(ip6(a)); }
  // Of an Addr that is not IPv4.
  const wire::Ip6& ip6(wire::Addr a) const { return slab_[a.v & ~Addr::kFirst6].ip; }

  void hold(wire::Addr a) {
    if (a.is4()) return;
    const u32 i = a.v & ~Addr::kFirst6;
    if (slab_[i].held++ == 0) idle_.remove(slab_, i);
  }
  void drop(wire::Addr a) {
    if (a.is4()) return;
    const u32 i = a.v & ~Addr::kFirst6;
    RW_ASSERT(slab_[i].held > 0);
    if (--slab_[i].held == 0) idle_.push_back(slab_, i);
  }
  // Both ends.
  void hold(const wire::FourTuple& t) {
    hold(t.local);
    hold(t.remote);
  }
  void drop(const wire::FourTuple& t) {
    drop(t.local);
    drop(t.remote);
  }

  // 32 bits that stand for the address on every core: of IPv4 the address, of IPv6 a keyed hash.
  u32 digest(const wire::Ip6& ip) const { return address_digest(ip, seed_); }
  wire::FourTuple digest(const wire::FourTuple& t) const {
    if (t.remote.is4()) return t;
    return {wire::Ip4{digest(ip6(t.local))}, wire::Ip4{digest(ip6(t.remote))}, t.local_port, t.remote_port};
  }

  // Addresses that somebody holds, and all that can be found.
  u32 held() const { return slab_.in_use() - idle_.size(); }
  u32 known() const { return slab_.in_use(); }

 private:
  
  struct Entry {
    wire::Ip6 ip;
    u32 held = 0;
    u32 next = 0;  // of its bucket, plus one; 0 ends it
    IndexLink place;
  };
  static_assert(sizeof(Entry) == 32);
  struct Free {
    void operator()(u32* p) const { std::free(p); }
  };

  u32 look(const wire::Ip6& ip, u32 head) const {
    for (u32 at = heads_[head]; at != 0; at = slab_[at - 1].next) {
      if (slab_[at - 1].ip == ip) return at - 1;
    }
    return kNone32;
  }
  // A place for a new address: the one that has been idle longest once kSpare are, so that the book stays small.
  u32 take_place() {
    if (idle_.size() >= kSpare) {
      const u32 i = idle_.pop_front(slab_);
      u32* link = &heads_[digest(slab_[i].ip) & mask_];
      while (*link != i + 1) link = &slab_[*link - 1].next;
      *link = slab_[i].next;
      slab_.free(i);
    }
    const u32 i = slab_.alloc();
    RW_ASSERT(i != kNone32);
    return i;
  }

  u64 seed_;
  Slab<Entry> slab_;
  IndexList<&Entry::place> idle_;  // held by nobody, the one named longest ago first
  u32 mask_;
  std::unique_ptr<u32[], Free> heads_;  // by digest: place plus one, 0 is none; calloc, so untouched is unmapped
};

}  // namespace ringway::lookup
