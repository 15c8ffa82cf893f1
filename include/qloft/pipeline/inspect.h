#pragma once
// Stage: what a model folder holds, and what training it would take.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "qloft/architecture/layout.h"
#include "qloft/architecture/memory.h"

namespace qloft::pipeline {

struct InspectOptions {
  std::string model;
  std::int64_t rank = 16;                // of the adapters in the memory table
  std::int64_t batch = 1;                // sequences a micro-batch
  std::int64_t tokens = 512;             // tokens a sequence
  bool checkpointing = false;            // activations recomputed in the backward pass
  std::string dtype = "auto";            // of activations and dense weights
  std::vector<int> bits = {2, 3, 4, 8};  // the widths in the memory table
};

// One packed matrix of a quantized folder.
struct InspectedMatrix {
  std::string name;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::string format;
  double bits_per_weight = 0;
  double total_bits_per_weight = 0;      // with the adapter inside the folder, as it is stored
  std::uint64_t stored_bytes = 0;        // of the matrix alone
  std::optional<double> relative_error;  // from quantization_report.json
};

struct MemoryRow {
  std::string method;  // "full", "lora", "qlora-4", ...
  architecture::TrainingMemory memory;
};

struct InspectReport {
  architecture::Layout layout;
  std::int64_t parameters = 0;
  std::int64_t linear_parameters = 0;  // what can be quantized
  std::uint64_t tensor_bytes = 0;      // all tensors on disk
  std::string dtype;                   // of the memory table, without auto
  std::vector<MemoryRow> memory;
  // Of a quantized folder only:
  std::vector<InspectedMatrix> matrices;
  double bits_per_weight = 0;        // over the packed matrices
  double total_bits_per_weight = 0;  // with the adapter inside the folder, over the same weights
  std::optional<double> mean_relative_error;
  double compression_ratio = 0;  // a bf16 checkpoint's bytes over tensor_bytes
};

InspectReport inspect(const InspectOptions& options);

}  // namespace qloft::pipeline
