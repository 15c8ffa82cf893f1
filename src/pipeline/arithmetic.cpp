#include "qloft/pipeline/arithmetic.h"

#include "load.h"
#include "option_values.h"
#include "qloft/checkpoint/weight_type.h"
#include "qloft/core/bf16_units.h"
#include "qloft/core/error.h"
#include "qloft/model/output_type.h"
#include "qloft/model/stored_type.h"

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

template <typename OfNames, typename FromName>
void check_type(const std::string& asked, const char* option, const OfNames& names,
                const FromName& from_name) {
  if (asked == kLeftOpen || from_name(asked)) return;
  Names known = {kLeftOpen};
  known.insert(known.end(), names.begin(), names.end());
  refuse_value(asked, option, known);
}

void check_stored_type(const std::string& asked, const char* option) {
  check_type(asked, option, model::kStoredTypeNames, model::stored_type_from_name);
}

void check_names(const Arithmetic& asked) {
  if (asked.dtype != kLeftOpen && asked.dtype != "f32" && asked.dtype != "bf16") {
    throw InputError({{}, "dtype"}, "expected auto, f32 or bf16, found '" + asked.dtype + "'");
  }
  if (asked.matmul != kLeftOpen && asked.matmul != "float" && asked.matmul != "int8") {
    throw InputError({{}, "matmul"}, "expected auto, float or int8, found '" + asked.matmul + "'");
  }
  check_stored_type(asked.cache_type, "cache_type");
  check_stored_type(asked.adapter_type, "adapter_type");
  check_type(asked.output_type, "output_type", model::kOutputTypeNames,
             model::output_type_from_name);
}

Circumstances circumstances(const std::string& device, ElementType stored) {
  if (!device_named(device).is_cpu()) return {stored, /*bf16_units=*/true, "f32"};
  return {stored, has_bf16_units(), std::string(name(model::fastest_factors()))};
}

std::string settled_adapter_type(const Arithmetic& asked, const Circumstances& found) {
  if (asked.adapter_type != kLeftOpen) return asked.adapter_type;
  return asked.dtype == "f32" ? "f32" : found.fastest_factors;
}

std::string settled_output_type(const Arithmetic& asked, const Circumstances& found) {
  if (asked.output_type != kLeftOpen) return asked.output_type;
  return asked.dtype != "f32" && found.fastest_factors == "int8" ? "int8" : "stored";
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
  choice.arithmetic.adapter_type = settled_adapter_type(asked, found);
  choice.arithmetic.output_type = settled_output_type(asked, found);
  return choice;
}

std::string settled_cache_type(const Arithmetic& asked) {
  if (asked.cache_type != kLeftOpen) return asked.cache_type;
  return asked.dtype == "f32" ? "f32" : "bf16";
}

std::string settled_adapter_type(const Arithmetic& asked, const std::string& device) {
  return settled_adapter_type(asked, circumstances(device, ElementType::f32));
}

std::string settled_output_type(const Arithmetic& asked, const std::string& device) {
  return settled_output_type(asked, circumstances(device, ElementType::f32));
}

ArithmeticChoice choose(const Arithmetic& asked, const std::string& device, ElementType stored) {
  check_arithmetic(asked, device);
  return choose(asked, circumstances(device, stored));
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
  if (asked.output_type == "int8" && !on_cpu) {
    throw InputError({{}, "output_type"}, "int8 is for the CPU, found device '" + device + "'");
  }
}

}  // namespace qloft::pipeline
