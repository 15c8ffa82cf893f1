#pragma once
// Routed experts, gated, each with gate and up in one matrix as transformers 5 has them.
// Checkpoints store a tensor a matrix and expert, or one tensor [experts, rows, columns] for all of
// a block.

#include <string>

#include "../../builder.h"

namespace qloft::architecture {

// The names of an expert's tensors in checkpoints that store each by itself.
struct ExpertNames {
  std::string stem;  // "block_sparse_moe." of what follows
  std::string gate = "gate_proj", up = "up_proj", down = "down_proj";
};

// Router and experts under "mlp" of the builder's block, `router` its name within it.
Experts add_experts(LayoutBuilder& builder, const ExpertNames& names, std::int64_t hidden,
                    std::int64_t inner, std::int64_t count, Activation activation);

}  // namespace qloft::architecture
