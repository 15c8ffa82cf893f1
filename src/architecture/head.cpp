// Another head than the one that config.json names.
#include <nlohmann/json.hpp>

#include "qloft/architecture.h"
#include "qloft/core/error.h"

namespace qloft::architecture {
namespace {

const char* class_end(HeadKind kind) {
  switch (kind) {
    case HeadKind::masked_token:
      return "ForMaskedLM";
    case HeadKind::sequence:
      return "ForSequenceClassification";
    case HeadKind::spans:
      return "ForQuestionAnswering";
    case HeadKind::tokens:
      return "ForTokenClassification";
    case HeadKind::sequence_to_sequence:
      return "ForConditionalGeneration";
    case HeadKind::next_token:
    case HeadKind::states:
      break;
  }
  return "Model";
}

const char* problem_name(Problem problem) {
  switch (problem) {
    case Problem::regression:
      return "regression";
    case Problem::single_label:
      return "single_label_classification";
    case Problem::multi_label:
      break;
  }
  return "multi_label_classification";
}

}  // namespace

void expect_next_token(const Layout& layout, const std::filesystem::path& file) {
  if (predicts_next_token(layout)) return;
  throw InputError({file, "architectures"},
                   "expected a model that predicts next tokens, found an encoder" +
                       std::string(layout.encoder ? "-decoder (" : " (") + layout.family + ", " +
                       std::string(name(layout.head.kind)) + ")");
}

std::optional<HeadRequest> own_head(const Layout& layout) {
  if (!encodes(layout)) return std::nullopt;
  return HeadRequest{layout.head.kind, layout.head.labels, layout.head.problem};
}

bool has_head(const Layout& layout, const HeadRequest& head) {
  if (layout.head.kind != head.kind) return false;
  if (head.kind != HeadKind::sequence && head.kind != HeadKind::tokens) return true;
  return layout.head.labels.size() == head.labels.size() && layout.head.problem == head.problem;
}

void expect_head(const Layout& layout, const HeadRequest& head, const std::filesystem::path& file) {
  if (has_head(layout, head)) return;
  const auto described = [](HeadKind kind, const std::vector<std::string>& labels) {
    std::string text = "a head of the kind " + std::string(name(kind));
    if (kind == HeadKind::next_token || labels.empty()) return text;
    return text + " for " + std::to_string(labels.size()) +
           (labels.size() == 1 ? " label" : " labels");
  };
  throw InputError({file, "architectures"}, "expected " + described(head.kind, head.labels) +
                                                ", found " +
                                                described(layout.head.kind, layout.head.labels));
}

io::Json with_head(io::Json config, const Layout& layout, const HeadRequest& head,
                   const std::filesystem::path& file) {
  if (head.kind == HeadKind::sequence_to_sequence && !layout.encoder) {
    throw InputError({file, "model_type"}, "expected an encoder-decoder, found " + layout.family);
  }
  if (layout.class_stem.empty()) {
    throw InputError({file, "model_type"}, "expected an encoder, found " + layout.family +
                                               ", which has no head of the kind " +
                                               std::string(name(head.kind)));
  }
  config["architectures"] = {layout.class_stem + class_end(head.kind)};
  for (const char* field : {"id2label", "label2id", "num_labels", "problem_type"}) {
    config.erase(field);
  }
  if (head.kind != HeadKind::sequence && head.kind != HeadKind::tokens) return config;
  io::Json names = io::Json::object(), ids = io::Json::object();
  for (std::size_t i = 0; i < head.labels.size(); ++i) {
    names[std::to_string(i)] = head.labels[i];
    ids[head.labels[i]] = i;
  }
  config["id2label"] = std::move(names);
  config["label2id"] = std::move(ids);
  if (head.kind == HeadKind::sequence) config["problem_type"] = problem_name(head.problem);
  return config;
}

}  // namespace qloft::architecture
