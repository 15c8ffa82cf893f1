#pragma once
// Stage: a format for every matrix of a model, and where it is asked a rank of the adapter, under a
// budget of bits or bytes (qloft/plan.h).

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/quant.h"

namespace qloft::pipeline {

struct PlanOptions {
  std::string model;             // a folder, or a hub name
  std::filesystem::path output;  // the plan, a JSON file
  bool overwrite = false;

  // The budget: one of the two.
  std::optional<double> bits;       // mean stored bits of a quantized weight, all scales counted,
                                    // and with `ranks` the adapter
  std::optional<std::string> size;  // "3GB", "700 MiB": all tensors of the quantized folder and the
                                    // adapter's

  std::string strategy = "ilp";        // a name of plan::strategy_names
  std::string candidates = "lq-lora";  // a name of plan::candidate_sets, or a JSON file: an array
                                       // of formats as in quantization_config
  bool adjacent = false;  // of the candidates those of the two code widths around the budget alone
  std::string metric = "frobenius";  // which errors count: a name of decompose::metric_names
  std::filesystem::path stats;       // what calibrate wrote; every metric but frobenius needs it
  // What `sensitivity` wrote of the matrices, or with `restore`: the errors of each count as the
  // divergence that was measured, in place of their own units.
  std::filesystem::path sensitivity;
  std::optional<double> damping;  // of Gram matrices, in parts of the diagonal's mean
  std::int64_t rank = 16;         // of the adapter to come: its share of a weight costs no bits
  // In place of `rank`: those among which each matrix gets one of its own, which the budget pays.
  std::vector<std::int64_t> ranks;
  std::string adapter_dtype = "auto";  // for `size` and `ranks`; as QuantizeOptions'
  int first_last_bits = 0;             // least bits of a code in the first and in the last layer
  bool same_qkv = false;               // one format for q_proj, k_proj and v_proj of a layer
  double time_limit = 10;              // of the integer program, in seconds
  std::vector<std::string> target_modules;  // as QuantizeOptions'
};

// The matrices of one format and rank.
struct PlannedFormat {
  std::string format;
  std::optional<std::int64_t> rank;  // where ranks are planned
  std::int64_t matrices = 0;
  std::int64_t weights = 0;
  double bits_per_weight = 0;  // without the adapter
};

struct PlanReport {
  std::filesystem::path output;
  std::string strategy;
  std::int64_t matrices = 0;
  std::int64_t candidates = 0;  // formats, of each rank
  double bits_per_weight = 0;   // mean stored bits of a quantized weight, what is budgeted
  std::uint64_t bytes = 0;      // of the quantized matrices, and of factors whose ranks are planned
  std::uint64_t model_bytes = 0;  // of all tensors and the adapter's
  double objective = 0;           // sum of the squared errors
  double bound = 0;               // no choice within the budget has a smaller sum
  double gap = 0;                 // (objective - bound) / objective
  double seconds = 0;             // of this run
  double solve_seconds = 0;       // of the choice
  std::int64_t known = 0;         // matrices whose errors an earlier run had found
  std::filesystem::path errors_file;
  std::vector<PlannedFormat> formats;  // by falling number of weights
};

// Computes the error of every candidate in every matrix (LQ-LoRA's first step: the best part of
// rank `rank` taken away, the rest quantized; with `ranks` the adapter solved for once more), one
// matrix at a time on all threads, and chooses.
// The errors are kept beside the plan in errors-KEY.jsonl, KEY a hash of the model, the candidates,
// the rank, the metric and the statistics: plans with other budgets or strategies use them again,
// and an interrupted run goes on from there. The plan appears whole or not at all.
//
// Throws InputError for an option that is out of range, a budget that cannot be met (with the
// smallest and the largest that can), an output that exists unless overwrite, and as quantize does
// for the model; Interrupted where progress asks to stop.
PlanReport plan(const PlanOptions& options, Progress& progress);
// Throws InputError for what plan would refuse before it finds errors; `formats` in place of the
// candidates where it is not empty. Output and statistics are not looked at.
void check_plan(const PlanOptions& options, const std::vector<quant::Format>& formats = {});

}  // namespace qloft::pipeline
