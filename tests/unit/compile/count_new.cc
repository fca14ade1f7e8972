// Replaces the global operator new of this test program by one that counts, and malloc for libraries written in C. In a file of
// its own, so that no call of it is inlined next to a call of free.

#include <cstdlib>
#include <new>

namespace ringway::test {
std::size_t allocations = 0;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" void* __libc_malloc(std::size_t bytes);
extern "C" void* malloc(std::size_t bytes) noexcept {
  ++ringway::test::allocations;
  return __libc_malloc(bytes);
}
#endif

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
