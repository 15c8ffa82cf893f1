#include "pattern.h"

#include "qloft/core/error.h"

namespace qloft::tokenizer {

Pattern Pattern::read(const Field& field) {
  if (const auto literal = field.find("String")) return Pattern(literal->string());
  if (const auto regex = field.find("Regex")) {
    try {
      return Pattern(Regex(regex->string()));
    } catch (const InputError& error) {
      regex->fail(error.what());
    }
  }
  field.refuse("an object with String or Regex");
}

}  // namespace qloft::tokenizer
