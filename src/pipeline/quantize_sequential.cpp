#include "quantize_sequential.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "calibrate_collect.h"
#include "calibrate_inputs.h"
#include "calibrate_sequences.h"
#include "matrices_at_once.h"
#include "qloft/adapter.h"
#include "qloft/checkpoint/finite.h"
#include "qloft/core/side_by_side.h"
#include "qloft/io/option_json.h"
#include "qloft/pipeline/option_lists.h"
#include "qloft/pipeline/resume.h"
#include "qloft/quant.h"
#include "sequential_states.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

bool counts_by_loss(const CalibrateOptions& calibration) {
  return calibration.token_weights == statistics::name(statistics::TokenWeights::loss);
}

ModelInputs open(const CalibrateOptions& calibration) {
  ModelOptions exact = calibration.model;
  exact.output_type = "stored";  // matrices are put in its place
  return open_model(exact);
}

Sequences draw(const CalibrateOptions& calibration, Progress& progress) {
  const ModelInputs model = open(calibration);
  checkpoint::expect_finite(model.files.source());
  data::Omissions omissions;
  Sequences out = draw_sequences(calibration, model, omissions, progress);
  if (!counts_by_loss(calibration)) {
    omissions.left_out = 0;  // Gram matrices are of all inputs
    omissions.first_left_out.reset();
  }
  for (const std::string& note : omissions.notes()) progress.warn(note);
  std::int64_t tokens = 0;
  for (const data::Example& example : out.examples) tokens += std::ssize(example.ids);
  say_where_tokens_are_few(model.files.layout(), tokens, progress);
  return out;
}

// Q + s B A.
Matrix values_of(const QuantizeTarget& target, const DecomposedTarget& one) {
  const decompose::Decomposition& found = one.result;
  Matrix out(found.q.rows(), found.q.columns());
  quant::dequantize(found.q, out.view());
  if (found.a.rows() == 0) return out;
  adapter::merge_into(out.view(), {found.a, found.b}, one.recipe.scale, target.module);
  return out;
}

// The targets from `first` on that share its input: neighbours in the forward pass.
std::span<const QuantizeTarget> group_at(const std::vector<QuantizeTarget>& targets,
                                         std::size_t first) {
  std::size_t end = first + 1;
  while (end < targets.size() && targets[end].layer == targets[first].layer &&
         targets[end].input_of == targets[first].input_of) {
    ++end;
  }
  return std::span(targets).subspan(first, end - first);
}

}  // namespace

io::Json sequential_work(const CalibrateOptions& calibration) {
  CalibrateOptions options = calibration;
  io::Json json = io::Json::object();
  io::OptionEcho echo(json);
  visit_options(options, echo);
  json.erase("output");
  json.erase("model");
  json["data"] = calibration.random_tokens ? "" : file_fingerprint(calibration.data);
  const checkpoint::Checkpoint source(checkpoint::resolve(calibration.model.model));
  const Arithmetic arithmetic = choose({}, calibration.model.device, source).arithmetic;
  json["dtype"] = arithmetic.dtype;
  json["matmul"] = arithmetic.matmul;
  return json;
}

SequentialQuantizer::SequentialQuantizer(const CalibrateOptions& calibration,
                                         const quantized::ModelFiles& files, const QuantizeJob& job,
                                         OutputFolder& folder, Progress& progress)
    : files_(files),
      job_(job),
      folder_(folder),
      by_loss_(counts_by_loss(calibration)),
      sequences_(draw(calibration, progress)),
      loaded_(load_model(open(calibration), progress)),
      inputs_(loaded_.model, sequences_.examples, by_loss_ ? &weights_ : nullptr) {
  if (by_loss_) weights_ = collect_token_weights(loaded_, sequences_, folder, progress);
}

void SequentialQuantizer::finish(const QuantizeTarget& target, const DecomposedTarget& one,
                                 const AddDecomposed& add) {
  inputs_.put(target.id, values_of(target, one).view());
  add(target, one);
}

void SequentialQuantizer::quantize(std::span<const QuantizeTarget> group, const AddDecomposed& add,
                                   Progress& progress) {
  std::vector<const QuantizeTarget*> targets;
  std::vector<architecture::ParameterId> ids;
  for (const QuantizeTarget& target : group) {
    targets.push_back(&target);
    ids.push_back(target.id);
  }
  std::vector<decompose::Statistics> statistics;
  for (calibrate::SequentialSums& sums : inputs_.of(ids, progress)) {
    decompose::Statistics& one = statistics.emplace_back();
    one.gram = std::move(sums.gram);
    one.shift = std::move(sums.shift);
  }
  std::vector<std::optional<DecomposedTarget>> found(group.size());
  side_by_side(
      std::ssize(group), matrices_at_once(targets, job_.recipe), progress,
      [&](std::int64_t i) {
        const auto at = static_cast<std::size_t>(i);
        found[at] =
            decompose_target(files_, group[at], job_, statistics[statistics.size() == 1 ? 0 : at]);
      },
      [&](std::int64_t i) {
        const auto at = static_cast<std::size_t>(i);
        finish(group[at], *std::exchange(found[at], std::nullopt), add);
      });
}

void SequentialQuantizer::go_on(const QuantizedOutput& output) {
  auto states = read_states(folder_.path(), inputs_.states());
  if (!states) return;
  const bool whole = std::ranges::all_of(job_.targets, [&](const QuantizeTarget& target) {
    return (target.layer && *target.layer >= states->block) ||
           output.done().contains(target.weight());
  });
  if (whole) inputs_.restore(std::move(*states));
}

void SequentialQuantizer::run(QuantizedOutput& output, const AddDecomposed& add,
                              Progress& progress) {
  const std::vector<QuantizeTarget>& targets = job_.targets;
  std::size_t next = 0;
  for (; next < targets.size() && targets[next].input_of.empty(); ++next) {
    // The embedding, of whose inputs nothing is known.
    finish(targets[next], decompose_target(files_, targets[next], job_), add);
  }
  if (folder_.resumes()) go_on(output);
  while (next < targets.size()) {
    const std::span<const QuantizeTarget> group = group_at(targets, next);
    const std::int64_t block = group.front().layer.value_or(loaded_.model.layout().layers());
    next += group.size();
    if (block < inputs_.block()) continue;
    if (inputs_.block() < block) {
      while (inputs_.block() < block) inputs_.advance(progress);
      output.flush();
      write_states(folder_.path(), inputs_.states());
    }
    quantize(group, add, progress);
  }
}

}  // namespace qloft::pipeline
