#pragma once
// What encoders say: the head that config.json names, and how they make it.

#include <span>
#include <string>
#include <string_view>

#include "../../builder.h"
#include "qloft/io/fields.h"

namespace qloft::architecture {

// Kind, labels and problem, from architectures, id2label, num_labels and problem_type; without
// layers.
Head read_head(const io::Field& config);

// How the names of transformers' classes end, and the head of each.
struct ClassEnd {
  std::string_view end;
  HeadKind kind;
};

// The head of the first of `ends` that the class `name` ends with. Throws InputError naming those
// of `kinds` for another class, and for a head that is none of these.
HeadKind kind_of_class(const io::Field& name, std::span<const ClassEnd> ends,
                       std::span<const HeadKind> kinds, std::string_view model);

// The labels and the problem of a head of this kind, from the same fields.
Head read_labelled_head(const io::Field& config, HeadKind kind);

// The module that a checkpoint of the whole model begins names with: `name` and a dot, and nothing
// where there is no head.
std::string stem_of(const Head& head, const std::string& name);

// A linear layer of the head with a bias, and what follows it.
HeadLayer head_layer(LayoutBuilder& builder, const std::string& name, std::int64_t out,
                     std::int64_t in, std::optional<Activation> activation = std::nullopt,
                     bool bias = true);

// The layers of a head but one that speaks of sequences, which each family makes in its own way: of
// spans and of tokens as BERT has them. `hidden`: the width of the states.
void add_token_head(LayoutBuilder& builder, std::int64_t hidden);

// What foretells masked tokens: `transform`, an activation and `norm`, then the embedding's matrix
// with a bias of its own. `bias`: the bias' name, as published; other spellings of it are
// `other_biases`.
struct MaskedTokenNames {
  std::string transform, norm, decoder, bias;
  std::vector<std::string> other_biases;
};
void add_masked_token_head(LayoutBuilder& builder, const MaskedTokenNames& names,
                           std::int64_t hidden, std::int64_t width, Activation activation,
                           double epsilon, bool tied);

// Prefixes, older names of norms, and the tensors of heads that are not this one. `name`: as in
// stem_of; `class_stem`: as Layout has it.
void finish_encoder(LayoutBuilder& builder, const std::string& name, const std::string& class_stem);

}  // namespace qloft::architecture
