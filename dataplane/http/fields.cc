// The names a trailer section may not carry, by their hashes. Pure, any thread.

#include "dataplane/http/fields.h"

#include <array>

namespace ringway::http {
namespace {

constexpr u64 hash_of(std::string_view name) {
  u64 hash = kNameHashStart;
  for (const char c : name) hash = name_hash(hash, static_cast<u8>(c));
  return hash;
}

constexpr std::array kForbiddenTrailers{
    hash_of("authorization"),    hash_of("connection"),        hash_of("content-length"),  hash_of("cookie"),
    hash_of("expect"),           hash_of("forwarded"),         hash_of("host"),            hash_of("http2-settings"),
    hash_of("keep-alive"),       hash_of("max-forwards"),      hash_of("proxy-authorization"),
    hash_of("proxy-connection"), hash_of("te"),                hash_of("trailer"),         hash_of("transfer-encoding"),
    hash_of("upgrade"),          hash_of("via"),               hash_of("x-forwarded-for"), hash_of("x-forwarded-host"),
    hash_of("x-forwarded-proto"), hash_of("content-encoding"), hash_of("content-range"),   hash_of("set-cookie")};

}  // namespace

std::string_view field_name(FieldId id) { return field_detail::kNames[static_cast<u32>(id)]; }

bool is_forbidden_trailer(u64 hash) {
  for (const u64 forbidden : kForbiddenTrailers) {
    if (hash == forbidden) return true;
  }
  return false;
}

}  // namespace ringway::http
