// The tasks on the bundled model, beside what transformers makes of it
// (tests/golden/evaluate.json).
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "progress.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/evaluate.h"
#include "qloft/io.h"
#include "random_adapter.h"
#include "temporary_folder.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Tasks : public ::testing::Test {
 protected:
  Tasks() : golden_(io::read_json(fs::path(QLOFT_TEST_DATA) / "golden/evaluate.json")) {}

  static fs::path bundled() { return fs::path(QLOFT_TEST_DATA) / "../examples/bundled/model"; }
  // cache: of tasks that go without one unless they are told to.
  Scores run(const std::string& name, Request request, const fs::path& model = bundled(),
             std::optional<model::StoredType> cache = std::nullopt) {
    const quantized::ModelFiles files(model);
    const auto tokenizer = tokenizer::Tokenizer::load(model);
    const std::optional<chat_template::ChatTemplate> chat;
    if (request.settings.empty()) request.settings = all_settings();
    task(name).check(request, files.layout().max_positions, progress_);
    const Prepared data =
        task(name).prepare({files.layout(), tokenizer, chat, files.source()}, request, progress_);
    auto loaded = model::Model::load(files, {}, progress_);
    loaded.set_training(false);
    if (cache) loaded.set_cache_type(*cache);
    const Subject subject{loaded, model::kNoAdapter, tokenizer, files.source(), cache.has_value()};
    expect_finite_weights(subject);
    return task(name).run(subject, request, data, progress_);
  }
  std::string refused(const std::string& name, const Request& request,
                      const fs::path& model = bundled()) {
    try {
      run(name, request, model);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }

  fs::path text() const {
    write_file(folder_ / "text.txt", golden_["text"].get<std::string>());
    return folder_ / "text.txt";
  }
  // Those of the golden file, each with the answer that `answer` gives it.
  fs::path problems(const std::function<std::string(const io::Json&)>& answer) const {
    std::string lines;
    for (const io::Json& problem : golden_["problems"]) {
      lines +=
          io::Json{{"question", problem["question"]}, {"answer", answer(problem)}}.dump() + "\n";
    }
    write_file(folder_ / "problems.jsonl", lines);
    return folder_ / "problems.jsonl";
  }
  // Settings of gsm8k that are quick.
  std::vector<Setting> quick() const {
    auto settings = all_settings();
    set(settings, "max_tokens", golden_["max_tokens"].get<std::int64_t>());
    return settings;
  }

  io::Json golden_;
  test::TemporaryFolder folder_;
  test::Said progress_;
};

TEST_F(Tasks, PerplexityIsThatOfTransformers) {
  auto settings = all_settings();
  set(settings, "window", golden_["window"].get<std::int64_t>());
  const Scores scores = run("perplexity", {text(), settings});
  EXPECT_EQ(scores.find("tokens"), golden_["tokens"].get<double>());
  EXPECT_NEAR(*scores.find("nll_mean"), golden_["nll_mean"].get<double>(), 1e-4);
  EXPECT_DOUBLE_EQ(*scores.find("perplexity"), std::exp(*scores.find("nll_mean")));
}

// The bundled model beside itself with an adapter.
class Divergence : public Tasks {
 protected:
  Divergence() : model_(model::Model::load(quantized::ModelFiles(bundled()), {}, progress_)) {
    model_.set_training(false);
    settings_ = all_settings();
    set(settings_, "window", std::int64_t{40});
    set(settings_, "limit", std::int64_t{3});
    set(settings_, "teacher", bundled());
  }
  // `adapter`: of the model; the teacher has none.
  Scores divergence(model::AdapterId adapter) {
    const quantized::ModelFiles files(bundled());
    const auto tokenizer = tokenizer::Tokenizer::load(bundled());
    const std::optional<chat_template::ChatTemplate> chat;
    const Request request{text(), settings_};
    const Task& row = task("divergence");
    row.check(request, files.layout().max_positions, progress_);
    const Prepared data =
        row.prepare({files.layout(), tokenizer, chat, files.source()}, request, progress_);
    const Subject subject{model_, adapter, tokenizer, files.source(), false, &model_};
    return row.run(subject, request, data, progress_);
  }

  model::Model model_;
  std::vector<Setting> settings_;
};

TEST_F(Divergence, OfAModelFromItselfIsNone) {
  const Scores scores = divergence(model::kNoAdapter);
  EXPECT_EQ(scores.find("predictions"), 3 * 39);
  EXPECT_NEAR(*scores.find("divergence"), 0, 1e-6);
  EXPECT_EQ(scores.find("agreement"), 1);
  EXPECT_NEAR(*scores.find("perplexity_ratio"), 1, 1e-6);
}

TEST_F(Divergence, IsThatOfTheWholeDistributions) {
  const auto adapter = model_.attach("a", test::random_adapter(model_.layout(), 2, 1), false);
  const Scores scores = divergence(adapter);
  const at::NoGradGuard no_grad;
  const auto tokenizer = tokenizer::Tokenizer::load(bundled());
  const auto ids = at::tensor(tokenizer.encode(golden_["text"].get<std::string>()), at::kLong)
                       .narrow(0, 0, 120)
                       .view({3, 40});
  const auto logs = [&](model::AdapterId id) {
    const auto states = model_.hidden({.ids = ids, .adapters = {id}}).narrow(1, 0, 39);
    return at::log_softmax(model_.logits(states, {id}).to(at::kDouble), -1);
  };
  const at::Tensor own = logs(adapter), wanted = logs(model::kNoAdapter);
  const at::Tensor each = (wanted.exp() * (wanted - own)).sum(-1).flatten();
  EXPECT_NEAR(*scores.find("divergence"), each.mean().item<double>(), 1e-5);
  EXPECT_NEAR(*scores.find("divergence_error"), each.std().item<double>() / std::sqrt(117), 1e-5);
  EXPECT_NEAR(*scores.find("divergence_max"), each.max().item<double>(), 1e-4);
  EXPECT_NEAR(*scores.find("divergence_median"), each.median().item<double>(), 1e-4);
  const auto same = own.argmax(-1).eq(wanted.argmax(-1)).to(at::kDouble).mean();
  EXPECT_DOUBLE_EQ(*scores.find("agreement"), same.item<double>());
  const at::Tensor next = ids.narrow(1, 1, 39).unsqueeze(-1);
  const auto ratio = (wanted.gather(-1, next) - own.gather(-1, next)).mean().exp();
  EXPECT_NEAR(*scores.find("perplexity_ratio"), ratio.item<double>(), 1e-4);
}

TEST_F(Tasks, PerplexityThroughACacheIsNearThatWithoutOne) {
  auto settings = all_settings();
  set(settings, "window", std::int64_t{40});
  const auto loss = [&](std::optional<model::StoredType> cache) {
    return *run("perplexity", {text(), settings}, bundled(), cache).find("nll_mean");
  };
  const double exact = loss({});
  EXPECT_NEAR(loss(model::StoredType::f32), exact, 1e-5);
  for (const auto type : {model::StoredType::bf16, model::StoredType::int8}) {
    EXPECT_NE(loss(type), exact);
    EXPECT_NEAR(loss(type), exact, 0.01);
  }
}

TEST_F(Tasks, LossOnAnswersIsThatOfTransformers) {
  const auto data = problems([](const io::Json& p) { return p["answer"].get<std::string>(); });
  const Scores scores = run("loss", {data, {}});
  EXPECT_EQ(scores.find("examples"), 3);
  EXPECT_NEAR(*scores.find("loss"), golden_["answer_loss"].get<double>(), 1e-4);
}

TEST_F(Tasks, Gsm8kGeneratesAndScoresWhatTransformersGenerates) {
  // Two references are what the model answers, one is another number.
  int number = 0;
  const auto data = problems([&](const io::Json& p) {
    return ++number == 2 ? "#### -1" : p["greedy"].get<std::string>();
  });
  auto settings = quick();
  set(settings, "predictions", folder_ / "out.jsonl");
  const Scores scores = run("gsm8k", {data, settings});
  EXPECT_EQ(scores.find("correct"), 2);
  EXPECT_EQ(scores.find("total"), 3);
  EXPECT_EQ(scores.find("unscorable"), 0);
  EXPECT_DOUBLE_EQ(*scores.find("accuracy"), 2. / 3);
  EXPECT_DOUBLE_EQ(*scores.find("standard_error"), std::sqrt(2. / 3 / 3 / 3));
  const std::string written = read_file(folder_ / "out.jsonl");
  const auto first = io::parse_json(written.substr(0, written.find('\n')), "out.jsonl");
  EXPECT_EQ(first["answer"], golden_["problems"][0]["greedy"]);
  EXPECT_EQ(first["expected"], "13");
  EXPECT_EQ(first["correct"], true);
}

TEST_F(Tasks, ReferencesWithoutANumberAreSaidBeforeTheModelIsLoaded) {
  const auto plain = problems([](const io::Json&) { return "8"; });
  EXPECT_THAT(refused("gsm8k", {plain, quick()}),
              HasSubstr("problems.jsonl: answer: 3 of 3 references hold no number under the rule "
                        "hashes; --rule last-number would read 3"));
  int number = 0;
  const auto mixed = problems([&](const io::Json&) { return ++number == 1 ? "eight" : "#### 8"; });
  auto settings = quick();
  set(settings, "max_tokens", std::int64_t{1});
  const Scores scores = run("gsm8k", {mixed, settings});
  EXPECT_EQ(scores.find("unscorable"), 1);
  EXPECT_EQ(scores.find("total"), 3);
  EXPECT_THAT(progress_.warnings, HasSubstr("1 of 3 references hold no number"));
}

// The bundled model with a NaN in one of its tensors.
void write_broken(const fs::path& folder, const fs::path& from, const std::string& tensor) {
  fs::copy(from, folder);
  const io::SafetensorsFile file(folder / "model.safetensors");
  const auto bytes = file.bytes(*file.find(tensor));
  std::string content = read_file(folder / "model.safetensors");
  std::size_t at = content.find(std::string_view(reinterpret_cast<const char*>(bytes.data()), 64));
  const std::uint16_t nan = 0x7fc0;  // bf16
  std::memcpy(content.data() + at, &nan, sizeof nan);
  write_file(folder / "model.safetensors", content);
}

TEST_F(Tasks, AWeightThatIsNotANumberIsNamed) {
  const std::string tensor = "model.layers.1.self_attn.q_proj.weight";
  write_broken(folder_ / "broken", bundled(), tensor);
  auto settings = all_settings();
  set(settings, "window", std::int64_t{24});
  EXPECT_THAT(refused("perplexity", {text(), settings}, folder_ / "broken"),
              HasSubstr(tensor + ": holds a value that is not finite"));
}

TEST(TaskRows, HaveDistinctNamesAndKeys) {
  std::set<std::string> names, keys;
  for (const Task& row : tasks()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_FALSE(row.in_recipe.empty()) << row.name;
    for (const ScoreInfo& score : row.scores) {
      EXPECT_TRUE(keys.insert(score.key).second) << score.key;
    }
  }
  EXPECT_THROW(task("trivia"), InputError);
}

TEST(TaskRows, RefuseASettingThatBelongsToOtherTasksAlone) {
  struct Given {
    const char* setting;
    const char* expected;  // empty: taken
  };
  const Given cases[] = {
      {"few_shot", "few_shot: expected it with the task gsm8k, found it with loss"},
      {"window", "window: expected it with the task perplexity or divergence, found it with loss"},
      {"batch", ""},
      {"limit", ""},
  };
  for (const Given& c : cases) {
    std::vector<Setting> settings = all_settings();
    set(settings, c.setting, std::int64_t{3});
    std::string found;
    try {
      expect_own_settings(task("loss"), settings);
    } catch (const InputError& error) {
      found = error.what();
    }
    EXPECT_EQ(found, c.expected);
  }
}

TEST(TaskRows, SayInHelpWhichTasksASettingIsFor) {
  const auto settings = all_settings();
  EXPECT_EQ(setting(settings, "window").help, "perplexity, divergence: tokens a window");
  EXPECT_EQ(setting(settings, "few_shot").help, "gsm8k: worked examples before each question");
  EXPECT_EQ(
      setting(settings, "length").help,
      "GLUE, classification, regression, squad, squad_v2, summarization: tokens of an example "
      "(of summarization: of a document) at most; 0: 384 of squad, 1024 of summarization, else "
      "128");
  EXPECT_EQ(setting(settings, "limit").help,
            "windows, examples, problems or questions (of each subject) at most; 0: all");
}

}  // namespace
}  // namespace qloft::evaluate
