#pragma once
// ARP for IPv4 over Ethernet (RFC 826) as a view over bytes. Pure, any thread.

#include "src/base/types.h"
#include "src/wire/addr.h"
#include "src/wire/eth.h"

namespace ringway::wire {

inline constexpr u32 kArpBytes = 28;
inline constexpr u16 kArpRequest = 1;
inline constexpr u16 kArpReply = 2;

// Stands over at least kArpBytes.
class ArpView {
 public:
  explicit ArpView(const u8* p) : p_(p) {}
  // Hardware type Ethernet, protocol IPv4, address lengths 6 and 4.
  bool is_ethernet_ip4() const {
    return load_be16(p_) == 1 && load_be16(p_ + 2) == kEtherTypeIp4 && p_[4] == 6 && p_[5] == 4;
  }
  u16 operation() const { return load_be16(p_ + 6); }
  Mac sender_mac() const { return load_mac(p_ + 8); }
  Ip4 sender_ip() const { return Ip4{load_be32(p_ + 14)}; }
  Mac target_mac() const { return load_mac(p_ + 18); }
  Ip4 target_ip() const { return Ip4{load_be32(p_ + 24)}; }

 private:
  const u8* p_;
};

struct ArpFields {
  u16 operation = kArpRequest;
  Mac sender_mac;
  Ip4 sender_ip;
  Mac target_mac;
  Ip4 target_ip;
};

// Writes kArpBytes.
inline void write_arp(u8* p, const ArpFields& f) {
  store_be16(p, 1);
  store_be16(p + 2, kEtherTypeIp4);
  p[4] = 6;
  p[5] = 4;
  store_be16(p + 6, f.operation);
  store_mac(p + 8, f.sender_mac);
  store_be32(p + 14, f.sender_ip.v);
  store_mac(p + 18, f.target_mac);
  store_be32(p + 24, f.target_ip.v);
}

}  // namespace ringway::wire
