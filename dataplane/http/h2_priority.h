#pragma once
// The Priority field and the value of a PRIORITY_UPDATE frame: urgency and incremental (RFC 9218 section 4).
//
// The value is a Dictionary of Structured Fields (RFC 8941 section 3.2). One that breaks that syntax says nothing, as
// if it were not there; a parameter of the wrong type or out of range, and every unknown one, is skipped.
// Pure: a span in, a value out; any thread.

#include <string_view>

#include "dataplane/http/bytes.h"
#include "src/base/types.h"

namespace ringway::http {

inline constexpr u8 kUrgencies = 8;  // 0 is served first

struct H2Urgency {
  u8 urgency = 3;
  bool incremental = false;
  bool said = false;  // the value was well formed
  friend bool operator==(const H2Urgency&, const H2Urgency&) = default;
};

// RFC 8941 section 4.2, as far as skipping a value and knowing its type asks for.
class StructuredText {
 public:
  enum class Kind : u8 { none, integer, boolean, other };
  struct Value {
    Kind kind = Kind::none;  // none: the syntax is broken
    i64 number = 0;          // of an integer; 1 and 0 for a boolean
  };

  explicit StructuredText(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  char next() const { return rest_.empty() ? '\0' : rest_.front(); }
  bool take(char c) {
    if (next() != c || rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void skip(bool (*in)(u8)) {
    while (!rest_.empty() && in(static_cast<u8>(rest_.front()))) rest_.remove_prefix(1);
  }
  void skip_white() { skip(is_white); }
  void skip_spaces() { skip([](u8 c) { return c == ' '; }); }

  // 4.2.3.3; empty when there is none.
  std::string_view key() {
    const std::string_view from = rest_;
    if (!(is_lower(static_cast<u8>(next())) || next() == '*')) return {};
    skip([](u8 c) { return is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == '*'; });
    return from.substr(0, from.size() - rest_.size());
  }

  // An item or inner list with its parameters, 4.2.1.1.
  Value value() {
    const Value v = next() == '(' ? inner_list() : bare_item();
    return v.kind != Kind::none && parameters() ? v : Value{};
  }
  bool parameters() {
    while (take(';')) {
      skip_spaces();
      if (key().empty() || (take('=') && bare_item().kind == Kind::none)) return false;
    }
    return true;
  }

 private:
  static constexpr bool is_lower(u8 c) { return c >= 'a' && c <= 'z'; }
  static constexpr bool is_alpha(u8 c) { return is_lower(lower(c)); }
  static constexpr bool is_base64(u8 c) { return is_alpha(c) || is_digit(c) || c == '+' || c == '/' || c == '='; }

  Value inner_list() {
    take('(');
    while (!done()) {
      skip_spaces();
      if (take(')')) return {Kind::other, 0};
      if (bare_item().kind == Kind::none || !parameters()) return {};
      if (next() != ' ' && next() != ')') return {};
    }
    return {};
  }

  Value bare_item() {
    const u8 c = static_cast<u8>(next());
    if (c == '-' || is_digit(c)) return number();
    if (c == '"') return string();
    if (c == '*' || is_alpha(c)) {
      skip([](u8 b) { return is_token_byte(b) || b == ':' || b == '/'; });
      return {Kind::other, 0};
    }
    if (take(':')) {
      skip(is_base64);
      return take(':') ? Value{Kind::other, 0} : Value{};
    }
    if (!take('?')) return {};
    if (take('1')) return {Kind::boolean, 1};
    return take('0') ? Value{Kind::boolean, 0} : Value{};
  }

  // 4.2.4: at most 15 digits, or 12 with at most 3 behind the point.
  Value number() {
    const bool negative = take('-');
    i64 whole = 0;
    u32 digits = 0;
    for (; is_digit(static_cast<u8>(next())); rest_.remove_prefix(1)) {
      if (++digits > 15) return {};
      whole = whole * 10 + (next() - '0');
    }
    if (digits == 0) return {};
    if (!take('.')) return {Kind::integer, negative ? -whole : whole};
    u32 behind = 0;
    for (; is_digit(static_cast<u8>(next())); rest_.remove_prefix(1)) ++behind;
    return digits <= 12 && behind >= 1 && behind <= 3 ? Value{Kind::other, 0} : Value{};
  }

  Value string() {
    take('"');
    while (!done()) {
      if (take('"')) return {Kind::other, 0};
      if (take('\\')) {
        if (!take('"') && !take('\\')) return {};
        continue;
      }
      const u8 c = static_cast<u8>(next());
      if (c < 0x20 || c > 0x7e) return {};
      rest_.remove_prefix(1);
    }
    return {};
  }

  std::string_view rest_;
};

inline H2Urgency h2_urgency(std::string_view field) {
  StructuredText text(field);
  H2Urgency out{.said = true};
  text.skip_spaces();
  while (!text.done()) {
    const std::string_view key = text.key();
    if (key.empty()) return {};
    StructuredText::Value v{StructuredText::Kind::boolean, 1};
    if (text.take('=')) {
      v = text.value();
    } else if (!text.parameters()) {
      return {};
    }
    if (v.kind == StructuredText::Kind::none) return {};
    // The last of two equal keys counts, also where it says nothing (RFC 8941 3.2).
    const bool urgency = v.kind == StructuredText::Kind::integer && v.number >= 0 && v.number < kUrgencies;
    if (key == "u") out.urgency = urgency ? static_cast<u8>(v.number) : H2Urgency{}.urgency;
    if (key == "i") out.incremental = v.kind == StructuredText::Kind::boolean && v.number == 1;
    text.skip_white();
    if (text.done()) return out;
    if (!text.take(',')) return {};
    text.skip_white();
    if (text.done()) return {};  // a comma at the end
  }
  return out;
}

}  // namespace ringway::http
