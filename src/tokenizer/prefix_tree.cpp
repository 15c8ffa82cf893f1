#include "prefix_tree.h"

#include <algorithm>
#include <string>

namespace qloft::tokenizer {

PrefixTree::PrefixTree(const Vocabulary& vocabulary) {
  struct Token {
    std::string_view text;
    TokenId id;
  };
  std::vector<Token> tokens;
  for (std::size_t i = 0; i < vocabulary.id_end(); ++i) {
    const std::string* text = vocabulary.token(static_cast<TokenId>(i));
    if (text == nullptr || text->empty()) continue;
    const auto id = vocabulary.find(*text);
    if (id == static_cast<TokenId>(i)) tokens.push_back({*text, *id});
  }
  std::ranges::sort(tokens, {}, &Token::text);
  // Level by level: of each node the tokens that go through it.
  struct Range {
    std::size_t begin, end;
  };
  std::vector<Range> ranges = {{0, tokens.size()}};
  std::size_t depth = 0;
  for (std::size_t node = 0, level_end = 1; node < nodes_.size(); ++node) {
    if (node == level_end) {
      level_end = nodes_.size();
      ++depth;
    }
    auto [at, end] = ranges[node];
    if (at < end && tokens[at].text.size() == depth) nodes_[node].id = tokens[at++].id;
    nodes_[node].first = static_cast<std::uint32_t>(nodes_.size());
    while (at < end) {
      const char byte = tokens[at].text[depth];
      std::size_t next = at;
      while (next < end && tokens[next].text[depth] == byte) ++next;
      nodes_.push_back({-1, 0, 0, static_cast<unsigned char>(byte)});
      ranges.push_back({at, next});
      ++nodes_[node].children;
      at = next;
    }
  }
}

std::uint32_t PrefixTree::child(std::uint32_t node, unsigned char byte) const {
  const auto begin = nodes_.begin() + nodes_[node].first;
  const auto end = begin + nodes_[node].children;
  const auto at =
      std::lower_bound(begin, end, byte, [](const Node& n, unsigned char b) { return n.byte < b; });
  return at != end && at->byte == byte ? static_cast<std::uint32_t>(at - nodes_.begin()) : 0;
}

}  // namespace qloft::tokenizer
