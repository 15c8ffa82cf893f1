#include "qloft/pipeline/arithmetic.h"

#include "load.h"
#include "option_values.h"
#include "qloft/checkpoint/weight_type.h"
#include "qloft/core/bf16_units.h"
#include "qloft/core/error.h"
#include "qloft/model/cache_type.h"

namespace qloft::pipeline {
namespace {

constexpr std::string_view kLeftOpen = "auto";

std::string reason_of(const Circumstances& found) {
  const std::string stored(short_name(found.stored));
  if (byte_size(found.stored) != 2) {
    return "computes in f32, as the model is stored in " + stored;
  }
  if (!found.bf16_units) return "computes in f32: the processor has no units for bf16";
  return "computes in bf16: the model is stored in " + stored +
         ", and the device has units for bf16 (--dtype f32 for more digits)";
}

void check_names(const Arithmetic& asked) {
  if (asked.dtype != kLeftOpen && asked.dtype != "f32" && asked.dtype != "bf16") {
    throw InputError({{}, "dtype"}, "expected auto, f32 or bf16, found '" + asked.dtype + "'");
  }
  if (asked.matmul != kLeftOpen && asked.matmul != "float" && asked.matmul != "int8") {
    throw InputError({{}, "matmul"}, "expected auto, float or int8, found '" + asked.matmul + "'");
  }
  if (asked.cache_type != kLeftOpen && !model::cache_type_from_name(asked.cache_type)) {
    Names known = {kLeftOpen};
    known.insert(known.end(), model::kCacheTypeNames.begin(), model::kCacheTypeNames.end());
    refuse_value(asked.cache_type, "cache_type", known);
  }
}

}  // namespace

ArithmeticChoice choose(const Arithmetic& asked, const Circumstances& found) {
  ArithmeticChoice choice{asked, {}};
  if (asked.dtype == kLeftOpen) {
    choice.arithmetic.dtype = byte_size(found.stored) == 2 && found.bf16_units ? "bf16" : "f32";
    choice.reason = reason_of(found);
  }
  if (asked.matmul == kLeftOpen) choice.arithmetic.matmul = "float";
  choice.arithmetic.cache_type = settled_cache_type(asked);
  return choice;
}

std::string settled_cache_type(const Arithmetic& asked) {
  if (asked.cache_type != kLeftOpen) return asked.cache_type;
  return asked.dtype == "f32" ? "f32" : "bf16";
}

ArithmeticChoice choose(const Arithmetic& asked, const std::string& device, ElementType stored) {
  check_arithmetic(asked, device);
  return choose(asked, {stored, device_named(device).is_cuda() || has_bf16_units()});
}

ArithmeticChoice choose(const Arithmetic& asked, const std::string& device,
                        const checkpoint::Checkpoint& model) {
  return choose(asked, device, checkpoint::weight_type(model));
}

void check_arithmetic(const Arithmetic& asked, const std::string& device) {
  check_names(asked);
  const bool on_cpu = device_named(device).is_cpu();
  if (asked.matmul == "int8" && !on_cpu) {
    throw InputError({{}, "matmul"}, "int8 runs on the CPU, found device '" + device + "'");
  }
}

}  // namespace qloft::pipeline
