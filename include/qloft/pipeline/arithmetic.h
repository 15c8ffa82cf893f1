#pragma once
// In which numbers a model is computed and keeps keys, values, factors and the output matrix: the
// options --dtype, --matmul, --cache-type, --adapter-type and --output-type, and what auto comes
// to.

#include <string>

#include "qloft/checkpoint.h"
#include "qloft/core/element.h"

namespace qloft::pipeline {

struct Arithmetic {
  std::string dtype = "auto";         // of activations and dense weights: auto, f32 or bf16
  std::string matmul = "auto";        // products with weights: auto, float (in dtype) or int8
  std::string cache_type = "auto";    // keys and values of past positions: auto, f32, bf16 or int8
  std::string adapter_type = "auto";  // factors that are not trained: auto, f32, bf16 or int8
  std::string output_type = "auto";   // the output matrix: auto, stored (as it is) or int8
};

// What the choice depends on.
struct Circumstances {
  ElementType stored = ElementType::f32;  // of the model's weights, before they were quantized
  bool bf16_units = false;                // the device multiplies in bf16 by itself
  std::string fastest_factors = "f32";    // the type in which it reads an adapter's soonest
};

struct ArithmeticChoice {
  Arithmetic arithmetic;  // without auto
  std::string reason;     // of dtype, a line for the user; empty where it was not auto
};

// auto is the fastest that rounds no coarser than the model's own type:
//
//   dtype   bf16 where the model is stored in 16 bits and the device has units for bf16, else f32
//   matmul  float; int8 rounds each product by about 0.8 %, bf16 by a fifth of that
//
// and of caches, factors and the output matrix what moves perplexity no more than rounding
// elsewhere does, unless dtype asks for all digits:
//
//   cache_type    f32 where f32 was asked for as dtype (not where auto came to it), else bf16
//   adapter_type  f32 where f32 was asked for as dtype, else the type that the device reads
//                 soonest: int8 with AVX-512 VBMI, bf16 on other CPUs, f32 elsewhere
//   output_type   int8 where auto means int8 for adapter_type, else stored
ArithmeticChoice choose(const Arithmetic& asked, const Circumstances& found);

// The same on this machine, for a model of this type or the one in a folder. Throws InputError for
// a device that is not here and for names that are none.
ArithmeticChoice choose(const Arithmetic& asked, const std::string& device, ElementType stored);
ArithmeticChoice choose(const Arithmetic& asked, const std::string& device,
                        const checkpoint::Checkpoint& model);

// What auto comes to for a cache, and for factors and the output matrix on this machine; what was
// asked for stays.
std::string settled_cache_type(const Arithmetic& asked);
std::string settled_adapter_type(const Arithmetic& asked, const std::string& device);
std::string settled_output_type(const Arithmetic& asked, const std::string& device);

// Throws InputError for unknown names, a device that this build or machine lacks, and one that has
// no products in 8 bits, or no output matrix in 8 bits, where they are asked for.
void check_arithmetic(const Arithmetic& asked, const std::string& device);

}  // namespace qloft::pipeline
