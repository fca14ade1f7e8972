// Replaces the global operator new of this test program by one that counts. In a file of its own, so that no call of it
// is inlined next to a call of free.

#include <cstdlib>
#include <new>

namespace ringway::test {
std::size_t allocations = 0;
}

void* operator new(std::size_t bytes) {
  ++ringway::test::allocations;
  if (void* p = std::malloc(bytes)) return p;
  std::abort();
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  ++ringway::test::allocations;
  return std::malloc(bytes);
}
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
