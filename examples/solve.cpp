// Greedy decoding with the library: a word problem, answered by a model.
//
//   solve MODEL QUESTION [ADAPTER]

#include <iostream>

#include "qloft/core/error.h"
#include "qloft/core/progress.h"
#include "qloft/pipeline/generate.h"

int main(int count, char** arguments) {
  if (count < 3 || count > 4) {
    std::cerr << "usage: solve MODEL QUESTION [ADAPTER]\n";
    return 2;
  }
  qloft::pipeline::GenerateOptions options;
  options.model.model = arguments[1];
  if (count == 4) options.model.adapter = arguments[3];
  options.prompt = "Question: " + std::string(arguments[2]) + "\nAnswer: ";
  options.settings.temperature = 0;
  options.max_tokens = 48;
  try {
    qloft::Progress silent;
    std::cout << qloft::pipeline::generate(options, {}, silent).results.front().text << '\n';
  } catch (const qloft::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
