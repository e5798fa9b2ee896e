// Rows of several labels, classes of words and answers in a context that are not what they should
// be: each is named in one line, and nothing is written.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "tests/launch/prepare_test.hpp"

namespace trireme::test {
namespace {

struct Mistake {
    char const *task, *file, *text;
    std::vector<std::string> more;
    char const* said; ///< behind the name of the file, or as it stands
};

std::vector<Mistake> const kMistakes{
    {"multi-label",
     "r.jsonl",
     "{\"text\": \"a\", \"l\": \"x\"}\n",
     {"--label", "l"},
     ":1: l: \"x\": legal: a list of names, which may be empty, or --label-separator"},
    {"multi-label",
     "r.jsonl",
     "{\"text\": \"a\", \"l\": [\"x\", null]}\n",
     {"--label", "l"},
     ":1: l: [\"x\",null]: legal: a list of names"},
    {"multi-label",
     "r.jsonl",
     "{\"text\": \"a\", \"l\": [\"x\", \"x\"]}\n",
     {"--label", "l"},
     ":1: l: \"x\" stands there twice; legal: once"},
    {"multi-label",
     "r.jsonl",
     "{\"text\": \"a\", \"l\": null}\n",
     {"--label", "l"},
     ":1: l: no label; legal: a label in each row, or --drop-unlabelled"},
    {"multi-label",
     "r.jsonl",
     "{\"text\": \"a\", \"l\": []}\n",
     {"--label", "l"},
     ": l: no label in training; legal: one or more"},
    {"multi-label",
     "r.csv",
     "text,a,b\nfilm,1,2\n",
     {"--label", "a", "b"},
     ":2: b: \"2\": legal: 0 or 1"},
    {"multi-label",
     "r.csv",
     "text,l\nfilm,x|y\n",
     {"--label", "l", "--label-separator", "|", "--labels", "x", "z"},
     ":2: l: y: legal: what --labels names: x, z"},
    {"multi-label",
     "r.jsonl",
     "{\"text\": \"a\", \"l\": [\"x\"]}\n",
     {"--label", "l", "--labels", "x", " "},
     "--labels: a blank; legal: names of labels"},
    {"multi-label",
     "r.csv",
     "text,a,b\nfilm,1,1\n",
     {"--label", "a", "b", "--labels", "a"},
     "--labels: legal with the name of one column in --label"},
    {"token-classification",
     "r.jsonl",
     "{\"tokens\": [\"a\", \"b\"], \"tags\": [\"O\"]}\n",
     {},
     ":1: tags: 1 tag for 2 words; legal: one for each word"},
    {"token-classification",
     "r.jsonl",
     "{\"tokens\": \"a b\", \"tags\": [\"O\"]}\n",
     {},
     ":1: tokens: \"a b\": legal: a list of words"},
    {"token-classification",
     "r.jsonl",
     "{\"tokens\": [\"a\"], \"tags\": \"O\"}\n",
     {},
     ":1: tags: \"O\": legal: a list of tags, one for each word"},
    {"token-classification",
     "r.jsonl",
     "{\"tokens\": [\"a\"], \"tags\": [3]}\n",
     {},
     ":1: tags[0]: 3: legal: the name of a tag, or a number with --labels"},
    {"token-classification",
     "r.jsonl",
     "{\"tokens\": [\"a\"], \"tags\": [3]}\n",
     {"--labels", "O", "B-X"},
     ":1: tags[0]: 3: legal: 0 to 1, the places in --labels"},
    {"token-classification",
     "r.jsonl",
     "{\"tokens\": [\"a\", \"b\"], \"tags\": [\"B-X\", \"I-Y\"]}\n",
     {},
     ":1: tags[1]: I-Y after B-X; legal: B-Y, as which --repair-tags takes it"},
    {"token-classification",
     "r.conll",
     "the O\nfilm O\nis I-X\n",
     {},
     ":3: I-X after O; legal: B-X, as which --repair-tags takes it"},
    {"token-classification",
     "r.conll",
     "the S-X\nfilm B-X\nis O\n",
     {},
     ":2: B-X before O; legal: S-X, as which --repair-tags takes it"},
    {"token-classification",
     "r.conll",
     "the DT O\nfilm NN\n",
     {},
     ":2: 2 columns: legal: 3, as the sentence begins"},
    {"token-classification",
     "r.conll",
     "the\n",
     {},
     ":1: 1 column: legal: a word and, in the last column, its tag"},
    {"token-classification",
     "r.conll",
     "the B-X\nfilm NOUN\n",
     {},
     ":2: tags: NOUN: legal: O, or B-, I-, E- or S- with the kind of an entity"},
    {"token-classification", "r.conll", "the O\n", {}, ": tags: one tag only (O); legal: two"},
    {"token-classification",
     "r.conll",
     "the A\nfilm B\n",
     {"--windows", "600"},
     "--windows: 600: legal: a whole number from 0 to 509"},
    {"question-answering",
     "r.jsonl",
     "{\"question\": \"q\", \"context\": \"the film\", \"answers\": {\"text\": [\"film\"], "
     "\"answer_start\": [3]}}\n",
     {},
     ":1: answers: \"film\": answer_start 3: the context has there \" fil\"; legal: the character "
     "at which the answer begins, from 0; it first stands at 4"},
    {"question-answering",
     "r.jsonl",
     "{\"question\": \"q\", \"context\": \"the film\", \"answers\": {\"text\": [\"plot\"], "
     "\"answer_start\": [30]}}\n",
     {},
     "the context has there nothing, as it has 8 characters; legal:"},
    {"question-answering",
     "r.jsonl",
     "{\"question\": \"q\", \"context\": \"the film\", \"answers\": {\"text\": [\"film\"], "
     "\"answer_start\": [9223372036854775807]}}\n",
     {},
     "the context has there nothing, as it has 8 characters; legal:"},
    {"question-answering",
     "r.jsonl",
     "{\"question\": \"q\", \"context\": \"the film\", \"answers\": {\"text\": [\"film\"]}}\n",
     {},
     ":1: answers: {\"text\":[\"film\"]}: legal: {\"text\": [\"...\"], \"answer_start\": [0]}"},
    {"question-answering",
     "r.jsonl",
     "{\"question\": \"q\", \"context\": \"the film\", \"answers\": [{\"text\": \"\", "
     "\"answer_start\": 0}]}\n",
     {},
     ":1: answers: an answer without text; legal: no answer at all"},
    {"question-answering",
     "r.jsonl",
     "{\"question\": \"q\", \"context\": \"the film\"}\n",
     {},
     ":1: answers: no label; legal: a label in each row, or --drop-unlabelled"},
    {"question-answering",
     "r.jsonl",
     "{\"question\": \"q\", \"answers\": []}\n",
     {},
     ":1: context: null: legal: a text; --context names the column"},
    {"question-answering", "r.json", "[]", {}, ": no list \"data\" of articles; legal: a .json"},
    {"question-answering",
     "r.json",
     "{\"data\": [{\"paragraphs\": [{\"qas\": []}]}]}",
     {},
     ": data[0].paragraphs[0].context: missing, or not a text; legal: a text"},
    {"question-answering",
     "r.json",
     "{\"data\": [{\"paragraphs\": [{\"context\": \"a\", \"qas\": [{\"question\": \"q\", "
     "\"is_impossible\": true, \"answers\": [{\"text\": \"a\", \"answer_start\": 0}]}]}]}]}",
     {},
     ": data[0].paragraphs[0].qas[0]: is_impossible: true, with answers; legal: one of them"},
    {"question-answering",
     "r.jsonl",
     "{\"question\": \"the film is it good\", \"context\": \"the film\", \"answers\": []}\n",
     {"--max-length", "8"},
     ":1: a question of 5 tokens leaves room for 0 of its context; legal: a shorter one, or a "
     "larger --max-length (it is 8), or a smaller --stride (it is 2)"},
    {"masked-language-modeling",
     "r.jsonl",
     "{\"text\": \"the film\"}\n",
     {},
     "/tokenizer_config.json: mask_token: none that tokenizer.json has; legal: the token that"},
    {"classification",
     "r.csv",
     "text,o,l\na,b,x\nb,a,y\n",
     {"--label", "l", "--pair", "o", "--windows", "2"},
     "--windows, --pair: legal: one of them, as one text is divided"},
};

TEST_F(Prepare, MistakesOfTasksAreNamedInOneLine) {
    for (auto const& mistake : kMistakes) {
        std::vector<std::string> arguments{"--task", mistake.task, "--train",
                                           file(mistake.file, mistake.text)};
        arguments.insert(arguments.end(), mistake.more.begin(), mistake.more.end());
        auto const said = prepare(arguments);
        EXPECT_EQ(said.exit_code, 2) << said.output;
        std::string const expected =
            mistake.said[0] == ':' ? mistake.file + std::string(mistake.said) : mistake.said;
        EXPECT_TRUE(has(said.output, expected)) << said.output << "expected: " << expected;
        EXPECT_EQ(std::ranges::count(said.output, '\n'), 1) << said.output;
        EXPECT_FALSE(std::filesystem::exists(out())) << expected;
    }
}

} // namespace
} // namespace trireme::test
