#include "src/app/watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <filesystem>

namespace ringway::app {

FileWatch::FileWatch(const std::string& path) : fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  const std::filesystem::path full = std::filesystem::absolute(path);
  name_ = full.filename();
  if (fd_ >= 0 && inotify_add_watch(fd_, full.parent_path().c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE) < 0) {
    close(fd_);
    fd_ = -1;
  }
}

FileWatch::~FileWatch() {
  if (fd_ >= 0) close(fd_);
}

void FileWatch::read(TimeUs now_us) {
  alignas(inotify_event) char buffer[4096];
  ssize_t n = 0;
  while ((n = ::read(fd_, buffer, sizeof(buffer))) > 0) {
    for (ssize_t at = 0; at < n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      // A mounted ConfigMap or secret changes by a symbolic link beside the file.
      if (event->len > 0 && (name_ == event->name || std::string_view(event->name) == "..data")) last_us_ = now_us;
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
}

void FileWatch::forget() {
  read(0);
  last_us_ = 0;
}

bool FileWatch::changed(TimeUs now_us) {
  if (last_us_ == 0 || now_us - last_us_ < kQuietUs) return false;
  last_us_ = 0;
  return true;
}

}  // namespace ringway::app
