#include "dataplane/http/websocket.h"

#include <nettle/base64.h>
#include <nettle/sha1.h>

#include <algorithm>
#include <cstring>

namespace ringway::http {
namespace {

constexpr u32 kNonceBytes = 16;
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 1.3

static_assert(BASE64_ENCODE_RAW_LENGTH(kNonceBytes) == WebsocketKey::kBytes);
static_assert(BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE) == WebsocketAccept::kBytes);

bool is_nonce(std::string_view sent) {
  if (sent.size() != WebsocketKey::kBytes) return false;
  base64_decode_ctx decoder;
  base64_decode_init(&decoder);
  std::array<u8, BASE64_DECODE_LENGTH(WebsocketKey::kBytes)> bytes;
  std::size_t n = bytes.size();
  const bool read = base64_decode_update(&decoder, &n, bytes.data(), sent.size(), sent.data()) != 0;
  return read && n == kNonceBytes && base64_decode_final(&decoder) != 0;
}

const u8* bytes_of(std::string_view text) { return reinterpret_cast<const u8*>(text.data()); }

}  // namespace

WebsocketKey::WebsocketKey(u64 random_high, u64 random_low) {
  std::array<u8, kNonceBytes> nonce;
  std::memcpy(nonce.data(), &random_high, sizeof random_high);
  std::memcpy(nonce.data() + sizeof random_high, &random_low, sizeof random_low);
  base64_encode_raw(text_.data(), nonce.size(), nonce.data());
}

WebsocketKey::WebsocketKey(std::string_view sent) {
  if (is_nonce(sent)) std::copy(sent.begin(), sent.end(), text_.begin());
}

WebsocketAccept::WebsocketAccept(const WebsocketKey& key) {
  if (key.empty()) return;
  sha1_ctx hash;
  sha1_init(&hash);
  sha1_update(&hash, key.text().size(), bytes_of(key.text()));
  sha1_update(&hash, kGuid.size(), bytes_of(kGuid));
  std::array<u8, SHA1_DIGEST_SIZE> digest;
  sha1_digest(&hash, digest.size(), digest.data());
  base64_encode_raw(text_.data(), digest.size(), digest.data());
}

}  // namespace ringway::http
