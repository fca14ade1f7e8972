#include "control/publish/publisher.h"

#include <algorithm>

#include "src/base/assert.h"

namespace ringway::publish {

using contract::Mail;
using contract::MailKind;
using contract::Plan;

Publisher::Publisher(std::vector<MailRing*> inboxes) : inboxes_(std::move(inboxes)) {
  RW_ASSERT(!inboxes_.empty() && inboxes_.size() <= contract::kCoresMax);
}

void Publisher::publish(std::shared_ptr<const Plan> plan) {
  RW_ASSERT(plan != nullptr);
  RW_ASSERT(held_.empty() || plan->generation > held_.back().plan->generation);
  // A core that has not been sent the plan before this one has nothing to retire.
  if (!held_.empty())
    for (At& at : held_.back().at)
      if (at == At::unsent) at = At::retired;
  held_.push_back(Held{plan, std::vector<At>(inboxes_.size(), At::unsent)});
  {
    std::lock_guard lock(current_mutex_);
    current_ = std::move(plan);
  }
  poll();
  drop_retired();
}

void Publisher::send(Held& held, u32 core) {
  Mail mail;
  mail.kind = MailKind::adopt_plan;
  mail.core = static_cast<u16>(core);
  mail.plan = held.plan.get();
  if (inboxes_[core]->push(mail)) held.at[core] = At::sent;
}

void Publisher::poll() {
  if (held_.empty()) return;
  Held& newest = held_.back();
  for (u32 core = 0; core < inboxes_.size(); core++)
    if (newest.at[core] == At::unsent) send(newest, core);
}

bool Publisher::on_mail(const Mail& mail) {
  if (mail.kind != MailKind::plan_adopted && mail.kind != MailKind::plan_retired) return false;
  auto held = std::find_if(held_.begin(), held_.end(), [&](const Held& h) { return h.plan.get() == mail.plan; });
  RW_ASSERT(held != held_.end() && mail.core < held->at.size());
  At& at = held->at[mail.core];
  if (mail.kind == MailKind::plan_adopted) {
    RW_ASSERT(at == At::sent);
    at = At::adopted;
    if (std::next(held) == held_.end() && all_adopted() && all_adopted_) all_adopted_(*held->plan);
    return true;
  }
  // A core may pass over a plan when a newer one stood behind it in the inbox: retired without having been adopted.
  RW_ASSERT(at == At::adopted || at == At::sent);
  RW_ASSERT(std::next(held) != held_.end());
  at = At::retired;
  drop_retired();
  return true;
}

void Publisher::drop_retired() {
  for (auto held = held_.begin(); held != held_.end() && std::next(held) != held_.end();) {
    const bool gone = std::all_of(held->at.begin(), held->at.end(), [](At at) { return at == At::retired; });
    if (!gone) {
      ++held;
      continue;
    }
    const std::shared_ptr<const Plan> plan = std::move(held->plan);
    held = held_.erase(held);
    if (retired_) retired_(*plan);
  }
}

std::shared_ptr<const Plan> Publisher::current() const {
  std::lock_guard lock(current_mutex_);
  return current_;
}

bool Publisher::reached(u32 core) const {
  return !held_.empty() && held_.back().at[core] != At::unsent;
}

bool Publisher::all_adopted() const {
  if (held_.empty()) return false;
  const auto& at = held_.back().at;
  return std::all_of(at.begin(), at.end(), [](At a) { return a == At::adopted; });
}

}  // namespace ringway::publish
