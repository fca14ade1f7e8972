// hash_bytes: XXH64 from libxxhash, kept out of the header so that no other room sees its names.

#include "src/lookup/flow_hash.h"

#include <xxhash.h>

namespace ringway::lookup {

u64 hash_bytes(std::string_view bytes, u64 seed) { return XXH64(bytes.data(), bytes.size(), seed); }

}  // namespace ringway::lookup
