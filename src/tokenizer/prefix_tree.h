#pragma once
// Which tokens of a vocabulary a text begins with, all in one walk.

#include <cstdint>
#include <string_view>
#include <vector>

#include "vocabulary.h"

namespace qloft::tokenizer {

// Bytes [begin, end) of a piece.
struct ByteSpan {
  std::uint32_t begin = 0, end = 0;
};

class PrefixTree {
 public:
  PrefixTree() = default;
  explicit PrefixTree(const Vocabulary& vocabulary);

  // token(id, bytes) for each token that `text` begins with, the shortest first.
  template <class OnToken>
  void each_prefix(std::string_view text, OnToken&& token) const {
    std::uint32_t node = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      node = child(node, static_cast<unsigned char>(text[i]));
      if (node == 0) return;
      if (nodes_[node].id >= 0) token(nodes_[node].id, i + 1);
    }
  }

 private:
  // Children lie side by side in the order of their bytes.
  struct Node {
    TokenId id = -1;
    std::uint32_t first = 0;
    std::uint16_t children = 0;
    unsigned char byte = 0;
  };
  std::uint32_t child(std::uint32_t node, unsigned char byte) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);
};

}  // namespace qloft::tokenizer
