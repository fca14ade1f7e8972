// The WebSocket handshake's key and its proof: RFC 6455's own example, and what is no key.

#include "dataplane/http/websocket.h"

#include <string>

#include "tests/unit/http/support.h"

namespace ringway::http::test {
namespace {

TEST(Websocket, Rfc6455_1_3_TheProofOfItsExample) {
  EXPECT_EQ(WebsocketAccept(WebsocketKey("dGhlIHNhbXBsZSBub25jZQ==")).text(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(Websocket, Rfc6455_4_2_1_OnlyBase64OfSixteenBytesIsAKey) {
  EXPECT_EQ(WebsocketKey("dGhlIHNhbXBsZSBub25jZQ==").text(), "dGhlIHNhbXBsZSBub25jZQ==");
  for (const char* sent : {"", "k", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ===",
                           "dGhlIHNhbXBsZSBub25jZTE=", "dGhlIHNhbXBsZSBub25jZTEy", "dGhlIHNhbXBsZSBub25j!Q==",
                           "dGhlIHNhbXBsZSBub25j Q==", "========================"}) {
    EXPECT_TRUE(WebsocketKey(sent).empty()) << sent;
    EXPECT_EQ(WebsocketAccept(WebsocketKey(sent)).text(), "") << sent;
  }
}

TEST(Websocket, AKeyOfOursIsOneAndDiffersByItsBytes) {
  const WebsocketKey key(0x6867666564636261, 0x706f6e6d6c6b6a69);  // "abcdefghijklmnop"
  EXPECT_EQ(key.text(), "YWJjZGVmZ2hpamtsbW5vcA==");
  EXPECT_EQ(WebsocketKey(key.text()).text(), key.text());
  EXPECT_NE(WebsocketKey(1, 2).text(), WebsocketKey(2, 1).text());
}

TEST(Websocket, Rfc6455_4_2_1_TheNameIsTheSameInAnyCase) {
  EXPECT_TRUE(is_websocket("websocket"));
  EXPECT_TRUE(is_websocket("WebSocket"));
  EXPECT_FALSE(is_websocket("websocket2"));
  EXPECT_FALSE(is_websocket("connect-udp"));
}

}  // namespace
}  // namespace ringway::http::test
