#include "head.h"

#include <algorithm>
#include <array>
#include <utility>

#include "read.h"

namespace qloft::architecture {
namespace {

constexpr std::int64_t kMostLabels = 1 << 20;

constexpr std::array<ClassEnd, 7> kKinds = {{
    {"ForSequenceClassification", HeadKind::sequence},
    {"ForQuestionAnswering", HeadKind::spans},
    {"ForTokenClassification", HeadKind::tokens},
    {"ForMaskedLM", HeadKind::masked_token},
    {"BertForPreTraining", HeadKind::masked_token},
    {"ElectraForPreTraining", HeadKind::states},  // it tells replaced tokens
    {"Model", HeadKind::states},
}};

HeadKind read_kind(const io::Field& config) {
  const auto list = config.find("architectures");
  if (!list || list->elements().empty()) return HeadKind::states;
  constexpr HeadKind kOfEncoders[] = {HeadKind::sequence, HeadKind::spans, HeadKind::tokens,
                                      HeadKind::masked_token, HeadKind::states};
  return kind_of_class(list->elements().front(), kKinds, kOfEncoders, "an encoder");
}

std::vector<std::string> read_labels(const io::Field& config) {
  std::vector<std::string> out;
  if (const auto names = config.find("id2label")) {
    const auto count = std::ssize(names->members());
    for (std::int64_t i = 0; i < count; ++i) {
      out.push_back(names->at(std::to_string(i)).string());
    }
    return out;
  }
  const std::int64_t count = config.integer("num_labels", 1, kMostLabels).value_or(2);
  for (std::int64_t i = 0; i < count; ++i) out.push_back("LABEL_" + std::to_string(i));
  return out;
}

constexpr std::array<std::string_view, 17> kHeads = {
    "cls.",
    "classifier.",
    "pre_classifier.",
    "qa_outputs.",
    "lm_head.",
    "pooler.",
    "discriminator_predictions.",
    "generator_predictions.",
    "generator_lm_head.",
    "vocab_transform.",
    "vocab_layer_norm.",
    "vocab_projector.",
    "lm_predictions.",
    "mask_predictions.",
    "head.",
    "decoder.",
    "score.",
};

}  // namespace

HeadKind kind_of_class(const io::Field& field, std::span<const ClassEnd> ends,
                       std::span<const HeadKind> kinds, std::string_view model) {
  const std::string name = field.string();
  const auto fits = [&](const ClassEnd& row) {
    return std::ranges::find(kinds, row.kind) != kinds.end();
  };
  const auto found =
      std::ranges::find_if(ends, [&](const ClassEnd& row) { return name.ends_with(row.end); });
  if (found != ends.end() && fits(*found)) return found->kind;
  std::string known;
  for (const ClassEnd& row : ends) {
    if (fits(row)) known += (known.empty() ? "" : ", ") + std::string(row.end);
  }
  field.fail("expected the name of " + std::string(model) + " that ends in one of " + known +
             ", found \"" + name + "\"");
}

Head read_head(const io::Field& config) {
  if (read_flag(config, "is_decoder", false)) {
    config.fail("is_decoder", "expected false: only its use as an encoder is known");
  }
  return read_labelled_head(config, read_kind(config));
}

Head read_labelled_head(const io::Field& config, HeadKind kind) {
  Head out;
  out.kind = kind;
  if (kind != HeadKind::sequence && kind != HeadKind::spans && kind != HeadKind::tokens) return out;
  out.labels = read_labels(config);
  if (out.kind == HeadKind::spans && out.labels.size() != 2) {
    config.fail("num_labels", "expected 2 for spans, their beginning and end, found " +
                                  std::to_string(out.labels.size()));
  }
  if (out.labels.size() == 1) out.problem = Problem::regression;
  if (const auto problem = config.find("problem_type")) {
    constexpr std::array<Problem, 3> kProblems = {Problem::regression, Problem::single_label,
                                                  Problem::multi_label};
    out.problem = kProblems[problem->choice(
        {"regression", "single_label_classification", "multi_label_classification"})];
  }
  return out;
}

std::string stem_of(const Head& head, const std::string& name) {
  return head.kind == HeadKind::states ? "" : name + ".";
}

HeadLayer head_layer(LayoutBuilder& builder, const std::string& name, std::int64_t out,
                     std::int64_t in, std::optional<Activation> activation, bool bias) {
  HeadLayer layer;
  layer.linear = builder.linear(name, out, in, {.bias = bias, .role = Role::head});
  layer.activation = activation;
  return layer;
}

void add_token_head(LayoutBuilder& builder, std::int64_t hidden) {
  Head& head = builder.layout().head;
  const auto labels = std::ssize(head.labels);
  if (head.kind == HeadKind::spans) {
    head.layers = {head_layer(builder, "qa_outputs", labels, hidden)};
  } else if (head.kind == HeadKind::tokens) {
    head.layers = {head_layer(builder, "classifier", labels, hidden)};
  }
}

void add_masked_token_head(LayoutBuilder& builder, const MaskedTokenNames& names,
                           std::int64_t hidden, std::int64_t width, Activation activation,
                           double epsilon, bool tied) {
  Layout& layout = builder.layout();
  HeadLayer transform = head_layer(builder, names.transform, width, hidden, activation);
  transform.norm = builder.layer_norm(names.norm, width, epsilon);
  layout.head.layers = {std::move(transform)};
  const ParameterId matrix = builder.output_matrix(names.decoder, width, tied, true);
  Parameter& bias = layout.parameters[static_cast<std::size_t>(layout.parameter(matrix).bias)];
  bias.name = names.bias;
  bias.storages = {{{bias.name, bias.shape}}};
  for (const std::string& other : names.other_biases) {
    bias.storages.push_back({{other, bias.shape}});
    layout.foreign_suffixes.push_back(other);
  }
}

void finish_encoder(LayoutBuilder& builder, const std::string& name,
                    const std::string& class_stem) {
  Layout& layout = builder.layout();
  layout.class_stem = class_stem;
  layout.prefix = stem_of(layout.head, name);
  layout.other_prefixes = {layout.prefix.empty() ? name + "." : ""};
  for (const std::string_view head : kHeads) layout.foreign_prefixes.emplace_back(head);
  layout.foreign_prefixes.push_back(name + ".pooler.");
  layout.foreign_suffixes.push_back("embeddings.position_ids");
  // TensorFlow's names, which the oldest checkpoints have.
  for (Parameter& parameter : layout.parameters) {
    const bool weight = parameter.role == Role::norm;
    const std::string_view end = weight ? "LayerNorm.weight" : "LayerNorm.bias";
    if (!parameter.name.ends_with(end)) continue;
    const std::string stem = parameter.name.substr(0, parameter.name.rfind('.') + 1);
    parameter.storages = {{{parameter.name, parameter.shape}},
                          {{stem + (weight ? "gamma" : "beta"), parameter.shape}}};
  }
  for (Parameter& parameter : layout.parameters) parameter.stack = "encoder";
}

}  // namespace qloft::architecture
