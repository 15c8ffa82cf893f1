#include "framed_windows.h"

#include "qloft/core/file.h"
#include "qloft/data/known_ids.h"

namespace qloft::pipeline {

std::vector<data::Example> framed_windows(const std::filesystem::path& file, std::int64_t length,
                                          const ModelInputs& model) {
  const tokenizer::EncodeOptions format{.truncation = tokenizer::Truncation::only_first,
                                        .max_length = length};
  const tokenizer::Encoding found = model.tokenizer().encode(read_file(file), format);
  std::vector<data::Example> out;
  const auto take = [&](const tokenizer::Encoding& window) {
    data::expect_known_ids(window.ids, model.files.layout().vocabulary_size, model.tokenizer(),
                           {file, {}});
    data::Example example;
    example.ids = window.ids;
    for (const std::uint8_t special : window.special) example.loss_mask.push_back(special == 0);
    out.push_back(std::move(example));
  };
  take(found);
  for (const tokenizer::Encoding& window : found.overflow) {
    if (window.size() == found.size()) take(window);
  }
  return out;
}

}  // namespace qloft::pipeline
