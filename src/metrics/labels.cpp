#include <cmath>
#include <map>
#include <set>
#include <string>

#include "qloft/core/error.h"
#include "qloft/metrics.h"

namespace qloft::metrics {
namespace {

void expect_pairs(Labels predicted, Labels expected) {
  if (predicted.size() == expected.size() && !expected.empty()) return;
  throw InputError({{}, "predictions"},
                   "expected one for each of the references, at least one, found " +
                       std::to_string(predicted.size()) + " for " +
                       std::to_string(expected.size()));
}

}  // namespace

double accuracy(Labels predicted, Labels expected) {
  expect_pairs(predicted, expected);
  std::int64_t right = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) right += predicted[i] == expected[i] ? 1 : 0;
  return static_cast<double>(right) / static_cast<double>(expected.size());
}

double f1(Labels predicted, Labels expected, std::int64_t positive) {
  expect_pairs(predicted, expected);
  std::int64_t both = 0, either = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const bool said = predicted[i] == positive, is = expected[i] == positive;
    both += said && is ? 1 : 0;
    either += (said ? 1 : 0) + (is ? 1 : 0);
  }
  return either == 0 ? 0 : 2.0 * static_cast<double>(both) / static_cast<double>(either);
}

double macro_f1(Labels predicted, Labels expected) {
  expect_pairs(predicted, expected);
  std::set<std::int64_t> classes(predicted.begin(), predicted.end());
  classes.insert(expected.begin(), expected.end());
  double sum = 0;
  for (const std::int64_t one : classes) sum += f1(predicted, expected, one);
  return sum / static_cast<double>(classes.size());
}

double matthews(Labels predicted, Labels expected) {
  expect_pairs(predicted, expected);
  std::map<std::int64_t, double> said, is;
  double right = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ++said[predicted[i]];
    ++is[expected[i]];
    right += predicted[i] == expected[i] ? 1 : 0;
  }
  const auto count = static_cast<double>(expected.size());
  double said_is = 0, said_said = 0, is_is = 0;
  for (const auto& [label, times] : said) {
    said_said += times * times;
    if (const auto found = is.find(label); found != is.end()) said_is += times * found->second;
  }
  for (const auto& [label, times] : is) is_is += times * times;
  const double spread = (count * count - said_said) * (count * count - is_is);
  return spread == 0 ? 0 : (right * count - said_is) / std::sqrt(spread);
}

}  // namespace qloft::metrics
