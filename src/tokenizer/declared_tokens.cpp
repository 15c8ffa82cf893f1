#include "declared_tokens.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

namespace qloft::tokenizer {
namespace {

namespace fs = std::filesystem;

// The names that transformers knows, in the order in which it adds their tokens.
constexpr const char* kNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};
constexpr const char* kExtra[] = {"extra_special_tokens", "additional_special_tokens"};

using ById = std::map<std::int64_t, AddedToken>;

std::string read_content(const Field& field) {
  std::string content = field.string();
  if (content.size() > kLongestAddedToken) {
    field.fail("expected at most " + std::to_string(kLongestAddedToken) + " bytes, found " +
               std::to_string(content.size()));
  }
  return content;
}

// "<s>", or {"content": "<s>", ...} as an added token is written.
AddedToken read_special_token(const Field& field) {
  AddedToken token;
  if (field.json().is_object()) {
    token = read_added_token(field);
  } else {
    token.content = read_content(field);
  }
  return token;
}

std::int64_t read_id(const std::string& text, const Field& field) {
  std::int64_t id = -1;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, id);
  if (error != std::errc() || rest != end || id < 0) field.fail("expected an id as its name");
  return id;
}

// {"token": id}; a token that has no name and is no extra one is found in the normalized text.
void read_added_tokens_file(const Field& root, const std::vector<AddedToken>& special, ById& out) {
  for (const auto& [content, id] : root.members()) {
    if (content.size() > kLongestAddedToken) {
      root.fail("expected tokens of at most " + std::to_string(kLongestAddedToken) +
                " bytes, found one of " + std::to_string(content.size()));
    }
    AddedToken token;
    token.content = content;
    token.special = std::any_of(special.begin(), special.end(), [&](const AddedToken& one) {
      return one.content == token.content;
    });
    token.normalized = !token.special;
    out[id.integer()] = std::move(token);
  }
}

class Reader {
 public:
  // The named tokens of a file; `overwrite`: also those that an earlier file named.
  void read_named(const Field& root, bool overwrite) {
    for (const auto& [name, field] : root.members()) {
      const bool known = std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
      const bool text = field.json().is_string() || field.json().is_object();
      if ((known && text) || (name.ends_with("_token") && is_token(field))) {
        add_named(name, field, overwrite);
      }
    }
  }

  void read_extra(const Field& root) {
    for (const char* name : kExtra) {
      const auto field = root.find(name);
      if (!field) continue;
      if (field->json().is_object()) {
        for (const auto& [key, token] : field->members()) add_named(key, token, true);
      } else {
        for (const Field& token : field->elements()) extra_.push_back(read_special_token(token));
      }
    }
  }

  // All of them, special ones that they are.
  std::vector<AddedToken> special_tokens() const {
    std::vector<AddedToken> tokens;
    const auto take = [&](AddedToken token) {
      if (token.content.empty()) return;
      token.special = true;
      tokens.push_back(std::move(token));
    };
    for (const char* name : kNames) {
      if (const auto found = named_.find(name); found != named_.end()) take(found->second);
    }
    for (const std::string& name : other_names_) take(named_.at(name));
    for (const AddedToken& token : extra_) take(token);
    return tokens;
  }

  std::map<std::string, std::string> names() const {
    std::map<std::string, std::string> out;
    for (const auto& [name, token] : named_) out[name] = token.content;
    return out;
  }

 private:
  static bool is_token(const Field& field) {
    return field.json().is_string() ||
           (field.json().is_object() && field.json().contains("content"));
  }

  void add_named(const std::string& name, const Field& field, bool overwrite) {
    const auto [entry, fresh] = named_.try_emplace(name);
    if (!fresh && !overwrite) return;
    entry->second = read_special_token(field);
    const bool known = std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
    if (fresh && !known) other_names_.push_back(name);
  }

  std::map<std::string, AddedToken> named_;
  std::vector<std::string> other_names_;  // in the order of the files
  std::vector<AddedToken> extra_;
};

}  // namespace

AddedToken read_added_token(const Field& field) {
  AddedToken token;
  token.content = read_content(field.at("content"));
  token.single_word = field.boolean("single_word").value_or(false);
  token.lstrip = field.boolean("lstrip").value_or(false);
  token.rstrip = field.boolean("rstrip").value_or(false);
  token.special = field.boolean("special").value_or(false);
  token.normalized = field.boolean("normalized").value_or(!token.special);
  return token;
}

DeclaredTokens read_declared_tokens(const fs::path& folder, const std::optional<Field>& config,
                                    const std::map<TokenId, AddedToken>& in_tokenizer) {
  Reader reader;
  ById listed;
  if (config) {
    reader.read_named(*config, true);
    reader.read_extra(*config);
  }
  const auto decoder = config ? config->find("added_tokens_decoder") : std::nullopt;
  if (decoder) {
    for (const auto& [id, field] : decoder->members()) {
      listed[read_id(id, field)] = read_added_token(field);
    }
  }
  // What a newer file does not say may still be named by the older one.
  const fs::path map_file = folder / "special_tokens_map.json";
  const fs::path added_file = folder / "added_tokens.json";
  if (fs::is_regular_file(map_file)) {
    const io::Json map = io::read_json(map_file);
    reader.read_named(Field(map, map_file), !decoder);
    if (!decoder) reader.read_extra(Field(map, map_file));
  }
  std::vector<AddedToken> special = reader.special_tokens();
  if (!decoder) {
    if (fs::is_regular_file(added_file)) {
      const io::Json added = io::read_json(added_file);
      read_added_tokens_file(Field(added, added_file), special, listed);
    }
    for (const auto& [id, token] : in_tokenizer) listed[id] = token;
  }

  DeclaredTokens declared;
  declared.named = reader.names();
  for (auto& [id, token] : listed) declared.tokens.push_back(std::move(token));
  for (AddedToken& token : special) {
    // A name refers to a token that is listed with its own rules.
    const auto same = std::find_if(declared.tokens.begin(), declared.tokens.end(),
                                   [&](const AddedToken& t) { return t.content == token.content; });
    if (same != declared.tokens.end()) {
      same->special = true;
    } else {
      declared.tokens.push_back(std::move(token));
    }
  }
  return declared;
}

}  // namespace qloft::tokenizer
