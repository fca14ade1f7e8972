// Any bytes as the file that a recorder left: it is refused, or all that is read from it can be told.
//
// The first byte chooses: the bytes are the whole file, or they are laid over a good one, whose magic and fingerprint no
// fuzzer would find: one half of them over its head, the rest over its records.

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "control/trace/trace.h"
#include "src/contract/recorder.h"
#include "tools/ringwayctl/trace_text.h"

namespace {

using namespace ringway;

constexpr u32 kEvents = 8;
constexpr std::size_t kHeadBytes = 4096, kNumbersAt = 16;  // behind magic and fingerprint

const std::string& good_file() {
  static const std::string bytes = [] {
    const std::string path = "/tmp/trace_fuzz." + std::to_string(getpid());
    std::string error;
    if (trace::RecorderMemory::make(path, 1, kEvents, 2'000'000'000, error) == nullptr) std::abort();
    std::string out(kHeadBytes + 2 * kEvents * contract::EventRing::kRecordBytes, '\0');
    FILE* file = std::fopen(path.c_str(), "rb");
    if (file == nullptr || std::fread(out.data(), 1, out.size(), file) != out.size()) std::abort();
    std::fclose(file);
    unlink(path.c_str());
    return out;
  }();
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 65'536) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] != 0) {
    std::string laid = good_file();
    const std::size_t over_head = data[0] == 1 ? 0 : std::min<std::size_t>(bytes.size() / 2, 256);
    std::memcpy(laid.data() + kNumbersAt, bytes.data(), over_head);
    std::memcpy(laid.data() + kHeadBytes, bytes.data() + over_head, std::min(bytes.size() - over_head, laid.size() - kHeadBytes));
    bytes = laid;
  }
  const int fd = memfd_create("trace", 0);
  if (fd < 0 || write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) std::abort();
  std::string error;
  const auto memory = trace::RecorderMemory::open("/proc/self/fd/" + std::to_string(fd), error);
  close(fd);
  if (memory == nullptr) {
    if (error.empty()) std::abort();
    return 0;
  }
  const auto all = trace::collect(*memory, {});
  if (all.size() > std::size_t{memory->rings()} * memory->events()) std::abort();
  for (const trace::Traced& e : all)
    if (ctl::sentence(e, {}).empty()) std::abort();
  trace::collect(*memory, {.core = {}, .conn = all.empty() ? 0 : all.front().conn});
  return 0;
}
