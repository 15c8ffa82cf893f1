#pragma once
// How what training leaves is stored.

#include <filesystem>

#include "qloft/core/element.h"
#include "qloft/core/progress.h"
#include "qloft/model.h"
#include "qloft/train.h"

namespace qloft::pipeline {

// While it is trained, an adapter is saved so that nothing of a step is lost.
inline constexpr ElementType kTrainedType = ElementType::f32;

// Stores the adapter in `folder`, which fits the model, as `type`. Values that f8 does not hold are
// rounded with regard to the inputs that the adapter's modules have with it
// (decompose::round_factors): those of some of the examples, of which a decoder's are taken through
// one block after the other, others through `objective`; small factors are raised before
// (adapter::raise_small_factors). All other types take the nearest values. Throws Interrupted, with
// the folder as it was, where progress asks to stop.
void store_adapter(model::Model& model, const std::filesystem::path& folder, ElementType type,
                   const train::Examples& examples, const train::Objective& objective,
                   Progress& progress);

}  // namespace qloft::pipeline
