// Each command that writes, with each of its calls that change a file failing in turn (points.h):
// it is killed there, or the disk is full, or the disk fails. Then the same command runs again and
// must end as if nothing had happened, with the same bytes and nothing beside them.
//
// A seeded sample of the points; QLOFT_CRASH_POINTS=all takes every one, =N so many a test.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <set>
#include <sstream>
#include <vector>

#include "points.h"
#include "qloft/cli.h"
#include "temporary_folder.h"

namespace qloft::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct Command {
  std::string name;
  std::string arguments;  // {in}: what is read, {out}: the folder that is written to
  bool replaces = false;  // {out}/x is there already
};

void PrintTo(const Command& command, std::ostream* out) {
  *out << command.name;
}

const std::vector<Command>& commands() {
  static const std::string quantize =
      "quantize {model} -o {out}/x --bits 2 --rank 2 --method loftq --iterations 1";
  static const std::string finetune =
      "finetune {model} --data {in}/data.jsonl -o {out}/x --steps 2 --save-every 1 --batch 1 "
      "--length 32";
  static const std::vector<Command> all = {
      {"quantize", quantize},
      {"quantize_overwrite", quantize + " --overwrite", true},
      {"quantize_on_quantized_inputs",
       "quantize {model} -o {out}/x --bits 2 --rank 2 --effort low --iterations 1 --data "
       "{in}/text.txt --samples 2 --length 8"},
      {"calibrate", "calibrate {model} --data {in}/text.txt --samples 1 --length 8 -o {out}/x"},
      {"plan", "plan {model} --bits 3 --rank 0 --candidates {in}/formats.json -o {out}/x.json"},
      {"sensitivity",
       "sensitivity {model} --data {in}/text.txt --bits 2 --rank 0 --match layers.0.self_attn "
       "--windows 1 --window 8 -o {out}/x.json"},
      {"finetune", finetune + " --rank 2"},
      {"finetune_full", finetune + " --method full"},
      {"recover",
       "recover {in}/quantized --teacher {model} --data {in}/text.txt -o {out}/x --samples 2 "
       "--length 16 --steps 2 --save-every 1 --batch 1 --teacher-logits 4"},
      {"merge", "merge {in}/quantized -o {out}/x"},
      {"compare",
       "compare {in}/recipe.json --model {model} --text {in}/text.txt --calibration "
       "{in}/data.jsonl "
       "-o {out}/x"},
  };
  return all;
}

struct Outcome {
  int status = 0;  // -1: killed
  std::string said;
  long points = 0;
};

std::string read(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// What differs from run to run.
void drop_times(Json& json) {
  static const std::set<std::string> kTimes = {
      "seconds",          "peak_memory",          "tokens_per_second",
      "quantize_seconds", "quantize_peak_memory", "tune_seconds"};
  if (json.is_object()) {
    for (const std::string& name : kTimes) json.erase(name);
  }
  for (Json& member : json) {
    if (member.is_structured()) drop_times(member);
  }
}

std::string comparable(const fs::path& file) {
  const std::string name = file.filename().string(), text = read(file);
  if (name == "training_state.safetensors") {
    std::uint64_t header = 0;
    std::memcpy(&header, text.data(), sizeof header);
    return text.substr(8 + header);
  }
  if (file.extension() == ".md" || file.extension() == ".csv" || file.extension() == ".html") {
    return "";  // hold times
  }
  if (file.extension() != ".json" && file.extension() != ".jsonl") return text;
  std::string out;
  std::istringstream lines(text);
  for (Json json; lines >> std::ws, lines.peek() != EOF;) {
    try {
      lines >> json;
    } catch (const Json::parse_error&) {
      return text;
    }
    drop_times(json);
    out += json.dump() + "\n";
  }
  return out;
}

std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).string();
    if (name.find("events.out.tfevents") != std::string::npos) continue;
    out[name] = entry.is_regular_file() ? comparable(entry.path()) : "a folder";
  }
  return out;
}

class Crash : public ::testing::TestWithParam<std::tuple<Command, Failure>> {
 protected:
  void SetUp() override {
    count_ = static_cast<long*>(
        ::mmap(nullptr, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    fs::create_directories(folder_ / "in");
    std::ofstream data(folder_ / "in/data.jsonl"), text(folder_ / "in/text.txt");
    for (int i = 0; i < 4; ++i) {
      data << R"({"question": "Tom has )" << i << R"( apples.", "answer": "#### )" << i << "\"}\n";
    }
    for (int i = 0; i < 60; ++i) text << "Tom has " << i << " apples and a bell.\n";
    std::ofstream(folder_ / "in/formats.json")
        << R"([{"bits": 2, "codebook": "nf", "block": 64, "scale": "absmax", "scale_type": "bf16"},)"
        << R"( {"bits": 4, "codebook": "nf", "block": 64, "scale": "absmax", "scale_type": "bf16"}])";
    std::ofstream(folder_ / "in/recipe.json")
        << R"({"tasks": {"perplexity": {"window": 16, "limit": 1}}, "rows": [{"name": "a",)"
        << R"( "calibrate": {"samples": 1, "length": 8}, "quantize": {"method": "qera-approx",)"
        << R"( "bits": 4, "rank": 1}}]})";
    data.close();
    text.close();
    fs::create_directories(output());
    if (command().arguments.find("{in}/quantized") != std::string::npos) {
      ASSERT_EQ(run("quantize {model} -o {in}/quantized --bits 2 --rank 2 --iterations 1").status,
                0);
    }
  }
  void TearDown() override { ::munmap(count_, sizeof(long)); }

  const Command& command() const { return std::get<0>(GetParam()); }
  Failure failure() const { return std::get<1>(GetParam()); }
  fs::path output() const { return folder_ / "out"; }

  void begin() {
    fs::remove_all(output());
    fs::create_directories(output());
    if (!command().replaces) return;
    fs::create_directories(output() / "x");
    std::ofstream(output() / "x/old") << "old";
  }

  Outcome run(const std::string& arguments, long at = 0, Failure how = Failure::none) {
    std::vector<std::string> words = {"qloft"};
    std::istringstream stream(arguments + " --threads 1 --quiet");
    for (std::string word; stream >> word;) words.push_back(filled(word));
    *count_ = 0;
    const fs::path said = folder_ / "said";
    const pid_t child = ::fork();
    if (child == 0) {
      const int file = ::open(said.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
      ::dup2(file, STDERR_FILENO);
      ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
      std::vector<const char*> argv;
      for (const std::string& word : words) argv.push_back(word.c_str());
      watch(output().string() + "/", at, how, count_);
      const int status = cli::run(static_cast<int>(argv.size()), argv.data());
      std::fflush(nullptr);
      ::_exit(status);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read(said), *count_};
  }

  // All points, or a sample that is the same every time.
  std::vector<long> points(long count) const {
    std::vector<long> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 1);
    const char* wanted = std::getenv("QLOFT_CRASH_POINTS");
    if (wanted != nullptr && std::string(wanted) == "all") return all;
    std::shuffle(all.begin(), all.end(),
                 std::mt19937(static_cast<unsigned>(count) + static_cast<unsigned>(failure())));
    all.resize(std::min<std::size_t>(all.size(), wanted != nullptr ? std::stoul(wanted) : 1));
    return all;
  }

  // Where it is killed after the last step, a file is in its place, and is not written again.
  void go_on(const std::map<std::string, std::string>& whole) {
    Outcome again = run(command().arguments);
    if (again.status == 2 && again.said.find("--resume goes on") != std::string::npos) {
      again = run(command().arguments + " --resume");
    }
    const bool is_there = again.status == 2 && fs::is_regular_file(output() / only_file()) &&
                          again.said.find("is there already") != std::string::npos;
    EXPECT_TRUE(again.status == 0 || is_there) << again.status << ": " << again.said;
    expect_equal(whole);
  }

  void expect_equal(const std::map<std::string, std::string>& whole) {
    const auto found = contents(output());
    for (const auto& [name, content] : whole) {
      const auto its = found.find(name);
      EXPECT_TRUE(its != found.end()) << "missing: " << name;
      EXPECT_TRUE(its == found.end() || its->second == content) << "differs: " << name;
    }
    for (const auto& [name, content] : found) {
      EXPECT_TRUE(whole.contains(name)) << "left behind: " << name;
    }
  }

 private:
  std::string only_file() const {
    const bool json = command().name == "plan" || command().name == "sensitivity";
    return json ? "x.json" : "x";
  }

  std::string filled(std::string word) const {
    const std::pair<std::string, std::string> names[] = {{"{model}", QLOFT_BUNDLED_MODEL},
                                                         {"{in}", (folder_ / "in").string()},
                                                         {"{out}", output().string()}};
    for (const auto& [name, value] : names) {
      const auto at = word.find(name);
      if (at != std::string::npos) word.replace(at, name.size(), value);
    }
    return word;
  }

  TemporaryFolder folder_;
  long* count_ = nullptr;
};

TEST_P(Crash, TheSameCommandRunsAgainToTheSameBytes) {
  begin();
  const Outcome whole = run(command().arguments);
  ASSERT_EQ(whole.status, 0) << whole.said;
  const auto expected = contents(output());
  const bool kills = failure() == Failure::killed || failure() == Failure::torn;
  ASSERT_GT(whole.points, 5);
  for (const long point : points(whole.points)) {
    SCOPED_TRACE("point " + std::to_string(point) + " of " + std::to_string(whole.points));
    begin();
    const Outcome broken = run(command().arguments, point, failure());
    if (broken.status == 0) {  // nothing that it needed
      expect_equal(expected);
      continue;
    }
    EXPECT_EQ(broken.status, kills ? -1 : 1) << broken.said;
    if (!kills) {
      // One line, after warnings.
      const auto at = broken.said.find("qloft: ");
      EXPECT_TRUE(at != std::string::npos && broken.said.find('\n', at) + 1 == broken.said.size())
          << broken.said;
      EXPECT_EQ(broken.said.find("internal error"), std::string::npos) << broken.said;
    }
    go_on(expected);
  }
}

std::string test_name(const ::testing::TestParamInfo<std::tuple<Command, Failure>>& info) {
  static const std::map<Failure, std::string> names = {{Failure::killed, "killed"},
                                                       {Failure::torn, "killed_in_a_write"},
                                                       {Failure::no_space, "on_a_full_disk"},
                                                       {Failure::io_error, "on_a_failing_disk"}};
  return std::get<0>(info.param).name + "_" + names.at(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Commands, Crash,
                         ::testing::Combine(::testing::ValuesIn(commands()),
                                            ::testing::Values(Failure::killed, Failure::torn,
                                                              Failure::no_space,
                                                              Failure::io_error)),
                         test_name);

}  // namespace
}  // namespace qloft::test
