#pragma once
// Rotary embedding: theta, and how frequencies are stretched beyond the trained length, as
// transformers' modeling_rope_utils.py names and defines it.

#include <cstdint>
#include <vector>

namespace qloft::architecture {

enum class RopeType : std::uint8_t { standard, linear, dynamic, llama3, yarn, longrope };

struct Rope {
  RopeType type =
      RopeType::standard;       // "default", "linear", "dynamic", "llama3", "yarn", "longrope"
  std::int64_t dimensions = 0;  // of each head that are rotated: the first ones
  double theta = 10000.0;
  double factor = 1.0;                  // all but standard
  double low_frequency_factor = 1.0;    // llama3
  double high_frequency_factor = 4.0;   // llama3
  double original_max_positions = 0.0;  // llama3, yarn, longrope; dynamic: max_positions
  double beta_fast = 32.0;              // yarn
  double beta_slow = 1.0;               // yarn
  bool truncate = true;                 // yarn: whole dimensions as the ends of the ramp
  double attention_factor = 1.0;        // yarn, longrope: what cos and sin are multiplied by
  // longrope: what frequencies are divided by, one a pair of dimensions, up to and beyond
  // original_max_positions.
  std::vector<double> short_factors, long_factors;
};

}  // namespace qloft::architecture
