// HPACK beside nghttp2's: what decoding and encoding the header blocks of one connection cost, per field. The traffic
// is made here: calls between services, with what changes and what stays as it does there; blocks for decoding are
// written by nghttp2. Where RINGWAY_SHARED names the shared folder, the stories in it are measured as well.
// `coded` is the length of the blocks as a share of the names and values in them.

#include <benchmark/benchmark.h>

#include <array>
#include <memory>

#include "tests/support/hpack_stories.h"

namespace ringway::http::test {
namespace {

// Connections, each a list of blocks.
struct Traffic {
  std::vector<Story> stories;
  u64 fields = 0;
  u64 plain_bytes = 0;

  void count() {
    for (const Story& story : stories) {
      for (const StoryBlock& block : story) {
        fields += block.fields.size();
        plain_bytes += text_bytes(block.fields);
      }
    }
  }
};

std::string hex_digits(std::mt19937_64& random, u32 count) {
  std::string text;
  for (u32 i = 0; i < count; ++i) text += "0123456789abcdef"[random() % 16];
  return text;
}

FieldList request(std::mt19937_64& random) {
  static constexpr std::array kPaths{"/v1/cart/items/", "/v1/products?page=", "/v1/users/", "/api/orders/",
                                     "/healthz?n="};
  const std::string id = hex_digits(random, 32);
  FieldList fields{
      {":method", random() % 4 == 0 ? "POST" : "GET"},
      {":scheme", "http"},
      {":path", kPaths[random() % kPaths.size()] + std::to_string(random() % 100'000)},
      {":authority", random() % 2 == 0 ? "cart-service.shop.internal:8080" : "catalogue.shop.internal:8080"},
      {"accept", "application/json"},
      {"accept-encoding", "gzip, br"},
      {"user-agent", "axios/1.7.2 node/20.11.1"},
      {"content-type", "application/json; charset=utf-8"},
      {"x-request-id", id.substr(0, 8) + "-" + id.substr(8, 4) + "-4" + id.substr(12, 3) + "-" + id.substr(16)},
      {"traceparent", "00-" + id + "-" + hex_digits(random, 16) + "-01"},
      {"x-forwarded-for", "10.0." + std::to_string(random() % 8) + "." + std::to_string(random() % 250)},
      {"x-forwarded-proto", "https"},
      {"via", "1.1 ringway"}};
  if (random() % 2 == 0) fields.push_back({"authorization", "Bearer " + hex_digits(random, 160)});
  if (random() % 4 == 0) fields.push_back({"cookie", "session=" + hex_digits(random, 32) + "; theme=dark"});
  return fields;
}

FieldList response(std::mt19937_64& random, u32 second) {
  static constexpr std::array kStatus{"200", "200", "200", "201", "304", "404", "503"};
  char date[40];
  std::snprintf(date, sizeof date, "Tue, 05 Mar 2024 10:%02u:%02u GMT", second / 60 % 60, second % 60);
  return {{":status", kStatus[random() % kStatus.size()]},
          {"server", "nginx/1.22.1"},
          {"date", date},
          {"content-type", random() % 3 == 0 ? "text/html; charset=utf-8" : "application/json"},
          {"content-length", std::to_string(random() % 20'000)},
          {"cache-control", "private, max-age=0, must-revalidate"},
          {"etag", "W/\"" + hex_digits(random, 12) + "\""},
          {"vary", "accept-encoding, origin"},
          {"x-envoy-upstream-service-time", std::to_string(random() % 40)},
          {"strict-transport-security", "max-age=31536000; includeSubDomains"}};
}

Traffic service_calls(bool requests) {
  std::mt19937_64 random(7541);
  Traffic traffic;
  for (u32 connection = 0; connection < 4; ++connection) {
    Nghttp2Encoder encoder;
    Story& story = traffic.stories.emplace_back();
    for (u32 i = 0; i < 200; ++i) {
      StoryBlock& block = story.emplace_back();
      block.fields = requests ? request(random) : response(random, i / 20);
      block.wire = encode(encoder, block.fields);
    }
  }
  return traffic;
}

const u8* data_of(const std::string& text) { return reinterpret_cast<const u8*>(text.data()); }

void set_counters(benchmark::State& state, const Traffic& traffic, u64 coded_bytes) {
  const auto fields = static_cast<double>(traffic.fields);
  state.counters["per_field"] =
      benchmark::Counter(fields, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  state.counters["coded"] = static_cast<double>(coded_bytes) / static_cast<double>(traffic.plain_bytes);
}

void decode_ringway(benchmark::State& state, const Traffic& traffic) {
  std::vector<u8> scratch(HpackDecoder::scratch_bytes(65'536));
  HpackDecoder decoder;
  u64 coded = 0;
  for (auto _ : state) {
    coded = 0;
    u64 shown = 0;
    for (const Story& story : traffic.stories) {
      decoder.begin();
      for (const StoryBlock& block : story) {
        if (block.table_bytes_max) decoder.set_table_bytes_max(*block.table_bytes_max);
        const Bytes wire(data_of(block.wire), block.wire.size());
        coded += wire.size();
        if (decoder.decode({&wire, 1}, scratch, [&](const HpackField& field) {
              shown += field.name.size() + field.value.size();
            }) != HpackStatus::ok) {
          return state.SkipWithError("refused");
        }
      }
    }
    if (shown != traffic.plain_bytes) return state.SkipWithError("other fields");
  }
  set_counters(state, traffic, coded);
}

void decode_nghttp2(benchmark::State& state, const Traffic& traffic) {
  u64 coded = 0;
  for (auto _ : state) {
    coded = 0;
    u64 shown = 0;
    for (const Story& story : traffic.stories) {
      Nghttp2Decoder decoder;
      for (const StoryBlock& block : story) {
        if (block.table_bytes_max) decoder.set_table_bytes_max(*block.table_bytes_max);
        coded += block.wire.size();
        if (!decoder.decode({data_of(block.wire), block.wire.size()},
                            [&](const nghttp2_nv& field) { shown += field.namelen + field.valuelen; })) {
          return state.SkipWithError("refused");
        }
      }
    }
    if (shown != traffic.plain_bytes) return state.SkipWithError("other fields");
  }
  set_counters(state, traffic, coded);
}

// The gateway knows which fields these are when it writes them: it has looked at every one.
void encode_ringway(benchmark::State& state, const Traffic& traffic) {
  std::vector<std::vector<FieldId>> ids;
  for (const Story& story : traffic.stories) {
    for (const StoryBlock& block : story) {
      std::vector<FieldId>& of_block = ids.emplace_back();
      for (const FieldText& field : block.fields) of_block.push_back(field_id(field.name));
    }
  }
  std::vector<u8> out(65'536);
  HpackEncoder encoder;
  u64 coded = 0;
  for (auto _ : state) {
    coded = 0;
    auto of_block = ids.begin();
    for (const Story& story : traffic.stories) {
      encoder.begin();
      for (const StoryBlock& block : story) {
        u32 at = encoder.begin_block(out);
        for (std::size_t i = 0; i < block.fields.size(); ++i) {
          const FieldText& field = block.fields[i];
          at += encoder.encode((*of_block)[i], field.name, field.value, HpackEncoder::Index::yes,
                               MutBytes(out).subspan(at));
        }
        coded += at;
        ++of_block;
        benchmark::ClobberMemory();
      }
    }
  }
  set_counters(state, traffic, coded);
}

void encode_nghttp2(benchmark::State& state, const Traffic& traffic) {
  std::vector<std::vector<nghttp2_nv>> blocks;
  for (const Story& story : traffic.stories) {
    for (const StoryBlock& block : story) blocks.push_back(nghttp2_fields(block.fields));
  }
  std::vector<u8> out(65'536);
  u64 coded = 0;
  for (auto _ : state) {
    coded = 0;
    auto fields = blocks.begin();
    for (const Story& story : traffic.stories) {
      Nghttp2Encoder encoder;
      for (std::size_t i = 0; i < story.size(); ++i) coded += encoder.encode(*fields++, out);
      benchmark::ClobberMemory();
    }
  }
  set_counters(state, traffic, coded);
}

void add(const std::string& name, Traffic traffic) {
  const auto kept = std::make_shared<Traffic>(std::move(traffic));
  kept->count();
  const auto beside = [&](const char* what, auto ours, auto theirs) {
    benchmark::RegisterBenchmark((what + name + "/ringway").c_str(), [=](benchmark::State& s) { ours(s, *kept); });
    benchmark::RegisterBenchmark((what + name + "/nghttp2").c_str(), [=](benchmark::State& s) { theirs(s, *kept); });
  };
  if (!kept->stories[0][0].wire.empty()) beside("decode/", decode_ringway, decode_nghttp2);
  beside("encode/", encode_ringway, encode_nghttp2);
}

}  // namespace
}  // namespace ringway::http::test

int main(int count, char** words) {
  using namespace ringway::http::test;
  benchmark::Initialize(&count, words);
  add("requests", service_calls(true));
  add("responses", service_calls(false));
  const StoryArchive archive;
  if (archive.readable()) {
    for (const char* set : {"go-hpack", "haskell-http2-linear-huffman", "nghttp2-change-table-size"}) {
      add(set, {archive.stories(set)});
    }
  }
  benchmark::RunSpecifiedBenchmarks();
}
