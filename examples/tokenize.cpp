// Text to ids and back with a checkpoint's own tokenizer.
//
//   tokenize_text MODEL TEXT

#include <iostream>

#include "qloft/core/error.h"
#include "qloft/tokenizer.h"

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "usage: tokenize_text MODEL TEXT\n";
    return 2;
  }
  try {
    const auto tokenizer = qloft::tokenizer::Tokenizer::load(arguments[1]);
    const auto ids = tokenizer.encode(arguments[2]);
    for (const auto id : ids) std::cout << id << ' ' << tokenizer.token(id) << '\n';
    std::cout << tokenizer.decode(ids) << '\n';
  } catch (const qloft::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
