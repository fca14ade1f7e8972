#include "dataplane/gate/ingress.h"

#include <rte_acl.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <memory>
#include <vector>

#include "src/base/assert.h"
#include "src/wire/addr.h"

namespace ringway::gate {

namespace {

using contract::Ingress;
using contract::IngressAcl;

// rte_acl's userdata: 0 is "no rule holds".
constexpr u32 kAllow = 1;
constexpr u32 kRefuse = 2;

// What is looked up, in network order. rte_acl wants a first field of one byte, and the rest in groups of four.
struct Key4 {
  static constexpr u32 kWords = 1;  // of an address
  u8 first = 0;
  u8 padding[3] = {};
  std::array<u8, 4> source, destination;
  std::array<u8, 2> port;
  u8 unused[2] = {};
};
struct Key6 {
  static constexpr u32 kWords = 4;
  u8 first = 0;
  u8 padding[3] = {};
  std::array<u8, 16> source, destination;
  std::array<u8, 2> port;
  u8 unused[2] = {};
};
static_assert(sizeof(Key4) == 16 && sizeof(Key6) == 40);

template <class Key>
inline constexpr u32 kFields = 1 + 2 * Key::kWords + 2;

template <class Key>
void define_fields(rte_acl_field_def* defs) {
  u8 field = 0, group = 0;
  u32 offset = 0;
  const auto add = [&](u8 type, u8 bytes) {
    defs[field] = {type, bytes, field, group, offset};
    ++field;
    offset += bytes;
  };
  add(RTE_ACL_FIELD_TYPE_MASK, 1);
  offset = 4;
  for (u32 word = 0; word < 2 * Key::kWords; ++word) {
    ++group;
    add(RTE_ACL_FIELD_TYPE_MASK, 4);
  }
  ++group;
  add(RTE_ACL_FIELD_TYPE_RANGE, 2);
  add(RTE_ACL_FIELD_TYPE_RANGE, 2);
}

// The address of `from` under its prefix, in words of 32 bits; rte_acl takes rules in host order.
void put_prefix(rte_acl_field* fields, const std::array<u8, 16>& address, u32 first_word, u32 words, u32 bits) {
  for (u32 w = 0; w < words; ++w) {
    const u32 begun = w * 32;
    fields[w].value.u32 = wire::load_be32(address.data() + (first_word + w) * 4);
    fields[w].mask_range.u32 = bits <= begun ? 0 : std::min(bits - begun, 32u);
  }
}

template <class Key>
class Builder {
 public:
  RTE_ACL_RULE_DEF(Rule, kFields<Key>);
  static constexpr bool is4 = Key::kWords == 1;
  static constexpr u32 kSkipped = is4 ? 12 : 0;  // bytes of the mapped address

  explicit Builder(const Ingress& ingress) {
    i32 priority = RTE_ACL_MAX_PRIORITY;
    for (const contract::IngressRule& rule : ingress.rules) {
      --priority;  // the first that holds has the highest
      each_source(rule, [&](const wire::Ip6Prefix& from) { each_target(rule, from, priority); });
    }
  }

  // Null with an empty list, or with `error` set.
  rte_acl_ctx* build(std::string& error) {
    if (rules_.empty()) return nullptr;
    static std::atomic<u32> number{0};
    char name[RTE_ACL_NAMESIZE];  // one that exists already would be given out again
    std::snprintf(name, sizeof name, "ingress%c-%u", is4 ? '4' : '6', ++number);
    const rte_acl_param param{.name = name, .socket_id = SOCKET_ID_ANY, .rule_size = sizeof(Rule),
                              .max_rule_num = static_cast<u32>(rules_.size())};
    rte_acl_config config{};
    config.num_categories = 1;
    config.num_fields = kFields<Key>;
    define_fields<Key>(config.defs);
    rte_acl_ctx* acl = rte_acl_create(&param);
    const auto* const rules = reinterpret_cast<const rte_acl_rule*>(rules_.data());
    if (acl != nullptr && rte_acl_add_rules(acl, rules, param.max_rule_num) == 0 && rte_acl_build(acl, &config) == 0) {
      return acl;
    }
    rte_acl_free(acl);
    error = "gateway.ingress: no memory for " + std::to_string(rules_.size()) +
            " entries; give memory.megabytes more, or fewer rules";
    return nullptr;
  }

 private:
  static bool is_of_family(const wire::Ip6Prefix& p) { return p.is4() == is4; }

  // An IPv4 network 0.0.0.0/0 stands as ::ffff:0.0.0.0/96, which Ip takes for IPv4 too.
  template <class F>
  static void each_source(const contract::IngressRule& rule, F&& visit) {
    const wire::Ip6Prefix all4{wire::Ip6::from_halves(0, u64{0xffff} << 32), 96}, all6{};
    if (rule.from.empty()) return visit(is4 ? all4 : all6);
    for (const wire::Ip6Prefix& from : rule.from) {
      if (is_of_family(from)) visit(from);
    }
  }
  void each_target(const contract::IngressRule& rule, const wire::Ip6Prefix& from, i32 priority) {
    const contract::IngressTarget any;
    if (rule.to.empty()) return add(rule.allow, from, any, priority);
    for (const contract::IngressTarget& to : rule.to) {
      if (to.ip.unset() || to.ip.is4() == is4) add(rule.allow, from, to, priority);
    }
  }
  void add(bool allow, const wire::Ip6Prefix& from, const contract::IngressTarget& to, i32 priority) {
    Rule r{};
    r.data = {.category_mask = 1, .priority = priority, .userdata = allow ? kAllow : kRefuse};
    constexpr u32 w = Key::kWords;
    put_prefix(r.field + 1, from.network.b, kSkipped / 4, w, from.bits - kSkipped * 8);
    put_prefix(r.field + 1 + w, to.ip.ip6().b, kSkipped / 4, w, to.ip.unset() ? 0 : w * 32);
    r.field[1 + 2 * w].value.u16 = to.port_first;
    r.field[1 + 2 * w].mask_range.u16 = to.port_last;
    r.field[2 + 2 * w].mask_range.u16 = 0xffff;
    rules_.push_back(r);
  }

  std::vector<Rule> rules_;
};

template <class Key>
bool look_up(const rte_acl_ctx* acl, bool allow, const wire::Ip& remote, const wire::Ip& local, u16 local_port) {
  if (acl == nullptr) return !allow;
  constexpr u32 skipped = sizeof(wire::Ip6) - Key::kWords * 4;
  Key key;
  std::memcpy(key.source.data(), remote.ip6().b.data() + skipped, key.source.size());
  std::memcpy(key.destination.data(), local.ip6().b.data() + skipped, key.destination.size());
  wire::store_be16(key.port.data(), local_port);
  const u8* data = reinterpret_cast<const u8*>(&key);
  u32 result = 0;
  [[maybe_unused]] const int failed = rte_acl_classify(acl, &data, &result, 1, 1);
  RW_ASSERT(failed == 0);
  return result == 0 ? !allow : result == kRefuse;
}

bool ask(const IngressAcl& acl, const wire::Ip& remote, const wire::Ip& local, u16 local_port) {
  return remote.is4() ? look_up<Key4>(acl.ip4, acl.allow, remote, local, local_port)
                      : look_up<Key6>(acl.ip6, acl.allow, remote, local, local_port);
}

void release(IngressAcl& acl) {
  rte_acl_free(acl.ip4);
  rte_acl_free(acl.ip6);
}

}  // namespace

std::string build_ingress(contract::Plan& plan) {
  plan.ingress_acl = nullptr;
  if (plan.ingress.refuses_nobody()) return {};
  std::string error;
  auto acl = std::make_shared<IngressAcl>();
  acl->allow = plan.ingress.allow;
  acl->ask = ask;
  acl->release = release;
  acl->ip4 = Builder<Key4>(plan.ingress).build(error);
  if (error.empty()) acl->ip6 = Builder<Key6>(plan.ingress).build(error);
  if (error.empty()) plan.ingress_acl = std::move(acl);
  return error;
}

}  // namespace ringway::gate
