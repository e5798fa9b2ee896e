#include "framework/pretrained/export_model.hpp"

#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/safetensors_values.hpp"
#include "framework/pretrained/weights.hpp"

namespace trireme::framework::pretrained {

namespace {

struct DtypeChoice {
    char const* name;
    at::ScalarType type;
    char const* in_config; ///< what config.json calls it
};
constexpr std::array<DtypeChoice, 3> kChoices{{{"fp32", at::kFloat, "float32"},
                                               {"bf16", at::kBFloat16, "bfloat16"},
                                               {"fp16", at::kHalf, "float16"}}};

DtypeChoice const& choice_of(std::string const& name) {
    for (auto const& c : kChoices)
        if (name == c.name) return c;
    throw cluster::InputError(fmt::format("dtype: {}: legal: auto, fp32, bf16, fp16", name));
}

/// Each tensor in the dtype it came in; what is new, such as a classifier, in that of the first,
/// the token embeddings.
std::vector<PlannedTensor> plan_as_it_came(std::map<std::string, std::string> const& dtypes,
                                           std::vector<HfTensor> const& tensors) {
    std::vector<PlannedTensor> plan;
    for (auto const& t : tensors) {
        auto const found = dtypes.find(t.name);
        if (found == dtypes.end() && plan.empty())
            throw cluster::InputError(
                fmt::format("dtype of {}: missing; legal: a dtype for each tensor", t.name));
        plan.push_back(
            {t.name, t.shape,
             found == dtypes.end() ? plan[0].dtype : dtype_of_name(t.name, found->second),
             t.scalar});
    }
    return plan;
}

struct Plan {
    std::vector<PlannedTensor> tensors;
    std::string dtype_in_config; ///< "": as it was
};

Plan plan_of(ExportOptions const& options, std::vector<HfTensor> const& tensors) {
    if (options.dtype == "auto" && !options.dtypes.empty())
        return {plan_as_it_came(options.dtypes, tensors), ""};
    DtypeChoice const& choice = choice_of(options.dtype == "auto" ? "fp32" : options.dtype);
    Plan plan{{}, choice.in_config};
    for (auto const& t : tensors) plan.tensors.push_back({t.name, t.shape, choice.type, t.scalar});
    return plan;
}

} // namespace

std::map<std::string, std::string> stored_dtypes(model::Config const& model,
                                                 std::string const& folder) {
    auto const entries = find_tensors(folder);
    std::map<std::string, std::string> dtypes;
    for (auto const& t : hf_tensors(model))
        if (auto const found = find_tensor(entries, model, t.name); found != entries.end())
            dtypes.emplace(t.name, found->second.dtype);
    return dtypes;
}

void write_parts(SafetensorsWriter& writer, std::vector<HfTensor> const& tensors,
                 ParameterValues const& values) {
    for (auto const& t : tensors) {
        at::Tensor whole; // the parameter whose parts follow one another
        for (auto const& part : t.parts) {
            if (part.from == 0) whole = values(part.parameter);
            writer.write(t.name, rectangle_of(t, part), pretrained::values_of(part, whole));
        }
    }
}

void export_model(model::Config const& model, ParameterValues const& values,
                  std::string const& folder, ExportOptions const& options) {
    cluster::check_new_folder("export", folder);
    auto const tensors = hf_tensors(model);
    Plan const plan = plan_of(options, tensors);
    cluster::StagingFolder const staging(folder);
    SafetensorsWriter writer(staging.path(), plan.tensors, options.shard_bytes);
    write_parts(writer, tensors, values);
    writer.finish();
    cluster::write_file(staging.path() + "/config.json", to_hf_config(model, plan.dtype_in_config));
    for (auto const& from : options.files_from) data::copy_tokenizer_files(from, staging.path());
    std::error_code none; // a classifier generates nothing
    if (!model::traits_of(model.head).of_vocabulary())
        std::filesystem::remove(staging.path() + "/generation_config.json", none);
    if (options.finally) options.finally(staging.path());
    staging.commit();
}

} // namespace trireme::framework::pretrained
