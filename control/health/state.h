#pragma once
// HealthState: what the results of one endpoint's active checks say about it. A decision without clock or thread.
//
// The first success makes an endpoint healthy at once, so that a new task does not wait for a threshold (Envoy's rule);
// after that `unhealthy_threshold` failures in a row take it out and `healthy_threshold` successes in a row bring it
// back. Until the first success it is unproven and gets no traffic, however the checks fail.

#include "src/base/types.h"
#include "src/contract/health.h"

namespace ringway::health {

// The last two are told by outlier detection.
enum class Transition : u8 { none, became_healthy, became_unhealthy, ejected, returned };

struct Thresholds {
  u32 healthy = 1;
  u32 unhealthy = 3;
};

class HealthState {
 public:
  // What the result changes for picks. A first failure of an unproven endpoint changes nothing.
  Transition on_result(bool ok, const Thresholds& thresholds) {
    run_ = ok == last_ok_ ? run_ + 1 : 1;
    last_ok_ = ok;
    if (ok && !proven_) {
      proven_ = true;
      failing_ = false;
      return Transition::became_healthy;
    }
    if (ok && failing_ && run_ >= thresholds.healthy) {
      failing_ = false;
      return Transition::became_healthy;
    }
    if (!ok && !failing_ && run_ >= thresholds.unhealthy) {
      failing_ = true;
      return proven_ ? Transition::became_unhealthy : Transition::none;
    }
    return Transition::none;
  }
  // For an endpoint that is not checked.
  void take_as_healthy() {
    proven_ = true;
    failing_ = false;
  }

  bool healthy() const { return proven_ && !failing_; }
  bool proven() const { return proven_; }
  // The checks' share of the HealthBoard word.
  u32 bits() const { return (proven_ ? 0u : u32{contract::kHealthUnproven}) | (failing_ ? u32{contract::kHealthFailing} : 0u); }
  // Results alike in a row, the last one included.
  u32 run() const { return run_; }

 private:
  bool proven_ = false;
  bool failing_ = false;
  bool last_ok_ = false;
  u32 run_ = 0;
};

}  // namespace ringway::health
