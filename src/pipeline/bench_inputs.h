#pragma once
// What bench measures: which models, which tests, refused before weights are read where they cannot
// be.

#include <optional>
#include <string>
#include <vector>

#include "load.h"
#include "qloft/architecture.h"
#include "qloft/pipeline/bench.h"
#include "qloft/pipeline/finetune.h"

namespace qloft::pipeline {

// One way to hold the weights and to compute with them.
struct BenchVariant {
  model::LoadOptions load;
  Arithmetic asked, arithmetic;         // without and with what auto comes to
  std::optional<quant::Format> format;  // of random weights; nullopt: dense, or as they are stored
};

// An adapter of the test: of this rank, random; 0: the model's own, or none.
struct BenchTest {
  enum class Kind { prompt, decode, train } kind;
  std::int64_t tokens = 0, depth = 0;
  std::int64_t random_rank = 0;
  bool checkpointing = false;
  std::string cache_type = {}, adapter_type = {},
              output_type = {};  // as asked for; of training: none
  std::int64_t source = 0;       // tokens of the source, of which an encoder-decoder decodes
};

struct BenchInputs {
  std::string name;
  std::optional<quantized::ModelFiles> files;  // nullopt: random weights
  architecture::Layout layout;
  std::optional<std::int64_t> own_rank;  // of the model's adapter
  std::vector<BenchVariant> variants;
  std::vector<BenchTest> tests;
};

BenchInputs open_bench(const BenchOptions& options);

// The model's own adapter, or a random one of `rank`.
adapter::Adapter bench_adapter(const BenchInputs& inputs, const BenchOptions& options,
                               std::int64_t random_rank);

// Bytes of all tensors, and of the linear layers alone in bits a weight.
struct StoredSize {
  std::uint64_t bytes = 0;
  double bits_per_weight = 0;
};
StoredSize stored_size(const BenchInputs& inputs, const BenchVariant& variant);

}  // namespace qloft::pipeline
