// The Toeplitz tables and the port buckets (see the header for what they are for).

#include "src/lookup/toeplitz.h"

#include "src/base/assert.h"

namespace ringway::lookup {

// Microsoft, "Verifying the RSS Hash Calculation".
constinit const RssKey kRssKeyMicrosoft = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                           0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                           0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                           0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

constinit const RssKey kRssKeySymmetric = [] {
  RssKey key{};
  for (std::size_t i = 0; i < key.size(); i++) key[i] = i % 2 == 0 ? 0x6d : 0x5a;
  return key;
}();

namespace {

// The 32 key bits that begin at `bit`, most significant first: what an input bit at that place contributes.
u32 window(const RssKey& key, std::size_t bit) {
  u64 five_bytes = 0;
  for (std::size_t i = 0; i < 5; i++) five_bytes = five_bytes << 8 | key[bit / 8 + i];
  return static_cast<u32>(five_bytes >> (8 - bit % 8));
}

// floor(draw / 2^32 * n): a random number below n without a division; what remains of `draw` is random still.
u32 take_below(u32& draw, u32 n) {
  const u64 product = u64{draw} * n;
  draw = static_cast<u32>(product);
  return static_cast<u32>(product >> 32);
}

}  // namespace

Toeplitz::Toeplitz(const RssKey& key) {
  for (std::size_t position = 0; position < byte_.size(); position++) {
    for (u32 value = 0; value < 256; value++) {
      u32 sum = 0;
      for (std::size_t bit = 0; bit < 8; bit++)
        if (value >> (7 - bit) & 1) sum ^= window(key, position * 8 + bit);
      byte_[position][value] = sum;
    }
  }
}

bool is_symmetric(const RssKey& key) {
  constexpr std::size_t source = 0, destination = 32, source_port = 64, destination_port = 80;
  for (std::size_t bit = 0; bit < 32; bit++)
    if (window(key, source + bit) != window(key, destination + bit)) return false;
  for (std::size_t bit = 0; bit < 16; bit++)
    if (window(key, source_port + bit) != window(key, destination_port + bit)) return false;
  return true;
}

RssPortChooser::RssPortChooser(const RssKey& key, std::span<const u16> reta, u16 queue, u16 first_port, u16 last_port)
    : toeplitz_(key), mask_(static_cast<u32>(reta.size()) - 1), leads_there_(reta.size()) {
  RW_ASSERT(!reta.empty() && reta.size() <= 65'536 && (reta.size() & mask_) == 0);
  RW_ASSERT(0 < first_port && first_port <= last_port);
  for (u32 index = 0; index <= mask_; index++) {
    leads_there_[index] = reta[index] == queue;
    if (reta[index] == queue) wanted_.push_back(index);
  }

  of4_ = sort_ports(first_port, last_port, [&](u16 port) { return toeplitz_.of_destination_port(port) & mask_; });
  of6_ = sort_ports(first_port, last_port, [&](u16 port) { return toeplitz_.of_destination_port6(port) & mask_; });
}

// A counting sort.
template <class P>
RssPortChooser::Buckets RssPortChooser::sort_ports(u16 first_port, u16 last_port, P&& index_of) const {
  Buckets out;
  out.begin.assign(u64{mask_} + 2, 0);
  for (u32 port = first_port; port <= last_port; port++) out.begin[index_of(static_cast<u16>(port)) + 1]++;
  for (u32 bucket = 0; bucket <= mask_; bucket++) out.begin[bucket + 1] += out.begin[bucket];
  out.ports.resize(out.begin.back());
  std::vector<u32> next(out.begin.begin(), out.begin.end() - 1);
  for (u32 port = first_port; port <= last_port; port++) {
    out.ports[next[index_of(static_cast<u16>(port))]++] = static_cast<u16>(port);
  }
  return out;
}

u16 RssPortChooser::pick(const wire::Ip& upstream, u16 upstream_port, const wire::Ip& local, u32 draw) const {
  const u32 count = static_cast<u32>(wanted_.size());
  if (count == 0) return 0;
  const Buckets& sorted = buckets(local);
  const u32 h = base(upstream, upstream_port, local);
  u32 at = take_below(draw, count);
  for (u32 tries = 0; tries < count; tries++) {
    const u32 bucket = (wanted_[at] ^ h) & mask_;
    const u32 size = sorted.size(bucket);
    if (size != 0) return sorted.ports[sorted.begin[bucket] + take_below(draw, size)];
    at = at + 1 == count ? 0 : at + 1;
  }
  return 0;
}

u32 RssPortChooser::choices(const wire::Ip& upstream, u16 upstream_port, const wire::Ip& local) const {
  const Buckets& sorted = buckets(local);
  const u32 h = base(upstream, upstream_port, local);
  u32 sum = 0;
  for (const u32 index : wanted_) sum += sorted.size((index ^ h) & mask_);
  return sum;
}

u16 RssPortChooser::choice(const wire::Ip& upstream, u16 upstream_port, const wire::Ip& local, u32 n) const {
  const Buckets& sorted = buckets(local);
  const u32 h = base(upstream, upstream_port, local);
  for (const u32 index : wanted_) {
    const u32 bucket = (index ^ h) & mask_;
    if (n < sorted.size(bucket)) return sorted.ports[sorted.begin[bucket] + n];
    n -= sorted.size(bucket);
  }
  return 0;
}

bool RssPortChooser::lands(const wire::Ip& upstream, u16 upstream_port, const wire::Ip& local, u16 local_port) const {
  return leads_there_[toeplitz_.hash(upstream, local, upstream_port, local_port) & mask_];
}

}  // namespace ringway::lookup
