#include <ATen/TensorOperators.h>

#include <algorithm>

#include "qloft/calibrate.h"
#include "qloft/core.h"
#include "qloft/linalg.h"
#include "qloft/objectives.h"
#include "tensors.h"

namespace qloft::calibrate {
namespace {

// Rows of a weight's gradient that are held at once, a thread.
constexpr std::int64_t kRowsAtOnce = 64;

// The means of the squares of g = gradient^T input by row and by column; of a slice its share.
void add_squares(MatrixView<const float> input, const model::Observer::OutputGradient& slice,
                 FisherSums& sums) {
  const MatrixView<const float> gradient = slice.values;
  const std::int64_t rows = gradient.columns, columns = input.columns;
  sums.rows.resize(static_cast<std::size_t>(slice.outputs));
  sums.columns.resize(static_cast<std::size_t>(columns));
  // One row of column sums a piece, added in order at the end.
  Matrix by_piece(ceil_divide(rows, kRowsAtOnce), columns);
  parallel_for(rows, kRowsAtOnce, [&](std::int64_t begin, std::int64_t end) {
    Matrix g(end - begin, columns);
    linalg::multiply_serial(gradient.block(0, begin, gradient.rows, end - begin),
                            linalg::Transpose::yes, input, linalg::Transpose::no, g.view());
    float* piece = by_piece.view().row(begin / kRowsAtOnce);
    for (std::int64_t i = begin; i < end; ++i) {
      const float* row = g.view().row(i - begin);
      double sum = 0.0;
      for (std::int64_t j = 0; j < columns; ++j) {
        const float square = row[j] * row[j];
        sum += square;
        piece[j] += square;
      }
      sums.rows[static_cast<std::size_t>(slice.first + i)] += sum / static_cast<double>(columns);
    }
  });
  for (std::int64_t j = 0; j < columns; ++j) {
    double sum = 0.0;
    for (std::int64_t piece = 0; piece < by_piece.rows(); ++piece) sum += by_piece(piece, j);
    sums.columns[static_cast<std::size_t>(j)] += sum / static_cast<double>(slice.outputs);
  }
}

}  // namespace

void add_fisher(model::Model& model, model::AdapterId adapter, const data::Example& example,
                Fisher& fisher) {
  const Observed observed(
      model, {.input = {},
              .gradient = [&fisher](const std::string& name, MatrixView<const float> input,
                                    const model::Observer::OutputGradient& gradient) {
                add_squares(input, gradient, fisher[name]);
              }});
  const auto loss = objectives::next_token(
      model, {.ids = ids_of(example, model), .adapters = {adapter}}, loss_mask_of(example));
  if (loss.count > 0) (loss.sum / static_cast<double>(loss.count)).backward();
}

}  // namespace qloft::calibrate
