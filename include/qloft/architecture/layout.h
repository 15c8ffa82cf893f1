#pragma once
// What a model is made of, as plain data: its parameters, and the blocks that use them. Loading,
// quantizing, adapters, plans, calibration, memory prediction, merging and the forward pass read
// this and nothing else; a family (src/architecture/families) turns config.json into it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "qloft/architecture/rope.h"

namespace qloft::architecture {

// An index into Layout::parameters.
using ParameterId = std::int32_t;
inline constexpr ParameterId kNoParameter = -1;

enum class Role : std::uint8_t {
  token_embedding,     // [vocabulary, width], a row an id
  position_embedding,  // [positions, width], a row a position or a distance
  type_embedding,      // [types, width], a row a type of token
  linear,              // [out, in], within a block: what quantizing and adapters address
  convolution,         // [out, in / groups * width], of neighbouring tokens
  router,              // [experts, in], chooses experts or weighs one
  projection,          // [out, in], between an embedding's width and the hidden size
  output,              // [vocabulary, in], hidden states to logits
  head,                // [out, in], of a head beside the output matrix
  bias,                // [out]
  norm,                // [width], a norm's weight
  norm_bias,           // [width]
};

// Part of a parameter as a checkpoint stores it.
struct Piece {
  std::string tensor;
  std::vector<std::int64_t> shape;  // of the whole tensor
  std::int64_t index =
      -1;  // which matrix of a tensor [experts, rows, columns]; -1: [rows, columns]
};

// One way to store a parameter: its pieces, one below the other.
using Storage = std::vector<Piece>;

struct Parameter {
  std::string name;                 // "model.layers.0.self_attn.q_proj.weight"
  std::vector<std::int64_t> shape;  // as products use it: matrices [out, in]
  Role role = Role::linear;
  std::string stack;                    // "encoder" or "decoder"
  std::int64_t layer = -1;              // which of Layout::blocks; -1: outside of blocks
  std::int64_t expert = -1;             // which routed expert of its block; -1: none
  bool transposed = false;              // checkpoints store [in, out] (GPT-2's Conv1D)
  ParameterId bias = kNoParameter;      // of a linear layer or output matrix
  ParameterId input_of = kNoParameter;  // the first parameter with the same input: maybe itself
  std::string group;                    // shared by those that make query, key and value of a block
  ParameterId tied_to = kNoParameter;   // has that parameter's values; checkpoints may leave it out
  // Of the head: a checkpoint may lack it, and it is trained whole beside an adapter.
  bool in_head = false;
  bool constant = false;  // never trained, and zero where a checkpoint lacks it
  // How checkpoints may store it: the first is how they are published and what is written. Empty:
  // as one tensor of its own name.
  std::vector<Storage> storages;

  bool is_matrix() const { return shape.size() == 2; }
  std::int64_t rows() const { return shape.front(); }
  std::int64_t columns() const { return shape.back(); }
  std::int64_t elements() const;
  // The module whose weight or bias this is, as PEFT names it: "model.layers.0.self_attn.q_proj".
  std::string module() const;
};

// Rows of a linear layer's result. The result is `groups` equal groups of rows, and of each these
// are rows [first, first + count).
struct RowSlice {
  ParameterId linear = kNoParameter;
  std::int64_t groups = 1;
  std::int64_t first = 0;
  std::int64_t count = 0;
};

enum class NormKind : std::uint8_t { rms, layer };

// y = (offset + weight) * normalized(x) + bias
struct Norm {
  NormKind kind = NormKind::rms;
  ParameterId weight = kNoParameter;
  ParameterId bias = kNoParameter;
  double epsilon = 1e-6;
  double offset = 0;  // Gemma: 1
};

enum class Activation : std::uint8_t { silu, gelu, gelu_tanh, relu, tanh };

// Attention by content and by distance apart (He et al. 2021, DeBERTa): beside query times key,
// scores have the query times a distance's key and the key times a distance's query. Distances
// query - key are counted up to `span` both ways, row span + distance of the table; beyond half the
// `buckets` they share rows, on a logarithmic scale up to `longest`.
struct Distances {
  ParameterId table = kNoParameter;  // [2 span, hidden], of all blocks
  std::optional<Norm> norm;          // of the table
  std::int64_t span = 0;
  std::int64_t buckets = 0;  // 0: a row a distance
  std::int64_t longest = 0;
  // Linear layers that make keys and queries of the table's rows; none: that part is left out.
  ParameterId key = kNoParameter;
  ParameterId query = kNoParameter;
};

// A bias on the score of each pair by how far the key is behind the query (Raffel et al. 2020, T5):
// near distances have a row each, far ones share rows on a logarithmic scale up to `longest`. Where
// attention is not causal, half of the rows are of keys behind the query.
struct DistanceBias {
  ParameterId table = kNoParameter;  // [buckets, heads], of all blocks of a stack
  std::int64_t longest = 0;
};

struct Attention {
  RowSlice query, key, value;  // keys and values are of the encoder's states in a cross-attention
  bool cross = false;          // all of these are seen but padding
  ParameterId output = kNoParameter;
  std::int64_t heads = 0;
  std::int64_t key_value_heads = 0;
  std::int64_t head_dim = 0;
  double scale = 1;     // of query times key
  double soft_cap = 0;  // scores become soft_cap * tanh(score / soft_cap); 0: none
  // Norms of query and key before the rotary embedding: of each head by itself, of all heads as one
  // row, or of each head with a norm of its own.
  enum class NormSpan : std::uint8_t { head, all_heads, own_for_each_head };
  NormSpan norm_span = NormSpan::head;
  std::vector<Norm> query_norms, key_norms;  // none, one, or one a head
  int rope = -1;                             // an index into Layout::ropes; -1: not rotated
  bool causal = true;                        // a query sees no positions behind its own
  std::int64_t window = 0;                   // it sees so many to each side, its own too; 0: all
  bool alibi = false;                        // a bias linear in the distance (Press et al. 2022)
  std::optional<Distances> distances;
  std::optional<DistanceBias> bias;
};

// down(activation(gate(x)) * up(x)), or down(activation(up(x))) without a gate.
struct Mlp {
  std::optional<RowSlice> gate;
  RowSlice up;
  ParameterId down = kNoParameter;
  Activation activation = Activation::silu;
};

// A softmax over the router's scores weighs the results of the `chosen` experts with the largest.
struct Experts {
  ParameterId router = kNoParameter;
  std::vector<Mlp> experts;
  std::int64_t chosen = 0;
  bool normalized = false;                 // the chosen experts' weights sum to one
  std::optional<Mlp> shared;               // an expert for every token
  ParameterId shared_gate = kNoParameter;  // [1, in]; its sigmoid weighs the shared expert
};

// x + multiplier * after(body(before(x))), then after_sum.
struct Branch {
  std::optional<Norm> before = std::nullopt, after = std::nullopt, after_sum = std::nullopt;
  std::variant<Attention, Mlp, Experts> body;
  double multiplier = 1;
};

// norm(y + activation(convolution(x))), x what a block begins with and y what its branches made of
// it (He et al. 2021, DeBERTa v2): each token takes `width` tokens, half of the others to each
// side; padding is zero.
struct Convolution {
  ParameterId weight = kNoParameter;  // with a bias
  std::int64_t width = 0;             // odd
  std::int64_t groups = 1;            // parts of x and of the result that go together
  Activation activation = Activation::tanh;
  Norm norm;
};

// Branches one after the other, or all from the same x, their results added to it at once.
struct Block {
  std::vector<Branch> branches;
  bool parallel = false;
  std::optional<Convolution> convolution = std::nullopt;
};

// What is added, and the norm of the sum, come before the projection where they are as wide as the
// tokens' rows, else behind it.
struct Embedding {
  ParameterId tokens = kNoParameter;
  std::int64_t padding = -1;             // looking this id up trains nothing; -1: none such
  ParameterId positions = kNoParameter;  // learned positions, added
  // Fixed positions in their place, added: the sines of p / 10000^(2 i / width), then the cosines.
  bool sinusoids = false;
  std::int64_t position_offset = 0;  // row of position 0
  // Tokens of this id take no position, where none are given: theirs is the row before position 0.
  std::int64_t uncounted = -1;            // -1: all tokens count
  double multiplier = 1;                  // of the token's row
  ParameterId types = kNoParameter;       // learned types of tokens, added
  std::optional<Norm> norm;               // of the sum
  ParameterId projection = kNoParameter;  // to the hidden size, where the embedding is narrower
};

// logits = soft_cap(multiplier * (output(projection(norm(x)))))
struct Output {
  std::optional<Norm> norm;
  ParameterId projection = kNoParameter;
  ParameterId matrix = kNoParameter;
  double multiplier = 1;
  double soft_cap = 0;  // 0: none
};

// norm(activation(linear(x)))
struct HeadLayer {
  ParameterId linear = kNoParameter;
  std::optional<Activation> activation;
  std::optional<Norm> norm;
};

// What a model says: of the next token; of a masked one; of a sequence as a whole, a label or a
// number; where a span begins and ends; a label of each token; its hidden states and no more; of
// the next token of a target that is made of a source.
enum class HeadKind : std::uint8_t {
  next_token,
  masked_token,
  sequence,
  spans,
  tokens,
  states,
  sequence_to_sequence
};
// By what a sequence's labels are learned: squared error, or cross entropy of one label of many or
// of each by itself.
enum class Problem : std::uint8_t { regression, single_label, multi_label };

struct Head {
  HeadKind kind = HeadKind::next_token;
  // Of the hidden states, one after the other. Of a masked token they come before the output
  // matrix; the others' last one gives a score a label.
  std::vector<HeadLayer> layers;
  // What stands for a sequence: its first state, the mean of all, or that of its last `end_token`.
  enum class Pooling : std::uint8_t { first, mean, last_end };
  Pooling pooling = Pooling::first;
  std::int64_t end_token = -1;
  std::vector<std::string> labels;  // their names
  Problem problem = Problem::single_label;
};

// Of an encoder-decoder: what reads a source. The layout's embedding, output and head are the
// decoder's, which reads its target moved one token to the right. With the head of an encoder
// source and target are the same text.
struct SourceEncoder {
  Embedding embedding;
  std::int64_t blocks = 0;         // the first of Layout::blocks; the decoder's follow
  std::optional<Norm> norm;        // of the states behind them
  std::int64_t start_token = -1;   // what the decoder reads first; -1: the target's last token
  std::int64_t padding_token = 0;  // what it reads in place of a token that does not count
};

struct Layout {
  std::string family;      // config.json's model_type
  std::string class_stem;  // of an encoder: what transformers' classes of it begin with ("Bert")
  std::int64_t hidden_size = 0;
  std::int64_t vocabulary_size = 0;
  std::int64_t max_positions = 0;  // 0: any
  double initializer_range = 0.02;
  std::vector<Rope> ropes;

  std::vector<Parameter> parameters;  // in the order of the forward pass
  Embedding embedding;
  std::optional<SourceEncoder> encoder;
  std::vector<Block> blocks;
  Output output;
  Head head;

  // Other beginnings that checkpoints give to names, in place of `prefix` ("transformer.").
  std::string prefix;
  std::vector<std::string> other_prefixes;
  // Beginnings and ends of tensors that checkpoints may hold and that are no part of this model:
  // buffers of old checkpoints, the image half of a model for images and text.
  std::vector<std::string> foreign_prefixes, foreign_suffixes;

  const Parameter& parameter(ParameterId id) const {
    return parameters[static_cast<std::size_t>(id)];
  }
  std::int64_t layers() const { return static_cast<std::int64_t>(blocks.size()); }
  // The decoder's first block, or an encoder's where there is no decoder.
  std::int64_t first_block() const { return encoder ? encoder->blocks : 0; }
};

// The parameter's own, or that of a tensor with its name where it has none.
std::vector<Storage> storages_of(const Parameter& parameter);

// Parameters with values of their own: all but those tied to another.
std::int64_t parameter_count(const Layout& layout);

// The linear layers of the blocks: what quantizing and adapters address unless told otherwise.
std::vector<ParameterId> linear_layers(const Layout& layout);
// These, the output matrix and the embedding of tokens: what can be quantized.
std::vector<ParameterId> quantizable(const Layout& layout);
// What activations are multiplied by, of that: linear layers and the output matrix.
std::vector<ParameterId> multiplied(const Layout& layout);
// All that adapters can address: these, the embedding of tokens and the head's matrices.
std::vector<ParameterId> adaptable(const Layout& layout);

// Those of the head: what is trained whole beside an adapter.
std::vector<ParameterId> head_parameters(const Layout& layout);
// "next_token", "sequence", ...
std::string_view name(HeadKind kind);
// Whether a model with such a head reads texts and writes none: an encoder, or an encoder-decoder
// with the head of one.
inline bool encodes(HeadKind kind) {
  return kind != HeadKind::next_token && kind != HeadKind::sequence_to_sequence;
}
inline bool encodes(const Layout& layout) {
  return encodes(layout.head.kind);
}
// Whether it goes on from its own text: a decoder.
inline bool predicts_next_token(const Layout& layout) {
  return layout.head.kind == HeadKind::next_token;
}

// kNoParameter where there is none of this name.
ParameterId find(const Layout& layout, const std::string& name);

// The attention of a model's first block, and its first MLP or expert: what a summary shows.
const Attention& first_attention(const Layout& layout);
const Mlp& first_mlp(const Layout& layout);

// A copy whose tied output matrix has values of its own.
Layout untied(Layout layout);
bool has_tied_output(const Layout& layout);

}  // namespace qloft::architecture
