#pragma once
// Looking up a path or a host in a contract::Trie.
//
// One pass over the key, one branch per byte that tells keys apart. `TriePlace` says which exact key was met and which
// prefixes cover the key, longest first by `longer to shorter` links; nothing is allocated. Any thread.

#include <cstring>
#include <string_view>

#include "src/contract/routes.h"

namespace ringway::route {

struct TriePlace {
  u32 exact = kNone32;        // value of the key itself
  u32 prefix_node = kNone32;  // node of the longest covering prefix
};

// A path: "/a" covers "/a" and "/a/b". A reversed host: "moc.a" (of "*.a.com") covers "moc.a.b", but not "moc.a".
struct PathKeys {
  static bool covers(std::string_view key, std::size_t prefix) {
    return prefix == 0 || prefix == key.size() || key[prefix] == '/';
  }
};
struct HostKeys {
  static bool covers(std::string_view key, std::size_t prefix) { return prefix < key.size() && key[prefix] == '.'; }
};

template <class Keys>
TriePlace find(const contract::Trie& trie, std::string_view key) {
  TriePlace place;
  if (trie.nodes.empty()) return place;
  const contract::Trie::Node* const nodes = trie.nodes.data();
  const char* const heads = trie.heads.data();
  const char* const labels = trie.labels.data();
  u32 at = 0;
  std::size_t depth = 0;
  for (;;) {
    const contract::Trie::Node& node = nodes[at];
    if (node.prefix != kNone32 && Keys::covers(key, depth)) place.prefix_node = at;
    if (depth == key.size()) {
      place.exact = node.exact;
      return place;
    }
    if (node.child_count == 0) return place;
    const void* head = std::memchr(heads + node.first_child, key[depth], node.child_count);
    if (head == nullptr) return place;
    at = static_cast<u32>(static_cast<const char*>(head) - heads);
    const contract::Trie::Node& child = nodes[at];
    if (key.size() - depth < child.label_bytes ||
        std::memcmp(key.data() + depth, labels + child.label, child.label_bytes) != 0)
      return place;
    depth += child.label_bytes;
  }
}

}  // namespace ringway::route
