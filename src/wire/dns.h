#pragma once
// DNS messages (RFC 1035 section 4.1, EDNS0 of RFC 6891) as views over bytes, and a writer with a bound.
//
// Names of questions are read without following compression pointers: the first name of a message has nothing before
// it to point at, so a pointer there is an error, and loops cannot occur. Pure, any thread.

#include <cstring>

#include "src/base/types.h"
#include "src/wire/addr.h"

namespace ringway::wire {

inline constexpr u32 kDnsHeaderBytes = 12;
inline constexpr u32 kDnsNameBytesMax = 255;  // on the wire, final zero included (RFC 1035 2.3.4)
inline constexpr u32 kDnsLabelBytesMax = 63;
inline constexpr u32 kDnsUdpBytesDefault = 512;  // RFC 1035 2.3.4: without EDNS0

inline constexpr u16 kDnsTypeA = 1;
inline constexpr u16 kDnsTypeSoa = 6;
inline constexpr u16 kDnsTypeAaaa = 28;  // RFC 3596
inline constexpr u16 kDnsTypeOpt = 41;
inline constexpr u16 kDnsTypeAny = 255;
inline constexpr u16 kDnsClassIn = 1;
inline constexpr u16 kDnsClassAny = 255;

enum class DnsRcode : u8 { no_error = 0, form_err = 1, nx_domain = 3, not_imp = 4, refused = 5, bad_vers = 16 };

// Stands over at least kDnsHeaderBytes.
class DnsHeaderView {
 public:
  explicit DnsHeaderView(const u8* p) : p_(p) {}
  u16 id() const { return load_be16(p_); }
  bool is_response() const { return (p_[2] & 0x80) != 0; }
  u8 opcode() const { return (p_[2] >> 3) & 0x0f; }
  bool recursion_desired() const { return (p_[2] & 0x01) != 0; }
  u16 questions() const { return load_be16(p_ + 4); }
  u16 answers() const { return load_be16(p_ + 6); }
  u16 authorities() const { return load_be16(p_ + 8); }
  u16 additionals() const { return load_be16(p_ + 10); }

 private:
  const u8* p_;
};

// The length of the name at `at` in `message`, final zero included; 0 when it is impossible. `pointer_ok`: a compression
// pointer may end it (it is not followed).
inline u32 dns_name_bytes(Bytes message, std::size_t at, bool pointer_ok) {
  const std::size_t begin = at;
  while (at < message.size() && at - begin < kDnsNameBytesMax) {
    const u8 label = message[at];
    if (label == 0) return static_cast<u32>(at + 1 - begin);
    if ((label & 0xc0) == 0xc0) return pointer_ok && at + 2 <= message.size() ? static_cast<u32>(at + 2 - begin) : 0;
    if (label > kDnsLabelBytesMax) return 0;
    at += 1u + label;
  }
  return 0;
}

// Writes until the room is spent; then `fits()` is false and nothing more is written.
class DnsWriter {
 public:
  explicit DnsWriter(MutBytes out) : out_(out) {}
  void u8be(u8 v) { if (take(1)) out_[at_ - 1] = v; }
  void u16be(u16 v) { if (take(2)) store_be16(&out_[at_ - 2], v); }
  void u32be(u32 v) { if (take(4)) store_be32(&out_[at_ - 4], v); }
  void bytes(Bytes b) { if (take(b.size())) std::memcpy(&out_[at_ - b.size()], b.data(), b.size()); }
  bool fits() const { return fits_; }
  u32 size() const { return static_cast<u32>(at_); }
  // Back to an earlier size.
  void rewind(u32 size) { at_ = size; fits_ = true; }

 private:
  bool take(std::size_t n) {
    if (!fits_ || n == 0 || out_.size() - at_ < n) {
      fits_ = fits_ && n == 0;
      return false;
    }
    at_ += n;
    return true;
  }
  MutBytes out_;
  std::size_t at_ = 0;
  bool fits_ = true;
};

}  // namespace ringway::wire
