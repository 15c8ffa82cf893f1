#pragma once
// How the stages that run a model are told which one.

#include <filesystem>
#include <string>

namespace qloft::pipeline {

struct ModelOptions {
  std::string model;      // a folder, or a hub name
  std::string adapter;    // a PEFT folder; empty: the one inside a quantized folder, if any
  bool bare = false;      // no adapter at all, not even the one inside
  bool any_base = false;  // take an adapter that names another base than this model
  // A template, or JSON with chat_template, in place of the adapter's or the model's own.
  std::filesystem::path chat_template;
  std::string device = "cpu";
  std::string dtype = "auto";   // of activations and dense weights: auto, f32 or bf16
  std::string matmul = "auto";  // products with weights: auto, float (in dtype) or int8
  // Keys and values of past positions, in stages that keep them: auto, f32, bf16 or int8.
  std::string cache_type = "auto";
  // Factors of an adapter that is not trained: auto, f32, bf16 or int8.
  std::string adapter_type = "auto";
  std::string output_type = "auto";  // the output matrix: auto, stored (as it is) or int8
};

// Throws InputError for a device that this build or machine lacks, one that has no products in 8
// bits where they are asked for, unknown names, and an adapter beside bare. Every stage that has
// these options begins so.
void check_model_options(const ModelOptions& options);

}  // namespace qloft::pipeline
