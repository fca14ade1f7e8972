#pragma once
// Changes of fields that a route asks for, as the writers of heads apply them: which fields of the message go, and which
// come with what values. Values are made of views while they are written; nothing is stored and nothing is allocated.
//
// All bytes of a value come from the configuration, which was checked, from the request, whose fields the reader has
// held against RFC 9110 5.5, or are written by us: none of them can end a line. Used by h1_write and h2_write alike.
// Pure, header-only, any thread.

#include <string_view>

#include "dataplane/http/bytes.h"
#include "dataplane/http/h2_head.h"
#include "dataplane/http/head.h"
#include "dataplane/http/head_target.h"
#include "src/contract/actions.h"

namespace ringway::http {

// What variables stand for in one exchange. The views outlive the writing.
struct ValueSources {
  std::string_view remote_address, remote_address_without_port, protocol, route, service, endpoint;
  std::string_view request_id;             // that the gateway gave; empty when the request brought its own
  const RequestHead* request = nullptr;    // null: it is not at hand, and request fields are empty
  const NeverIndexed* never = nullptr;     // lines of `request`
};

struct FieldEdits {
  const contract::FieldChanges* changes = nullptr;  // null: none
  const ValueSources* sources = nullptr;

  bool drops(std::string_view name) const {
    if (changes == nullptr) return false;
    for (const std::string& dropped : changes->dropped) {
      if (equals_ignoring_case(name, dropped)) return true;
    }
    return false;
  }

  // Shows name, value in parts, and whether the value must not be indexed (RFC 7541 6.2.3), of each field that comes.
  // `visit(name, secret, parts)`, where `parts(sink)` calls `sink(std::string_view)` for each part.
  template <class Visit>
  void each_added(Visit visit) const {
    if (changes == nullptr) return;
    for (const contract::FieldAddition& field : changes->added) {
      std::size_t bytes = 0;
      bool secret = false;
      for (const contract::ValuePiece& piece : field.value) {
        const Part part = part_of(piece);
        bytes += part.text.size();
        secret |= part.secret;
      }
      if (bytes == 0) continue;
      visit(std::string_view(field.name), secret, [&](auto sink) {
        for (const contract::ValuePiece& piece : field.value) sink(part_of(piece).text);
      });
    }
  }

  // What comes, as lines of HTTP/1.1.
  std::size_t bytes_added() const {
    std::size_t bytes = 0;
    each_added([&](std::string_view name, bool, auto parts) {
      bytes += name.size() + 4;
      parts([&](std::string_view part) { bytes += part.size(); });
    });
    return bytes;
  }

 private:
  struct Part {
    std::string_view text;
    bool secret = false;
  };

  Part part_of(const contract::ValuePiece& piece) const {
    using contract::Variable;
    switch (piece.what) {
      case Variable::text: return {piece.text};
      case Variable::remote_address: return {sources->remote_address};
      case Variable::remote_address_without_port: return {sources->remote_address_without_port};
      case Variable::protocol: return {sources->protocol};
      case Variable::route: return {sources->route};
      case Variable::service: return {sources->service};
      case Variable::endpoint: return {sources->endpoint};
      case Variable::request_field: return request_part(piece.text);
    }
    return {};
  }

  Part request_part(std::string_view name) const {
    if (sources->request == nullptr) return {};
    const RequestHead& head = *sources->request;
    const bool secret_line = sources->never != nullptr && sources->never->first_line;
    if (name == ":method") return {head.text(head.method_text), secret_line};
    if (name == ":authority") return {head.text(head.authority)};
    if (name == ":scheme") return {"http"};
    if (name == ":path") {
      const head_edit::Target target = head_edit::target_of(head);
      return {target.lead.empty() ? target.sent : target.lead, secret_line};
    }
    for (u32 i = 0; i < head.field_count; ++i) {
      if (!equals_ignoring_case(head.name(i), name)) continue;
      return {head.value(i), sources->never != nullptr && sources->never->has(i)};
    }
    if (name == "x-request-id") return {sources->request_id};
    return {};
  }
};

// All that a route changes in a head. What is empty stays as it came.
struct RouteEdit {
  FieldEdits fields;
  std::string_view target;  // path and query, valid ones (dataplane/rewrite); X-Envoy-Original-Path tells those that came
  std::string_view host;
  std::string_view flag;    // of a response, X-Ringway-Flag: that a fault was put in
  bool close = false;       // of a request: Connection: close, as its connection serves it alone
};

}  // namespace ringway::http
