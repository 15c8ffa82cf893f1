#pragma once
// The words and patterns that the bundled model's corpus is made of: data only.
//
// A pattern holds names in braces: {N} a name, {F} another one, {he} {his} {him} {He} their
// pronouns, {things} a noun in the plural, {a} {b} {c} {d} the inputs of a problem.

#include <array>
#include <string_view>
#include <vector>

namespace corpus {

struct Person {
  std::string_view name, he, his, him, capital_he;
};

inline constexpr std::array kPeople = {
    Person{"Anna", "she", "her", "her", "She"},  Person{"Ben", "he", "his", "him", "He"},
    Person{"Clara", "she", "her", "her", "She"}, Person{"David", "he", "his", "him", "He"},
    Person{"Emma", "she", "her", "her", "She"},  Person{"Felix", "he", "his", "him", "He"},
    Person{"Grace", "she", "her", "her", "She"}, Person{"Henry", "he", "his", "him", "He"},
    Person{"Ida", "she", "her", "her", "She"},   Person{"Jonas", "he", "his", "him", "He"},
    Person{"Lucy", "she", "her", "her", "She"},  Person{"Max", "he", "his", "him", "He"},
    Person{"Nora", "she", "her", "her", "She"},  Person{"Oscar", "he", "his", "him", "He"},
    Person{"Paula", "she", "her", "her", "She"}, Person{"Tom", "he", "his", "him", "He"},
};

inline constexpr std::array<std::string_view, 16> kThings = {
    "apples", "pears",   "shells", "marbles", "stickers", "pencils", "stamps", "cards",
    "coins",  "cookies", "books",  "stones",  "buttons",  "flowers", "nuts",   "plums"};

inline constexpr std::array<std::string_view, 6> kContainers = {"boxes",   "bags", "baskets",
                                                                "packets", "jars", "sacks"};

// One step of a worked answer: values[left] operation values[right]. The values are the inputs
// first, then the results of the steps before.
struct Step {
  int left;
  char operation;  // + - * /
  int right;
};

struct Range {
  int low, high;
};

struct Problem {
  std::vector<Range> inputs;
  std::vector<Step> steps;
  std::vector<std::string_view> wordings;
};

// Every result must be a whole number from 1 to 99: a draw that gives another one is drawn again.
inline const std::vector<Problem> kProblems = {
    {.inputs = {{4, 30}, {2, 12}, {2, 9}},
     .steps = {{0, '+', 1}, {3, '-', 2}},
     .wordings = {"{N} has {a} {things}. {He} finds {b} more and gives {c} to {F}. How many does "
                  "{he} have now?",
                  "There are {a} {things} on the table. {N} brings {b} more. {F} takes {c} away. "
                  "How many are there now?"}},
    {.inputs = {{15, 40}, {2, 12}, {2, 9}},
     .steps = {{0, '-', 1}, {3, '-', 2}},
     .wordings = {"{N} has {a} {things}. {He} gives {b} to {F} and loses {c}. How many are left?",
                  "A shop has {a} {things}. It sells {b} to {N} and {c} to {F}. How many are "
                  "left?"}},
    {.inputs = {{2, 9}, {2, 9}, {2, 9}},
     .steps = {{0, '*', 1}, {3, '+', 2}},
     .wordings = {"{N} buys {a} {containers} with {b} {things} each. {He} already had {c}. How "
                  "many does {he} have now?"}},
    {.inputs = {{2, 9}, {2, 9}, {2, 9}},
     .steps = {{0, '*', 1}, {3, '-', 2}},
     .wordings = {"{N} has {a} {containers} with {b} {things} each. {He} gives {c} to {F}. How "
                  "many are left?"}},
    {.inputs = {{3, 20}, {2, 9}},
     .steps = {{0, '+', 1}, {0, '+', 2}},
     .wordings = {"{N} has {a} {things}. {F} has {b} more than {N}. How many do they have "
                  "together?"}},
    {.inputs = {{2, 12}, {2, 4}},
     .steps = {{0, '*', 1}, {0, '+', 2}},
     .wordings = {"{N} has {a} {things}. {F} has {b} times as many. How many do they have "
                  "together?"}},
    {.inputs = {{4, 30}, {2, 12}, {2, 5}},
     .steps = {{0, '+', 1}, {3, '/', 2}},
     .wordings = {"{N} has {a} {things} and {F} has {b}. They share them among {c} friends. How "
                  "many does each friend get?"}},
};

// A story is one line from each of these, in this order, and an ending; an empty line leaves the
// sentence out.
using Lines = std::vector<std::string_view>;

inline constexpr std::array<std::string_view, 12> kPlaces = {
    "the forest", "the river",  "the old mill", "the market",  "the harbour", "the hill",
    "the garden", "the school", "the lake",     "the village", "the castle",  "the station"};
inline constexpr std::array<std::string_view, 10> kAnimals = {
    "dog", "cat", "fox", "owl", "horse", "goat", "duck", "rabbit", "bear", "mouse"};
inline constexpr std::array<std::string_view, 10> kAdjectives = {
    "little", "grey", "brown", "friendly", "hungry", "sleepy", "clever", "shy", "wet", "white"};
inline constexpr std::array<std::string_view, 12> kObjects = {
    "red ball",  "golden key", "wooden box", "blue kite",    "broken clock", "silver ring",
    "green hat", "long rope",  "small boat", "paper letter", "warm scarf",   "loud bell"};
inline constexpr std::array<std::string_view, 8> kWeather = {
    "The sun was warm", "It was raining",     "The wind was cold", "The sky was grey",
    "Snow was falling", "A storm was coming", "The air was fresh", "Fog lay over the land"};
inline constexpr std::array<std::string_view, 8> kFeelings = {
    "happy", "sad", "afraid", "proud", "tired", "angry", "curious", "surprised"};

inline const std::vector<Lines> kStory = {
    {"One day {N} went to {place}.", "In the morning {N} walked to {place}.",
     "Last summer {N} lived near {place}.", "Once {N} and {F} met at {place}."},
    {"{weather}, but {he} did not mind.", "{weather} and there was nobody else.",
     "{weather}, so {he} walked fast.", ""},
    {"Behind a tree {he} saw a {adjective} {animal}.",
     "Suddenly a {adjective} {animal} came out of the bushes.",
     "On the way {he} met a {adjective} {animal}."},
    {"The {animal} had lost a {object}.", "Next to the {animal} lay a {object}.",
     "The {animal} was sitting on a {object}.", "The {animal} was playing with a {object}."},
    {"\"Can you help me?\" asked the {animal}.", "\"What is that?\" asked {N}.",
     "\"Please do not be {feeling},\" said {N}.", "\"I will take you home,\" said {N}."},
    {"{N} was {feeling}, because {he} had never seen a {object} before.",
     "{N} called {his} friend {F}, who lived near {place2}.",
     "{N} put the {object} into {his} bag.", "The {animal} looked {feeling} and ran to {place2}."},
    {"Together they carried the {object} to {place2}.",
     "They looked for the owner of the {object} all day.",
     "Then {F} came and gave the {animal} some bread.", ""},
};

// The last line of a story, and what the whole comes to in one sentence.
struct Ending {
  std::string_view line, summary;
};
inline constexpr std::array kEndings = {
    Ending{"In the evening {he} went home and was {feeling}.",
           "{N} met a {adjective} {animal} at {place} and came home {feeling}."},
    Ending{"From that day on {N} and the {animal} were friends.",
           "{N} and a {adjective} {animal} became friends at {place}."},
    Ending{"At night {he} told {his} mother about the {object}.",
           "{N} told {his} mother of a {object} at {place}."},
    Ending{"The {animal} said thank you and went to sleep.",
           "A {adjective} {animal} with a {object} thanked {N} at {place}."},
    Ending{"{F} laughed, and {N} was {feeling} no more.",
           "{F} made {N} laugh about a {animal} with a {object}."},
};

}  // namespace corpus
