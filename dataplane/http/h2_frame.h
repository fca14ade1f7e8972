#pragma once
// HTTP/2 frames as bytes: types, flags, error codes, settings, headers read and written, and the table that says what
// is wrong with a frame before anyone looks at streams.
//
// Pure: integers and spans, no mbuf, no connection, any thread. RFC 9113 sections 4.1, 4.2, 6 and 7; RFC 9218 7.1
// (PRIORITY_UPDATE), RFC 8441 section 3 and RFC 9218 section 2.1 (settings).

#include <array>
#include <string_view>

#include "src/base/types.h"
#include "src/wire/addr.h"

namespace ringway::http {

inline constexpr u32 kH2FrameHeaderBytes = 9;
inline constexpr u32 kH2FrameBytesLeast = 16'384;      // what every endpoint takes; the initial SETTINGS_MAX_FRAME_SIZE
inline constexpr u32 kH2FrameBytesMost = 16'777'215;
inline constexpr u32 kH2WindowInitial = 65'535;        // of a connection, and of streams before any SETTINGS (6.9.2)
inline constexpr u32 kH2WindowMost = 0x7fff'ffff;
inline constexpr u32 kH2StreamIdMost = 0x7fff'ffff;
inline constexpr u32 kH2SettingBytes = 6;
inline constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";  // section 3.4

// Section 7. A value that is not listed here is as good as internal_error.
enum class H2Error : u32 {
  no_error = 0x0,
  protocol_error = 0x1,
  internal_error = 0x2,
  flow_control_error = 0x3,
  settings_timeout = 0x4,
  stream_closed = 0x5,
  frame_size_error = 0x6,
  refused_stream = 0x7,
  cancel = 0x8,
  compression_error = 0x9,
  connect_error = 0xa,
  enhance_your_calm = 0xb,
  inadequate_security = 0xc,
  http_1_1_required = 0xd,
};

inline constexpr std::array<std::string_view, 14> kH2ErrorNames{
    "NO_ERROR",       "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",  "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL",           "COMPRESSION_ERROR",
    "CONNECT_ERROR",  "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"};

// As the RFC writes it; "unknown" for a code that section 7 does not list.
constexpr std::string_view h2_error_name(H2Error e) {
  const u32 code = static_cast<u32>(e);
  return code < kH2ErrorNames.size() ? kH2ErrorNames[code] : std::string_view("unknown");
}

enum class H2Type : u8 {
  data = 0x0, headers = 0x1, priority = 0x2, rst_stream = 0x3, settings = 0x4, push_promise = 0x5, ping = 0x6,
  goaway = 0x7, window_update = 0x8, continuation = 0x9,
  priority_update = 0x10,
};

// Flags.
inline constexpr u8 kH2EndStream = 0x01;   // DATA, HEADERS
inline constexpr u8 kH2Ack = 0x01;         // SETTINGS, PING
inline constexpr u8 kH2EndHeaders = 0x04;  // HEADERS, CONTINUATION
inline constexpr u8 kH2Padded = 0x08;      // DATA, HEADERS
inline constexpr u8 kH2Priority = 0x20;    // HEADERS

// Section 4.1. The reserved bit in front of the stream identifier is ignored, and sent as 0.
struct H2FrameHeader {
  u32 length = 0;  // of the payload
  H2Type type = H2Type::data;
  u8 flags = 0;
  u32 stream = 0;
  bool has(u8 flag) const { return (flags & flag) != 0; }
  friend bool operator==(const H2FrameHeader&, const H2FrameHeader&) = default;
};

inline H2FrameHeader h2_read_header(const u8* p) {
  return {wire::load_be32(p) >> 8, static_cast<H2Type>(p[3]), p[4], wire::load_be32(p + 5) & kH2StreamIdMost};
}
inline void h2_write_header(u8* p, const H2FrameHeader& h) {
  wire::store_be32(p, h.length << 8 | static_cast<u32>(h.type));
  p[4] = h.flags;
  wire::store_be32(p + 5, h.stream);
}

// What a frame is about, by its stream identifier.
enum class H2Scope : u8 { stream, connection, either };

struct H2FrameRule {
  H2Type type;
  H2Scope scope;         // anything else is a connection error PROTOCOL_ERROR
  u16 least, most;       // octets of payload, 0 for `most`: up to what SETTINGS_MAX_FRAME_SIZE allows
  bool sixes;            // the payload is a multiple of 6
  bool size_ends_stream;  // a wrong length is a stream error, else a connection error; FRAME_SIZE_ERROR both
};

// Section 6, one row a paragraph. Padding and the priority fields of HEADERS have lengths of their own (h2_layout).
inline constexpr std::array<H2FrameRule, 11> kH2FrameRules{{
    {H2Type::data,            H2Scope::stream,     0, 0, false, false},  // 6.1
    {H2Type::headers,         H2Scope::stream,     0, 0, false, false},  // 6.2
    {H2Type::priority,        H2Scope::stream,     5, 5, false, true},   // 6.3
    {H2Type::rst_stream,      H2Scope::stream,     4, 4, false, false},  // 6.4
    {H2Type::settings,        H2Scope::connection, 0, 0, true,  false},  // 6.5
    {H2Type::push_promise,    H2Scope::stream,     4, 0, false, false},  // 6.6
    {H2Type::ping,            H2Scope::connection, 8, 8, false, false},  // 6.7
    {H2Type::goaway,          H2Scope::connection, 8, 0, false, false},  // 6.8
    {H2Type::window_update,   H2Scope::either,     4, 4, false, false},  // 6.9
    {H2Type::continuation,    H2Scope::stream,     0, 0, false, false},  // 6.10
    {H2Type::priority_update, H2Scope::connection, 4, 0, false, false},  // RFC 9218 7.1
}};

// Null for a type that nobody here knows: its frames are discarded (sections 4.1, 5.5).
constexpr const H2FrameRule* h2_rule(H2Type type) {
  if (type <= H2Type::continuation) return &kH2FrameRules[static_cast<u32>(type)];
  return type == H2Type::priority_update ? &kH2FrameRules.back() : nullptr;
}

struct H2Fault {
  H2Error error = H2Error::no_error;
  bool ends_stream = false;  // a stream error; else the connection's
  friend bool operator==(const H2Fault&, const H2Fault&) = default;
};

// What a frame's header says against it; no_error when nothing does. `frame_bytes_max` is our SETTINGS_MAX_FRAME_SIZE.
constexpr H2Fault h2_fault(const H2FrameHeader& h, u32 frame_bytes_max) {
  if (h.length > frame_bytes_max) return {H2Error::frame_size_error, false};
  const H2FrameRule* rule = h2_rule(h.type);
  if (rule == nullptr) return {};
  if (rule->scope != H2Scope::either && (rule->scope == H2Scope::stream) != (h.stream != 0)) {
    return {H2Error::protocol_error, false};
  }
  const bool acknowledges = h.type == H2Type::settings && (h.flags & kH2Ack) != 0;
  const bool fits = h.length >= rule->least && (rule->most == 0 || h.length <= rule->most) &&
                    (!rule->sixes || h.length % kH2SettingBytes == 0) && !(acknowledges && h.length != 0);
  return fits ? H2Fault{} : H2Fault{H2Error::frame_size_error, rule->size_ends_stream};
}

// Where the payload proper of a DATA or HEADERS frame lies: `before` octets of pad length and priority fields, then
// `bytes`, then `padding`.
struct H2Layout {
  u32 before = 0, bytes = 0, padding = 0;
  H2Error error = H2Error::no_error;  // a connection error (6.1, 6.2; too short for its fields: 4.2)
};

// `pad_length`: the first octet of the payload, looked at only when the frame is padded and has one.
constexpr H2Layout h2_layout(const H2FrameHeader& h, u8 pad_length) {
  const bool padded = (h.flags & kH2Padded) != 0;
  const bool priority = h.type == H2Type::headers && (h.flags & kH2Priority) != 0;
  const u32 before = (padded ? 1u : 0u) + (priority ? 5u : 0u);
  if (h.length < before) return {.error = H2Error::frame_size_error};
  const u32 padding = padded ? pad_length : 0;
  if (padding > h.length - before) return {.error = H2Error::protocol_error};
  return {before, h.length - before - padding, padding, H2Error::no_error};
}

// --- SETTINGS

enum class H2SettingId : u16 {
  header_table_size = 0x1,
  enable_push = 0x2,
  max_concurrent_streams = 0x3,
  initial_window_size = 0x4,
  max_frame_size = 0x5,
  max_header_list_size = 0x6,
  enable_connect_protocol = 0x8,   // RFC 8441 section 3
  no_rfc7540_priorities = 0x9,     // RFC 9218 section 2.1
};

struct H2Setting {
  H2SettingId id = H2SettingId::header_table_size;
  u32 value = 0;
};

inline H2Setting h2_read_setting(const u8* p) {
  return {static_cast<H2SettingId>(wire::load_be16(p)), wire::load_be32(p + 2)};
}
inline void h2_write_setting(u8* p, H2Setting s) {
  wire::store_be16(p, static_cast<u16>(s.id));
  wire::store_be32(p + 2, s.value);
}

// Section 6.5.2: the connection error that a value is, no_error for a good one and for an unknown setting.
// `from_server`: it came from a server, which may not say that it takes pushes.
constexpr H2Error h2_setting_fault(H2Setting s, bool from_server) {
  switch (s.id) {
    case H2SettingId::enable_push:
      return s.value <= (from_server ? 0u : 1u) ? H2Error::no_error : H2Error::protocol_error;
    case H2SettingId::initial_window_size:
      return s.value <= kH2WindowMost ? H2Error::no_error : H2Error::flow_control_error;
    case H2SettingId::max_frame_size:
      return s.value < kH2FrameBytesLeast || s.value > kH2FrameBytesMost ? H2Error::protocol_error : H2Error::no_error;
    case H2SettingId::enable_connect_protocol:
    case H2SettingId::no_rfc7540_priorities:
      return s.value <= 1 ? H2Error::no_error : H2Error::protocol_error;
    case H2SettingId::header_table_size:
    case H2SettingId::max_concurrent_streams:
    case H2SettingId::max_header_list_size: return H2Error::no_error;
  }
  return H2Error::no_error;
}

}  // namespace ringway::http
