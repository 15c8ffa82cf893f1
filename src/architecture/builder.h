#pragma once
// What families build a Layout with: parameters are added in the order of the forward pass, within
// the block that was begun last.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/architecture/layout.h"

namespace qloft::architecture {

class LayoutBuilder {
 public:
  // Names within a block begin with `blocks`, its number and a dot.
  LayoutBuilder(std::string family, std::string blocks);

  // Of an encoder-decoder: what follows is the encoder's, until its decoder begins, whose blocks'
  // names begin with `blocks`.
  void begin_encoder();
  void begin_decoder(std::string blocks);

  Layout& layout() { return layout_; }
  // Of the encoder or the decoder, which was begun last.
  Embedding& embedding();
  // From here on names belong to the next block.
  void begin_block();
  // From here on names stand by themselves.
  void end_blocks();
  // Which block of the encoder or the decoder it is; -1: none.
  std::int64_t block() const { return block_; }

  struct LinearOptions {
    bool bias = false;
    bool transposed = false;              // checkpoints store [in, out]
    ParameterId input_of = kNoParameter;  // whose input it shares; none: its own
    std::string group = {};
    Role role = Role::linear;
  };
  // The weight `name`.weight, and its bias.
  ParameterId linear(std::string_view name, std::int64_t out, std::int64_t in,
                     const LinearOptions& options);
  // An expert's matrix, with all ways in which checkpoints store it.
  ParameterId expert(std::string_view name, std::int64_t out, std::int64_t in, std::int64_t expert,
                     ParameterId input_of, std::vector<Storage> storages);
  Norm rms_norm(std::string_view name, std::int64_t width, double epsilon, double offset = 0);
  Norm layer_norm(std::string_view name, std::int64_t width, double epsilon, bool bias = true);

  ParameterId token_embedding(std::string_view name, std::int64_t width);
  ParameterId type_embedding(std::string_view name, std::int64_t rows, std::int64_t width);
  ParameterId position_embedding(std::string_view name, std::int64_t rows, std::int64_t width);
  // A row a distance between tokens, or a group of distances.
  ParameterId distance_embedding(std::string_view name, std::int64_t rows, std::int64_t width);
  // `name`.weight, with the embedding's values where it is tied.
  ParameterId output_matrix(std::string_view name, std::int64_t width, bool tied,
                            bool bias = false);

  // Parameters that are added from here on are the head's.
  void begin_head();

  // The whole result of a linear layer.
  RowSlice whole(ParameterId linear) const;
  // Query, key and value of one fused linear layer whose result is `groups` groups, each of
  // queries, then keys, then values.
  void split_heads(ParameterId fused, std::int64_t groups, Attention& attention) const;

  Block& add(Block block);

  // A name within the block that was begun last, as it stands in checkpoints.
  std::string full_name(std::string_view name) const;

 private:
  ParameterId add(Parameter parameter);
  ParameterId add_rows(std::string_view name, std::int64_t rows, std::int64_t width, Role role);

  Layout layout_;
  std::string blocks_;
  std::string stack_ = "decoder";
  std::int64_t first_ = 0;  // of its blocks
  std::int64_t block_ = -1;
  bool in_head_ = false;
};

}  // namespace qloft::architecture
