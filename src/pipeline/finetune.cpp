#include "qloft/pipeline/finetune.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <system_error>
#include <utility>

#include "finetune_weights.h"
#include "load.h"
#include "names.h"
#include "qloft/architecture.h"
#include "qloft/chat_template.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/core/random.h"
#include "qloft/core/threads.h"
#include "qloft/data.h"
#include "qloft/data/end_tokens.h"
#include "qloft/pipeline/resume.h"
#include "qloft/quantized/model_files.h"
#include "qloft/train.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

using architecture::Layout;
using architecture::Parameter;
using architecture::ParameterId;

constexpr const char* kAdapterName = "default";
constexpr const char* kTrainingFolder = "training";
constexpr const char* kStateFile = "training_state.safetensors";

void refuse(bool wrong, std::string_view field, std::string_view message) {
  if (wrong) throw InputError({{}, std::string(field)}, message);
}

void check(const FinetuneOptions& o) {
  load_options(o.device, o.dtype, o.matmul);
  const bool lora = o.method == "lora";
  refuse(!lora && o.method != "full", "method", "expected lora or full, found '" + o.method + "'");
  refuse(o.data.empty(), "data", "expected at least one file of JSON Lines");
  refuse(o.output.empty(), "output", "expected a folder to write to");
  refuse(o.validation && o.validation_share != 0, "validation_share",
         "expected a validation file or a share of the data, found both");
  refuse(o.from_random && lora, "from_random", "only --method full trains from random weights");
  refuse(!lora && (o.adapter || o.fresh || o.rank || o.alpha || o.rslora || o.dropout ||
                   !o.target_modules.empty()),
         "method", "full trains no adapter: its options (adapter, rank, ...) need --method lora");
  refuse(o.adapter && o.fresh, "fresh", "expected an adapter to continue or a fresh one");
  refuse(o.rank && *o.rank < 1, "rank", "expected at least 1");
  refuse(o.alpha && !(std::isfinite(*o.alpha) && *o.alpha > 0), "alpha",
         "expected a number above 0");
  refuse(o.dropout && !(*o.dropout >= 0 && *o.dropout < 1), "dropout",
         "expected a number from 0 to below 1");
  refuse(o.save_dtype && lora && !adapter::storage_from_name(*o.save_dtype), "save_dtype",
         "expected f32, bf16, f16 or nf8, found '" + o.save_dtype.value_or("") + "'");
  refuse(!lora && o.matmul != "float", "matmul",
         "the weights that full trains are multiplied in float, found '" + o.matmul + "'");
  o.train.validate();
}

std::vector<std::string> names_of(const Layout& layout, const std::vector<ParameterId>& matrices) {
  std::vector<std::string> names;
  for (const ParameterId id : matrices) {
    const std::string name = last_part(layout.parameter(id).module());
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

adapter::Adapter fresh_adapter(const Layout& layout, const FinetuneOptions& options) {
  const std::vector<ParameterId> matrices = architecture::adaptable(layout);
  const std::vector<std::string> known = names_of(layout, matrices);
  adapter::Adapter adapter;
  adapter.config.rank = options.rank.value_or(16);
  adapter.config.alpha = options.alpha.value_or(static_cast<double>(adapter.config.rank));
  adapter.config.rslora = options.rslora;
  adapter.config.target_modules = options.target_modules.empty()
                                      ? names_of(layout, architecture::linear_layers(layout))
                                      : options.target_modules;
  const auto& targets = adapter.config.target_modules;
  for (const std::string& target : targets) {
    if (std::find(known.begin(), known.end(), target) != known.end()) continue;
    std::string names;
    for (const std::string& name : known) names += (names.empty() ? "" : ", ") + name;
    throw InputError({{}, "target_modules"},
                     "the model has no linear layer '" + target + "', only " + names);
  }
  const std::int64_t rank = adapter.config.rank;
  Random random(options.train.seed);
  for (const ParameterId id : matrices) {
    const Parameter& matrix = layout.parameter(id);
    const std::string module = matrix.module();
    if (std::find(targets.begin(), targets.end(), last_part(module)) == targets.end()) continue;
    const std::int64_t most = std::min(matrix.rows(), matrix.columns());
    if (rank > most) {
      throw InputError({{}, "rank"}, "expected at most " + std::to_string(most) + ", the rank of " +
                                         module + ", found " + std::to_string(rank));
    }
    adapter::Factors factors{Matrix(rank, matrix.columns()), Matrix(matrix.rows(), rank)};
    const double bound = 1 / std::sqrt(static_cast<double>(matrix.columns()));
    for (float& value : factors.a.values()) {
      value = static_cast<float>(bound * (2 * random.uniform() - 1));
    }
    adapter.modules.emplace(module, std::move(factors));
  }
  return adapter;
}

// What an adapter that is continued has settled cannot be asked for otherwise.
void expect_as_continued(const adapter::Config& config, const FinetuneOptions& options,
                         const fs::path& folder) {
  const auto differs = [&](const char* field) {
    throw InputError({folder, field},
                     "the adapter that is continued has another value than the one asked for; a "
                     "fresh one (--fresh) takes any");
  };
  if (options.rank && *options.rank != config.rank) differs("rank");
  if (options.alpha && *options.alpha != config.alpha) differs("alpha");
  if (options.rslora && !config.rslora) differs("rslora");
  if (!options.target_modules.empty()) {
    std::vector<std::string> wanted = options.target_modules, found = config.target_modules;
    std::sort(wanted.begin(), wanted.end());
    std::sort(found.begin(), found.end());
    if (wanted != found) differs("target_modules");
  }
}

adapter::Adapter first_adapter(const quantized::ModelFiles& files, const FinetuneOptions& options) {
  ModelOptions where;
  where.bare = options.fresh;
  where.any_base = options.any_base;
  if (options.adapter) where.adapter = options.adapter->string();
  std::optional<adapter::Adapter> found = find_adapter(files, where);
  if (found) {
    expect_as_continued(found->config, options,
                        options.adapter.value_or(files.folder() / "adapter"));
  } else {
    found = fresh_adapter(files.layout(), options);
  }
  if (options.dropout) found->config.dropout = *options.dropout;
  std::error_code error;
  const fs::path absolute = fs::canonical(options.model, error);
  found->config.base_model = error ? options.model : absolute.string();
  return *std::move(found);
}

// ------------------------------------------------------------------------------- output

// The output folder while it is built. A run that fails before its first save leaves nothing.
class OutputFolder {
 public:
  explicit OutputFolder(const FinetuneOptions& options)
      : staged_(checked(options), options.overwrite || options.train.resume) {}
  ~OutputFolder() {
    std::error_code error;
    if (!committed_ && saved_at(staged_.path()) == found_) fs::remove_all(staged_.path(), error);
  }
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  void begin(bool resume, bool overwrite) {
    const bool interrupted = saved_at(staged_.path()).has_value();
    found_ = kKeep;
    if (resume && !interrupted) {
      take_up_finished();
    } else if (!resume) {
      if (interrupted && !overwrite) {
        throw InputError({staged_.path(), {}},
                         "an interrupted run is here: --resume goes on with it, --overwrite begins "
                         "anew");
      }
      staged_.start_afresh();
      found_.reset();
    }
    fs::create_directories(state_folder());
  }
  void commit() {
    staged_.commit();
    committed_ = true;
  }

  const fs::path& path() const { return staged_.path(); }
  fs::path state_folder() const { return staged_.path() / kTrainingFolder; }
  const fs::path& target() const { return staged_.target(); }

 private:
  using Time = fs::file_time_type;
  static constexpr Time kKeep = Time::max();  // no state was ever saved then

  // When the state in `folder` was saved.
  static std::optional<Time> saved_at(const fs::path& folder) {
    std::error_code error;
    const Time time = fs::last_write_time(folder / kTrainingFolder / kStateFile, error);
    return error ? std::nullopt : std::optional(time);
  }

  static fs::path checked(const FinetuneOptions& options) {
    std::error_code error;
    refuse(fs::equivalent(options.output, checkpoint::resolve(options.model), error), "output",
           "the output folder is the model's own");
    return options.output;
  }

  // A run that is done lies in the target: it is taken up, so that more steps can follow.
  void take_up_finished() {
    found_.reset();
    if (!saved_at(staged_.target())) {
      throw InputError({staged_.target(), {}}, "there is no saved run to resume");
    }
    fs::copy(staged_.target(), staged_.path(),
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    found_ = saved_at(staged_.path());
  }

  StagedFolder staged_;
  std::optional<Time> found_;  // a folder whose state is still this one is not worth keeping
  bool committed_ = false;
};

// ------------------------------------------------------------------------------- data

struct Data {
  data::DataSet set;
  data::DataSet::Split split;
};

Data read_data(const FinetuneOptions& options, const fs::path& tokenizer_folder,
               const fs::path& model_folder, std::int64_t vocabulary, std::int64_t length,
               Progress& progress) {
  const auto tokenizer = tokenizer::Tokenizer::load(tokenizer_folder);
  data::DataOptions data_options;
  data_options.max_length = length;
  data_options.vocabulary_size = vocabulary;
  data_options.end_token = data::end_tokens(model_folder, tokenizer).appended;
  if (!data_options.end_token) {
    progress.warn(
        "no end token is put behind texts and answers: neither the tokenizer nor "
        "generation_config.json nor config.json names one");
  }
  const data::ExampleReader reader(tokenizer, chat_template::ChatTemplate::load(tokenizer_folder),
                                   data_options);
  data::DataSet set(options.data, reader);
  if (!options.validation) {
    auto split = set.split(options.validation_share, options.train.seed);
    return {std::move(set), std::move(split)};
  }
  // One set of all files: the lines of the validation file follow the others.
  std::vector<fs::path> files = options.data;
  files.push_back(*options.validation);
  data::DataSet all(files, reader);
  data::DataSet::Split split;
  split.train.resize(static_cast<std::size_t>(set.size()));
  split.validation.resize(static_cast<std::size_t>(all.size() - set.size()));
  std::iota(split.train.begin(), split.train.end(), std::int64_t{0});
  std::iota(split.validation.begin(), split.validation.end(), set.size());
  refuse(split.validation.empty(), "validation", "the validation file has no lines");
  return {std::move(all), std::move(split)};
}

// What a resumed run must share beside the training options.
std::string setup_of(const FinetuneOptions& options, const adapter::Config* config) {
  std::string setup = options.method + " in " + options.dtype;
  if (options.matmul != "float") setup += ", products in " + options.matmul;
  if (config == nullptr) return setup;
  const auto number = [](double value) { return io::Json(value).dump(); };
  return setup + ", rank " + std::to_string(config->rank) + ", alpha " + number(config->alpha) +
         (config->rslora ? " (rslora)" : "") + ", dropout " + number(config->dropout);
}

std::int64_t count_parameters(const model::Model& model) {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : model.trainable()) count += tensor.numel();
  return count;
}

}  // namespace

FinetuneReport finetune(const FinetuneOptions& options, Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  check(options);
  at::set_num_threads(1);  // the work is in our own threads (load.cpp)
  const bool lora = options.method == "lora";
  const fs::path folder = checkpoint::resolve(options.model);
  const fs::path config_file = folder / "config.json";
  const io::Json config = io::read_json(config_file);
  std::optional<quantized::ModelFiles> files;
  if (!options.from_random) files.emplace(folder);
  const Layout layout = files ? files->layout() : architecture::read_layout(config, config_file);
  const fs::path tokenizer_folder = options.tokenizer.value_or(folder);

  train::Options training = options.train;
  if (layout.max_positions > 0 && training.length > layout.max_positions) {
    training.length = layout.max_positions;
    progress.note("length " + std::to_string(training.length) +
                  ": the model has no more positions");
  }
  const Data data = read_data(options, tokenizer_folder, folder, layout.vocabulary_size,
                              training.length, progress);

  refuse(!lora && files && files->quantization(), "method",
         "full fine-tuning needs full-precision weights, found a quantized folder: train its "
         "adapter (--method lora)");
  std::optional<adapter::Adapter> adapter;
  if (lora) adapter = first_adapter(*files, options);
  const ElementType type = lora ? ElementType::f32 : save_type(config, options);

  OutputFolder output(options);
  output.begin(training.resume, options.overwrite);
  auto load = load_options(options.device, options.dtype, options.matmul);
  load.train_weights = !lora;
  model::Model model = files ? model::Model::load(*files, load, progress)
                             : model::Model::random(layout, load, training.seed);
  model::AdapterId trained = model::kNoAdapter;
  if (lora) trained = model.attach(kAdapterName, *adapter, /*train=*/true);
  training.base = files ? weights_fingerprint(folder) : "random weights";
  training.setup = setup_of(options, lora ? &adapter->config : nullptr);
  training.folder = output.state_folder();
  training.log_folder = output.path();
  adapter.reset();

  const auto save = [&](std::int64_t) {
    if (lora) {
      adapter::save(model.extract(kAdapterName), output.path(),
                    adapter::storage_from_name(options.save_dtype.value_or("f32")).value(), layout);
    } else {
      write_weights(model, output.path(), type);
    }
  };
  FinetuneReport report;
  report.summary = train::train(model, trained, data.set, data.split.train, data.split.validation,
                                training, save, progress);
  if (!lora) {
    io::write_json(output.path() / "config.json", saved_config(config, type));
    checkpoint::copy_companions(folder, output.path());
    if (options.tokenizer) checkpoint::copy_companions(tokenizer_folder, output.path());
  }
  output.commit();
  report.method = options.method;
  report.trained_parameters = count_parameters(model);
  report.train_examples = static_cast<std::int64_t>(data.split.train.size());
  report.validation_examples = static_cast<std::int64_t>(data.split.validation.size());
  report.output = output.target();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace qloft::pipeline
