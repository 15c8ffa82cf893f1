#pragma once
// Trained factors as values of 8 bits.

#include <filesystem>

#include "qloft/core/element.h"
#include "qloft/core/progress.h"
#include "qloft/model.h"
#include "qloft/train.h"

namespace qloft::pipeline {

// Whether steps of training are lost between neighbouring values of the type.
inline bool is_coarse(ElementType type) {
  return type == ElementType::f8;
}

// Rounds the factors of the adapter in `folder`, which fits the model, to values of `type`, with
// regard to the inputs that its modules have with it (decompose::round_factors): those of some of
// the examples, of which a decoder's are taken through one block after the other, others through
// `objective`. Where factors are too small for the type, as a fresh adapter's B after few steps,
// its alpha becomes smaller and they greater by powers of two. Throws Interrupted, with the folder
// as it was, where progress asks to stop.
void round_adapter(model::Model& model, const std::filesystem::path& folder, ElementType type,
                   const train::Examples& examples, const train::Objective& objective,
                   Progress& progress);

}  // namespace qloft::pipeline
