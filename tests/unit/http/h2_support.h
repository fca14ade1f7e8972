#pragma once
// What the tests of HTTP/2 heads share: lists of fields, what H2HeadText makes of them, header blocks decoded, and the
// HTTP/1.1 reader behind both.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/http/h2_head.h"
#include "dataplane/http/h2_write.h"
#include "dataplane/http/hpack.h"
#include "tests/unit/http/support.h"

namespace ringway::http::test {

struct TestField {
  std::string name;
  std::string value;
  bool never_indexed = false;
  friend bool operator==(const TestField&, const TestField&) = default;
};
using FieldList = std::vector<TestField>;

inline void PrintTo(const TestField& field, std::ostream* out) {
  *out << shown(field.name) << ": " << shown(field.value) << (field.never_indexed ? " (never indexed)" : "");
}

// What H2HeadText made of a list.
struct Translated {
  H2HeadStatus status = H2HeadStatus::complete;
  std::string text;
  NeverIndexed never;
  bool extended_connect = false;
  u16 code = 0;
  u64 content_length = 0;
  bool complete() const { return status == H2HeadStatus::complete; }
};

using Kind = H2HeadText::Kind;

// The buffer has exactly the bytes that the contract asks for; each field is shown from a place of its own, without a
// byte to spare.
inline Translated translate(Kind kind, const FieldList& fields, bool end, Method request_method = Method::get,
                            const H2HeadLimits& limits = {}) {
  static const auto out = std::make_unique<u8[]>(contract::kHeadBytesMax + 1024);
  H2HeadText head(kind, limits, {out.get(), contract::kHeadBytesMax + 1024});
  for (const TestField& field : fields) {
    const Exact name(field.name);
    const Exact value(field.value);
    const auto text = [](Bytes bytes) {
      return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    head(HpackField{text(name.bytes()), text(value.bytes()), field.never_indexed});
  }
  Translated result;
  result.status = head.finish(end, request_method);
  if (!result.complete()) return result;
  result.text.assign(reinterpret_cast<const char*>(head.text().data()), head.text().size());
  result.never = head.never_indexed();
  result.extended_connect = head.extended_connect();
  result.code = head.status();
  result.content_length = head.content_length();
  return result;
}

inline FieldList get_fields(FieldList more = {}) {
  FieldList fields{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

inline FieldList post_fields(FieldList more = {}) {
  FieldList fields = get_fields(std::move(more));
  fields[0].value = "POST";
  return fields;
}

inline FieldList answer_fields(FieldList more = {}, const std::string& status = "200") {
  FieldList fields{{":status", status}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

// A header block as fields; fails the test where it is none.
inline FieldList decode(HpackDecoder& decoder, Bytes block) {
  FieldList fields;
  std::vector<u8> scratch(HpackDecoder::scratch_bytes(static_cast<u32>(block.size())));
  const HpackStatus status = decoder.decode({&block, 1}, scratch, [&](const HpackField& field) {
    fields.push_back({std::string(field.name), std::string(field.value), field.never_indexed});
  });
  EXPECT_EQ(status, HpackStatus::ok);
  return fields;
}

inline FieldList names_and_values(FieldList fields) {
  for (TestField& field : fields) field.never_indexed = false;
  return fields;
}

}  // namespace ringway::http::test
