// The memory of the recorder as a file, and what is made of it: order of time, one connection's story, sentences.

#include "control/trace/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "control/trace/document.h"
#include "dataplane/gate/segment.h"
#include "dataplane/tcp/state.h"
#include "src/base/clock.h"
#include "src/contract/health.h"
#include "src/contract/mail.h"
#include "src/contract/verdict.h"
#include "tools/ringwayctl/trace_text.h"

namespace ringway::trace {
namespace {

using contract::Event;
using contract::EventKind;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr u64 kHz = 2'000'000'000;

std::unique_ptr<RecorderMemory> make(const std::string& path = "", u32 cores = 2, u32 events = 8) {
  std::string error;
  auto memory = RecorderMemory::make(path, cores, events, kHz, error);
  EXPECT_NE(memory, nullptr) << error;
  return memory;
}

contract::Recorder& on(contract::Recorder& recorder, contract::EventRing ring) {
  recorder.attach(ring);
  recorder.record(contract::kAllEventGroups);
  return recorder;
}

class File : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_ = [] {
    std::string name = (std::filesystem::temp_directory_path() / "trace_test.XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    return name;
  }();
  std::string path_ = folder_ / "events", error_;
};

TEST_F(File, OutlivesItsWriterAndIsReadByTheNext) {
  {
    const auto memory = make(path_, 3);
    contract::Recorder recorder;
    on(recorder, memory->ring(1)).at(77);
    recorder.note<EventKind::request>({.conn = 5, .x = 9});
  }
  const auto found = RecorderMemory::open(path_, error_);
  ASSERT_NE(found, nullptr) << error_;
  EXPECT_EQ(found->cores(), 3u);
  EXPECT_EQ(found->events(), 8u);
  const auto events = collect(*found, {});
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].core, 1u);
  EXPECT_EQ(events[0].conn, 5u);
  EXPECT_EQ(events[0].x, 9u);
}

TEST_F(File, OfTheRunBeforeIsKept) {
  {
    const auto memory = make(path_);
    contract::Recorder recorder;
    on(recorder, memory->ring(0)).note<EventKind::request>({.x = 1});
  }
  const auto second = make(path_);
  EXPECT_TRUE(collect(*second, {}).empty());
  const auto first = RecorderMemory::open(path_ + ".old", error_);
  ASSERT_NE(first, nullptr) << error_;
  EXPECT_EQ(collect(*first, {}).size(), 1u);
}

TEST_F(File, IsForItsOwnerAlone) {
  const auto memory = make(path_);
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(File, ThatCannotBeMadeIsASentence) {
  EXPECT_EQ(RecorderMemory::make(folder_ / "no" / "where", 1, 8, kHz, error_), nullptr);
  EXPECT_THAT(error_, HasSubstr("no/where: "));
}

TEST_F(File, CutShortDamagedOrOfAnotherKindIsRefused) {
  make(path_).reset();
  const std::string good = [&] {
    std::ifstream in(path_, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }();
  const auto opens = [&](const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
    return RecorderMemory::open(path_, error_) != nullptr ? "" : error_.substr(path_.size());
  };
  const auto with = [&](std::size_t at, char byte) {
    std::string bytes = good;
    bytes[at] = byte;
    return bytes;
  };
  EXPECT_EQ(opens(good), "");
  EXPECT_EQ(opens(""), ": is not a recorder's file");
  EXPECT_EQ(opens("RWEVENTS"), ": is not a recorder's file");
  EXPECT_EQ(opens(with(0, 'r')), ": is not a recorder's file");
  EXPECT_THAT(opens(with(8, static_cast<char>(good[8] ^ 1))), HasSubstr("another build"));
  EXPECT_EQ(opens(good.substr(0, good.size() - 32)), ": is cut short or damaged");
  EXPECT_EQ(opens(good + std::string(32, '\0')), ": is cut short or damaged");
  for (const std::size_t rings_byte : {16u, 17u, 19u}) EXPECT_EQ(opens(with(rings_byte, 0x7f)), ": is cut short or damaged");
  for (const std::size_t events_byte : {20u, 22u, 23u}) EXPECT_EQ(opens(with(events_byte, 0x7f)), ": is cut short or damaged");
  EXPECT_EQ(opens(with(31, 0x7f)), ": is cut short or damaged") << "of the clock";
  EXPECT_EQ(RecorderMemory::open(folder_, error_), nullptr);
  EXPECT_EQ(RecorderMemory::open(folder_ / "absent", error_), nullptr);
}

TEST(Memory, RoundsUpToAPowerOfTwo) { EXPECT_EQ(make("", 1, 1000)->events(), 1024u); }

TEST(Memory, AnchorSaysTheTimeOnTheWall) {
  const auto memory = make();
  memory->set_anchor({.tsc = 10 * kHz, .unix_ns = 1'700'000'000'000'000'000});
  EXPECT_EQ(memory->unix_ns(10 * kHz), 1'700'000'000'000'000'000u);
  EXPECT_EQ(memory->unix_ns(10 * kHz + kHz / 1000), 1'700'000'000'001'000'000u);
  EXPECT_EQ(memory->unix_ns(7 * kHz), 1'699'999'997'000'000'000u);
}

TEST(Collect, IsInOrderOfTimeAcrossCoresAndOfWritingWithinOne) {
  const auto memory = make();
  contract::Recorder zero, one, control;
  on(zero, memory->ring(0));
  on(one, memory->ring(1));
  on(control, memory->ring(2));
  for (u32 i = 0; i < 20; ++i) {  // laps
    zero.at(100 + i / 2 * 10);
    zero.note<EventKind::request>({.x = i});
  }
  one.at(185);
  one.note<EventKind::request>({.x = 100});
  control.at(175);
  control.note<EventKind::plan_published>({.x = 200});
  std::vector<u32> seen;
  for (const Traced& e : collect(*memory, {})) seen.push_back(e.x);
  EXPECT_THAT(seen, ElementsAre(12, 13, 14, 15, 200, 16, 17, 100, 18, 19));
  seen.clear();
  for (const Traced& e : collect(*memory, {.core = {}, .conn = {}, .last = 3})) seen.push_back(e.x);
  EXPECT_THAT(seen, ElementsAre(100, 18, 19));
  EXPECT_EQ(collect(*memory, {.core = 2, .conn = {}}).size(), 1u);
}

TEST(Collect, NumbersMayWrap) {
  std::vector<contract::EventRing::Word> words(8 * contract::EventRing::kWords);
  contract::EventRing ring(words);
  for (u32 number = 0xffff'fffa; number != 4; ++number)
    ring.write(number, contract::EventRing::head_of(EventKind::request, 0, 0), 1, 0, number);
  std::vector<u32> seen;
  for (const Event& e : collect(ring)) seen.push_back(e.x);
  EXPECT_THAT(seen, ElementsAre(0xffff'fffc, 0xffff'fffd, 0xffff'fffe, 0xffff'ffff, 0, 1, 2, 3));
}

// Client 1 asks twice: over a new connection to the endpoint, 2, then over the same one; client 3 uses it in between.
TEST(Around, AConnectionIsWhatItSaysItsExchangesAndWhoServesThemMeanwhile) {
  std::vector<Event> events;
  const auto add = [&](EventKind kind, u32 conn, u32 exchange, u16 half = 0, u32 y = 0) {
    Event e;
    e.kind = kind;
    e.conn = conn;
    e.exchange = exchange;
    e.half = half;
    e.y = y;
    e.x = static_cast<u32>(events.size());
    events.push_back(e);
  };
  add(EventKind::accepted, 1, 0);          // 0
  add(EventKind::accepted, 3, 0);          // 1
  add(EventKind::request, 1, 0);           // 2
  add(EventKind::routed, 1, 7);            // 3
  add(EventKind::connecting, 2, 0);        // 4
  add(EventKind::picked, 1, 7, 0, 2);      // 5
  add(EventKind::segment_in, 2, 0);        // 6
  add(EventKind::request_end, 1, 7);       // 7
  add(EventKind::routed, 3, 8);            // 8
  add(EventKind::picked, 3, 8, 1, 2);      // 9
  add(EventKind::segment_out, 4, 0);       // 10
  add(EventKind::request_end, 3, 8);       // 11
  const auto about = [&](u32 conn) {
    std::vector<u32> seen;
    for (const Event& e : around(events, conn)) seen.push_back(e.x);
    return seen;
  };
  EXPECT_THAT(about(1), ElementsAre(0, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(about(3), ElementsAre(1, 8, 9, 11));
  EXPECT_THAT(about(2), ElementsAre(3, 4, 5, 6, 7, 8, 9, 11));
  EXPECT_THAT(about(4), ElementsAre(10));
  EXPECT_THAT(about(5), ElementsAre());
}

// One HTTP/2 connection to an endpoint, 2, carries exchanges of two clients at once.
TEST(Around, AConnectionThatServesManyIsHeardUntilTheLastOfOursEnds) {
  std::vector<Event> events;
  const auto add = [&](EventKind kind, u32 conn, u32 exchange, u32 y = 0) {
    Event e;
    e.kind = kind;
    e.conn = conn;
    e.exchange = exchange;
    e.half = 1;
    e.y = y;
    e.x = static_cast<u32>(events.size());
    events.push_back(e);
  };
  add(EventKind::segment_in, 2, 0);     // 0
  add(EventKind::picked, 1, 7, 2);      // 1
  add(EventKind::picked, 3, 8, 2);      // 2
  add(EventKind::picked, 1, 9, 2);      // 3
  add(EventKind::request_end, 1, 7);    // 4
  add(EventKind::segment_in, 2, 0);     // 5
  add(EventKind::request_end, 1, 9);    // 6
  add(EventKind::segment_in, 2, 0);     // 7
  std::vector<u32> seen;
  for (const Event& e : around(events, 1)) seen.push_back(e.x);
  EXPECT_THAT(seen, ElementsAre(1, 3, 4, 5, 6));
}

TEST(Groups, HaveNames) {
  EXPECT_EQ(groups_of("all"), contract::kAllEventGroups);
  EXPECT_EQ(groups_of(""), 0u);
  const u32 two = bit_of(contract::EventGroup::requests) | bit_of(contract::EventGroup::timers);
  EXPECT_EQ(groups_of("requests,timers"), two);
  EXPECT_EQ(names_of(two), "timers,requests");
  EXPECT_EQ(names_of(0), "off");
  EXPECT_EQ(groups_of("requests,everything"), std::nullopt);
  EXPECT_EQ(groups_of(names_of(contract::kAllEventGroups)), contract::kAllEventGroups);
}

TEST(Document, IsReadAsItWasWritten) {
  Traced e;
  e.kind = EventKind::picked;
  e.unix_ns = 1'700'000'000'123'456'789;
  e.core = 1;
  e.number = 0xffff'ffff;
  e.code = 255;
  e.half = 65'535;
  e.conn = 2;
  e.exchange = 3;
  e.x = 4;
  e.y = 0x8000'0000;
  const Json json = document_of({e}, 2, {.services = {{4, "auth"}}, .endpoints = {{9, "auth/1"}}});
  const auto back = read_document(Json::parse(json.dump()));
  ASSERT_TRUE(back.has_value());
  ASSERT_EQ(back->events.size(), 1u);
  const Traced& got = back->events[0];
  EXPECT_EQ(std::tie(got.kind, got.unix_ns, got.core, got.number, got.code, got.half, got.conn, got.exchange, got.x, got.y),
            std::tie(e.kind, e.unix_ns, e.core, e.number, e.code, e.half, e.conn, e.exchange, e.x, e.y));
  EXPECT_EQ(back->cores, 2u);
  EXPECT_EQ(back->names.services.at(4), "auth");
  EXPECT_EQ(back->names.endpoints.at(9), "auth/1");
  EXPECT_EQ(read_document(Json::parse(R"({"events": 3})")), std::nullopt);
  EXPECT_EQ(read_document(Json::parse(R"({"cores": 1, "services": {}, "endpoints": {}, "events": [{"event": "x"}]})")), std::nullopt);
}

struct Said {
  EventKind kind;
  contract::EventFields fields;
  const char* text;
};

const Said kSaid[] = {
    {EventKind::verdict, {.code = static_cast<u8>(contract::Verdict::tcp_duplicate)}, "tcp_duplicate"},
    {EventKind::segment_in, {.code = gate::kSyn | gate::kAck, .half = 3, .x = 1, .y = 2}, "SYN|ACK 3 bytes, seq 1 ack 2"},
    {EventKind::segment_out, {}, "no flag 0 bytes, seq 0 ack 0"},
    {EventKind::accepted, {.half = 4000, .x = 0x0a00'0001}, "from 10.0.0.1 port 4000"},
    {EventKind::accepted6, {.half = 4000, .x = 0x1, .y = 0xfe80'0000}, "from ...:fe80:0:0:1 port 4000"},
    {EventKind::connecting, {.half = 80, .x = 0x0a00'0002}, "to 10.0.0.2 port 80"},
    {EventKind::connecting6, {.half = 80, .x = 2, .y = 0}, "to ...:0:0:0:2 port 80"},
    {EventKind::state, {.code = static_cast<u8>(tcp::State::fin_wait_2), .half = static_cast<u16>(tcp::State::fin_wait_1)},
     "FIN-WAIT-1 to FIN-WAIT-2"},
    {EventKind::closed,
     {.code = static_cast<u8>(tcp::CloseReason::timed_out), .half = static_cast<u16>(tcp::State::established), .x = 5, .y = 6},
     "timed out in ESTABLISHED, 5 bytes in, 6 bytes out"},
    {EventKind::timer, {.code = static_cast<u8>(tcp::TimerMode::probe), .half = 1, .x = 100},
     "tail probe after 1 retries, 100 bytes in flight"},
    {EventKind::sent_again, {.code = gate::kFin, .half = 9, .x = 1, .y = 2}, "FIN 9 bytes, seq 1 ack 2"},
    {EventKind::request, {.x = 80, .y = 2}, "head of 80 bytes, request 2 of its connection"},
    {EventKind::routed, {.x = 1}, "to service auth-service"},
    {EventKind::routed, {.x = 1, .y = 5}, "to service auth-service, stream 5"},
    {EventKind::picked, {.code = 1, .half = 1, .x = 7, .y = 12}, "endpoint in slot 7, try 1, on pooled connection 12"},
    {EventKind::response, {.half = 200, .x = 3}, "status 200 from endpoint auth-service/10.0.0.11:80"},
    {EventKind::answered, {.half = 404}, "status 404 by the gateway itself"},
    {EventKind::request_end, {.half = 200, .x = 1234}, "status 200 after 1234 us"},
    {EventKind::plan_published, {.x = 3}, "plan 3"},
    {EventKind::plan_adopted, {.x = 3}, "plan 3"},
    {EventKind::mail_in, {.code = static_cast<u8>(contract::MailKind::probe)}, "probe"},
    {EventKind::mail_out, {.code = static_cast<u8>(contract::MailKind::endpoint_event), .half = static_cast<u16>(contract::Outcome::bad_status), .x = 3},
     "endpoint_event: bad_status, endpoint auth-service/10.0.0.11:80"},
    {EventKind::health, {.code = contract::kHealthFailing | contract::kHealthDraining, .x = 3},
     "endpoint auth-service/10.0.0.11:80: failing,draining"},
};

TEST(Text, EveryEventIsASentence) {
  const Names names{.services = {{1, "auth-service"}}, .endpoints = {{3, "auth-service/10.0.0.11:80"}}};
  std::vector<bool> said(contract::kEventKinds);
  for (const Said& s : kSaid) {
    Event e;
    static_cast<contract::EventFields&>(e) = s.fields;
    e.kind = s.kind;
    EXPECT_EQ(ctl::sentence(e, names), s.text);
    said[static_cast<u32>(s.kind)] = true;
  }
  for (u32 k = 1; k < contract::kEventKinds; ++k) EXPECT_TRUE(said[k]) << contract::kEventTexts[k].name;
}

TEST(Text, NumbersBeyondTheNamesAreNumbers) {
  Event e;
  e.kind = EventKind::state;
  e.code = 200;
  e.half = 65'535;
  EXPECT_EQ(ctl::sentence(e, {}), "65535 to 200");
}

TEST(Text, IsALineForEachEvent) {
  Document document;
  document.cores = 1;
  Traced e;
  e.kind = EventKind::plan_adopted;
  e.unix_ns = 1'700'000'000'123'456'789;
  e.x = 4;
  document.events.push_back(e);
  e.kind = EventKind::routed;
  e.core = 1;
  e.conn = 5;
  e.exchange = 6;
  document.events.push_back(e);
  EXPECT_EQ(ctl::trace_text(document),
            "TIME             CORE     CONN  EXCHANGE  EVENT         WHAT\n"
            "22:13:20.123456  0           -         -  plan_adopted  plan 4\n"
            "22:13:20.123456  control     5         6  routed        to service in slot 4\n");
}

}  // namespace
}  // namespace ringway::trace
