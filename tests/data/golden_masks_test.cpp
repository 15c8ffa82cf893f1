// What counts in the loss by {% generation %} blocks, beside transformers' assistant mask
// (tests/golden/chat_masks.json).

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "qloft/data.h"
#include "qloft/io.h"

namespace qloft::data {
namespace {

TEST(GoldenMasks, AreThoseOfTransformers) {
  const std::string golden = std::string(QLOFT_TEST_DATA) + "/golden/";
  const io::Json chats = io::read_json(golden + "chat.json");
  const io::Json masks = io::read_json(golden + "chat_masks.json");
  for (const io::Json& row : masks["rows"]) {
    const std::string kind = row[0], name = row[1], which = row[2];
    const chat_template::ChatTemplate chat(masks["templates"][name].get<std::string>(), "<s>",
                                           "</s>");
    const ExampleReader reader(tokenizer::Tokenizer::load(golden + "tokenizers/" + kind), chat, {});
    const Example example = reader.read(chats["conversations"][which], {});
    const std::string label = kind + ", " + name + ", " + which;
    EXPECT_EQ(example.ids, row[3].get<std::vector<tokenizer::TokenId>>()) << label;
    EXPECT_EQ(example.loss_mask, row[4].get<std::vector<std::uint8_t>>()) << label;
  }
}

}  // namespace
}  // namespace qloft::data
