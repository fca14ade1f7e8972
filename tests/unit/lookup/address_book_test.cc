// AddressBook: one number for one address, held ones stay, and the rest make room without moving anybody.

#include "src/lookup/address_book.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace ringway::lookup {
namespace {

using wire::Addr;
using wire::Ip4;
using wire::Ip6;

Ip6 nth(u32 n) { return Ip6::from_halves(0x2001'0db8'0000'0000, n); }

TEST(AddressBook, OneAddress_HasOneNumberAndGivesItselfBack) {
  AddressBook book(7, 100);
  const Addr a = book.name(nth(1));
  EXPECT_FALSE(a.is4());
  EXPECT_EQ(book.name(nth(1)), a);
  EXPECT_EQ(book.find(nth(1)), a);
  EXPECT_NE(book.name(nth(2)), a);
  EXPECT_EQ(book.ip6(a), nth(1));
  EXPECT_EQ(book.find(nth(3)), Addr{});
}

TEST(AddressBook, Ipv4Addresses_PassThroughWithoutAnEntry) {
  AddressBook book(7, 100);
  const Addr a = book.name(wire::Ip(Ip4::of(10, 1, 2, 3)));
  EXPECT_EQ(a, Ip4::of(10, 1, 2, 3));
  book.hold(a);
  book.drop(a);
  EXPECT_EQ(book.ip(a), wire::Ip(Ip4::of(10, 1, 2, 3)));
  EXPECT_EQ(book.known(), 0u);
}

TEST(AddressBook, HeldAddresses_OutliveAnyNumberOfOthers) {
  AddressBook book(1, 16);
  std::vector<Addr> held;
  for (u32 i = 0; i < 16; ++i) {
    held.push_back(book.name(nth(i)));
    book.hold(held.back());
  }
  for (u32 i = 100; i < 100 + 4 * AddressBook::kSpare; ++i) book.name(nth(i));
  for (u32 i = 0; i < 16; ++i) EXPECT_EQ(book.find(nth(i)), held[i]);
  EXPECT_EQ(book.held(), 16u);
  EXPECT_LE(book.known(), 16 + AddressBook::kSpare);
  EXPECT_EQ(book.find(nth(100)), Addr{});
}

TEST(AddressBook, AnAddressNobodyHolds_StaysForSpareOthersSinceItWasNamedLast) {
  AddressBook book(1, 16);
  const Addr a = book.name(nth(0));
  for (u32 i = 1; i < AddressBook::kSpare; ++i) book.name(nth(i));
  EXPECT_EQ(book.name(nth(0)), a);
  for (u32 i = 0; i < AddressBook::kSpare - 1; ++i) book.name(nth(1'000'000 + i));
  EXPECT_EQ(book.find(nth(0)), a);
  book.name(nth(9'000'000));
  EXPECT_EQ(book.find(nth(0)), Addr{});
}

TEST(AddressBook, HoldsAreCounted_TheLastDropFrees) {
  AddressBook book(1, 4);
  const Addr a = book.name(nth(0));
  book.hold(a);
  book.hold(a);
  book.drop(a);
  EXPECT_EQ(book.held(), 1u);
  book.drop(a);
  EXPECT_EQ(book.held(), 0u);
  for (u32 i = 1; i <= AddressBook::kSpare; ++i) book.name(nth(i));
  EXPECT_EQ(book.find(nth(0)), Addr{});
}

TEST(AddressBook, Digest_IsTheSameInEveryBookOfOneSeedAndFewCollide) {
  AddressBook one(42, 4), two(42, 4), other(43, 4);
  two.name(nth(5));
  const wire::FourTuple in_one{one.name(nth(1)), one.name(nth(2)), 80, 4000};
  const wire::FourTuple in_two{two.name(nth(1)), two.name(nth(2)), 80, 4000};
  EXPECT_NE(in_one, in_two);
  EXPECT_EQ(one.digest(in_one), two.digest(in_two));
  EXPECT_NE(one.digest(nth(1)), other.digest(nth(1)));
  std::set<u32> seen;
  for (u32 i = 0; i < 10'000; ++i) seen.insert(one.digest(nth(i)));
  EXPECT_GE(seen.size(), 9'990u);
}

}  // namespace
}  // namespace ringway::lookup
