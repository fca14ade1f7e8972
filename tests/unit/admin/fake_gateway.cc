// Serves the fake gateway's pages on the socket named by the first argument until its stdin ends. With a second
// argument it refuses reloads. For the test of ringwayctl.

#include <unistd.h>

#include <cstdio>

#include "tests/unit/admin/fake_gateway.h"

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  ringway::test::FakeGateway gateway;
  gateway.accepts_reload = argc == 2;
  const ringway::admin::Admin admin(gateway.sources());
  auto server = ringway::admin::UnixHttp::open(argv[1], [&](const auto& request) { return admin.answer(request); });
  if (!server.has_value()) {
    std::fprintf(stderr, "%s\n", server.error().c_str());
    return 1;
  }
  std::puts("ready");
  std::fflush(stdout);
  char c;
  while (read(STDIN_FILENO, &c, 1) > 0) {
  }
  return 0;
}
