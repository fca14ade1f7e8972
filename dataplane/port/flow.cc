// Flow rules of a port (rte_flow). A driver may call a rule valid and still refuse to create it, so a port is believed
// only when it has created a rule of ours and taken it away again. See flow_rules.h for what the rules say.

#include <netinet/in.h>
#include <rte_errno.h>
#include <rte_flow.h>

#include <array>
#include <span>

#include "dataplane/port/device.h"

namespace ringway::port {

namespace {

std::string reason(int failed, const rte_flow_error& error) {
  std::string text = rte_strerror(failed < 0 ? -failed : failed);
  if (error.message != nullptr) text += std::string(" (") + error.message + ")";
  return text;
}

std::string in_words(const FlowRule& rule) { return "a rule that brings answers to queue " + std::to_string(rule.queue); }
std::string in_words(const DropRule&) { return "a rule that drops SYNs"; }

rte_flow* create(u16 id, const FlowRule& rule, rte_flow_error& error) {
  rte_flow_attr attributes{};
  attributes.ingress = 1;
  rte_flow_item_ipv4 ip{}, ip_mask{};
  ip.hdr.dst_addr = wire::Be32::from_host(rule.destination.v).raw;
  ip_mask.hdr.dst_addr = 0xffff'ffff;
  ip.hdr.next_proto_id = IPPROTO_TCP;
  ip_mask.hdr.next_proto_id = 0xff;
  rte_flow_item_tcp tcp{}, tcp_mask{};
  tcp.hdr.dst_port = wire::Be16::from_host(rule.port).raw;
  tcp_mask.hdr.dst_port = wire::Be16::from_host(rule.port_mask).raw;
  const bool any_port = rule.port_mask == 0;
  const std::array<rte_flow_item, 4> pattern{{
      {RTE_FLOW_ITEM_TYPE_ETH, nullptr, nullptr, nullptr},
      {RTE_FLOW_ITEM_TYPE_IPV4, &ip, nullptr, &ip_mask},
      {RTE_FLOW_ITEM_TYPE_TCP, any_port ? nullptr : &tcp, nullptr, any_port ? nullptr : &tcp_mask},
      {RTE_FLOW_ITEM_TYPE_END, nullptr, nullptr, nullptr},
  }};
  const rte_flow_action_queue queue{rule.queue};
  const std::array<rte_flow_action, 2> actions{{
      {RTE_FLOW_ACTION_TYPE_QUEUE, &queue},
      {RTE_FLOW_ACTION_TYPE_END, nullptr},
  }};
  return rte_flow_create(id, &attributes, pattern.data(), actions.data(), &error);
}

// A SYN without ACK: whoever is connected never sends one.
rte_flow* create(u16 id, const DropRule& rule, rte_flow_error& error) {
  rte_flow_attr attributes{};
  attributes.ingress = 1;
  rte_flow_item_ipv4 ip{}, ip_mask{};
  ip.hdr.src_addr = wire::Be32::from_host(rule.source.network.v).raw;
  ip_mask.hdr.src_addr = wire::Be32::from_host(rule.source.mask()).raw;
  ip.hdr.dst_addr = wire::Be32::from_host(rule.destination.v).raw;
  ip_mask.hdr.dst_addr = rule.destination.v == 0 ? 0 : 0xffff'ffff;
  ip.hdr.next_proto_id = IPPROTO_TCP;
  ip_mask.hdr.next_proto_id = 0xff;
  rte_flow_item_tcp tcp{}, tcp_mask{};
  tcp.hdr.dst_port = wire::Be16::from_host(rule.port).raw;
  tcp_mask.hdr.dst_port = wire::Be16::from_host(rule.port_mask).raw;
  tcp.hdr.tcp_flags = RTE_TCP_SYN_FLAG;
  tcp_mask.hdr.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG;
  const std::array<rte_flow_item, 4> pattern{{
      {RTE_FLOW_ITEM_TYPE_ETH, nullptr, nullptr, nullptr},
      {RTE_FLOW_ITEM_TYPE_IPV4, &ip, nullptr, &ip_mask},
      {RTE_FLOW_ITEM_TYPE_TCP, &tcp, nullptr, &tcp_mask},
      {RTE_FLOW_ITEM_TYPE_END, nullptr, nullptr, nullptr},
  }};
  const std::array<rte_flow_action, 2> actions{{
      {RTE_FLOW_ACTION_TYPE_DROP, nullptr},
      {RTE_FLOW_ACTION_TYPE_END, nullptr},
  }};
  return rte_flow_create(id, &attributes, pattern.data(), actions.data(), &error);
}

void destroy_all(u16 id, std::vector<rte_flow*>& flows) {
  for (rte_flow* flow : flows) {
    rte_flow_error ignored{};
    rte_flow_destroy(id, flow, &ignored);
  }
  flows.clear();
}

// Creates a flow for each rule; the first one twice, since it is given up in between. What was refused, or empty.
template <class Rule>
std::string create_all(u16 id, std::span<const Rule> rules, std::vector<rte_flow*>& flows) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    rte_flow_error error{};
    const auto refuse = [&](const char* what) {
      const int failed = rte_errno;
      destroy_all(id, flows);
      return std::string(what) + " " + in_words(rules[i]) + ": " + reason(failed, error);
    };
    rte_flow* flow = create(id, rules[i], error);
    if (flow == nullptr) return refuse("it does not take");
    if (i == 0) {
      if (rte_flow_destroy(id, flow, &error) != 0) return refuse("it does not give up");
      flow = create(id, rules[i], error);
      if (flow == nullptr) return refuse("it takes only once");
    }
    flows.push_back(flow);
  }
  return {};
}

}  // namespace

std::string Device::steer(std::span<const FlowRule> rules) {
  RW_ASSERT(flows_.empty());
  return create_all(id_, rules, flows_);
}

void Device::unsteer() { destroy_all(id_, flows_); }

std::string Device::refuse(std::span<const DropRule> rules) {
  destroy_all(id_, drops_);
  return create_all(id_, rules, drops_);
}

}  // namespace ringway::port
