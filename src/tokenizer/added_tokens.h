#pragma once
// Tokens that stand outside the model and are found in the text before it sees any of it.

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "normalizer.h"
#include "piece.h"
#include "qloft/tokenizer.h"
#include "vocabulary.h"

namespace qloft::tokenizer {

// In bytes: finding tokens takes as many steps for each byte of a text.
inline constexpr std::size_t kLongestAddedToken = 512;

struct AddedToken {
  std::string content;
  bool single_word = false;  // only where no word character stands beside it
  bool lstrip = false;       // takes the spaces before it
  bool rstrip = false;       // takes the spaces behind it
  bool normalized = false;   // looked for in the normalized text, in its normalized form
  bool special = false;
};

// All tokens of a set, found leftmost and longest first.
class TokenTrie {
 public:
  void add(std::string_view token, TokenId id);
  bool empty() const { return nodes_.size() == 1; }
  struct Match {
    std::size_t begin, end;
    TokenId id;
  };
  std::optional<Match> find(std::string_view text, std::size_t from) const;

 private:
  struct Node {
    TokenId id = -1;
    std::vector<std::pair<unsigned char, std::uint32_t>> children;  // sorted by byte
    std::uint32_t child(unsigned char byte) const;
  };
  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<bool, 256> starts_{};
};

class AddedTokens {
 public:
  // A token that is there already takes the new one's rules. The id of a token that the model has
  // not is the next free one, as tokenizers gives them (it does not read the ids in the file).
  // extract() sees the tokens once build() was called. Returns the id.
  TokenId add(AddedToken token, const Vocabulary& vocabulary);
  void build(const Normalizer& normalizer);
  // Special tokens that stand in a text are cut up like the rest of it (split_special_tokens).
  void set_split_special(bool split) { split_special_ = split; }

  // Cuts `text` into added tokens and pieces of normalized text between them, in order:
  // token(id, Piece) and piece(Piece).
  template <class OnToken, class OnPiece>
  void extract(const Piece& whole, const Normalizer& normalizer, OnToken&& token,
               OnPiece&& piece) const {
    if (whole.text.empty()) return;
    cut(raw_, whole, token, [&](const Piece& part) {
      if (normalizer.empty()) {
        cut(normalized_, part, token, piece);
        return;
      }
      NormalizedText changed{std::string(part.text), part.first_bytes};
      if (part.source != nullptr) changed.source = {part.source, part.source + part.text.size()};
      normalizer.apply(changed);
      const CharacterSpan* source = part.source == nullptr ? nullptr : changed.source.data();
      cut(normalized_, Piece{changed.text, changed.first_bytes, source}, token, piece);
    });
  }

  std::optional<TokenId> find(std::string_view content) const;
  const AddedToken* token(TokenId id) const;  // nullptr: no added token
  // What decoding starts from: the normalized form where the token is looked for in it.
  const std::string* decoded(TokenId id) const;
  bool is_special(std::string_view content) const;
  std::map<TokenId, AddedToken> all() const;
  TokenId id_end() const { return id_end_; }  // the highest id + 1; 0 if there is none

 private:
  struct Stored {
    AddedToken token;
    std::string decoded;
  };

  // The last run of spaces that was looked at, so that none is twice.
  struct SpaceRun {
    std::size_t begin = 0, end = 0;
  };
  // Where `match` begins and ends once its spaces are taken; nullopt if it is no single word.
  std::optional<std::pair<std::size_t, std::size_t>> bounds(const TokenTrie::Match& match,
                                                            std::string_view text, std::size_t done,
                                                            SpaceRun& spaces) const;

  template <class OnToken, class OnPiece>
  void cut(const TokenTrie& trie, const Piece& in, OnToken&& token, OnPiece&& piece) const {
    if (in.text.empty()) return;
    std::size_t done = 0;
    SpaceRun spaces;
    for (std::size_t from = 0; !trie.empty();) {
      const auto match = trie.find(in.text, from);
      if (!match) break;
      from = match->end;
      if (split_special_ && by_id_.at(match->id).token.special) continue;
      const auto range = bounds(*match, in.text, done, spaces);
      if (!range) continue;
      if (done < range->first) piece(in.part(done, range->first));
      // tokenizers drops a token whose text is empty, which none is.
      token(match->id, in.part(range->first, range->second));
      done = range->second;
    }
    if (done < in.text.size()) piece(in.part(done, in.text.size()));
  }

  std::vector<TokenId> order_;  // in which they were added
  std::unordered_map<TokenId, Stored> by_id_;
  std::unordered_map<std::string, TokenId> ids_;
  bool split_special_ = false;
  TokenTrie raw_, normalized_;
  TokenId id_end_ = 0;
};

}  // namespace qloft::tokenizer
