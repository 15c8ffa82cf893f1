#include "sensitivity_choice.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "qloft/architecture.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/io/option_json.h"
#include "qloft/pipeline/option_lists.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

// Beside a folder to restore nothing is quantized.
void expect_no_quantizing(const SensitivityOptions& o) {
  if (o.restore.empty()) return;
  SensitivityOptions plain;
  plain.quantize.model = o.quantize.model;
  plain.quantize.stats = o.quantize.stats;
  QuantizeOptions own = o.quantize;
  io::Json found = io::Json::object(), expected = io::Json::object();
  io::OptionEcho found_echo(found), expected_echo(expected);
  visit_options(own, found_echo);
  visit_options(plain.quantize, expected_echo);
  for (const auto& [name, value] : found.items()) {
    if (value == expected.at(name)) continue;
    throw InputError({{}, name}, "expected none beside --restore, whose folder is quantized");
  }
}

// The parts between "*" come in this order in the name.
bool has_part(const std::string& name, const std::string& pattern) {
  std::size_t from = 0;
  for (std::size_t begin = 0; begin <= pattern.size();) {
    const std::size_t end = std::min(pattern.find('*', begin), pattern.size());
    const std::string part = pattern.substr(begin, end - begin);
    const std::size_t found = name.find(part, from);
    if (found == std::string::npos) return false;
    from = found + part.size();
    begin = end + 1;
  }
  return true;
}

}  // namespace

ModelOptions model_of(const SensitivityOptions& o) {
  ModelOptions model;
  model.model = o.quantize.model;
  model.device = o.device;
  model.dtype = o.dtype;
  model.matmul = o.matmul;
  model.adapter_type = "f32";
  model.output_type = "stored";
  return model;
}

void check_sensitivity(const SensitivityOptions& o) {
  expect_no_quantizing(o);
  check_model_options(model_of(o));
  const auto expect = [](bool holds, const char* option, const std::string& expected,
                         std::int64_t found) {
    if (holds) return;
    throw InputError({{}, option}, "expected " + expected + ", found " + std::to_string(found));
  };
  if (o.quantize.bits && *o.quantize.bits != std::floor(*o.quantize.bits)) {
    throw InputError({{}, "bits"}, "expected a whole number: one format for each matrix");
  }
  expect(o.windows >= 1, "windows", "at least 1", o.windows);
  expect(o.window >= 2, "window", "at least 2", o.window);
  const fs::path config = checkpoint::resolve(o.quantize.model) / "config.json";
  const std::int64_t longest =
      architecture::read_layout(io::read_json(config), config).max_positions;
  expect(longest == 0 || o.window <= longest, "window",
         "at most the model's " + std::to_string(longest) + " positions", o.window);
  std::error_code error;
  if (!fs::is_regular_file(o.data, error)) throw InputError({o.data, {}}, "no such file");
}

std::vector<QuantizeTarget> chosen_of(const std::vector<QuantizeTarget>& targets,
                                      const SensitivityOptions& o) {
  const auto of_layer = [](const QuantizeTarget& t, std::int64_t layer) {
    return t.layer == layer;
  };
  const auto of_part = [](const QuantizeTarget& t, const std::string& part) {
    return has_part(t.module, part);
  };
  for (const std::int64_t layer : o.layers) {
    if (std::ranges::none_of(targets, [&](const auto& t) { return of_layer(t, layer); })) {
      throw InputError({{}, "layers"},
                       "expected layers of this model, found " + std::to_string(layer));
    }
  }
  std::vector<QuantizeTarget> out;
  for (const QuantizeTarget& target : targets) {
    const bool layer = o.layers.empty() || std::ranges::any_of(o.layers, [&](std::int64_t l) {
                         return of_layer(target, l);
                       });
    const bool part = o.match.empty() || std::ranges::any_of(o.match, [&](const std::string& p) {
                        return of_part(target, p);
                      });
    if (layer && part) out.push_back(target);
  }
  if (out.empty()) {
    throw InputError({{}, "match"}, "expected a part of the name of some matrix, found none of '" +
                                        (o.match.empty() ? "" : o.match.front()) + "'");
  }
  return out;
}

}  // namespace qloft::pipeline
