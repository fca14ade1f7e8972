#pragma once
// Publisher: hands plans to the cores and frees them when no core can touch them any more.
//
// A plan's life at one core: not yet sent, sent, adopted, retired. `publish` makes a plan the current one and mails it
// to every core; a core answers `plan_adopted` when it uses it for new work, and `plan_retired` when it uses a newer one
// and its last exchange on this one is over (contract/plan.h). Control drops its hold when every core has retired the
// plan. A core whose inbox is full gets the plan at a later `poll`; when a newer plan comes first, that core never sees
// the older one. The newest plan is never dropped here.
//
// Control thread only, except `current()`: any thread may take a share, so an admin request keeps the plan that it
// describes alive. The last share frees the plan, on whatever thread that is.

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "src/base/types.h"
#include "src/contract/mail.h"
#include "src/contract/plan.h"
#include "src/contract/ring.h"

namespace ringway::publish {

using MailRing = contract::Ring<contract::Mail>;

class Publisher {
 public:
  // `inboxes[i]` is core i's; they outlive the Publisher. At least one.
  explicit Publisher(std::vector<MailRing*> inboxes);
  // The cores must have stopped.
  ~Publisher() = default;
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // Called when every core has adopted the current plan: the time to take removed endpoints out of rotation.
  void on_all_adopted(std::function<void(const contract::Plan&)> f) { all_adopted_ = std::move(f); }
  // Called when every core has retired a plan, just before control lets go of it.
  void on_retired(std::function<void(const contract::Plan&)> f) { retired_ = std::move(f); }

  // Makes `plan` the current one and sends it. Its generation must be above that of the plan before it.
  void publish(std::shared_ptr<const contract::Plan> plan);

  // Takes plan_adopted and plan_retired; true when the mail was one of them. Mail about a plan that is not known here
  // or that repeats itself is a programmer's error on the core's side: asserted.
  bool on_mail(const contract::Mail& mail);

  // Sends what an inbox had no room for. Call at every turn of the control loop.
  void poll();

  // Any thread. Null before the first publish.
  std::shared_ptr<const contract::Plan> current() const;

  // Core `core` has been sent the current plan, so later mail to it may name that plan.
  bool reached(u32 core) const;
  // Every core works with the current plan.
  bool all_adopted() const;
  // Plans alive, the current one included.
  u32 alive() const { return static_cast<u32>(held_.size()); }

 private:
  enum class At : u8 { unsent, sent, adopted, retired };
  struct Held {
    std::shared_ptr<const contract::Plan> plan;
    std::vector<At> at;  // by core
  };
  void send(Held& held, u32 core);
  void drop_retired();

  std::vector<MailRing*> inboxes_;
  std::vector<Held> held_;  // oldest first; the last one is current
  mutable std::mutex current_mutex_;
  std::shared_ptr<const contract::Plan> current_;
  std::function<void(const contract::Plan&)> all_adopted_, retired_;
};

}  // namespace ringway::publish
