#pragma once
// What encoder-decoders have in common.

#include <string>
#include <vector>

#include "../../builder.h"
#include "head.h"
#include "read.h"

namespace qloft::architecture {

// The head that `architectures` names, without layers: of the whole model, with its output matrix
// or without it, or one of `kinds` of an encoder's. Throws InputError for another.
Head read_pair_head(const io::Field& config, std::vector<HeadKind> kinds);

// The layers of a head of sequences or of spans, of the decoder's states.
void add_pair_head(LayoutBuilder& builder, const io::Field& config, std::int64_t default_end);

// What checkpoints may hold of heads that are not this model's.
void allow_other_heads(Layout& layout);

// start_token and padding_token of the encoder, from decoder_start_token_id and pad_token_id.
void read_target_tokens(const io::Field& config, std::int64_t default_start,
                        std::int64_t default_padding, Layout& layout);

// Queries, keys, values and the output projection of one attention under `stem`.
struct AttentionNames {
  std::string stem;
  const char* query = "q_proj";
  const char* key = "k_proj";
  const char* value = "v_proj";
  const char* output = "out_proj";
  bool bias = true;
};
void add_attention(LayoutBuilder& builder, const Sizes& sizes, const AttentionNames& names,
                   Attention& attention);

// The embedding `name` of both halves, whose own names begin with `stem`; checkpoints may store it
// under one of these alone.
ParameterId add_shared_embedding(LayoutBuilder& builder, const std::string& name,
                                 const std::string& stem, std::int64_t hidden);

// The output matrix `lm_head`. Where it is not tied and a checkpoint lacks it, it is the embedding
// all the same.
void add_output_matrix(LayoutBuilder& builder, std::int64_t hidden, bool tied);

}  // namespace qloft::architecture
