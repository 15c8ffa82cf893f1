// Any line of a data file is an example of one of its forms or an InputError; the ids of one are
// tokens, as many as its loss mask has places, and no more than asked for.

#include <nlohmann/json.hpp>

#include "qloft/data.h"
#include "support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  static const fuzz::Folder folder;
  static const auto reader = [] {
    folder.write("tokenizer.json", fuzz::kTokenizer);
    const chat_template::ChatTemplate chat(
        "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}"
        "{{ m.content }}</s>{% endgeneration %}{% else %}{{ m.content }}{% endif %}\n"
        "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}");
    data::DataOptions options;
    options.max_length = 64;
    return data::ExampleReader(tokenizer::Tokenizer::load(folder.path()), chat, options);
  }();
  try {
    const data::Example example = reader.read(std::string(fuzz::text(data, size)), "input", 1);
    if (example.ids.size() > 64 || example.ids.size() != example.loss_mask.size()) {
      __builtin_trap();
    }
    for (const tokenizer::TokenId id : example.ids) {
      if (id < 0 || id >= reader.tokenizer().vocabulary_size()) __builtin_trap();
    }
  } catch (const InputError&) {
  }
  return 0;
}
