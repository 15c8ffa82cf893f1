// Reductions, encoding and packing: every instruction set gives the same bits as the definition.

#include <bit>
#include <limits>

#include "support.h"

namespace qloft::kernels {
namespace {

TEST(Kernels, TableNamesTheInstructionSetThatRuns) {
  for (const InstructionSet set : sets()) EXPECT_EQ(table_of(set).set, set) << name(set);
  EXPECT_EQ(table().set, chosen_instruction_set());
}

TEST(Kernels, AbsmaxFindsTheLargestMagnitudeAtEveryPlace) {
  for (const InstructionSet set : sets()) {
    for (std::int64_t count = 0; count <= 40; ++count) {
      for (std::int64_t at = 0; at < count; ++at) {
        std::vector<float> x(static_cast<std::size_t>(count) + 1, 0.25f);
        x[static_cast<std::size_t>(at) + 1] = -2.f;
        EXPECT_EQ(table_of(set).absmax(x.data() + 1, count), 2.f) << name(set) << " " << count;
      }
    }
    EXPECT_EQ(table_of(set).absmax(nullptr, 0), 0.f);
  }
}

TEST(Kernels, AbsmaxShowsInfinityAndNan) {
  for (const InstructionSet set : sets()) {
    for (const float bad :
         {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
          std::numeric_limits<float>::quiet_NaN()}) {
      for (const std::size_t at : {0u, 7u, 17u, 36u}) {
        std::vector<float> x(37, 1.f);
        x[at] = bad;
        EXPECT_FALSE(std::isfinite(table_of(set).absmax(x.data(), 37))) << name(set) << " " << at;
      }
    }
  }
}

TEST(Kernels, MinmaxFindsBothEnds) {
  for (const InstructionSet set : sets()) {
    for (std::int64_t count = 1; count <= 40; ++count) {
      const std::vector<float> x = normal(count, 11);
      float low;
      float high;
      table_of(set).minmax(x.data(), count, &low, &high);
      EXPECT_EQ(low, *std::min_element(x.begin(), x.end()));
      EXPECT_EQ(high, *std::max_element(x.begin(), x.end()));
    }
  }
}

// Else the offset of a block of zeros would have another sign from set to set.
TEST(Kernels, MinmaxOfZerosOfBothSignsIsThePositiveZero) {
  for (const InstructionSet set : sets()) {
    for (const std::int64_t count : {1, 8, 9, 23}) {
      for (std::int64_t at = 0; at <= count; ++at) {
        std::vector<float> x(static_cast<std::size_t>(count), -0.f);
        if (at < count) x[static_cast<std::size_t>(at)] = 0.f;
        float low;
        float high;
        table_of(set).minmax(x.data(), count, &low, &high);
        EXPECT_FALSE(std::signbit(low) || std::signbit(high)) << name(set) << " " << count;
      }
    }
  }
}

TEST(Kernels, EncodeCountsTheThresholdsBelow) {
  for (const InstructionSet set : sets()) {
    for (int bits = 1; bits <= 8; ++bits) {
      for (const int levels : {1 << bits, std::max(2, (1 << bits) - 1)}) {
        const CodeValues book = uneven_book(bits, levels);
        for (std::int64_t count = 0; count <= 70; ++count) {
          const std::int64_t shift = count % 4;
          const std::vector<float> x = normal(count + shift, 5);
          std::vector<std::uint8_t> codes(static_cast<std::size_t>(count));
          table_of(set).encode(book, x.data() + shift, count, 0.125f, 0.5f, codes.data());
          for (std::int64_t i = 0; i < count; ++i) {
            const float v = (x[static_cast<std::size_t>(i + shift)] - 0.125f) * 0.5f;
            int expected = 0;
            for (int k = 0; k + 1 < levels; ++k) expected += v > book.thresholds[k];
            ASSERT_EQ(codes[static_cast<std::size_t>(i)], expected)
                << name(set) << " bits " << bits << " count " << count;
          }
        }
      }
    }
  }
}

TEST(Kernels, EncodeSendsATieDown) {
  for (const InstructionSet set : sets()) {
    for (int bits = 1; bits <= 8; ++bits) {
      const CodeValues book = uneven_book(bits);
      std::vector<std::uint8_t> codes(256);
      table_of(set).encode(book, book.thresholds, book.levels - 1, 0.f, 1.f, codes.data());
      for (int i = 0; i + 1 < book.levels; ++i) {
        EXPECT_EQ(codes[static_cast<std::size_t>(i)], i) << name(set) << " bits " << bits;
      }
    }
  }
}

TEST(Kernels, PackedCodesComeBackAtEveryLength) {
  for (const InstructionSet set : sets()) {
    for (int bits = 1; bits <= 8; ++bits) {
      for (std::int64_t count = 0; count <= 130; ++count) {
        Random random(static_cast<std::uint64_t>(count));
        std::vector<std::uint8_t> codes(static_cast<std::size_t>(count));
        for (auto& code : codes) code = static_cast<std::uint8_t>(random.below(1u << bits));
        const std::int64_t bytes = packed_bytes(count, bits);
        std::vector<std::uint8_t> packed(static_cast<std::size_t>(bytes) + 1, 0xa5);
        std::vector<std::uint8_t> plain(static_cast<std::size_t>(bytes));
        table_of(set).pack(codes.data(), count, bits, packed.data());
        table(InstructionSet::portable).pack(codes.data(), count, bits, plain.data());
        EXPECT_EQ(packed.back(), 0xa5) << "wrote past the end";
        packed.pop_back();
        EXPECT_EQ(packed, plain) << name(set) << " bits " << bits << " count " << count;
        std::vector<std::uint8_t> back(static_cast<std::size_t>(count));
        table_of(set).unpack(packed.data(), count, bits, back.data());
        EXPECT_EQ(back, codes) << name(set) << " bits " << bits << " count " << count;
      }
    }
  }
}

// The bytes that docs/formats.md gives as examples.
TEST(Kernels, PackedBytesAreThoseOfTheDescription) {
  std::vector<std::uint8_t> codes(32);
  for (int i = 0; i < 32; ++i)
    codes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i % 8);
  std::vector<std::uint8_t> four(16);
  table(InstructionSet::portable).pack(codes.data(), 32, 4, four.data());
  EXPECT_EQ(std::vector<std::uint8_t>(four.begin(), four.begin() + 4),
            (std::vector<std::uint8_t>{0x40, 0x51, 0x62, 0x73}));
  std::vector<std::uint8_t> three(12);
  table(InstructionSet::portable).pack(codes.data(), 32, 3, three.data());
  // Elements k, k + 16, k + 4, k + 20 modulo 4 in the 2-bit plane; the third bit is that of the
  // elements 4 to 7, 12 to 15, ...: the upper four fields of each byte of the 1-bit plane.
  EXPECT_EQ(three, (std::vector<std::uint8_t>{0x00, 0x55, 0xaa, 0xff, 0x00, 0x55, 0xaa, 0xff, 0xf0,
                                              0xf0, 0xf0, 0xf0}));
  std::vector<std::uint8_t> tail(2);
  const std::uint8_t five[5] = {1, 2, 3, 4, 5};
  table(InstructionSet::portable).pack(five, 5, 3, tail.data());
  EXPECT_EQ(tail, (std::vector<std::uint8_t>{0xd1, 0x58}));
}

TEST(Kernels, FittedScaleIsNoWorseThanThePlainOne) {
  const auto error = [](const CodeValues& book, const std::vector<float>& x, float scale) {
    double sum = 0;
    for (const float value : x) {
      std::uint8_t code;
      table(InstructionSet::portable).encode(book, &value, 1, 0.f, 1.f / scale, &code);
      sum += std::pow(static_cast<double>(value) - scale * book.values[code], 2);
    }
    return sum;
  };
  for (const InstructionSet set : sets()) {
    for (int bits = 1; bits <= 8; ++bits) {
      const CodeValues book = uneven_book(bits);
      for (const std::int64_t count : {1, 7, 16, 33, 64, 100}) {
        const std::vector<float> x = normal(count, 100 + static_cast<std::uint64_t>(count));
        const float absmax = table_of(set).absmax(x.data(), count);
        const double fitted =
            error(book, x, table_of(set).fit_scale(book, x.data(), count, absmax));
        EXPECT_LE(fitted, error(book, x, absmax) * (1 + 1e-5)) << name(set) << " bits " << bits;
      }
    }
  }
}

TEST(Kernels, FittedScaleIsTheSameToTheBit) {
  const Table& plain = table(InstructionSet::portable);
  for (const InstructionSet set : sets()) {
    for (int bits = 1; bits <= 8; ++bits) {
      for (const int levels : {1 << bits, std::max(2, (1 << bits) - 1)}) {
        const CodeValues book = uneven_book(bits, levels);
        for (std::int64_t count = 1; count <= 70; ++count) {
          // Of the largest weights the sums overflow, of the least ones they vanish.
          for (const float size : {0.02f, 1e30f, 1e-30f}) {
            std::vector<float> x = normal(count + 1, static_cast<std::uint64_t>(count));
            for (float& value : x) value *= size;
            const float absmax = plain.absmax(x.data() + 1, count);
            const float found = table_of(set).fit_scale(book, x.data() + 1, count, absmax);
            const float expected = plain.fit_scale(book, x.data() + 1, count, absmax);
            ASSERT_EQ(std::bit_cast<std::uint32_t>(found), std::bit_cast<std::uint32_t>(expected))
                << name(set) << " bits " << bits << " levels " << levels << " count " << count
                << " size " << size;
          }
        }
      }
    }
  }
}

TEST(Kernels, Bf16ConversionsMatchTheScalarOnes) {
  std::vector<float> x = normal(70, 9);
  x[3] = std::numeric_limits<float>::quiet_NaN();
  x[4] = std::numeric_limits<float>::infinity();
  x[5] = 1e-41f;
  x[6] = std::bit_cast<float>(0x3f808000u);  // a tie
  x[7] = std::bit_cast<float>(0x7f800001u);  // a NaN whose upper half is infinity
  for (const InstructionSet set : sets()) {
    for (std::int64_t count = 0; count <= 70; ++count) {
      std::vector<BFloat16> half(70);
      table_of(set).f32_to_bf16(x.data(), count, half.data());
      std::vector<float> back(70);
      table_of(set).bf16_to_f32(half.data(), count, back.data());
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        EXPECT_EQ(half[i].bits, BFloat16::from_float(x[i]).bits) << name(set) << " " << i;
        EXPECT_EQ(std::bit_cast<std::uint32_t>(back[i]),
                  std::bit_cast<std::uint32_t>(half[i].to_float()));
      }
    }
  }
}

}  // namespace
}  // namespace qloft::kernels
