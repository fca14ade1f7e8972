#pragma once
// What a route does to a request beside choosing its service, as data: made by control/compile, read by dataplane/rewrite,
// by the writers of heads in dataplane/http and by relay. Semantics are those of the Kubernetes Gateway API's HTTPRoute
// filters and of Envoy's route actions; docs/actions.md tells them.
//
// An entry of Plan::actions is whole: what the route, the backend and the service say has been put together for each
// pair of route and backend, so that a request looks at one entry and nothing is merged on the packet path.
// Immutable after publication, but for the room of each core in a SubstitutionDb, which that core alone uses.

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/types.h"

struct pcre2_real_code_8;  // PCRE2's own names, so that only dataplane/rewrite and control/compile include its header
struct pcre2_real_match_data_8;
struct pcre2_real_match_context_8;

namespace ringway::contract {

// What a part of a field's value stands for; the variables have Envoy's names.
enum class Variable : u8 {
  text,                         // the piece's own text
  remote_address,               // %DOWNSTREAM_REMOTE_ADDRESS%: "10.0.0.7:4711", "[fd00::7]:4711"
  remote_address_without_port,  // %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%
  protocol,                     // %PROTOCOL%: of the request as it came
  route,                        // %ROUTE_NAME%
  service,                      // %UPSTREAM_CLUSTER%: its discoveryName
  endpoint,                     // %UPSTREAM_HOST%
  request_field,                // %REQ(name)%: the first field of that name; also :method, :path, :authority, :scheme
};
inline constexpr std::array<std::string_view, 8> kVariableNames{
    "", "DOWNSTREAM_REMOTE_ADDRESS", "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "PROTOCOL", "ROUTE_NAME", "UPSTREAM_CLUSTER",
    "UPSTREAM_HOST", "REQ"};

struct ValuePiece {
  Variable what = Variable::text;
  std::string text;  // of request_field: its name in lower case
};

struct FieldAddition {
  std::string name;  // as configured
  std::vector<ValuePiece> value;
};

// Changes of a head: first what goes, then what comes. A field whose value turns out empty does not come.
struct FieldChanges {
  std::vector<std::string> dropped;  // in lower case: whatever the message has of these names
  std::vector<FieldAddition> added;  // in this order
  bool empty() const { return dropped.empty() && added.empty(); }
};

enum class PathChange : u8 { none, prefix, full, regex };

// A new path; the query stays as it is.
struct PathRewrite {
  PathChange kind = PathChange::none;
  std::string text;           // prefix: what stands for it, without its last slash; full: the path
  u32 substitution = kNone32;  // regex: index into SubstitutionDb::substitutions
};

struct Redirect {
  u16 status = 302;
  std::string scheme = "http";
  std::string host;  // empty: the request's, without its port
  std::string port;  // ":8443", or empty where the scheme says it
  PathRewrite path;  // none: as it is
};

struct FixedAnswer {
  u16 status = 200;
  std::string content_type;
  std::string body;
};

inline constexpr u32 kShareOfAll = 1'000'000;  // what shares of requests are parts of

struct Fault {
  u32 delay_share = 0;
  u32 abort_share = 0;
  u64 delay_us = 0;
  u16 abort_status = 503;
  i32 abort_grpc = -1;  // the status that a gRPC client is told; -1: what `abort_status` means
  std::string header;   // in lower case: only requests that have it; empty: all
};

struct Mirror {
  u32 service = kNone32;  // index into plan.services
  u32 share = kShareOfAll;
};

enum class Ending : u8 { forward, redirect, answer };

struct Actions {
  Ending ending = Ending::forward;
  Redirect redirect;
  FixedAnswer answer;
  std::string route;  // its name; empty: the service's own
  PathRewrite path;
  std::string host;   // empty: as it is
  FieldChanges request;
  FieldChanges response;
  bool response_reads_request = false;  // a value of `response` is made of the request's fields
  Fault fault;
  Mirror mirror;
};

// A part of what stands for a match: text, or what a group matched (0: all of it).
struct SubstitutePiece {
  u32 group = kNone32;  // kNone32: text
  std::string text;
};

struct Substitution {
  std::string pattern;  // as configured
  pcre2_real_code_8* code = nullptr;
  std::vector<SubstitutePiece> pieces;
};

// What one core needs to match: room for the groups, and a bound on the work.
struct SubstituteRoom {
  pcre2_real_match_data_8* groups = nullptr;
  pcre2_real_match_context_8* bounds = nullptr;
};

// `rooms` holds one room for each core and one more for explanations.
struct SubstitutionDb {
  SubstitutionDb() = default;
  SubstitutionDb(const SubstitutionDb&) = delete;
  SubstitutionDb& operator=(const SubstitutionDb&) = delete;
  ~SubstitutionDb() {
    if (release != nullptr) release(*this);
  }

  std::vector<Substitution> substitutions;
  std::vector<SubstituteRoom> rooms;
  void (*release)(SubstitutionDb&) = nullptr;  // frees codes and rooms; set by who made them
};

}  // namespace ringway::contract
