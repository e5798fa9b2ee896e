// The tiny models of tests/golden, loaded, with the values that transformers computes for them.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cluster/file.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/model/transformer_stage.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/weights.hpp"
#include "tests/framework/pretrained/golden_files.hpp"

namespace trireme::test {

/// A tensor without dimensions is read as one of one number.
inline framework::storage::Shape shape_of(framework::pretrained::TensorEntry const& entry) {
    return entry.shape.empty() ? framework::storage::Shape{1} : entry.shape;
}

/// The configuration of a model in `folder` under the head that its config.json names; dropout off.
inline framework::model::Config golden_config(std::string const& folder,
                                              framework::config::Config& config) {
    auto const labels =
        framework::pretrained::labels_of(framework::pretrained::read_hf_config(folder));
    config.task = labels.empty() ? "language-modeling" : "classification";
    config.model.path = folder;
    config.model.hidden_dropout = config.model.attention_dropout = config.model.classifier_dropout =
        0;
    return framework::inputs::read_model_config(config, labels);
}

/// A model with its weights.
struct GoldenModel {
    framework::config::Config config;
    framework::model::Config model;
    nlohmann::json expected; ///< ids, labels, loss
    parallel::ParameterStore store;
    std::vector<std::string> notes; ///< of load_weights

    explicit GoldenModel(std::string const& name,
                         parallel::StoreOptions const& options = {.gradients = false},
                         std::string const& folder = "")
        : model(golden_config(folder.empty() ? golden(name) : folder, config)),
          expected(nlohmann::json::parse(cluster::read_file(golden(name) + "/expected.json"))),
          store(framework::model::parameter_specs(model), options),
          notes(framework::pretrained::load_weights(config.model, config.seed, model, store)
                    .notes()) {
        store.refresh_compute();
    }
    std::vector<std::vector<std::int32_t>> ids() const { return expected["ids"]; }
    std::vector<std::int32_t> labels() const { return expected["labels"]; }
};

/// Labels of the samples that count in the loss.
inline double trained_labels(GoldenModel const& m) {
    double count = 0;
    for (auto const& ids : m.ids())
        count += m.labels().empty() ? static_cast<double>(ids.size()) - 1 : 1;
    return count;
}

/// Samples packed in one micro-batch; `labels` empty: each token's label is the next one.
inline data::MicroBatch pack(std::vector<std::vector<std::int32_t>> const& samples,
                             std::vector<std::int32_t> const& labels) {
    data::MicroBatch micro_batch;
    std::vector<std::int32_t> next;
    micro_batch.offsets.push_back(0);
    for (std::size_t i = 0; i < samples.size(); ++i) {
        auto const& ids = samples[i];
        for (std::size_t t = 0; t < ids.size(); ++t) {
            micro_batch.tokens.push_back(ids[t]);
            micro_batch.positions.push_back(static_cast<std::int32_t>(t));
            micro_batch.segments.push_back(0);
            next.push_back(t + 1 < ids.size() ? ids[t + 1] : data::kIgnoredLabel);
        }
        micro_batch.offsets.push_back(micro_batch.token_count());
        micro_batch.sample_ids.push_back(static_cast<std::int64_t>(i));
    }
    if (labels.empty())
        micro_batch.columns.append(data::kTokenLabels, 1, next);
    else
        micro_batch.columns.append(data::kClassLabel, 1, labels);
    return micro_batch;
}

} // namespace trireme::test
