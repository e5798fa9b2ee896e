#include "launch/prediction_summary.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"

namespace trireme::launch {

using Json = nlohmann::ordered_json;

void PredictionSummary::add(Json const& line) {
    if (line.contains("masks")) {
        masks += std::ssize(line["masks"]);
        unmasked += line["masks"].empty();
    } else if (line.contains("entities")) {
        for (auto const& entity : line["entities"]) ++predicted[entity["type"].get<std::string>()];
    } else if (line.contains("probabilities") && line.contains("predictions")) {
        for (auto const& name : line["predictions"]) ++predicted[name.get<std::string>()];
    } else if (line.contains("probabilities")) {
        ++predicted[line["prediction"].get<std::string>()];
    }
}

std::string PredictionSummary::line(std::int64_t length) const {
    std::vector<std::string> classes;
    for (auto const& [name, count] : predicted)
        classes.push_back(fmt::format("{} {}", cluster::one_line(name), count));
    if (masks) classes.push_back(cluster::counted(masks, "mask token"));
    return fmt::format(
        "{}{}{}{}{}{}\n", cluster::counted(texts, "text"), classes.empty() ? "" : ": ",
        fmt::join(classes, ", "),
        unmasked ? fmt::format("; {} without a mask token", unmasked) : "",
        blank ? fmt::format("; {} without a word, and so without a prediction", blank) : "",
        cut ? fmt::format("; {} cut to {}", cut, cluster::counted(length, "token")) : "");
}

std::string lines_of(nlohmann::json const& block, std::vector<Json> const& found,
                     PredictionSummary& sum) {
    std::string text;
    auto of_text = found.begin();
    for (std::size_t i = 0; i < block.at("texts").size(); ++i) {
        Json line{{"source", block.at("sources")[i]}, {"text", block.at("texts")[i]}};
        if (!block.at("pairs").empty()) line["pair"] = block.at("pairs")[i];
        ++sum.texts;
        if (block.at("windows")[i].empty()) {
            ++sum.blank;
            line["prediction"] = nullptr; // whatever the task
        } else {
            bool const cut = block.at("cut")[i].get<bool>();
            sum.cut += cut;
            if (cut) line["cut"] = true;
            line.update(*of_text++);
            sum.add(line);
        }
        text += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    }
    return text;
}

} // namespace trireme::launch
