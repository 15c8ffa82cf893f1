#pragma once
// Reading rotary embeddings from config.json.

#include <cstdint>

#include "qloft/architecture/rope.h"
#include "qloft/io/fields.h"

namespace qloft::architecture {

// What a family has where config.json says nothing.
struct RopeDefaults {
  double theta = 10000;
  double partial = 1;  // the share of a head's dimensions that is rotated
  const char* theta_key = "rope_theta";
  const char* partial_key = "partial_rotary_factor";
};

// The one embedding of all layers, in the older (rope_theta, rope_scaling) and the newer
// (rope_parameters) spelling.
Rope parse_rope(const io::Field& config, std::int64_t max_positions, std::int64_t head_dim,
                const RopeDefaults& defaults = {});

// The same from `fields`, what rope_scaling or an entry of rope_parameters holds; theta and share
// are those of `rope` unless it says otherwise.
void read_rope(const io::Field& config, const io::Field& fields, std::int64_t max_positions,
               std::int64_t head_dim, double partial, Rope& rope);

}  // namespace qloft::architecture
