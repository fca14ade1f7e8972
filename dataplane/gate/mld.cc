// Multicast listener discovery (RFC 3810; RFC 2710 towards routers that know no better): switches that pass multicast only to
// who asked for it learn that we are in the groups where our IPv6 addresses are asked for (RFC 4291 2.7.1).
//
// All groups are reported together: when addresses are new, once more a second later in case the first was lost, and when a
// router asks. A question about one group is answered with all of them. Groups that are left are not told: they grow old.
// Core 0 does this, in its housekeeping, a few packets at a time.

#include <algorithm>
#include <utility>

#include "dataplane/gate/impl.h"
#include "src/wire/mld.h"

namespace ringway::gate {

using contract::Verdict;
using wire::Ip6;
using wire::kEthHeaderBytes;
using wire::kIp6HeaderBytes;

namespace {

constexpr TimeUs kAgainUs = 1'000'000;          // RFC 3810 9.11: Unsolicited Report Interval
constexpr TimeUs kAnswerWithinUs = 60'000'000;  // ours: whatever the question allows
constexpr TimeUs kAnswerEveryUs = 1'000'000;    // ours: however often we are asked
constexpr TimeUs kOldRouterUs = 260'000'000;    // 9.12: Older Version Querier Present Timeout, of the usual intervals
constexpr u32 kRecordsMax =
    (wire::kIp6MtuMin - kIp6HeaderBytes - wire::kIp6RouterAlertBytes - wire::kMld2ReportBytes) / wire::kMld2RecordBytes;

}  // namespace

// RFC 3810 5.1.14 and 6.2.
bool Gate::Impl::accept_query(mbuf::Pkt& pkt, u32 port, const In6& in, TimeUs now_us, bool owned) {
  if (config.core != 0 && !owned) return hand_over(pkt, port, 0);
  constexpr u32 kOptionsAt = kEthHeaderBytes + kIp6HeaderBytes;
  const wire::Ip6View ip(pkt.data() + kEthHeaderBytes);
  const bool on_link = ip.hop_limit() == 1 && wire::is_link_local(in.source) && ip.next_header() == wire::kIp6HopByHop;
  const bool fits = in.bytes() == wire::kMldBytes || in.bytes() >= wire::kMld2QueryBytes;
  if (!on_link || !fits || !pull_up(pkt, in.at + wire::kMldBytes) ||
      !wire::has_router_alert({pkt.data() + kOptionsAt, in.at - kOptionsAt})) {
    return drop(pkt, Verdict::mld_malformed);
  }
  const wire::MldQueryView query(pkt.data() + in.at, in.bytes());
  Listening& l = listening[port];
  if (query.is_old()) l.old_until_us = now_us + kOldRouterUs;
  // At a random moment, so that not all hosts of the link answer at once.
  const u64 draw = (now_us ^ config.seed) * 0x9e37'79b9'7f4a'7c15u >> 32;
  const u64 wait_us = std::min(query.answer_within_us(), kAnswerWithinUs) * draw >> 32;
  const TimeUs at_us = std::max(now_us + wait_us, l.told_us + kAnswerEveryUs);
  if (l.due_us == 0) {
    l.kind = wire::MldRecord::listening;
    l.due_us = at_us;
  }
  l.due_us = std::min(l.due_us, at_us);
  return drop(pkt, Verdict::mld_heard);
}

// New addresses, on every port that has IPv6.
void Gate::Impl::begin_to_listen(TimeUs now_us) {
  for (u32 port = 0; port < listening.size(); ++port) {
    if (!plan->ports[port].has6()) continue;
    Listening& l = listening[port];
    l.kind = wire::MldRecord::begins_to_listen;
    l.due_us = now_us;
    l.again = true;
    l.next = 0;
  }
}

void Gate::Impl::report_groups(TimeUs now_us) {
  for (u32 port = 0; port < listening.size(); ++port) {
    Listening& l = listening[port];
    if (l.due_us == 0 || now_us < l.due_us) continue;
    const bool old = now_us < l.old_until_us;
    bool all = false;
    for (u32 n = 0; n < kAnnouncePerTurn && !all; ++n) all = old ? report_one(port) : report_some(port);
    if (!all) continue;
    l.next = 0;
    l.told_us = now_us;
    l.due_us = std::exchange(l.again, false) ? now_us + kAgainUs : 0;
  }
}

// The group of the next of our addresses on this port, the link-local one last; :: behind that.
Ip6 Gate::Impl::next_group(u32 port) {
  const std::vector<wire::Ip>& all = plan->addresses;
  for (u32& at = listening[port].next; at <= all.size();) {
    const u32 here = at++;
    if (here == all.size()) return wire::solicited_node(link_locals[port]);
    if (all[here].is6() && answers_for(port, all[here].ip6())) return wire::solicited_node(all[here].ip6());
  }
  return {};
}

// A packet with as many records as it takes. True: there are no more groups.
bool Gate::Impl::report_some(u32 port) {
  mbuf::Pkt pkt = pools.alloc();
  u8* const report = pkt ? pkt.append(wire::kMld2ReportBytes) : nullptr;
  if (report == nullptr) {
    page.count(Verdict::no_mbuf);
    return true;
  }
  u32 records = 0;
  Ip6 group;
  while (records < kRecordsMax && (group = next_group(port)) != Ip6{}) {
    wire::write_mld2_record(pkt.append(wire::kMld2RecordBytes), listening[port].kind, group);
    ++records;
  }
  wire::write_mld2_report(report, records);
  if (records > 0) send_report(std::move(pkt), port, wire::kIp6MldRouters);
  return records < kRecordsMax;
}

// Version 1 has a packet for each group, sent to the group.
bool Gate::Impl::report_one(u32 port) {
  const Ip6 group = next_group(port);
  if (group == Ip6{}) return true;
  mbuf::Pkt pkt = pools.alloc();
  if (!pkt) {
    page.count(Verdict::no_mbuf);
    return true;
  }
  wire::write_mld1_report(pkt.append(wire::kMldBytes), group);
  send_report(std::move(pkt), port, group);
  return false;
}

// RFC 3810 5.2.13: from the link-local address, with the router alert, no further than the link.
void Gate::Impl::send_report(mbuf::Pkt pkt, u32 port, const Ip6& destination) {
  const u32 bytes = pkt.total_bytes();
  sum_icmp6(pkt, link_locals[port], destination);
  u8* const ip = pkt.prepend(kIp6HeaderBytes + wire::kIp6RouterAlertBytes);
  RW_ASSERT(ip != nullptr);
  wire::write_router_alert(ip + kIp6HeaderBytes, wire::kIpProtoIcmp6);
  wire::write_ip6(ip, {.payload_bytes = static_cast<u16>(wire::kIp6RouterAlertBytes + bytes), .next_header = wire::kIp6HopByHop,
                       .hop_limit = 1, .source = link_locals[port], .destination = destination});
  send_frame(std::move(pkt), port, wire::multicast_mac(destination), wire::kEtherTypeIp6);
}

}  // namespace ringway::gate
