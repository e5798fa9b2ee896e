// The way from a baseline to a text, along which gradients are integrated.
#pragma once
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/AutogradState.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/shard.hpp"
#include "framework/jobs/quadrature.hpp"
#include "framework/model/embedding_halves.hpp"
#include "parallel/linear.hpp"

namespace trireme::framework::jobs {

/// A micro-batch of samples, without what they are to be compared with.
inline model::Pass pass_of(std::vector<data::Sample> const& samples) {
    data::MicroBatch batch;
    batch.offsets.push_back(0);
    for (auto const& sample : samples) {
        batch.sample_ids.push_back(batch.sample_count());
        for (std::size_t t = 0; t < sample.tokens.size(); ++t) {
            batch.tokens.push_back(sample.tokens[t]);
            batch.segments.push_back(sample.segments.empty() ? 0 : sample.segments[t]);
            batch.positions.push_back(static_cast<std::int32_t>(t));
        }
        batch.offsets.push_back(batch.token_count());
    }
    return model::make_pass(std::move(batch), false, 0, 0, 1.0);
}

inline std::vector<double> numbers_of(at::Tensor const& tensor) {
    at::Tensor const here = tensor.detach().to(at::kDouble).contiguous();
    return {here.const_data_ptr<double>(), here.const_data_ptr<double>() + here.numel()};
}

/// A whole model on this rank whose tokens may have other rows than their own. Nothing of it is
/// trained (model::Config::frozen).
class RowModel {
  public:
    /// Both must outlive it.
    RowModel(model::Config const& config, parallel::ParameterStore& store)
        : config_(config), names_(model::embedding_names(config)),
          tokens_(use(store, names_.tokens)), positions_(use(store, names_.positions)),
          segments_(use(store, names_.segments)), norm_{use(store, names_.norm.weight),
                                                        use(store, names_.norm.bias)},
          rotary_(model::rotary_table(config, store.master_dtype())), head_(config, store) {
        if (std::ranges::find(config.layer_rotary, model::LayerRotary::local) !=
            config.layer_rotary.end())
            local_rotary_ = model::rotary_table(config, store.master_dtype(), at::kCPU,
                                                model::LayerRotary::local);
        for (std::int64_t i = 0; i < config.layers; ++i) layers_.emplace_back(config, store, i);
    }

    /// [T, D]: what the token table has, before positions are added. No graph is recorded.
    at::Tensor rows(model::Pass const& pass) const {
        at::NoGradGuard const no_graph;
        return model::scaled_rows(parallel::embedding(anchor(), pass.ids.tokens, tokens_), config_);
    }
    /// [samples, outputs]: outputs of the head, or [T, V]. A graph leads back to `rows` if they
    /// require a gradient.
    at::Tensor outputs(at::Tensor const& rows, model::Pass const& pass) const {
        return head_.logits(layers_of(rows, pass), pass);
    }
    /// [samples, 1], float64: the log-probability that a language model gives to `token` behind
    /// each sample. The graph is that of outputs.
    at::Tensor log_probabilities(at::Tensor const& rows, model::Pass const& pass,
                                 std::int32_t token) const {
        at::Tensor const ends =
            at::tensor(at::ArrayRef<std::int64_t>(pass.micro_batch.offsets).slice(1), at::kLong) -
            1;
        at::Tensor const last = layers_of(rows, pass).index_select(0, ends);
        return at::log_softmax(head_.logits(last, pass).to(at::kDouble), 1).narrow(1, token, 1);
    }

  private:
    /// [T, D]: of the last layer.
    at::Tensor layers_of(at::Tensor const& rows, model::Pass const& pass) const {
        at::Tensor x =
            model::with_places(rows, {config_, positions_, segments_, norm_}, anchor(), pass, {});
        for (auto const& layer : layers_)
            x = layer.forward(
                x, layer.rotary() == model::LayerRotary::local ? local_rotary_ : rotary_, pass);
        return x;
    }
    static parallel::ParameterUse use(parallel::ParameterStore& store, std::string const& name) {
        return name.empty() ? parallel::ParameterUse{} : parallel::ParameterUse{store.at(name)};
    }
    static at::Tensor anchor() { return at::zeros({1}); }

    model::Config const& config_;
    model::EmbeddingNames names_;
    parallel::ParameterUse tokens_, positions_, segments_;
    model::LinearUse norm_;
    model::RotaryTable rotary_, local_rotary_;
    std::vector<model::TransformerLayer> layers_;
    model::Head head_;
};

/// The straight way from a baseline to the rows of a text, both [T, D], of a model. Refers to
/// the model and the sample. Local.
class Path {
  public:
    /// `next`: -1, or the token whose log-probability behind the text is the one output.
    Path(RowModel const& model, data::Sample const& sample, at::Tensor baseline, at::Tensor rows,
         std::int32_t next)
        : model_(model), sample_(sample), baseline_(std::move(baseline)), rows_(std::move(rows)),
          next_(next) {}

    struct Found {
        at::Tensor outputs;   ///< [points, outputs]
        at::Tensor gradients; ///< [points, T, D], of the target
    };
    /// `points`: 0 the baseline, 1 the text. `target` -1: no gradient.
    Found at_points(std::vector<double> const& points, std::int64_t target) const {
        std::int64_t const n = std::ssize(points);
        at::Tensor const share = at::tensor(points, at::kDouble).to(rows_.scalar_type());
        at::Tensor all =
            (baseline_.unsqueeze(0) + share.view({n, 1, 1}) * (rows_ - baseline_).unsqueeze(0))
                .reshape({n * rows_.size(0), rows_.size(1)});
        at::AutoGradMode const graph(target >= 0);
        all.set_requires_grad(target >= 0);
        auto const pass = pass_of(std::vector<data::Sample>(points.size(), sample_));
        at::Tensor const outputs =
            next_ < 0 ? model_.outputs(all, pass) : model_.log_probabilities(all, pass, next_);
        if (target < 0) return {outputs, {}};
        c10::AutogradState::get_tls_state().set_multithreading_enabled(false);
        auto const to_rows = torch::autograd::grad({outputs.select(1, target).sum()}, {all})[0];
        return {outputs.detach(), to_rows.view({n, rows_.size(0), rows_.size(1)})};
    }
    /// Integrated gradients by token, `at_once` points at a time.
    std::vector<double> integrate(std::int64_t steps, std::int64_t target,
                                  std::int64_t at_once) const {
        auto const rule = gauss_legendre(steps);
        at::Tensor sum = at::zeros(rows_.sizes(), at::kDouble);
        for (std::int64_t first = 0; first < steps; first += at_once) {
            auto const end = std::min(steps, first + at_once);
            std::vector<double> const points(rule.nodes.begin() + first, rule.nodes.begin() + end),
                weights(rule.weights.begin() + first, rule.weights.begin() + end);
            at::Tensor const slopes = at_points(points, target).gradients.to(at::kDouble);
            sum += (slopes * at::tensor(weights, at::kDouble).view({-1, 1, 1})).sum(0);
        }
        return numbers_of(((rows_ - baseline_).to(at::kDouble) * sum).sum(1));
    }

  private:
    RowModel const& model_;
    data::Sample const& sample_;
    at::Tensor baseline_, rows_;
    std::int32_t next_;
};

} // namespace trireme::framework::jobs
