#include <fmt/format.h>
#include <pybind11/embed.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"
#include "data/micro_batch.hpp"
#include "launch/text/choices.hpp"
#include "launch/text/rows.hpp"

namespace trireme::launch::text {

using Json = nlohmann::json;

namespace {

namespace py = pybind11;
using Tokens = std::vector<std::int32_t>;
using Positions = std::array<std::vector<std::size_t>, 2>; ///< of the first and the second sentence

/// Reads the token that a text begins with where the tokenizer's template adds none: bos_token_id
/// of config.json, or else eos_token_id, the prefix of lm-evaluation-harness
/// (lm_eval/models/huggingface.py, prefix_token_id).
std::int32_t first_token_of(std::string const& folder, std::int64_t vocabulary) {
    std::string const file = folder + "/config.json";
    Json const config = data::parse_json(file, cluster::read_file(file));
    for (auto const* const name : {"bos_token_id", "eos_token_id"}) {
        if (!config.contains(name)) continue;
        Json const& id =
            config[name].is_array() && !config[name].empty() ? config[name].front() : config[name];
        if (id.is_number_integer() && id.get<std::int64_t>() >= 0 &&
            id.get<std::int64_t>() < vocabulary)
            return id.get<std::int32_t>();
    }
    throw cluster::InputError(file + ": bos_token_id: none; legal: a token of the tokenizer that a "
                                     "text begins with, behind which its first word is scored");
}

/// A decoder's sentence: each token behind those before it.
Json causal_sample(Tokens const& sentence, Tokens const& leading) {
    Tokens tokens = leading, labels(leading.size() - 1, data::kIgnoredLabel);
    tokens.insert(tokens.end(), sentence.begin(), sentence.end() - 1);
    labels.insert(labels.end(), sentence.begin(), sentence.end());
    return {{"tokens", std::move(tokens)}, {"labels", std::move(labels)}};
}

/// An encoder's sentence with one token hidden.
Json hidden_sample(Tokens const& sentence, std::size_t hidden, ChoiceReader const& reader) {
    auto const &leading = reader.tokenizer.leading(), &trailing = reader.tokenizer.trailing();
    Tokens tokens = leading;
    tokens.insert(tokens.end(), sentence.begin(), sentence.end());
    tokens.insert(tokens.end(), trailing.begin(), trailing.end());
    Tokens labels(tokens.size(), data::kIgnoredLabel);
    auto const at = leading.size() + hidden;
    labels[at] = std::exchange(tokens[at], reader.mask_token);
    return {{"tokens", std::move(tokens)}, {"labels", std::move(labels)}};
}

/// Positions of the tokens that both have, by the alignment of Python's difflib, as the program of
/// CrowS-Pairs has them.
Positions shared_positions(Tokens const& first, Tokens const& second) {
    Positions shared;
    auto const matcher = py::module_::import("difflib").attr("SequenceMatcher")(
        py::none(), first, second, py::arg("autojunk") = false);
    for (auto const& block : matcher.attr("get_matching_blocks")()) {
        auto const [a, b, size] = block.cast<std::tuple<std::size_t, std::size_t, std::size_t>>();
        for (std::size_t i = 0; i < size; ++i) {
            shared[0].push_back(a + i);
            shared[1].push_back(b + i);
        }
    }
    return shared;
}

struct SentencePair {
    std::array<std::string, 2> texts;
    std::string source;
};

std::vector<SentencePair> read_pairs(std::string const& file) {
    std::vector<SentencePair> pairs;
    Columns const columns{.text = "more", .values = {"less"}};
    read_rows(file, columns, [&](Row&& row) {
        auto const source = place_of(row);
        for (auto const& [name, text] :
             {std::pair("more", &row.text), std::pair("less", &row.values.at(0))})
            if (is_blank(*text))
                throw cluster::InputError(fmt::format("{}: {}: legal: a sentence", source, name));
        if (row.text == row.values[0])
            throw cluster::InputError(source + ": more and less are equal; legal: two sentences");
        pairs.push_back({{std::move(row.text), std::move(row.values[0])}, source});
    });
    if (pairs.empty()) throw cluster::InputError(file + ": no rows; legal: one or more pairs");
    return pairs;
}

/// Samples of both sentences, and how many each has.
class PairScorer {
  public:
    PairScorer(ChoiceReader reader, Json& answer) : reader_(std::move(reader)), answer_(answer) {
        if (reader_.masked) return;
        leading_ = reader_.tokenizer.leading();
        if (leading_.empty())
            leading_ = {first_token_of(reader_.folder, reader_.tokenizer.vocabulary())};
    }
    void add(SentencePair const& pair, std::array<Tokens, 2> const& sentences) {
        check_room(pair, sentences);
        std::array<std::size_t, 2> counts{1, 1};
        if (!reader_.masked)
            for (auto const& sentence : sentences)
                answer_["samples"].push_back(causal_sample(sentence, leading_));
        else
            counts = add_hidden(pair, sentences);
        answer_["questions"].push_back({{"right", 0},
                                        {"bytes", {pair.texts[0].size(), pair.texts[1].size()}},
                                        {"samples", counts},
                                        {"source", pair.source}});
    }

  private:
    std::array<std::size_t, 2> add_hidden(SentencePair const& pair,
                                          std::array<Tokens, 2> const& sentences) {
        auto const shared = shared_positions(sentences[0], sentences[1]);
        if (shared[0].empty())
            throw cluster::InputError(pair.source + ": the sentences have no token in common; "
                                                    "legal: two that differ in a few words");
        for (std::size_t s = 0; s < 2; ++s)
            for (auto const at : shared[s])
                answer_["samples"].push_back(hidden_sample(sentences[s], at, reader_));
        return {shared[0].size(), shared[1].size()};
    }
    void check_room(SentencePair const& pair, std::array<Tokens, 2> const& sentences) const {
        auto const around = reader_.masked ? reader_.tokenizer.leading().size() +
                                                 reader_.tokenizer.trailing().size()
                                           : leading_.size() - 1;
        auto const longest =
            static_cast<std::int64_t>(std::max(sentences[0].size(), sentences[1].size()) + around);
        if (longest > reader_.room)
            throw cluster::InputError(fmt::format(
                "{}: {}; legal: at most {}, the positions of {}/config.json", pair.source,
                cluster::counted(longest, "token"), reader_.room, reader_.folder));
    }

    ChoiceReader reader_;
    Json& answer_;
    Tokens leading_; ///< of a decoder
};

} // namespace

Json sentence_pairs(Json const& request, std::string const& folder, Tokenizer const& tokenizer) {
    auto const pairs = read_pairs(request.at("sentence_pairs").get<std::string>());
    Json answer{
        {"samples", Json::array()}, {"questions", Json::array()}, {"labels", Json::array()}};
    PairScorer scorer(reader_for(request, folder, tokenizer), answer);
    for (auto const& pair : pairs) {
        auto encoded = tokenizer.encode_rendered({pair.texts[0], pair.texts[1]});
        for (auto const& sentence : encoded)
            if (sentence.tokens.empty())
                throw cluster::InputError(pair.source + ": a sentence without a token; legal: a "
                                                        "text that the tokenizer knows");
        scorer.add(pair, {std::move(encoded[0].tokens), std::move(encoded[1].tokens)});
    }
    return answer;
}

} // namespace trireme::launch::text
