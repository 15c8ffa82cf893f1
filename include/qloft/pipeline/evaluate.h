#pragma once
// Stage: a model and a task to numbers.

#include <filesystem>
#include <optional>
#include <string>

#include "qloft/core/progress.h"
#include "qloft/evaluate/result.h"
#include "qloft/pipeline/model_options.h"

namespace qloft::pipeline {

struct EvaluateOptions {
  ModelOptions model;
  std::string task = "perplexity";  // or "gsm8k"
  std::filesystem::path data;       // a text file for perplexity, else JSON Lines
  std::int64_t window = 1024;       // perplexity; at most the model's longest position
  std::int64_t limit = 0;           // windows, examples or problems; 0: all
  std::string rule = "hashes";      // gsm8k: "hashes" or "last-number"
  std::int64_t few_shot = 0;        // gsm8k
  std::filesystem::path few_shot_data;
  std::int64_t max_tokens = 256;      // gsm8k
  std::int64_t batch = 16;            // gsm8k
  std::filesystem::path predictions;  // gsm8k: JSON Lines of what the model answered
};

struct EvaluateReport {
  std::string task;
  std::optional<evaluate::Perplexity> perplexity;
  std::optional<double> loss;  // mean over the predictions that count: answers, completions, text
  std::int64_t examples = 0;   // of `loss`
  std::optional<evaluate::Accuracy> accuracy;
  double seconds = 0;
};

EvaluateReport evaluate(const EvaluateOptions& options, Progress& progress);

}  // namespace qloft::pipeline
