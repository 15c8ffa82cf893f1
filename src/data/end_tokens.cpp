#include "qloft/data/end_tokens.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "qloft/core/error.h"
#include "qloft/io.h"

namespace qloft::data {
namespace {

std::vector<tokenizer::TokenId> read_ids(const std::filesystem::path& file) {
  std::vector<tokenizer::TokenId> ids;
  if (!std::filesystem::is_regular_file(file)) return ids;
  const io::Json json = io::read_json(file);
  const auto found = json.find("eos_token_id");
  if (!json.is_object() || found == json.end()) return ids;
  const io::Json list = found->is_array() ? *found : io::Json::array({*found});
  for (const io::Json& id : list) {
    // No token has a negative id, or one that is too large to be told from a small one.
    constexpr std::uint64_t kLast = std::numeric_limits<tokenizer::TokenId>::max();
    if (id.is_number_unsigned() && id.get<std::uint64_t>() <= kLast) {
      ids.push_back(id.get<tokenizer::TokenId>());
    }
  }
  return ids;
}

}  // namespace

EndTokens end_tokens(const std::filesystem::path& model_folder,
                     const tokenizer::Tokenizer& tokenizer) {
  EndTokens ends;
  ends.ids = read_ids(model_folder / "generation_config.json");
  if (ends.ids.empty()) ends.ids = read_ids(model_folder / "config.json");
  ends.appended = tokenizer.eos();
  if (!ends.appended && !ends.ids.empty()) ends.appended = ends.ids.front();
  if (ends.appended && std::ranges::find(ends.ids, *ends.appended) == ends.ids.end()) {
    ends.ids.push_back(*ends.appended);
  }
  return ends;
}

std::optional<tokenizer::TokenId> turn_end(const tokenizer::Tokenizer& tokenizer,
                                           const chat_template::ChatTemplate& chat) {
  const std::string answer = "an answer to look for";
  try {
    const std::string text = chat.render({{"user", "Hi"}, {"assistant", answer}}, false);
    const std::size_t at = text.rfind(answer);
    if (at == std::string::npos) return std::nullopt;
    for (const tokenizer::TokenId id : tokenizer.encode(text.substr(at + answer.size()), false)) {
      if (tokenizer.is_special(id)) return id;
    }
  } catch (const InputError&) {
    // A template that refuses so short a conversation says nothing about turns.
  }
  return std::nullopt;
}

}  // namespace qloft::data
