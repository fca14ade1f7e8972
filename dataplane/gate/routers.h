#pragma once
// Routers: which hosts on a link say that they lead on over IPv6, and which of them is the next hop of a port (RFC 4861 6.3.4
// to 6.3.7, preferences of RFC 4191). Only for ports that are told to listen; a configured next hop goes first.
//
// Core 0 writes: it reads the advertisements, lets them grow old, asks for them when there is none, and leaves a router that
// does not answer as a neighbour for another. Every core copies the hops that were chosen when their version has changed.
// A port remembers kPerPort routers; more are not listened to, so a flood of them changes nothing.

#include <array>

#include "src/base/seqlock.h"
#include "src/base/types.h"
#include "src/contract/limits.h"
#include "src/wire/addr.h"

namespace ringway::gate {

class Routers {
 public:
  static constexpr u32 kPerPort = 4;
  static constexpr u32 kSolicitations = 3;              // RFC 4861 10: MAX_RTR_SOLICITATIONS
  static constexpr TimeUs kSolicitEveryUs = 4'000'000;  // RTR_SOLICITATION_INTERVAL
  static constexpr TimeUs kLookEveryUs = 1'000'000;
  static constexpr u32 kSilentLooks = 4;  // looks in a row at a chosen router whose MAC nobody tells
  struct Hops {
    std::array<wire::Ip6, contract::kPortsMax> by_port;  // :: where there is none
  };

  // --- any core
  u64 version() const { return hops_.writes(); }
  Hops hops() const { return hops_.read(); }

  // --- core 0 only
  // `address` says that it is a router for `lifetime_us` from now on; 0: it is none any more. `preference`: 0 to 2.
  // False: a new one for which there is no place, or one that leaves and was none.
  bool heard(u32 port, const wire::Ip6& address, u64 lifetime_us, u32 preference, TimeUs now_us) {
    Router* r = find(port, address);
    if (lifetime_us == 0 && r == nullptr) return false;
    if (r == nullptr) r = find(port, wire::Ip6{});
    if (r == nullptr) return false;
    *r = lifetime_us == 0 ? Router{} : Router{address, now_us + lifetime_us, preference, false};
    choose(port);
    return true;
  }
  // The chosen router of `port` does not answer: another goes first until this one is heard again.
  void doubt(u32 port) {
    if (chosen_.by_port[port] == wire::Ip6{}) return;
    find(port, chosen_.by_port[port])->doubted = true;
    choose(port);
  }
  // Forgets what has grown old.
  void expire(u32 port, TimeUs now_us) {
    bool any = false;
    for (Router& r : routers_[port]) {
      if (r.address == wire::Ip6{} || now_us < r.until_us) continue;
      r = {};
      any = true;
    }
    if (any) choose(port);
  }
  // Whether to ask for routers now; counts as asked.
  bool solicit(u32 port, TimeUs now_us) {
    Asking& a = asking_[port];
    if (chosen_.by_port[port] != wire::Ip6{}) {
      a = {};
      return false;
    }
    if (a.sent == kSolicitations || now_us < a.due_us) return false;
    ++a.sent;
    a.due_us = now_us + kSolicitEveryUs;
    return true;
  }
  // Looks in a row at a router that is not known as a neighbour; the count of this one.
  u32 silent(u32 port, bool is_silent) { return silent_[port] = is_silent ? silent_[port] + 1 : 0; }
  const wire::Ip6& hop(u32 port) const { return chosen_.by_port[port]; }

 private:
  struct Router {
    wire::Ip6 address;  // ::: the place is free
    TimeUs until_us = 0;
    u32 preference = 0;
    bool doubted = false;
  };
  struct Asking {
    TimeUs due_us = 0;
    u32 sent = 0;
  };

  Router* find(u32 port, const wire::Ip6& address) {
    for (Router& r : routers_[port])
      if (r.address == address) return &r;
    return nullptr;
  }
  static bool better(const Router& a, const Router& b) {
    return a.doubted != b.doubted ? b.doubted : a.preference > b.preference;
  }
  // The chosen one stays as long as no other is better.
  void choose(u32 port) {
    wire::Ip6& hop = chosen_.by_port[port];
    const Router* best = hop == wire::Ip6{} ? nullptr : find(port, hop);
    for (const Router& r : routers_[port]) {
      if (r.address != wire::Ip6{} && (best == nullptr || better(r, *best))) best = &r;
    }
    const wire::Ip6 now = best == nullptr ? wire::Ip6{} : best->address;
    if (now == hop) return;
    hop = now;
    silent_[port] = 0;
    hops_.write(chosen_);
  }

  std::array<std::array<Router, kPerPort>, contract::kPortsMax> routers_;
  std::array<Asking, contract::kPortsMax> asking_;
  std::array<u32, contract::kPortsMax> silent_{};
  Hops chosen_;
  Seqlock<Hops> hops_;
};

}  // namespace ringway::gate
