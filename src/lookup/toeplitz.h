#pragma once
// Toeplitz: the receive-side-scaling hash in software, and the choice of local ports by it.
//
// A NIC with RSS hashes the addresses and ports of a packet with a 40-byte key (Microsoft, "RSS Hashing Types" and
// "Verifying the RSS Hash Calculation"), takes the low bits of the hash as index into its indirection table (RETA),
// and puts the packet into the queue found there. `Toeplitz` computes that hash as the NIC does.
//
// An outgoing connection's answers come from (upstream address, upstream port) to (our address, local port). So
// that they land on the queue of the core that opened it, the local port is chosen for it. The hash is linear over
// xor: hash(tuple) = hash(tuple with local port 0) xor P(local port). `RssPortChooser` therefore sorts the ports
// into buckets by the index bits of P once; for a connection it then needs one hash, and every port in bucket
// (index xor hash) lands on RETA entry `index`. It works with any key and any RETA whose size is a power of two,
// and leaves the key as it is.
//
// Packets of IPv6 are hashed alike, over longer addresses (the same 40 bytes of key reach over them), with a P of their
// own. What a NIC makes of extension headers differs, so steering never relies on the hash alone (port/steering.h).
//
// Both are built by whoever brings a port up and are read-only afterwards: any thread. `Toeplitz` is 36 KiB of tables, of
// which IPv4 uses the first 12; only the constructor of RssPortChooser allocates. Addresses and ports are in host order.

#include <array>
#include <span>
#include <vector>

#include "src/base/types.h"
#include "src/wire/addr.h"

namespace ringway::lookup {

inline constexpr std::size_t kRssKeyBytes = 40;
using RssKey = std::array<u8, kRssKeyBytes>;

// The key of Microsoft's published vectors, which most drivers program by default.
extern const RssKey kRssKeyMicrosoft;
// 0x6d5a throughout: both directions of a connection hash alike (Woo and Park, "Scalable TCP Session Monitoring
// with Symmetric Receive-side Scaling", 2012).
extern const RssKey kRssKeySymmetric;

class Toeplitz {
 public:
  explicit Toeplitz(const RssKey& key);

  // The hash of an IPv4 packet with ports, as the NIC receives it: source first.
  u32 hash(wire::Ip4 source, wire::Ip4 destination, u16 source_port, u16 destination_port) const {
    return hash(source, destination) ^ word(8, source_port) ^ word(10, destination_port);
  }
  // The hash of an IPv4 packet of which only addresses count (fragments, other protocols).
  u32 hash(wire::Ip4 source, wire::Ip4 destination) const {
    return word(0, source.v >> 16) ^ word(2, source.v & 0xffff) ^ word(4, destination.v >> 16) ^
           word(6, destination.v & 0xffff);
  }
  // The hash of an IPv6 packet with ports.
  u32 hash(const wire::Ip6& source, const wire::Ip6& destination, u16 source_port, u16 destination_port) const {
    u32 sum = word(32, source_port) ^ word(34, destination_port);
    for (std::size_t i = 0; i < 16; ++i) sum ^= byte_[i][source.b[i]] ^ byte_[16 + i][destination.b[i]];
    return sum;
  }
  u32 hash(const wire::Ip& source, const wire::Ip& destination, u16 source_port, u16 destination_port) const {
    return source.is4() ? hash(source.ip4(), destination.ip4(), source_port, destination_port)
                        : hash(source.ip6(), destination.ip6(), source_port, destination_port);
  }
  // What `destination_port` contributes to the hash (P above), over IPv4 and over IPv6.
  u32 of_destination_port(u16 destination_port) const { return word(10, destination_port); }
  u32 of_destination_port6(u16 destination_port) const { return word(34, destination_port); }

 private:
  u32 word(std::size_t position, u32 two_bytes) const {
    return byte_[position][two_bytes >> 8] ^ byte_[position + 1][two_bytes & 0xff];
  }

  // What each value of each of the 36 input bytes contributes.
  std::array<std::array<u32, 256>, 36> byte_;
};

// Whether both directions of every IPv4 connection, swapped addresses and ports, get the same hash under `key`.
bool is_symmetric(const RssKey& key);

class RssPortChooser {
 public:
  // `reta`: queue by index, 2^n entries with n <= 16, as programmed into the NIC. `queue`: the wanted one. Ports are
  // chosen from first_port .. last_port.
  RssPortChooser(const RssKey& key, std::span<const u16> reta, u16 queue, u16 first_port, u16 last_port);

  // A local port whose return traffic from upstream:upstream_port to `local` lands on the wanted queue. `draw` is
  // random (RFC 6056: ports should not be guessable) and decides among the ports that do; 0 when there is none. Both
  // addresses are of one family, here and below.
  u16 pick(const wire::Ip& upstream, u16 upstream_port, const wire::Ip& local, u32 draw) const;

  // How many ports qualify for this connection, and the n-th of them (n below that count; 0 when not): to walk all
  // of them once when random draws keep hitting ports in use. Costs one look per RETA entry of the queue.
  u32 choices(const wire::Ip& upstream, u16 upstream_port, const wire::Ip& local) const;
  u16 choice(const wire::Ip& upstream, u16 upstream_port, const wire::Ip& local, u32 n) const;

  // Whether return traffic for `local_port` lands on the wanted queue; any port.
  bool lands(const wire::Ip& upstream, u16 upstream_port, const wire::Ip& local, u16 local_port) const;

 private:
  // Ports by what they contribute to the index.
  struct Buckets {
    std::vector<u16> ports;
    std::vector<u32> begin;  // into ports, one more than there are buckets
    u32 size(u32 bucket) const { return begin[bucket + 1] - begin[bucket]; }
  };
  template <class P>
  Buckets sort_ports(u16 first_port, u16 last_port, P&& index_of) const;
  const Buckets& buckets(const wire::Ip& address) const { return address.is4() ? of4_ : of6_; }
  // The hash without the local port.
  u32 base(const wire::Ip& upstream, u16 upstream_port, const wire::Ip& local) const {
    return toeplitz_.hash(upstream, local, upstream_port, 0);
  }

  Toeplitz toeplitz_;
  u32 mask_;                       // RETA size - 1
  std::vector<u32> wanted_;        // RETA indices that lead to the queue
  std::vector<bool> leads_there_;  // the same by RETA index
  Buckets of4_;
  Buckets of6_;
};

}  // namespace ringway::lookup
