#pragma once
// The proof of a WebSocket handshake over HTTP/1.1: the key that a client makes up, and what shows that its server has
// read it (RFC 6455 1.3, 4.1, 4.2). HTTP/2 has neither (RFC 8441 section 5): where only one side speaks HTTP/2, the gateway
// proves to an HTTP/1.1 client, or has an HTTP/1.1 endpoint prove. SHA-1 and base64 are Nettle's: no allocation.
// Pure, any thread.

#include <array>
#include <string_view>

#include "dataplane/http/bytes.h"
#include "src/base/types.h"

namespace ringway::http {

// Base64 of 16 bytes, and nothing when there is none.
class WebsocketKey {
 public:
  static constexpr u32 kBytes = 24;
  WebsocketKey() = default;
  // Of 16 bytes that the caller drew at random.
  WebsocketKey(u64 random_high, u64 random_low);
  // A Sec-WebSocket-Key as it was sent; empty when it is no base64 of 16 bytes (RFC 6455 4.2.1).
  explicit WebsocketKey(std::string_view sent);

  bool empty() const { return text_[0] == 0; }
  std::string_view text() const { return {text_.data(), empty() ? 0 : text_.size()}; }

 private:
  std::array<char, kBytes> text_{};
};

// The Sec-WebSocket-Accept that answers `key`: base64 of SHA-1 over the key and the GUID of RFC 6455 1.3.
class WebsocketAccept {
 public:
  static constexpr u32 kBytes = 28;
  explicit WebsocketAccept(const WebsocketKey& key);  // of no key: nothing
  std::string_view text() const { return {text_.data(), text_[0] == 0 ? 0 : text_.size()}; }

 private:
  std::array<char, kBytes> text_{};
};

// Whether an Upgrade field's value or a :protocol asks for a WebSocket; case does not matter (RFC 6455 4.2.1).
inline bool is_websocket(std::string_view protocol) { return equals_ignoring_case(protocol, "websocket"); }

}  // namespace ringway::http
