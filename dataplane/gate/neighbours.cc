#include "dataplane/gate/neighbours.h"

#include <cstring>

namespace ringway::gate {

Neighbours::Neighbours() : entries_(std::make_unique<Entry[]>(kEntries)) { live_.reserve(kEntries); }

u64 Neighbours::pack(const wire::Mac& mac) {
  u64 word = 0;
  std::memcpy(&word, mac.b.data(), mac.b.size());
  return word | kValid;
}

Neighbours::Key Neighbours::key_of(u32 port, const wire::Ip& ip) {
  if (ip.is4()) return key_of(port, ip.ip4());
  const u64 high = ip.ip6().high(), low = ip.ip6().low();
  // Not keyed: a neighbour can fill a window whatever we do, and `make` gives up what was confirmed longest ago.
  const u64 mix = (high ^ (low + 0x9e37'79b9'7f4a'7c15u)) * 0xd6e8'feb8'6659'fd93u;
  return {kIs6 | (u64{port} + 1) << 32 | mix >> 32, high, low};
}

Neighbours::Entry* Neighbours::existing(const Key& key) const {
  const u32 first = first_place(key.word);
  for (u32 i = 0; i < kWindow; ++i) {
    Entry& e = entries_[(first + i) % kEntries];
    if (holds(e, key)) return &e;
    if (e.key.load(std::memory_order_relaxed) == 0) return nullptr;
  }
  return nullptr;
}

bool Neighbours::find(const Key& key, wire::Mac& out) const {
  const Entry* e = existing(key);
  return e != nullptr && read(*e, key, out);
}

void Neighbours::forget(Entry& entry) {
  entry.mac.store(0, std::memory_order_release);
  entry.state = State::empty;
}

void Neighbours::list(Entry& entry) {
  if (entry.listed) return;
  entry.listed = true;
  live_.push_back(static_cast<u32>(&entry - entries_.get()));
}

Neighbours::Entry& Neighbours::make(const Key& key) {
  if (Entry* e = existing(key)) return *e;
  const u32 first = first_place(key.word);
  Entry* victim = nullptr;
  for (u32 i = 0; i < kWindow; ++i) {
    Entry& e = entries_[(first + i) % kEntries];
    if (e.key.load(std::memory_order_relaxed) == 0) {
      victim = &e;
      break;
    }
    // A question that has no answer yet was never learned: spoofed addresses push one another out (RFC 6583 7.1).
    const bool unused = e.state == State::empty;
    const bool better = victim == nullptr || unused > (victim->state == State::empty) ||
                        (unused == (victim->state == State::empty) && e.learned_us < victim->learned_us);
    if (better) victim = &e;
  }
  forget(*victim);
  victim->high.store(key.high, std::memory_order_relaxed);
  victim->low.store(key.low, std::memory_order_relaxed);
  victim->key.store(key.word, std::memory_order_release);
  victim->used.store(0, std::memory_order_relaxed);
  victim->learned_us = 0;
  return *victim;
}

void Neighbours::fill(const Entry& entry, bool unicast, Request& out) const {
  const u64 key = entry.key.load(std::memory_order_relaxed);
  out.port = static_cast<u32>((key & ~kIs6) >> 32) - 1;
  out.ip = (key & kIs6) == 0 ? wire::Ip(wire::Ip4{static_cast<u32>(key)})
                             : wire::Ip(wire::Ip6::from_halves(entry.high.load(std::memory_order_relaxed),
                                                               entry.low.load(std::memory_order_relaxed)));
  out.unicast = unicast;
  if (unicast) out.to = unpack(entry.mac.load(std::memory_order_relaxed));
}

// What time does to one entry. True: `out` is to be sent.
bool Neighbours::step(Entry& entry, TimeUs now_us, Request& out) {
  if (entry.state == State::empty || now_us < entry.due_us) return false;
  if (entry.state == State::reachable) {
    if (entry.used.exchange(0, std::memory_order_relaxed) == 0) {
      forget(entry);
      return false;
    }
    entry.state = State::confirming;
    entry.tries = 0;
  }
  if (entry.tries == kTries) {
    forget(entry);
    return false;
  }
  ++entry.tries;
  entry.due_us = now_us + kRetryUs;
  fill(entry, entry.state == State::confirming, out);
  return true;
}

bool Neighbours::next_request(TimeUs now_us, Request& out) {
  Ask ask;
  while (asks_.pop(ask)) {
    Entry& e = make(key_of(static_cast<u32>(ask.port), ask.ip));
    if (e.state != State::empty) continue;
    list(e);
    e.state = State::asked;
    e.tries = 0;
    e.due_us = now_us;
    return step(e, now_us, out);
  }
  if (walk_at_ == 0 && now_us < walk_due_us_) return false;
  while (walk_at_ < live_.size()) {
    Entry& e = entries_[live_[walk_at_]];
    const bool send = step(e, now_us, out);
    if (e.state == State::empty) {
      e.listed = false;
      live_[walk_at_] = live_.back();
      live_.pop_back();
      continue;
    }
    ++walk_at_;
    if (send) return true;
  }
  walk_at_ = 0;
  walk_due_us_ = now_us + kWalkEveryUs;
  return false;
}

bool Neighbours::learn(u32 port, const wire::Ip& ip, const wire::Mac& mac, bool solicited, TimeUs now_us) {
  const Key key = key_of(port, ip);
  if (solicited) {
    const Entry* known = existing(key);
    if (known == nullptr || (known->state != State::asked && known->state != State::confirming)) return false;
  }
  Entry& e = make(key);
  list(e);
  e.mac.store(pack(mac), std::memory_order_release);
  e.state = State::reachable;
  e.tries = 0;
  e.learned_us = now_us;
  e.due_us = now_us + kReachableUs;
  return true;
}

bool Neighbours::update(u32 port, const wire::Ip& ip, const wire::Mac& mac, TimeUs now_us) {
  const Entry* known = existing(key_of(port, ip));
  if (known == nullptr || known->state == State::empty) return false;
  return learn(port, ip, mac, false, now_us);
}

u32 Neighbours::known() const {
  u32 n = 0;
  for (const u32 at : live_) n += (entries_[at].mac.load(std::memory_order_relaxed) & kValid) != 0;
  return n;
}

}  // namespace ringway::gate
