#include "control/admin/unix_http.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace ringway::admin {

namespace {

constexpr std::size_t kRequestBytesMax = 65'536;
constexpr int kPatienceSeconds = 2;

std::string reason(const std::string& what, const std::string& path) {
  return what + " " + path + ": " + std::strerror(errno);
}

bool address_of(const std::string& path, sockaddr_un& out) {
  out = {};
  out.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(out.sun_path)) return false;
  std::memcpy(out.sun_path, path.c_str(), path.size() + 1);
  return true;
}

void set_patience(int fd, int seconds) {
  const timeval wait{seconds, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
}

bool send_all(int fd, const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n = send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

bool somebody_listens(const sockaddr_un& address) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool alive = fd >= 0 && connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  if (fd >= 0) close(fd);
  return alive;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percent_decode(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); i++) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

// The length that the head announces, 0 without one.
std::size_t content_length(std::string head) {
  std::transform(head.begin(), head.end(), head.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::size_t at = head.find("\r\ncontent-length:");
  if (at == std::string::npos) return 0;
  return std::strtoul(head.c_str() + at + 17, nullptr, 10);
}

const char* phrase(u32 status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 503: return "Service Unavailable";
    default: return "Error";
  }
}

}  // namespace

void split_target(const std::string& target, Request& out) {
  const std::size_t question = target.find('?');
  out.path = percent_decode(target.substr(0, question));
  if (question == std::string::npos) return;
  std::size_t at = question + 1;
  while (at <= target.size()) {
    const std::size_t end = std::min(target.find('&', at), target.size());
    const std::string pair = target.substr(at, end - at);
    const std::size_t equals = pair.find('=');
    if (!pair.empty())
      out.query[percent_decode(pair.substr(0, equals))] =
          equals == std::string::npos ? "" : percent_decode(pair.substr(equals + 1));
    at = end + 1;
  }
}

std::string percent_encode(const std::string& text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<u8>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

std::expected<std::unique_ptr<UnixHttp>, std::string> UnixHttp::open(const std::string& path, Answer answer) {
  sockaddr_un address;
  if (!address_of(path, address)) return std::unexpected("admin socket path is empty or too long: " + path);
  std::error_code ignored;
  const auto folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
  if (somebody_listens(address))
    return std::unexpected("another gateway listens on the admin socket " + path + "; stop it or set gateway.adminSocket");
  struct stat what {};
  if (lstat(path.c_str(), &what) == 0 && S_ISSOCK(what.st_mode)) unlink(path.c_str());

  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) return std::unexpected(reason("cannot make the admin socket", path));
  const mode_t before = umask(0117);
  const int bound = bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  umask(before);
  if (bound != 0 || listen(listener, 16) != 0) {
    auto error = std::unexpected(reason("cannot bind the admin socket", path));
    close(listener);
    return error;
  }
  const int wake = eventfd(0, EFD_CLOEXEC);
  return std::unique_ptr<UnixHttp>(new UnixHttp(path, listener, wake, std::move(answer)));
}

UnixHttp::UnixHttp(std::string path, int listener, int wake, Answer answer)
    : path_(std::move(path)), listener_(listener), wake_(wake), answer_(std::move(answer)), thread_([this] { run(); }) {}

UnixHttp::~UnixHttp() {
  const u64 one = 1;
  [[maybe_unused]] const ssize_t n = write(wake_, &one, sizeof(one));
  thread_.join();
  close(listener_);
  close(wake_);
  unlink(path_.c_str());
}

void UnixHttp::run() {
  while (true) {
    pollfd watched[2] = {{listener_, POLLIN, 0}, {wake_, POLLIN, 0}};
    if (poll(watched, 2, -1) < 0) continue;
    if (watched[1].revents != 0) return;
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    set_patience(fd, kPatienceSeconds);
    serve(fd);
    close(fd);
  }
}

void UnixHttp::serve(int fd) {
  std::string in;
  std::size_t head_end = std::string::npos;
  std::size_t wanted = 0;
  while (head_end == std::string::npos || in.size() < wanted) {
    char buffer[4096];
    const ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
    if (n <= 0 || in.size() + static_cast<std::size_t>(n) > kRequestBytesMax) return;
    in.append(buffer, static_cast<std::size_t>(n));
    if (head_end == std::string::npos && (head_end = in.find("\r\n\r\n")) != std::string::npos)
      wanted = head_end + 4 + std::min(content_length(in.substr(0, head_end)), kRequestBytesMax);
  }

  Request request;
  Response response;
  const std::size_t first = in.find(' ');
  const std::size_t second = first == std::string::npos ? first : in.find(' ', first + 1);
  if (second == std::string::npos || second > head_end || in[first + 1] != '/') {
    response = {.status = 400, .body = R"({"error":"this is not an HTTP request"})" "\n"};
  } else {
    request.method = in.substr(0, first);
    split_target(in.substr(first + 1, second - first - 1), request);
    request.body = in.substr(head_end + 4);
    response = answer_(request);
  }
  send_all(fd, "HTTP/1.1 " + std::to_string(response.status) + " " + phrase(response.status) +
                   "\r\nContent-Type: " + response.content_type +
                   "\r\nContent-Length: " + std::to_string(response.body.size()) + "\r\nConnection: close\r\n\r\n" +
                   (request.method == "HEAD" ? "" : response.body));
}

std::expected<Reply, std::string> ask(const std::string& socket_path, const std::string& method,
                                      const std::string& target, u32 timeout_s) {
  sockaddr_un address;
  if (!address_of(socket_path, address)) return std::unexpected("socket path is empty or too long: " + socket_path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::unexpected(reason("cannot make a socket for", socket_path));
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int error = errno;
    close(fd);
    if (error == ENOENT) return std::unexpected("there is no socket " + socket_path + ": is the gateway running, and is this its gateway.adminSocket?");
    if (error == ECONNREFUSED) return std::unexpected("nobody listens on " + socket_path + ": the gateway is not running");
    return std::unexpected("cannot open " + socket_path + ": " + std::strerror(error));
  }
  set_patience(fd, static_cast<int>(timeout_s));
  std::string in;
  const bool sent = send_all(fd, method + " " + target + " HTTP/1.1\r\nHost: ringway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  char buffer[16'384];
  ssize_t n = 0;
  while (sent && (n = recv(fd, buffer, sizeof(buffer), 0)) > 0) in.append(buffer, static_cast<std::size_t>(n));
  close(fd);
  const std::size_t head_end = in.find("\r\n\r\n");
  if (!sent || n < 0 || head_end == std::string::npos || in.size() < 12)
    return std::unexpected("the gateway on " + socket_path + " did not answer");
  return Reply{static_cast<u32>(std::strtoul(in.c_str() + 9, nullptr, 10)), in.substr(head_end + 4)};
}

}  // namespace ringway::admin
