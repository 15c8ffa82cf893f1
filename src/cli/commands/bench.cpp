#include "qloft/pipeline/bench.h"

#include <fmt/format.h>

#include "../fields.h"
#include "../table.h"
#include "model_options.h"
#include "qloft/pipeline/report_fields.h"

namespace qloft::cli {
namespace {

enum class Shape : std::uint8_t { table, csv, markdown };

struct Options {
  pipeline::BenchOptions bench;
  Shape format = Shape::table;
};

constexpr std::int64_t kMostThreads = 1024;

template <typename Visitor>
void visit_options(Options& options, Visitor& v) {
  pipeline::BenchOptions& o = options.bench;
  v.group("Tests (of several values, 512,1024, each is measured; 0: none)");
  v("-p,--prompt", at_most(o.prompt, train::kMostLength),
    "tokens of a prompt that is taken in, of an encoder-decoder as its source (512)");
  v("-n,--decode", at_most(o.decode, train::kMostLength),
    "tokens that are decoded one by one, by an encoder-decoder of a source of the first prompt's "
    "length (128)");
  v("-d,--depth", at_most(o.depth, train::kMostLength),
    "tokens in the cache before these begin (0)");
  v("--train", at_most(o.train, train::kMostLength),
    "tokens of a sequence that is trained on (512)");
  v("-r,--repetitions,--repeat", o.repetitions, "of each test");
  v("--no-warmup", o.no_warmup, "measure from the first pass on");
  v.group("Model");
  v("--adapter", o.adapter, "PEFT adapter folder; default: the one inside a quantized folder");
  v("--bare", o.bare, "use no adapter, not even the one inside a quantized folder");
  v("--any-base", o.any_base, "take an adapter that names another base than this model");
  v("--random-adapter", o.random_adapter,
    "ranks of random adapters, for prompts and decoding; 0: the model's own, if any (0)");
  v("--random", o.random, "draw the weights: MODEL gives but a config.json");
  v("--bits", o.bits, "of random weights: 1 to 8, packed, or 16: bf16 (4)");
  v("--codebook", o.codebook, "of random weights: " + alternatives(quant::codebook_names()));
  v.group("Training");
  v("--rank", o.rank, "of the adapter that is trained (the model's own, or 16)");
  v("--checkpointing", o.checkpointing, "1: recompute activations; 0,1: both ways (0)");
  v("--batch", at_most(o.batch, train::kMostBatch), "sequences a step");
  v.group("Machine");
  v("-t,--threads", at_most(o.threads, kMostThreads), "threads to use; 0: all processors (0)");
  v("--device", o.device, "cpu, cuda or cuda:N");
  v("--dtype", o.dtype, "activations and dense weights: auto, f32, bf16 (auto)");
  v("--matmul", o.matmul,
    "products with weights: auto, float, as --dtype says, int8, faster (auto)");
  v("--cache-type", o.cache_type,
    "keys and values of past positions: auto, f32, bf16, int8 (auto)");
  v("--adapter-type", o.adapter_type,
    "factors of the adapter in use: auto, f32, bf16, int8 (auto)");
  v("--output-type", o.output_type, "the output matrix: auto, stored, int8 (auto)");
  v.group("Output");
  v("-o,--format",
    choice(options.format, {{"table", Shape::table}, {"csv", Shape::csv}, {"md", Shape::markdown}}),
    "how the rows are printed");
}

// A list takes one argument, 512,1024, so that MODEL may follow it.
void take_one_argument(CLI::App& app, const std::vector<std::string>& options) {
  for (const std::string& option : options) {
    app.get_option(option)->expected(1, -1)->allow_extra_args(false);
  }
}

// What all rows have in common, and a row: values alone.
Json flat(const Json& report, const Json& row) {
  Json out = {{"version", QLOFT_VERSION}};
  for (const Json* part : {&report, &row}) {
    for (const auto& [key, value] : part->items()) {
      if (!value.is_structured() && !out.contains(key)) out[key] = value;
    }
  }
  return out;
}

std::string csv_cell(const Json& value) {
  if (value.is_null()) return {};
  if (!value.is_string()) return value.dump();
  auto text = value.get<std::string>();
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string to_csv(const pipeline::BenchReport& report) {
  pipeline::BenchReport common = report;
  common.rows.clear();
  Json facts = io::fields_to_json(common);
  // These are sums over rows.
  for (const char* key : {"prefill_tokens_per_second", "decode_tokens_per_second",
                          "train_tokens_per_second", "peak_memory", "tests"}) {
    facts.erase(key);
  }
  std::string titles, lines;
  for (const pipeline::BenchRow& row : report.rows) {
    std::string line;
    titles.clear();
    const Json cells = flat(facts, io::fields_to_json(row));
    for (const auto& [key, value] : cells.items()) {
      titles += (titles.empty() ? "" : ",") + key;
      line += (line.empty() ? "" : ",") + csv_cell(value);
    }
    lines += line + "\n";
  }
  return titles + "\n" + lines;
}

// The lines of a table as Markdown has it, whose rule says how a column is aligned.
std::string to_markdown(const pipeline::BenchReport& report) {
  std::string text;
  for (pipeline::BenchRow row : report.rows) {
    FieldCells visitor;
    visit_fields(row, visitor);
    std::string titles = "|", rule = "|", line = "|";
    for (std::size_t i = 0; i < visitor.cells.size(); ++i) {
      titles += " " + visitor.cells[i].first + " |";
      rule += visitor.is_text[i] ? " --- |" : " ---: |";
      line += " " + visitor.cells[i].second + " |";
    }
    if (text.empty()) text = titles + "\n" + rule + "\n";
    text += line + "\n";
  }
  return text;
}

std::string to_text(const pipeline::BenchReport& report, Shape shape) {
  if (shape == Shape::csv) return to_csv(report);
  if (shape == Shape::markdown) return to_markdown(report);
  return format_fields(report) + "\n" + format_rows(report.rows);
}

}  // namespace

Command bench_command() {
  return {"bench", "Measure speed and memory of a model on this machine",
          "  qloft bench q4 -p 512 -n 128 -d 0,4096\n"
          "  qloft bench q4 --dtype bf16 --matmul float,int8 --rank 64 --checkpointing 0,1\n"
          "  qloft bench Llama-3.2-1B/config.json --random --bits 4,3,2",
          [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<Options>();
            add_model_argument(app, options->bench.model);
            OptionBinder bind(app);
            visit_options(*options, bind);
            take_one_argument(
                app, {"--prompt", "--decode", "--depth", "--train", "--bits", "--random-adapter",
                      "--rank", "--checkpointing", "--threads", "--dtype", "--matmul",
                      "--cache-type", "--adapter-type", "--output-type"});
            return [options](Context& context) {
              const auto report = pipeline::bench(options->bench, context.progress);
              context.print(to_text(report, options->format));
              if (std::ssize(report.rows) < report.tests) {
                context.stopped =
                    fmt::format("stopped after {} of {} tests", report.rows.size(), report.tests);
              }
              Json json = report_json(report, *options);
              json["version"] = QLOFT_VERSION;
              return json;
            };
          }};
}

}  // namespace qloft::cli
