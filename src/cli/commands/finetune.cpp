#include "qloft/pipeline/finetune.h"

#include <fmt/format.h>

#include "../command.h"
#include "../table.h"
#include "../terminal_progress.h"
#include "model_options.h"

namespace qloft::cli {
namespace {

template <typename Visitor>
void visit_training(train::Options& o, Visitor& v) {
  using train::Schedule;
  v.group("Training");
  v("--lr", o.learning_rate, "learning rate");
  v("--schedule",
    choice(o.schedule, {{"cosine", Schedule::cosine},
                        {"linear", Schedule::linear},
                        {"constant", Schedule::constant}}),
    "how the learning rate falls");
  v("--warmup", o.warmup, "below 1: a share of all steps; else a number of steps");
  v("--min-lr", o.min_learning_rate, "where cosine and linear end, as a share of --lr");
  v("--epochs", o.epochs, "passes over the data");
  v("--steps", o.max_steps, "steps in place of epochs; 0: by epochs");
  v("--batch", o.batch, "sequences, or packed rows, a micro-batch");
  v("--accumulate", o.accumulate, "micro-batches a step");
  v("--length", o.length, "tokens of a packed row, and of the longest example");
  v("--batching",
    choice(o.batching, {{"padded", text::Batching::padded}, {"packed", text::Batching::packed}}),
    "one example a row, or several");
  v("--weight-decay", o.weight_decay, "AdamW's decoupled weight decay");
  v("--beta1", o.beta1, "AdamW's first decay rate");
  v("--beta2", o.beta2, "AdamW's second decay rate");
  v("--epsilon", o.epsilon, "AdamW's epsilon");
  v("--clip", o.clip, "clip the global gradient norm; 0: do not");
  v("--checkpointing", o.checkpointing, "recompute activations in the backward pass: less memory");
  v("--seed", o.seed, "seed of the order of the data, of dropout and of fresh weights");
  v.group("Saving");
  v("--save-every", o.save_every, "steps between saves; 0: at the end only");
  v("--evaluate-every", o.evaluate_every, "steps between validations; 0: after each epoch");
  v("--patience", o.patience, "stop after so many validations without a better loss; 0: never");
  v("--resume", o.resume, "go on with an interrupted run");
}

template <typename Visitor>
void visit_options(pipeline::FinetuneOptions& o, Visitor& v) {
  v("--data", o.data, "JSON Lines: text, prompt+completion, question+answer or messages");
  v("-o,--output", o.output, "the folder to write");
  v("--overwrite", o.overwrite, "replace it if it is not empty");
  v("--validation", o.validation, "JSON Lines to validate on");
  v("--validation-share", o.validation_share, "a share of the data to validate on");
  v("--method", o.method, "lora: train an adapter; full: train all weights");
  v("--device", o.device, "cpu, cuda or cuda:N");
  v("--dtype", o.dtype, "activations and dense weights: f32 or bf16");
  v.group("Adapter");
  v("--adapter", o.adapter, "adapter to begin with; default: the one inside a quantized folder");
  v("--fresh", o.fresh, "begin with a fresh one: A random, B zero");
  v("--rank", o.rank, "rank of a fresh adapter (16)");
  v("--alpha", o.alpha, "its alpha (the rank)");
  v("--rslora", o.rslora, "scale by alpha / sqrt(rank)");
  v("--dropout", o.dropout, "dropout on the adapter's input");
  v("--target-modules", o.target_modules, "q_proj, v_proj, ...; default: all linear layers");
  v.group("Full fine-tuning");
  v("--from-random", o.from_random, "begin with random weights; MODEL gives config and tokenizer");
  v("--tokenizer", o.tokenizer, "folder of the tokenizer (MODEL)");
  v("--save-dtype", o.save_dtype, "f32, bf16 or f16; default: config.json's");
  visit_training(o.train, v);
}

Json to_json(const pipeline::FinetuneReport& report) {
  const auto& s = report.summary;
  return {{"method", report.method},
          {"output", report.output.string()},
          {"trained_parameters", report.trained_parameters},
          {"train_examples", report.train_examples},
          {"validation_examples", report.validation_examples},
          {"steps", s.steps},
          {"tokens", s.tokens},
          {"first_loss", s.first_loss},
          {"last_loss", s.last_loss},
          {"best_validation_loss",
           s.best_validation_loss ? Json(*s.best_validation_loss) : Json(nullptr)},
          {"best_step", s.best_step},
          {"stopped_early", s.stopped_early},
          {"truncated_examples", s.truncated_examples},
          {"skipped_examples", s.skipped_examples},
          {"tokens_per_second", s.tokens_per_second},
          {"seconds", report.seconds}};
}

std::string to_text(const pipeline::FinetuneReport& report) {
  const auto& s = report.summary;
  std::vector<std::pair<std::string, std::string>> lines = {
      {"trained", short_number(static_cast<double>(report.trained_parameters)) + " parameters"},
      {"steps", std::to_string(s.steps)},
      {"loss", fmt::format("{:.4f} at first, {:.4f} at last", s.first_loss, s.last_loss)}};
  if (s.best_validation_loss) {
    lines.emplace_back("validation",
                       fmt::format("{:.4f} at step {}{}", *s.best_validation_loss, s.best_step,
                                   s.stopped_early ? ", stopped early" : ""));
  }
  lines.emplace_back("speed", short_number(s.tokens_per_second) + " tokens/s");
  lines.emplace_back("time", clock_time(report.seconds));
  lines.emplace_back("written to", report.output.string());
  return format_pairs(lines);
}

}  // namespace

Command finetune_command() {
  return {"finetune", "Train an adapter, or all weights",
          "  qloft finetune q2 --data train.jsonl -o tuned --epochs 3 --lr 3e-4\n"
          "  qloft finetune Qwen3-0.6B --method lora --rank 32 --data chats.jsonl -o tuned",
          [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<pipeline::FinetuneOptions>();
            add_model_argument(app, options->model);
            OptionBinder bind(app);
            visit_options(*options, bind);
            app.get_option("--data")->required();
            app.get_option("--output")->required();
            return [options](Context& context) {
              const auto report = pipeline::finetune(*options, context.progress);
              context.print(to_text(report));
              Json json = to_json(report);
              OptionEcho echo(json["options"]);
              visit_options(*options, echo);
              return json;
            };
          }};
}

}  // namespace qloft::cli
