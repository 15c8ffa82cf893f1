#include "pre_tokenizer.h"

#include <algorithm>

#include "bpe.h"
#include "split.h"
#include "unicode.h"

namespace qloft::tokenizer {
namespace {

constexpr std::ptrdiff_t kMaximumByteLevels = 4;  // each may double the text
constexpr std::size_t kMaximumSteps = 64;         // each is a level of calls

// GPT-2's words, which ByteLevel with use_regex splits by.
const Pattern& gpt2_words() {
  static const Pattern pattern{
      Regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)")};
  return pattern;
}

SplitBehavior read_behavior(const Field& field) {
  constexpr SplitBehavior kOrder[] = {SplitBehavior::removed, SplitBehavior::isolated,
                                      SplitBehavior::merged_with_previous,
                                      SplitBehavior::merged_with_next, SplitBehavior::contiguous};
  return kOrder[field.choice(
      {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"})];
}

template <class Next>
void step_run(const PreTokenizer::Split& step, const Piece& piece, Next&& next) {
  split(
      piece.text, step.behavior, step.invert,
      [&](auto&& emit) { step.pattern.for_each(piece.text, emit); },
      [&](std::size_t begin, std::size_t end) { next(piece.part(begin, end)); });
}

template <class Next>
void step_run(const PreTokenizer::SplitByClass& step, const Piece& piece, Next&& next) {
  split(
      piece.text, step.behavior, false,
      [&](auto&& emit) {
        for (std::size_t i = 0; i < piece.text.size();) {
          const Character c = character_at(piece.text, i);
          if (character_class(c.code) & step.classes) emit(i, i + c.size);
          i += c.size;
        }
      },
      [&](std::size_t begin, std::size_t end) { next(piece.part(begin, end)); });
}

template <class Next>
void step_run(const PreTokenizer::Words&, const Piece& piece, Next&& next) {
  const auto kind_at = [&](std::size_t at, std::size_t& size) {
    const Character c = character_at(piece.text, at);
    size = c.size;
    return character_class(c.code) & (word | space);
  };
  std::size_t size = 0;
  for (std::size_t begin = 0; begin < piece.text.size();) {
    const int kind = kind_at(begin, size);
    std::size_t end = begin + size;
    while (end < piece.text.size() && kind_at(end, size) == kind) end += size;
    if (kind != space) next(piece.part(begin, end));
    begin = end;
  }
}

template <class Next>
void step_run(const PreTokenizer::ByteLevel& step, const Piece& whole, Next&& next) {
  Piece piece = whole;
  std::string prefixed;
  std::vector<CharacterSpan> prefixed_source;
  if (step.add_prefix_space && !piece.text.starts_with(' ')) {
    prefixed = " " + std::string(piece.text);
    if (piece.source != nullptr) {
      prefixed_source.assign(1, piece.source[0]);
      prefixed_source.insert(prefixed_source.end(), piece.source, piece.source + piece.text.size());
    }
    piece = {prefixed, piece.first_bytes > 0 ? piece.first_bytes + 1 : 0,
             piece.source == nullptr ? nullptr : prefixed_source.data()};
  }
  const auto send = [&](const Piece& part) {
    if (!step.as_characters) {
      next(part);
      return;
    }
    std::string characters;
    std::vector<CharacterSpan> source;
    characters.reserve(part.text.size() * 2);
    for (std::size_t i = 0; i < part.text.size(); ++i) {
      append_character(characters, byte_level_character(static_cast<unsigned char>(part.text[i])));
      if (part.source != nullptr) source.resize(characters.size(), part.source[i]);
    }
    next(Piece{characters, part.first_bytes > 0 ? character_at(characters, 0).size : 0u,
               part.source == nullptr ? nullptr : source.data()});
  };
  if (!step.use_regex) {
    send(piece);
    return;
  }
  split(
      piece.text, SplitBehavior::isolated, false,
      [&](auto&& emit) { gpt2_words().for_each(piece.text, emit); },
      [&](std::size_t begin, std::size_t end) { send(piece.part(begin, end)); });
}

template <class Next>
void step_run(const PreTokenizer::Metaspace& step, const Piece& piece, Next&& next) {
  using Prepend = PreTokenizer::Metaspace::Prepend;
  std::string text;
  text.reserve(piece.text.size() * 2);
  std::size_t first_bytes = piece.first_bytes;
  if (piece.text.starts_with(' ') && first_bytes > 0) first_bytes += step.replacement.size() - 1;
  std::vector<CharacterSpan> source;
  for (std::size_t i = 0; i < piece.text.size(); ++i) {
    if (piece.text[i] == ' ') {
      text += step.replacement;
    } else {
      text += piece.text[i];
    }
    if (piece.source != nullptr) source.resize(text.size(), piece.source[i]);
  }
  if (!text.starts_with(step.replacement) &&
      (step.prepend == Prepend::always ||
       (step.prepend == Prepend::first && piece.first_bytes > 0))) {
    text.insert(0, step.replacement);
    if (first_bytes > 0) first_bytes += step.replacement.size();
    if (piece.source != nullptr) {
      source.insert(source.begin(), step.replacement.size(), piece.source[0]);
    }
  }
  const Piece changed{text, first_bytes, piece.source == nullptr ? nullptr : source.data()};
  if (!step.split) {
    next(changed);
    return;
  }
  const Pattern pattern(step.replacement);
  split(
      changed.text, SplitBehavior::merged_with_next, false,
      [&](auto&& emit) { pattern.for_each(changed.text, emit); },
      [&](std::size_t begin, std::size_t end) { next(changed.part(begin, end)); });
}

}  // namespace

PreTokenizer PreTokenizer::read(const Field& field) {
  PreTokenizer pre_tokenizer;
  pre_tokenizer.add(field);
  return pre_tokenizer;
}

void PreTokenizer::add(const Field& field) {
  if (steps_.size() >= kMaximumSteps) field.fail("expected fewer pre-tokenizers");
  switch (field.at("type").choice({"Sequence", "Split", "ByteLevel", "Digits", "Metaspace",
                                   "Whitespace", "WhitespaceSplit", "Punctuation",
                                   "BertPreTokenizer"})) {
    case 0:
      for (const Field& part : field.at("pretokenizers").elements()) add(part);
      break;
    case 1:
      steps_.push_back(Split{Pattern::read(field.at("pattern")),
                             read_behavior(field.at("behavior")),
                             field.boolean("invert").value_or(false)});
      break;
    case 2:
      if (std::count_if(steps_.begin(), steps_.end(), [](const Step& step) {
            return std::holds_alternative<ByteLevel>(step);
          }) >= kMaximumByteLevels) {
        field.fail("expected fewer of ByteLevel");
      }
      steps_.push_back(ByteLevel{field.boolean("add_prefix_space").value_or(true),
                                 field.boolean("use_regex").value_or(true), true});
      break;
    case 3:
      steps_.push_back(SplitByClass{numeric, field.boolean("individual_digits").value_or(false)
                                                 ? SplitBehavior::isolated
                                                 : SplitBehavior::contiguous});
      break;
    case 4: {
      Metaspace step{{}, Metaspace::Prepend::always, field.boolean("split").value_or(true)};
      append_character(step.replacement, character_of(field.at("replacement")));
      if (const auto scheme = field.find("prepend_scheme")) {
        step.prepend =
            static_cast<Metaspace::Prepend>(scheme->choice({"first", "never", "always"}));
      } else if (!field.boolean("add_prefix_space").value_or(true)) {
        step.prepend = Metaspace::Prepend::never;
      }
      steps_.push_back(std::move(step));
      break;
    }
    case 5:
      steps_.push_back(Words{});
      break;
    case 6:
      steps_.push_back(SplitByClass{space, SplitBehavior::removed});
      break;
    case 8:
      steps_.push_back(SplitByClass{space, SplitBehavior::removed});
      steps_.push_back(SplitByClass{punctuation, SplitBehavior::isolated});
      break;
    default: {
      const auto behavior = field.find("behavior");
      steps_.push_back(
          SplitByClass{punctuation, behavior ? read_behavior(*behavior) : SplitBehavior::isolated});
    }
  }
}

bool PreTokenizer::ends_in_byte_level() const {
  if (steps_.empty() || !std::holds_alternative<ByteLevel>(steps_.back())) return false;
  for (std::size_t i = 0; i + 1 < steps_.size(); ++i) {
    if (std::holds_alternative<ByteLevel>(steps_[i])) return false;
  }
  return true;
}

void PreTokenizer::leave_raw_bytes() {
  std::get<ByteLevel>(steps_.back()).as_characters = false;
}

void PreTokenizer::run_from(std::size_t index, const Piece& piece, const Model& model,
                            const TokenSink& tokens) const {
  if (piece.text.empty()) return;
  if (index == steps_.size()) {
    model.encode(piece, tokens);
    return;
  }
  std::visit(
      [&](const auto& step) {
        step_run(step, piece, [&](const Piece& part) { run_from(index + 1, part, model, tokens); });
      },
      steps_[index]);
}

}  // namespace qloft::tokenizer
