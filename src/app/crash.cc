#include "src/app/crash.h"

#include <execinfo.h>
#include <signal.h>
#include <unistd.h>

#include <cstring>
#include <initializer_list>

namespace ringway::app {

namespace {

constexpr int kFramesMax = 64;

void say(const char* text) { [[maybe_unused]] const ssize_t n = write(STDERR_FILENO, text, std::strlen(text)); }

// Only what POSIX allows in a signal handler, and backtrace(3), which has been loaded before.
void on_crash(int signal_number) {
  say("ringway: ");
  const char* name = sigabbrev_np(signal_number);
  say(name == nullptr ? "signal" : name);
  say(", backtrace:\n");
  void* frames[kFramesMax];
  backtrace_symbols_fd(frames, backtrace(frames, kFramesMax), STDERR_FILENO);
  raise(signal_number);
}

}  // namespace

void print_backtrace_on_crash() {
  // The first call loads libgcc, which allocates: not in a handler.
  void* frame[1];
  backtrace(frame, 1);
  struct sigaction action {};
  action.sa_handler = on_crash;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  for (const int s : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) sigaction(s, &action, nullptr);
}

}  // namespace ringway::app
