#pragma once
// Crash: makes a fault or a failed assertion visible. Prints the signal and a backtrace to stderr, then lets the
// default action happen (core dump, exit by signal), so that the supervisor sees what it would have seen.

namespace ringway::app {

// Once, before other threads are made.
void print_backtrace_on_crash();

}  // namespace ringway::app
