#include "qloft/evaluate/final_number.h"

#include <gtest/gtest.h>

namespace qloft::evaluate {
namespace {

using Rule = AnswerRule;

struct Case {
  const char* text;
  std::optional<std::string> hashes;
  std::optional<std::string> last;
};

TEST(FinalNumber, IsReadByEitherRule) {
  const Case cases[] = {
      {"5 + 3 = 8\n#### 8", "8", "8"},
      {"#### 1,200", "1200", "1200"},
      {"#### $18.50", "18.5", "18.5"},
      {"#### 18.00 dollars", "18", "18"},
      {"#### -7", "-7", "-7"},
      {"the total is 42.", std::nullopt, "42"},
      {"5-3", std::nullopt, "3"},
      {"no number at all", std::nullopt, std::nullopt},
      {"#### none, but 3", std::nullopt, "3"},
      {"#### 8\nQuestion: 9", "8", "9"},
      {"####", std::nullopt, std::nullopt},
      {"#### 007", "7", "7"},
      {"", std::nullopt, std::nullopt},
      {"1,2,3", std::nullopt, "123"},
      {"-", std::nullopt, std::nullopt},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(final_number(c.text, Rule::hashes), c.hashes) << c.text;
    EXPECT_EQ(final_number(c.text, Rule::last_number), c.last) << c.text;
  }
}

}  // namespace
}  // namespace qloft::evaluate
