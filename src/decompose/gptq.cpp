#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "qloft/kernels.h"
#include "qloft/linalg.h"
#include "qloft/quant/scales.h"
#include "steps.h"

namespace qloft::decompose {
namespace {

using linalg::Transpose;

// Rows that go through the columns together at least, one vector lane each.
constexpr std::int64_t kRowLanes = 64;
// Rows whose elements are put in the order of the columns while they are in the cache.
constexpr std::int64_t kRowsInOrder = 16;
// What keeps rows from lying powers of two apart, which would share few places of the cache.
constexpr std::int64_t kApart = 16;

// Each row's scales and offsets by block.
struct Blocks {
  Matrix scales;   // [rows, blocks]
  Matrix offsets;  // [rows, blocks], or empty
  std::int64_t length;
};

Blocks blocks_of(const quant::PackedMatrix& packed) {
  const std::int64_t length = packed.format().block;
  return {quant::block_scales(packed), quant::block_offsets(packed),
          length != 0 ? length : std::max<std::int64_t>(1, packed.columns())};
}

// out [a.columns, a.rows], in squares that share cache lines.
template <typename T>
void transpose(MatrixView<const T> a, MatrixView<T> out) {
  constexpr std::int64_t kSquare = 16;
  for (std::int64_t j = 0; j < a.columns; j += kSquare) {
    const std::int64_t columns = std::min(kSquare, a.columns - j);
    for (std::int64_t i = 0; i < a.rows; i += kSquare) {
      const std::int64_t rows = std::min(kSquare, a.rows - i);
      for (std::int64_t c = j; c < j + columns; ++c) {
        T* const to = out.row(c) + i;
        const T* const from = a.data + i * a.stride + c;
        for (std::int64_t r = 0; r < rows; ++r) to[r] = from[r * a.stride];
      }
    }
  }
}

}  // namespace

// Some rows of a matrix, which go through all columns together. Its matrices are transposed: a
// vector holds one column of several rows.
class Piece {
 public:
  Piece(const Work& work, std::int64_t most_rows)
      : work_(work),
        order_(work.coordinates.order.begin(), work.coordinates.order.end()),
        root_(work.coordinates.root.view()),
        stride_(most_rows + kApart),
        in_order_(kRowsInOrder, root_.columns + kApart),
        target_(root_.columns, stride_),
        errors_(most_rows, root_, work.root_bytes ? &*work.root_bytes : nullptr),
        projected_(work.recipe.rank, stride_),
        b_(work.recipe.rank, stride_),
        sums_(kFeedbackColumns, stride_),
        along_(kFeedbackColumns, stride_),
        e_(kFeedbackColumns, stride_),
        image_(kFeedbackColumns, stride_),
        codes_(static_cast<std::size_t>(root_.columns * stride_)),
        encoder_(work.recipe.format),
        wanted_(static_cast<std::size_t>(most_rows)),
        value_(wanted_.size()) {}

  // Rows [begin, end) of `target`, to rows of `image`; both matrices and `blocks` outlive it.
  void start(MatrixView<const float> target, const Blocks& blocks, MatrixView<float> image,
             std::int64_t begin, std::int64_t end) {
    begin_ = begin;
    rows_ = end - begin;
    blocks_ = blocks.length;
    out_ = image;
    errors_.start(rows_);
    take_blocks(blocks.scales, scales_);
    take_blocks(blocks.offsets, offsets_);
    for (std::int64_t i = 0; i < rows_; i += kRowsInOrder) {
      const std::int64_t count = std::min(kRowsInOrder, rows_ - i);
      for (std::int64_t r = 0; r < count; ++r) {
        const float* from = target.row(begin + i + r);
        float* to = &in_order_(r, 0);
        for (std::int64_t p = 0; p < target.columns; ++p) to[p] = from[order_[p]];
      }
      transpose<float>(in_order_.view().block(0, 0, count, target.columns),
                       target_.view().block(0, i, target.columns, count));
    }
    rank_ = work_.taken ? work_.taken->b.columns() : 0;
    discount_ = work_.taken && work_.taken->discount ? &*work_.taken->discount : nullptr;
    if (rank_ == 0) return;
    transpose<float>(work_.taken->b.view().block(begin, 0, rows_, rank_),
                     b_.view().block(0, 0, rank_, rows_));
    std::ranges::fill(projected_.values(), 0.f);
  }

  void run() {
    for (std::int64_t first = 0; first < root_.columns; first += kFeedbackColumns) {
      run_block(first, std::min(kFeedbackColumns, root_.columns - first));
    }
  }

  // Codes [rows, columns] of the piece.
  void write_codes(std::uint8_t* out) const {
    const std::int64_t columns = root_.columns;
    std::vector<std::uint8_t> in_order(static_cast<std::size_t>(kRowsInOrder * columns));
    for (std::int64_t i = 0; i < rows_; i += kRowsInOrder) {
      const std::int64_t count = std::min(kRowsInOrder, rows_ - i);
      transpose<std::uint8_t>(codes_view().block(0, i, columns, count),
                              MatrixView<std::uint8_t>(in_order.data(), count, columns));
      for (std::int64_t r = 0; r < count; ++r) {
        const std::uint8_t* from = in_order.data() + r * columns;
        std::uint8_t* to = out + (i + r) * columns;
        for (std::int64_t p = 0; p < columns; ++p) to[order_[p]] = from[p];
      }
    }
  }

 private:
  void take_blocks(const Matrix& all, Matrix& out) const {
    if (all.empty()) return;
    if (out.empty()) out = Matrix(all.columns(), stride_);
    transpose<float>(all.view().block(begin_, 0, rows_, all.columns()),
                     out.view().block(0, 0, all.columns(), rows_));
  }

  MatrixView<const std::uint8_t> codes_view() const {
    return {codes_.data(), root_.columns, rows_, stride_};
  }

  void run_block(std::int64_t first, std::int64_t count) {
    const auto of_block = [&](Matrix& m) { return m.view().block(0, 0, count, rows_); };
    const MatrixView<float> projected = projected_.view().block(0, 0, rank_, rows_);
    errors_.product(first, count, of_block(sums_));
    if (discount_ != nullptr) {
      linalg::multiply_serial(discount_->g.view().block(first, 0, count, rank_), Transpose::no,
                              projected, Transpose::no, of_block(along_));
    }
    for (std::int64_t p = 0; p < count; ++p) run_column(first, p);
    errors_.take(first, of_block(e_));
    const MatrixView<float> image = of_block(image_);
    if (discount_ != nullptr) {
      linalg::multiply_serial(discount_->v.view().block(first, 0, count, rank_), Transpose::yes,
                              image, Transpose::no, projected, 1.f, 1.f);
    }
    if (rank_ > 0) {
      linalg::multiply_serial(work_.taken->a.view().block(0, first, rank_, count), Transpose::yes,
                              b_.view().block(0, 0, rank_, rows_), Transpose::no, image, 1.f, 1.f);
    }
    const std::vector<float>& factors = work_.coordinates.rows;
    for (std::int64_t p = 0; p < count && !factors.empty(); ++p) {
      const float* factor = factors.data() + begin_;
      for (std::int64_t i = 0; i < rows_; ++i) image(p, i) *= factor[i];
    }
    transpose<float>(image, out_.block(begin_, first, rows_, count));
  }

  // Column first + p in order.
  void run_column(std::int64_t first, std::int64_t p) {
    const kernels::Table& table = kernels::table();
    const std::int64_t at = first + p, b = order_[at] / blocks_;
    float factors[kFeedbackColumns];
    for (std::int64_t k = 0; k < p; ++k) factors[k] = root_(first + k, at);
    float* sum = &sums_(p, 0);
    table.add_rows(e_.data(), stride_, p, factors, rows_, sum);
    const float diagonal = root_(at, at), inverse = 1.f / diagonal;
    const float* target = &target_(at, 0);
    float* wanted = wanted_.data();
    for (std::int64_t i = 0; i < rows_; ++i) wanted[i] = target[i] + sum[i] * inverse;
    if (discount_ != nullptr) {
      float* along = &along_(p, 0);
      table.add_rows(image_.data(), stride_, p, discount_->within.view().row(at), rows_, along);
      const float part = inverse / discount_->factor(at);
      for (std::int64_t i = 0; i < rows_; ++i) wanted[i] += along[i] * part;
    }
    encoder_.encode(wanted, &scales_(b, 0), offsets_.empty() ? nullptr : &offsets_(b, 0), rows_,
                    codes_.data() + at * stride_, value_.data());
    const float* value = value_.data();
    float* e = &e_(p, 0);
    float* image = &image_(p, 0);
    for (std::int64_t i = 0; i < rows_; ++i) {
      e[i] = target[i] - value[i];
      image[i] = sum[i] + e[i] * diagonal;
    }
  }

  const Work& work_;
  std::vector<std::int32_t> order_;
  MatrixView<const float> root_;
  std::int64_t stride_;  // of what follows
  Matrix in_order_;      // [kRowsInOrder, columns]
  Matrix target_;        // [columns in order, rows]
  Matrix scales_;        // [blocks, rows]
  Matrix offsets_;
  PieceErrors errors_;
  Matrix projected_;  // v^T (E R)^T of the columns so far: [rank, rows]
  Matrix b_;          // of what was taken: [rank, rows]
  Matrix sums_;       // of one block of columns: (E R)^T without the column's own part
  Matrix along_;      // what of it lies along A
  Matrix e_, image_;
  std::vector<std::uint8_t> codes_;  // [columns in order, rows]
  quant::ColumnEncoder encoder_;
  std::vector<float> wanted_, value_;
  std::int64_t begin_ = 0, rows_ = 0, blocks_ = 0, rank_ = 0;
  const Discount* discount_ = nullptr;
  MatrixView<float> out_;
};

// What is kept from turn to turn: a piece for each thread at work, and codes.
class Pieces {
 public:
  explicit Pieces(std::int64_t elements) : codes(static_cast<std::size_t>(elements)) {}

  std::vector<std::uint8_t, LargePageAllocator<std::uint8_t>> codes;

  std::unique_ptr<Piece> take(const Work& work, std::int64_t most_rows) {
    {
      const std::scoped_lock lock(mutex_);
      if (!spare_.empty()) {
        std::unique_ptr<Piece> piece = std::move(spare_.back());
        spare_.pop_back();
        return piece;
      }
    }
    return std::make_unique<Piece>(work, most_rows);
  }
  void give_back(std::unique_ptr<Piece> piece) {
    const std::scoped_lock lock(mutex_);
    spare_.push_back(std::move(piece));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Piece>> spare_;
};

// GPTQ (Frantar et al. 2022) as Babai's nearest plane: with H = R R^T, R upper triangular, the
// squared error is the sum over columns p of (E R)_p, which column p makes least by the code
// nearest to W_p + (sum over k < p of E_k R_kp) / R_pp, E = W - Q. The columns go by falling
// diagonal of H
// ("activation order"); the scales of all blocks are those of nearest codes, so that a block stays
// a run of neighbouring columns.
// With a discount the root is R T (discount.h): the sum over l < p of (E R)_l T_lp joins in, which
// takes no further product of the matrix's size, since E R is known so far.
quant::PackedMatrix quantize_gptq(MatrixView<const float> target, Work& work) {
  const quant::Format& format = work.recipe.format;
  const quant::BlockScales scales = quant::find_scales(target, format);
  quant::PackedMatrix packed = quant::store_scales(format, target.rows, target.columns, scales);
  const Blocks blocks = blocks_of(packed);
  if (work.image.empty()) work.image = Matrix(target.rows, target.columns);
  if (work.pieces == nullptr) work.pieces = std::make_shared<Pieces>(target.size());
  const std::int64_t rows = std::max(kRowLanes, quant::ColumnEncoder::rows_together(format));
  const std::int64_t most_rows = std::min(rows, target.rows);
  parallel_for(target.rows, rows, [&](std::int64_t begin, std::int64_t end) {
    std::unique_ptr<Piece> piece = work.pieces->take(work, most_rows);
    piece->start(target, blocks, work.image.view(), begin, end);
    piece->run();
    piece->write_codes(work.pieces->codes.data() + begin * target.columns);
    work.pieces->give_back(std::move(piece));
  });
  quant::set_codes(packed, work.pieces->codes);
  return packed;
}

}  // namespace qloft::decompose
