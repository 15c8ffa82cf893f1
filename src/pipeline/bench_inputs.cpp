#include "bench_inputs.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "finetune_adapter.h"
#include "option_values.h"
#include "qloft/checkpoint.h"
#include "qloft/checkpoint/weight_type.h"
#include "qloft/core/error.h"
#include "qloft/core/options.h"
#include "qloft/decompose.h"
#include "qloft/quant.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t kUnpackedBits = 16;  // of --bits
constexpr double kDrawnMatrixBytes = 2;
constexpr double kDrawnVectorBytes = 4;
constexpr std::int64_t kMostThreads = 1024;

void expect(bool right, const char* option, const std::string& expected, std::int64_t found) {
  if (right) return;
  throw InputError({{}, option}, "expected " + expected + ", found " + std::to_string(found));
}

void expect_between(const std::vector<std::int64_t>& values, const char* option, std::int64_t least,
                    std::int64_t most) {
  for (const std::int64_t value : values) {
    expect(value >= least && value <= most, option,
           std::to_string(least) + " to " + std::to_string(most), value);
  }
}

void check_values(const BenchOptions& o) {
  for (const auto& [option, values] : {std::pair{"prompt", &o.prompt},
                                       {"decode", &o.decode},
                                       {"train", &o.train},
                                       {"depth", &o.depth}}) {
    expect_between(*values, option, 0, train::kMostLength);
  }
  for (const std::int64_t length : o.train) {
    expect(length != 1, "train", "0, or at least the 2 tokens of a prediction", length);
  }
  expect_between({o.batch}, "batch", 1, train::kMostBatch);
  expect_between({o.repetitions}, "repetitions", 1, kMostOfAnOption);
  expect_between(o.threads, "threads", 0, kMostThreads);
  expect_between(o.checkpointing, "checkpointing", 0, 1);
  expect_between(o.rank, "rank", 1, kMostOfAnOption);
  expect_between(o.random_adapter, "random_adapter", 0, kMostOfAnOption);
  if (o.random && !o.adapter.empty()) {
    throw InputError({{}, "adapter"}, "random weights have none (--random-adapter RANK makes one)");
  }
  if (!o.random && !(o.bits.empty() && o.codebook.empty())) {
    throw InputError({{}, o.bits.empty() ? "codebook" : "bits"},
                     "is of the weights that --random draws; `qloft quantize` packs a model's own");
  }
}

quant::Format packed_format(const std::string& codebook_name, std::int64_t bits) {
  const auto codebook =
      named(codebook_name, "codebook", quant::codebook_from_name, quant::codebook_names());
  const bool trellis =
      codebook == quant::Codebook::trellis || codebook == quant::Codebook::trellis_short;
  quant::Format format = decompose::preset(trellis ? "qloft" : "qlora").format;
  format.codebook = codebook;
  if (codebook == quant::Codebook::uniform_asymmetric) format.second_level.reset();
  format.bits = static_cast<int>(bits);
  format.validate();
  return format;
}

std::vector<std::optional<quant::Format>> formats_of(const BenchOptions& o) {
  if (!o.random) return {std::nullopt};
  std::vector<std::optional<quant::Format>> formats;
  const std::string codebook = o.codebook.empty() ? "nf" : o.codebook;
  for (const std::int64_t bits : o.bits.empty() ? std::vector<std::int64_t>{4} : o.bits) {
    expect((bits >= 1 && bits <= 8) || bits == kUnpackedBits, "bits", "1 to 8, or 16", bits);
    if (bits == kUnpackedBits) {
      formats.emplace_back();
    } else {
      formats.emplace_back(packed_format(codebook, bits));
    }
  }
  return formats;
}

// `stored`: the type of the weights.
std::vector<BenchVariant> variants_of(const BenchOptions& o, ElementType stored) {
  std::vector<BenchVariant> variants;
  for (const auto& format : formats_of(o)) {
    for (const std::string& dtype : o.dtype) {
      for (const std::string& matmul : o.matmul) {
        const Arithmetic asked{dtype, matmul};
        const Arithmetic chosen = choose(asked, o.device, stored).arithmetic;
        auto load = load_options(o.device, chosen);
        load.stored = at::kBFloat16;
        variants.push_back({load, asked, chosen, format});
      }
    }
  }
  return variants;
}

void expect_positions(const architecture::Layout& layout, const char* option,
                      std::int64_t positions) {
  if (layout.max_positions == 0 || positions <= layout.max_positions) return;
  throw InputError({{}, option}, "expected at most the model's " +
                                     std::to_string(layout.max_positions) + " positions, found " +
                                     std::to_string(positions));
}

// `adapted`: the model has an adapter of its own.
std::vector<BenchTest> tests_of(const BenchOptions& o, const architecture::Layout& layout,
                                bool adapted) {
  std::vector<BenchTest> tests;
  const auto add_span = [&](BenchTest::Kind kind, const char* option, std::int64_t tokens) {
    if (tokens == 0) return;
    for (const std::int64_t depth : o.depth) {
      expect_positions(layout, option, tokens + depth);
      for (const std::int64_t rank : o.random_adapter) {
        for (const std::string& cache : o.cache_type) {
          for (const std::string& factors : o.adapter_type) {
            for (const std::string& output : o.output_type) {
              tests.push_back({kind, tokens, depth, rank, false, cache, factors, output});
            }
            if (rank == 0 && !adapted) break;
          }
        }
      }
    }
  };
  for (const std::int64_t tokens : o.prompt) add_span(BenchTest::Kind::prompt, "prompt", tokens);
  for (const std::int64_t tokens : o.decode) add_span(BenchTest::Kind::decode, "decode", tokens);
  for (const std::int64_t tokens : o.train) {
    if (tokens == 0) continue;
    expect_positions(layout, "train", tokens);
    for (const std::int64_t rank : o.rank.empty() ? std::vector<std::int64_t>{0} : o.rank) {
      for (const std::int64_t checkpointing : o.checkpointing) {
        tests.push_back({BenchTest::Kind::train, tokens, 0, rank, checkpointing == 1});
      }
    }
  }
  if (tests.empty()) {
    throw InputError({{}, "prompt"}, "expected a test, found none of prompt, decode and train");
  }
  return tests;
}

// Of the first prompt's length, so that decoding follows what prompts show.
void take_source(const BenchOptions& o, const architecture::Layout& layout, BenchTest& test) {
  constexpr std::int64_t kSourceTokens = 512;
  if (test.kind == BenchTest::Kind::prompt) {
    expect(test.depth == 0, "depth",
           "0 of sources, which begin an encoder-decoder's work (--prompt 0)", test.depth);
  }
  if (test.kind != BenchTest::Kind::decode) return;
  test.source = o.prompt.empty() || o.prompt.front() == 0 ? kSourceTokens : o.prompt.front();
  if (layout.max_positions > 0) test.source = std::min(test.source, layout.max_positions);
}

ModelOptions adapter_of(const BenchOptions& o) {
  ModelOptions where;
  where.adapter = o.adapter;
  where.bare = o.bare;
  where.any_base = o.any_base;
  return where;
}

FinetuneOptions random_adapter_options(std::int64_t rank) {
  FinetuneOptions options;
  options.rank = rank;
  return options;
}

// The config.json of random weights; MODEL may name the file itself.
fs::path config_file(const std::string& model) {
  std::error_code error;
  if (fs::is_regular_file(model, error)) return model;
  return checkpoint::resolve(model) / "config.json";
}

// The last part of a path; a hub name as it is.
std::string bench_name(const std::string& model) {
  std::error_code error;
  fs::path path = fs::canonical(model, error);
  if (error) return model;
  if (path.filename() == "config.json") path = path.parent_path();
  return path.filename().string();
}

}  // namespace

BenchInputs open_bench(const BenchOptions& options) {
  check_values(options);
  if (options.bare && !options.adapter.empty()) {
    throw InputError({{}, "bare"}, "expected an adapter or --bare, found both");
  }
  BenchInputs inputs;
  for (const std::string& dtype : options.dtype) {
    for (const std::string& matmul : options.matmul) {
      for (const std::string& cache : options.cache_type) {
        for (const std::string& factors : options.adapter_type) {
          for (const std::string& output : options.output_type) {
            check_arithmetic({dtype, matmul, cache, factors, output}, options.device);
          }
        }
      }
    }
  }
  ElementType stored = ElementType::bf16;
  if (options.random) {
    const fs::path file = config_file(options.model);
    inputs.layout = architecture::read_layout(io::read_json(file), file);
  } else {
    inputs.files.emplace(checkpoint::resolve(options.model));
    inputs.layout = inputs.files->layout();
    stored = checkpoint::weight_type(inputs.files->source());
    if (const auto own = find_adapter(*inputs.files, adapter_of(options))) {
      inputs.own_rank = own->config.rank;
    }
  }
  inputs.variants = variants_of(options, stored);
  inputs.name = bench_name(options.model);
  inputs.tests = tests_of(options, inputs.layout, inputs.own_rank.has_value());
  const fs::path file =
      inputs.files ? inputs.files->folder() / "config.json" : config_file(options.model);
  for (BenchTest& test : inputs.tests) {
    const bool trains = test.kind == BenchTest::Kind::train;
    if (inputs.layout.encoder && !architecture::encodes(inputs.layout.head.kind)) {
      take_source(options, inputs.layout, test);
    } else if (!trains) {  // training an encoder is measured too
      architecture::expect_next_token(inputs.layout, file);
    }
    if (trains && test.random_rank == 0 && !inputs.own_rank)
      test.random_rank = adapter::Config{}.rank;
    if (test.random_rank > 0) {
      check_fresh_adapter(inputs.layout, random_adapter_options(test.random_rank));
    }
  }
  return inputs;
}

adapter::Adapter bench_adapter(const BenchInputs& inputs, const BenchOptions& options,
                               std::int64_t random_rank) {
  if (random_rank > 0) return fresh_adapter(inputs.layout, random_adapter_options(random_rank));
  return *find_adapter(*inputs.files, adapter_of(options));
}

StoredSize stored_size(const BenchInputs& inputs, const BenchVariant& variant) {
  double bytes = 0, linear_bytes = 0, linear_weights = 0;
  for (std::size_t i = 0; i < inputs.layout.parameters.size(); ++i) {
    const auto id = static_cast<architecture::ParameterId>(i);
    const architecture::Parameter& parameter = inputs.layout.parameter(id);
    if (parameter.tied_to != architecture::kNoParameter) continue;
    const bool linear = parameter.role == architecture::Role::linear;
    const auto elements = static_cast<double>(parameter.elements());
    const quantized::MatrixEntry* entry = inputs.files ? inputs.files->packed(id) : nullptr;
    const quant::Format* format = entry != nullptr           ? &entry->format
                                  : linear && variant.format ? &*variant.format
                                                             : nullptr;
    double size = 0;
    if (format != nullptr) {
      size = elements * format->bits_per_weight(parameter.rows(), parameter.columns()) / 8;
    } else if (inputs.files) {
      size = elements * static_cast<double>(byte_size(inputs.files->type(id)));
    } else {
      size = elements * (parameter.is_matrix() ? kDrawnMatrixBytes : kDrawnVectorBytes);
    }
    bytes += size;
    if (linear) {
      linear_bytes += size;
      linear_weights += elements;
    }
  }
  StoredSize stored;
  stored.bytes = static_cast<std::uint64_t>(bytes);
  if (linear_weights > 0) stored.bits_per_weight = 8 * linear_bytes / linear_weights;
  return stored;
}

}  // namespace qloft::pipeline
