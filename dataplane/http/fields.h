#pragma once
// Field names that the gateway acts on, found by length, first and last byte through a table without collisions that
// the compiler builds, then compared once. Pure, any thread. RFC 9110 section 5.1: names are case-insensitive.

#include <string_view>

#include "dataplane/http/head.h"
#include "src/base/types.h"

namespace ringway::http {

// `name` consists of token bytes only (is_token_byte). FieldId::other for every name that is not listed.
FieldId field_id(std::string_view name);

// In lower case; empty for FieldId::other.
std::string_view field_name(FieldId id);

// Sets of fields are words with one bit per FieldId.
constexpr u32 bit(FieldId id) { return 1u << static_cast<u32>(id); }
static_assert(static_cast<u32>(FieldId::count_) <= 32);

// RFC 9110 7.6.1, and HTTP2-Settings (RFC 7540 3.2.1, obsolete): never forwarded as they came.
inline constexpr u32 kHopByHop = bit(FieldId::connection) | bit(FieldId::http2_settings) | bit(FieldId::keep_alive) |
                                 bit(FieldId::proxy_connection) | bit(FieldId::te) | bit(FieldId::transfer_encoding) |
                                 bit(FieldId::upgrade);
constexpr bool is_hop_by_hop(FieldId id) { return (kHopByHop & bit(id)) != 0; }

// Field names that a trailer section may not carry (RFC 9110 6.5.1): framing, routing, connection, authentication.
// By FNV-1a of the name with bit 0x20 set in every byte, so that a name can arrive in pieces.
inline constexpr u64 kNameHashStart = 0xcbf2'9ce4'8422'2325u;
constexpr u64 name_hash(u64 hash, u8 byte) { return (hash ^ (byte | 0x20u)) * 0x100'0000'01b3u; }
bool is_forbidden_trailer(u64 hash);

}  // namespace ringway::http
