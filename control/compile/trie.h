#pragma once
// Building a contract::Trie from keys; dataplane/route/trie.h looks things up in it.
//
// Control thread only; allocates. Keys are bytes: paths as configured, hosts reversed and in lower case.

#include <map>
#include <string>
#include <string_view>

#include "src/contract/routes.h"

namespace ringway::compile {

class TrieBuilder {
 public:
  // `separator` ends a segment: '/' for paths, '.' for reversed hosts. A key is set once for each kind.
  explicit TrieBuilder(char separator) : separator_(separator) {}

  void set_exact(std::string_view key, u32 value) { keys_[std::string(key)].exact = value; }
  void set_prefix(std::string_view key, u32 value) { keys_[std::string(key)].prefix = value; }

  contract::Trie build() const;

 private:
  struct Values {
    u32 exact = kNone32;
    u32 prefix = kNone32;
  };
  char separator_;
  std::map<std::string, Values> keys_;
};

}  // namespace ringway::compile
