#pragma once
// Any file of texts with labels or numbers, by the names of its columns.

#include <filesystem>
#include <string>
#include <vector>

#include "qloft/data/labelled.h"

namespace qloft::data {

// Where texts and labels stand; what is left open is found by the names that a file has.
struct NamedColumns {
  // One text, or two that are held against each other. Empty: sentence1 and sentence2, premise and
  // hypothesis, question1 and question2, question and sentence, sentence, or text; else the one or
  // two columns that there are beside the label's, and idx, id, index and one without a name.
  std::vector<std::string> text;
  std::string label;                // empty: label, of numbers score too
  std::vector<std::string> labels;  // their names, in the order of a head

  bool operator==(const NamedColumns&) const = default;
};

// What a file's labels are held against: names in the order of a head, or none: they are numbers.
// Throws InputError as read_labelled does, and naming the line and column of a text that is empty;
// naming the options text_column or labels where these cannot be.
std::vector<LabelledText> read_named(const NamedColumns& columns,
                                     const std::vector<std::string>& labels,
                                     const std::filesystem::path& file);

// The labels that the files have, each once: by size where all of them are numbers, else by their
// bytes. Throws InputError naming a file whose column of labels is missing, or where there are
// fewer than two.
std::vector<std::string> labels_in(const NamedColumns& columns,
                                   const std::vector<std::filesystem::path>& files);

// Throws InputError naming the option labels where fewer than two are named, one is empty, or one
// is named twice; text_column where more than two texts are.
void expect_sound(const NamedColumns& columns);

}  // namespace qloft::data
