#include "automatic.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "automatic_check.h"
#include "qloft/architecture.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/data/rows.h"
#include "qloft/decompose.h"
#include "qloft/io.h"
#include "qloft/io/option_json.h"
#include "qloft/pipeline/arithmetic.h"
#include "qloft/pipeline/calibrate.h"
#include "qloft/pipeline/option_lists.h"
#include "qloft/pipeline/plan.h"
#include "qloft/pipeline/resume.h"
#include "qloft/plan.h"
#include "qloft/statistics.h"
#include "qloft/tokenizer.h"
#include "quantize_job.h"
#include "targets.h"
#include "work_folder.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

architecture::Layout layout_of(const fs::path& model) {
  const fs::path config = model / "config.json";
  return architecture::read_layout(io::read_json(config), config);
}

}  // namespace

std::int64_t sequence_length(const QuantizeOptions& o, const fs::path& model) {
  if (o.length) return *o.length;
  std::int64_t length = CalibrateOptions().length;
  const architecture::Layout layout = layout_of(model);
  if (layout.max_positions > 0) length = std::min(length, layout.max_positions);
  if (o.random_tokens || !o.task.empty()) return length;
  if (data::is_rows_file(o.data)) return length;
  const auto ids = tokenizer::Tokenizer::load(model).encode(read_file(o.data));
  // A source and a target at least.
  const std::int64_t most = layout.encoder ? std::ssize(ids) / 2 : std::ssize(ids);
  return std::clamp<std::int64_t>(most, 2, length);
}

namespace {

// What the names of files in the work folder begin with.
constexpr std::string_view kWorkFiles[] = {"statistics-", "plan-", "errors-", "quantized-"};

// What auto comes to. `loop`: in words.
struct Choice {
  std::string_view method;
  std::string_view loop;
  std::string_view reason;
};
constexpr Choice kWithoutStatistics = {
    "auto", "LoftQ's loop",
    "without data only the weights' own error is known; --data TEXT minds that of the outputs, and "
    "so does --random-tokens where there is no text"};
constexpr Choice kWithStatistics = {"qloft", "qloft's loop",
                                    "the statistics say which errors change the model's outputs"};

// Of random tokens there are as many as are drawn: half of the default is enough.
constexpr std::int64_t kRandomSequences = 64;

bool has_statistics(const QuantizeOptions& o) {
  return calibrates(o) || !o.stats.empty();
}
const Choice& choice_of(const QuantizeOptions& o) {
  return has_statistics(o) ? kWithStatistics : kWithoutStatistics;
}

bool whole(double bits) {
  return bits == std::floor(bits);
}
// Where nothing is known of the inputs, NF codes of so few bits lose every model that was measured,
// Lloyd-Max codes far less (docs/methods/auto.md).
constexpr double kMostLloydBits = 2;

bool names_format(const QuantizeOptions& o) {
  return o.codebook || o.block || o.scale || o.scale_type || o.second_bits || o.second_block ||
         o.second_type || o.second_code;
}
// Whether formats come from a plan that quantize makes itself.
bool plans(const QuantizeOptions& o) {
  return !o.plan && (o.size || !o.ranks.empty() || (o.bits && !whole(*o.bits)));
}

QuantizeOptions with_method(QuantizeOptions o) {
  if (o.method != kAuto) return o;
  o.method = choice_of(o).method;
  const bool few_bits = o.bits && *o.bits <= kMostLloydBits;
  if (few_bits && !has_statistics(o) && !o.plan && !plans(o) && !names_format(o)) {
    o.codebook = std::string(quant::name(quant::Codebook::lloyd));
    o.scale = std::string(quant::name(quant::ScaleRule::mse));
  }
  return o;
}

decompose::Metric metric_of(const QuantizeOptions& o) {
  const decompose::Metric own = decompose::preset(o.method).metric;
  return o.metric ? decompose::metric_from_name(*o.metric).value_or(own) : own;
}

bool plans_ranks(const QuantizeOptions& o) {
  return plans(o) && (!o.ranks.empty() || (o.size && !o.rank));
}

// A named method is measured, and published, on the inputs of the full model; for random tokens
// nothing else was tried.
QuantizeOptions with_inputs(QuantizeOptions o) {
  if (o.inputs != kAuto) return o;
  const bool wanted = o.method == kAuto && !o.data.empty() && o.task.empty() &&
                      metric_of(with_method(o)) == decompose::Metric::gram;
  o.inputs = wanted && takes_quantized_inputs(layout_of(checkpoint::resolve(o.model)))
                 ? kQuantizedInputs
                 : kFullInputs;
  return o;
}

bool has_fisher_factors(const statistics::File& file) {
  return std::ranges::any_of(file.tensors(), [](const io::TensorInfo& tensor) {
    return tensor.name.ends_with(".fisher_rows");
  });
}

// Ranks are planned by what compares matrices, which the error of the outputs does only where
// tokens count by the loss (docs/methods/sensitivity.md).
decompose::Metric planning_metric(const QuantizeOptions& o) {
  const decompose::Metric metric = metric_of(o);
  if (!plans_ranks(o) || metric != decompose::Metric::gram || o.stats.empty()) return metric;
  const statistics::File file(o.stats);
  const bool by_loss = file.origin().token_weights == statistics::TokenWeights::loss;
  return by_loss || !has_fisher_factors(file) ? metric : decompose::Metric::fisher_gram;
}

// What a plan is made by compares matrices, where the model has a loss on the data.
statistics::TokenWeights token_weights_of(const QuantizeOptions& o, const fs::path& model) {
  using statistics::TokenWeights;
  if (o.token_weights != kAuto) return *statistics::token_weights_from_name(o.token_weights);
  if (!plans(o) || !decompose::needs_gram(planning_metric(o))) return TokenWeights::even;
  const architecture::Layout layout = layout_of(model);
  const bool has_loss =
      !o.task.empty() || architecture::predicts_next_token(layout) || layout.encoder.has_value();
  return has_loss ? TokenWeights::loss : TokenWeights::even;
}

template <typename StageOptions>
io::Json echo_of(StageOptions options) {
  io::Json json = io::Json::object();
  io::OptionEcho echo(json);
  visit_options(options, echo);
  json.erase("output");
  return by_contents(std::move(json));
}

}  // namespace

CalibrateOptions calibration_of(const QuantizeOptions& o) {
  CalibrateOptions calibration;
  calibration.model.model = o.model;
  calibration.model.chat_template = o.chat_template;
  calibration.data = o.data;
  calibration.task = o.task;
  calibration.columns = o.columns;
  calibration.random_tokens = o.random_tokens;
  if (o.random_tokens) calibration.samples = kRandomSequences;
  if (o.samples) calibration.samples = *o.samples;
  calibration.length = sequence_length(o, checkpoint::resolve(o.model));
  calibration.seed = o.seed;
  if (o.token_weights != kAuto) calibration.token_weights = o.token_weights;
  return calibration;
}

namespace {

fs::path make_statistics(const QuantizeOptions& o, Progress& progress) {
  const decompose::Metric metric = planning_metric(o);
  const fs::path model = checkpoint::resolve(o.model);
  CalibrateOptions calibration = calibration_of(o);
  calibration.gram = decompose::needs_gram(metric);
  calibration.fisher = decompose::needs_fisher(metric);
  calibration.token_weights = statistics::name(token_weights_of(o, model));
  io::Json work = echo_of(calibration);
  const Arithmetic arithmetic =
      choose({}, calibration.model.device, checkpoint::Checkpoint(model)).arithmetic;
  work["dtype"] = arithmetic.dtype;
  work["matmul"] = arithmetic.matmul;
  work["data"] = o.random_tokens ? "" : file_fingerprint(o.data);
  work["model"] = model_fingerprint(model);
  calibration.output = work_folder(o.output) / ("statistics-" + work_name(work) + ".safetensors");
  if (!fs::exists(calibration.output)) calibrate(calibration, progress);
  return calibration.output;
}

// The largest rank that each matrix can have.
std::int64_t smallest_side(const QuantizeOptions& o) {
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const quantized::ModelFiles files = open_dense(checkpoint::resolve(o.model));
  for (const QuantizeTarget& target :
       targets_of(o.target_modules, files.layout(), {{}, "target_modules"})) {
    if (target.adapted) most = std::min({most, target.rows, target.columns});
  }
  return most;
}

// 8 bits of twice the rank take what 16 bits of the default rank do, and leave less of an error on
// every model that was measured (docs/methods/auto.md).
QuantizeOptions with_adapter(QuantizeOptions o) {
  if (o.method != kAuto || o.plan || o.rank || o.adapter_dtype != kAuto) return o;
  o.adapter_dtype = "f8";
  if (!plans_ranks(o)) o.rank = std::min(2 * kDefaultRank, smallest_side(o));
  return o;
}

QuantizeOptions settled(const QuantizeOptions& options) {
  return with_method(with_adapter(with_inputs(options)));
}

// Ranks for adapters that a size is to be shared with: those up to the smallest side of a matrix.
std::vector<std::int64_t> ranks_of(const QuantizeOptions& o) {
  if (!o.ranks.empty() || !plans_ranks(o)) return o.ranks;
  constexpr std::int64_t kRanks[] = {8, 16, 32, 64};
  const std::int64_t most = smallest_side(o);
  std::vector<std::int64_t> out;
  for (const std::int64_t rank : kRanks) {
    if (rank <= most) out.push_back(rank);
  }
  if (out.empty()) out = {most};
  return out;
}

PlanOptions planning_of(const QuantizeOptions& o) {
  const decompose::Preset preset = preset_of(o);
  PlanOptions planning;
  planning.model = o.model;
  planning.size = o.size;
  planning.bits = o.bits;
  const std::string_view own = preset.name == kAuto ? kAuto : quant::name(preset.format.codebook);
  planning.adjacent =
      std::ranges::count(plan::candidate_sets(), own, &plan::CandidateSet::name) > 0;
  planning.candidates = planning.adjacent ? own : "lq-lora";
  planning.metric = decompose::name(planning_metric(o));
  planning.stats = o.stats;
  planning.damping = o.damping.value_or(preset.damping);
  planning.rank = o.rank.value_or(kDefaultRank);
  planning.ranks = ranks_of(o);
  // Every pair of a format and a rank is tried: by the quick search.
  if (!planning.ranks.empty() && preset.format.codebook == quant::Codebook::trellis) {
    planning.candidates = quant::name(quant::Codebook::trellis_short);
  }
  planning.adapter_dtype = o.adapter_dtype;
  planning.target_modules = o.target_modules;
  return planning;
}

fs::path make_plan(const QuantizeOptions& o, Progress& progress) {
  const fs::path model = checkpoint::resolve(o.model);
  PlanOptions planning = planning_of(o);
  io::Json work = echo_of(planning);
  work["model"] = weights_fingerprint(model);
  work["stats"] = o.stats.empty() ? "" : file_fingerprint(o.stats);
  planning.output = work_folder(o.output) / ("plan-" + work_name(work) + ".json");
  if (!fs::exists(planning.output)) plan(planning, progress);
  return planning.output;
}

Resolved worked_out(const QuantizeOptions& options, Progress& progress) {
  Resolved resolved{settled(options), {}, {}};
  QuantizeOptions& o = resolved.options;
  const bool has_plan = plans(options), has_data = calibrates(o);
  if (has_plan || (has_data && !is_sequential(o))) make_folders(work_folder(o.output));
  if (has_data && (has_plan || !is_sequential(o))) o.stats = make_statistics(o, progress);
  if (has_plan) {
    o.plan = make_plan(o, progress);
    o.bits.reset();
    o.size.reset();
    o.ranks.clear();
    o.target_modules.clear();  // the plan has them
  }
  if (is_sequential(o)) {
    o.stats.clear();  // they were the plan's
  } else {
    o.data.clear();
    o.random_tokens = false;
    o.samples.reset();
    o.length.reset();
    o.token_weights = kAuto;
    o.task.clear();
    o.columns = {};
  }
  if (options.method == kAuto) {
    resolved.chosen = std::string(choice_of(options).loop) + (has_plan ? " with a plan" : "") +
                      (is_sequential(o) ? " on quantized inputs" : "");
    resolved.reason = choice_of(options).reason;
  }
  return resolved;
}

}  // namespace

bool needs_statistics(const QuantizeOptions& o) {
  return metric_of(with_method(o)) != decompose::Metric::frobenius;
}

bool leaves_open(const QuantizeOptions& o) {
  return o.method == kAuto || calibrates(o) || plans(o) || o.inputs != kAuto || o.samples ||
         o.length || o.token_weights != kAuto;
}

QuantizeOptions without_work(const QuantizeOptions& options) {
  check_automatic(options);
  QuantizeOptions o = settled(options);
  if (calibrates(options) && options.recover == 0 && !needs_statistics(options)) {
    throw InputError({{}, "data"},
                     "the method " + o.method + " needs no statistics: expected no data");
  }
  if (options.token_weights != kAuto && !decompose::needs_gram(metric_of(o))) {
    throw InputError({{}, "token_weights"}, "the method " + o.method + " with the metric " +
                                                std::string(decompose::name(metric_of(o))) +
                                                " has no Gram matrix: expected none");
  }
  if (options.samples || options.length) check_calibrate(calibration_of(options));
  if (calibrates(options) && !is_sequential(o)) o.metric = "frobenius";
  if (plans(options)) {
    o.bits.reset();
    o.size.reset();
    o.ranks.clear();
    if (names_format(o)) {
      throw InputError(
          {{}, "bits"},
          "expected a whole number, and no ranks, beside options of one format; a plan, "
          "which others need, chooses among formats of its own");
    }
    QuantizeOptions as_asked = settled(options);
    as_asked.metric = "frobenius";  // statistics are not made yet
    as_asked.stats.clear();
    check_plan(planning_of(as_asked), {});
  }
  return o;
}

Resolved resolve(const QuantizeOptions& options, Progress& progress) {
  try {
    return worked_out(options, progress);
  } catch (const Error&) {
    std::error_code error;
    fs::remove(work_folder(options.output), error);  // where nothing is in it
    throw;
  }
}

void remove_work(const QuantizeOptions& options) {
  clear_work_folder(options.output, kWorkFiles);
}

}  // namespace qloft::pipeline
