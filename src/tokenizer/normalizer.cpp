#include "normalizer.h"

#include <algorithm>

#include "qloft/core/error.h"

namespace qloft::tokenizer {
namespace {

// How far all steps may lengthen a text: times the bytes, and bytes on top.
constexpr std::size_t kGrowth = 64;
constexpr std::size_t kFreeGrowth = 1024;
constexpr std::size_t kMaximumSteps = 64;

void run(const Normalizer::Prepend& step, NormalizedText& in) {
  if (in.text.empty()) return;
  in.text.insert(0, step.text);
  if (in.first_bytes > 0) in.first_bytes += step.text.size();
  if (in.tracked()) {
    in.source.insert(in.source.begin(), step.text.size(), CharacterSpan(in.source.front()));
  }
}

void run(const Normalizer::Replace& step, NormalizedText& in) {
  const std::size_t limit = kGrowth * in.text.size() + kFreeGrowth;
  NormalizedText out;
  std::size_t copied = 0;
  const auto copy_until = [&](std::size_t end) {
    out.text.append(in.text, copied, end - copied);
    if (in.tracked()) {
      const auto source = in.source.begin();
      out.source.insert(out.source.end(), source + static_cast<std::ptrdiff_t>(copied),
                        source + static_cast<std::ptrdiff_t>(end));
    }
    if (in.first_bytes > copied) out.first_bytes += std::min(in.first_bytes, end) - copied;
  };
  step.pattern.for_each(in.text, [&](std::size_t begin, std::size_t end) {
    copy_until(begin);
    out.text += step.content;
    if (in.tracked()) {
      out.source.insert(out.source.end(), step.content.size(),
                        end == 0 ? in.origin() : in.source[end - 1]);
    }
    if (end <= in.first_bytes) out.first_bytes += step.content.size();
    copied = end;
    if (out.text.size() > limit) throw InputError("a normalizer makes the text too long");
  });
  if (copied == 0 && out.text.empty()) return;
  copy_until(in.text.size());
  in = std::move(out);
}

// The first characters of the result take the place of the first character.
void replace_text(NormalizedText& in, std::string text) {
  if (in.first_bytes > 0) {
    in.first_bytes = text.empty() ? 0 : character_at(text, 0).size;
  }
  in.text = std::move(text);
}

void run(const Normalizer::Form& step, NormalizedText& in) {
  if (in.tracked()) {
    apply_changes(in, normalize_changes(in.text, step.form));
    return;
  }
  replace_text(in, normalize(in.text, step.form));
}

void run(const Normalizer::Lowercase&, NormalizedText& in) {
  if (!in.tracked()) {
    replace_text(in, lowercase(in.text));
    return;
  }
  std::vector<CharacterSpan> source;
  std::string text;
  for (std::size_t i = 0; i < in.text.size();) {
    const std::size_t size = character_at(in.text, i).size;
    text += lowercase(std::string_view(in.text).substr(i, size));
    source.insert(source.end(), text.size() - source.size(), in.source[i]);
    i += size;
  }
  replace_text(in, std::move(text));
  in.source = std::move(source);
}

// Only the characters that are not of `classes`.
void leave_out(NormalizedText& in, std::uint16_t classes) {
  NormalizedText out;
  for (std::size_t i = 0; i < in.text.size();) {
    const Character c = character_at(in.text, i);
    if ((character_class(c.code) & classes) == 0) {
      out.text.append(in.text, i, c.size);
      if (in.tracked()) out.source.insert(out.source.end(), c.size, in.source[i]);
      if (i < in.first_bytes) out.first_bytes += c.size;
    }
    i += c.size;
  }
  in = std::move(out);
}

void run(const Normalizer::StripAccents&, NormalizedText& in) {
  leave_out(in, combining);
}

void run(const Normalizer::Strip& step, NormalizedText& in) {
  std::size_t begin = 0, end = in.text.size();
  while (step.left && begin < end && is_space(character_at(in.text, begin).code)) {
    begin += character_at(in.text, begin).size;
  }
  while (step.right && end > begin && is_space(character_before(in.text, end).code)) {
    end -= character_before(in.text, end).size;
  }
  if (in.tracked()) {
    const auto source = in.source.begin();
    in.source = {source + static_cast<std::ptrdiff_t>(begin),
                 source + static_cast<std::ptrdiff_t>(end)};
  }
  in.text = in.text.substr(begin, end - begin);
  in.first_bytes = std::min(in.first_bytes > begin ? in.first_bytes - begin : 0, in.text.size());
}

// What BERT's steps do to ASCII without control characters; nothing becomes longer or shorter.
bool run_on_ascii(const Normalizer::Bert& step, std::string& text) {
  const auto is_plain = [](char c) {
    return (c >= ' ' && c < 0x7F) || c == '\t' || c == '\n' || c == '\r';
  };
  if (!std::ranges::all_of(text, is_plain)) return false;
  for (char& c : text) {
    if (step.clean_text && c < ' ') c = ' ';
    if (step.lowercase && c >= 'A' && c <= 'Z') c = static_cast<char>(c + 'a' - 'A');
  }
  return true;
}

void run(const Normalizer::Bert& step, NormalizedText& in) {
  if (run_on_ascii(step, in.text)) return;
  std::vector<Change> changes;
  const auto each_character = [&](auto&& emit) {
    changes.clear();
    for (std::size_t i = 0; i < in.text.size();) {
      const Character c = character_at(in.text, i);
      emit(c.code);
      i += c.size;
    }
    apply_changes(in, changes);
  };
  if (step.clean_text) {
    leave_out(in, unclean);
    each_character([&](char32_t code) { changes.push_back({is_space(code) ? U' ' : code, 0}); });
  }
  if (step.ideographs) {
    each_character([&](char32_t code) {
      if ((character_class(code) & ideograph) == 0) {
        changes.push_back({code, 0});
      } else {
        changes.insert(changes.end(), {{U' ', 0}, {code, 1}, {U' ', 1}});
      }
    });
  }
  if (step.strip_accents) {
    run(Normalizer::Form{NormalForm::nfd}, in);
    leave_out(in, accent);
  }
  if (step.lowercase) run(Normalizer::Lowercase{}, in);
}

void run(const CharacterMap& step, NormalizedText& in) {
  step.apply(in);
}

}  // namespace

Normalizer Normalizer::read(const Field& field) {
  Normalizer normalizer;
  normalizer.add(field);
  return normalizer;
}

void Normalizer::add(const Field& field) {
  if (steps_.size() >= kMaximumSteps) field.fail("expected fewer normalizers");
  switch (field.at("type").choice({"Sequence", "Prepend", "Replace", "NFC", "NFD", "NFKC", "NFKD",
                                   "Lowercase", "StripAccents", "Strip", "BertNormalizer",
                                   "Precompiled"})) {
    case 0:
      for (const Field& part : field.at("normalizers").elements()) add(part);
      break;
    case 1:
      steps_.push_back(Prepend{field.at("prepend").string()});
      break;
    case 2:
      steps_.push_back(Replace{Pattern::read(field.at("pattern")), field.at("content").string()});
      break;
    case 3:
      steps_.push_back(Form{NormalForm::nfc});
      break;
    case 4:
      steps_.push_back(Form{NormalForm::nfd});
      break;
    case 5:
      steps_.push_back(Form{NormalForm::nfkc});
      break;
    case 6:
      steps_.push_back(Form{NormalForm::nfkd});
      break;
    case 7:
      steps_.push_back(Lowercase{});
      break;
    case 8:
      steps_.push_back(StripAccents{});
      break;
    case 9:
      steps_.push_back(Strip{field.at("strip_left").boolean(), field.at("strip_right").boolean()});
      break;
    case 10: {
      const bool lowercase = field.boolean("lowercase").value_or(true);
      steps_.push_back(Bert{field.boolean("clean_text").value_or(true),
                            field.boolean("handle_chinese_chars").value_or(true),
                            field.boolean("strip_accents").value_or(lowercase), lowercase});
      break;
    }
    default:
      steps_.push_back(CharacterMap::read(field));
  }
}

void Normalizer::apply(NormalizedText& text) const {
  const std::size_t limit = kGrowth * text.text.size() + kFreeGrowth;
  for (const Step& step : steps_) {
    std::visit([&](const auto& kind) { run(kind, text); }, step);
    if (text.text.size() > limit) throw InputError("a normalizer makes the text too long");
  }
}

std::string Normalizer::apply(std::string_view text) const {
  NormalizedText normalized{std::string(text), 0};
  apply(normalized);
  return std::move(normalized.text);
}

}  // namespace qloft::tokenizer
