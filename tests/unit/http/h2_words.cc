#include "tests/unit/http/h2_words.h"

#include <gtest/gtest.h>

#include <map>
#include <sstream>

namespace ringway::http::test {

namespace {

const std::vector<std::string>& type_names() {
  static const std::vector<std::string> names{"DATA",         "HEADERS", "PRIORITY", "RST_STREAM",    "SETTINGS",
                                              "PUSH_PROMISE", "PING",    "GOAWAY",   "WINDOW_UPDATE", "CONTINUATION"};
  return names;
}

const std::map<std::string, u16>& setting_names() {
  static const std::map<std::string, u16> names{{"header_table_size", 1},      {"enable_push", 2},    {"max_concurrent_streams", 3},
                                                {"initial_window_size", 4},    {"max_frame_size", 5}, {"max_header_list_size", 6},
                                                {"enable_connect_protocol", 8}, {"no_rfc7540_priorities", 9}};
  return names;
}

}  // namespace

std::vector<std::string> split_words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string w; in >> w;) words.push_back(w);
  return words;
}

std::string type_name(H2Type type) {
  if (type == H2Type::priority_update) return "PRIORITY_UPDATE";
  const u32 n = static_cast<u32>(type);
  return n < type_names().size() ? type_names()[n] : "0x" + std::to_string(n);
}

u32 number(const std::string& text) { return static_cast<u32>(std::stoull(text, nullptr, 0)); }

H2Type type_of(const std::string& name) {
  for (u32 n = 0; n < type_names().size(); ++n)
    if (type_names()[n] == name) return static_cast<H2Type>(n);
  return name == "PRIORITY_UPDATE" ? H2Type::priority_update : static_cast<H2Type>(number(name));
}

std::string big_endian(u32 value, u32 bytes) {
  std::string out;
  for (u32 i = bytes; i-- > 0;) out += static_cast<char>(value >> 8 * i);
  return out;
}

std::string unhex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

std::string letters(u32 n) {
  std::string out(n, 0);
  for (u32 i = 0; i < n; ++i) out[i] = static_cast<char>('a' + i % 23);
  return out;
}

std::string unescaped(const std::string& text) {
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

std::string shortened(const std::string& text) {
  return text.size() <= 200 ? text : text.substr(0, 200) + "... (" + std::to_string(text.size()) + " characters)";
}

std::string wire_bytes(const Frame& f) {
  std::string out(kH2FrameHeaderBytes, 0);
  h2_write_header(reinterpret_cast<u8*>(out.data()), f.head);
  return out + f.payload;
}

// --- Speaker

std::string Speaker::say(const std::string& text) {
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

std::string Speaker::show(const Frame& f) {
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

std::string Speaker::block(const std::vector<std::string>& words) {
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

u32 Speaker::take(std::vector<std::string>& words, const std::string& key) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (!words[i].starts_with(key)) continue;
    const u32 value = number(words[i].substr(key.size()));
    words.erase(words.begin() + static_cast<std::ptrdiff_t>(i));
    return value;
  }
  return kNone32;
}

bool Speaker::take_word(std::vector<std::string>& words, const std::string& word) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] != word) continue;
    words.erase(words.begin() + static_cast<std::ptrdiff_t>(i));
    return true;
  }
  return false;
}

void Speaker::fill(Frame& f, std::vector<std::string>& words) {
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

u32 Speaker::error(const std::string& name) {
  for (u32 code = 0; code < kH2ErrorNames.size(); ++code)
    if (kH2ErrorNames[code] == name) return code;
  return number(name);
}

std::string Speaker::show_block(const Frame& f) {
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

}  // namespace ringway::http::test
