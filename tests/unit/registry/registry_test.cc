// Slots: kept while a plan names them, given back after, and never mistaken for their former owner's.

#include "control/registry/registry.h"

#include <gtest/gtest.h>

namespace ringway::registry {
namespace {

constexpr wire::Ip4 kIp = wire::Ip4::of(10, 0, 0, 1);

TEST(Registry, SameEndpointInTwoPlans_KeepsItsSlot) {
  Registry registry;
  const auto first = registry.slot_of(1, "auth", kIp, 80);
  EXPECT_EQ(registry.slot_of(1, "auth", kIp, 80), first);
  EXPECT_EQ(registry.slot_of(2, "auth", kIp, 80), first);
  registry.retire(1);
  EXPECT_EQ(registry.slot_of(3, "auth", kIp, 80), first);
}

TEST(Registry, EndpointInTwoServices_HasTwoSlots) {
  Registry registry;
  EXPECT_NE(registry.slot_of(1, "auth", kIp, 80)->index, registry.slot_of(1, "api", kIp, 80)->index);
}

TEST(Registry, LastPlanRetired_SlotIsReleased) {
  Registry registry;
  registry.slot_of(1, "auth", kIp, 80);
  registry.slot_of(2, "auth", kIp, 80);
  registry.retire(1);
  EXPECT_EQ(registry.endpoints().used(), 1u);
  registry.retire(2);
  EXPECT_EQ(registry.endpoints().used(), 0u);
  EXPECT_FALSE(registry.endpoints().find("auth/10.0.0.1:80"));
}

TEST(SlotTable, ReusedSlot_HasANewIncarnation) {
  SlotTable table(1);
  const auto first = table.take(1, "a");
  table.retire(1);
  const auto second = table.take(2, "b");
  EXPECT_EQ(first->index, second->index);
  EXPECT_NE(first->incarnation, second->incarnation);
}

TEST(SlotTable, Full_IsRefusedUntilAPlanRetires) {
  SlotTable table(2);
  EXPECT_TRUE(table.take(1, "a"));
  EXPECT_TRUE(table.take(2, "b"));
  EXPECT_FALSE(table.take(2, "c"));
  table.retire(1);
  EXPECT_TRUE(table.take(2, "c"));
}

TEST(SlotTable, UnknownGeneration_RetiresNothing) {
  SlotTable table(2);
  table.take(1, "a");
  table.retire(7);
  EXPECT_EQ(table.used(), 1u);
}

TEST(Registry, EndpointId_NamesServiceAddressAndPort) {
  EXPECT_EQ(Registry::endpoint_id("auth-service", wire::Ip4::of(10, 80, 0, 11), 8080), "auth-service/10.80.0.11:8080");
}

}  // namespace
}  // namespace ringway::registry
