#include "post_processor.h"

#include <algorithm>

namespace qloft::tokenizer {
namespace {

constexpr std::size_t kMaximumParts = 1024;

TokenId read_id(const Field& field, std::int64_t id_end) {
  const std::int64_t id = field.integer();
  if (id < 0 || id >= id_end) field.refuse("an id below " + std::to_string(id_end));
  return static_cast<TokenId>(id);
}

// ["</s>", 2]
std::vector<TokenId> read_pair(const Field& field, std::int64_t id_end) {
  const auto pair = field.elements();
  if (pair.size() != 2) field.refuse("a pair of token and id");
  return {read_id(pair[1], id_end)};
}

}  // namespace

PostProcessor::PostProcessor(std::vector<TokenId> before, std::vector<TokenId> after) {
  templates_.push_back({{false, std::move(before)}, {true, {}}, {false, std::move(after)}});
}

PostProcessor PostProcessor::read(const Field& field, std::int64_t id_end) {
  PostProcessor processor;
  processor.add(field, id_end);
  return processor;
}

void PostProcessor::add(const Field& field, std::int64_t id_end) {
  switch (field.at("type").choice(
      {"Sequence", "TemplateProcessing", "ByteLevel", "BertProcessing", "RobertaProcessing"})) {
    case 0:
      for (const Field& part : field.at("processors").elements()) add(part, id_end);
      return;
    case 1: {
      Template parts;
      bool has_text = false;
      for (const Field& piece : field.at("single").elements()) {
        if (parts.size() >= kMaximumParts) field.fail("expected a shorter template");
        if (const auto sequence = piece.find("Sequence")) {
          sequence->at("id").choice({"A"});
          if (has_text) piece.fail("expected sequence A once, found it again");
          has_text = true;
          parts.push_back({true, {}});
          continue;
        }
        const Field id = piece.at("SpecialToken").at("id");
        const auto token = field.at("special_tokens").find(id.string());
        if (!token) id.refuse("a name in special_tokens");
        Part part{false, {}};
        for (const Field& value : token->at("ids").elements()) {
          part.ids.push_back(read_id(value, id_end));
        }
        parts.push_back(std::move(part));
      }
      if (!has_text) field.at("single").fail("expected sequence A in it, found none");
      templates_.push_back(std::move(parts));
      return;
    }
    case 2:
      return;  // it moves offsets only
    default:
      templates_.push_back({{false, read_pair(field.at("cls"), id_end)},
                            {true, {}},
                            {false, read_pair(field.at("sep"), id_end)}});
  }
}

std::vector<TokenId> PostProcessor::apply(std::vector<TokenId> text, bool special) const {
  if (!special) return text;
  for (const Template& parts : templates_) {
    auto middle = std::find_if(parts.begin(), parts.end(), [](const Part& p) { return p.text; });
    std::vector<TokenId> before;
    for (auto part = parts.begin(); part != middle; ++part) {
      before.insert(before.end(), part->ids.begin(), part->ids.end());
    }
    text.insert(text.begin(), before.begin(), before.end());
    for (auto part = middle; part != parts.end(); ++part) {
      text.insert(text.end(), part->ids.begin(), part->ids.end());
    }
  }
  return text;
}

}  // namespace qloft::tokenizer
