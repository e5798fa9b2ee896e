#include "framework/pretrained/task_heads.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "framework/model/layer_names.hpp"
#include "framework/pretrained/hf_config.hpp"

namespace trireme::framework::pretrained {

bool is_task_head(model::Config const& model, std::string const& name) {
    model::HeadNames const head = model::head_names(model);
    for (auto const* layer :
         {&head.classifier, &head.pooler, &head.transform, &head.transform_norm})
        if (name == layer->weight || name == layer->bias) return true;
    return name == head.vocabulary_bias;
}

bool is_other_head(model::Config const& model, std::string const& name) {
    constexpr std::array kPretraining{"cls.predictions.", "lm_head."};
    constexpr std::array kClassifiers{"score.", "classifier."};
    constexpr std::array kOthers{"cls.seq_relationship."};
    // Only heads of samples have a pooler, which a whole encoder's folder has in any case.
    std::string const body = model::body_prefix(model);
    std::string const own = name.starts_with(body) ? name.substr(body.size()) : name;
    bool const of_samples = model::traits_of(model.head).rows == data::Per::sample;
    if (!model.causal && !of_samples && own.starts_with("pooler.")) return true;
    auto const begins = [&](auto const& starts) {
        return std::ranges::any_of(starts,
                                   [&](auto const* start) { return name.starts_with(start); });
    };
    return begins(kOthers) || (model::traits_of(model.head).of_vocabulary() ? begins(kClassifiers)
                                                                            : begins(kPretraining));
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
