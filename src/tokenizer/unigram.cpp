#include "unigram.h"

#include <algorithm>
#include <string>
#include <utility>

#include "bpe.h"
#include "qloft/core/error.h"
#include "unicode.h"

namespace qloft::tokenizer {
namespace {

constexpr double kUnknownPenalty = 10;  // below the least score

}  // namespace

Unigram::Unigram(Vocabulary vocabulary, std::vector<double> scores, std::optional<TokenId> unknown,
                 bool byte_fallback)
    : vocabulary_(std::move(vocabulary)),
      tree_(vocabulary_),
      scores_(std::move(scores)),
      unknown_(unknown) {
  unknown_score_ = *std::ranges::min_element(scores_) - kUnknownPenalty;
  for (unsigned byte = 0; byte < 256 && byte_fallback; ++byte) {
    byte_ids_.push_back(vocabulary_.find(byte_token(byte)).value_or(-1));
  }
}

void Unigram::encode(std::string_view piece, std::vector<TokenId>& ids,
                     std::vector<ByteSpan>* bytes) const {
  struct Best {
    double score = 0;
    std::int64_t begin = -1;  // of the last token; -1: no way leads here
    bool unknown = false;
  };
  thread_local std::vector<Best> best;  // of all ways to cut up the first bytes
  best.assign(piece.size() + 1, {});
  const auto offer = [&](std::size_t begin, std::size_t end, double score, bool unknown) {
    if (best[end].begin >= 0 && !(score > best[end].score)) return;
    best[end] = {score, static_cast<std::int64_t>(begin), unknown};
  };
  for (std::size_t at = 0; at < piece.size();) {
    const double so_far = best[at].score;
    const std::size_t size = character_at(piece, at).size;
    bool has_character = false;
    tree_.each_prefix(piece.substr(at), [&](TokenId id, std::size_t length) {
      has_character = has_character || length == size;
      offer(at, at + length, scores_[static_cast<std::size_t>(id)] + so_far, id == unknown_);
    });
    if (!has_character) offer(at, at + size, unknown_score_ + so_far, true);
    at += size;
  }

  // Backwards; unknowns that follow each other are one.
  std::vector<ByteSpan> parts;
  bool last_unknown = false;
  for (std::size_t end = piece.size(); end > 0;) {
    const Best& node = best[end];
    const auto begin = static_cast<std::uint32_t>(node.begin);
    if (node.unknown && !unknown_) {
      throw InputError({{}, "model.unk_id"},
                       "expected the id of a token for text that has none, "
                       "found none");
    }
    if (node.unknown && last_unknown) {
      parts.back().begin = begin;
    } else {
      parts.push_back({begin, static_cast<std::uint32_t>(end)});
    }
    last_unknown = node.unknown;
    end = begin;
  }
  const auto add = [&](TokenId id, ByteSpan part) {
    ids.push_back(id);
    if (bytes != nullptr) bytes->push_back(part);
  };
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    const std::string_view text = piece.substr(part->begin, part->end - part->begin);
    if (const auto id = vocabulary_.find(text)) {
      add(*id, *part);
      continue;
    }
    const bool has_bytes = !byte_ids_.empty() && std::ranges::all_of(text, [&](char c) {
      return byte_ids_[static_cast<unsigned char>(c)] >= 0;
    });
    if (!has_bytes) {
      add(*unknown_, *part);
      continue;
    }
    for (const char c : text) add(byte_ids_[static_cast<unsigned char>(c)], *part);
  }
}

}  // namespace qloft::tokenizer
