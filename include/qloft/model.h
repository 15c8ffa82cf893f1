#pragma once
// model: a decoder, an encoder or both as its Layout describes it. Matrices are dense or packed;
// adapters are attached by name, and which one a row of a batch uses is said in each pass. Never
// writes files.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/adapter.h"
#include "qloft/architecture.h"
#include "qloft/core/matrix.h"
#include "qloft/core/progress.h"
#include "qloft/model/adapter_id.h"
#include "qloft/model/output_type.h"
#include "qloft/model/stored_type.h"
#include "qloft/model/teacher.h"
#include "qloft/quant.h"
#include "qloft/quantized/model_files.h"

namespace qloft::model {

// Dense weights keep the type that they are stored in (F32, BF16 or F16) and, on the CPU, stay in
// the mapped file; those that are trained become f32 copies. Norms, biases and adapters are f32.
struct LoadOptions {
  at::ScalarType dtype = at::kFloat;  // of activations: f32 or bf16
  bool int8 = false;  // products of activations with weights in 8 bits; on the CPU alone
  StoredType cache = StoredType::f32;    // of the keys and values in caches
  StoredType factors = StoredType::f32;  // of adapters that are not trained, within blocks
  OutputType output = OutputType::stored;
  at::Device device = at::kCPU;
  bool train_weights = false;          // full fine-tuning: dense weights require gradients
  bool train_norms = false;            // of norms the weights and biases do
  bool train_biases = false;           // of linear layers and the output matrix
  bool train_scales = false;           // of packed linear layers (backend::TrainedScales)
  at::ScalarType stored = at::kFloat;  // of dense weights that Model::random makes
};

// What an encoder-decoder's encoder reads: ids, segments int64 [rows, length]. Segment -1 is
// padding; undefined: there is none.
struct Source {
  at::Tensor ids = {};
  at::Tensor segments = {};
};

// The input of one forward pass. ids, positions: int64 [rows, length]. segments: int64 [rows,
// length] or undefined; positions of different segments (or of segment -1, padding) do not attend
// to each other.
struct Input {
  at::Tensor ids;
  at::Tensor positions = {};  // undefined: 0, 1, 2, ...
  at::Tensor segments = {};
  std::vector<AdapterId> adapters = {};  // of each row; one: of all rows; none: the bare base model
  at::Tensor types = {};  // int64 [rows, length]: of tokens, for a model that tells them; none: 0
  // Of an encoder-decoder, whose decoder reads the above: as many rows. With the head of an encoder
  // there is none: both halves read the above.
  Source source = {};
};

// What an encoder-decoder's decoder reads to make `ids`, int64 [rows, length]: these moved one to
// the right, behind the layout's start token; negative ones become padding.
at::Tensor moved_right(const architecture::Layout& layout, const at::Tensor& ids);

// Keys and values of the past positions of one sequence, one pair a block, and of its source where
// the model is an encoder-decoder.
class KeyValueCache {
 public:
  StoredType type() const;
  std::int64_t capacity() const;
  std::int64_t length() const;  // positions filled
  std::int64_t bytes() const;   // of the whole capacity, and of the source
  // Makes room for at least `capacity` positions; what is filled stays.
  void reserve(std::int64_t capacity);
  // Forgets all positions from `length` on (a conversation that goes back).
  void truncate(std::int64_t length);
  // Another cache of the same capacity and content, which goes its own way from here.
  KeyValueCache fork() const;
  // Becomes what `other` is, a cache of the same model and type whose first `common` positions this
  // one holds too. Throws InputError where it holds fewer, or lacks room.
  void follow(const KeyValueCache& other, std::int64_t common);

  struct State;
  explicit KeyValueCache(std::shared_ptr<State> state);
  State& state() const { return *state_; }

 private:
  std::shared_ptr<State> state_;
};

// New tokens of one sequence: they take the positions behind those that its cache holds.
struct Continuation {
  KeyValueCache* cache = nullptr;
  std::vector<std::int64_t> ids;
  AdapterId adapter = kNoAdapter;
};

// Of which new tokens a pass gives the hidden states.
enum class NewTokens : std::uint8_t { last, all };

// Called by the linear layers that adapters address, under their names, as activations pass: what
// statistics are made of. Activations are shown where they are, in the type that they have.
struct Observer {
  // scale * values is the gradient of outputs [first, first + values.size(1)) of all `outputs` of
  // the layer.
  struct OutputGradient {
    at::Tensor values;  // [tokens, out], f32 or bf16
    std::int64_t first = 0;
    std::int64_t outputs = 0;
    double scale = 1;
  };

  // input [tokens, in], f32 or bf16
  std::function<void(const std::string& name, const at::Tensor& input)> input;
  // In the backward pass, which such an observer takes to every layer whether weights are trained
  // or not: output_gradient^T input is the gradient of the layer's weight. The output matrix's
  // is that of the predictions that count, as a whole where it takes at most `logit_bytes`, which
  // are held from the forward pass on, else in slices of the vocabulary, made anew.
  std::function<void(const std::string& name, const at::Tensor& input,
                     const OutputGradient& gradient)>
      gradient;
  std::int64_t logit_bytes = std::int64_t{1} << 29;
};

class Model {
 public:
  // Dense tensors, or packed ones where config.json has a qloft quantization_config.
  static Model load(const quantized::ModelFiles& files, const LoadOptions& options,
                    Progress& progress);
  // Random weights: normal by the layout's initializer_range, biases zero, norms one; for training
  // from nothing. `format`: the linear layers are packed by it, one after the other, and with
  // `output_matrix` the output matrix too.
  static Model random(const architecture::Layout& layout, const LoadOptions& options,
                      std::uint64_t seed, const std::optional<quant::Format>& format = std::nullopt,
                      bool output_matrix = false);

  const architecture::Layout& layout() const;
  at::Device device() const;
  at::ScalarType dtype() const;

  // Attaches a copy of the adapter under `name`, in place of one of that name. `train`: factors are
  // f32 and require gradients, and so does the head, of which the adapter gets a copy of its own;
  // else they are kept as LoadOptions::factors says. Throws InputError if it names a module that
  // the model lacks or whose shape differs.
  AdapterId attach(const std::string& name, const adapter::Adapter& adapter, bool train);
  // Throws InputError where none of this name is attached.
  AdapterId find_adapter(const std::string& name) const;
  // The adapter as it stands now (after training).
  adapter::Adapter extract(const std::string& name) const;
  void detach(const std::string& name);
  std::vector<std::string> adapters() const;

  // What gradients go to, by name, in a fixed order.
  std::vector<std::pair<std::string, at::Tensor>> trainable() const;
  // Of these what lies in the block of this index.
  std::vector<std::pair<std::string, at::Tensor>> trainable(std::int64_t block) const;
  // Every dense weight under its checkpoint name (full fine-tuning writes these).
  std::vector<std::pair<std::string, at::Tensor>> dense_weights() const;
  // The packed matrices whose scales are trained, as they stand now.
  std::vector<std::pair<architecture::ParameterId, std::shared_ptr<const quant::PackedMatrix>>>
  rescaled_weights() const;

  // Puts `dense` [out, in], of any type that weights have and on the model's device, in the place
  // of the dense matrix `id` and of those tied to it, and gives back the one that was there. Throws
  // Error where there is none, for another shape, and where the output matrix is kept in 8 bits.
  at::Tensor exchange(architecture::ParameterId id, at::Tensor dense);

  // What the output matrix is applied to: f32 or bf16 [rows, length, its columns]. Throws
  // InputError for an input that the model cannot have, as an encoder-decoder's without a source.
  at::Tensor hidden(const Input& input);
  // What a head says of the input, f32: of sequences [rows, labels], of spans and tokens [rows,
  // length, labels]. Throws InputError for a model without such a head.
  at::Tensor scores(const Input& input);
  // The mean of the hidden states of each row's tokens but padding: f32 [rows, columns], the
  // embedding of a sentence.
  at::Tensor mean_states(const Input& input);
  // One pass over the new tokens of many sequences, of any lengths and adapters, which see their
  // own caches alone; the caches then hold them too. Without gradients. Returns what hidden() gives
  // for the last new token of each, [sequences, columns], or for all of them, [tokens, columns],
  // sequence after sequence. Throws InputError where there is none, an id is none of the model's,
  // or a cache lacks room.
  at::Tensor extend(const std::vector<Continuation>& sequences, NewTokens wanted = NewTokens::last);
  // hidden [rows, ..., columns] to logits: f32 [rows, ..., vocabulary]. `adapters` as in Input: of
  // the output matrix.
  at::Tensor logits(const at::Tensor& hidden, const std::vector<AdapterId>& adapters = {});
  // -sum over i of log softmax(logits of hidden[positions_i])[targets_i], natural log, without the
  // logits of all positions at once. hidden [n, columns], positions and targets int64 CPU; position
  // p is of row p / length, whose adapter `adapters` names as in Input. `smoothing` as in
  // backend::summed_cross_entropy; without an observer.
  at::Tensor cross_entropy(const at::Tensor& hidden, const at::Tensor& positions,
                           const at::Tensor& targets, const std::vector<AdapterId>& adapters,
                           std::int64_t length, double smoothing = 0);
  // (1 - w) times the sum over i of the Kullback-Leibler divergence of softmax(logits of
  // hidden[positions_i]) from row i of `teacher` (qloft/model/teacher.h), plus w times the above.
  at::Tensor divergence(const at::Tensor& hidden, const at::Tensor& positions,
                        const TeacherRows& teacher, const at::Tensor& targets,
                        double next_token_weight, const std::vector<AdapterId>& adapters,
                        std::int64_t length);

  // Recompute activations in the backward pass, layer by layer, rather than keep them.
  void set_checkpointing(bool on);
  // Dropout of adapters follows this.
  void set_training(bool on);
  // The dropout masks of the forward passes from here on are a function of this seed and of how
  // many passes there were since. A run that resumes to the same bits sets it before every step.
  void set_dropout_seed(std::uint64_t seed);

  // The one observer from here on; an empty one: none.
  void observe(Observer observer);
  // The forward pass in pieces, for those who take many inputs through one block after the other:
  // hidden(input) is finish(block(layers - 1, ... block(0, embed(input)))). Positions are 0, 1, 2,
  // ...; embed and finish are without gradients. Not of an encoder-decoder: throws Error.
  at::Tensor embed(const Input& input);
  at::Tensor block(std::int64_t index, const at::Tensor& x, const std::vector<AdapterId>& adapters);
  at::Tensor finish(const at::Tensor& x, const std::vector<AdapterId>& adapters);

  // An empty cache for a sequence of up to `capacity` positions; an encoder-decoder's for a target
  // of the source `ids`, whose keys and values are computed here, without gradients. Throws
  // InputError for a source without ids, or for one where the model reads none.
  KeyValueCache make_cache(std::int64_t capacity, const std::vector<std::int64_t>& source = {},
                           AdapterId adapter = kNoAdapter) const;
  // Of the caches that are made from here on; at first LoadOptions::cache.
  void set_cache_type(StoredType type);
  // Of the adapters that are attached from here on; at first LoadOptions::factors.
  void set_factor_type(StoredType type);
  // At first LoadOptions::output. The matrix as it is stored is not given up.
  void set_output_type(OutputType type);
  // int8 only where it is in use: not of a matrix that is packed already, trained or elsewhere.
  OutputType output_type() const;

  struct State;

 private:
  explicit Model(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace qloft::model
