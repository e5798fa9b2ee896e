// trireme-text: everything that needs a tokenizer. A program of its own, so that training has no
// Python in it.
#include <fmt/format.h>
#include <unistd.h>

#include <boost/program_options.hpp>
#include <iostream>

#include "cluster/error.hpp"
#include "cluster/process.hpp"
#include "launch/options.hpp"
#include "launch/text/inspect.hpp"
#include "launch/text/interpreter.hpp"
#include "launch/text/prepare.hpp"
#include "launch/text/serve.hpp"

namespace {

namespace po = boost::program_options;
namespace text = trireme::launch::text;
using trireme::cluster::InputError;
using trireme::launch::parse;

int run_prepare(std::vector<std::string> const& arguments) {
    text::PrepareOptions o;
    std::vector<std::string> input, train, validation, test;
    std::string prompt, completion;
    po::options_description options(
        "trireme prepare --task TASK --tokenizer FOLDER --output FOLDER: text files to HDF5 shards "
        "and a manifest\n\n"
        "  trireme prepare --task classification --tokenizer MODEL --input reviews.jsonl \\\n"
        "      --label label --max-length 128 --output data-reviews\n"
        "  trireme prepare --task generation --tokenizer MODEL --input questions.jsonl \\\n"
        "      --prompt question --completion answer --output data-questions\n\nOptions");
    options.add_options()("task", po::value(&o.task)->required()->value_name("TASK"),
                          "classification | language-modeling | generation")(
        "tokenizer", po::value(&o.tokenizer)->required()->value_name("FOLDER"),
        "folder with tokenizer.json, as a rule the model's")(
        "output", po::value(&o.output)->required()->value_name("FOLDER"), "folder to write")(
        "input", po::value(&input)->multitoken()->value_name("FILE..."),
        "files (.jsonl, .csv, .tsv) to divide into train, validation and test by a hash of the "
        "lower-cased text")("train", po::value(&train)->multitoken()->value_name("FILE..."),
                            "files of the training split")(
        "validation", po::value(&validation)->multitoken()->value_name("FILE..."),
        "files of the validation split")(
        "test", po::value(&test)->multitoken()->value_name("FILE..."), "files of the test split")(
        "text", po::value(&o.columns.text)->default_value("text")->value_name("NAME"),
        "name of the text column")("pair", po::value(&o.columns.pair)->value_name("NAME"),
                                   "name of the column with the second text, if there is one")(
        "label", po::value(&o.columns.label)->value_name("NAME"),
        "name of the label column")("prompt", po::value(&prompt)->value_name("NAME"),
                                    "generation: name of the column that is read and not trained")(
        "completion", po::value(&completion)->value_name("NAME"),
        "generation: name of the column that is trained")(
        "stop", po::value(&o.stop)->value_name("TOKEN"),
        "generation, language-modeling: token that ends a completion or a text; default: the "
        "tokenizer's end of text")(
        "labels", po::value(&o.labels)->multitoken()->value_name("NAME..."),
        "classification: the classes in the order of their numbers; default: that of id2label in "
        "the config.json "
        "beside "
        "the tokenizer, if it has the same names, else numbers by value and words by the alphabet")(
        "drop-unlabelled", po::bool_switch(&o.drop_unlabelled),
        "classification: leave out rows that have no label, and count them; else they are refused")(
        "validation-fraction",
        po::value(&o.validation_fraction)->default_value(0.1, "0.1")->value_name("X"),
        "of --input")(
        "test-fraction", po::value(&o.test_fraction)->default_value(0.1, "0.1")->value_name("X"),
        "of --input")("stratify", po::bool_switch(&o.stratify),
                      "classification, of --input: the fractions hold for each class")(
        "split-seed", po::value(&o.split_seed)->default_value(0)->value_name("N"),
        "of --input: another number, another division")(
        "max-length", po::value(&o.max_length)->value_name("N"),
        "tokens: longer samples are cut (classification, generation) or divided "
        "(language-modeling); default: 512, or "
        "what the model beside the tokenizer has positions for, or model_max_length of its "
        "tokenizer_config.json")(
        "samples-per-shard", po::value(&o.samples_per_shard)->default_value(65536)->value_name("N"),
        "samples in one HDF5 file");
    if (!parse(options, arguments)) return 0;
    if (o.task != "classification" && o.task != "language-modeling" && o.task != "generation")
        throw InputError("--task: " + o.task +
                         ": legal: classification, language-modeling, generation");
    if (o.task == "generation") {
        o.columns = {.text = prompt, .label = completion};
    } else if (!prompt.empty() || !completion.empty()) {
        throw InputError("--prompt, --completion: legal with --task generation only");
    }
    bool const classify = o.task == "classification";
    if (!o.stop.empty() && classify)
        throw InputError("--stop: legal with --task generation or language-modeling");
    if (!classify && (o.stratify || o.drop_unlabelled || !o.labels.empty()))
        throw InputError(
            "--labels, --drop-unlabelled, --stratify: legal with --task classification only");
    if (input.empty() && (o.stratify || o.split_seed))
        throw InputError("--stratify, --split-seed: legal with --input, which they divide");
    if (o.max_length != text::kChooseLength && o.max_length < 2)
        throw InputError(fmt::format("--max-length: {}: legal: a whole number >= 2", o.max_length));
    if (o.samples_per_shard < 1)
        throw InputError(fmt::format("--samples-per-shard: {}: legal: a whole number >= 1",
                                     o.samples_per_shard));
    if (!(o.validation_fraction >= 0 && o.test_fraction >= 0 &&
          o.validation_fraction + o.test_fraction < 1))
        throw InputError(fmt::format(
            "--validation-fraction {}, --test-fraction {}: legal: numbers >= 0 whose sum is < 1",
            o.validation_fraction, o.test_fraction));
    if (!input.empty()) o.files[""] = input;
    if (!train.empty()) o.files["train"] = train;
    if (!validation.empty()) o.files["validation"] = validation;
    if (!test.empty()) o.files["test"] = test;
    if (o.files.empty())
        throw InputError("--input: missing; legal: --input FILES, or --train FILES with "
                         "--validation and --test");
    trireme::cluster::print_text(text::prepare(o));
    return 0;
}

int run_inspect(std::vector<std::string> const& arguments) {
    text::InspectOptions o;
    std::string color;
    po::options_description options(
        "trireme inspect DATA: samples as coloured tokens with labels\n\n  trireme inspect "
        "data-reviews --split test --first 10\n\nOptions");
    options.add_options()("data", po::value(&o.data)->required(),
                          "folder that `trireme prepare` wrote")(
        "split", po::value(&o.split)->default_value("train")->value_name("NAME"),
        "train, validation or test")(
        "first", po::value(&o.first)->default_value(0)->value_name("N"), "first sample to show")(
        "samples", po::value(&o.samples)->default_value(3)->value_name("N"),
        "how many")("color", po::value(&color)->default_value("auto")->value_name("WHEN"),
                    "auto | always | never");
    if (!parse(options, arguments, "data")) return 0;
    if (color != "auto" && color != "always" && color != "never")
        throw InputError("--color: " + color + ": legal: auto, always, never");
    o.color = color == "always" || (color == "auto" && isatty(STDOUT_FILENO));
    trireme::cluster::print_text(text::inspect(o));
    return 0;
}

/// For `trireme generate`; not a command for people.
int run_serve(std::vector<std::string> const& arguments) {
    if (arguments.size() != 1) throw InputError("legal: trireme-text serve TOKENIZER_FOLDER");
    text::serve(arguments[0], std::cin, std::cout);
    return 0;
}

int run(std::string const& command, std::vector<std::string> const& arguments) {
    if (command == "prepare") return run_prepare(arguments);
    if (command == "inspect") return run_inspect(arguments);
    if (command == "serve") return run_serve(arguments);
    throw InputError(command + ": legal: prepare, inspect, serve");
}

} // namespace

int main(int argc, char** argv) {
    using namespace trireme;
    cluster::guard_process();
    try {
        std::vector<std::string> arguments(argv + 1, argv + argc);
        if (arguments.empty())
            throw InputError(
                "legal: trireme-text prepare | inspect (as a rule called through `trireme`)");
        std::string const command = arguments.front();
        arguments.erase(arguments.begin());
        int const code = text::with_python([&] { return run(command, arguments); });
        cluster::finish_output(cluster::Reader::needed);
        return code;
    } catch (std::exception const& error) {
        return launch::report(error);
    }
}
