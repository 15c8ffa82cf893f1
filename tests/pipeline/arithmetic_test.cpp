#include "qloft/pipeline/arithmetic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "qloft/core/cpu.h"
#include "qloft/core/error.h"

namespace qloft::pipeline {
namespace {

TEST(Arithmetic, AutoIsWhatTheModelAndTheProcessorAllow) {
  constexpr auto bf16 = ElementType::bf16, f16 = ElementType::f16, f32 = ElementType::f32;
  const struct {
    Arithmetic asked;
    Circumstances found;
    std::string dtype, matmul;
  } cases[] = {{{}, {bf16, true}, "bf16", "float"},
               {{}, {f16, true}, "bf16", "float"},
               {{}, {f32, true}, "f32", "float"},
               {{}, {bf16, false}, "f32", "float"},
               {{}, {f32, false}, "f32", "float"},
               // What was asked for stays.
               {{"f32", "int8"}, {bf16, true}, "f32", "int8"},
               {{"bf16", "auto"}, {f32, false}, "bf16", "float"},
               {{"auto", "int8"}, {bf16, true}, "bf16", "int8"}};
  for (const auto& c : cases) {
    const ArithmeticChoice choice = choose(c.asked, c.found);
    const std::string name =
        c.asked.dtype + ", " + c.asked.matmul + " for " + std::string(short_name(c.found.stored));
    EXPECT_EQ(choice.arithmetic.dtype, c.dtype) << name;
    EXPECT_EQ(choice.arithmetic.matmul, c.matmul) << name;
    EXPECT_EQ(choice.reason.empty(), c.asked.dtype != "auto") << name;
  }
}

TEST(Arithmetic, ACacheIsBf16UnlessF32WasAskedFor) {
  const struct {
    Arithmetic asked;
    std::string cache_type;
  } cases[] = {{{}, "bf16"},
               {{"bf16", "auto"}, "bf16"},
               {{"f32", "auto"}, "f32"},
               {{"f32", "auto", "int8"}, "int8"},
               {{"auto", "auto", "f32"}, "f32"}};
  for (const auto& c : cases) {
    // Also where auto comes to f32.
    const Arithmetic chosen = choose(c.asked, {ElementType::f32, false}).arithmetic;
    EXPECT_EQ(chosen.cache_type, c.cache_type) << c.asked.dtype << ", " << c.asked.cache_type;
  }
}

TEST(Arithmetic, FactorsAreWhatTheDeviceReadsSoonestUnlessF32WasAskedFor) {
  const struct {
    Arithmetic asked;
    std::string fastest, adapter_type;
  } cases[] = {{{}, "int8", "int8"},
               {{}, "bf16", "bf16"},
               {{"bf16"}, "int8", "int8"},
               {{"f32"}, "int8", "f32"},
               {{"f32", "auto", "auto", "int8"}, "bf16", "int8"},
               {{"auto", "auto", "auto", "f32"}, "int8", "f32"}};
  for (const auto& c : cases) {
    const Circumstances found{ElementType::f32, false, c.fastest};
    EXPECT_EQ(choose(c.asked, found).arithmetic.adapter_type, c.adapter_type)
        << c.asked.dtype << ", " << c.asked.adapter_type;
  }
}

TEST(Arithmetic, TheOutputMatrixIsInEightBitsWhereFactorsAreUnlessF32WasAskedFor) {
  const struct {
    Arithmetic asked;
    std::string fastest, output_type;
  } cases[] = {{{}, "int8", "int8"},
               {{}, "bf16", "stored"},
               {{}, "f32", "stored"},
               {{"f32"}, "int8", "stored"},
               {{"f32", "auto", "auto", "auto", "int8"}, "bf16", "int8"},
               {{"auto", "auto", "auto", "auto", "stored"}, "int8", "stored"}};
  for (const auto& c : cases) {
    const Circumstances found{ElementType::f32, false, c.fastest};
    EXPECT_EQ(choose(c.asked, found).arithmetic.output_type, c.output_type)
        << c.asked.dtype << ", " << c.asked.output_type;
  }
}

TEST(Arithmetic, TheReasonNamesWhatSettledIt) {
  using testing::HasSubstr;
  EXPECT_THAT(choose({}, {ElementType::bf16, true}).reason, HasSubstr("bf16: the model is stored"));
  EXPECT_THAT(choose({}, {ElementType::bf16, false}).reason,
              HasSubstr("f32: the processor has no"));
  EXPECT_THAT(choose({}, {ElementType::f32, true}).reason,
              HasSubstr("f32, as the model is stored"));
}

TEST(Arithmetic, AutoOnThisMachineIsNoneThatItLacks) {
  const std::string dtype = choose({}, "cpu", ElementType::bf16).arithmetic.dtype;
  if (chosen_instruction_set() != InstructionSet::avx512) {
    EXPECT_EQ(dtype, "f32");
  }
  EXPECT_EQ(choose({}, "cpu", ElementType::f32).arithmetic.dtype, "f32");
}

}  // namespace
}  // namespace qloft::pipeline
