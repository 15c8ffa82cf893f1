#include "qloft/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "qloft/core/error.h"
#include "qloft/core/random.h"

namespace qloft::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

quant::Format nf(int bits, std::int64_t block = 64) {
  return {.bits = bits, .codebook = quant::Codebook::nf, .block = block, .second_level = {}};
}

// One matrix a layer, 64 x 64: with block 64 and f32 scales, `bits` + 0.5 stored bits a weight.
Table table_of(std::vector<quant::Format> formats, std::vector<std::vector<double>> errors) {
  Table table{std::move(formats), {}};
  for (std::size_t m = 0; m < errors.size(); ++m) {
    table.matrices.push_back({.name = "matrix" + std::to_string(m),
                              .rows = 64,
                              .columns = 64,
                              .layer = static_cast<int>(m),
                              .group = {},
                              .errors = std::move(errors[m])});
  }
  return table;
}

std::uint64_t stored_bytes(const Table& table, std::size_t matrix, std::size_t format) {
  const MatrixRow& m = table.matrices[matrix];
  const double bits = table.formats[format].bits_per_weight(m.rows, m.columns) *
                      static_cast<double>(m.rows * m.columns);
  return static_cast<std::uint64_t>(std::llround(bits / 8));
}

std::uint64_t stored_bytes(const Table& table, const std::vector<std::size_t>& formats) {
  std::uint64_t sum = 0;
  for (std::size_t m = 0; m < formats.size(); ++m) sum += stored_bytes(table, m, formats[m]);
  return sum;
}

bool keeps(const Table& table, const Constraints& constraints,
           const std::vector<std::size_t>& formats) {
  const int last = table.matrices.back().layer;
  for (std::size_t m = 0; m < formats.size(); ++m) {
    const MatrixRow& matrix = table.matrices[m];
    const bool outer = matrix.layer == 0 || matrix.layer == last;
    if (outer && table.formats[formats[m]].bits < constraints.first_and_last_bits) return false;
    for (std::size_t n = 0; n < m && constraints.same_in_group; ++n) {
      const bool together = !matrix.group.empty() && matrix.group == table.matrices[n].group;
      if (together && formats[m] != formats[n]) return false;
    }
  }
  return true;
}

// The least sum of errors by trying every allocation.
double brute_force(const Table& table, std::uint64_t budget, const Constraints& constraints) {
  const std::size_t matrices = table.matrices.size(), formats = table.formats.size();
  std::vector<std::vector<std::uint64_t>> bytes(matrices);
  for (std::size_t m = 0; m < matrices; ++m) {
    for (std::size_t f = 0; f < formats; ++f) bytes[m].push_back(stored_bytes(table, m, f));
  }
  double least = std::numeric_limits<double>::infinity();
  std::vector<std::size_t> tried(matrices, 0);
  while (true) {
    std::uint64_t sum = 0;
    double error = 0;
    for (std::size_t m = 0; m < matrices; ++m) {
      sum += bytes[m][tried[m]];
      error += table.matrices[m].errors[tried[m]];
    }
    if (sum <= budget && error < least && keeps(table, constraints, tried)) least = error;
    std::size_t m = 0;
    while (m < matrices && ++tried[m] == formats) tried[m++] = 0;
    if (m == matrices) return least;
  }
}

// Shapes, layers, groups and errors of no pattern: errors fall with the bits only on the whole, so
// that some candidates are dominated.
Table random_table(std::uint64_t seed) {
  Random random(seed);
  Table table{{nf(2), nf(2, 16), nf(3), nf(3, 32), nf(4), nf(8)}, {}};
  for (int m = 0; m < 5; ++m) {
    MatrixRow matrix{.name = "matrix" + std::to_string(m),
                     .rows = static_cast<std::int64_t>(1 + random.below(90)),
                     .columns = static_cast<std::int64_t>(1 + random.below(90)),
                     .layer = m / 2,
                     .group = m / 2 == 1 ? "group" : "",
                     .errors = {}};
    const double size = 1e-3 + random.uniform();
    for (const quant::Format& format : table.formats) {
      matrix.errors.push_back(size * std::pow(4.0, -format.bits) * (0.5 + random.uniform()));
    }
    table.matrices.push_back(matrix);
  }
  return table;
}

std::string refusal(const Table& table, std::uint64_t budget, Strategy strategy,
                    const Constraints& constraints = {}) {
  try {
    allocate(table, budget, strategy, constraints);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Ilp, FindsTheOptimumThatTryingEveryAllocationFinds) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const Table table = random_table(seed);
    for (const Constraints constraints :
         {Constraints{}, Constraints{.first_and_last_bits = 3}, Constraints{.same_in_group = true},
          Constraints{.first_and_last_bits = 4, .same_in_group = true}}) {
      const Range range = reachable(table, constraints);
      for (const double part : {0.0, 0.1, 0.25, 0.5, 0.8, 1.0}) {
        const auto budget = range.least + static_cast<std::uint64_t>(
                                              part * static_cast<double>(range.most - range.least));
        const Allocation found = allocate(table, budget, Strategy::ilp, constraints);
        const double optimum = brute_force(table, budget, constraints);
        EXPECT_NEAR(found.objective, optimum, 1e-5 * optimum) << seed << " " << budget;
        EXPECT_LE(found.bound, optimum * (1 + 1e-12));
        EXPECT_LE(found.gap, 1.0001e-5);
        EXPECT_LE(found.bytes, budget);
        EXPECT_EQ(found.bytes, stored_bytes(table, found.formats));
        EXPECT_TRUE(keeps(table, constraints, found.formats));
      }
    }
  }
}

TEST(Ilp, BeatsTheGreedyChoiceWhereTheBestFirstStepLeavesNoRoom) {
  // 512 bytes a bit of a matrix. Greedy takes the step of matrix 0 (3 bits, the most a byte), which
  // leaves 2 of the 5 bits unused; the two of 2 and 3 bits lower the error by more.
  const Table table =
      table_of({nf(2), nf(4), nf(5)}, {{9.0, 9.0, 1.0}, {6.0, 1.0, 1.0}, {6.0, 1.0, 1.0}});
  const std::uint64_t budget = stored_bytes(table, {0, 1, 1});
  const Allocation greedy = allocate(table, budget, Strategy::greedy);
  const Allocation ilp = allocate(table, budget, Strategy::ilp);
  EXPECT_THAT(ilp.formats, ElementsAre(0, 1, 1));
  EXPECT_DOUBLE_EQ(ilp.objective, 11.0);
  EXPECT_GT(greedy.objective, ilp.objective);
  EXPECT_GE(greedy.gap, (greedy.objective - ilp.objective) / greedy.objective);
}

TEST(Strategies, NoneIsBetterThanTheIntegerProgramAndAllKeepTheBudget) {
  for (std::uint64_t seed = 100; seed < 110; ++seed) {
    const Table table = random_table(seed);
    const std::uint64_t budget = budget_of(table, 7.0);
    const Allocation best = allocate(table, budget, Strategy::ilp);
    for (const Strategy strategy : {Strategy::greedy, Strategy::first_layers, Strategy::uniform}) {
      const Allocation other = allocate(table, budget, strategy);
      EXPECT_GE(other.objective, best.objective * (1 - 1e-12)) << name(strategy);
      EXPECT_LE(other.bytes, budget) << name(strategy);
      EXPECT_LE(other.bound, best.objective * (1 + 1e-12)) << name(strategy);
    }
  }
}

TEST(FirstLayers, GivesFourBitsToAsManyFirstLayersAsFit) {
  const std::vector<double> errors = {4.0, 2.0, 1.0};
  const Table table = table_of({nf(2), nf(3), nf(4)}, {errors, errors, errors, errors});
  const auto formats_at = [&](double bits, const Constraints& constraints = {}) {
    return allocate(table, budget_of(table, bits), Strategy::first_layers, constraints).formats;
  };
  EXPECT_THAT(formats_at(2.5), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(formats_at(3.4), ElementsAre(2, 0, 0, 0));
  EXPECT_THAT(formats_at(3.5), ElementsAre(2, 2, 0, 0));
  EXPECT_THAT(formats_at(9.0), ElementsAre(2, 2, 2, 2));
  EXPECT_THAT(formats_at(3.5, {.first_and_last_bits = 4}), ElementsAre(2, 0, 0, 2));
}

TEST(FirstLayers, TakesThePairOfFormatsOfLeastError) {
  // Block 16 costs 1.5 bits more a weight than block 64 and here gains nothing at 4 bits.
  const Table table =
      table_of({nf(2), nf(2, 16), nf(4), nf(4, 16)}, {{4.0, 3.9, 1.0, 1.0}, {4.0, 0.5, 1.0, 1.0}});
  EXPECT_THAT(allocate(table, budget_of(table, 4.3), Strategy::first_layers).formats,
              ElementsAre(2, 1));
}

TEST(Uniform, TakesTheFormatOfLeastErrorThatFitsEverywhere) {
  const Table table = table_of({nf(2), nf(3), nf(4)}, {{4.0, 2.0, 1.0}, {4.0, 3.0, 5.0}});
  EXPECT_THAT(allocate(table, budget_of(table, 2.9), Strategy::uniform).formats, ElementsAre(0, 0));
  EXPECT_THAT(allocate(table, budget_of(table, 9.0), Strategy::uniform).formats, ElementsAre(1, 1));
}

TEST(Candidates, ThatAreDominatedLeaveTheProblem) {
  // The second format takes more bytes than the first and in matrix 0 leaves more error.
  const Table table = table_of({nf(2), nf(3), nf(4)}, {{1.0, 1.5, 0.5}, {1.0, 0.8, 0.5}});
  EXPECT_EQ(allocate(table, budget_of(table, 9.0), Strategy::greedy).choices, 5u);
}

TEST(Constraints, OfAGroupAreOnItsSum) {
  // Alone matrix 0 would take 4 bits and matrix 1 would take 2.
  Table table = table_of({nf(2), nf(3), nf(4)}, {{9.0, 4.0, 0.0}, {1.0, 0.9, 0.8}});
  for (MatrixRow& matrix : table.matrices) {
    matrix.group = "qkv";
    matrix.layer = 0;
  }
  const std::uint64_t budget = budget_of(table, 3.5);
  EXPECT_THAT(allocate(table, budget, Strategy::ilp).formats, ElementsAre(2, 0));
  EXPECT_THAT(allocate(table, budget, Strategy::ilp, {.same_in_group = true}).formats,
              ElementsAre(1, 1));
}

TEST(Budget, ThatIsItsOwnAllocationsFigureIsMet) {
  const Table table = random_table(3);
  for (const double bits : {4.0, 5.0, 6.0, 7.0}) {
    const Allocation once = allocate(table, budget_of(table, bits), Strategy::ilp);
    const Allocation again = allocate(table, budget_of(table, once.bits_per_weight), Strategy::ilp);
    EXPECT_EQ(again.bytes, once.bytes);
  }
}

TEST(Budget, ThatIsTooSmallIsRefusedWithTheSmallestAndTheLargest) {
  const Table table = table_of({nf(2), nf(4)}, {{1.0, 0.5}, {1.0, 0.5}});
  EXPECT_THAT(refusal(table, budget_of(table, 2.25), Strategy::ilp),
              HasSubstr("budget: expected 2560 to 4608 bytes (2.500 bits per weight to 4.500 bits "
                        "per weight), found 2304 bytes (2.250 bits per weight)"));
  EXPECT_EQ(refusal(table, 2560, Strategy::ilp), "accepted");
}

TEST(Range, IsKnownBeforeTheErrors) {
  const Table table = table_of({nf(2), nf(4)}, {{}, {}});
  const Range range = reachable(table, {});
  EXPECT_EQ(range.least, 2560u);
  EXPECT_EQ(range.most, 4608u);
}

TEST(Strategies, SayWhyTheyCannotMeetABudget) {
  Table mixed = table_of({nf(2), nf(4)}, {{1.0, 0.5}, {1.0, 0.5}, {1.0, 0.5}});
  const Constraints outer{.first_and_last_bits = 4};
  EXPECT_THAT(refusal(mixed, budget_of(mixed, 4.0), Strategy::uniform, outer),
              HasSubstr("uniform: the smallest format takes 4.500 bits per weight, the budget is "
                        "4.000 bits per weight"));
  const Table narrow = table_of({nf(3)}, {{1.0}});
  EXPECT_THAT(refusal(narrow, budget_of(narrow, 4.0), Strategy::first_layers),
              HasSubstr("first-layers: expected candidates of 2 and of 4 bits"));
}

TEST(Table, ThatIsBrokenIsRefusedByTheMatrix) {
  const auto broken = [](auto change) {
    Table table = table_of({nf(2), nf(4)}, {{1.0, 0.5}, {1.0, 0.5}});
    change(table);
    return refusal(table, 1 << 20, Strategy::ilp);
  };
  EXPECT_THAT(broken([](Table& t) { t.matrices.clear(); }), HasSubstr("matrices: expected"));
  EXPECT_THAT(broken([](Table& t) { t.formats.clear(); }), HasSubstr("candidates: expected"));
  EXPECT_THAT(broken([](Table& t) { t.matrices[1].errors.pop_back(); }),
              HasSubstr("matrix1: expected 2 errors, found 1"));
  EXPECT_THAT(broken([](Table& t) { t.matrices[1].errors[0] = NAN; }), HasSubstr("matrix1: "));
  EXPECT_THAT(broken([](Table& t) { t.matrices[0].errors[1] = -1; }), HasSubstr("matrix0: "));
  EXPECT_THAT(broken([](Table& t) { t.matrices[0].group = t.matrices[1].group = "qkv"; }),
              HasSubstr("matrix1: expected the group qkv in one layer"));
}

// 64 x 64 at rank 2 in 16 bits: 512 bytes, a bit of its codes.
TEST(Table, WithRanksCountsTheirFactors) {
  Table table = table_of({nf(2), nf(2), nf(3)}, {{4, 1, 3}, {4, 3, 1}, {4, 0.5, 0.1}});
  table.ranks = {0, 2, 0};
  table.factor_bits = 16;
  table.matrices[2].adapted = false;  // a rank takes no bytes there, and 3 bits do
  const std::uint64_t least = reachable(table, {}).least;
  EXPECT_EQ(least, stored_bytes(table, {0, 0, 0}));
  const Allocation found = allocate(table, least + 2 * 512, Strategy::ilp);
  EXPECT_THAT(found.formats, ElementsAre(1, 2, 1));
  EXPECT_EQ(found.bytes, least + 2 * 512);
  table.ranks = {0, 65, 0};
  EXPECT_THAT(allocate(table, 1 << 20, Strategy::ilp).formats, ElementsAre(2, 2, 2));
  table.ranks = {0, 2};
  EXPECT_THAT(refusal(table, 1 << 20, Strategy::ilp), HasSubstr("ranks: expected one a format, 3"));
}

TEST(Table, WithoutAFormatThatTheConstraintsAllowIsRefused) {
  const Table table = table_of({nf(2), nf(3)}, {{1.0, 0.5}});
  EXPECT_THAT(refusal(table, 1 << 20, Strategy::ilp, {.first_and_last_bits = 4}),
              HasSubstr("matrix0: expected a candidate of at least 4 bits, found none"));
}

TEST(Table, WithoutAnyErrorHasNoGap) {
  const Table table = table_of({nf(2), nf(3)}, {{0.0, 0.0}});
  const Allocation found = allocate(table, 1 << 20, Strategy::ilp);
  EXPECT_EQ(found.gap, 0.0);
  EXPECT_EQ(found.choices, 1u);
}

TEST(CandidateSets, AreValidFormatsWithoutRepetition) {
  for (const CandidateSet& set : candidate_sets()) {
    std::set<std::string> seen;
    for (const quant::Format& format : set.formats) {
      EXPECT_NO_THROW(format.validate());
      EXPECT_TRUE(seen.insert(format.describe()).second) << format.describe();
    }
  }
  EXPECT_EQ(candidate_sets().front().name, "lq-lora");
  EXPECT_EQ(candidate_sets().front().formats.size(), 432u);
}

TEST(Strategies, AreNamed) {
  for (const std::string_view known : strategy_names()) {
    const auto strategy = strategy_from_name(known);
    ASSERT_TRUE(strategy) << known;
    EXPECT_EQ(name(*strategy), known);
  }
  EXPECT_FALSE(strategy_from_name("best"));
}

}  // namespace
}  // namespace qloft::plan
