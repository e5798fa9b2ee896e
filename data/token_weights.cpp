#include "data/token_weights.hpp"

#include <algorithm>
#include <numeric>
#include <string_view>

namespace trireme::data {

bool has_token_weights(TaskSchema const& task) {
    return std::string_view(task.columns.front().name) == kTokenLabels.name;
}

std::vector<std::int32_t> equal_weights(std::vector<std::int32_t> const& labels) {
    std::vector<std::int32_t> weights;
    weights.reserve(labels.size());
    for (auto const label : labels) weights.push_back(counts(label) ? kWeightUnit : 0);
    return weights;
}

void append_weights(std::vector<std::int32_t> const& own, MicroBatch& micro_batch) {
    auto const& labels = micro_batch.columns.labels_of(kTokenLabels);
    auto const before = std::ssize(micro_batch.columns.labels_of(kTokenWeights));
    if (own.empty() && before == 0) return;
    auto more = equal_weights({labels.begin() + before, labels.end() - std::ssize(own)});
    more.insert(more.end(), own.begin(), own.end());
    micro_batch.columns.append(kTokenWeights, 1, more);
}

double weight_of(Dataset const& dataset, StepPlan const& plan) {
    if (!has_token_weights(dataset.task())) return static_cast<double>(plan.trained);
    std::int64_t sum = 0;
    for (auto const& micro_batch : plan.micro_batches)
        for (auto const id : micro_batch) {
            auto const weights = dataset.values_of(id, kTokenWeights);
            if (weights.empty()) sum += dataset.trained(id) * kWeightUnit;
            for (auto const weight : weights) sum += std::max(weight, 0);
        }
    return static_cast<double>(sum) / kWeightUnit;
}

} // namespace trireme::data
