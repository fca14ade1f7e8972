#include "dataplane/rewrite/target.h"

#include <cstring>

#include "dataplane/http/bytes.h"
#include "dataplane/rewrite/substitute.h"

namespace ringway::rewrite {
namespace {

using contract::PathChange;

class Output {
 public:
  explicit Output(MutBytes out) : out_(out) {}
  void put(std::string_view text) {
    fits_ = fits_ && out_.size() - bytes_ >= text.size();
    if (!fits_ || text.empty()) return;
    std::memcpy(out_.data() + bytes_, text.data(), text.size());
    bytes_ += text.size();
  }
  MutBytes room() const { return out_.subspan(bytes_); }
  void advance(std::size_t n) { bytes_ += n; }
  Text text() const {
    if (!fits_) return {Outcome::too_long, {}};
    return {Outcome::ok, {reinterpret_cast<const char*>(out_.data()), bytes_}};
  }

 private:
  MutBytes out_;
  std::size_t bytes_ = 0;
  bool fits_ = true;
};

// Only what an expression made can be wrong: whatever else is in a path was checked before.
bool is_path(std::string_view path) {
  if (!path.starts_with('/')) return false;
  const u8* const begin = reinterpret_cast<const u8*>(path.data());
  const u8* const end = begin + path.size();
  return http::scan<http::is_target_byte>(begin, end, begin) == end && path.find_first_of("?#") == std::string_view::npos;
}

void put_path(Output& out, const contract::PathRewrite& rewrite, std::string_view path, u32 prefix_bytes) {
  if (rewrite.kind == PathChange::none) return out.put(path);
  if (rewrite.kind == PathChange::full) return out.put(rewrite.text);
  const std::string_view rest = path.substr(std::min<std::size_t>(prefix_bytes, path.size()));
  out.put(rewrite.text);
  out.put(rest.empty() && rewrite.text.empty() ? "/" : rest);
}

void put_query(Output& out, const http::RequestHead& head) {
  if (!head.has_query) return;
  out.put("?");
  out.put(head.text(head.query));
}

// Without a port.
std::string_view host_of(std::string_view authority) {
  const std::size_t bracket = authority.starts_with('[') ? authority.find(']') : 0;
  const std::size_t colon = bracket == std::string_view::npos ? bracket : authority.find(':', bracket);
  return authority.substr(0, colon);
}

}  // namespace

Text target(const contract::PathRewrite& rewrite, const Expressions& expressions, const http::RequestHead& head,
            u32 prefix_bytes, MutBytes out) {
  if (rewrite.kind == PathChange::none || head.asterisk_form) return {};
  Output output(out);
  if (rewrite.kind == PathChange::regex) {
    u32 bytes = 0;
    switch (substitute(expressions.db->substitutions[rewrite.substitution], expressions.db->rooms[expressions.room],
                       head.path_text(), output.room(), bytes)) {
      case Substituted::unchanged: return {};
      case Substituted::too_long: return {Outcome::too_long, {}};
      case Substituted::failed: return {Outcome::invalid, {}};
      case Substituted::changed: break;
    }
    if (!is_path({reinterpret_cast<const char*>(out.data()), bytes})) return {Outcome::invalid, {}};
    output.advance(bytes);
  } else {
    put_path(output, rewrite, head.path_text(), prefix_bytes);
  }
  put_query(output, head);
  return output.text();
}

Text location(const contract::Redirect& redirect, const http::RequestHead& head, u32 prefix_bytes,
              std::string_view own_host, MutBytes out) {
  Output output(out);
  const std::string_view asked = host_of(head.text(head.authority));
  output.put(redirect.scheme);
  output.put("://");
  output.put(!redirect.host.empty() ? std::string_view(redirect.host) : asked.empty() ? own_host : asked);
  output.put(redirect.port);
  put_path(output, redirect.path, head.asterisk_form ? "/" : head.path_text(), prefix_bytes);
  put_query(output, head);
  return output.text();
}

}  // namespace ringway::rewrite
