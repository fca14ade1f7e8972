#include "control/trace/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <new>

#include "src/base/clock.h"

namespace ringway::trace {

using contract::EventRing;

namespace {

constexpr char kMagic[8] = {'R', 'W', 'E', 'V', 'E', 'N', 'T', 'S'};
constexpr std::size_t kHeadBytes = 4096;
constexpr u64 kHzLeast = 1'000'000, kHzMost = 1'000'000'000'000;

std::size_t bytes_of(u32 rings, u32 events) {
  return kHeadBytes + std::size_t{rings} * events * EventRing::kRecordBytes;
}

// FNV-1a over the names and texts of all events.
u64 fingerprint() {
  u64 hash = 0xcbf2'9ce4'8422'2325;
  const auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<u8>(c)) * 0x100'0000'01b3;
    hash = (hash ^ 0xff) * 0x100'0000'01b3;
  };
  for (const contract::EventText& e : contract::kEventTexts) {
    add(e.name);
    add(e.text);
  }
  return hash;
}

std::string system_error(const std::string& path, const char* what) {
  return path + ": " + what + ": " + std::strerror(errno);
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

struct RecorderMemory::Head {
  char magic[8];
  u64 fingerprint;
  u32 rings;
  u32 events;
  u64 tsc_hz;
  Anchor begun;             // when the memory was made
  Seqlock<Anchor> anchor;   // the last one
};

std::unique_ptr<RecorderMemory> RecorderMemory::make(const std::string& path, u32 cores, u32 events, u64 tsc_hz,
                                                     std::string& error) {
  const auto fail = [&error](std::string sentence) {
    error = std::move(sentence);
    return nullptr;
  };
  static_assert(sizeof(Head) <= kHeadBytes);
  RW_ASSERT(cores >= 1 && cores <= contract::kCoresMax && events <= contract::kRecorderEventsMax && tsc_hz > kHzLeast && tsc_hz < kHzMost);
  const u32 rings = cores + 1;
  events = std::bit_ceil(std::max(events, 2u));
  const std::size_t bytes = bytes_of(rings, events);
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  int fd = -1;
  if (!path.empty()) {
    if (rename(path.c_str(), (path + ".old").c_str()) != 0 && errno != ENOENT)
      return fail(system_error(path, "the file of the run before cannot be kept"));
    fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return fail(system_error(path, "cannot be made"));
    flags = MAP_SHARED;
  }
  const Fd closing(fd);
  // Room is taken now: a core that writes into a file system that is full would be killed.
  if (fd >= 0) {
    if (const int number = posix_fallocate(fd, 0, static_cast<off_t>(bytes)); number != 0) {
      errno = number;
      const std::string sentence = system_error(path, "no room for the recorder's events");
      unlink(path.c_str());
      return fail(sentence);
    }
  }
  void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (at == MAP_FAILED) return fail(system_error(path.empty() ? "recorder" : path, "cannot be mapped"));
  Head& head = *::new (at) Head{};
  std::memcpy(head.magic, kMagic, sizeof(kMagic));
  head.fingerprint = trace::fingerprint();
  head.rings = rings;
  head.events = events;
  head.tsc_hz = tsc_hz;
  head.begun = anchor_now();
  head.anchor.write(head.begun);
  return std::unique_ptr<RecorderMemory>(new RecorderMemory(at, bytes, rings, events));
}

std::unique_ptr<RecorderMemory> RecorderMemory::open(const std::string& path, std::string& error) {
  const auto fail = [&error](std::string sentence) {
    error = std::move(sentence);
    return nullptr;
  };
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return fail(system_error(path, "cannot be opened"));
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return fail(system_error(path, "cannot be looked at"));
  const std::size_t bytes = static_cast<std::size_t>(status.st_size);
  if (!S_ISREG(status.st_mode) || bytes < kHeadBytes) return fail(path + ": is not a recorder's file");
  void* const at = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return fail(system_error(path, "cannot be mapped"));
  std::unique_ptr<RecorderMemory> memory(new RecorderMemory(at, bytes, 0, 0));
  const Head& head = memory->head();
  if (std::memcmp(head.magic, kMagic, sizeof(kMagic)) != 0) return fail(path + ": is not a recorder's file");
  if (head.fingerprint != trace::fingerprint())
    return fail(path + ": was written by another build, with other events; read it with that build's ringwayctl");
  const bool sound = head.rings >= 2 && head.rings <= contract::kCoresMax + 1 && std::has_single_bit(head.events) &&
                     head.events >= 2 && head.events <= contract::kRecorderEventsMax && head.tsc_hz > kHzLeast && head.tsc_hz < kHzMost &&
                     bytes == bytes_of(head.rings, head.events);
  if (!sound) return fail(path + ": is cut short or damaged");
  memory->rings_ = head.rings;
  memory->events_ = head.events;
  return memory;
}

RecorderMemory::~RecorderMemory() { munmap(at_, bytes_); }

EventRing RecorderMemory::ring(u32 index) const {
  RW_ASSERT(index < rings_);
  auto* const first = reinterpret_cast<EventRing::Word*>(static_cast<u8*>(at_) + bytes_of(index, events_));
  return EventRing({first, std::size_t{events_} * EventRing::kWords});
}

void RecorderMemory::set_anchor(const Anchor& anchor) { head().anchor.write(anchor); }

u64 RecorderMemory::unix_ns(Tsc tsc) const {
  Anchor anchor = head().begun;  // where the writer died while it wrote another
  for (u32 tries = 0; tries < 1000 && !head().anchor.try_read(anchor); tries++) {
  }
  const i64 ticks = static_cast<i64>(tsc - anchor.tsc);
  const auto ns = static_cast<__int128>(ticks) * 1'000'000'000 / static_cast<i64>(head().tsc_hz);
  return anchor.unix_ns + static_cast<u64>(static_cast<i64>(ns));
}

Anchor anchor_now() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return {read_tsc(), static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec)};
}

}  // namespace ringway::trace
