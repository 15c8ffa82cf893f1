#pragma once
// Encoders with the names of BERT's modules: embeddings of tokens, positions and types under a
// norm, attention both ways, norms behind each sum, and an MLP without a gate.

#include <functional>
#include <string>

#include "head.h"
#include "read.h"

namespace qloft::architecture {

struct Encoder {
  Sizes sizes;
  std::int64_t width = 0;      // of the embeddings
  std::int64_t positions = 0;  // rows of their embedding; 0: none
  std::int64_t types = 0;
  double epsilon = 1e-12;
  Activation activation = Activation::gelu;
  bool norm_behind_projection = false;
  std::string projection = "embeddings_project";  // where the embeddings are narrower
  bool projection_bias = true;
  std::string query = "query", key = "key", value = "value";  // under attention.self
};

// Sizes, epsilon, activation and types as BERT's config.json has them; the layout gets the sizes
// and the head of `config`.
Encoder read_encoder(const io::Field& config, LayoutBuilder& builder,
                     std::int64_t default_positions, std::int64_t default_types = 2);

// Under `stem` ("bert."), with their norm and projection.
void add_encoder_embeddings(LayoutBuilder& builder, const Encoder& encoder,
                            const std::string& stem);
// All blocks. change(attention): what a family has beside queries, keys and values, which see each
// other both ways.
void add_encoder_blocks(LayoutBuilder& builder, const Encoder& encoder,
                        const std::function<void(Attention&)>& change = {});

// For a head of sequences: the linear layer `dense` with an activation, over the first state, then
// `labels`.
void add_sequence_head(LayoutBuilder& builder, const std::string& dense, const std::string& labels,
                       std::int64_t hidden, Activation activation);

// RoBERTa's family: its positions, and its heads.
Layout roberta_layout(const io::Field& config, const std::string& family,
                      const std::string& class_stem);

}  // namespace qloft::architecture
