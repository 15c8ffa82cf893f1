#include "qloft/compare.h"

#include "../command.h"
#include "../table.h"
#include "model_options.h"

namespace qloft::cli {
namespace {

template <typename Visitor>
void visit_options(compare::Options& o, Visitor& v) {
  v("--model", o.model, "the model in full precision: a folder, or a hub name");
  v("-o,--output", o.output, "the folder to write; finished rows in it are not run again");
  v("--text", o.text, "plain text, for perplexity");
  v("--train", o.train, "JSON Lines, for tuning");
  v("--test", o.test, "JSON Lines, for the loss on answers and for problems");
  v("--choices", o.choices, "questions with choices (mmlu, arc_easy, ...): a file or a folder");
  v("--calibration", o.calibration,
    "a text or JSON Lines, for rows that calibrate, recover or tune on it");
  v("--set", o.set, "change a field of the recipe: tune.steps=20");
  v("--keep", o.keep, "leave the rows' models in OUTPUT/work");
}

std::string to_text(const compare::Report& report) {
  const compare::Table table = compare::table_of(report);
  std::vector<Column> columns;
  for (const auto& column : table.columns) {
    columns.push_back({column.title, column.number ? Align::right : Align::left});
  }
  return format_table(columns, table.rows) + "\n" +
         format_pairs({{"table", report.table.string() + ", " + report.csv.string()},
                       {"page", report.page.string()}});
}

Json to_json(const compare::Report& report) {
  Json json = {{"description", report.description},
               {"table", report.table.string()},
               {"csv", report.csv.string()},
               {"page", report.page.string()},
               {"plots", Json::array()},
               {"rows", Json::array()}};
  for (const auto& plot : report.plots) json["plots"].push_back(plot.string());
  for (const auto& row : report.rows) {
    json["rows"].push_back(compare::to_json(row));
    json["rows"].back()["reused"] = row.reused;
  }
  return json;
}

}  // namespace

Command compare_command() {
  return {"compare", "Run a table of methods and formats on one model",
          "  qloft compare recipes/loftq.json --model Llama-3.2-1B --text wiki.test.txt \\\n"
          "    --train train.jsonl --test test.jsonl -o results\n"
          "  qloft compare recipes/ranks.json --model Llama-3.2-1B --set tune=null \\\n"
          "    --set tasks.answers=null --set tasks.problems=null --text wiki.test.txt -o ranks",
          [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<compare::Options>();
            OptionBinder bind(app);
            bind("RECIPE", options->recipe, "a JSON file: docs/formats.md, and those in recipes/")
                ->required()
                ->type_name("");
            visit_options(*options, bind);
            app.get_option("--model")->required();
            app.get_option("--output")->required();
            // A value may be a list of JSON, commas and all.
            app.get_option("--set")->delimiter('\0')->expected(1)->multi_option_policy(
                CLI::MultiOptionPolicy::TakeAll);
            return [options](Context& context) {
              const auto report = compare::run(*options, context.progress);
              context.print(to_text(report));
              Json json = to_json(report);
              OptionEcho echo(json["options"]);
              visit_options(*options, echo);
              return json;
            };
          },
          kGoesOn};
}

}  // namespace qloft::cli
