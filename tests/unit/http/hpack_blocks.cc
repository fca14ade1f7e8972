// Encodes or decodes header blocks of one connection for hpack_python_test.py.
//   hpack_blocks encode   each line: names and values, all in hex, separated by spaces; answers the block in hex
//   hpack_blocks decode   each line: a block in hex; answers names and values, in hex, or "refused"
// A line "size N" sets the table's largest size, and has no answer. An empty string is "-".

#include <cstdio>
#include <iostream>
#include <sstream>

#include "tests/support/hpack.h"

namespace ringway::http::test {
namespace {

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<u8>(c));
    text += digits;
  }
  return text.empty() ? "-" : text;
}

int run(bool encoding) {
  HpackEncoder encoder;
  HpackDecoder decoder;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string word;
    if (line.starts_with("size ")) {
      u32 bytes = 0;
      words >> word >> bytes;
      encoder.set_table_bytes_max(bytes);
      decoder.set_table_bytes_max(bytes);
      continue;
    }
    if (encoding) {
      FieldList fields;
      for (std::string value; words >> word >> value;) fields.push_back({unhex(word), unhex(value)});
      std::cout << hex(encode(encoder, fields)) << "\n";
      continue;
    }
    const Decoded seen = decode(decoder, unhex(line));
    if (!seen.ok) std::cout << "refused";
    for (const FieldText& field : seen.fields) std::cout << hex(field.name) << " " << hex(field.value) << " ";
    std::cout << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace ringway::http::test

int main(int count, char** words) {
  return ringway::http::test::run(count == 2 && std::string_view(words[1]) == "encode");
}
