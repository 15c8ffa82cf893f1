#include "model.h"

#include <vector>

#include "word_cache.h"

namespace qloft::tokenizer {
namespace {

// Lengths one behind the other.
void add_lengths(const Piece& piece, const std::vector<std::uint32_t>& lengths,
                 const TokenSink& tokens) {
  std::size_t at = 0;
  for (const std::uint32_t length : lengths) {
    tokens.add_span(piece, at, at + length);
    at += length;
  }
}

void encode_tracked(const Bpe& model, const Piece& piece, const TokenSink& tokens) {
  std::vector<std::uint32_t> lengths;
  model.encode(piece.text, tokens.ids, lengths);
  add_lengths(piece, lengths, tokens);
}

void encode_tracked(const WordPiece& model, const Piece& piece, const TokenSink& tokens) {
  std::vector<std::uint32_t> lengths;
  model.encode(piece.text, tokens.ids, &lengths);
  add_lengths(piece, lengths, tokens);
}

void encode_tracked(const Unigram& model, const Piece& piece, const TokenSink& tokens) {
  std::vector<ByteSpan> bytes;
  model.encode(piece.text, tokens.ids, &bytes);
  for (const ByteSpan& span : bytes) tokens.add_span(piece, span.begin, span.end);
}

}  // namespace

Model::Model(Kind kind) : kind_(std::move(kind)), cache_key_(WordCache::new_owner()) {}

const Vocabulary& Model::vocabulary() const {
  return std::visit([](const auto& model) -> const Vocabulary& { return model.vocabulary(); },
                    kind_);
}

void Model::encode(const Piece& piece, const TokenSink& tokens) const {
  if (tokens.spans != nullptr) {
    std::visit([&](const auto& model) { encode_tracked(model, piece, tokens); }, kind_);
  } else if (const Bpe* bpe = std::get_if<Bpe>(&kind_)) {
    bpe->encode(piece.text, tokens.ids);
  } else {
    encode_cached(cache_key_, piece.text, tokens.ids, [&] {
      if (const WordPiece* words = std::get_if<WordPiece>(&kind_)) {
        words->encode(piece.text, tokens.ids, nullptr);
      } else {
        std::get<Unigram>(kind_).encode(piece.text, tokens.ids, nullptr);
      }
    });
  }
}

}  // namespace qloft::tokenizer
