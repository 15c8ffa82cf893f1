#include "added_tokens.h"

#include <algorithm>

#include "qloft/core/error.h"
#include "unicode.h"

namespace qloft::tokenizer {

std::uint32_t TokenTrie::Node::child(unsigned char byte) const {
  const auto at = std::lower_bound(children.begin(), children.end(), byte,
                                   [](const auto& c, unsigned char b) { return c.first < b; });
  return at != children.end() && at->first == byte ? at->second : 0;
}

void TokenTrie::add(std::string_view token, TokenId id) {
  if (token.empty()) return;
  starts_[static_cast<unsigned char>(token[0])] = true;
  std::uint32_t node = 0;
  for (const char c : token) {
    const auto byte = static_cast<unsigned char>(c);
    std::uint32_t next = nodes_[node].child(byte);
    if (next == 0) {
      next = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
      auto& children = nodes_[node].children;
      const auto at =
          std::lower_bound(children.begin(), children.end(), byte,
                           [](const auto& child, unsigned char b) { return child.first < b; });
      children.insert(at, {byte, next});
    }
    node = next;
  }
  if (nodes_[node].id < 0) nodes_[node].id = id;
}

std::optional<TokenTrie::Match> TokenTrie::find(std::string_view text, std::size_t from) const {
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<unsigned char>(text[begin])]) continue;
    std::optional<Match> longest;
    std::uint32_t node = 0;
    for (std::size_t i = begin; i < text.size(); ++i) {
      node = nodes_[node].child(static_cast<unsigned char>(text[i]));
      if (node == 0) break;
      if (nodes_[node].id >= 0) longest = Match{begin, i + 1, nodes_[node].id};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

TokenId AddedTokens::add(AddedToken token, const Vocabulary& vocabulary) {
  if (token.content.size() > kLongestAddedToken) {
    throw InputError("expected an added token of at most " + std::to_string(kLongestAddedToken) +
                     " bytes, found " + std::to_string(token.content.size()));
  }
  TokenId id = -1;
  if (const auto known = find(token.content)) {
    id = *known;
  } else if (const auto in_model = vocabulary.find(token.content)) {
    id = *in_model;
  } else {
    id = std::max(static_cast<TokenId>(vocabulary.size()), id_end_);
  }
  id_end_ = std::max(id_end_, id + 1);
  ids_[token.content] = id;
  if (!by_id_.contains(id)) order_.push_back(id);
  by_id_[id] = {std::move(token), {}};
  return id;
}

void AddedTokens::build(const Normalizer& normalizer) {
  raw_ = normalized_ = TokenTrie();
  for (const TokenId id : order_) {
    Stored& stored = by_id_.at(id);
    const AddedToken& token = stored.token;
    stored.decoded = token.normalized ? normalizer.apply(token.content) : token.content;
    (token.normalized ? normalized_ : raw_).add(stored.decoded, id);
  }
}

std::optional<TokenId> AddedTokens::find(std::string_view content) const {
  const auto found = ids_.find(std::string(content));
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const AddedToken* AddedTokens::token(TokenId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second.token;
}

const std::string* AddedTokens::decoded(TokenId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second.decoded;
}

std::map<TokenId, AddedToken> AddedTokens::all() const {
  std::map<TokenId, AddedToken> tokens;
  for (const auto& [id, stored] : by_id_) tokens.emplace(id, stored.token);
  return tokens;
}

bool AddedTokens::is_special(std::string_view content) const {
  const auto found = ids_.find(std::string(content));
  return found != ids_.end() && by_id_.at(found->second).token.special;
}

std::optional<std::pair<std::size_t, std::size_t>> AddedTokens::bounds(
    const TokenTrie::Match& match, std::string_view text, std::size_t done,
    SpaceRun& spaces) const {
  const AddedToken& token = by_id_.at(match.id).token;
  std::size_t begin = match.begin, end = match.end;
  if (token.single_word) {
    const auto is_word = [](Character c) { return (character_class(c.code) & word) != 0; };
    if (begin > 0 && is_word(character_before(text, begin))) return std::nullopt;
    if (end < text.size() && is_word(character_at(text, end))) return std::nullopt;
  }
  if (token.lstrip) {
    while (begin > done && is_space(character_before(text, begin).code)) {
      begin -= character_before(text, begin).size;
    }
  }
  if (token.rstrip) {
    if (end < spaces.begin || end >= spaces.end) {
      spaces.begin = end;
      while (end < text.size() && is_space(character_at(text, end).code)) {
        end += character_at(text, end).size;
      }
      spaces.end = end;
    }
    end = std::max(end, spaces.end);
  }
  return std::pair{begin, end};
}

}  // namespace qloft::tokenizer
