#pragma once
// Stage: a recipe of rows (method, format, rank, iterations, tuning) on one model to a table, plots
// and a page. The recipe's and the rows' files are described in docs/formats.md.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/io.h"

namespace qloft::pipeline {

struct CompareOptions {
  std::filesystem::path recipe;  // JSON
  std::string model;             // full precision: a folder, or a hub name
  std::filesystem::path output;
  // The data sets that the recipe's tasks and tuning name; those that it does not use may be empty.
  std::filesystem::path text;         // plain text, for perplexity
  std::filesystem::path train;        // JSON Lines, for tuning
  std::filesystem::path test;         // JSON Lines, for the loss on answers and for problems
  std::filesystem::path calibration;  // JSON Lines, for rows that tune on it
  // Changes of the recipe, "tune.steps=20": a path of members and a JSON value, or a bare text.
  std::vector<std::string> set;
  bool keep = false;  // leave the rows' quantized and tuned folders in OUTPUT/work
};

// What a model scores; a task that was not asked for is empty.
struct CompareScores {
  std::optional<double> perplexity;
  std::optional<double> loss;      // on the answers, mean over their tokens, natural log
  std::optional<double> accuracy;  // share of the problems solved, greedy
  std::optional<double> standard_error;
};

struct CompareMatrix {
  std::string name;  // of the weight
  double bits_per_weight = 0;
  std::vector<double> relative_error;  // ||W - Q - s B A|| / ||W|| after every iteration
};

struct CompareRow {
  std::string name;
  std::string group;   // the line of a plot that it belongs to
  std::string method;  // of quantize; "lora", "full" or "none" of a model in full precision
  std::string format;  // of the matrices; empty in full precision
  std::int64_t rank = 0;
  std::optional<int> iterations;  // of the loop that quantized; empty in full precision
  double bits_per_weight = 0;     // stored, all scales counted, over the linear layers
  std::uint64_t bytes = 0;        // safetensors on disk, the initial adapter with them
  // Of quantizing; empty in full precision.
  std::optional<double> relative_error;  // mean over the matrices
  std::vector<CompareMatrix> matrices;
  double quantize_seconds = 0;
  std::uint64_t quantize_peak_memory = 0;  // bytes
  CompareScores before;
  // Of tuning; empty where the row has none.
  std::optional<CompareScores> after;
  double tune_seconds = 0;
  std::int64_t tune_steps = 0;
  // Predicted for this row's training, bytes; empty where it has none.
  struct Memory {
    double weights = 0, gradients = 0, optimizer = 0, activations = 0;
    double total() const { return weights + gradients + optimizer + activations; }
  };
  std::optional<Memory> memory;
  bool reused = false;  // taken from the row's file
};

struct CompareReport {
  std::string description;  // the recipe's
  std::string model;
  std::vector<CompareRow> rows;
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
CompareReport compare(const CompareOptions& options, Progress& progress);

// One table for people: a title a column, a text a cell; columns that no row fills are left out.
struct CompareTable {
  struct Column {
    std::string title;
    bool number = true;
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
};
CompareTable compare_table(const CompareReport& report);
std::string to_markdown(const CompareTable& table);
// Every figure at full precision, one fixed set of columns (RFC 4180).
std::string to_csv(const CompareReport& report);

io::Json to_json(const CompareRow& row);
// Throws InputError naming `file` and the field where to_json did not write it.
CompareRow compare_row_from_json(const io::Json& json, const std::filesystem::path& file);

}  // namespace qloft::pipeline
