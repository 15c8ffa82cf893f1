#pragma once
// The encoder of an encoder-decoder.

#include <cstdint>
#include <vector>

#include "blocks/pass.h"

namespace qloft::model {

// What both halves of an encoder-decoder with the head of an encoder read of a text.
Input source_and_target(const Layout& layout, const Input& text);

// Throws InputError unless the source is there where the model has an encoder for it, `rows` of it.
void check_source(const Source& source, std::int64_t rows, const Layout& layout);

// Sets source and encoded of `pass`, the decoder's, from a source that was checked. `adapters`: of
// each row, as Input has them.
void encode(const Source& source, const std::vector<AdapterId>& adapters, Pass& pass);

// Fills the part of `cache` that is the source's.
void store_source(const Model::State& state, const std::vector<std::int64_t>& ids,
                  AdapterId adapter, KeyValueCache::State& cache);

}  // namespace qloft::model
