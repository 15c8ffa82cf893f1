#pragma once
// compare: a recipe of rows (method, format, rank, iterations, recovery, tuning) on one model to a
// table, plots and a page. It calls the pipeline's stages and reads scores by their keys. The
// recipe's and the rows' files are described in docs/formats.md.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "qloft/architecture/memory.h"
#include "qloft/core/progress.h"
#include "qloft/evaluate/score.h"
#include "qloft/io.h"

namespace qloft::compare {

struct Options {
  std::filesystem::path recipe;  // JSON
  std::string model;             // full precision: a folder, or a hub name
  std::filesystem::path output;
  // The data sets that the recipe's tasks and tuning name; those that it does not use may be empty.
  std::filesystem::path text;         // plain text, for perplexity
  std::filesystem::path train;        // JSON Lines, for tuning
  std::filesystem::path test;         // JSON Lines, for the loss on answers and for problems
  std::filesystem::path choices;      // questions with choices, a file or a folder
  std::filesystem::path calibration;  // text or JSON Lines, for statistics, recovery and tuning
  // Changes of the recipe, "tune.steps=20": a path of members and a JSON value, or a bare text.
  std::vector<std::string> set;
  bool keep = false;  // leave the rows' quantized and tuned folders in OUTPUT/work
};

struct RowMatrix {
  std::string name;                   // of the weight
  std::optional<std::int64_t> layer;  // none: outside of the blocks
  double bits_per_weight = 0;
  std::vector<double> relative_error;  // ||W - Q - s B A|| / ||W|| after every iteration
};

struct Row {
  std::string name;
  std::string group;   // the line of a plot that it belongs to
  std::string method;  // of quantize; "lora", "full" or "none" of a model in full precision
  std::string format;  // of the matrices; empty in full precision
  std::int64_t rank = 0;
  std::optional<int> iterations;  // of the loop that quantized; empty in full precision
  double bits_per_weight = 0;     // stored, all scales counted, over the linear layers
  // With the adapter as it is stored, over the same weights: the initial one, in full precision the
  // one that was tuned. Empty in files of earlier versions.
  std::optional<double> total_bits_per_weight;
  std::optional<double>
      tuned_total_bits_per_weight;  // with the tuned one; empty where there is none
  std::uint64_t bytes = 0;          // safetensors on disk, the initial adapter with them
  // Of quantizing; empty in full precision.
  std::optional<double> relative_error;  // mean over the matrices
  std::vector<RowMatrix> matrices;
  double quantize_seconds = 0;
  std::uint64_t quantize_peak_memory = 0;  // bytes
  // By the keys of evaluate::compared_scores() and of their standard errors; those of tasks that
  // were not asked for are missing.
  evaluate::Scores before;
  // Of recovery; empty where the row has none.
  std::optional<evaluate::Scores> recovered;
  double recover_seconds = 0;
  std::int64_t recover_steps = 0;
  // Of tuning; empty where the row has none.
  std::optional<evaluate::Scores> after;
  double tune_seconds = 0;
  std::int64_t tune_steps = 0;
  // Predicted for this row's training, bytes; empty where it has none.
  std::optional<architecture::TrainingMemory> memory;
  bool reused = false;  // taken from the row's file
};

struct Report {
  std::string description;  // the recipe's
  std::string model;
  std::vector<Row> rows;
  std::vector<std::filesystem::path> plots;  // SVG; empty where gnuplot is missing
  std::filesystem::path table, csv, page;
};

// Runs the rows one after another and writes OUTPUT/table.md, table.csv, report.html, plots/*.svg
// and, as each row is done, rows/NAME.json. A finished row is taken from its file if nothing that
// it depends on (its options, the model, the data) has changed. Plots are drawn by the program
// gnuplot; where it is missing they are left out and progress is told.
//
// Throws InputError, before anything runs, for a recipe with an unknown field, a value of another
// type, two rows of one name, options that quantize or finetune refuses for this model, a data set
// that the recipe needs and the options lack, an output folder that holds something else;
// Interrupted where progress asks to stop.
Report run(const Options& options, Progress& progress);

// One table for people: a title a column, a text a cell; columns that no row fills are left out.
struct Table {
  struct Column {
    std::string title;
    bool number = true;
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
};
Table table_of(const Report& report);
std::string to_markdown(const Table& table);
// Every figure at full precision (RFC 4180). One set of columns, and those of tasks with choices
// that a row was measured by.
std::string to_csv(const Report& report);

io::Json to_json(const Row& row);
// Throws InputError naming `file` and the field where to_json did not write it.
Row row_from_json(const io::Json& json, const std::filesystem::path& file);

}  // namespace qloft::compare
