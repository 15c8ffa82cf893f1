#include "kernel_values.h"

#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "codebooks/row.h"
#include "second_level.h"

namespace qloft::quant {
namespace {

// What values depend on: code book (-1: of a second level), bits, block, rule or code.
using Key = std::tuple<int, int, std::int64_t, int>;

template <typename Make>
const kernels::CodeValues& cached(const Key& key, const Make& make) {
  static std::mutex mutex;
  static std::map<Key, std::unique_ptr<const kernels::CodeValues>> kept;
  const std::lock_guard lock(mutex);
  auto& entry = kept[key];
  if (!entry) entry = std::make_unique<const kernels::CodeValues>(make());
  return *entry;
}

}  // namespace

const kernels::CodeValues& kernel_values(const Format& format) {
  const CodebookRow& row = row_of(format.codebook);
  const Key key = {static_cast<int>(format.codebook), format.bits,
                   row.values_by_block ? format.block : 0,
                   row.values_by_block ? static_cast<int>(format.scale_rule) : 0};
  return cached(key, [&] {
    const std::vector<float> values = row.values(format);
    kernels::CodeValues made;
    kernels::prepare(made, values.data(), static_cast<int>(values.size()), format.bits,
                     row.multiplier != nullptr ? row.multiplier(format.bits) : std::uint16_t{0});
    return made;
  });
}

const kernels::CodeValues& kernel_values(const SecondLevel& second) {
  return cached({-1, second.bits, 0, static_cast<int>(second.code)}, [&] {
    const std::vector<float> values = second_level_values(second);
    kernels::CodeValues made;
    kernels::prepare(made, values.data(), static_cast<int>(values.size()), second.bits);
    return made;
  });
}

std::vector<float> code_values(const Format& format) {
  format.validate();
  const kernels::CodeValues& book = kernel_values(format);
  return {book.values, book.values + book.levels};
}

std::vector<float> window_values(const Format& format) {
  format.validate();
  const kernels::CodeValues& book = kernel_values(format);
  std::vector<float> out;
  if (book.multiplier == 0) return out;
  constexpr std::uint32_t kWindows = 1u << kernels::kTrellisWindowBits;
  for (std::uint32_t window = 0; window < kWindows; ++window) {
    const std::uint32_t hash = window * book.multiplier % kWindows;
    out.push_back(book.values[hash / (kWindows / kernels::kTrellisLevels)]);
  }
  return out;
}

std::vector<float> code_values(const SecondLevel& second) {
  Format format;
  format.second_level = second;
  format.validate();
  const kernels::CodeValues& book = kernel_values(second);
  return {book.values, book.values + book.levels};
}

}  // namespace qloft::quant
