#pragma once
// How the stages that run a model are told which one.

#include <string>

namespace qloft::pipeline {

struct ModelOptions {
  std::string model;    // a folder, or a hub name
  std::string adapter;  // a PEFT folder; empty: the one inside a quantized folder, if any
  bool bare = false;    // no adapter at all, not even the one inside
  std::string device = "cpu";
  std::string dtype = "f32";     // of activations and dense weights: f32 or bf16
  std::string matmul = "float";  // products with weights: float (in dtype) or int8
};

}  // namespace qloft::pipeline
