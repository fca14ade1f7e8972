// The packet path of a port: one core's receive and transmit queue. See device.h.

#include <rte_ethdev.h>
#include <rte_prefetch.h>

#include <algorithm>
#include <cstring>

#include "dataplane/port/device.h"

namespace ringway::port {

using contract::Counter;
using contract::Verdict;

Queue::Queue(const Device& device, u16 queue, mbuf::Pools& pools, contract::CorePage& page)
    : device_(&device), queue_(queue), pools_(&pools), page_(&page),
      waiting_(std::make_unique<rte_mbuf*[]>(kWaitingMax)) {
  RW_ASSERT(queue < device.queues());
}

Queue::~Queue() {
  if (waiting_ == nullptr) return;
  for (u32 i = 0; i < waiting_count_; ++i) rte_pktmbuf_free(waiting_[(waiting_first_ + i) & (kWaitingMax - 1)]);
}

u32 Queue::rx(mbuf::Pkt (&out)[contract::kBurstMax]) {
  rte_mbuf* burst[contract::kBurstMax];
  const u32 count = rte_eth_rx_burst(device_->id(), queue_, burst, contract::kBurstMax);
  if (count == 0) return 0;
  u64 bytes = 0;
  for (u32 i = 0; i < count; ++i) {
    rte_prefetch0(rte_pktmbuf_mtod(burst[i], void*));
    bytes += burst[i]->pkt_len;
    out[i] = mbuf::Pkt(burst[i]);
  }
  page_->count(Counter::rx_packets, count);
  page_->count(Counter::rx_bytes, bytes);
  return count;
}

bool Queue::must_linearize(const rte_mbuf& frame) const {
  if ((frame.ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0) return frame.nb_segs > device_->caps().tso_segs_max;
  if (frame.nb_segs > device_->caps().segs_max) return true;
  return !device_->caps().multi_segs && RTE_MBUF_HAS_EXTBUF(&frame);
}

mbuf::Pkt Queue::linearize(mbuf::Pkt frame) {
  mbuf::Pkt whole = pools_->alloc();
  if (!whole) {
    page_->count(Verdict::no_mbuf);
    return {};
  }
  const u32 bytes = frame.total_bytes();
  u8* to = bytes <= whole.tailroom() ? whole.append(bytes) : nullptr;
  if (to == nullptr) {
    page_->count(Verdict::tx_refused);
    return {};
  }
  for (const rte_mbuf* s = frame.get(); s != nullptr; s = s->next) {
    std::memcpy(to, rte_pktmbuf_mtod(s, const u8*), s->data_len);
    to += s->data_len;
  }
  whole.get()->ol_flags |= frame.get()->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK;
  whole.get()->tx_offload = frame.get()->tx_offload;
  page_->count(Counter::tx_linearized);
  return whole;
}

void Queue::tx(mbuf::Pkt frame) {
  if (must_linearize(*frame.get())) {
    frame = linearize(std::move(frame));
    if (!frame) return;
  }
  if (waiting_count_ == kWaitingMax) {
    flush();
    if (waiting_count_ == kWaitingMax) {
      page_->count(Verdict::tx_full);
      return;
    }
  }
  waiting_[(waiting_first_ + waiting_count_) & (kWaitingMax - 1)] = frame.release();
  ++waiting_count_;
}

// Returns how many of `frames` are done with: taken by the port, or refused by it and freed.
u32 Queue::send(rte_mbuf** frames, u32 count) {
  const u16 most = static_cast<u16>(count);
  u64 bytes[kWaitingMax + 1];
  bytes[0] = 0;
  for (u32 i = 0; i < count; ++i) bytes[i + 1] = bytes[i] + frames[i]->pkt_len;
  u32 fit = most;
  if (device_->caps().tx_prepare) fit = rte_eth_tx_prepare(device_->id(), queue_, frames, most);
  const u32 sent = rte_eth_tx_burst(device_->id(), queue_, frames, static_cast<u16>(fit));
  page_->count(Counter::tx_packets, sent);
  page_->count(Counter::tx_bytes, bytes[sent]);
  if (sent == fit && fit < count) {
    rte_pktmbuf_free(frames[fit]);
    page_->count(Verdict::tx_refused);
    return sent + 1;
  }
  return sent;
}

void Queue::flush() {
  if (waiting_count_ == 0) {
    if (++idle_flushes_ >= kReclaimEvery) reclaim();
    return;
  }
  idle_flushes_ = 0;
  while (waiting_count_ > 0) {
    const u32 run = std::min(waiting_count_, kWaitingMax - waiting_first_);
    const u32 done = send(&waiting_[waiting_first_], run);
    waiting_first_ = (waiting_first_ + done) & (kWaitingMax - 1);
    waiting_count_ -= done;
    if (done == 0) break;
  }
}

void Queue::reclaim() {
  idle_flushes_ = 0;
  if (device_->caps().tx_cleanup) {
    rte_eth_tx_done_cleanup(device_->id(), queue_, 0);
    return;
  }
  rte_mbuf* none[1] = {nullptr};
  rte_eth_tx_burst(device_->id(), queue_, none, 0);
}

}  // namespace ringway::port
