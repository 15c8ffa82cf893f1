#pragma once
// statistics: the file of what calibration found out about a model's matrices. One safetensors file
// that says what it was computed on; bytes: docs/formats.md.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/checkpoint.h"
#include "qloft/decompose.h"
#include "qloft/io.h"

namespace qloft::statistics {

// 2: each matrix has a Gram matrix of its own, in which tokens count by the loss.
inline constexpr int kFormatVersion = 2;

// Tells one model from another by what quantizing leaves as it is, so that statistics of a
// quantized folder serve the model that it was made of: hashes of the embedding (empty where it is
// quantized too) and of all norms and biases (empty in files of qloft 0.1).
struct Identity {
  std::string embedding;
  std::string vectors;
};
// Of the tensors of these names: their shapes and values spread over them. Empty where one of them
// is not there.
Identity identify(const checkpoint::Checkpoint& source, const std::vector<std::string>& embedding,
                  const std::vector<std::string>& vectors);

// How much a token counts in a Gram matrix.
enum class TokenWeights : std::uint8_t {
  even,
  // By the mean square, over the outputs of the matrix, of the gradient of the sequence's summed
  // loss at this token (GuidedQuant, Kim et al. 2025, arXiv:2505.07004, with all outputs in one
  // group): the mean of tr(E H E^T) / 2 is then what an error E adds to the loss, to second order.
  loss,
};
std::string_view name(TokenWeights weights);  // "even", "loss"
std::optional<TokenWeights> token_weights_from_name(std::string_view name);

// What the statistics were computed of, and on.
struct Origin {
  std::string model;  // as it was named
  Identity identity;
  std::string data;          // the file's name, without its folder
  std::int64_t samples = 0;  // sequences
  std::int64_t length = 0;   // tokens of the longest
  std::int64_t tokens = 0;   // in all
  // Of a sequence, in the mean, whose mean is its loss; 0: all tokens but the first.
  std::int64_t predictions = 0;
  // Of Gram matrices; by the loss: each matrix has its own, in a file of version 2.
  TokenWeights token_weights = TokenWeights::even;
  std::uint64_t seed = 0;
};
std::map<std::string, std::string> to_metadata(const Origin& origin);
inline std::int64_t predictions_of(const Origin& origin) {
  return origin.predictions > 0 ? origin.predictions : origin.length - 1;
}
// What tr(E H E^T) is to be multiplied by to be in nats a prediction, where tokens count by the
// loss.
inline double nats_of_gram(const Origin& origin) {
  return static_cast<double>(origin.tokens) /
         (2 * static_cast<double>(origin.samples * predictions_of(origin)));
}

// The names and shapes of a matrix's tensors: the upper triangle of its Gram matrix row by row,
// n (n + 1) / 2 values, under the name of the first matrix with the same inputs or its own; and its
// Fisher factors.
io::TensorInfo gram_tensor(const std::string& weight, std::int64_t columns);
io::TensorInfo fisher_rows_tensor(const std::string& weight, std::int64_t rows);
io::TensorInfo fisher_columns_tensor(const std::string& weight, std::int64_t columns);

// The file, mapped. Throws InputError for a file that is not of statistics, or of a newer version.
class File {
 public:
  explicit File(std::filesystem::path path);

  const std::filesystem::path& path() const { return file_.path(); }
  const Origin& origin() const { return origin_; }
  // Throws InputError where they were computed of another model than the one in `folder`, or where
  // nothing tells.
  void expect_model(const Identity& identity, const std::filesystem::path& folder) const;
  // What `metric` needs for this matrix [rows, columns], whose inputs are those of the matrix
  // `input_of` (both names of weights). Throws InputError naming file and tensor for what is
  // missing, of another shape or not finite. A matrix that no sequence reached gets even Fisher
  // factors, the mean of all others': its error is then the Frobenius norm, in their units.
  decompose::Statistics read(const std::string& weight, const std::string& input_of,
                             std::int64_t rows, std::int64_t columns,
                             decompose::Metric metric) const;
  const std::vector<io::TensorInfo>& tensors() const { return file_.tensors(); }
  // Whether what `metric` needs was collected for this matrix.
  bool holds(const std::string& weight, const std::string& input_of,
             decompose::Metric metric) const;
  // Whether the Fisher factors of this matrix are there and all 0, as those of an expert are to
  // which no sequence was routed.
  bool is_unreached(const std::string& weight) const;

 private:
  // The matrix whose Gram matrix is that of this one's inputs.
  std::string gram_name(const std::string& weight, const std::string& input_of) const;
  std::vector<float> values(const io::TensorInfo& expected, const char* collected_by) const;
  std::vector<float> factors(const io::TensorInfo& expected) const;

  io::SafetensorsFile file_;
  Origin origin_;
};

}  // namespace qloft::statistics
