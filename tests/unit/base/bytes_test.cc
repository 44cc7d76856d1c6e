// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <gtest/gtest.h>

namespace cygnet {
namespace {

TEST(Bytes, BigEndianLoadAndStoreMirrorEachOther) {
  std::array<std::uint8_t, 8> b{};
  store_be64(b.data(), 0x0102030405060708ULL);
  EXPECT_EQ(to_hex(b), "0102030405060708");
  EXPECT_EQ(load_be16(b.data()), 0x0102);
  EXPECT_EQ(load_be32(b.data()), 0x01020304U);
  EXPECT_EQ(load_be64(b.data()), 0x0102030405060708ULL);
}

TEST(Bytes, HexRefusesWhatIsNotHex) {
  Bytes out{9};
  EXPECT_FALSE(from_hex("abc", out));
  EXPECT_FALSE(from_hex("zz", out));
  EXPECT_EQ(out, Bytes{9}) << "a refused text must not touch the output";
  EXPECT_TRUE(from_hex("0xDEad", out));
  EXPECT_EQ(out, (Bytes{0xde, 0xad}));
  EXPECT_TRUE(from_hex("", out));
  EXPECT_TRUE(out.empty());
}

TEST(Bytes, ReaderStaysFailedAfterReadingPastTheEnd) {
  const Bytes data{1, 2, 3};
  ByteReader r(data);
  EXPECT_EQ(r.u16(), 0x0102);
  EXPECT_TRUE(r.ok());
  EXPECT_EQ(r.u16(), 0);
  EXPECT_FALSE(r.ok());
  EXPECT_EQ(r.u8(), 0) << "nothing more after a failure, not even what is there";
  EXPECT_FALSE(r.ok());
}

TEST(Bytes, WriterPatchesLengthsAfterwards) {
  ByteWriter w;
  w.u16(0).u32(7).zeros(2);
  w.patch_u16(0, static_cast<std::uint16_t>(w.size()));
  EXPECT_EQ(to_hex(w.view()), "0008000000070000");
}

TEST(Bytes, ConstantTimeEqualComparesContentAndLength) {
  EXPECT_TRUE(constant_time_equal(view_of("secret"), view_of("secret")));
  EXPECT_FALSE(constant_time_equal(view_of("secret"), view_of("secreT")));
  EXPECT_FALSE(constant_time_equal(view_of("secret"), view_of("secre")));
  EXPECT_TRUE(constant_time_equal({}, {}));
}

TEST(Bytes, WipeClears) {
  Bytes b{1, 2, 3};
  wipe(b);
  EXPECT_EQ(b, (Bytes{0, 0, 0}));
  wipe({});
}

}  // namespace
}  // namespace cygnet
