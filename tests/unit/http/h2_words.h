#pragma once
// HTTP/2 frames in words, both ways: what a test says becomes bytes, what an engine sends becomes text.
//
//   SETTINGS ack            SETTINGS initial_window_size=10 0x99=1        PING abcdefgh          PING ack abcdefgh
//   HEADERS 1 end GET /x name=value     HEADERS 2 200 name=value     HEADERS 1 end x=1 (trailers)
//   DATA 1 hello            DATA 1 end n=1000 (that many letters)          DATA 1 end          DATA 1 pad=3 hello
//   WINDOW_UPDATE 1 +10     RST_STREAM 1 CANCEL       GOAWAY last=1 NO_ERROR debug=why       CONTINUATION 1
//   PRIORITY 1 on=3         PRIORITY_UPDATE of=1 u=1,i         PUSH_PROMISE 1        0x99 7 n=5 (a type of that number)
//
// HEADERS take `pad=`, `on=` (PRIORITY flag), and `split=N`: N octets of the block, without END_HEADERS; what is left
// goes with CONTINUATION, which takes `split=` alike. `block=HEX` is a block as it is, `payload=HEX` a payload as it is,
// `length=N` a length that lies, `flags=N` flags beside. Fields may hold %XX. "preface" is the client's.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dataplane/http/h2_frame.h"
#include "dataplane/http/hpack.h"

namespace ringway::http::test {

struct Frame {
  H2FrameHeader head;
  std::string payload;
};

std::vector<std::string> split_words(const std::string& text);
std::string type_name(H2Type type);
H2Type type_of(const std::string& name);
u32 number(const std::string& text);
std::string big_endian(u32 value, u32 bytes);
std::string unhex(const std::string& hex);
// `n` of them.
std::string letters(u32 n);
std::string unescaped(const std::string& text);
// For messages of failures.
std::string shortened(const std::string& text);
std::string wire_bytes(const Frame& f);

// One side of a conversation: its header tables, and a header block that is not sent whole yet.
class Speaker {
 public:
  // Bytes of one frame, or the preface.
  std::string say(const std::string& text);

  // Text of one frame of the other side.
  std::string show(const Frame& f);

  std::vector<std::pair<std::string, std::string>> fields;  // of the block shown last
  HpackEncoder encoder;
  HpackDecoder decoder;
  HpackEncoder::Index index = HpackEncoder::Index::no;

  // A block of these words: "GET /", "200", ":name=value", "name=value", "block=HEX".
  std::string block(const std::vector<std::string>& words);

 private:
  static const u8* data(const Frame& f) { return reinterpret_cast<const u8*>(f.payload.data()); }

  // The number behind `key`, whose word is taken off; kNone32 when there is none.
  static u32 take(std::vector<std::string>& words, const std::string& key);
  static bool take_word(std::vector<std::string>& words, const std::string& word);

  void fill(Frame& f, std::vector<std::string>& words);

  static u32 error(const std::string& name);

  std::string show_block(const Frame& f);

  std::string rest_;  // of a block that we say
  std::string came_;  // of a block that the other side says
};

}  // namespace ringway::http::test
