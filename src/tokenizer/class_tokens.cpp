#include "class_tokens.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

namespace qloft::tokenizer {
namespace {

using Names = std::map<std::string, std::string>;

struct ClassRow {
  std::vector<std::string_view> model_types;
  std::vector<std::string_view> classes;  // without "Fast"; "": none is named
  Names tokens;
};

const std::vector<ClassRow>& rows() {
  static const std::string end = "<|endoftext|>";
  static const std::vector<ClassRow> table = {
      {{"gpt2", "opt", "phi", "starcoder2"},
       {"", "GPT2Tokenizer", "CodeGenTokenizer"},
       {{"bos_token", end}, {"eos_token", end}, {"unk_token", end}}},
      {{"gpt_neox"},
       {"", "GPTNeoXTokenizer"},
       {{"bos_token", end}, {"eos_token", end}, {"unk_token", end}, {"pad_token", "<|padding|>"}}},
      {{"qwen2", "qwen2_moe", "qwen3", "qwen3_moe"},
       {"", "Qwen2Tokenizer"},
       {{"eos_token", end}, {"unk_token", end}, {"pad_token", end}}},
      {{"gemma2", "gemma3", "gemma3_text"},
       {"", "GemmaTokenizer"},
       {{"bos_token", "<bos>"},
        {"eos_token", "<eos>"},
        {"unk_token", "<unk>"},
        {"pad_token", "<pad>"},
        {"mask_token", "<mask>"}}},
      {{"bert", "distilbert", "electra"},
       {"", "BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"},
       {{"unk_token", "[UNK]"},
        {"sep_token", "[SEP]"},
        {"pad_token", "[PAD]"},
        {"cls_token", "[CLS]"},
        {"mask_token", "[MASK]"}}},
      {{"deberta-v2"},
       {"", "DebertaV2Tokenizer"},
       {{"bos_token", "[CLS]"},
        {"eos_token", "[SEP]"},
        {"unk_token", "[UNK]"},
        {"sep_token", "[SEP]"},
        {"pad_token", "[PAD]"},
        {"cls_token", "[CLS]"},
        {"mask_token", "[MASK]"}}},
      {{"roberta", "xlm-roberta", "bart", "mbart"},
       {"", "RobertaTokenizer", "XLMRobertaTokenizer", "BartTokenizer", "MBartTokenizer",
        "MBart50Tokenizer"},
       {{"bos_token", "<s>"},
        {"eos_token", "</s>"},
        {"unk_token", "<unk>"},
        {"sep_token", "</s>"},
        {"pad_token", "<pad>"},
        {"cls_token", "<s>"},
        {"mask_token", "<mask>"}}},
      {{"t5", "mt5", "umt5"},
       {"", "T5Tokenizer", "MT5Tokenizer"},
       {{"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}}},
      {{"llama"},
       {"LlamaTokenizer"},
       {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}}},
  };
  return table;
}

}  // namespace

std::string model_type_of(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(folder / "config.json", error)) return {};
  const io::Json config = io::read_json(folder / "config.json");
  const auto found = config.is_object() ? config.find("model_type") : config.end();
  return found != config.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Names class_tokens(const std::filesystem::path& folder, const std::optional<Field>& config) {
  std::string name = config ? config->string("tokenizer_class").value_or("") : std::string();
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  const std::string model_type = model_type_of(folder);
  for (const ClassRow& row : rows()) {
    if (std::ranges::find(row.model_types, model_type) != row.model_types.end() &&
        std::ranges::find(row.classes, name) != row.classes.end()) {
      return row.tokens;
    }
  }
  return {};
}

}  // namespace qloft::tokenizer
