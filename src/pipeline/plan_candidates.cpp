#include "plan_candidates.h"

#include <filesystem>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "option_values.h"
#include "qloft/core/error.h"
#include "qloft/core/text.h"
#include "qloft/io.h"
#include "qloft/quantized.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

std::vector<quant::Format> read_formats(const fs::path& file) {
  const io::Json json = io::read_json(file);
  if (!json.is_array() || json.empty()) {
    throw InputError({file, {}}, "expected an array of formats");
  }
  std::vector<quant::Format> formats;
  for (std::size_t i = 0; i < json.size(); ++i) {
    formats.push_back(quantized::format_from_json(json[i], file, "[" + std::to_string(i) + "]"));
  }
  return formats;
}

// The embedding counts with the first layer, the output matrix with the last.
int layer_of(const architecture::Parameter& parameter, std::int64_t layers) {
  if (parameter.layer >= 0) return static_cast<int>(parameter.layer);
  return parameter.role == architecture::Role::output ? static_cast<int>(layers) - 1 : 0;
}

}  // namespace

std::vector<quant::Format> candidates_of(const std::string& text) {
  std::vector<std::string_view> names;
  for (const plan::CandidateSet& set : plan::candidate_sets()) {
    if (set.name == text) return set.formats;
    names.push_back(set.name);
  }
  std::error_code error;
  if (fs::is_regular_file(text, error)) return read_formats(text);
  throw InputError({{}, "candidates"},
                   "expected " + one_of(names) + ", or a file of formats, found '" + text + "'");
}

plan::Table table_of(const std::vector<QuantizeTarget>& targets, const architecture::Layout& layout,
                     const Candidates& candidates) {
  plan::Table table{candidates.formats, {}, {}, candidates.factor_bits};
  if (!candidates.ranks.empty()) {
    table.formats.clear();
    for (const quant::Format& format : candidates.formats) {
      for (const std::int64_t rank : candidates.ranks) {
        table.formats.push_back(format);
        table.ranks.push_back(rank);
      }
    }
  }
  for (const QuantizeTarget& target : targets) {
    table.matrices.push_back({.name = target.weight(),
                              .rows = target.rows,
                              .columns = target.columns,
                              .layer = layer_of(layout.parameter(target.id), layout.layers()),
                              .group = layout.parameter(target.id).group,
                              .adapted = target.adapted,
                              .errors = {}});
  }
  return table;
}

std::vector<quant::Format> adjacent_formats(const std::vector<QuantizeTarget>& targets,
                                            const architecture::Layout& layout,
                                            const Candidates& candidates, std::uint64_t budget) {
  std::map<int, std::vector<quant::Format>> widths;
  for (const quant::Format& format : candidates.formats) widths[format.bits].push_back(format);
  auto lower = widths.begin();
  for (auto width = widths.begin(); width != widths.end(); ++width) {
    const Candidates some{width->second, candidates.ranks, candidates.factor_bits};
    if (plan::reachable(table_of(targets, layout, some), {}).least <= budget) lower = width;
  }
  std::vector<quant::Format> formats = lower->second;
  if (const auto upper = std::next(lower); upper != widths.end()) {
    formats.insert(formats.end(), upper->second.begin(), upper->second.end());
  }
  return formats;
}

}  // namespace qloft::pipeline
