#include "launch/attribution_document.hpp"

#include <algorithm>

#include "framework/model/probabilities.hpp"

namespace trireme::launch {

using Json = nlohmann::ordered_json;

namespace {

/// Adds the prediction, as the task of the model has it.
void tell_prediction(framework::jobs::Attribution const& found,
                     framework::jobs::AttributedModel const& model, Json& line) {
    auto const& labels = model.labels();
    auto const target = static_cast<std::size_t>(found.target);
    line.update({{"target", labels.at(target)},
                 {"output", found.outputs.at(target)},
                 {"baseline_output", found.baseline_output}});
    if (model.task().kind == data::TaskKind::regression) return;
    std::vector<float> const logits(found.outputs.begin(), found.outputs.end());
    bool const single = model.task().kind == data::TaskKind::classification;
    auto const shares = single ? framework::model::softmax(logits) : std::vector<double>();
    auto& probabilities = line["probabilities"] = Json::object();
    for (std::size_t c = 0; c < labels.size(); ++c)
        probabilities[labels[c]] = single ? shares[c] : framework::model::sigmoid(logits[c]);
    if (!single) return;
    auto const best = std::ranges::max_element(found.outputs) - found.outputs.begin();
    line["prediction"] = labels.at(static_cast<std::size_t>(best));
}

} // namespace

std::vector<double> by_word(std::vector<double> const& of_tokens,
                            std::vector<std::int64_t> const& places, std::size_t words) {
    std::vector<double> sums(words, 0.0);
    for (std::size_t t = 0; t < of_tokens.size(); ++t)
        if (places[t] >= 0) sums.at(static_cast<std::size_t>(places[t])) += of_tokens[t];
    return sums;
}

namespace {

void tell_attributions(framework::jobs::Attribution const& found,
                       std::vector<std::int64_t> const& places, std::size_t words, Json& line) {
    auto const values = [&](std::vector<double> const& tokens) {
        return Json{{"tokens", tokens}, {"words", by_word(tokens, places, words)}};
    };
    if (!found.integrated.empty()) {
        auto& integrated = line["integrated_gradients"] = values(found.integrated);
        integrated.update({{"steps", found.steps}, {"error", found.error()}});
    }
    line["gradient_x_input"] = values(found.gradient_x_input);
    if (found.deletion.tokens > 0)
        line["deletion"] = {{"tokens", found.deletion.tokens},
                            {"highest", found.deletion.highest},
                            {"random", found.deletion.random}};
}

} // namespace

Json to_json(framework::jobs::Attribution const& found,
             framework::jobs::AttributedModel const& model, std::vector<std::int64_t> const& places,
             std::size_t words) {
    Json line;
    tell_prediction(found, model, line);
    tell_attributions(found, places, words, line);
    return line;
}

Json to_json(framework::jobs::Attribution const& found, std::int64_t place,
             std::vector<std::int64_t> const& places, std::size_t words) {
    Json line{{"place", place},
              {"target", nullptr},
              {"output", found.outputs.at(0)},
              {"baseline_output", found.baseline_output}};
    tell_attributions(found, places, words, line);
    return line;
}

Json to_json(std::vector<framework::jobs::TokenLoss> const& losses) {
    auto values = Json::array({nullptr}), ranks = values, likeliest = values,
         probabilities = values;
    double sum = 0;
    for (auto const& token : losses) {
        sum += token.loss;
        values.push_back(token.loss);
        ranks.push_back(token.rank);
        likeliest.push_back(token.likeliest);
        probabilities.push_back(token.probability);
    }
    return {{"loss", losses.empty() ? Json() : Json(sum / static_cast<double>(losses.size()))},
            {"losses", values},
            {"ranks", ranks},
            {"likeliest", likeliest},
            {"probabilities", probabilities}};
}

} // namespace trireme::launch
