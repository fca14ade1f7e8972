#pragma once
// Route tables as data: what control/compile builds and dataplane/{inspect,route} read. See plan.h for who owns them.
//
// Precedence follows the Kubernetes Gateway API (HTTPRoute, "precedence"), and where that leaves the choice, docs/routing.md:
// exact host, longest wildcard, any host; exact path, regular expression, longest prefix; method; most header
// conditions; most query conditions; order in the file. Rules come sorted, so that all rules of one host and one path
// lie side by side and the first one that holds wins.
//
// Paths and hosts are found in tries (flat arrays, no pointers). Regular expressions of all tables share one Hyperscan
// database, scanned over pieces of the head: each piece is led by a tag that no request can contain, so that a pattern
// sees its own piece only. Immutable after publication, but for the scan room of each core, which that core alone uses.

#include <memory>
#include <string>
#include <vector>

#include "src/base/types.h"

struct hs_database;  // Hyperscan's own names, so that only inspect and compile include its headers
struct hs_scratch;

namespace ringway::contract {

// A radix trie over bytes. `exact` and `prefix` are values of the caller; kNone32 is "none ends here".
// A prefix covers whole segments only; `up` leads from a prefix to the next shorter one that covers it.
struct Trie {
  struct Node {
    u32 label = 0;         // first byte of its label in `labels`; the label leads from the parent to here
    u32 first_child = 0;   // children are nodes[first_child .. +child_count), their first bytes in `heads` alike
    u16 label_bytes = 0;
    u16 child_count = 0;
    u32 exact = kNone32;
    u32 prefix = kNone32;
    u32 up = kNone32;      // node with the next shorter prefix; kNone32: none
  };
  std::vector<Node> nodes;  // nodes[0] is the root; empty when there is nothing to find
  std::string heads;        // by node: first byte of its label
  std::string labels;
};

// Equality with `value`, or, with a pattern, a regular expression over the whole value.
struct Condition {
  std::string name;  // of the header (lower case) or the query parameter (exact)
  std::string value;
  u32 pattern = kNone32;  // index into PatternDb::patterns
};

// One match of one route on one of its hosts: all conditions must hold.
struct Rule {
  u32 route = 0;         // index into RouteTable::routes
  u32 path_pattern = kNone32;
  u32 prefix_bytes = 0;  // of the path that its prefix covers, without a last slash
  std::string method;    // case-sensitive; empty is any
  std::vector<Condition> headers;
  std::vector<Condition> query;
};

struct Backend {
  u32 service = kNone32;  // index into plan.services
  u32 weight = 1;         // 0 gets nothing
  u64 weight_end = 1;     // sum of the weights up to and with this one
  u32 actions = kNone32;  // index into plan.actions: all that happens to a request that goes there
};

struct Route {
  std::string name;
  std::vector<Backend> backends;
  u64 weight_sum = 0;     // 0: the route matches and answers 500, unless its actions answer
  u32 actions = kNone32;  // index into plan.actions: of a route that answers by itself
};

// A run of rules with the same host and the same path.
struct RuleRun {
  u32 first = 0;
  u32 count = 0;
};

// The rules of one host, one wildcard, or of any host.
struct HostRules {
  std::string host;  // as configured: "a.example", "*.example", or "" for any
  Trie paths;        // values index `runs`; prefixes without their last slash
  std::vector<RuleRun> runs;
  RuleRun patterns;  // rules whose path is a regular expression
};

struct RouteTable {
  std::string name;               // of the listener
  std::vector<Route> routes;      // in the order of the file
  std::vector<Rule> rules;        // sorted by precedence
  std::vector<std::string> rule_texts;  // by rule: its conditions in words, for people
  std::vector<HostRules> hosts;
  Trie host_trie;                 // reversed lower-case hosts; values index `hosts`
  u32 any_host = kNone32;         // index into `hosts`
  std::vector<u32> pieces;        // indexes into PatternDb::pieces that this table's patterns look at; empty: no scan
};

enum class PieceKind : u8 { path, header, query };

// A part of the head that patterns look at: the path, or the first header or query parameter of a name.
struct Piece {
  PieceKind kind = PieceKind::path;
  std::string name;  // lower case for a header; empty for the path
  std::string tag;   // what leads it in the scanned bytes
};

struct Pattern {
  std::string text;  // as configured
  u32 piece = 0;     // index into PatternDb::pieces
};

// What one core needs for a scan. The arrays have room for every piece.
struct ScanRoom {
  hs_scratch* scratch = nullptr;
  std::unique_ptr<u64[]> hits;          // a bit for each pattern
  std::unique_ptr<const char*[]> data;  // 2 * pieces + 1
  std::unique_ptr<unsigned[]> bytes;    // 2 * pieces + 1
  std::unique_ptr<u64[]> ends;          // by piece: where its value ends in the scanned bytes; 0 is absent
};

// The patterns of all tables. `rooms` holds one room for each core and one more for explanations.
struct PatternDb {
  PatternDb() = default;
  PatternDb(const PatternDb&) = delete;
  PatternDb& operator=(const PatternDb&) = delete;
  ~PatternDb() {
    if (release != nullptr) release(*this);
  }

  hs_database* database = nullptr;
  std::vector<Pattern> patterns;
  std::vector<Piece> pieces;
  std::vector<ScanRoom> rooms;
  void (*release)(PatternDb&) = nullptr;  // frees database and scratches; set by who allocated them
};

}  // namespace ringway::contract
