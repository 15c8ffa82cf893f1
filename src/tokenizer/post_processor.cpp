#include "post_processor.h"

#include <algorithm>

#include "bpe.h"
#include "windows.h"

namespace qloft::tokenizer {
namespace {

constexpr std::size_t kMaximumParts = 1024;

TokenId read_id(const Field& field, std::int64_t id_end) {
  const std::int64_t id = field.integer();
  if (id < 0 || id >= id_end) field.refuse("an id below " + std::to_string(id_end));
  return static_cast<TokenId>(id);
}

// ["</s>", 2]
TokenId read_pair(const Field& field, std::int64_t id_end) {
  const auto pair = field.elements();
  if (pair.size() != 2) field.refuse("a pair of token and id");
  return read_id(pair[1], id_end);
}

std::int32_t read_type(const Field& field) {
  return static_cast<std::int32_t>(field.integer("type_id", 0, INT32_MAX).value_or(0));
}

// The spaces at the start of a token's string, byte-level ones included; all of it counts.
std::int32_t leading_spaces(std::string_view token) {
  std::int32_t count = 0;
  for (std::size_t i = 0; i < token.size();) {
    const Character c = character_at(token, i);
    if (c.code != byte_level_character(' ') && !is_space(c.code)) break;
    ++count;
    i += c.size;
  }
  return count;
}

std::int32_t trailing_spaces(std::string_view token) {
  std::int32_t count = 0;
  for (std::size_t end = token.size(); end > 0;) {
    const Character c = character_before(token, end);
    if (c.code != byte_level_character(' ') && !is_space(c.code)) break;
    ++count;
    end -= c.size;
  }
  return count;
}

Encoding special_ids(const std::vector<TokenId>& ids, std::int32_t type) {
  Encoding encoding;
  encoding.ids = ids;
  encoding.type_ids.assign(ids.size(), type);
  encoding.special.assign(ids.size(), 1);
  encoding.offsets.assign(ids.size(), {});
  encoding.sequence.assign(ids.size(), -1);
  return encoding;
}

void set_types(Encoding& encoding, std::int32_t type) {
  encoding.type_ids.assign(encoding.ids.size(), type);
}

}  // namespace

PostProcessor::PostProcessor(const std::vector<TokenId>& before,
                             const std::vector<TokenId>& after) {
  Template step;
  step.single = {{-1, 0, before}, {0, 0}, {-1, 0, after}};
  step.pair = {{-1, 0, before}, {0, 0}, {-1, 0, after}, {-1, 0, before}, {1, 0}, {-1, 0, after}};
  steps_.push_back(std::move(step));
}

PostProcessor PostProcessor::around(const std::vector<TokenId>& before,
                                    const std::vector<TokenId>& after) {
  PostProcessor out;
  Template step;
  step.single = {{-1, 0, before}, {0, 0}, {-1, 0, after}};
  step.pair = {{-1, 0, before}, {0, 0}, {1, 0}, {-1, 0, after}};
  out.steps_.push_back(std::move(step));
  return out;
}

PostProcessor PostProcessor::read(const Field& field, std::int64_t id_end) {
  PostProcessor processor;
  processor.add(field, id_end);
  return processor;
}

std::vector<PostProcessor::Part> PostProcessor::read_parts(const Field& field,
                                                           std::string_view member,
                                                           std::int64_t id_end) {
  const bool pair = member == "pair";
  std::vector<Part> parts;
  bool seen[2] = {false, false};
  for (const Field& piece : field.at(member).elements()) {
    if (parts.size() >= kMaximumParts) field.fail("expected a shorter template");
    if (const auto sequence = piece.find("Sequence")) {
      const Field id = sequence->at("id");
      const std::size_t text = pair ? id.choice({"A", "B"}) : id.choice({"A"});
      if (seen[text]) {
        piece.fail("expected sequence " + std::string(text == 0 ? "A" : "B") +
                   " once, found it again");
      }
      seen[text] = true;
      parts.push_back({static_cast<int>(text), read_type(*sequence)});
      continue;
    }
    const Field token = piece.at("SpecialToken");
    const auto known = field.at("special_tokens").find(token.at("id").string());
    if (!known) token.at("id").refuse("a name in special_tokens");
    Part part{-1, read_type(token)};
    for (const Field& value : known->at("ids").elements()) {
      part.ids.push_back(read_id(value, id_end));
    }
    parts.push_back(std::move(part));
  }
  if (!seen[0]) field.at(member).fail("expected sequence A in it, found none");
  if (pair && !seen[1]) field.at(member).fail("expected sequence B in it, found none");
  return parts;
}

void PostProcessor::add(const Field& field, std::int64_t id_end) {
  const std::size_t type = field.at("type").choice(
      {"Sequence", "TemplateProcessing", "ByteLevel", "BertProcessing", "RobertaProcessing"});
  if (type == 0) {
    for (const Field& part : field.at("processors").elements()) add(part, id_end);
    return;
  }
  if (type == 1) {
    Template step;
    step.single = read_parts(field, "single", id_end);
    step.pair = {{0, 0}, {1, 1}};
    if (field.has("pair")) step.pair = read_parts(field, "pair", id_end);
    steps_.push_back(std::move(step));
    return;
  }
  const bool roberta = type == 4;
  if ((type == 2 || roberta) && field.boolean("trim_offsets").value_or(true)) {
    steps_.push_back(TrimOffsets{field.boolean("add_prefix_space").value_or(true)});
  }
  if (type == 2) return;
  const Part cls{-1, 0, {read_pair(field.at("cls"), id_end)}};
  const Part sep{-1, 0, {read_pair(field.at("sep"), id_end)}};
  Template step;
  step.one_type = roberta;
  step.keeps_types = !roberta;
  step.single = {cls, {0, 0}, sep};
  step.pair = roberta ? std::vector<Part>{cls, {0, 0}, sep, sep, {1, 0}, sep}
                      : std::vector<Part>{cls, {0, 0}, sep, {1, 1}, {-1, 1, sep.ids}};
  steps_.push_back(std::move(step));
}

std::vector<TokenId> PostProcessor::apply(std::vector<TokenId> text, bool special) const {
  if (!special) return text;
  for (const auto& step : steps_) {
    const auto* parts = std::get_if<Template>(&step);
    if (parts == nullptr) continue;
    std::vector<TokenId> whole;
    whole.reserve(text.size() + parts->single.size());
    for (const Part& part : parts->single) {
      const std::vector<TokenId>& ids = part.text == 0 ? text : part.ids;
      whole.insert(whole.end(), ids.begin(), ids.end());
    }
    text = std::move(whole);
  }
  return text;
}

std::int64_t PostProcessor::added(bool pair) const {
  std::int64_t count = 0;
  for (const auto& step : steps_) {
    const auto* parts = std::get_if<Template>(&step);
    if (parts == nullptr) continue;
    for (const Part& part : pair ? parts->pair : parts->single) count += std::ssize(part.ids);
  }
  return count;
}

// As tokenizers' process_offsets does it.
void PostProcessor::trim(Encoding& text, bool add_prefix_space, const TokenText& token) {
  for (std::size_t i = 0; i < text.ids.size(); ++i) {
    const std::string_view string = token(text, i);
    const std::int32_t leading = leading_spaces(string), trailing = trailing_spaces(string);
    CharacterSpan& span = text.offsets[i];
    // More than one was there before.
    const bool added = leading == 1 && (i == 0 || span.begin == 0) && add_prefix_space;
    if (leading > 0 && !added) {
      span.begin = std::min(span.begin + leading, span.end);
    }
    if (trailing > 0 && span.end >= trailing) span.end = std::max(span.end - trailing, span.begin);
  }
  for (Encoding& window : text.overflow) trim(window, add_prefix_space, token);
}

std::vector<Encoding> PostProcessor::fill(const Template& step, std::vector<Encoding> texts,
                                          bool special) {
  if (step.one_type) {
    for (Encoding& text : texts) set_types(text, 0);
  }
  if (!special && (step.one_type || step.keeps_types)) return texts;
  std::vector<Encoding> parts;
  for (const Part& part : texts.size() > 1 ? step.pair : step.single) {
    if (part.text < 0) {
      if (special) parts.push_back(special_ids(part.ids, part.type));
      continue;
    }
    Encoding text = texts[static_cast<std::size_t>(part.text)];
    if (!step.keeps_types) set_types(text, part.type);
    for (Encoding& window : text.overflow) {
      if (step.one_type) set_types(window, part.type);
    }
    parts.push_back(std::move(text));
  }
  return parts;
}

Encoding PostProcessor::apply(std::vector<Encoding> texts, bool special,
                              const TokenText& token) const {
  const auto joined = [](const std::vector<Encoding>& parts) {
    Encoding whole;
    for (const Encoding& part : parts) append(whole, part);
    return whole;
  };
  for (const auto& step : steps_) {
    if (const auto* trimming = std::get_if<TrimOffsets>(&step)) {
      for (Encoding& text : texts) trim(text, trimming->add_prefix_space, token);
      continue;
    }
    // What comes behind a template sees the whole as one text.
    texts = {joined(fill(std::get<Template>(step), std::move(texts), special))};
  }
  return texts.size() == 1 ? std::move(texts[0]) : joined(texts);
}

}  // namespace qloft::tokenizer
