// The tables of a comparison and the files of its rows.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "qloft/compare.h"
#include "qloft/core/error.h"

namespace qloft::compare {
namespace {

evaluate::Scores scores(const std::vector<std::pair<std::string, double>>& items) {
  evaluate::Scores out;
  for (const auto& [key, value] : items) out.set(key, value);
  return out;
}

Report fixed_report() {
  Report report;
  report.description = "a <fixed> report";
  Row full;
  full.name = full.group = "full, 16 bits";
  full.method = "none";
  full.bits_per_weight = 16;
  full.total_bits_per_weight = 16;
  full.bytes = 2'980'000;
  full.before.set("perplexity", 5.8125);
  Row low;
  low.name = "a | b";
  low.group = "LoftQ";
  low.method = "loftq";
  low.format = "2 bits \"nf\"";
  low.rank = 16;
  low.iterations = 5;
  low.bits_per_weight = 2.125;
  low.total_bits_per_weight = 4.25;
  low.tuned_total_bits_per_weight = 6.375;
  low.bytes = 999;
  low.relative_error = 0.4375;
  low.quantize_seconds = 1.25;
  low.quantize_peak_memory = 2'500'000;
  low.before = scores({{"perplexity", 6.25}, {"accuracy", 0.5}, {"standard_error", 0.0625}});
  low.after = scores({{"perplexity", 6}, {"accuracy", 0.75}, {"standard_error", 0.03125}});
  low.tune_seconds = 2.5;
  low.tune_steps = 60;
  low.recovered.emplace().set("perplexity", 6.125);
  low.recover_seconds = 3.5;
  low.recover_steps = 40;
  low.memory = architecture::TrainingMemory{1e6, 2e6, 3e6, 4e6};
  report.rows = {full, low};
  return report;
}

TEST(CompareTable, LeavesOutWhatNoRowHasAndEscapesBars) {
  EXPECT_EQ(to_markdown(table_of(fixed_report())),
            "| row | rank | T | bits | with adapter | with adapter, tuned | size | error | "
            "perplexity | perplexity, recovered | "
            "perplexity, tuned | solved % | solved %, tuned | quantize s | quantize peak | "
            "recover s | tune s | tune memory |\n"
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | "
            "---: | ---: | ---: | ---: | ---: | ---: |\n"
            "| full, 16 bits | - | - | 16.000 | 16.000 | - | 3.0 MB | - | 5.81 | - | - | - | - | - "
            "| - | - | - | "
            "- |\n"
            "| a \\| b | 16 | 5 | 2.125 | 4.250 | 6.375 | 999 B | 0.4375 | 6.25 | 6.12 | 6.00 | "
            "50.0 ± 6.2 | "
            "75.0 ± 3.1 | 1.2 | 2.5 MB | 3.5 | 2.5 | 10.0 MB |\n");
}

TEST(CompareTable, KeepsEveryDigitAsCsv) {
  EXPECT_EQ(to_csv(fixed_report()),
            "name,group,method,format,rank,iterations,bits_per_weight,"
            "total_bits_per_weight,tuned_total_bits_per_weight,bytes,relative_error,"
            "perplexity,perplexity_recovered,perplexity_tuned,"
            "loss,loss_recovered,loss_tuned,"
            "accuracy,accuracy_standard_error,accuracy_recovered,accuracy_recovered_standard_error,"
            "accuracy_tuned,accuracy_tuned_standard_error,quantize_seconds,quantize_peak_memory,"
            "recover_seconds,recover_steps,tune_seconds,tune_steps,training_memory\n"
            "\"full, 16 bits\",\"full, 16 "
            "bits\",none,,,,16.0,16.0,,2980000,,5.8125,,,,,,,,,,,,,,,,,,\n"
            "a | b,LoftQ,loftq,\"2 bits "
            "\"\"nf\"\"\",16,5,2.125,4.25,6.375,999,0.4375,6.25,6.125,6.0,,,,0.5,"
            "0.0625,,,0.75,0.03125,1.25,2500000,3.5,40,2.5,60,10000000.0\n");
}

TEST(CompareTable, ReadsBackTheRowThatItWrote) {
  for (const Row& row : fixed_report().rows) {
    EXPECT_EQ(to_json(row_from_json(to_json(row), "row.json")), to_json(row));
  }
  Row known = fixed_report().rows.front();
  known.total_bits_per_weight.reset();
  io::Json earlier = to_json(known);
  for (const char* field : {"recovered", "recover_seconds", "recover_steps",
                            "total_bits_per_weight", "tuned_total_bits_per_weight"}) {
    earlier.erase(field);
  }
  EXPECT_EQ(to_json(row_from_json(earlier, "row.json")), to_json(known));
  EXPECT_THROW(row_from_json({{"name", 3}}, "row.json"), InputError);
}

}  // namespace
}  // namespace qloft::compare
