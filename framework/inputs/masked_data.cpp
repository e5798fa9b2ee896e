#include "framework/inputs/masked_data.hpp"

#include <fmt/format.h>

#include <utility>

#include "cluster/error.hpp"
#include "data/tokenizer_files.hpp"

namespace trireme::framework::inputs {

namespace {

std::int32_t mask_token(config::Config const& config, model::Config const& model) {
    for (auto const& folder : {config.data.path, config.model.path})
        if (auto const token = data::mask_token_of(folder); token >= 0 && token < model.vocabulary)
            return static_cast<std::int32_t>(token);
    throw cluster::InputError(fmt::format(
        "{}/tokenizer_config.json: mask_token: none that {} has; legal: the token that the model "
        "was trained to fill in, as in \"mask_token\": \"[MASK]\"",
        config.data.path, config.model.path));
}

} // namespace

std::unique_ptr<data::Dataset> with_masks(std::unique_ptr<data::Dataset> set,
                                          config::Config const& config, model::Config const& model,
                                          data::Masking masking) {
    if (set->task().kind != data::TaskKind::masked_language_modeling) return set;
    masking.mask_token = mask_token(config, model);
    return data::make_masked_dataset(std::move(set), masking);
}

} // namespace trireme::framework::inputs
