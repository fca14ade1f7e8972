#pragma once
// The part of DPDK that the mbuf room needs. DPDK headers are included here and nowhere outside dpdk, port and mbuf.
#include <rte_mbuf.h>
#include <rte_mempool.h>
