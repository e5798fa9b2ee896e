#include <fmt/format.h>

#include <algorithm>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "data/loader.hpp"
#include "data/shots.hpp"
#include "launch/text/choices.hpp"

namespace trireme::launch::text {

using Json = nlohmann::json;

namespace {

struct Labelled {
    std::string text, pair;
    std::int32_t label = data::kIgnoredLabel;
    std::string source;
};

std::string trimmed(std::string const& text) {
    auto const first = text.find_first_not_of(" \t\r\n");
    if (first == std::string::npos) return "";
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

/// Tokens of a text without those that the tokenizer's template puts around it.
std::vector<std::int32_t> bare(std::vector<std::int32_t> tokens, Tokenizer const& tokenizer) {
    auto const &leading = tokenizer.leading(), &trailing = tokenizer.trailing();
    auto const cut = [&](std::vector<std::int32_t> const& around, bool in_front) {
        auto const size = std::ssize(around);
        if (std::ssize(tokens) < size) return;
        auto const at = in_front ? tokens.begin() : tokens.end() - size;
        if (std::equal(around.begin(), around.end(), at)) tokens.erase(at, at + size);
    };
    cut(leading, true);
    cut(trailing, false);
    return tokens;
}

/// The texts of samples, as their tokens say them.
std::vector<Labelled> texts_of(data::Dataset const& set, std::vector<std::int64_t> const& samples,
                               Tokenizer const& tokenizer) {
    std::vector<std::vector<std::int32_t>> parts[2];
    for (auto const sample : samples) {
        auto const batch = set.read({sample}, 1);
        for (auto& part : parts) part.emplace_back();
        for (std::size_t t = 0; t < batch.tokens.size(); ++t)
            parts[batch.segments[t] != 0].back().push_back(batch.tokens[t]);
        for (auto& part : parts) part.back() = bare(std::move(part.back()), tokenizer);
    }
    auto const texts = tokenizer.decode(parts[0]), pairs = tokenizer.decode(parts[1]);
    std::vector<Labelled> all;
    for (std::size_t i = 0; i < samples.size(); ++i)
        all.push_back({trimmed(texts[i]), trimmed(pairs[i]), set.class_of(samples[i]),
                       set.source(samples[i])});
    return all;
}

/// The word of each label, in the order of the labels. Throws InputError for names of the template
/// that the data lack, and where two labels have one word.
std::vector<std::string> label_words(PromptTemplate const& prompt,
                                     std::vector<std::string> const& labels,
                                     std::string const& file) {
    for (auto const& [name, word] : prompt.words)
        if (std::ranges::find(labels, name) == labels.end())
            throw cluster::InputError(fmt::format("{}: labels: {}: the data have no such label",
                                                  file, cluster::one_line(name)));
    std::vector<std::string> words;
    for (auto const& name : labels) {
        auto const found = prompt.words.find(name);
        std::string const& word = found == prompt.words.end() ? name : found->second;
        if (std::ranges::find(words, word) != words.end())
            throw cluster::InputError(fmt::format("{}: labels: {}: legal: a word for each label",
                                                  file, cluster::one_line(word)));
        words.push_back(word);
    }
    return words;
}

class FewShot {
  public:
    FewShot(PromptTemplate prompt, std::vector<std::string> words, std::vector<Labelled> shots)
        : prompt_(std::move(prompt)), words_(std::move(words)), shots_(std::move(shots)) {}

    /// The question behind the first `shots` of the shots.
    ChoiceQuestion question(Labelled const& of, std::size_t shots) const {
        std::string before;
        for (std::size_t s = 0; s < shots; ++s)
            before += around(prompt_.before, shots_[s]) +
                      words_[static_cast<std::size_t>(shots_[s].label)] +
                      around(prompt_.after, shots_[s]) + prompt_.separator;
        return {before + around(prompt_.before, of), around(prompt_.after, of), words_,
                static_cast<std::size_t>(of.label), of.source};
    }
    std::size_t shots() const { return shots_.size(); }

  private:
    static std::string around(std::string const& text, Labelled const& of) {
        return filled(text, {{"{text}", of.text}, {"{pair}", of.pair}});
    }
    PromptTemplate prompt_;
    std::vector<std::string> words_;
    std::vector<Labelled> shots_;
};

/// Refuses shots with which a question does not fit, and names how many would.
void check_room(FewShot const& prompts, std::vector<Labelled> const& tests,
                ChoiceReader const& reader) {
    for (auto const& test : tests) {
        auto const length = [&](std::size_t shots) {
            return longest_of(samples_of(prompts.question(test, shots), reader));
        };
        auto const all = length(prompts.shots());
        if (all <= reader.room) continue;
        auto fitting = static_cast<std::int64_t>(prompts.shots()) - 1;
        while (fitting >= 0 && length(static_cast<std::size_t>(fitting)) > reader.room) --fitting;
        throw cluster::InputError(fmt::format(
            "--shots: {}: {} has {} with them; legal: {}, as {}/config.json has {} positions",
            prompts.shots(), test.source, cluster::counted(all, "token"),
            fitting < 0 ? "data prepared with a smaller --max-length"
                        : fmt::format("at most {}", fitting),
            reader.folder, reader.room));
    }
}

/// Windows of a document would be scored one by one.
void check_whole(std::vector<Labelled> const& tests, std::string const& data) {
    for (std::size_t i = 1; i < tests.size(); ++i)
        if (!tests[i].source.empty() && tests[i].source == tests[i - 1].source)
            throw cluster::InputError(fmt::format(
                "--shots: {}: {} is divided into windows; legal: data prepared without --windows",
                data, tests[i].source));
}

std::vector<Labelled> tests_of(data::Dataset const& set, std::string const& name,
                               Tokenizer const& tokenizer) {
    std::vector<std::int64_t> samples;
    for (std::int64_t i = 0; i < set.size(); ++i)
        if (set.class_of(i) >= 0) samples.push_back(i);
    auto tests = texts_of(set, samples, tokenizer);
    for (std::size_t i = 0; i < tests.size(); ++i)
        if (tests[i].source.empty())
            tests[i].source = fmt::format("{} sample {}", name, samples[i]);
    if (tests.empty())
        throw cluster::InputError(name + ": no sample with a label; legal: one or more");
    return tests;
}

/// Behind all shots.
std::vector<ChoiceQuestion> questions_of(FewShot const& prompts,
                                         std::vector<Labelled> const& tests) {
    std::vector<ChoiceQuestion> questions;
    for (auto const& test : tests) questions.push_back(prompts.question(test, prompts.shots()));
    return questions;
}

} // namespace

Json few_shot(Json const& request, std::string const& folder, Tokenizer const& tokenizer) {
    auto const name = request.at("few_shot").get<std::string>(),
               split = request.at("split").get<std::string>(),
               file = request.at("template").get<std::string>();
    auto const set = data::open_dataset(name, split), train = data::open_dataset(name, "train");
    data::check_shots(*set, name, split);
    auto const paired =
        set->segments() > 1 ? std::vector<std::string>{"{pair}"} : std::vector<std::string>{};
    PromptTemplate const prompt = read_template(file, "{label}", "{text}", paired);
    auto const words = label_words(prompt, set->label_names(), file);
    auto const shots = data::choose_shots(*train, request.at("shots").get<std::int64_t>(),
                                          request.at("seed").get<std::uint64_t>());
    FewShot const prompts(prompt, words, texts_of(*train, shots, tokenizer));
    auto const tests = tests_of(*set, name + " " + split, tokenizer);
    check_whole(tests, name);
    ChoiceReader const reader = reader_for(request, folder, tokenizer);
    check_room(prompts, tests, reader);
    return answer_of(questions_of(prompts, tests), reader, set->label_names());
}

} // namespace trireme::launch::text
