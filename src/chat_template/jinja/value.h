#pragma once
// The values that a template computes with: Python's, as far as jinja2's sandbox lets a template
// see them. All are immutable but namespaces.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "qloft/io.h"

namespace qloft::chat_template::jinja {

// A template failed while it ran; the interpreter adds the line.
struct Failure {
  std::string message;
};

// What a rendering may still cost, about one unit a byte that is built or looked at. Bounds time
// and memory together.
class Budget {
 public:
  explicit Budget(std::size_t limit) : left_(limit) {}
  void spend(std::size_t cost) {
    if (cost > left_) throw Failure{"the template computes too much"};
    left_ -= cost;
  }

 private:
  std::size_t left_;
};

class Value;
class Interpreter;
using Values = std::vector<Value>;

struct Undefined {
  std::shared_ptr<const std::string> why;  // what an error says where it is used
};

struct None {};

struct Text {
  std::shared_ptr<const std::string> bytes;  // UTF-8
  bool markup = false;                       // came out of `safe` or `escape`
};

enum class SequenceKind : std::uint8_t { list, tuple, range, view, generator };

struct SequenceData {
  Values items;
  int depth = 1;  // of nesting
};

// What `for` goes through. Holds it, so that it may come from a temporary value.
class Items {
 public:
  explicit Items(std::shared_ptr<const SequenceData> data) : data_(std::move(data)) {}
  auto begin() const { return data_->items.begin(); }
  auto end() const { return data_->items.end(); }
  std::size_t size() const;
  bool empty() const { return data_->items.empty(); }
  const Value& operator[](std::size_t index) const;
  const std::shared_ptr<const SequenceData>& data() const { return data_; }

 private:
  std::shared_ptr<const SequenceData> data_;
};

struct Sequence {
  SequenceKind kind = SequenceKind::list;
  std::shared_ptr<const SequenceData> data;
};

struct Dict;
struct Namespace;
struct Loop;

struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct Callable {
  std::string name;
  std::function<Value(Interpreter&, const Arguments&)> call;
  int depth = 0;  // of nesting of what it holds
};

struct Statement;

class Value {
 public:
  using Variant = std::variant<Undefined, None, bool, std::int64_t, double, Text, Sequence,
                               std::shared_ptr<const Dict>, std::shared_ptr<const Callable>,
                               std::shared_ptr<Namespace>, std::shared_ptr<const Loop>>;

  Value() = default;  // undefined without a reason
  Value(None) : value_(None{}) {}
  Value(bool value) : value_(value) {}
  Value(std::int64_t value) : value_(value) {}
  Value(int value) : value_(std::int64_t{value}) {}
  Value(std::size_t value) : value_(static_cast<std::int64_t>(value)) {}
  Value(double value) : value_(value) {}
  Value(std::string value, bool markup = false);
  Value(std::string_view value) : Value(std::string(value)) {}
  Value(const char* value) : Value(std::string(value)) {}
  Value(std::shared_ptr<const Dict> value) : value_(std::move(value)) {}
  Value(std::shared_ptr<const Callable> value) : value_(std::move(value)) {}
  Value(std::shared_ptr<Namespace> value) : value_(std::move(value)) {}
  Value(std::shared_ptr<const Loop> value) : value_(std::move(value)) {}
  static Value undefined(std::string why);
  // Throws Failure where the nesting is too deep.
  static Value sequence(Values items, SequenceKind kind = SequenceKind::list);
  // `holds`: a value that the function keeps (the object of a method).
  static Value function(std::string name, std::function<Value(Interpreter&, const Arguments&)> call,
                        const Value& holds = Value());

  const Variant& variant() const { return value_; }
  bool is_undefined() const { return std::holds_alternative<Undefined>(value_); }
  bool is_none() const { return std::holds_alternative<None>(value_); }
  bool is_string() const { return std::holds_alternative<Text>(value_); }
  bool is_markup() const { return is_string() && std::get<Text>(value_).markup; }
  // An integer or a boolean (which counts as 0 or 1).
  bool is_integral() const;
  bool is_number() const { return is_integral() || std::holds_alternative<double>(value_); }
  bool is_sequence(SequenceKind kind) const;

  const std::string& string() const { return *std::get<Text>(value_).bytes; }
  std::int64_t integer() const;  // is_integral()
  double number() const;         // is_number()
  const Sequence* sequence() const { return std::get_if<Sequence>(&value_); }
  const Dict* dict() const;
  const std::shared_ptr<Namespace>* name_space() const {
    return std::get_if<std::shared_ptr<Namespace>>(&value_);
  }
  const Loop* loop() const;
  const std::shared_ptr<const Callable>* callable() const {
    return std::get_if<std::shared_ptr<const Callable>>(&value_);
  }

 private:
  Variant value_;
};

inline std::size_t Items::size() const {
  return data_->items.size();
}
inline const Value& Items::operator[](std::size_t index) const {
  return data_->items[index];
}

// In the order of insertion. Keys are strings, numbers, None or tuples.
struct Dict {
  std::vector<std::pair<Value, Value>> items;
  std::unordered_map<std::string, std::size_t> strings;  // where the string keys stand
  int depth = 1;

  // Overwrites; throws Failure where the key cannot be one or the nesting is too deep.
  void set(const Value& key, Value value, Budget& budget);
  const Value* find(const Value& key, Budget& budget) const;
  const Value* find(const std::string& key) const;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;

  void set(const std::string& name, Value value);
  const Value* find(std::string_view name) const;
};

// The `loop` of a for statement at one of its turns.
struct Loop {
  std::shared_ptr<const SequenceData> items;
  std::size_t index0 = 0;
  std::size_t depth0 = 0;
  const Statement* statement = nullptr;
};

// str, list, dict, NoneType, ... as Python calls it.
std::string type_name(const Value& value);
bool is_true(const Value& value);
// Throws Failure with the reason of an undefined value.
void require_defined(const Value& value);
// Python's ==.
bool equal(const Value& a, const Value& b, Budget& budget);
// Python's a < b; throws Failure where the two have no order.
bool less(const Value& a, const Value& b, Budget& budget);
// Characters, items or keys. Throws Failure where there is nothing to go through.
Items iterate(const Value& value, Budget& budget);

Value from_json(const io::Json& json, Budget& budget);

}  // namespace qloft::chat_template::jinja
