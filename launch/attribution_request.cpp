#include "launch/attribution_request.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "cluster/error.hpp"
#include "data/tokenizer_files.hpp"

namespace trireme::launch {

namespace po = boost::program_options;
using framework::jobs::Baseline;

namespace {

constexpr std::int64_t kMostGivenSteps = 10'000, kMostNamed = 100;

void one_of(char const* option, std::string const& value, std::vector<std::string> const& legal) {
    if (std::ranges::find(legal, value) == legal.end())
        throw cluster::InputError(
            fmt::format("{}: {}: legal: {}", option, value, fmt::join(legal, ", ")));
}

void check_numbers(AttributionRequest const& r) {
    if (r.job.steps < 0 || r.job.steps > kMostGivenSteps)
        throw cluster::InputError(
            fmt::format("--steps: {}: legal: 0 to {}", r.job.steps, kMostGivenSteps));
    if (!(r.job.tolerance > 0 && r.job.tolerance < 1))
        throw cluster::InputError(fmt::format(
            "--tolerance: {}: legal: a number between 0 and 1, which are not", r.job.tolerance));
    if (r.top < 1 || r.top > kMostNamed)
        throw cluster::InputError(fmt::format("--top: {}: legal: 1 to {}", r.top, kMostNamed));
    if (r.job.tokens_per_micro_batch < 1)
        throw cluster::InputError(
            fmt::format("--tokens-per-micro-batch: {}: legal: a whole number >= 1",
                        r.job.tokens_per_micro_batch));
}

constexpr char const* kAttributeHelp =
    "trireme attribute MODEL: which tokens and words a prediction rests on, or what each token "
    "costs a language model; as JSON, of which `trireme report --attributions` makes a page\n\n"
    "  echo 'a film to see twice' | trireme attribute exported --output attributions.json\n"
    "  trireme attribute exported --input new.csv --output attributions.json --force\n\n"
    "Integrated gradients of the output that is explained; special tokens are those of the text "
    "at\n"
    "the baseline too.\n\nOptions";

} // namespace

po::options_description options_of(AttributionRequest& r) {
    po::options_description options(kAttributeHelp);
    auto const word = [](auto* to, char const* name) { return po::value(to)->value_name(name); };
    auto const column = [&r](char const* name) {
        return po::value<std::string>()->value_name("NAME")->notifier(
            [&r, name](auto const& given) { r.source.options[name] = given; });
    };
    // clang-format off
    options.add_options()
        ("model", po::value(&r.model)->required(),
         "Hugging Face folder of a classifier, a regressor or a causal language model")
        ("output", word(&r.output, "FILE")->required(), "JSON file to write; must not exist")
        ("input", word(&r.source.input, "FILE")->default_value(kStandardInput),
         "file of any kind that `prepare` reads; -: standard input, a text per line, read to its "
         "end")
        ("text", column("text"), "name of the text column (default: text)")
        ("pair", column("pair"), "name of the column with the second text, if there is one")
        ("max-length", word(&r.source.max_length, "N")->default_value(0),
         "tokens at which a text is cut; 0: 512, or less where model or tokenizer have less")
        ("base", word(&r.base, "DIR"),
         "folder of another model of the same task, as the one before tuning, to show beside MODEL")
        ("target", word(&r.target, "LABEL"),
         "label whose output is explained (default: the one that MODEL predicts); of a language "
         "model: last, or the place of a token, from 0, whose log-probability is explained "
         "(default: none)")
        ("method", word(&r.method, "NAME")->default_value(kIntegrated),
         "integrated-gradients, with gradient x input beside them; or gradient-x-input alone, "
         "which is quicker")
        ("steps", word(&r.job.steps, "N")->default_value(0),
         "gradients between baseline and text; 0: 16, doubled up to 1024 until their sum is "
         "within --tolerance of the difference of outputs")
        ("tolerance", word(&r.job.tolerance, "SHARE")->default_value(0.01, "0.01"),
         "share of that difference by which the sum may miss it")
        ("baseline", word(&r.baseline, "NAME")->default_value("auto"),
         "what stands for no text: mask, pad (rows of these tokens), mean (row of the token "
         "table), zero; auto: the first of mask, pad, mean that there is; mean of a language model")
        ("influence", word(&r.influence, "DATA"),
         "data that MODEL, a classifier or a language model, was trained with: name the samples "
         "that helped and harmed the prediction most")
        ("split", word(&r.split, "NAME")->default_value("train"), "split of that data")
        ("top", word(&r.top, "N")->default_value(5), "training samples that are named of each kind")
        ("tokens-per-micro-batch", word(&r.job.tokens_per_micro_batch, "N")->default_value(2048),
         "upper limit of what is computed together")
        ("force", po::bool_switch(&r.force), "replace the file of --output")
        ("set", word(&r.job.set, "KEY=VALUE")->composing(), "numerics.compute");
    // clang-format on
    return options;
}

void check(AttributionRequest const& r) {
    one_of("--method", r.method, {kIntegrated, kGradient});
    one_of("--baseline", r.baseline, {"auto", "mask", "pad", "mean", "zero"});
    check_numbers(r);
    if (r.source.input == kStandardInput && r.source.options.contains("pair"))
        throw cluster::InputError("--pair: legal with --input FILE only");
    if (!r.output.ends_with(".json"))
        throw cluster::InputError(
            fmt::format("--output: {}: legal: a name that ends in .json", r.output));
}
std::string choose_baseline(AttributionRequest& r) {
    r.job.baseline = r.baseline == "zero" ? Baseline::zero : Baseline::mean;
    for (auto const& [name, find] :
         {std::pair{"mask", &data::mask_token_of}, std::pair{"pad", &data::pad_token_of}}) {
        if (r.baseline != name && (r.baseline != "auto" || r.language_model)) continue;
        if (auto const token = find(r.model); token >= 0) {
            r.job.baseline = Baseline::token;
            r.job.baseline_token = static_cast<std::int32_t>(token);
            return fmt::format("the {} token", name);
        }
        if (r.baseline == name)
            throw cluster::InputError(
                fmt::format("--baseline: {}: the tokenizer in {} names no such token; legal: auto, "
                            "mean, zero",
                            name, r.model));
    }
    return r.baseline == "zero" ? "zeros" : "the mean row of the token table";
}

} // namespace trireme::launch
