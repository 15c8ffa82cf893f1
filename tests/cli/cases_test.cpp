// Runs the program on every tests/cli/*.case. A case file holds cases like
//
//   == a mistyped option names the nearest one
//   run: quantize {llama} -o {out} --bit 2
//   status: 2
//   stderr: did you mean --bits?
//   absent: {out}
//
// `run` may stand more than once (all but the last must succeed); `stdout`, `stderr` (text that the
// last run's output holds), `lines` (how many lines of stderr it has), `exists` and `absent` may
// too. `write: NAME TEXT` makes a file beforehand, `shell: COMMAND` prepares anything else. {llama}
// is the bundled model, {golden} the folder of golden values, {tmp} an empty folder that is gone
// afterwards, {out} a path in it. `input: TEXT` is what the runs that follow read, `under: COMMAND`
// shell words that stand before the program. Under a limit on address space or descriptors (ulimit
// -v, -n), both of which a sanitizer needs for itself, cases are skipped where one is built in.
//
// QLOFT_ISA is the program's own; with QLOFT_TEST_THREADS=N every run gets --threads N.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "qloft/core/cpu.h"

namespace {

namespace fs = std::filesystem;

struct Case {
  std::string file;
  std::string title;
  std::vector<std::pair<std::string, std::string>> lines;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.file << ".case";
}

std::vector<Case> read_cases() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(fs::path(QLOFT_TEST_DATA) / "cli")) {
    if (entry.path().extension() == ".case") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Case> cases;
  for (const fs::path& file : files) {
    std::ifstream stream(file);
    for (std::string line; std::getline(stream, line);) {
      if (line.starts_with("== ")) {
        cases.push_back({file.stem().string(), line.substr(3), {}});
      } else if (!line.empty() && !line.starts_with("#") && !cases.empty()) {
        const std::size_t colon = line.find(':');
        const std::size_t value = line.find_first_not_of(' ', std::min(colon, line.size() - 1) + 1);
        cases.back().lines.emplace_back(line.substr(0, colon),
                                        value == std::string::npos ? "" : line.substr(value));
      }
    }
  }
  return cases;
}

std::string replace_all(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string read(const fs::path& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

class Cli : public ::testing::TestWithParam<Case> {};

// False where QLOFT_ISA names an instruction set that this processor lacks.
bool isa_is_here() {
  const char* wanted = std::getenv("QLOFT_ISA");
  if (wanted == nullptr) return true;
  const auto sets = qloft::supported_instruction_sets();
  return std::any_of(sets.begin(), sets.end(),
                     [wanted](qloft::InstructionSet set) { return qloft::name(set) == wanted; });
}

std::string with_threads(const std::string& arguments) {
  const char* threads = std::getenv("QLOFT_TEST_THREADS");
  const bool command = !arguments.empty() && arguments.front() != '-';
  return threads != nullptr && command ? arguments + " --threads " + threads : arguments;
}

TEST_P(Cli, BehavesAsTheCaseSays) {
  if (!isa_is_here()) GTEST_SKIP() << "this processor lacks " << std::getenv("QLOFT_ISA");
  std::string pattern = (fs::temp_directory_path() / "qloft-cli-XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const fs::path folder = pattern;
  const auto expand = [&](std::string text) {
    text = replace_all(text, "{llama}", QLOFT_TEST_DATA "/../examples/bundled/model");
    text = replace_all(text, "{golden}", QLOFT_TEST_DATA "/golden");
    text = replace_all(text, "{out}", (folder / "out").string());
    return replace_all(text, "{tmp}", folder.string());
  };
  int status = 0;
  std::string out, err, under, input = "/dev/null";
  for (const auto& [key, raw] : GetParam().lines) {
    const std::string value = expand(raw);
    if (key == "write") {
      const std::size_t space = value.find(' ');
      std::ofstream(folder / value.substr(0, space))
          << replace_all(value.substr(space + 1), "\\n", "\n");
    } else if (key == "shell") {
      ASSERT_EQ(std::system(value.c_str()), 0) << value;
    } else if (key == "run") {
      ASSERT_EQ(status, 0) << "an earlier run failed: " << err;
      const std::string command = under + " " + QLOFT_PROGRAM + " " + with_threads(value) + " >" +
                                  (folder / ".stdout").string() + " 2>" +
                                  (folder / ".stderr").string() + " <" + input;
      const int raw_status = std::system(command.c_str());
      ASSERT_TRUE(WIFEXITED(raw_status)) << "the program crashed: " << value;
      status = WEXITSTATUS(raw_status);
      out = read(folder / ".stdout");
      err = read(folder / ".stderr");
    } else if (key == "under") {
      under = value;
      if (kSanitized && (under.find("ulimit -v") != std::string::npos ||
                         under.find("ulimit -n") != std::string::npos)) {
        GTEST_SKIP() << "the sanitizer needs address space and descriptors";
      }
    } else if (key == "input") {
      input = (folder / ".input").string();
      std::ofstream(input) << replace_all(value, "\\n", "\n") << "\n";
    } else if (key == "status") {
      EXPECT_EQ(status, std::stoi(value)) << err;
    } else if (key == "stdout") {
      EXPECT_NE(out.find(value), std::string::npos) << "stdout lacks: " << value << "\n" << out;
    } else if (key == "stderr") {
      EXPECT_NE(err.find(value), std::string::npos) << "stderr lacks: " << value << "\n" << err;
    } else if (key == "lines") {
      EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), std::stoi(value)) << err;
    } else if (key == "exists") {
      EXPECT_TRUE(fs::exists(value)) << value;
    } else if (key == "absent") {
      EXPECT_FALSE(fs::exists(value)) << value;
    } else {
      ADD_FAILURE() << "unknown word in the case: " << key;
    }
  }
  fs::remove_all(folder);
}

std::string test_name(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.file + "_" + info.param.title;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Cases, Cli, ::testing::ValuesIn(read_cases()), test_name);

}  // namespace
