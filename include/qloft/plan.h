#pragma once
// plan: a format for every matrix, and where it is asked a rank of the adapter beside it, under a
// budget of stored bytes, so that the errors add up to the least (LQ-LoRA: Guo, Greengard, Xing &
// Kim 2023, arXiv:2311.12023, section 3.2):
//
//   minimise   sum over matrices of error[matrix][format of the matrix]
//   such that  sum over matrices of bytes(matrix, format of the matrix) <= budget
//
// Knows neither weights nor models: the errors come in as a table.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/quant.h"

namespace qloft::plan {

// A named set of candidate formats. lq-lora: LQ-LoRA's grid of 432, NF at 2, 3, 4, 8 bits in blocks
// of 16, 32, 64, the scales in 2, 3, 4, 8 bits in blocks of 16, 64, 256 under bf16, f16, f32. wide:
// Lloyd-Max codes of 2 to 6 and 8 bits, ternary and binary, with scales of least squared error, in
// blocks of 16 to 256, the scales in bf16 or in 8 or 4 bits. auto: what the method auto takes
// without data at each whole number of bits.
struct CandidateSet {
  std::string_view name;
  std::string_view summary;  // one line for --help
  std::vector<quant::Format> formats;
};
const std::vector<CandidateSet>& candidate_sets();

struct MatrixRow {
  std::string name;  // "model.layers.0.self_attn.q_proj.weight"
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  int layer = 0;        // by the order of the forward pass
  std::string group;    // for Constraints::same_in_group; empty: in none. All of one layer.
  bool adapted = true;  // whether a rank of the table takes bytes here
  // Of each format of the table; finite and not negative. Errors of different matrices must be
  // comparable: squared errors in one metric.
  std::vector<double> errors;
};

// What each matrix may be stored as.
struct Table {
  std::vector<quant::Format> formats;
  std::vector<MatrixRow> matrices;
  // Of each format the rank of the adapter beside it, whose factors, of `factor_bits` a number,
  // are part of the bytes; a format may stand there many times, with many ranks. Empty: adapters
  // are no part of the budget.
  std::vector<std::int64_t> ranks = {};
  double factor_bits = 0;

  std::int64_t rank_of(std::size_t format) const { return ranks.empty() ? 0 : ranks[format]; }
};

struct Constraints {
  int first_and_last_bits = 0;  // least bits of a code in the first and in the last layer; 0: any
  bool same_in_group = false;   // one format for all matrices of a group
};

// ilp: the integer program, by COIN-OR CBC. greedy: from the smallest formats on, always the change
// that lowers the error most for its bytes. first_layers: one 4-bit format in as many of the first
// layers as fit and one 2-bit format in the others, the best such pair (LoftQ: Li et al. 2023,
// section 4.1, mixed precision). uniform: the one format of least error that fits everywhere.
enum class Strategy : std::uint8_t { ilp, greedy, first_layers, uniform };

// "ilp", "greedy", "first-layers", "uniform", in this order.
std::vector<std::string_view> strategy_names();
std::string_view name(Strategy strategy);
std::optional<Strategy> strategy_from_name(std::string_view name);

struct Allocation {
  std::vector<std::size_t> formats;  // of each matrix: an index into Table::formats
  std::uint64_t bytes = 0;           // stored, all matrices together
  double bits_per_weight = 0;        // 8 bytes over the number of weights
  double objective = 0;              // the sum of the errors
  double bound = 0;                  // no allocation within the budget has a smaller sum
  double gap = 0;                    // (objective - bound) / objective; 0 where both are 0
  double seconds = 0;                // of the choice
  std::size_t choices = 0;           // pairs of matrix and format that are not dominated
};

// Stored bytes of all matrices with the smallest and with the largest formats that the constraints
// allow; the errors may still be missing. Throws InputError as allocate does.
struct Range {
  std::uint64_t least = 0;
  std::uint64_t most = 0;
};
Range reachable(const Table& table, const Constraints& constraints);

// The bytes that `bits_per_weight` (finite, not negative) allows the table's matrices.
std::uint64_t budget_of(const Table& table, double bits_per_weight);

// Chooses at most `budget` bytes of formats. A format that takes no fewer bytes and leaves no
// smaller error than another is dominated and leaves the problem first; this loses nothing. The
// integer program ends when the gap is below 1e-5, or with the best it has after `time_limit`
// seconds.
//
// Throws InputError naming the matrix or the field: an empty table, errors that are missing,
// negative or not finite, a group over several layers, no format that the constraints allow, a
// budget that is too small (with the smallest and the largest that are possible), a strategy that
// cannot meet it.
Allocation allocate(const Table& table, std::uint64_t budget, Strategy strategy,
                    const Constraints& constraints = {}, double time_limit = 10);

}  // namespace qloft::plan
