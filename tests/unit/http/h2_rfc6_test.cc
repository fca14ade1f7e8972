// RFC 9113 section 6, frame by frame, and section 7; PRIORITY_UPDATE of RFC 9218 7.1. Flow control proper is in
// h2_flow_test.cc.

#include "tests/unit/http/h2_talk.h"

namespace ringway::http::test {
namespace {

// --- 6.1 DATA

TEST(H2, Rfc9113_6_1_DataOnStreamZeroIsConnectionError) {
  Talk t;
  t.begun().in("DATA x").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_1_PaddingIsTakenOff) {
  Talk t;
  t.begun().open().in("DATA 1 pad=0 he", "DATA 1 pad=255 llo", "DATA 1 end pad=3 !").event("data 1 end");
  EXPECT_EQ(t.take(1), "hello!");
  t.quiet().audit();
}
TEST(H2, Rfc9113_6_1_PaddingAsLongAsThePayloadIsConnectionError) {
  Talk t;
  t.begun().open().in("DATA 1 flags=8 payload=04aaaaaa").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_1_PaddingAloneIsTaken) {
  Talk t;
  t.begun().open().in("DATA 1 flags=8 payload=03aaaaaa", "DATA 1 end flags=8 payload=00").event("data 1 end");
  EXPECT_EQ(t.take(1), "");
  t.quiet().audit();
}
TEST(H2, Rfc9113_6_1_PayloadIsToldOfBeforeItsFrameIsComplete) {
  Talk t;
  t.begun().open();
  const std::string frame = t.speaker.say("DATA 1 end n=1000");
  t.arrive(frame.substr(0, 500)).event("data 1").quiet();
  EXPECT_EQ(t.take(1).size(), 491u);
  t.arrive(frame.substr(500)).event("data 1 end").quiet();
  EXPECT_EQ(t.take(1).size(), 509u);
  t.audit();
}
TEST(H2, Rfc9113_6_1_StreamMayBeReleasedInTheMiddleOfAFrame) {
  Talk t;
  t.begun().open();
  const std::string frame = t.speaker.say("DATA 1 end pad=100 n=1000");
  t.arrive(frame.substr(0, 500)).event("data 1").release(1, H2Error::cancel).out("RST_STREAM 1 CANCEL");
  t.arrive(frame.substr(500)).in("PING abcdefgh").out("PING ack abcdefgh").quiet().audit();
}

// --- 6.2 HEADERS

TEST(H2, Rfc9113_6_2_HeadersOnStreamZeroIsConnectionError) {
  Talk t;
  t.begun().in("HEADERS 0 end GET /").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_2_PaddedHeadersAreRead) {
  Talk t;
  t.begun().in("HEADERS 1 end pad=200 GET /padded", "HEADERS 3 end pad=0 GET /").event("head 1 end");
  EXPECT_TRUE(t.text.starts_with("GET /padded ")) << t.text;
  t.event("head 3 end").quiet().audit();
}
TEST(H2, Rfc9113_6_2_PaddingAsLongAsThePayloadIsConnectionError) {
  Talk t;
  t.begun().in("HEADERS 1 end flags=12 payload=0582868441").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_2_PaddingOverThePriorityFieldsIsConnectionError) {
  Talk t;
  t.begun().in("HEADERS 1 end flags=44 payload=02000000000a82").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_2_DataInsideAHeaderBlockIsConnectionError) {
  Talk t;
  t.begun().open().in("HEADERS 3 end split=5 GET /", "DATA 1 x").dies("PROTOCOL_ERROR");
}

// --- 6.3 PRIORITY

TEST(H2, Rfc9113_6_3_PriorityOnStreamZeroIsConnectionError) {
  Talk t;
  t.begun().in("PRIORITY on=1").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_3_PriorityOfAWrongLengthIsStreamError) {
  Talk t;
  t.begun().open().in("PRIORITY 1 payload=00000000").out("RST_STREAM 1 FRAME_SIZE_ERROR").event("reset 1 FRAME_SIZE_ERROR");
  t.in("PRIORITY 1 payload=000000000000").quiet().audit();  // nothing left to reset
}
TEST(H2, Rfc9113_6_3_PriorityOfAWrongLengthOnAnIdleStreamIsConnectionError) {
  Talk t;
  t.begun().in("PRIORITY 1 payload=00").dies("FRAME_SIZE_ERROR");
}

// --- 6.4 RST_STREAM

TEST(H2, Rfc9113_6_4_RstStreamOnStreamZeroIsConnectionError) {
  Talk t;
  t.begun().in("RST_STREAM 0 CANCEL").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_4_RstStreamOfAWrongLengthIsConnectionError) {
  Talk t;
  t.begun().open().in("RST_STREAM 1 payload=000000").dies("FRAME_SIZE_ERROR");
}
TEST(H2, Rfc9113_6_4_RstStreamEndsTheStreamAndWhatItHolds) {
  Talk t;
  t.begun().open().in("DATA 1 hello").event("data 1").in("RST_STREAM 1 CANCEL").event("reset 1 by_peer CANCEL");
  EXPECT_EQ(t.engine().held_bytes(t.conn), 0u);
  EXPECT_EQ(t.counter(Counter::h2_resets_received), 1u);
  t.quiet().audit();
}
TEST(H2, Rfc9113_6_4_NothingIsSentAfterRstStream) {
  Talk t;
  t.begun().open().held = true;
  t.in("RST_STREAM 1 CANCEL");
  t.respond(1, 200, false).send(1, "late").out("HEADERS 1 200").out("DATA 1 late");  // it has not been read yet
  t.pump();
  t.event("reset 1 by_peer CANCEL").quiet().audit();
}

// --- 6.5 SETTINGS

TEST(H2, Rfc9113_6_5_AcknowledgementWithAPayloadIsFrameSizeError) {
  Talk t;
  t.begun().in("SETTINGS ack enable_push=0").dies("FRAME_SIZE_ERROR");
}
TEST(H2, Rfc9113_6_5_SettingsOnAStreamIsConnectionError) {
  Talk t;
  t.begun().in("SETTINGS 1").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_5_LengthThatIsNoMultipleOfSixIsFrameSizeError) {
  Talk t;
  t.begun().in("SETTINGS payload=0003ffff").dies("FRAME_SIZE_ERROR");
}
TEST(H2, Rfc9113_6_5_2_EnablePushAboveOneIsProtocolError) {
  Talk t;
  t.begun().in("SETTINGS enable_push=2").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_5_2_EnablePushFromAServerIsProtocolError) {
  Talk t(H2Role::client);
  t.begun("SETTINGS enable_push=0").in("SETTINGS enable_push=1").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_5_2_EnablePushFromAClientIsTaken) {
  Talk t;
  t.begun("SETTINGS enable_push=1").in("SETTINGS enable_push=0").out("SETTINGS ack").quiet().audit();
}
TEST(H2, Rfc9113_6_5_2_InitialWindowAboveTheMaximumIsFlowControlError) {
  Talk t;
  t.begun().in("SETTINGS initial_window_size=2147483648").dies("FLOW_CONTROL_ERROR");
}
TEST(H2, Rfc9113_6_5_2_MaxFrameSizeBelowTheInitialValueIsProtocolError) {
  Talk t;
  t.begun().in("SETTINGS max_frame_size=16383").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_5_2_MaxFrameSizeAboveTheMaximumIsProtocolError) {
  Talk t;
  t.begun().in("SETTINGS max_frame_size=16777216").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_5_2_ExtremesThatAreAllowedAreTaken) {
  Talk t;
  t.begun().in("SETTINGS max_frame_size=16777215 initial_window_size=2147483647 max_concurrent_streams=0 max_header_list_size=0 "
               "header_table_size=4294967295");
  t.out("SETTINGS ack").quiet().audit();
}
TEST(H2, Rfc9113_6_5_2_HeaderTableSizeOfZeroKeepsOurTableEmpty) {
  Talk t;
  t.begun("SETTINGS header_table_size=0");
  for (u32 id = 1; id < 7; id += 2) {
    t.open(id, true).respond(id, 200, true, "x-name: value\r\n").out("HEADERS " + std::to_string(id) + " end 200 x-name=value");
    EXPECT_EQ(t.speaker.decoder.table_bytes(), 0u);
  }
  t.quiet().audit();
}
TEST(H2, Rfc8441_3_ConnectProtocolSettingIsZeroOrOneAndNeverTakenBack) {
  Talk a(H2Role::client), b(H2Role::client), c(H2Role::client);
  a.begun();
  EXPECT_FALSE(a.engine().accepts_extended_connect(a.conn));
  a.in("SETTINGS enable_connect_protocol=2").dies("PROTOCOL_ERROR");
  b.begun("SETTINGS enable_connect_protocol=1").in("SETTINGS enable_connect_protocol=0").dies("PROTOCOL_ERROR");
  c.begun("SETTINGS enable_connect_protocol=1");
  EXPECT_TRUE(c.engine().accepts_extended_connect(c.conn));
  c.audit();
}
TEST(H2, Rfc9218_2_1_NoPrioritiesSettingIsZeroOrOneAndNeverChanged) {
  Talk a, b, c;
  a.begun().in("SETTINGS no_rfc7540_priorities=2").dies("PROTOCOL_ERROR");
  b.begun("SETTINGS no_rfc7540_priorities=1").in("SETTINGS no_rfc7540_priorities=0").dies("PROTOCOL_ERROR");
  c.begun("SETTINGS no_rfc7540_priorities=0").in("SETTINGS no_rfc7540_priorities=0").out("SETTINGS ack").quiet().audit();
}
TEST(H2, Rfc9113_6_5_3_LastOfEqualSettingsCounts) {
  Talk t;
  t.begun("SETTINGS initial_window_size=100 initial_window_size=1").open(1, true).respond(1, 200, false).out("HEADERS 1 200");
  EXPECT_EQ(t.engine().send_space(t.stream(1)), 1u);
  t.audit();
}
TEST(H2, Rfc9113_6_5_3_EverySettingsFrameIsAcknowledgedAtOnce) {
  Talk t;
  t.begun().in("SETTINGS", "SETTINGS max_frame_size=20000", "SETTINGS").out("SETTINGS ack").out("SETTINGS ack").out("SETTINGS ack").quiet().audit();
}
TEST(H2, Rfc9113_6_5_3_OursAreInForceOnceTheyAreAcknowledged) {
  Talk t(H2Role::server, {.stream_window_bytes = 100});
  t.out("SETTINGS").forget("WINDOW_UPDATE").in("preface", "SETTINGS").out("SETTINGS ack");
  EXPECT_FALSE(t.engine().settings_acknowledged(t.conn));
  t.in("HEADERS 1 POST /", "DATA 1 n=1000").event("head 1").event("data 1").quiet();  // by the initial window
  t.in("SETTINGS ack");
  EXPECT_TRUE(t.engine().settings_acknowledged(t.conn));
  t.in("HEADERS 3 POST /", "DATA 3 n=101").event("head 3").out("RST_STREAM 3 FLOW_CONTROL_ERROR").event("reset 3 FLOW_CONTROL_ERROR");
  t.in("DATA 1 x").out("RST_STREAM 1 FLOW_CONTROL_ERROR").event("reset 1 FLOW_CONTROL_ERROR").quiet().audit();
}
TEST(H2, Rfc9113_6_5_3_MoreAcknowledgementsThanSettingsDoNoHarm) {
  Talk t;
  t.begun().in("SETTINGS ack", "SETTINGS ack", "PING abcdefgh").out("PING ack abcdefgh").quiet().audit();
}

// --- 6.6 PUSH_PROMISE

TEST(H2, Rfc9113_6_6_PushPromiseFromAClientIsConnectionError) {
  Talk t;
  t.begun().open().in("PUSH_PROMISE 1 payload=0000000282").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_6_PushPromiseFromAnEndpointIsConnectionError) {
  Talk t(H2Role::client);
  t.begun();
  t.request("GET /", true);
  t.in("PUSH_PROMISE 1 flags=4 payload=0000000282").dies("PROTOCOL_ERROR");
}

// --- 6.7 PING

TEST(H2, Rfc9113_6_7_PingIsAnsweredWithItsData) {
  Talk t;
  t.begun().in("PING abcdefgh").out("PING ack abcdefgh").quiet().audit();
}
TEST(H2, Rfc9113_6_7_AcknowledgementIsNotAnswered) {
  Talk t;
  t.begun().in("PING ack 12345678", "PING abcdefgh").out("PING ack abcdefgh").quiet().audit();
}
TEST(H2, Rfc9113_6_7_PingOnAStreamIsConnectionError) {
  Talk t;
  t.begun().in("PING 1 abcdefgh").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_7_PingOfAWrongLengthIsFrameSizeError) {
  Talk t;
  t.begun().in("PING abcdef").dies("FRAME_SIZE_ERROR");
  Talk other;
  other.begun().in("PING ack abcdefghi").dies("FRAME_SIZE_ERROR");
}
TEST(H2, Rfc9113_6_7_WeAskAndTheAnswerIsInput) {
  Talk t;
  t.begun();
  t.engine().ping(t.conn);
  t.engine().ping(t.conn);  // one at a time
  t.out("PING ringway?").quiet().in("PING ack ringway?").quiet();
  t.engine().ping(t.conn);
  t.out("PING ringway?").quiet().audit();
}

// --- 6.8 GOAWAY

TEST(H2, Rfc9113_6_8_GoawayOnAStreamIsConnectionError) {
  Talk t;
  t.begun().in("GOAWAY 1 last=0 NO_ERROR").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_8_GoawayFromAClientIsToldAndItsStreamsGoOn) {
  Talk t;
  t.begun().open(1, true).in("GOAWAY last=0 NO_ERROR debug=bye").event("goaway by_peer NO_ERROR").quiet();
  t.respond(1, 200, true).out("HEADERS 1 end 200").in("PING abcdefgh").out("PING ack abcdefgh").quiet().audit();
}
TEST(H2, Rfc9113_6_8_StreamsAboveTheLastOneAreRefusedAndTheOthersGoOn) {
  Talk t(H2Role::client);
  t.begun();
  for (const char* path : {"GET /1", "GET /3", "GET /5", "GET /7"}) t.request(path, true);
  const u32 unsent = t.engine().open_stream(t.conn, 5);
  t.drop_sent();
  t.in("GOAWAY last=3 NO_ERROR");
  t.event("reset 0 by_peer REFUSED_STREAM").event("reset 7 by_peer REFUSED_STREAM").event("reset 5 by_peer REFUSED_STREAM");
  t.event("goaway by_peer NO_ERROR").quiet();
  EXPECT_NE(unsent, kNone32);
  EXPECT_FALSE(t.engine().accepts_streams(t.conn));
  EXPECT_EQ(t.engine().streams(t.conn), 2u);
  t.in("HEADERS 3 end 200", "HEADERS 1 end 200").event("head 3 end").event("head 1 end").quiet().audit();
}
TEST(H2, Rfc9113_6_8_SecondGoawayMayLowerTheLastStreamButNotRaiseIt) {
  Talk t(H2Role::client);
  t.begun();
  for (const char* path : {"GET /1", "GET /3", "GET /5"}) t.request(path, true);
  t.drop_sent();
  t.in("GOAWAY last=2147483647 NO_ERROR").event("goaway by_peer NO_ERROR").quiet();
  EXPECT_EQ(t.engine().streams(t.conn), 3u);
  t.in("GOAWAY last=3 NO_ERROR").event("reset 5 by_peer REFUSED_STREAM").event("goaway by_peer NO_ERROR");
  t.in("GOAWAY last=5 INTERNAL_ERROR").event("goaway by_peer INTERNAL_ERROR").quiet();
  EXPECT_EQ(t.engine().streams(t.conn), 2u);
  EXPECT_EQ(t.counter(Counter::h2_goaways_received), 3u);
  t.audit();
}
TEST(H2, Rfc9113_6_8_NoRequestIsSentBehindAGoaway) {
  Talk t(H2Role::client);
  t.begun();
  const u32 i = t.engine().open_stream(t.conn, 5);
  t.held = true;
  t.in("GOAWAY last=0 NO_ERROR");
  EXPECT_TRUE(t.pump_one());
  t.event("reset 0 by_peer REFUSED_STREAM").quiet();
  EXPECT_EQ(t.engine().open_stream(t.conn, 6), kNone32);  // before the event that says so
  EXPECT_NE(i, kNone32);
  t.pump();
  t.event("goaway").quiet().audit();
}
TEST(H2, Rfc9113_6_8_WeDrainInTwoSteps) {
  Talk t;
  t.begun().open(1, true);
  t.engine().goaway_notice(t.conn);
  t.out("GOAWAY last=2147483647 NO_ERROR").open(3, true);  // was under way
  t.engine().goaway_final(t.conn, H2Error::no_error);
  t.out("GOAWAY last=3 NO_ERROR");
  t.in("HEADERS 5 POST /", "DATA 5 hello", "WINDOW_UPDATE 5 +1", "HEADERS 5 end x=y", "RST_STREAM 5 CANCEL").quiet();
  t.respond(1, 200, true).respond(3, 200, true).out("HEADERS 1 end").out("HEADERS 3 end").in("PING abcdefgh").out("PING ack").quiet();
  EXPECT_EQ(t.counter(Counter::h2_goaways_sent), 2u);
  t.audit();
}
TEST(H2, Rfc9113_6_8_OurLastStreamIsNeverRaised) {
  Talk t;
  t.begun().open(1, true);
  t.engine().goaway_final(t.conn, H2Error::no_error);
  t.out("GOAWAY last=1 NO_ERROR").in("HEADERS 3 end GET /").quiet();
  t.engine().goaway_notice(t.conn);
  t.quiet();
  t.in("DATA x").out("GOAWAY last=1 PROTOCOL_ERROR").event("failed PROTOCOL_ERROR").quiet().audit();
}
TEST(H2, Rfc9113_6_8_ClientSaysGoodbye) {
  Talk t(H2Role::client);
  t.begun();
  t.request("GET /", true);
  t.out("HEADERS 1 end");
  t.engine().goaway_notice(t.conn);
  t.out("GOAWAY last=0 NO_ERROR").in("HEADERS 1 end 200").event("head 1 end").quiet().audit();
}

// --- 6.10 CONTINUATION

TEST(H2, Rfc9113_6_10_ContinuationsMakeOneBlock) {
  Talk t;
  t.begun().in("HEADERS 1 end split=1 GET /x a=b", "CONTINUATION 1 split=0", "CONTINUATION 1 split=7", "CONTINUATION 1").event("head 1 end");
  EXPECT_EQ(t.text, "GET /x HTTP/1.1\r\nhost: a.example\r\na: b\r\n\r\n");
  t.quiet().audit();
}
TEST(H2, Rfc9113_6_10_LongBlockInManyFramesIsRead) {
  Talk t;
  t.begun();
  const std::string value(40'000, 'v');
  t.in("HEADERS 1 end split=16384 GET / big=" + value, "CONTINUATION 1 split=16000", "CONTINUATION 1").event("head 1 end");
  EXPECT_NE(t.text.find(value), std::string::npos);
  t.quiet().audit();
}
TEST(H2, Rfc9113_6_10_ContinuationOfAnotherStreamIsConnectionError) {
  Talk t;
  t.begun().in("HEADERS 1 end split=5 GET /", "CONTINUATION 3").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_10_AnyOtherFrameInTheBlockIsConnectionError) {
  for (const char* frame : {"HEADERS 1 end GET /", "DATA 1 x", "SETTINGS", "PING abcdefgh", "GOAWAY last=0 NO_ERROR", "WINDOW_UPDATE +1",
                            "RST_STREAM 1 CANCEL", "PRIORITY_UPDATE of=1 u=1"}) {
    SCOPED_TRACE(frame);
    Talk t;
    t.begun().in("HEADERS 1 end split=5 GET /", frame).dies("PROTOCOL_ERROR");
  }
}
TEST(H2, Rfc9113_6_10_ContinuationAfterTheEndOfTheBlockIsConnectionError) {
  Talk t;
  t.begun().in("HEADERS 1 GET /").event("head 1").in("CONTINUATION 1").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_10_ContinuationBehindDataIsConnectionError) {
  Talk t;
  t.begun().open().in("DATA 1 x").event("data 1").in("CONTINUATION 1").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_10_ContinuationOnStreamZeroIsConnectionError) {
  Talk t;
  t.begun().in("CONTINUATION 0").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_10_OurLongBlocksAreCutToThePeersFrameSize) {
  Talk t;
  t.begun().open(1, true);
  const std::string value(40'000, 'w');
  t.respond(1, 200, true, "big: " + value + "\r\n");
  t.out("HEADERS 1 end more").out("CONTINUATION 1 more").out("CONTINUATION 1 200 big=" + value).quiet().audit();
}
TEST(H2, Rfc9113_6_10_StreamMayBeReleasedInTheMiddleOfABlock) {
  Talk t;
  t.begun().open(1);
  t.speaker.index = HpackEncoder::Index::yes;
  t.in("HEADERS 1 end split=3 x-name=value").release(1, H2Error::cancel).out("RST_STREAM 1 CANCEL");
  EXPECT_TRUE(t.engine().mid_frame(t.conn));
  t.in("CONTINUATION 1").quiet();
  t.in("HEADERS 3 end GET / x-name=value").event("head 3 end");
  EXPECT_NE(t.text.find("x-name: value"), std::string::npos) << t.text;
  t.quiet().audit();
}

// --- RFC 9218 7.1 PRIORITY_UPDATE

TEST(H2, Rfc9218_7_1_PriorityUpdateOnAStreamIsConnectionError) {
  Talk t;
  t.begun().open().in("PRIORITY_UPDATE 1 of=1 u=1").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9218_7_1_PriorityUpdateOfStreamZeroIsConnectionError) {
  Talk t;
  t.begun().in("PRIORITY_UPDATE of=0 u=1").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9218_7_1_PriorityUpdateOfAnIdlePushIsConnectionError) {
  Talk t;
  t.begun().in("PRIORITY_UPDATE of=2 u=1").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9218_7_1_PriorityUpdateTooShortIsFrameSizeError) {
  Talk t;
  t.begun().in("PRIORITY_UPDATE payload=000001").dies("FRAME_SIZE_ERROR");
}
TEST(H2, Rfc9218_7_1_PriorityUpdateFromAServerIsConnectionError) {
  Talk t(H2Role::client);
  t.begun();
  t.request("GET /", true);
  t.in("PRIORITY_UPDATE of=1 u=1").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9218_7_1_MoreIdleStreamsThanMayBeOpenIsConnectionError) {
  Talk t(H2Role::server, {.streams_max = 3});
  t.begun().open(1).in("PRIORITY_UPDATE of=3 u=1", "PRIORITY_UPDATE of=5 u=1", "PRIORITY_UPDATE of=5 u=2").quiet();
  t.in("PRIORITY_UPDATE of=7 u=1").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9218_7_1_PriorityUpdateOfAClosedStreamOrOfNonsenseIsIgnored) {
  Talk t;
  t.begun().open(3).in("PRIORITY_UPDATE of=1 u=1", "PRIORITY_UPDATE of=3 u=%22", "PRIORITY_UPDATE of=3").quiet().audit();
}

}  // namespace
}  // namespace ringway::http::test
