#include "teacher.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "clock.h"
#include "draw_pairs.h"
#include "load.h"
#include "qloft/checkpoint/finite.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/core/fingerprint.h"
#include "qloft/core/interrupt.h"
#include "qloft/objectives.h"
#include "qloft/pipeline/output.h"
#include "qloft/pipeline/resume.h"
#include "resumed_file.h"
#include "suspects.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

using at::Tensor;

constexpr const char* kTeacherFile = "teacher.safetensors";
constexpr const char* kSequencesDone = "sequences";
constexpr std::int64_t kSequencesBetweenTeacherSaves = 16;

std::string ids_name(std::int64_t example) {
  return "ids." + std::to_string(example);
}
std::string logs_name(std::int64_t example) {
  return "log_probabilities." + std::to_string(example);
}
std::string states_name(std::int64_t example) {
  return "states." + std::to_string(example);
}

data::Example example_of(const train::Examples& examples, std::int64_t index) {
  return std::move(examples.get({index}).front());
}

std::int64_t predictions_of(const data::Example& example) {
  return std::count_if(example.loss_mask.begin() + 1, example.loss_mask.end(),
                       [](std::uint8_t counts) { return counts != 0; });
}

io::TensorInfo tensor_info(std::string name, ElementType type, std::int64_t rows,
                           std::int64_t columns) {
  io::TensorInfo info;
  info.name = std::move(name);
  info.type = type;
  info.shape = {rows, columns};
  return info;
}

std::vector<io::TensorInfo> tensors_of(const train::Examples& examples,
                                       const TeacherRequest& request,
                                       const architecture::Layout& layout) {
  const std::int64_t columns = layout.parameter(layout.output.matrix).columns();
  std::vector<io::TensorInfo> out;
  for (std::int64_t i = 0; i < examples.size(); ++i) {
    const std::int64_t count = predictions_of(example_of(examples, i));
    if (request.loss == RecoveryLoss::hidden) {
      out.push_back(tensor_info(states_name(i), ElementType::bf16, count, columns));
      continue;
    }
    out.push_back(tensor_info(ids_name(i), ElementType::i32, count, request.logits));
    out.push_back(tensor_info(logs_name(i), ElementType::f32, count, request.logits));
  }
  return out;
}

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

// How many sequences are safely in the file.
std::int64_t done_of(const Journal& journal, std::int64_t total) {
  std::int64_t done = 0;
  for (const io::Json& piece : journal.pieces()) {
    const auto found = piece.find(kSequencesDone);
    if (found == piece.end() || !found->is_number_integer()) continue;
    if (*found < 0 || *found > total) {
      throw InputError({journal.path(), kSequencesDone},
                       "expected 0 to " + std::to_string(total) + ", found " + found->dump());
    }
    done = std::max(done, found->get<std::int64_t>());
  }
  return done;
}

void expect_finite(const Tensor& values, const LoadedModel& teacher) {
  if (values.isfinite().all().item<bool>()) return;
  throw ComputationError({teacher.source().folder(), {}}, "the teacher's outputs are not finite");
}

void write_outputs(LoadedModel& teacher, const data::Example& example, std::int64_t index,
                   const TeacherRequest& request, io::SafetensorsWriter& writer) {
  const auto length = std::ssize(example.ids);
  Tensor ids = at::empty({1, length}, at::kLong), mask = at::empty({1, length}, at::kByte);
  std::copy(example.ids.begin(), example.ids.end(), ids.data_ptr<std::int64_t>());
  std::copy(example.loss_mask.begin(), example.loss_mask.end(), mask.data_ptr<std::uint8_t>());
  const at::Device device = teacher.model.device();
  model::Input input{ids.to(device)};
  input.adapters = {teacher.adapter};
  if (request.pairs) input.source = request.pairs->source({index}, teacher.model);
  if (request.loss == RecoveryLoss::hidden) {
    const Tensor states = objectives::teacher_states(teacher.model, input, mask.to(device));
    expect_finite(states, teacher);
    writer.write(states_name(index), bytes_of(states));
    return;
  }
  const model::TeacherRows rows =
      objectives::teacher_rows(teacher.model, input, mask.to(device), request.logits);
  expect_finite(rows.log_probabilities, teacher);
  writer.write(ids_name(index), bytes_of(rows.ids));
  writer.write(logs_name(index), bytes_of(rows.log_probabilities));
}

void write_all(LoadedModel& teacher, const train::Examples& examples, const TeacherRequest& request,
               OutputFolder& folder, io::SafetensorsWriter& writer, Progress& progress) {
  const std::int64_t total = examples.size();
  std::int64_t done = done_of(folder.journal(), total), safe = done;
  const auto keep = [&] {
    writer.flush();
    folder.journal().add({{kSequencesDone, done}});
    folder.journal().flush();
    folder.keep();
    safe = done;
  };
  progress.begin("teacher", static_cast<std::uint64_t>(total), "sequences");
  if (done > 0) progress.update(static_cast<std::uint64_t>(done), "resumed");
  try {
    const Interruptible interruptible(progress);
    while (done < total) {
      write_outputs(teacher, example_of(examples, done), done, request, writer);
      progress.update(static_cast<std::uint64_t>(++done), "");
      if (done - safe >= kSequencesBetweenTeacherSaves || done == total) keep();
      if (done < total && progress.stop_requested()) throw Interrupted({}, "stopped");
    }
  } catch (const Interrupted&) {
    if (done > safe) keep();
    progress.end();
    throw Interrupted({}, "the teacher's outputs of " + std::to_string(done) + " of " +
                              std::to_string(total) +
                              " sequences are kept; the same command goes on from there");
  }
  progress.end();
}

struct Work {
  io::Json json;
  fs::path file;
};

Work work_of(const TeacherRequest& request, const ModelInputs& teacher,
             const train::Examples& examples) {
  io::Json json = {{"teacher", weights_fingerprint(teacher.files.folder())},
                   {"adapter", adapter_fingerprint(teacher.files.source(), request.model)},
                   {"dtype", teacher.choice.arithmetic.dtype},
                   {"matmul", teacher.choice.arithmetic.matmul},
                   {"sequences", std::to_string(examples.fingerprint())},
                   {"loss", name(request.loss)}};
  if (request.pairs) json["sources"] = hex(sources_fingerprint(*request.pairs));
  if (request.loss == RecoveryLoss::kl) json["logits"] = request.logits;
  fs::path file = request.folder / ("teacher-" + work_name(json) + ".safetensors");
  return {std::move(json), std::move(file)};
}

// Returns the seconds that it took.
double make(const TeacherRequest& request, ModelInputs teacher, const train::Examples& examples,
            const Work& work, Progress& progress) {
  const auto begin = Clock::now();
  make_folders(request.folder);
  OutputFolder folder({.output = work.file,
                       .command = "recover",
                       .inputs = {teacher.files.folder()},
                       .kind = OutputRequest::Kind::file},
                      work.json, progress);
  if (!folder.finished()) {
    checkpoint::expect_finite(teacher.files.source());
    LoadedModel loaded = load_model(std::move(teacher), progress);
    io::SafetensorsWriter writer =
        reopen_or_create(folder, kTeacherFile, tensors_of(examples, request, loaded.files.layout()),
                         {{"key", work.json.dump()}});
    try {
      write_all(loaded, examples, request, folder, writer, progress);
    } catch (const ComputationError&) {
      rethrow_at_largest(weights_read(loaded.source(), request.model));
    }
  }
  folder.commit_file(kTeacherFile);
  return seconds_since(begin);
}

Tensor tensor_of(const io::SafetensorsFile& file, const std::string& name, ElementType type,
                 at::ScalarType stored) {
  const io::TensorInfo* info = file.find(name);
  if (info == nullptr || info->type != type || info->shape.size() != 2) {
    throw InputError({file.path(), name}, "expected what a teacher says of an example");
  }
  Tensor out = at::empty(info->shape, stored);
  const auto bytes = file.bytes(*info);
  if (!bytes.empty()) std::memcpy(out.data_ptr(), bytes.data(), bytes.size());
  return out;
}

void expect_of_work(const io::SafetensorsFile& file, const Work& work) {
  const auto key = file.metadata().find("key");
  if (key != file.metadata().end() && key->second == work.json.dump()) return;
  throw InputError({file.path(), {}},
                   "expected the outputs of this teacher of these sequences, found others");
}

}  // namespace

TeacherOutputs::TeacherOutputs(const TeacherRequest& request, const train::Examples& examples,
                               Progress& progress)
    : file_([&] {
        ModelInputs teacher = open_model(request.model, std::nullopt, request.pairs.has_value());
        const Work work = work_of(request, teacher, examples);
        name_ = work_name(work.json);
        std::error_code error;
        if (!fs::exists(work.file, error)) {
          seconds_ = make(request, std::move(teacher), examples, work, progress);
        }
        io::SafetensorsFile file(work.file);
        expect_of_work(file, work);
        return file;
      }()) {}

model::TeacherRows TeacherOutputs::rows(const std::vector<std::int64_t>& examples) const {
  std::vector<Tensor> ids, logs;
  for (const std::int64_t example : examples) {
    ids.push_back(tensor_of(file_, ids_name(example), ElementType::i32, at::kInt));
    logs.push_back(tensor_of(file_, logs_name(example), ElementType::f32, at::kFloat));
  }
  return {at::cat(ids), at::cat(logs)};
}

Tensor TeacherOutputs::states(const std::vector<std::int64_t>& examples) const {
  std::vector<Tensor> out;
  out.reserve(examples.size());
  for (const std::int64_t example : examples) {
    out.push_back(tensor_of(file_, states_name(example), ElementType::bf16, at::kBFloat16));
  }
  return at::cat(out);
}

std::uint64_t TeacherOutputs::bytes() const {
  std::error_code error;
  return fs::file_size(file_.path(), error);
}

}  // namespace qloft::pipeline
