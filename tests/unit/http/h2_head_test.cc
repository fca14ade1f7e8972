#include "tests/unit/http/h2_support.h"
namespace ringway::http::test {
namespace {
TEST(H2Head, First) {
  auto t = translate(Kind::request, get_fields({{"cookie","a=1"},{"x","y"},{"cookie","b=2"}}), true);
  EXPECT_EQ(t.text, "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\ncookie: a=1; b=2\r\n\r\n");
  t = translate(Kind::request, post_fields({{"cookie","a=1"},{"x","y"},{"cookie","b=2"}}), false);
  EXPECT_EQ(t.text, "POST / HTTP/1.1\r\nhost: a\r\nx: y\r\ncookie: a=1; b=2\r\ntransfer-encoding: chunked\r\n\r\n");
  t = translate(Kind::response, answer_fields({{"x","y"}}), true);
  EXPECT_EQ(t.text, "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 0\r\n\r\n");
  RequestHead head;
  const std::string raw = "GET /a?b HTTP/1.1\r\nHost: x\r\nFoo: bar\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n";
  ASSERT_EQ(read_request(bytes_of(raw), {}, head).status, ReadStatus::complete);
  RequestEdit edit; edit.via="gw"; edit.client_ip = wire::Ip4::of(10, 1, 2, 3);
  HpackEncoder e; HpackDecoder d; std::vector<u8> out(kH2BlockBytesMax);
  u32 n = write_request(e, head, edit, {}, out);
  ASSERT_NE(n, 0u);
  for (auto& f : decode(d, Bytes(out).first(n))) { PrintTo(f, &std::cerr); std::cerr << "\n"; }
}
}
}
