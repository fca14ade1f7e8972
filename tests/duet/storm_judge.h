#pragma once
// Who knows what every request asked for, and so what endpoints may be sent and clients be answered: by the law of the plan
// that requests and answers name (storm_plan.h). Clients and endpoints tell; the first thing that is not right is `error`.

#include <set>

#include "tests/duet/storm_plan.h"

namespace ringway::storm {

// What an answer shall be like, as the request says it in a field that no route touches.
struct Told {
  u32 id = 0;
  char kind = 'l';
  u32 bytes = 0;
  explicit Told(const Message& m) {
    const std::string text = m.field("x-ask");
    if (text.empty()) return;
    char* at = nullptr;
    id = static_cast<u32>(std::strtoul(text.c_str(), &at, 10));
    kind = at[1];
    bytes = static_cast<u32>(std::strtoul(at + 3, nullptr, 10));
  }
};

class Judge {
 public:
  explicit Judge(const PlanMaker& plans) : plans_(plans) {}

  std::string error;
  u32 answers = 0, own_answers = 0;
  u32 next_id = 1;             // of the next request
  bool shifts_stand = false;  // only test traffic goes to new versions
  std::map<std::string, u32> seen;  // how often what has come, for people

  void asked(const Ask& ask) { asks_[ask.id] = ask; }

  // An endpoint has got the head of a request.
  void reached(const Message& m, u32 endpoint, Kind kind) {
    const Told told(m);
    if (told.id == 0) return;
    if (!asks_.contains(told.id)) return complain(told.id, "a request that nobody made reached an endpoint");
    const Ask& ask = asks_.at(told.id);
    if (ask.word == "no" || ask.from == wire::to_string(kOutlaw)) complain(ask.id, "a denied request reached an endpoint");
    if (refused_.contains(ask.id)) complain(ask.id, "a request that was turned away reached an endpoint");
    const bool mirrored = kind == kShadow;
    ++seen[mirrored ? "copies of requests" : kind == kHttp2 ? "requests over HTTP/2" : "requests"];
    compare_head(ask, m, mirrored);
    if (mirrored) return;
    reached_.insert(ask.id);
    if (kind == kHttp1 && endpoint >= kGoodIps) rated_.insert(ask.id);
  }
  // It has got all of it, and may act on it.
  void served(const Message& m, Kind kind) {
    const Told told(m);
    if (told.id == 0 || !asks_.contains(told.id)) return;
    const Ask& ask = asks_.at(told.id);
    if (m.body != ask.body()) complain(ask.id, "an endpoint got another body, of " + std::to_string(m.body.size()) + " bytes");
    if (kind == kShadow || ask.method != "POST" || plans_.repeats_posts()) return;
    if (!posts_.insert(ask.id).second) complain(ask.id, "a POST was served twice");
  }
  // Distinct requests that have come to endpoints of the bad service.
  u64 rated() const { return rated_.size(); }

  // What is wrong with a final answer to `ask`, or nothing.
  std::string judge(const Ask& ask, const Message& m, bool must_succeed) {
    ++answers;
    const std::string plan = m.field("x-plan"), flag = m.field("x-ringway-flag");
    const RouteLaw* const route = plan.empty() ? nullptr : law_of(ask, plan);
    if (!plan.empty() && route == nullptr) return "an answer of a plan or a route that never was: " + plan;
    if (m.fields.contains("x-shadow")) return "a mirror's answer";
    if (m.fields.contains("x-id")) return own(ask, m, route);
    if (must_succeed) return "instead of its answer: " + m.line + " flag " + flag + m.body;
    ++seen[route != nullptr && route->status != 0 ? "answers of routes" : "flag " + flag];
    if (route != nullptr && route->status != 0) return refused(ask) + by_route(ask, m, *route);
    for (const char* early : {"UAEX", "RL", "NR", "FI", "DI,FI"}) {
      if (flag == early) return refused(ask);
    }
    return flag == "rewrite" && m.status() == 500 ? refused(ask) : "";
  }

 private:
  void complain(u32 id, const std::string& what) {
    if (error.empty()) error = what + ": " + (asks_.contains(id) ? asks_.at(id).head_text() : std::to_string(id));
  }
  const RouteLaw* law_of(const Ask& ask, const std::string& plan) const {
    const Law* const law = plans_.law(std::strtoull(plan.c_str(), nullptr, 10));
    if (law == nullptr || !law->routes[ask.listener].contains(ask.word)) return nullptr;
    return &law->routes[ask.listener].at(ask.word);
  }

  // A plan's route has put fields into a request exactly if it has a route for it.
  void compare_head(const Ask& ask, const Message& m, bool mirrored) {
    const std::string plan = m.field("x-plan");
    const RouteLaw* const route = plan.empty() ? nullptr : law_of(ask, plan);
    if (!plan.empty() && route == nullptr) return complain(ask.id, "a request of a plan or a route that never was");
    std::string host = route == nullptr || route->host.empty() ? "web" : route->host;
    if (mirrored) host.insert(std::min(host.find(':'), host.size()), "-shadow");
    const std::string target = (route == nullptr ? ask.path() : route->path_of(ask)) + ask.query();
    if (m.line != ask.method + " " + target + " HTTP/1.1") return complain(ask.id, "an endpoint was asked " + m.line + " instead of " + target);
    if (m.field("host") != host) return complain(ask.id, "an endpoint was called " + m.field("host") + " instead of " + host);
    if (m.fields.contains("x-gone") != (route == nullptr)) return complain(ask.id, "a field stayed, or went");
    if (route == nullptr) return;
    if (m.field("x-route") != ask.word || m.field("x-copy") != ask.token() || m.field("x-who") != ask.from) {
      complain(ask.id, "other fields from its route: " + m.field("x-route") + " " + m.field("x-copy") + " " + m.field("x-who"));
    }
  }

  std::string refused(const Ask& ask) {
    refused_.insert(ask.id);
    return reached_.contains(ask.id) ? "turned away after it had reached an endpoint" : "";
  }

  std::string own(const Ask& ask, const Message& m, const RouteLaw* route) {
    ++own_answers;
    if (m.field("x-id") != std::to_string(ask.id)) return "the answer of request " + m.field("x-id");
    const bool bodyless = ask.method == "HEAD" || ask.kind == 'n' || ask.kind == 'm' || ask.kind == 'U';
    const std::string want = content(ask.id, bodyless ? 0 : ask.answer_bytes);
    if (m.body != want) {
      const auto n = static_cast<long>(std::min(want.size(), m.body.size()));
      const auto at = static_cast<std::size_t>(std::mismatch(m.body.begin(), m.body.begin() + n, want.begin()).first - m.body.begin());
      return "a wrong body of " + std::to_string(m.body.size()) + " bytes, from " + std::to_string(at) + ": " + m.body.substr(at, 60);
    }
    if (m.field("x-sum") != sum_of(ask.body())) return "the endpoint got another body";
    if (m.field("x-seen") != m.field("x-plan") + "/" + m.field("x-said")) return "an answer by another plan than its request: " + m.field("x-seen");
    if (m.fields.contains("x-secret") == (route != nullptr)) return "a field of the answer stayed, or went";
    if (route != nullptr && (m.field("x-copy") != ask.token() || m.field("x-route") != ask.word)) return "other fields from its route";
    if (route != nullptr && route->status != 0) return "an endpoint's answer where the route has one of its own";
    if (const std::string flag = m.field("x-ringway-flag"); !flag.empty() && flag != "DI") return "its answer with flag " + flag;
    return right_version(ask, m);
  }
  std::string right_version(const Ask& ask, const Message& m) {
    const bool green = m.field("x-kind") == std::to_string(static_cast<u32>(kHttp2));
    ++seen[green ? "answers of new versions" : "answers of old versions"];
    if (!shifts_stand || ask.word == "split") return "";
    if (!ask.test) return green ? "an answer of the new version" : "";
    const std::string said = m.field("x-said");
    const Law* const law = said.empty() ? nullptr : plans_.law(std::strtoull(said.c_str(), nullptr, 10));
    if (law == nullptr) return "";
    return green == law->deploys[ask.listener] ? "" : "test traffic at the wrong version";
  }

  std::string by_route(const Ask& ask, const Message& m, const RouteLaw& route) {
    if (m.status() != route.status) return "status " + std::to_string(m.status()) + " of a route's answer";
    if (m.field("x-copy") != ask.token()) return "other fields from its route";
    if (!route.redirects) return m.body == (ask.method == "HEAD" ? "" : route.body) ? "" : "the route's answer is " + m.body;
    const std::string location = "http://" + route.host + route.path_of(ask) + ask.query();
    return m.field("location") == location ? "" : "moved to " + m.field("location") + " instead of " + location;
  }

  const PlanMaker& plans_;
  std::map<u32, Ask> asks_;
  std::set<u32> reached_, refused_, posts_, rated_;
};

}  // namespace ringway::storm
