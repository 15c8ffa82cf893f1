#include <nlohmann/json.hpp>

#include "folder_files.h"
#include "pipeline.h"
#include "qloft/core/error.h"
#include "sentencepiece_file.h"
#include "unicode.h"

namespace qloft::tokenizer {
namespace {

using Kind = SentencePieceFile::Kind;
constexpr std::size_t kMaximumPiece = 4096;  // bytes; all its splits are looked up

// Every way in which a piece is made of two others, in the order of the pieces' ids and then of the
// left part's length.
std::vector<std::pair<std::string, std::string>> find_merges(const Vocabulary& vocabulary) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (std::size_t id = 0; id < vocabulary.id_end(); ++id) {
    const std::string* piece = vocabulary.token(static_cast<TokenId>(id));
    if (piece == nullptr || vocabulary.find(*piece) != static_cast<TokenId>(id)) continue;
    for (std::size_t cut = 1; cut < piece->size(); ++cut) {
      if ((static_cast<unsigned char>((*piece)[cut]) & 0xC0) == 0x80) continue;
      const std::string_view text = *piece;
      if (vocabulary.find(text.substr(0, cut)) && vocabulary.find(text.substr(cut))) {
        merges.emplace_back(text.substr(0, cut), text.substr(cut));
      }
    }
  }
  return merges;
}

void add_tokens(const SentencePieceFile& source, const Vocabulary& vocabulary, AddedTokens& added) {
  for (const auto& piece : source.pieces) {
    if (piece.text.empty()) continue;
    AddedToken token;
    token.content = piece.text;
    token.special = piece.kind == Kind::control || piece.kind == Kind::unknown;
    if (token.special || piece.kind == Kind::user_defined) added.add(token, vocabulary);
  }
  added.build({});
}

// The parts of tokenizer.json that describe such a model.
io::Json pre_tokenizer_json(const char* scheme) {
  return {{"type", "Metaspace"},
          {"replacement", kMetaspace},
          {"prepend_scheme", scheme},
          {"split", false}};
}

io::Json decoder_json(bool strips_space) {
  io::Json steps = io::Json::array();
  steps.push_back({{"type", "Replace"}, {"pattern", {{"String", kMetaspace}}}, {"content", " "}});
  steps.push_back({{"type", "ByteFallback"}});
  steps.push_back({{"type", "Fuse"}});
  if (strips_space) {
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return {{"type", "Sequence"}, {"decoders", steps}};
}

}  // namespace

Pipeline read_sentencepiece(const std::filesystem::path& file, const std::optional<Field>& config,
                            std::string_view model_type,
                            std::map<std::string, std::string>& special) {
  const SentencePieceFile source = read_sentencepiece_file(file);
  if (source.model_type == SentencePieceFile::kUnigram) {
    return make_pipeline(unigram_json(source, file, config, model_type), file);
  }
  if (source.model_type != SentencePieceFile::kBpe) {
    throw InputError({file, "trainer_spec.model_type"},
                     "expected 1 (unigram) or 2 (BPE), found " + std::to_string(source.model_type));
  }
  if (!source.character_map.empty()) {
    throw InputError({file, "normalizer_spec.precompiled_charsmap"},
                     "expected none (the identity normalizer), found one");
  }
  Vocabulary vocabulary;
  vocabulary.reserve(source.pieces.size());
  for (std::size_t id = 0; id < source.pieces.size(); ++id) {
    if (source.pieces[id].text.size() > kMaximumPiece) {
      throw InputError({file, "pieces[" + std::to_string(id) + "]"},
                       "expected at most 4096 bytes, found more");
    }
    vocabulary.add(source.pieces[id].text, static_cast<TokenId>(id));
  }
  const auto id_of = [&](std::int64_t id) -> std::optional<TokenId> {
    if (id < 0 || id >= static_cast<std::int64_t>(source.pieces.size())) return std::nullopt;
    return static_cast<TokenId>(id);
  };
  const auto flag = [&](std::string_view name, bool otherwise) {
    return config ? config->boolean(name).value_or(otherwise) : otherwise;
  };

  BpeOptions options;
  options.fuse_unknown = true;
  options.byte_fallback = true;
  if (const auto id = id_of(source.unknown_id)) {
    options.unknown = source.pieces[static_cast<std::size_t>(*id)].text;
  }
  AddedTokens added;
  add_tokens(source, vocabulary, added);
  const auto merges = find_merges(vocabulary);

  const bool prefix = flag("add_prefix_space", source.add_dummy_prefix);
  const char* scheme = !prefix ? "never" : flag("legacy", false) ? "always" : "first";
  const auto name = [&](const char* as, std::int64_t id) {
    if (id_of(id)) special.try_emplace(as, source.pieces[static_cast<std::size_t>(id)].text);
  };
  name("bos_token", source.bos_id);
  name("eos_token", source.eos_id);
  name("pad_token", source.pad_id);
  name("unk_token", source.unknown_id);
  const io::Json pre_tokenizer = pre_tokenizer_json(scheme);
  const io::Json decoder = decoder_json(prefix);
  return {Normalizer(),
          PreTokenizer::read(Field(pre_tokenizer, file)),
          Model(Bpe(std::move(vocabulary), merges, std::move(options))),
          std::move(added),
          PostProcessor(),
          Decoder::read(Field(decoder, file))};
}

}  // namespace qloft::tokenizer
