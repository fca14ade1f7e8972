// Fuzzes the DNS responder: any message gets no answer, or one that stays in its room and answers that message.

#include <cstdlib>
#include <cstring>
#include <vector>

#include "dataplane/dns/responder.h"
#include "src/wire/dns.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, std::size_t n) {
  using namespace ringway;
  static const contract::Plan* const plan = [] {
    auto* p = new contract::Plan;
    p->dns_names = {{"api-service", wire::Ip4{1}}, {"auth-service", wire::Ip4{2}}, {"x.mesh.local", wire::Ip4{3}}};
    for (u32 i = 0; i < 40; ++i) p->dns_names.push_back({"zz", wire::Ip4{i + 1}});
    for (u32 i = 0; i < 40; ++i) p->dns_names.push_back({"zz", wire::Ip6::from_halves(1, i)});
    p->dns_zones = {"local", "mesh.local"};
    return p;
  }();
  const std::vector<u8> query(bytes, bytes + n);
  for (const std::size_t room : {512u, 1232u}) {
    std::vector<u8> out(room);
    const u32 size = dns::answer(query, *plan, out);
    if (size == 0) continue;
    if (size > room || size < wire::kDnsHeaderBytes) std::abort();
    const wire::DnsHeaderView h(out.data());
    if (!h.is_response() || h.id() != wire::DnsHeaderView(query.data()).id()) std::abort();
    // The question is echoed as it was sent.
    if (h.questions() == 1) {
      const u32 name = wire::dns_name_bytes(query, wire::kDnsHeaderBytes, false);
      if (name == 0 || std::memcmp(&out[12], &query[12], name + 4u) != 0) std::abort();
    }
  }
  return 0;
}
