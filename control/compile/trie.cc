#include "control/compile/trie.h"

#include <deque>
#include <iterator>

namespace ringway::compile {

using contract::Trie;

Trie TrieBuilder::build() const {
  using Iterator = std::map<std::string, Values>::const_iterator;
  // One node still to be filled: the keys of [from, to) share their first `depth` bytes.
  struct Work {
    Iterator from, to;
    std::size_t depth;
    u32 node;
    u32 above;  // nearest node above that ends a prefix
  };

  Trie trie;
  if (keys_.empty()) return trie;
  std::map<u32, std::size_t> prefix_depth;  // of nodes that end a prefix
  trie.nodes.emplace_back();
  trie.heads.push_back('\0');
  std::deque<Work> todo{{keys_.begin(), keys_.end(), 0, 0, kNone32}};
  while (!todo.empty()) {
    Work work = todo.front();
    todo.pop_front();
    if (work.from->first.size() == work.depth) {  // sorted: the key that ends here stands first
      Trie::Node& node = trie.nodes[work.node];
      node.exact = work.from->second.exact;
      node.prefix = work.from->second.prefix;
      if (node.prefix != kNone32) {
        u32 up = work.above;
        while (up != kNone32 && prefix_depth[up] != 0 && work.from->first[prefix_depth[up]] != separator_)
          up = trie.nodes[up].up;
        node.up = up;
        prefix_depth[work.node] = work.depth;
        work.above = work.node;
      }
      ++work.from;
    }
    trie.nodes[work.node].first_child = static_cast<u32>(trie.nodes.size());
    while (work.from != work.to) {
      const std::string& first = work.from->first;
      Iterator end = work.from;
      while (end != work.to && end->first[work.depth] == first[work.depth]) ++end;
      const std::string& last = std::prev(end)->first;
      std::size_t shared = work.depth + 1;
      while (shared < first.size() && shared < last.size() && first[shared] == last[shared]) ++shared;

      Trie::Node child;
      child.label = static_cast<u32>(trie.labels.size());
      child.label_bytes = static_cast<u16>(shared - work.depth);
      trie.labels.append(first, work.depth, shared - work.depth);
      ++trie.nodes[work.node].child_count;
      todo.push_back({work.from, end, shared, static_cast<u32>(trie.nodes.size()), work.above});
      trie.nodes.push_back(child);
      trie.heads.push_back(first[work.depth]);
      work.from = end;
    }
  }
  return trie;
}

}  // namespace ringway::compile
