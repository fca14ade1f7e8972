// libFuzzer target: HTTP/2 heads. The input is a list of fields, shown as a request, a response and trailers in turn.
// What must hold for any fields: the text is one head and no more, each line of it was given (or is one that section
// 8 of RFC 9113 and RFC 8441 make), and what is written back as a header block means the same head again.

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/http/bytes.h"
#include "dataplane/http/h1_read.h"
#include "dataplane/http/h2_head.h"
#include "dataplane/http/h2_write.h"
#include "src/base/assert.h"

namespace ringway::http {
namespace {

using Kind = H2HeadText::Kind;

struct Given {
  std::string name;
  std::string value;
  bool never_indexed;
};

// The first byte of a field names one of this list or, above, the length of a name that follows. Bit 0x80 marks it
// as never indexed. The next byte is the length of the value.
constexpr std::string_view kNames[] = {
    ":method", ":scheme", ":path", ":authority", ":protocol", ":status", "cookie", "content-length", "host", "te",
    "transfer-encoding", "connection", "upgrade", "sec-websocket-key", "via", "x-forwarded-for", "trailer", "expect",
    "grpc-status", "x-request-id"};

std::vector<Given> fields_of(Bytes in) {
  std::vector<Given> fields;
  std::size_t at = 0;
  const auto take = [&](std::size_t count) {
    const std::size_t n = std::min(count, in.size() - at);
    std::string text(reinterpret_cast<const char*>(in.data()) + at, n);
    at += n;
    return text;
  };
  while (at + 2 <= in.size()) {
    const u8 first = in[at++];
    const u8 name = first & 0x7f;
    Given field;
    field.never_indexed = (first & 0x80) != 0;
    field.name = name < std::size(kNames) ? std::string(kNames[name]) : take(name - std::size(kNames));
    if (at == in.size()) break;
    field.value = take(in[at++]);
    fields.push_back(std::move(field));
  }
  return fields;
}

const auto kText = std::make_unique<u8[]>(contract::kHeadBytesMax + 1024);

H2HeadText translated(Kind kind, const std::vector<Given>& fields) {
  H2HeadText text(kind, {}, {kText.get(), contract::kHeadBytesMax + 1024});
  for (const Given& field : fields) text(HpackField{field.name, field.value, field.never_indexed});
  return text;
}

bool was_given(const std::vector<Given>& fields, std::string_view name, std::string_view value, bool never_indexed) {
  for (const Given& field : fields) {
    if (field.name == name && field.value == value && (!field.never_indexed || never_indexed)) return true;
  }
  return false;
}

// Lines that stand for something else than a field of their own name.
bool was_made(const std::vector<Given>& fields, std::string_view name, std::string_view value, bool extended_connect) {
  if (name == "host") return was_given(fields, ":authority", value, true);
  if (name == "transfer-encoding") return value == "chunked";
  if (name == "content-length") {
    if (value == "0") return true;
    for (const Given& field : fields) {
      if (field.name == name && field.value.substr(std::min(field.value.find_first_not_of('0'), field.value.size())) == value) return true;
    }
  }
  if (name == "cookie") {
    std::string joined;
    bool first = true;
    for (const Given& field : fields) {
      if (field.name != name) continue;
      joined += (first ? "" : "; ") + field.value;
      first = false;
    }
    while (!joined.empty() && joined.back() == ' ') joined.pop_back();
    return joined == value;
  }
  if (!extended_connect) return false;
  if (name == "connection") return value == "upgrade";
  return name == "upgrade" && was_given(fields, ":protocol", value, true);
}

void check_lines(const Head& head, const std::vector<Given>& fields, const H2HeadText& text) {
  bool host = false;
  bool framing = false;
  for (u32 i = 0; i < head.field_count; ++i) {
    const std::string_view name = head.name(i);
    RW_ASSERT(was_given(fields, name, head.value(i), text.never_indexed().has(i)) ||
              was_made(fields, name, head.value(i), text.extended_connect()));
    RW_ASSERT(name != "host" || !host || text.status() != 0);
    RW_ASSERT((name != "content-length" && name != "transfer-encoding") || !framing);
    host |= name == "host";
    framing |= name == "content-length" || name == "transfer-encoding";
  }
}

// What `write` makes of a head, as the fields that a peer reads.
template <class Write>
std::vector<Given> written_back(Write write) {
  HpackEncoder encoder;
  HpackDecoder decoder;
  std::vector<u8> out(kH2BlockBytesMax);
  const u32 n = write(encoder, MutBytes(out));
  RW_ASSERT(n != 0);
  const Bytes block = Bytes(out).first(n);
  std::vector<u8> scratch(HpackDecoder::scratch_bytes(n));
  std::vector<Given> fields;
  const HpackStatus status = decoder.decode({&block, 1}, scratch, [&](const HpackField& field) {
    fields.push_back({std::string(field.name), std::string(field.value), field.never_indexed});
  });
  RW_ASSERT(status == HpackStatus::ok);
  return fields;
}

constexpr HeadLimits kRoomy{contract::kHeadBytesMax, contract::kFieldsMax, contract::kHeadBytesMax};

void check_request(const std::vector<Given>& fields, bool end) {
  static RequestHead head;
  static RequestHead again;
  H2HeadText text = translated(Kind::request, fields);
  if (text.finish(end) != H2HeadStatus::complete) return;
  const std::vector<u8> first(text.text().begin(), text.text().end());
  const ReadResult result = read_request(first, kRoomy, head);
  RW_ASSERT(result.status != ReadStatus::incomplete);
  if (result.status != ReadStatus::complete) return;
  RW_ASSERT(head.bytes == first.size());
  RW_ASSERT(head.upgrade == text.extended_connect());
  check_lines(head, fields, text);

  RequestEdit edit;
  edit.client_ip = wire::Ip4::of(1, 2, 3, 4);
  edit.via = "fuzz";
  edit.upgrade = head.upgrade;
  edit.from_h2 = true;
  const std::vector<Given> back = written_back(
      [&](HpackEncoder& encoder, MutBytes out) { return write_request(encoder, head, edit, text.never_indexed(), out); });
  H2HeadText second = translated(Kind::request, back);
  const H2HeadStatus status = second.finish(head.framing == Framing::none && !head.upgrade);
  if (status == H2HeadStatus::too_large) return;  // by what the gateway adds
  RW_ASSERT(status == H2HeadStatus::complete);
  RW_ASSERT(read_request(second.text(), kRoomy, again).status == ReadStatus::complete);
  RW_ASSERT(again.text(again.method_text) == head.text(head.method_text));
  RW_ASSERT(again.text(again.target) == head.text(head.target));
  RW_ASSERT(again.text(again.authority) == head.text(head.authority));
  RW_ASSERT(again.upgrade == head.upgrade);
  RW_ASSERT(head.framing != Framing::length || again.content_length == head.content_length);
}

void check_response(const std::vector<Given>& fields, bool end, Method method) {
  static ResponseHead head;
  static ResponseHead again;
  H2HeadText text = translated(Kind::response, fields);
  if (text.finish(end, method) != H2HeadStatus::complete) return;
  const std::vector<u8> first(text.text().begin(), text.text().end());
  const ReadResult result = read_response(first, method, kRoomy, head);
  RW_ASSERT(result.status != ReadStatus::incomplete);
  if (result.status != ReadStatus::complete) return;
  RW_ASSERT(head.bytes == first.size() && head.status == text.status());
  RW_ASSERT(head.framing != Framing::until_close);
  check_lines(head, fields, text);

  ResponseEdit edit;
  edit.via = "fuzz";
  edit.from_h2 = true;
  const std::vector<Given> back = written_back(
      [&](HpackEncoder& encoder, MutBytes out) { return write_response(encoder, head, edit, text.never_indexed(), out); });
  H2HeadText second = translated(Kind::response, back);
  const H2HeadStatus status = second.finish(head.framing == Framing::none && head.status >= 200, method);
  if (status == H2HeadStatus::too_large) return;
  RW_ASSERT(status == H2HeadStatus::complete);
  RW_ASSERT(read_response(second.text(), method, kRoomy, again).status == ReadStatus::complete);
  RW_ASSERT(again.status == head.status && again.framing == head.framing);
}

void check_trailers(const std::vector<Given>& fields) {
  H2HeadText text = translated(Kind::trailers, fields);
  if (text.finish(true) != H2HeadStatus::complete || text.text().empty()) return;
  const std::vector<u8> first(text.text().begin(), text.text().end());
  const std::vector<Given> back =
      written_back([&](HpackEncoder& encoder, MutBytes out) { return write_trailers(encoder, first, out, text.never_indexed()); });
  RW_ASSERT(back.size() == fields.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    RW_ASSERT(back[i].name == fields[i].name && back[i].value == fields[i].value);
    RW_ASSERT(back[i].never_indexed || !fields[i].never_indexed);
  }
}

}  // namespace
}  // namespace ringway::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace ringway::http;
  if (size < 1 || size > 4096) return 0;
  const std::vector<Given> fields = fields_of({bytes + 1, size - 1});
  const bool end = (bytes[0] & 1) != 0;
  check_request(fields, end);
  check_response(fields, end, Method::get);
  check_response(fields, end, Method::head);
  check_trailers(fields);
  return 0;
}
