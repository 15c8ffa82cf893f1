#include "qloft/generate.h"

#include "qloft/data/end_tokens.h"

namespace qloft::generate {

std::vector<Result> generate_all(model::Model& model, const tokenizer::Tokenizer& tokenizer,
                                 Request request) {
  Engine engine(model, tokenizer);
  const SequenceId id = engine.add(std::move(request));
  while (!engine.finished(id)) engine.step();
  return engine.results(id);
}

Result generate(model::Model& model, const tokenizer::Tokenizer& tokenizer, Request request) {
  return generate_all(model, tokenizer, std::move(request)).front();
}

std::vector<tokenizer::TokenId> end_tokens(const checkpoint::Checkpoint& source,
                                           const tokenizer::Tokenizer& tokenizer) {
  return data::end_tokens(source.folder(), tokenizer).ids;
}

}  // namespace qloft::generate
