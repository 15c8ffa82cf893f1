#pragma once
// Ids to the text that may be shown: complete characters only, nothing that may still become a stop
// string, nothing from a stop string on.

#include <string>
#include <string_view>
#include <vector>

#include "qloft/generate.h"

namespace qloft::generate {

class TextWriter {
 public:
  TextWriter(const tokenizer::Tokenizer& tokenizer, const std::vector<std::string>& stop,
             const Sink& sink);

  // False once the text has ended (a stop string, or a sink that wants no more).
  bool push(tokenizer::TokenId id);
  // Releases what was held back.
  void finish();

  bool met_stop_string() const { return met_stop_string_; }
  const std::string& text() const { return text_; }

 private:
  void release(std::size_t end);

  tokenizer::StreamDecoder decoder_;
  const std::vector<std::string>& stop_;
  const Sink& sink_;
  std::string text_;          // everything decoded, cut at a stop string
  std::size_t released_ = 0;  // how much of it the sink has seen
  bool met_stop_string_ = false;
  bool sink_ended_ = false;
};

// How much of the end of `text` is a proper beginning of one of `stop`.
std::size_t held_back(std::string_view text, const std::vector<std::string>& stop);

}  // namespace qloft::generate
