#include "framework/pretrained/export_model.hpp"

#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/safetensors.hpp"
#include "framework/pretrained/weights.hpp"

namespace trireme::framework {

namespace fs = std::filesystem;

namespace {

struct DtypeChoice {
    char const* name;
    at::ScalarType type;
    char const* in_config; ///< what config.json calls it
};
constexpr std::array<DtypeChoice, 3> kChoices{
    {{"fp32", at::kFloat, "float32"}, {"bf16", at::kBFloat16, "bfloat16"}, {"fp16", at::kHalf, "float16"}}};

constexpr std::array kTokenizerFiles{
    "tokenizer.json",    "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt",
    "added_tokens.json", "chat_template.jinja",   "generation_config.json"};

DtypeChoice const& choice_of(std::string const& name) {
    for (auto const& c : kChoices)
        if (name == c.name) return c;
    throw cluster::InputError(fmt::format("dtype: {}: legal: auto, fp32, bf16, fp16", name));
}

/// Each tensor in the dtype it came in; what is new, such as a classifier, in that of the first, the token embeddings.
std::vector<PlannedTensor> plan_as_it_came(ModelConfig const& model, std::string const& folder,
                                           std::vector<HfTensor> const& tensors) {
    auto const entries = find_tensors(folder);
    std::vector<PlannedTensor> plan;
    for (auto const& t : tensors) {
        auto const found = find_tensor(entries, model, t.name);
        if (found == entries.end() && plan.empty())
            throw cluster::InputError(fmt::format("{}: tensor {} is missing", folder, t.name));
        plan.push_back(
            {t.name, t.shape, found == entries.end() ? plan[0].dtype : weight_dtype(found->first, found->second)});
    }
    return plan;
}

struct Plan {
    std::vector<PlannedTensor> tensors;
    std::string dtype_in_config; ///< "": as it was
};

Plan plan_of(ModelConfig const& model, ExportOptions const& options, std::vector<HfTensor> const& tensors) {
    if (options.dtype == "auto" && !options.weights_from.empty())
        return {plan_as_it_came(model, options.weights_from, tensors), ""};
    DtypeChoice const& choice = choice_of(options.dtype == "auto" ? "fp32" : options.dtype);
    Plan plan{{}, choice.in_config};
    for (auto const& t : tensors) plan.tensors.push_back({t.name, t.shape, choice.type});
    return plan;
}

void copy_if_there(std::string const& from, std::string const& name, std::string const& to) {
    if (!from.empty() && fs::exists(from + "/" + name)) fs::copy_file(from + "/" + name, to + "/" + name);
}

} // namespace

void write_parts(SafetensorsWriter& writer, std::vector<HfTensor> const& tensors, ParameterValues const& values) {
    for (auto const& t : tensors)
        for (auto const& part : t.parts) writer.write(t.name, rectangle_of(t, part), values(part.parameter));
}

void export_model(ModelConfig const& model, ParameterValues const& values, std::string const& folder,
                  ExportOptions const& options) {
    cluster::check_new_folder("export", folder);
    auto const tensors = hf_tensors(model);
    Plan const plan = plan_of(model, options, tensors);
    cluster::StagingFolder const staging(folder);
    SafetensorsWriter writer(staging.path(), plan.tensors, options.shard_bytes);
    write_parts(writer, tensors, values);
    writer.finish();
    cluster::write_file(staging.path() + "/config.json", to_hf_config(model, plan.dtype_in_config));
    for (auto const* name : kTokenizerFiles) copy_if_there(options.tokenizer_from, name, staging.path());
    if (model.head == HeadKind::language_model)
        copy_if_there(options.weights_from, "generation_config.json", staging.path());
    if (options.finally) options.finally(staging.path());
    staging.commit();
}

} // namespace trireme::framework
