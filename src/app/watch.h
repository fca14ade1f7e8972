#pragma once
// FileWatch: tells when a file was changed or replaced.
//
// Watches the file's folder, because editors and configuration mounts replace the file instead of writing it, and
// waits until nothing has happened for `kQuietUs`, so that one save is one change. Control thread only.

#include <string>

#include "src/base/types.h"

namespace ringway::app {

class FileWatch {
 public:
  static constexpr TimeUs kQuietUs = 200'000;

  explicit FileWatch(const std::string& path);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  int fd() const { return fd_; }  // readable when something happened; -1: the kernel refuses to watch
  // Reads what happened. Call when `fd` is readable.
  void read(TimeUs now_us);
  // True once after a change, when it has been quiet since.
  bool changed(TimeUs now_us);
  // Whoever calls this reads the file next: what happened to it before is no change any more.
  void forget();

 private:
  int fd_;
  std::string name_;
  TimeUs last_us_ = 0;  // 0: nothing happened
};

}  // namespace ringway::app
