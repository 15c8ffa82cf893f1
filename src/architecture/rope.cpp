#include "rope.h"

#include <array>
#include <cmath>
#include <string_view>
#include <utility>

namespace qloft::architecture {
namespace {

constexpr double kLargest = 1e12;

constexpr std::array<std::pair<std::string_view, RopeType>, 7> kTypes = {{
    {"default", RopeType::standard},
    {"linear", RopeType::linear},
    {"dynamic", RopeType::dynamic},
    {"llama3", RopeType::llama3},
    {"yarn", RopeType::yarn},
    {"longrope", RopeType::longrope},
    {"su", RopeType::longrope},  // as Phi-3's first configs spell it
}};

RopeType type_of(const io::Field& fields) {
  const char* key = fields.has("rope_type") ? "rope_type" : "type";
  const auto name = fields.string(key);
  if (!name) return RopeType::standard;
  std::string known;
  for (const auto& [candidate, type] : kTypes) {
    if (candidate == *name) return type;
    known += (known.empty() ? "" : ", ") + std::string(candidate);
  }
  fields.fail(key, "expected one of " + known + ", found \"" + *name + "\"");
}

// YaRN's temperature (Peng et al. 2023, section 3.4), with DeepSeek's mscale.
double yarn_scale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

void read_yarn(const io::Field& fields, double max_positions, Rope& rope) {
  rope.original_max_positions =
      fields.number("original_max_position_embeddings", 1, kLargest).value_or(max_positions);
  rope.factor =
      fields.number("factor", 1e-6, kLargest).value_or(max_positions / rope.original_max_positions);
  // As in transformers, a zero means the default.
  const auto or_default = [&](const char* key, double fallback) {
    const double value = fields.number(key, 0, kLargest).value_or(0);
    return value == 0 ? fallback : value;
  };
  rope.beta_fast = or_default("beta_fast", 32);
  rope.beta_slow = or_default("beta_slow", 1);
  rope.truncate = fields.boolean("truncate").value_or(true);
  const double mscale = fields.number("mscale", 0, kLargest).value_or(0);
  const double mscale_all = fields.number("mscale_all_dim", 0, kLargest).value_or(0);
  rope.attention_factor = mscale != 0 && mscale_all != 0 ? yarn_scale(rope.factor, mscale) /
                                                               yarn_scale(rope.factor, mscale_all)
                                                         : yarn_scale(rope.factor, 1);
  if (const auto given = fields.number("attention_factor", 1e-6, kLargest)) {
    rope.attention_factor = *given;
  }
}

void read_llama3(const io::Field& fields, double max_positions, Rope& rope) {
  rope.factor = fields.at("factor").number(1e-6, kLargest);
  rope.low_frequency_factor = fields.at("low_freq_factor").number(1e-6, kLargest);
  rope.high_frequency_factor = fields.at("high_freq_factor").number(1e-6, kLargest);
  if (rope.high_frequency_factor <= rope.low_frequency_factor) {
    fields.fail("high_freq_factor", "expected more than low_freq_factor");
  }
  rope.original_max_positions =
      fields.number("original_max_position_embeddings", 1, kLargest).value_or(max_positions);
}

// A factor for each pair of rotated dimensions.
std::vector<double> read_factors(const io::Field& fields, const char* key,
                                 std::int64_t dimensions) {
  const auto list = fields.find(key);
  const std::string expected = "expected " + std::to_string(dimensions / 2) + " numbers above 0";
  const auto factors = list ? list->elements() : std::vector<io::Field>();
  if (std::ssize(factors) != dimensions / 2) fields.fail(key, expected);
  std::vector<double> out;
  for (const io::Field& factor : factors) {
    out.push_back(factor.number(0, kLargest));
    if (out.back() == 0) fields.fail(key, expected);
  }
  return out;
}

// LongRoPE (Ding et al. 2024), with the temperature of Phi-3.
void read_longrope(const io::Field& config, const io::Field& fields, double max_positions,
                   Rope& rope) {
  const auto original = config.number("original_max_position_embeddings", 1, kLargest);
  rope.original_max_positions = original.value_or(
      fields.number("original_max_position_embeddings", 1, kLargest).value_or(max_positions));
  rope.factor =
      fields.number("factor", 1e-6, kLargest).value_or(max_positions / rope.original_max_positions);
  rope.short_factors = read_factors(fields, "short_factor", rope.dimensions);
  rope.long_factors = read_factors(fields, "long_factor", rope.dimensions);
  rope.attention_factor =
      rope.factor <= 1
          ? 1.0
          : std::sqrt(1 + std::log(rope.factor) / std::log(rope.original_max_positions));
  if (const auto given = fields.number("attention_factor", 1e-6, kLargest)) {
    rope.attention_factor = *given;
  }
}

std::int64_t rotated(const io::Field& fields, const char* key, double share,
                     std::int64_t head_dim) {
  const auto dimensions = static_cast<std::int64_t>(static_cast<double>(head_dim) * share);
  if (dimensions < 2 || dimensions % 2 != 0) {
    fields.fail(key, "expected a share that makes an even number of dimensions of a head's " +
                         std::to_string(head_dim) + ", found " + std::to_string(share));
  }
  return dimensions;
}

}  // namespace

void read_rope(const io::Field& config, const io::Field& fields, std::int64_t max_positions,
               std::int64_t head_dim, double partial, Rope& rope) {
  rope.theta = fields.number("rope_theta", 1, kLargest).value_or(rope.theta);
  const double share = fields.number("partial_rotary_factor", 0, 1).value_or(partial);
  rope.dimensions = rotated(fields, "partial_rotary_factor", share, head_dim);
  rope.type = type_of(fields);
  const double longest = static_cast<double>(max_positions);
  switch (rope.type) {
    case RopeType::standard:
      break;
    case RopeType::linear:
    case RopeType::dynamic:
      rope.factor = fields.at("factor").number(1e-6, kLargest);
      rope.original_max_positions = longest;
      break;
    case RopeType::llama3:
      read_llama3(fields, longest, rope);
      break;
    case RopeType::yarn:
      read_yarn(fields, longest, rope);
      break;
    case RopeType::longrope:
      read_longrope(config, fields, longest, rope);
      break;
  }
}

Rope parse_rope(const io::Field& config, std::int64_t max_positions, std::int64_t head_dim,
                const RopeDefaults& defaults) {
  Rope rope;
  rope.theta = config.number(defaults.theta_key, 1, kLargest).value_or(defaults.theta);
  const double partial = config.number(defaults.partial_key, 0, 1).value_or(defaults.partial);
  // The older name wins where a file has both, as in transformers.
  auto fields = config.find("rope_scaling");
  if (!fields) fields = config.find("rope_parameters");
  if (!fields) {
    rope.dimensions = rotated(config, defaults.partial_key, partial, head_dim);
    return rope;
  }
  for (const char* nested : {"full_attention", "sliding_attention"}) {
    if (fields->has(nested)) fields->fail(nested, "one rotary embedding for all layers expected");
  }
  read_rope(config, *fields, max_positions, head_dim, partial, rope);
  return rope;
}

}  // namespace qloft::architecture
