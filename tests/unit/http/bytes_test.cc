// Byte classes and known field names: the vector scans equal the plain ones at every place and every stop.

#include "dataplane/http/bytes.h"

#include "dataplane/http/fields.h"
#include "tests/unit/http/support.h"

namespace ringway::http::test {
namespace {

template <bool (*In)(u8)>
void expect_scans_agree(u8 inside) {
  for (u32 c = 0; c < 256; ++c) {
    for (const std::size_t size : {1u, 5u, 31u, 32u, 33u, 64u, 77u}) {
      for (std::size_t stop = 0; stop < size; ++stop) {
        std::string text(size, static_cast<char>(inside));
        text[stop] = static_cast<char>(c);
        const Exact exact(text);
        const u8* begin = exact.bytes().data();
        const u8* end = begin + size;
        for (const std::size_t from : {std::size_t{0}, stop / 2, stop}) {
          ASSERT_EQ(scan<In>(begin + from, end, begin), scan_portable<In>(begin + from, end, begin))
              << "byte " << c << " at " << stop << " of " << size;
        }
      }
    }
  }
}

TEST(Scan, VectorAndPortableStopAtTheSameByte) {
  expect_scans_agree<is_token_byte>('a');
  expect_scans_agree<is_value_byte>('a');
  expect_scans_agree<is_target_byte>('a');
  expect_scans_agree<is_host_byte>('a');
}

TEST(FieldNames, EveryKnownNameIsFoundInAnyCaseAndNoOther) {
  for (u32 i = 1; i < static_cast<u32>(FieldId::count_); ++i) {
    const auto id = static_cast<FieldId>(i);
    std::string name(field_name(id));
    EXPECT_EQ(field_id(name), id) << name;
    for (std::size_t k = 0; k < name.size(); ++k) {
      std::string other = name;
      other[k] = static_cast<char>(std::toupper(static_cast<unsigned char>(other[k])));
      EXPECT_EQ(field_id(other), id) << other;
      other[k] = name[k] == 'q' ? 'z' : 'q';
      EXPECT_EQ(field_id(other), FieldId::other) << other;
    }
    EXPECT_EQ(field_id(name + "x"), FieldId::other);
    EXPECT_EQ(field_id(name.substr(1)), FieldId::other);
  }
  EXPECT_EQ(field_id(""), FieldId::other);
  EXPECT_EQ(field_id("x"), FieldId::other);
}

}  // namespace
}  // namespace ringway::http::test
