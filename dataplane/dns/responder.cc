#include "dataplane/dns/responder.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "src/wire/dns.h"

namespace ringway::dns {

using contract::DnsName;
using wire::DnsRcode;
using wire::DnsWriter;

namespace {

constexpr u16 kNameOfQuestion = 0xc000 | wire::kDnsHeaderBytes;  // a pointer to it
constexpr u32 kOptBytes = 11;

struct Question {
  Bytes raw;                                      // name, type and class as sent
  std::array<char, wire::kDnsNameBytesMax> text;  // lower case, dots between labels, none at the end
  u32 text_bytes = 0;
  u16 type = 0;
  u16 klass = 0;
  std::string_view name() const { return {text.data(), text_bytes}; }
};

struct Edns {
  bool present = false;
  u16 udp_bytes = 0;
  u8 version = 0;
  bool dnssec_ok = false;
};

char lower(u8 c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); }

bool read_question(Bytes query, Question& q) {
  const std::size_t begin = wire::kDnsHeaderBytes;
  const u32 name_bytes = wire::dns_name_bytes(query, begin, false);
  if (name_bytes == 0 || query.size() < begin + name_bytes + 4) return false;
  q.raw = query.subspan(begin, name_bytes + 4);
  for (std::size_t at = 0; q.raw[at] != 0; at += 1u + q.raw[at]) {
    if (q.text_bytes > 0) q.text[q.text_bytes++] = '.';
    for (u32 i = 1; i <= q.raw[at]; ++i) {
      // A dot inside a label must not pass for one between labels.
      const u8 c = q.raw[at + i];
      q.text[q.text_bytes++] = c == '.' ? '\0' : lower(c);
    }
  }
  q.type = wire::load_be16(&q.raw[name_bytes]);
  q.klass = wire::load_be16(&q.raw[name_bytes + 2]);
  return true;
}

// Walks over the additional records; false when one is malformed or there are two OPTs (RFC 6891 6.1.1).
bool read_edns(Bytes query, std::size_t at, u32 records, Edns& edns) {
  for (u32 i = 0; i < records; ++i) {
    const u32 name_bytes = wire::dns_name_bytes(query, at, true);
    if (name_bytes == 0 || query.size() - at < name_bytes + 10u) return false;
    const u8* const fixed = &query[at + name_bytes];
    const u16 data_bytes = wire::load_be16(fixed + 8);
    if (query.size() - at - name_bytes - 10 < data_bytes) return false;
    if (wire::load_be16(fixed) == wire::kDnsTypeOpt) {
      if (edns.present || name_bytes != 1) return false;
      edns = {true, wire::load_be16(fixed + 2), fixed[5], (fixed[6] & 0x80) != 0};
    }
    at += name_bytes + 10u + data_bytes;
  }
  return true;
}

bool is_below(std::string_view name, std::string_view zone) {
  return name.size() > zone.size() && name.ends_with(zone) && name[name.size() - zone.size() - 1] == '.';
}

// What is known of a name.
struct Finding {
  DnsRcode rcode = DnsRcode::refused;
  const DnsName* first = nullptr;  // its addresses
  const DnsName* last = nullptr;
  u32 zone_skip = 0;               // the zone's name is the question's from this byte of it on (wire format)
};

// Bytes of the wire name before its last `text_bytes` characters.
u32 skip_to(const Question& q, std::size_t text_bytes) { return static_cast<u32>(q.text_bytes - text_bytes); }

Finding look_up(const Question& q, const contract::Plan& plan) {
  Finding f;
  const std::string_view name = q.name();
  const auto less = [](const auto& a, const auto& b) {
    const auto text = [](const auto& v) -> std::string_view {
      if constexpr (requires { v.name; }) return v.name; else return v;
    };
    return text(a) < text(b);
  };
  const auto range = std::equal_range(plan.dns_names.begin(), plan.dns_names.end(), name, less);
  if (range.first != range.second) {
    f.first = &*range.first;
    f.last = f.first + (range.second - range.first);
    f.rcode = DnsRcode::no_error;
  }
  // A name without a dot is in the root's zone, one outside of all zones is its own.
  const bool single = name.find('.') == std::string_view::npos;
  f.zone_skip = single ? q.text_bytes + (name.empty() ? 0u : 1u) : 0;
  bool in_zone = single && !name.empty();
  std::size_t longest = 0;
  for (const std::string& zone : plan.dns_zones) {
    if (zone != name && !is_below(name, zone)) continue;
    if (zone == name) f.rcode = DnsRcode::no_error;
    in_zone = true;
    if (zone.size() < longest) continue;
    longest = zone.size();
    f.zone_skip = skip_to(q, zone.size());
  }
  if (f.rcode == DnsRcode::no_error) return f;
  // RFC 8020: a name above a known one exists, without records of its own.
  const bool above = !name.empty() && std::any_of(plan.dns_names.begin(), plan.dns_names.end(),
                                                  [&](const DnsName& n) { return is_below(n.name, name); });
  if (above && in_zone) {
    f.rcode = DnsRcode::no_error;
  } else if (in_zone) {
    f.rcode = DnsRcode::nx_domain;
  }
  return f;
}

void write_header(DnsWriter& w, Bytes query, DnsRcode rcode, bool authoritative, bool truncated, u16 questions,
                  u16 answers, u16 authorities, u16 additionals) {
  const wire::DnsHeaderView h(query.data());
  w.u16be(h.id());
  w.u8be(static_cast<u8>(0x80 | h.opcode() << 3 | (authoritative ? 0x04 : 0) | (truncated ? 0x02 : 0) |
                         (h.recursion_desired() ? 0x01 : 0)));
  w.u8be(static_cast<u8>(rcode) & 0x0f);
  w.u16be(questions);
  w.u16be(answers);
  w.u16be(authorities);
  w.u16be(additionals);
}

void write_opt(DnsWriter& w, DnsRcode rcode, const Edns& edns) {
  w.u8be(0);
  w.u16be(wire::kDnsTypeOpt);
  w.u16be(kAnswerBytesMax);
  w.u8be(static_cast<u8>(static_cast<u32>(rcode) >> 4));
  w.u8be(0);
  w.u16be(edns.dnssec_ok ? 0x8000 : 0);  // RFC 3225 3: copied
  w.u16be(0);
}

// The zone's SOA: its minimum and TTL say how long "no" may be remembered (RFC 2308 5).
void write_soa(DnsWriter& w, u32 zone_skip, const contract::Plan& plan) {
  const u16 zone = static_cast<u16>(kNameOfQuestion + zone_skip);
  w.u16be(zone);
  w.u16be(wire::kDnsTypeSoa);
  w.u16be(wire::kDnsClassIn);
  w.u32be(plan.dns_ttl_s);
  constexpr std::string_view kMailbox = "hostmaster";
  w.u16be(static_cast<u16>(2 + 1 + kMailbox.size() + 2 + 20));
  w.u16be(zone);
  w.u8be(static_cast<u8>(kMailbox.size()));
  w.bytes({reinterpret_cast<const u8*>(kMailbox.data()), kMailbox.size()});
  w.u16be(zone);
  w.u32be(static_cast<u32>(plan.generation));
  w.u32be(3600);
  w.u32be(600);
  w.u32be(86'400);
  w.u32be(plan.dns_ttl_s);
}

bool wants(u16 type, const DnsName& n) {
  return type == wire::kDnsTypeAny || type == (n.ip.is4() ? wire::kDnsTypeA : wire::kDnsTypeAaaa);
}

void write_address(DnsWriter& w, const DnsName& n, u32 ttl_s) {
  w.u16be(kNameOfQuestion);
  w.u16be(n.ip.is4() ? wire::kDnsTypeA : wire::kDnsTypeAaaa);
  w.u16be(wire::kDnsClassIn);
  w.u32be(ttl_s);
  if (n.ip.is4()) {
    w.u16be(4);
    w.u32be(n.ip.ip4().v);
  } else {
    w.u16be(16);
    w.bytes(n.ip.ip6().b);
  }
}

u32 refuse(Bytes query, DnsRcode rcode, const Question* q, const Edns& edns, MutBytes out) {
  DnsWriter w(out);
  write_header(w, query, rcode, false, false, q != nullptr, 0, 0, edns.present);
  if (q != nullptr) w.bytes(q->raw);
  if (edns.present) write_opt(w, rcode, edns);
  return w.size();
}

}  // namespace

u32 answer(Bytes query, const contract::Plan& plan, MutBytes out) {
  RW_ASSERT(out.size() >= wire::kDnsUdpBytesDefault);
  if (query.size() < wire::kDnsHeaderBytes) return 0;
  const wire::DnsHeaderView h(query.data());
  if (h.is_response()) return 0;
  Question q;
  Edns edns;
  if (h.opcode() != 0) return refuse(query, DnsRcode::not_imp, nullptr, edns, out);
  if (h.questions() != 1 || h.answers() != 0 || h.authorities() != 0 || !read_question(query, q)) {
    return refuse(query, DnsRcode::form_err, nullptr, edns, out);
  }
  if (!read_edns(query, wire::kDnsHeaderBytes + q.raw.size(), h.additionals(), edns)) {
    return refuse(query, DnsRcode::form_err, &q, {}, out);
  }
  if (edns.version > 0) return refuse(query, DnsRcode::bad_vers, &q, edns, out);
  if (q.klass != wire::kDnsClassIn && q.klass != wire::kDnsClassAny) {
    return refuse(query, DnsRcode::refused, &q, edns, out);
  }
  const Finding f = look_up(q, plan);
  if (f.rcode == DnsRcode::refused) return refuse(query, f.rcode, &q, edns, out);

  u32 room = wire::kDnsUdpBytesDefault;
  if (edns.present) room = std::clamp<u32>(edns.udp_bytes, wire::kDnsUdpBytesDefault, kAnswerBytesMax);
  room = std::min<u32>(room, static_cast<u32>(out.size())) - (edns.present ? kOptBytes : 0);

  // Records first, then the header that counts them.
  DnsWriter w(out.first(room));
  w.rewind(wire::kDnsHeaderBytes);
  w.bytes(q.raw);
  const u32 question_end = w.size();
  u16 answers = 0;
  u16 authorities = 0;
  bool truncated = false;
  for (const DnsName* n = f.first; n != f.last; ++n) {
    if (!wants(q.type, *n)) continue;
    write_address(w, *n, plan.dns_ttl_s);
    ++answers;
  }
  if (!w.fits()) {
    truncated = true;
    answers = 0;
    w.rewind(question_end);
  } else if (answers == 0) {
    write_soa(w, f.zone_skip, plan);
    authorities = 1;
  }
  RW_ASSERT(w.fits());
  u32 size = w.size();
  DnsWriter header(out);
  write_header(header, query, f.rcode, true, truncated, 1, answers, authorities, edns.present);
  if (edns.present) {
    DnsWriter tail(out.subspan(size));
    write_opt(tail, f.rcode, edns);
    size += tail.size();
  }
  return size;
}

}  // namespace ringway::dns
