#include "../../src/cli/numbers.h"

#include <gtest/gtest.h>

#include <string>

namespace qloft::cli {
namespace {

struct Given {
  std::string text;
  std::string refusal;    // empty: none
  std::string read = {};  // what CLI11 gets in place of the text, where that is another
};

TEST(CheckWhole, TakesDecimalsWithinItsBounds) {
  for (const auto& [text, refusal, read] : {
           Given{"16", ""},
           Given{"-8", ""},
           Given{"010", "", "10"},
           Given{"", "expected a whole number, found ''"},
           Given{"many", "expected a whole number, found 'many'"},
           Given{"0x10", "expected a whole number, found '0x10'"},
           Given{"1e3", "expected a whole number, found '1e3'"},
           Given{"17", "expected at most 16, found 17"},
           Given{"-9", "expected at least -8, found -9"},
           Given{"99999999999999999999", "expected at most 16, found 99999999999999999999"},
           Given{"-99999999999999999999", "expected at least -8, found -99999999999999999999"},
       }) {
    std::string number = text;
    EXPECT_EQ(check_whole(number, -8, 16), refusal);
    EXPECT_EQ(number, read.empty() ? text : read);
  }
}

TEST(CheckSeed, TakesWhatSixtyFourBitsHoldWithoutAMinus) {
  for (const auto& [text, refusal, read] : {
           Given{"0", ""},
           Given{"18446744073709551615", ""},
           Given{"007", "", "7"},
           Given{"18446744073709551616",
                 "expected at most 18446744073709551615, found 18446744073709551616"},
           Given{"-1", "expected 0 or more, found -1"},
           Given{"-x", "expected a whole number, found '-x'"},
       }) {
    std::string number = text;
    EXPECT_EQ(check_seed(number), refusal);
    EXPECT_EQ(number, read.empty() ? text : read);
  }
}

TEST(CheckReal, TakesWhatADoubleHolds) {
  for (const auto& [text, refusal, read] : {
           Given{"1e-3", ""},
           Given{"-2.5", ""},
           Given{"", "expected a number, found ''"},
           Given{"2.5x", "expected a number, found '2.5x'"},
           Given{"1e999", "expected a number that 64 bits hold, found 1e999"},
       }) {
    EXPECT_EQ(check_real(text), refusal);
  }
}

}  // namespace
}  // namespace qloft::cli
