#pragma once
// Lower case, character by character.

#include <string>
#include <string_view>

namespace qloft::tokenizer {

// Of valid UTF-8. U+0130 alone becomes two characters; a final sigma is a sigma.
std::string lowercase(std::string_view text);

}  // namespace qloft::tokenizer
