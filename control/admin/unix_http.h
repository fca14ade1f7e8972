#pragma once
// UnixHttp: as much of an HTTP/1.1 server as an administrator's socket needs.
//
// One request per connection, answered and closed (`Connection: close`), one connection after the other on a thread of
// its own. Requests are bounded in size and in time, so a caller that says nothing holds the others up for two seconds
// at most. `curl --unix-socket PATH http://ringway/status` speaks it. The socket is for its owner and group only
// (mode 0660): whoever may open it may steer the gateway. RFC 9112.

#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "src/base/types.h"

namespace ringway::admin {

struct Request {
  std::string method;
  std::string path;                          // without query, percent-decoded
  std::map<std::string, std::string> query;  // percent-decoded; the last one of a name counts
  std::string body;
};

struct Response {
  u32 status = 200;
  std::string body;
  std::string content_type = "application/json";
};

class UnixHttp {
 public:
  using Answer = std::function<Response(const Request&)>;

  // Binds `path`; a dead socket left there is replaced, a live one is an error (a sentence). `answer` runs on the
  // server's thread.
  static std::expected<std::unique_ptr<UnixHttp>, std::string> open(const std::string& path, Answer answer);
  // Stops the thread and removes the socket.
  ~UnixHttp();
  UnixHttp(const UnixHttp&) = delete;
  UnixHttp& operator=(const UnixHttp&) = delete;

 private:
  UnixHttp(std::string path, int listener, int wake, Answer answer);
  void run();
  void serve(int fd);

  std::string path_;
  int listener_;
  int wake_;
  Answer answer_;
  std::thread thread_;
};

// The parts of a request target: "/explain?method=GET&url=http%3A%2F%2Fa" -> path and query.
void split_target(const std::string& target, Request& out);

struct Reply {
  u32 status = 0;
  std::string body;
};
// One request to a server on a unix socket, for clients. The error is a sentence. Waits at most `timeout_s`.
std::expected<Reply, std::string> ask(const std::string& socket_path, const std::string& method,
                                      const std::string& target, u32 timeout_s);
// Percent-encodes all but unreserved characters (RFC 3986 2.3).
std::string percent_encode(const std::string& text);

}  // namespace ringway::admin
