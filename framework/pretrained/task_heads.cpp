#include "framework/pretrained/task_heads.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "framework/model/layer_names.hpp"
#include "framework/pretrained/hf_config.hpp"

namespace trireme::framework::pretrained {

bool is_task_head(model::Config const& model, std::string const& name) {
    model::HeadNames const head = model::head_names(model);
    return name == head.classifier.weight || name == head.classifier.bias ||
           name == head.pooler.weight || name == head.pooler.bias;
}

bool is_other_head(model::Config const& model, std::string const& name) {
    // A RoBERTa's body has a pooler that its classifier does not read.
    constexpr std::array kPretraining{
        "cls.predictions.",  "cls.seq_relationship.", "lm_head.",
        "embed_out.",        "vocab_transform.",      "pooler.",
        "vocab_layer_norm.", "vocab_projector.",      "roberta.pooler."};
    constexpr std::array kClassifiers{"score.", "classifier."};
    auto const begins = [&](auto const& starts) {
        return std::ranges::any_of(starts,
                                   [&](auto const* start) { return name.starts_with(start); });
    };
    return model::traits_of(model.head).of_vocabulary() ? begins(kClassifiers)
                                                        : begins(kPretraining);
}

std::optional<std::vector<std::int64_t>> rows_of_classes(model::Config const& model) {
    if (problem_of(model) != model::traits_of(model.head).problem_type) return std::nullopt;
    std::map<std::string, std::int64_t> row;
    for (auto const& name : class_names_of(model))
        row.emplace(name, static_cast<std::int64_t>(row.size()));
    std::vector<std::int64_t> rows;
    for (auto const& label : model.labels) {
        auto const found = row.find(label);
        if (found == row.end()) return std::nullopt;
        rows.push_back(found->second);
    }
    bool const all =
        row.size() == model.labels.size() && class_names_of(model).size() == row.size();
    return all ? std::optional(rows) : std::nullopt;
}

} // namespace trireme::framework::pretrained
