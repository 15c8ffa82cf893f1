// Chat templates against jinja2 as transformers sets it up (tests/golden/make_chat.py).

#include "qloft/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "qloft/core/error.h"

namespace qloft::chat_template {
namespace {

using testing::HasSubstr;
using testing::Not;

const io::Json& golden() {
  static const io::Json json = io::read_json(std::string(QLOFT_TEST_DATA) + "/golden/chat.json");
  return json;
}

ChatTemplate make(const std::string& source) {
  return ChatTemplate(source, golden()["tokens"]["bos_token"], golden()["tokens"]["eos_token"]);
}

// The same form as in the golden file: [text, spans], or null where it fails.
io::Json try_render(const std::string& source, const io::Json& variables) {
  try {
    const Rendering result = make(source).render_marked(variables);
    return {result.text, result.generated};
  } catch (const InputError&) {
    return nullptr;
  }
}

std::string render(const std::string& source, const io::Json& variables = io::Json::object()) {
  return make(source).render(variables);
}

std::string message_of(const std::string& source) {
  try {
    render(source);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(ChatTemplate, RendersTheTemplatesOfModelFamiliesAsTransformers) {
  for (const io::Json& row : golden()["chats"]) {
    const std::string family = row[0], name = row[1];
    io::Json variables = {{"tools", nullptr}, {"documents", nullptr}};
    variables.update(golden()["conversations"][name]);
    variables["add_generation_prompt"] = row[2];
    EXPECT_EQ(try_render(golden()["templates"][family], variables), row[3])
        << family << " over " << name << (row[2] ? " with a prompt" : "");
  }
}

TEST(ChatTemplate, RendersSnippetsAsJinja2) {
  for (const io::Json& row : golden()["table"]) {
    io::Json expected = row[1];
    const io::Json found = try_render(row[0], golden()["variables"]);
    EXPECT_EQ(found, expected) << row[0];
  }
}

TEST(ChatTemplate, RendersMessagesWithoutToolsOrFurtherVariables) {
  const ChatTemplate chat(
      "{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}"
      "{% if tools is none and add_generation_prompt %}?{% endif %}",
      "<s>");
  EXPECT_EQ(chat.render({{"user", "a"}, {"assistant", "b"}}, true), "<s>user:a;assistant:b;?");
}

TEST(ChatTemplate, SaysWhetherItMarksWhatTheModelGenerates) {
  EXPECT_TRUE(make("{% generation %}x{% endgeneration %}").marks_generation(io::Json::object()));
  EXPECT_FALSE(make("x").marks_generation(io::Json::object()));
}

TEST(ChatTemplate, KnowsTheTime) {
  EXPECT_THAT(render("{{ strftime_now('%Y') }}"), testing::MatchesRegex("2[0-9][0-9][0-9]"));
  EXPECT_EQ(render("[{{ strftime_now('') }}{{ strftime_now('x%%') }}]"), "[x%]");
}

TEST(ChatTemplate, NamesLineAndColumnOfASyntaxError) {
  EXPECT_THAT(message_of("a\n  {% if x %}\n{{ 1 + }}"),
              HasSubstr("chat template, line 3, column 8: expected an expression, found }}"));
  EXPECT_THAT(message_of("{% nosuch %}"), HasSubstr("line 1, column 4: unknown tag 'nosuch'"));
}

TEST(ChatTemplate, NamesTheLineOfAFailure) {
  EXPECT_THAT(message_of("a\n{% if true %}\n{{ x.y }}{% endif %}"),
              HasSubstr("chat template, line 3: 'x' is undefined"));
  EXPECT_THAT(message_of("\n{{ raise_exception('roles must alternate') }}"),
              HasSubstr("chat template, line 2: roles must alternate"));
}

TEST(ChatTemplate, StopsTemplatesThatWouldNeverEnd) {
  const char* const kHostile[] = {
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% for a in range(20000) %}{% for b in range(20000) %}{% endfor %}{% endfor %}",
      "{{ range(10**9) }}",
      "{{ 'x' * 10**10 }}",
      "{{ 'x' * 9223372036854775807 }}",
      "{{ [1] * 10**12 }}",
      "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
      "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
      "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = [n.s, n.s] %}{% endfor %}"
      "{{ n.s }}",
      "{% set n = namespace(s=[]) %}{% for i in range(99999) %}{% set n.s = [n.s] %}{% endfor %}",
      "{% set n = namespace(s={}) %}{% for i in range(99999) %}{% set n.s = {'a': n.s.items} %}"
      "{% endfor %}",
      "{% set n = namespace(s=[1]) %}{% for i in range(99999) %}{% for x in n.s %}"
      "{% set n.s = [loop] %}{% endfor %}{% endfor %}",
      "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s | replace('x', 'xx') "
      "%}{% endfor %}",
      "{{ 'a' | indent(10**11) }}",
      "{{ 'a' | center(10**11) }}",
      "{{ '{:99999999999}'.format(1) }}",
      "{{ '%99999999999d' % 1 }}",
      "{{ [1] | tojson(indent=10**11) }}",
      "{{ 'a'.zfill(10**11) }}",
      "{{ [1] | batch(10**11, 'x') | list }}",
      "{{ [1] | slice(10**11) | list }}",
      "{{ 10 ** 10 ** 10 }}",
      "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
      "{% macro a() %}{% call a() %}{% endcall %}{% endmacro %}{{ a() }}",
  };
  for (const char* source : kHostile) EXPECT_THROW(render(source), InputError) << source;
}

TEST(ChatTemplate, RefusesSourcesThatAreNestedTooDeeply) {
  const auto repeat = [](const std::string& text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
  };
  const std::string kDeep[] = {
      "{{ " + repeat("(", 20000) + "1" + repeat(")", 20000) + " }}",
      "{{ " + repeat("[", 20000),
      "{{ " + repeat("{1:", 20000),
      "{{ " + repeat("not ", 20000) + "1 }}",
      "{{ " + repeat("-", 20000) + "1 }}",
      "{{ 1" + repeat(" + 1", 20000) + " }}",
      "{{ a" + repeat(".b", 20000) + " }}",
      "{{ a" + repeat("|e", 20000) + " }}",
      "{{ a" + repeat(" if b else c", 20000) + " }}",
      repeat("{% if a %}", 20000),
      repeat("{% for a in b %}", 20000),
      repeat("{% macro a() %}", 20000),
      "{% set " + repeat("(", 20000) + "a",
      "{{ a is b" + repeat("(c is b", 20000),
  };
  for (const std::string& source : kDeep) {
    EXPECT_THROW(make(source), InputError) << source.substr(0, 40);
  }
}

TEST(ChatTemplate, TakesNamespacesThatHoldThemselves) {
  EXPECT_EQ(render("{% set n = namespace() %}{% set n.n = n %}{% set n.l = [n] %}"
                   "{% macro m() %}{{ m is callable }}{% endmacro %}{% set n.m = m %}{{ n.m() }}"),
            "True");
}

TEST(ChatTemplate, KeepsBytesThatAreNoUtf8) {
  const std::string stray =
      "a\xff\xc3"
      "b";
  EXPECT_EQ(ChatTemplate("{{ '" + stray + "' | upper }}").render(io::Json::object()),
            "A\xff\xc3"
            "B");
}

class ChatFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void put(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  std::string rendered() {
    return ChatTemplate::load(folder_, tokens_).value().render({{"user", "hi"}}, false);
  }
  static io::Json with_tools() {
    return {{"messages", io::Json::array()}, {"tools", io::Json::array()}};
  }
  std::filesystem::path folder_;
  SpecialTokens tokens_ = {{"bos_token", "<b>"}, {"eos_token", "<e>"}, {"image_token", "<i>"}};
};

TEST_F(ChatFolder, WithoutATemplateGivesNone) {
  EXPECT_FALSE(ChatTemplate::load(folder_, {}).has_value());
  put("tokenizer_config.json", R"({"bos_token": "<s>", "chat_template": null})");
  EXPECT_FALSE(ChatTemplate::load(folder_, {}).has_value());
}

TEST_F(ChatFolder, GivesTheTemplateOfTheTokenizersConfiguration) {
  put("tokenizer_config.json",
      R"({"chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"})");
  EXPECT_EQ(rendered(), "<b>hi<e>");
}

TEST_F(ChatFolder, PrefersTheFileOfItsOwn) {
  put("tokenizer_config.json", R"({"chat_template": "a"})");
  put("chat_template.jinja", "{{ bos_token }}{{ unk_token is defined }}{{ image_token }}");
  EXPECT_EQ(rendered(), "<b>False");
}

TEST_F(ChatFolder, TakesTheTemplateForToolsWhereThereAreTools) {
  put("tokenizer_config.json",
      R"({"chat_template": [{"name": "tool_use", "template": "t"},
                            {"name": "default", "template": "d{% generation %}{% endgeneration %}"},
                            {"name": "rag", "template": "r{{ chat_template is defined }}"}]})");
  const ChatTemplate chat = ChatTemplate::load(folder_, {}).value();
  EXPECT_EQ(rendered(), "d");
  EXPECT_EQ(chat.render(with_tools()), "t");
  EXPECT_FALSE(chat.marks_generation(with_tools()));
  EXPECT_TRUE(chat.marks_generation({{"tools", nullptr}}));
  EXPECT_EQ(chat.render(io::Json{{"chat_template", "rag"}}), "rFalse");
  EXPECT_THROW(chat.render(io::Json{{"chat_template", "none"}}), InputError);
}

TEST_F(ChatFolder, ReadsFurtherTemplatesFromFilesOfTheirOwn) {
  put("tokenizer_config.json", R"({"chat_template": "config"})");
  std::filesystem::create_directory(folder_ / "additional_chat_templates");
  put("additional_chat_templates/tool_use.jinja", "t");
  // As in transformers, the files are all there is, once there is one.
  EXPECT_THROW(rendered(), InputError);
  put("chat_template.jinja", "d");
  EXPECT_EQ(rendered(), "d");
  EXPECT_EQ(ChatTemplate::load(folder_, {})->render(with_tools()), "t");
}

TEST_F(ChatFolder, ABrokenTemplateHurtsOnlyWhereItIsNeeded) {
  put("tokenizer_config.json", R"({"chat_template": {"default": "d", "tool_use": "{% if %}"}})");
  EXPECT_EQ(rendered(), "d");
  EXPECT_THROW(ChatTemplate::load(folder_, {})->render(with_tools()), InputError);
}

TEST_F(ChatFolder, ReadsAndSavesTemplatesByThemselves) {
  put("own.jinja", "{{ eos_token }}");
  EXPECT_EQ(ChatTemplate::read(folder_ / "own.jinja", tokens_).render(io::Json::object()), "<e>");
  put("own.json",
      R"({"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]})");
  EXPECT_FALSE(ChatTemplate::is_in(folder_));
  ChatTemplate::read(folder_ / "own.json", tokens_).save(folder_);
  EXPECT_TRUE(ChatTemplate::is_in(folder_));
  EXPECT_EQ(rendered(), "d");
  EXPECT_EQ(ChatTemplate::load(folder_, {})->render(with_tools()), "t");
  EXPECT_THROW(ChatTemplate::read(folder_ / "missing.jinja", {}), InputError);
  put("empty.json", "{}");
  EXPECT_THROW(ChatTemplate::read(folder_ / "empty.json", {}), InputError);
  put("sly.json", R"({"chat_template": {"../x": "t"}})");
  EXPECT_THROW(ChatTemplate::read(folder_ / "sly.json", {}).save(folder_), InputError);
}

TEST_F(ChatFolder, NamesTheFileOfABrokenTemplate) {
  put("chat_template.jinja", "\n{% if %}");
  try {
    ChatTemplate::load(folder_, {});
    FAIL() << "no error";
  } catch (const InputError& error) {
    EXPECT_EQ(error.location().file, folder_ / "chat_template.jinja");
    EXPECT_THAT(error.what(), HasSubstr("line 2, column 7"));
  }
}

TEST_F(ChatFolder, RefusesATemplateOfAWrongType) {
  put("tokenizer_config.json", R"({"chat_template": 5})");
  EXPECT_THROW(ChatTemplate::load(folder_, {}), InputError);
}

}  // namespace
}  // namespace qloft::chat_template
