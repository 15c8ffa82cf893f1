#pragma once
// BART and its relatives: an encoder and a decoder with layer norms, biases and an MLP without a
// gate.

#include <string>

#include "qloft/architecture/layout.h"
#include "qloft/io/fields.h"

namespace qloft::architecture {

struct BartFamily {
  std::string name;
  std::string class_stem = {};   // as Layout has it; empty: no heads but the output matrix
  bool norm_before = false;      // each branch, and a norm behind the last; else norms of the sums
  bool embedding_norm = true;    // of token and position
  bool sinusoids = false;        // positions are these, else learned ones from row 2 on
  std::int64_t start_token = 2;  // where config.json says nothing
  std::int64_t padding_token = 1;
};
Layout bart_layout(const io::Field& config, const BartFamily& family);

}  // namespace qloft::architecture
