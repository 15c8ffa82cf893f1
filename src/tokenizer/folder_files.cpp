#include "folder_files.h"

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "character_map.h"
#include "qloft/core/error.h"

namespace qloft::tokenizer {
namespace {

using io::Json;
using Names = std::initializer_list<std::pair<const char*, const char*>>;

// A named token: of the configuration, else the class's own.
std::string token_named(const std::optional<Field>& config, const std::string& name,
                        const char* otherwise) {
  const auto field = config ? config->find(name) : std::nullopt;
  if (!field) return otherwise;
  return field->json().is_object() ? field->at("content").string() : field->string();
}

bool flag(const std::optional<Field>& config, std::string_view name, bool otherwise) {
  return config ? config->boolean(name).value_or(otherwise) : otherwise;
}

Json added_token(const std::string& content, bool special) {
  return {{"content", content}, {"special", special}, {"normalized", false}};
}

// "[CLS] $A [SEP] $B:1 [SEP]:1" as tokenizers has it; `id_of` a token.
template <class IdOf>
Json template_json(const std::vector<std::string>& single, const std::vector<std::string>& pair,
                   IdOf&& id_of) {
  Json special = Json::object();
  const auto parts = [&](const std::vector<std::string>& items) {
    Json list = Json::array();
    std::int64_t type = 0;
    for (const std::string& item : items) {
      if (item == "$A" || item == "$B") {
        list.push_back({{"Sequence", {{"id", item.substr(1)}, {"type_id", type}}}});
      } else if (item == ":1") {
        type = 1;
      } else {
        special[item] = {{"ids", Json::array({id_of(item)})}};
        list.push_back({{"SpecialToken", {{"id", item}, {"type_id", type}}}});
      }
    }
    return list;
  };
  Json single_parts = parts(single), pair_parts = parts(pair);
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single_parts)},
          {"pair", std::move(pair_parts)},
          {"special_tokens", std::move(special)}};
}

Json sequence(const char* members, Json parts) {
  return {{"type", "Sequence"}, {members, std::move(parts)}};
}

Json metaspace(const char* scheme) {
  return {{"type", "Metaspace"},
          {"replacement", kMetaspace},
          {"prepend_scheme", scheme},
          {"split", true}};
}

// What the three families of unigram models share.
class UnigramDocument {
 public:
  void add(const std::string& token, double score) {
    ids_.emplace_back(token);
    vocabulary_.push_back(Json::array({token, score}));
  }
  std::int64_t id_of(const std::string& token) const {
    const auto last = std::find(ids_.rbegin(), ids_.rend(), token);
    return last == ids_.rend() ? 0 : ids_.rend() - last - 1;
  }
  Json finish(Json normalizer, Json pre_tokenizer, const char* scheme, Json post_processor,
              std::int64_t unknown, Json added) {
    Json document = {{"added_tokens", std::move(added)},
                     {"pre_tokenizer", std::move(pre_tokenizer)},
                     {"decoder", metaspace(scheme)},
                     {"post_processor", std::move(post_processor)}};
    if (!normalizer.is_null()) document["normalizer"] = std::move(normalizer);
    document["model"] = {
        {"type", "Unigram"}, {"unk_id", unknown}, {"vocab", std::move(vocabulary_)}};
    return document;
  }

 private:
  std::vector<std::string> ids_;
  Json vocabulary_ = Json::array();
};

// Control and user-defined pieces are found in the text, and so are the named tokens.
Json added_tokens(const SentencePieceFile& source, const std::vector<std::string>& named) {
  Json added = Json::array();
  for (const std::string& token : named) added.push_back(added_token(token, true));
  for (const auto& piece : source.pieces) {
    const bool control = piece.kind == SentencePieceFile::Kind::control;
    if (control || piece.kind == SentencePieceFile::Kind::user_defined) {
      added.push_back(added_token(piece.text, control));
    }
  }
  return added;
}

Json precompiled(const SentencePieceFile& source) {
  if (source.character_map.empty()) return nullptr;
  return {{"type", "Precompiled"}, {"precompiled_charsmap", encode_base64(source.character_map)}};
}

Json words_json(const char* scheme) {
  return sequence("pretokenizers", Json::array({{{"type", "WhitespaceSplit"}}, metaspace(scheme)}));
}

Json t5_json(const SentencePieceFile& source, const std::optional<Field>& config) {
  const std::int64_t extra = config ? config->integer("extra_ids", 0, 1 << 16).value_or(100) : 100;
  UnigramDocument document;
  for (const auto& piece : source.pieces) document.add(piece.text, piece.score);
  Json added = added_tokens(
      source, {token_named(config, "eos_token", "</s>"), token_named(config, "unk_token", "<unk>"),
               token_named(config, "pad_token", "<pad>")});
  for (std::int64_t i = extra - 1; i >= 0; --i) {
    const std::string token = "<extra_id_" + std::to_string(i) + ">";
    document.add(token, 0);
    added.push_back(added_token(token, true));
  }
  Json around = template_json({"$A", "</s>"}, {"$A", "</s>", "$B", "</s>"},
                              [&](const std::string& token) { return document.id_of(token); });
  return document.finish(precompiled(source), words_json("always"), "always", std::move(around), 2,
                         std::move(added));
}

Json xlm_roberta_json(const SentencePieceFile& source, const std::optional<Field>& config) {
  const std::string bos = token_named(config, "bos_token", "<s>");
  const std::string eos = token_named(config, "eos_token", "</s>");
  const std::string unknown = token_named(config, "unk_token", "<unk>");
  const std::string pad = token_named(config, "pad_token", "<pad>");
  const std::string mask = token_named(config, "mask_token", "<mask>");
  UnigramDocument document;
  for (const std::string& token : {bos, pad, eos, unknown}) document.add(token, 0);
  for (std::size_t i = 3; i < source.pieces.size(); ++i) {
    document.add(source.pieces[i].text, source.pieces[i].score);
  }
  document.add(mask, 0);
  const char* scheme = flag(config, "add_prefix_space", true) ? "always" : "never";
  Json around = template_json({bos, "$A", eos}, {bos, "$A", eos, eos, "$B", eos},
                              [&](const std::string& token) { return document.id_of(token); });
  return document.finish(precompiled(source), words_json(scheme), scheme, std::move(around), 3,
                         added_tokens(source, {bos, eos, unknown, pad, mask}));
}

Json deberta_json(const SentencePieceFile& source, const std::optional<Field>& config) {
  UnigramDocument document;
  const std::string unknown = token_named(config, "unk_token", "[UNK]");
  const std::string cls = token_named(config, "cls_token", "[CLS]");
  const std::string sep = token_named(config, "sep_token", "[SEP]");
  std::int64_t unknown_id = config ? config->integer("unk_id", 0).value_or(1) : 1;
  for (std::size_t i = 0; i < source.pieces.size(); ++i) {
    const auto& piece = source.pieces[i];
    if (piece.text == unknown && piece.score == 0) unknown_id = static_cast<std::int64_t>(i);
    document.add(piece.text, piece.score);
  }
  Json normalizers = Json::array();
  if (flag(config, "do_lower_case", false)) normalizers.push_back({{"type", "Lowercase"}});
  normalizers.push_back(
      {{"type", "Replace"}, {"pattern", {{"Regex", R"(\s{2,}|[\n\r\t])"}}}, {"content", " "}});
  normalizers.push_back({{"type", "NFC"}});
  normalizers.push_back({{"type", "Strip"}, {"strip_left", false}, {"strip_right", true}});
  const char* scheme = flag(config, "add_prefix_space", true) ? "always" : "first";
  Json pre_tokenizers = Json::array();
  if (flag(config, "split_by_punct", false)) {
    pre_tokenizers.push_back({{"type", "Punctuation"}, {"behavior", "Isolated"}});
  }
  pre_tokenizers.push_back(metaspace(scheme));
  Json around = template_json({cls, "$A", sep}, {cls, "$A", sep, ":1", "$B", sep},
                              [&](const std::string& token) { return document.id_of(token); });
  return document.finish(sequence("normalizers", std::move(normalizers)),
                         sequence("pretokenizers", std::move(pre_tokenizers)), scheme,
                         std::move(around), unknown_id,
                         added_tokens(source, {token_named(config, "bos_token", "[CLS]"),
                                               token_named(config, "eos_token", "[SEP]"), unknown,
                                               sep, token_named(config, "pad_token", "[PAD]"), cls,
                                               token_named(config, "mask_token", "[MASK]")}));
}

struct UnigramRow {
  std::vector<std::string_view> model_types;
  std::vector<std::string_view> classes;  // without "Fast"
  Json (*make)(const SentencePieceFile& source, const std::optional<Field>& config);
};

const std::vector<UnigramRow>& unigram_rows() {
  static const std::vector<UnigramRow> rows = {
      {{"t5", "mt5", "umt5"}, {"T5Tokenizer", "MT5Tokenizer"}, t5_json},
      {{"deberta-v2"}, {"DebertaV2Tokenizer"}, deberta_json},
      {{"xlm-roberta", "xlm-roberta-xl"}, {"XLMRobertaTokenizer"}, xlm_roberta_json},
  };
  return rows;
}

}  // namespace

Json wordpiece_json(const std::filesystem::path& vocabulary_file,
                    const std::optional<Field>& config) {
  std::ifstream in(vocabulary_file, std::ios::binary);
  if (!in) throw InputError({vocabulary_file, {}}, "cannot be read");
  Json vocabulary = Json::object();
  auto& entries = vocabulary.get_ref<Json::object_t&>();  // operator[] would look at all of them
  std::int64_t id = 0;
  for (std::string line; std::getline(in, line); ++id) {
    if (!is_valid_utf8(line)) {
      throw InputError({vocabulary_file, "line " + std::to_string(id + 1)},
                       "expected UTF-8, found other bytes");
    }
    while (!line.empty() && is_space(character_before(line, line.size()).code)) {
      line.resize(line.size() - character_before(line, line.size()).size);
    }
    entries.emplace_back(line, id);
  }
  if (id == 0) throw InputError({vocabulary_file, {}}, "expected tokens, found an empty file");
  Json added = Json::array();
  for (const auto& [name, token] : Names{{"unk_token", "[UNK]"},
                                         {"sep_token", "[SEP]"},
                                         {"pad_token", "[PAD]"},
                                         {"cls_token", "[CLS]"},
                                         {"mask_token", "[MASK]"}}) {
    added.push_back(added_token(token_named(config, name, token), true));
  }
  const bool lowercase = flag(config, "do_lower_case", true);
  const std::string cls = token_named(config, "cls_token", "[CLS]");
  const std::string sep = token_named(config, "sep_token", "[SEP]");
  Json around = template_json(
      {cls, "$A", sep}, {cls, "$A", sep, ":1", "$B", sep},
      [&](const std::string& token) { return vocabulary.value(token, std::int64_t{0}); });
  return {{"added_tokens", std::move(added)},
          {"normalizer",
           {{"type", "BertNormalizer"},
            {"clean_text", true},
            {"handle_chinese_chars", flag(config, "tokenize_chinese_chars", true)},
            {"strip_accents", flag(config, "strip_accents", lowercase)},
            {"lowercase", lowercase}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
          {"post_processor", std::move(around)},
          {"model",
           {{"type", "WordPiece"},
            {"unk_token", token_named(config, "unk_token", "[UNK]")},
            {"vocab", std::move(vocabulary)}}}};
}

Json unigram_json(const SentencePieceFile& source, const std::filesystem::path& file,
                  const std::optional<Field>& config, std::string_view model_type) {
  std::string name = config ? config->string("tokenizer_class").value_or("") : std::string();
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  const auto& rows = unigram_rows();
  auto row = std::ranges::find_if(rows, [&](const UnigramRow& r) {
    return std::ranges::find(r.classes, name) != r.classes.end();
  });
  if (row == rows.end()) {
    row = std::ranges::find_if(rows, [&](const UnigramRow& r) {
      return std::ranges::find(r.model_types, model_type) != r.model_types.end();
    });
  }
  if (row == rows.end()) {
    throw InputError({file, "trainer_spec.model_type"},
                     "expected 2 (BPE), or with 1 (unigram) a tokenizer_class or model_type of T5, "
                     "DeBERTa v2 or XLM-RoBERTa, found neither");
  }
  return row->make(source, config);
}

}  // namespace qloft::tokenizer
