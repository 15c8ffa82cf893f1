#pragma once
// Stage: how fast a model takes prompts in, decodes and trains on this machine, and in how much
// memory. Lists give a row for each of their values.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/progress.h"

namespace qloft::pipeline {

struct BenchOptions {
  std::string model;
  std::string adapter;  // as in ModelOptions
  bool bare = false;
  bool any_base = false;
  std::string device = "cpu";
  std::vector<std::string> dtype = {"auto"};
  std::vector<std::string> matmul = {"auto"};
  std::vector<std::string> cache_type = {"auto"};
  std::vector<std::string> adapter_type = {"auto"};
  std::vector<std::string> output_type = {"auto"};  // at prompts and decoding
  std::vector<std::int64_t> threads = {0};          // 0: all processors

  // Tokens of each test; 0: leave it out.
  std::vector<std::int64_t> prompt = {512};
  std::vector<std::int64_t> decode = {128};
  std::vector<std::int64_t> train = {512};
  std::vector<std::int64_t> depth = {0};  // tokens in the cache before a prompt or decoding
  // Ranks of random adapters in use at prompts and decoding; 0: the model's own adapter, if any.
  std::vector<std::int64_t> random_adapter = {0};

  std::vector<std::int64_t> rank;  // of the adapter that is trained; empty: the model's own, or 16
  std::vector<std::int64_t> checkpointing = {0};  // 1: activations recomputed
  std::int64_t batch = 1;                         // sequences a step

  std::int64_t repetitions = 5;
  bool no_warmup = false;

  // Weights are drawn instead of read: MODEL needs no more than a config.json.
  bool random = false;
  std::vector<std::int64_t> bits;  // of them: 1 to 8, packed; 16: bf16. Empty: 4
  std::string codebook;            // of packed ones; empty: nf
};

// One test. What it does not have is empty.
struct BenchRow {
  std::string label;        // "decode 128 @ 4096"
  std::string test;         // prompt, decode or train
  std::int64_t tokens = 0;  // of a sequence
  std::optional<std::int64_t> depth, batch;
  std::optional<std::int64_t> rank;  // of the adapter in use, or trained
  std::optional<bool> checkpointing;
  std::string dtype, matmul;
  std::optional<std::string> cache_type;
  std::optional<std::string> adapter_type;  // in use; of one that is trained: none
  std::optional<std::string> output_type;
  std::int64_t threads = 0;
  double bits_per_weight = 0;  // stored, of the linear layers
  std::uint64_t bytes = 0;     // of all tensors
  double tokens_per_second = 0;
  std::optional<double> deviation;           // of one repetition: none
  std::optional<std::uint64_t> peak_memory;  // none where the system does not tell
  std::vector<double> samples;               // tokens a second of each repetition
};

struct BenchReport {
  std::string model;  // the last part of its name
  std::string architecture;
  std::int64_t parameters = 0;
  bool random = false;
  std::string processor;
  std::string instruction_set;
  std::string device;
  // Of the first row of each kind; the largest of all rows.
  std::optional<double> prompt_tokens_per_second, decode_tokens_per_second, train_tokens_per_second;
  std::optional<std::uint64_t> peak_memory;
  std::vector<BenchRow> rows;
  std::int64_t tests = 0;  // of which an interruption leaves fewer rows
};

// Throws InputError for what cannot be measured before any weights are read or drawn. An
// interruption after the first row ends it with the rows so far.
BenchReport bench(const BenchOptions& options, Progress& progress);

}  // namespace qloft::pipeline
