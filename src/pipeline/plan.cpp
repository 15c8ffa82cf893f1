#include "qloft/pipeline/plan.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "adapter_storage.h"
#include "clock.h"
#include "matrix_statistics.h"
#include "names.h"
#include "option_values.h"
#include "plan_candidates.h"
#include "plan_errors.h"
#include "plan_file.h"
#include "plan_sensitivity.h"
#include "qloft/backend/tensor_memory.h"
#include "qloft/core/checked.h"
#include "qloft/core/error.h"
#include "qloft/core/interrupt.h"
#include "qloft/pipeline/output.h"
#include "qloft/plan.h"
#include "qloft/quantized.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

// "3GB", "700 MiB", "1500000000".
std::uint64_t parse_size(const std::string& text) {
  struct Unit {
    std::string_view name;
    double bytes;
  };
  constexpr Unit kUnits[] = {{"", 1},       {"B", 1},         {"KB", 1e3},
                             {"MB", 1e6},   {"GB", 1e9},      {"TB", 1e12},
                             {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824.0}};
  const char* const end = text.data() + text.size();
  double number = 0;
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  const auto* const found = std::ranges::find(kUnits, unit, &Unit::name);
  constexpr double kMost = 1e18;
  if (error != std::errc() || found == std::end(kUnits) || !(number > 0) ||
      number * found->bytes > kMost) {
    throw InputError({{}, "size"}, "expected a size like 3GB or 700MiB, found '" + text + "'");
  }
  return static_cast<std::uint64_t>(number * found->bytes);
}

void check(const PlanOptions& o) {
  if (o.bits.has_value() == o.size.has_value()) {
    throw InputError({{}, "bits"}, o.bits ? "expected bits or a size, found both"
                                          : "expected a budget: bits or a size, found none");
  }
  if (o.bits && !(std::isfinite(*o.bits) && *o.bits > 0)) {
    throw InputError({{}, "bits"}, "expected a number above 0");
  }
  if (o.rank < 0) {
    throw InputError({{}, "rank"}, "expected 0 or more, found " + std::to_string(o.rank));
  }
  for (std::size_t i = 0; i < o.ranks.size(); ++i) {
    const std::int64_t rank = o.ranks[i];
    if (rank < 0 || std::ranges::count(o.ranks, rank) > 1) {
      throw InputError({{}, "ranks"}, "expected different ranks from 0 on, found " +
                                          std::to_string(rank) + (rank < 0 ? "" : " twice"));
    }
  }
  if (o.adjacent && o.first_last_bits != 0) {
    throw InputError({{}, "first_last_bits"},
                     "expected none beside adjacent, which leaves two widths to choose from");
  }
  if (o.first_last_bits < 0 || o.first_last_bits > 8) {
    throw InputError({{}, "first_last_bits"},
                     "expected 0 to 8, found " + std::to_string(o.first_last_bits));
  }
  if (o.damping && !(std::isfinite(*o.damping) && *o.damping >= 0)) {
    throw InputError({{}, "damping"}, "expected a number of at least 0");
  }
  if (!(std::isfinite(o.time_limit) && o.time_limit > 0)) {
    throw InputError({{}, "time_limit"}, "expected a number of seconds above 0");
  }
  asked_adapter_storage(o.adapter_dtype);
}

fs::path folder_of(const PlanOptions& o) {
  expect_output({.output = o.output,
                 .overwrite = o.overwrite,
                 .command = "plan",
                 .inputs = {checkpoint::resolve(o.model), o.stats, o.sensitivity, o.candidates},
                 .kind = OutputRequest::Kind::file});
  std::error_code error;
  fs::path folder = o.output.has_parent_path() ? o.output.parent_path() : fs::path(".");
  if (!fs::is_directory(folder, error)) {
    throw InputError({folder, {}}, "expected a folder to write the plan to, found none");
  }
  return folder;
}

Candidates candidates_of(const PlanOptions& o, const quantized::ModelFiles& files,
                         std::vector<quant::Format> formats) {
  constexpr double kEightBitFactor = 8.25;  // codes, and scales of bf16 for blocks of 64
  const ElementType type = adapter_storage(o.adapter_dtype, files.source());
  const double bits =
      type == ElementType::i8 ? kEightBitFactor : 8.0 * static_cast<double>(byte_size(type));
  return {std::move(formats), o.ranks, o.ranks.empty() ? 0 : bits};
}

std::int64_t largest_rank(const PlanOptions& o) {
  return o.ranks.empty() ? o.rank : std::ranges::max(o.ranks);
}

// The tensors that stay as they are, and the adapter's where its rank is not planned.
std::uint64_t other_bytes(const PlanOptions& o, const quantized::ModelFiles& files,
                          const std::vector<QuantizeTarget>& targets) {
  std::uint64_t bytes = 0;
  const auto add = [&bytes](std::uint64_t more) { bytes = checked_add(bytes, more, "size"); };
  const auto element =
      static_cast<std::uint64_t>(byte_size(adapter_storage(o.adapter_dtype, files.source())));
  std::set<std::string> quantized_names;
  for (const QuantizeTarget& target : targets) {
    for (std::string& name : files.tensors(target.id)) quantized_names.insert(std::move(name));
    if (!target.adapted || !o.ranks.empty()) continue;
    add(static_cast<std::uint64_t>(o.rank) *
        static_cast<std::uint64_t>(target.rows + target.columns) * element);
  }
  for (const std::string& name : files.source().names()) {
    if (!quantized_names.contains(name)) add(files.source().info(name).bytes());
  }
  return bytes;
}

decompose::Recipe recipe_of(const PlanOptions& o) {
  decompose::Recipe recipe;
  recipe.rank = o.rank;
  recipe.metric = named(o.metric, "metric", decompose::metric_from_name, decompose::metric_names());
  if (o.damping) recipe.damping = *o.damping;
  return recipe;
}

// Errors in another norm could not be added to those of the linear layers.
void refuse_unknown_inputs(const std::vector<QuantizeTarget>& targets, const std::string& metric) {
  for (const QuantizeTarget& target : targets) {
    if (!target.input_of.empty()) continue;
    throw InputError({{}, "metric"}, "expected frobenius for " + target.weight() +
                                         ", of whose inputs nothing is known, found " + metric);
  }
}

std::string shown(double bits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", bits);
  return text;
}

// Rounded into the range, so that both ends are accepted as they are shown.
std::string shown_range(const plan::Range& range, double weights) {
  const auto bits = [weights](std::uint64_t bytes) {
    return 8e3 * static_cast<double>(bytes) / weights;
  };
  return shown(std::ceil(bits(range.least)) / 1e3) + " to " +
         shown(std::floor(bits(range.most)) / 1e3);
}

// What the matrices may take. A size above the largest is a budget that leaves room; so many bits
// are more likely a slip.
std::uint64_t budget_of(const PlanOptions& o, const plan::Table& table,
                        const plan::Constraints& constraints, std::uint64_t others) {
  const plan::Range range = plan::reachable(table, constraints);
  if (o.size) {
    const std::uint64_t size = parse_size(*o.size);
    if (size < others + range.least) {
      throw InputError({{}, "size"}, "expected " + std::to_string(others + range.least) + " to " +
                                         std::to_string(others + range.most) + " bytes (" +
                                         std::to_string(others) +
                                         " of them the other tensors and the adapter), "
                                         "found " +
                                         std::to_string(size));
    }
    return size - others;
  }
  const std::uint64_t budget = plan::budget_of(table, *o.bits);
  if (budget < range.least || budget > range.most) {
    double weights = 0;
    for (const auto& m : table.matrices) weights += static_cast<double>(m.rows * m.columns);
    throw InputError({{}, "bits"}, "expected " + shown_range(range, weights) +
                                       " bits per weight with these candidates, found " +
                                       shown(*o.bits));
  }
  return budget;
}

void add_formats(const std::vector<QuantizeTarget>& targets, PlanReport& report) {
  std::map<std::string, PlannedFormat> formats;
  for (const QuantizeTarget& target : targets) {
    const std::string description = target.format.describe();
    PlannedFormat& format =
        formats[target.rank ? description + " rank " + std::to_string(*target.rank) : description];
    format.format = description;
    format.rank = target.rank;
    const std::int64_t weights = target.rows * target.columns;
    format.matrices += 1;
    format.weights += weights;
    format.bits_per_weight += target.format.bits_per_weight(target.rows, target.columns) *
                              static_cast<double>(weights);  // the sum, until all are in
  }
  for (auto& [key, format] : formats) {
    format.bits_per_weight /= static_cast<double>(format.weights);
    report.formats.push_back(format);
  }
  std::ranges::stable_sort(report.formats, std::ranges::greater(), &PlannedFormat::weights);
}

void write_plan(const PlanOptions& o, const PlanReport& report,
                const std::vector<QuantizeTarget>& targets, AtomicFile& file) {
  io::Json json;
  json["version"] = 1;
  json["model"] = o.model;
  json["strategy"] = report.strategy;
  json["candidates"] = o.candidates;
  json["adjacent"] = o.adjacent;
  json["metric"] = o.metric;
  if (!o.sensitivity.empty()) json["sensitivity"] = o.sensitivity.string();
  if (o.ranks.empty()) {
    json["rank"] = o.rank;
  } else {
    json["planned_ranks"] = o.ranks;
  }
  if (o.bits) json["budget"]["bits"] = *o.bits;
  if (o.size) json["budget"]["size"] = *o.size;
  json["constraints"] = {{"first_last_bits", o.first_last_bits}, {"same_qkv", o.same_qkv}};
  json["bits_per_weight"] = report.bits_per_weight;
  json["objective"] = report.objective;
  json["bound"] = report.bound;
  json["gap"] = report.gap;
  json["seconds"] = report.solve_seconds;
  add_formats(o.target_modules, targets, json);
  file.append(json.dump(2, ' ', false, io::Json::error_handler_t::replace) + "\n");
  output_is_whole(true);
  file.commit();
}

}  // namespace

void check_plan(const PlanOptions& o, const std::vector<quant::Format>& listed) {
  check(o);
  named(o.strategy, "strategy", plan::strategy_from_name, plan::strategy_names());
  const std::vector<quant::Format> formats = listed.empty() ? candidates_of(o.candidates) : listed;
  if (o.size) parse_size(*o.size);
  recipe_of(o);
  const quantized::ModelFiles files = open_dense(checkpoint::resolve(o.model));
  const Candidates candidates = candidates_of(o, files, formats);
  const auto targets = targets_of(o.target_modules, files.layout(), {{}, "target_modules"});
  check_targets(targets, largest_rank(o), files);
  budget_of(o, table_of(targets, files.layout(), candidates),
            {.first_and_last_bits = o.first_last_bits, .same_in_group = o.same_qkv},
            other_bytes(o, files, targets));
}

PlanReport plan(const PlanOptions& o, Progress& progress) {
  const auto begin = Clock::now();
  check(o);
  const plan::Strategy strategy =
      named(o.strategy, "strategy", plan::strategy_from_name, plan::strategy_names());
  std::vector<quant::Format> formats = candidates_of(o.candidates);
  if (o.size) parse_size(*o.size);
  const decompose::Recipe recipe = recipe_of(o);
  const fs::path folder = folder_of(o);

  backend::return_freed_tensors();  // by calibrating, or a stage before
  const quantized::ModelFiles files = open_dense(checkpoint::resolve(o.model));
  Candidates candidates = candidates_of(o, files, std::move(formats));
  std::vector<QuantizeTarget> targets =
      targets_of(o.target_modules, files.layout(), {{}, "target_modules"});
  check_targets(targets, largest_rank(o), files);
  const std::uint64_t others = other_bytes(o, files, targets);
  plan::Table table = table_of(targets, files.layout(), candidates);
  const plan::Constraints constraints{.first_and_last_bits = o.first_last_bits,
                                      .same_in_group = o.same_qkv};
  const std::uint64_t budget = budget_of(o, table, constraints, others);
  if (o.adjacent) {
    candidates.formats = adjacent_formats(targets, files.layout(), candidates, budget);
    table = table_of(targets, files.layout(), candidates);
  }

  std::optional<MeasuredDivergences> measured;
  if (!o.sensitivity.empty()) measured = read_measured(o.sensitivity, targets);
  const auto statistics = open_statistics(o.stats, recipe.metric, files);
  if (statistics) refuse_unknown_inputs(targets, o.metric);
  io::Json key = {
      {"model", weights_fingerprint(files.folder())}, {"rank", o.rank}, {"metric", o.metric}};
  if (!o.ranks.empty()) key["rank"] = o.ranks;
  if (statistics) {
    key["statistics"] = file_fingerprint(o.stats);
    key["damping"] = recipe.damping;
    if (recipe.metric == decompose::Metric::fisher_gram) key["unit"] = "nats";
  }
  for (const quant::Format& format : candidates.formats) {
    key["formats"].push_back(quantized::format_to_json(format));
  }
  say_what_is_unreached(statistics, targets, recipe.metric, progress);
  AtomicFile output(o.output, "plan");  // from here on no other run writes it
  ErrorFile file(folder, key, table.formats.size());
  PlanReport report;
  report.known = std::ranges::count_if(
      targets, [&](const QuantizeTarget& t) { return file.errors().contains(t.weight()); });
  find_errors(files, targets, candidates, recipe, statistics, file, progress);

  for (plan::MatrixRow& matrix : table.matrices) matrix.errors = file.errors().at(matrix.name);
  if (measured) weigh_by(*measured, targets, table);
  const plan::Allocation found = plan::allocate(table, budget, strategy, constraints, o.time_limit);
  for (std::size_t m = 0; m < targets.size(); ++m) {
    targets[m].format = table.formats[found.formats[m]];
    if (!o.ranks.empty() && targets[m].adapted) targets[m].rank = table.ranks[found.formats[m]];
  }

  report.output = o.output;
  report.strategy = o.strategy;
  report.matrices = static_cast<std::int64_t>(targets.size());
  report.candidates = static_cast<std::int64_t>(table.formats.size());
  report.bits_per_weight = found.bits_per_weight;
  report.bytes = found.bytes;
  report.model_bytes = found.bytes + others;
  report.objective = found.objective;
  report.bound = found.bound;
  report.gap = found.gap;
  report.solve_seconds = found.seconds;
  report.errors_file = file.path();
  add_formats(targets, report);
  write_plan(o, report, targets, output);
  report.seconds = seconds_since(begin);
  return report;
}

}  // namespace qloft::pipeline
