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

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "dataplane/http/h2_frame.h"
#include "dataplane/http/hpack.h"

namespace ringway::http::test {

struct Frame {
  H2FrameHeader head;
  std::string payload;
};

inline std::vector<std::string> split_words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string w; in >> w;) words.push_back(w);
  return words;
}

inline const std::vector<std::string>& type_names() {
  static const std::vector<std::string> names{"DATA",         "HEADERS", "PRIORITY", "RST_STREAM",    "SETTINGS",
                                              "PUSH_PROMISE", "PING",    "GOAWAY",   "WINDOW_UPDATE", "CONTINUATION"};
  return names;
}
inline std::string type_name(H2Type type) {
  if (type == H2Type::priority_update) return "PRIORITY_UPDATE";
  const u32 n = static_cast<u32>(type);
  return n < type_names().size() ? type_names()[n] : "0x" + std::to_string(n);
}
inline u32 number(const std::string& text) { return static_cast<u32>(std::stoull(text, nullptr, 0)); }
inline H2Type type_of(const std::string& name) {
  for (u32 n = 0; n < type_names().size(); ++n)
    if (type_names()[n] == name) return static_cast<H2Type>(n);
  return name == "PRIORITY_UPDATE" ? H2Type::priority_update : static_cast<H2Type>(number(name));
}
inline const std::map<std::string, u16>& setting_names() {
  static const std::map<std::string, u16> names{{"header_table_size", 1},      {"enable_push", 2},    {"max_concurrent_streams", 3},
                                                {"initial_window_size", 4},    {"max_frame_size", 5}, {"max_header_list_size", 6},
                                                {"enable_connect_protocol", 8}, {"no_rfc7540_priorities", 9}};
  return names;
}

inline std::string big_endian(u32 value, u32 bytes) {
  std::string out;
  for (u32 i = bytes; i-- > 0;) out += static_cast<char>(value >> 8 * i);
  return out;
}
inline std::string unhex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}
inline std::string letters(u32 n) {
  std::string out(n, 0);
  for (u32 i = 0; i < n; ++i) out[i] = static_cast<char>('a' + i % 23);
  return out;
}
inline std::string unescaped(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      out += unhex(text.substr(i + 1, 2));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}
// For messages of failures.
inline std::string shortened(const std::string& text) {
  return text.size() <= 200 ? text : text.substr(0, 200) + "... (" + std::to_string(text.size()) + " characters)";
}
inline std::string wire_bytes(const Frame& f) {
  std::string out(kH2FrameHeaderBytes, 0);
  h2_write_header(reinterpret_cast<u8*>(out.data()), f.head);
  return out + f.payload;
}

// One side of a conversation: its header tables, and a header block that is not sent whole yet.
class Speaker {
 public:
  // Bytes of one frame, or the preface.
  std::string say(const std::string& text) {
    if (text == "preface") return std::string(kH2Preface);
    std::vector<std::string> words = split_words(text);
    Frame f;
    f.head.type = type_of(words.at(0));
    size_t at = 1;
    if (words.size() > 1 && words[1].find_first_not_of("0123456789") == std::string::npos) f.head.stream = number(words[at++]);
    words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(at));
    for (u32 lies = take(words, "length="); lies != kNone32;) {
      fill(f, words);
      f.head.length = lies;
      return wire_bytes(f);
    }
    fill(f, words);
    f.head.length = static_cast<u32>(f.payload.size());
    return wire_bytes(f);
  }

  // Text of one frame of the other side.
  std::string show(const Frame& f) {
    const H2FrameHeader& h = f.head;
    std::string out = type_name(h.type);
    if (h.stream != 0) out += " " + std::to_string(h.stream);
    const bool ends = h.type == H2Type::data || h.type == H2Type::headers;
    if (ends && h.has(kH2EndStream)) out += " end";
    if ((h.type == H2Type::settings || h.type == H2Type::ping) && h.has(kH2Ack)) out += " ack";
    const auto word32 = [&](size_t from) { return from + 4 <= f.payload.size() ? wire::load_be32(data(f) + from) : 0; };
    const auto error = [&](size_t from) { return " " + std::string(h2_error_name(static_cast<H2Error>(word32(from)))); };
    switch (h.type) {
      case H2Type::data: return out + " n=" + std::to_string(h.length) + (h.length != 0 && h.length <= 64 ? " " + f.payload : "");
      case H2Type::headers:
      case H2Type::continuation: return out + show_block(f);
      case H2Type::rst_stream: return out + error(0);
      case H2Type::goaway: return out + " last=" + std::to_string(word32(0)) + error(4);
      case H2Type::window_update: return out + " +" + std::to_string(word32(0));
      case H2Type::ping: return out + " " + f.payload;
      case H2Type::settings:
        for (size_t i = 0; i + 6 <= f.payload.size(); i += 6) {
          const H2Setting s = h2_read_setting(data(f) + i);
          std::string name = "0x" + std::to_string(static_cast<u32>(s.id));
          for (const auto& [known, id] : setting_names())
            if (id == static_cast<u16>(s.id)) name = known;
          out += " " + name + "=" + std::to_string(s.value);
        }
        return out;
      default: return out + " n=" + std::to_string(h.length);
    }
  }

  std::vector<std::pair<std::string, std::string>> fields;  // of the block shown last
  HpackEncoder encoder;
  HpackDecoder decoder;
  HpackEncoder::Index index = HpackEncoder::Index::no;

  // A block of these words: "GET /", "200", ":name=value", "name=value", "block=HEX".
  std::string block(const std::vector<std::string>& words) {
    std::string out(1 << 20, 0);
    u32 n = encoder.begin_block({reinterpret_cast<u8*>(out.data()), out.size()});
    const auto field = [&](const std::string& name, const std::string& value) {
      const MutBytes room{reinterpret_cast<u8*>(out.data()) + n, out.size() - n};
      n += encoder.encode(FieldId::other, unescaped(name), unescaped(value), index, room);
    };
    for (size_t i = 0; i < words.size(); ++i) {
      const std::string& w = words[i];
      const size_t equals = w.find('=', 1);
      if (w.starts_with("block=")) return unhex(w.substr(6));
      if (equals != std::string::npos) {
        field(w.substr(0, equals), w.substr(equals + 1));
      } else if (w.size() == 3 && w.find_first_not_of("0123456789") == std::string::npos) {
        field(":status", w);
      } else {
        field(":method", w);
        field(":scheme", "http");
        field(":path", words.at(++i));
        field(":authority", "a.example");
      }
    }
    out.resize(n);
    return out;
  }

 private:
  static const u8* data(const Frame& f) { return reinterpret_cast<const u8*>(f.payload.data()); }

  // The number behind `key`, whose word is taken off; kNone32 when there is none.
  static u32 take(std::vector<std::string>& words, const std::string& key) {
    for (size_t i = 0; i < words.size(); ++i) {
      if (!words[i].starts_with(key)) continue;
      const u32 value = number(words[i].substr(key.size()));
      words.erase(words.begin() + static_cast<std::ptrdiff_t>(i));
      return value;
    }
    return kNone32;
  }
  static bool take_word(std::vector<std::string>& words, const std::string& word) {
    for (size_t i = 0; i < words.size(); ++i) {
      if (words[i] != word) continue;
      words.erase(words.begin() + static_cast<std::ptrdiff_t>(i));
      return true;
    }
    return false;
  }

  void fill(Frame& f, std::vector<std::string>& words) {
    const auto set = [&f](u8 flag, bool yes) { f.head.flags = static_cast<u8>(f.head.flags | (yes ? flag : 0)); };
    const bool ends = f.head.type == H2Type::data || f.head.type == H2Type::headers;
    if (ends) set(kH2EndStream, take_word(words, "end"));
    if (!ends) set(kH2Ack, take_word(words, "ack"));
    if (const u32 flags = take(words, "flags="); flags != kNone32) set(static_cast<u8>(flags), true);
    for (const std::string& w : words)
      if (w.starts_with("payload=")) f.payload = unhex(w.substr(8));
    if (!f.payload.empty()) return;
    const u32 pad = take(words, "pad="), on = take(words, "on="), split = take(words, "split=");
    switch (f.head.type) {
      case H2Type::headers: rest_ = block(words); [[fallthrough]];
      case H2Type::continuation: {
        const size_t n = std::min<size_t>(split, rest_.size());
        set(kH2EndHeaders, split == kNone32);
        f.payload = rest_.substr(0, n);
        rest_.erase(0, n);
        break;
      }
      case H2Type::settings:
        for (const std::string& w : words) {
          const size_t equals = w.find('=');
          const std::string name = w.substr(0, equals);
          const auto known = setting_names().find(name);
          f.payload += big_endian(known != setting_names().end() ? known->second : number(name), 2) + big_endian(number(w.substr(equals + 1)), 4);
        }
        break;
      case H2Type::window_update: f.payload = big_endian(number(words.at(0).substr(1)), 4); break;
      case H2Type::rst_stream: f.payload = big_endian(error(words.at(0)), 4); break;
      case H2Type::goaway: {
        f.payload = big_endian(take(words, "last="), 4);
        f.payload += big_endian(error(words.at(0)), 4);
        if (words.size() > 1) f.payload += words[1].substr(6);
        break;
      }
      case H2Type::priority: f.payload = big_endian(on, 4) + "\x10"; break;
      case H2Type::priority_update:
        f.payload = big_endian(take(words, "of="), 4);
        if (!words.empty()) f.payload += unescaped(words[0]);
        break;
      default:
        if (const u32 n = take(words, "n="); n != kNone32) f.payload = letters(n);
        if (!words.empty()) f.payload = unescaped(words[0]);
        break;
    }
    if (f.head.type == H2Type::headers && on != kNone32) {
      set(kH2Priority, true);
      f.payload = big_endian(on, 4) + "\x10" + f.payload;
    }
    if (pad != kNone32) {
      set(kH2Padded, true);
      f.payload = static_cast<char>(pad) + f.payload + std::string(pad, 0);
    }
  }

  static u32 error(const std::string& name) {
    for (u32 code = 0; code < kH2ErrorNames.size(); ++code)
      if (kH2ErrorNames[code] == name) return code;
    return number(name);
  }

  std::string show_block(const Frame& f) {
    came_ += f.payload;
    if (!f.head.has(kH2EndHeaders)) return " more";
    fields.clear();
    std::string scratch(HpackDecoder::scratch_bytes(static_cast<u32>(came_.size())), 0), out;
    const Bytes piece{reinterpret_cast<const u8*>(came_.data()), came_.size()};
    const HpackStatus status = decoder.decode({&piece, 1}, {reinterpret_cast<u8*>(scratch.data()), scratch.size()}, [&](const HpackField& x) {
      fields.emplace_back(x.name, x.value);
      out += x.name == ":status" ? " " + std::string(x.value) : " " + std::string(x.name) + "=" + std::string(x.value);
    });
    EXPECT_EQ(status, HpackStatus::ok);
    came_.clear();
    return out;
  }

  std::string rest_;  // of a block that we say
  std::string came_;  // of a block that the other side says
};

}  // namespace ringway::http::test
