// trireme-text: everything that needs a tokenizer. A program of its own, so that training has no
// Python in it.
#include <fmt/format.h>
#include <unistd.h>

#include <boost/program_options.hpp>
#include <cstdlib>
#include <iostream>
#include <optional>

#include "cluster/error.hpp"
#include "cluster/interruption.hpp"
#include "cluster/process.hpp"
#include "launch/launcher.hpp"
#include "launch/options.hpp"
#include "launch/text/audit.hpp"
#include "launch/text/inspect.hpp"
#include "launch/text/interpreter.hpp"
#include "launch/text/prepare.hpp"
#include "launch/text/serve.hpp"
#include "launch/text/tasks/task.hpp"
#include "launch/under_mpi.hpp"

namespace {

namespace po = boost::program_options;
namespace data = trireme::data;
namespace text = trireme::launch::text;
using trireme::cluster::InputError;
using trireme::launch::parse;

/// Refuses what the options say together.
void check_options(text::PrepareOptions const& o) {
    if (!o.files.contains("") && (o.given("stratify") || o.split_seed))
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
    if (o.files.empty())
        throw InputError("--input: missing; legal: --input FILES, or --train FILES with "
                         "--validation and --test");
}

text::SampleBy sample_by_named(std::string const& word) {
    if (word == "line") return text::SampleBy::line;
    if (word == "paragraph") return text::SampleBy::paragraph;
    if (word == "document") return text::SampleBy::document;
    throw InputError("--sample-by: " + word + ": legal: line, paragraph, document");
}

data::TaskKind named_task(std::string const& name) {
    for (auto const& schema : data::task_schemas())
        if (name == schema.name) return schema.kind;
    throw InputError("--task: " + trireme::cluster::one_line(name) +
                     ": legal: " + data::task_names() + ", " + text::kChat);
}

/// The options that say which rows there are; `o` gets them and must outlive `options`.
void add_rows(po::options_description& options, text::PrepareOptions& o) {
    auto const word = [](auto* to, char const* name) { return po::value(to)->value_name(name); };
    auto const files = [&o](std::string const& split) {
        return po::value<std::vector<std::string>>()->multitoken()->value_name("FILE...")->notifier(
            [&o, split](auto const& names) { o.files[split] = names; });
    };
    // clang-format off
    options.add_options()
        ("input", files(""),
         "files to divide into train, validation and test by a hash of the lower-cased text; each "
         "a file, a folder or a pattern: .jsonl, .csv, .tsv, .txt, .parquet, .arrow, .feather, "
         "also packed (.gz, .zst)")
        ("train", files("train"), "files of the training split, likewise")
        ("validation", files("validation"), "files of the validation split")
        ("test", files("test"), "files of the test split")
        ("validation-fraction", word(&o.validation_fraction, "X")->default_value(0.1, "0.1"),
         "fraction of --input")
        ("test-fraction", word(&o.test_fraction, "X")->default_value(0.1, "0.1"),
         "fraction of --input")
        ("split-seed", word(&o.split_seed, "N")->default_value(0),
         "seed by which --input is divided")
        ("sample-by",
         po::value<std::string>()->default_value("line")->value_name("UNIT")->notifier(
             [&o](auto const& unit) { o.sample_by = sample_by_named(unit); }),
         "what a document of a .txt is: a line | paragraph (up to an empty line) | document (the "
         "whole file)")
        ("max-length", word(&o.max_length, "N"),
         "tokens: longer samples are cut, or divided (language-modeling); default: 512, or what "
         "the model beside the tokenizer has positions for, or model_max_length of its "
         "tokenizer_config.json");
    // clang-format on
}

int run_prepare(std::vector<std::string> const& arguments) {
    text::PrepareOptions o;
    std::string task;
    po::options_description options(
        "trireme prepare --task TASK --tokenizer FOLDER --output FOLDER: text files to HDF5 shards "
        "and a manifest\n\n"
        "  trireme prepare --task classification --tokenizer MODEL --input reviews.jsonl \\\n"
        "      --label label --max-length 128 --output data-reviews\n"
        "  trireme prepare --task generation --tokenizer MODEL --input questions.jsonl \\\n"
        "      --prompt question --completion answer --output data-questions\n"
        "  mpirun -n 4 trireme prepare --task language-modeling --tokenizer MODEL --input texts "
        "\\\n"
        "      --output data-texts\n\n"
        "Ranks divide the tokenizing; the bytes are those of one.\n\nOptions");
    auto const word = [](auto* to, char const* name) { return po::value(to)->value_name(name); };
    std::string const tasks = data::task_names(" | ") + " | " + text::kChat;
    // clang-format off
    options.add_options()
        ("task", word(&task, "TASK")->required(), tasks.c_str())
        ("tokenizer", word(&o.tokenizer, "FOLDER")->required(),
         "folder with tokenizer.json, usually the model's")
        ("output", word(&o.output, "FOLDER")->required(), "folder to write");
    add_rows(options, o);
    options.add_options()
        ("skip-list", word(&o.skip_list, "FILE"),
         "file that names rows to leave out, FILE:LINE each, as `trireme dynamics --skip-list` "
         "writes it")
        ("add-tokens",
         po::value(&o.added_tokens)->multitoken()->value_name("TOKEN..."),
         "special tokens that the tokenizer lacks: they get the numbers behind its own, and "
         "training gives the model rows for them, at the mean of the rows it has")
        ("samples-per-shard", word(&o.samples_per_shard, "N")->default_value(65536),
         "samples in one HDF5 file");
    // clang-format on
    auto const own = text::options_of_tasks();
    own.add_to(options, o);
    if (!parse(options, arguments)) return 0;
    o.chat = task == text::kChat;
    o.task = o.chat ? data::TaskKind::generation : named_task(task);
    own.check(o);
    check_options(o);
    if (std::atoi(trireme::launch::launcher_size().c_str()) < 2) {
        trireme::cluster::print_text(text::prepare(o));
        return 0;
    }
    return trireme::launch::under_mpi([&](trireme::cluster::Communicator& world) {
        trireme::cluster::print_text(text::prepare(o, &world));
        return 0;
    });
}

int run_audit(std::vector<std::string> const& arguments) {
    text::AuditOptions a;
    std::string task;
    po::options_description options(
        "trireme audit --task TASK --output FILE.html: what is wrong with text files\n\n"
        "  trireme audit --task classification --input reviews.jsonl --label label \\\n"
        "      --output audit.html --json audit.json\n\nOptions");
    auto const word = [](auto* to, char const* name) { return po::value(to)->value_name(name); };
    std::string const tasks = data::task_names(" | ") + " | " + text::kChat;
    // clang-format off
    options.add_options()
        ("task", word(&task, "TASK")->required(), tasks.c_str())
        ("output", word(&a.output, "FILE")->required(), "HTML page to write; must not exist")
        ("json", word(&a.json, "FILE"), "the same for machines")
        ("force", po::bool_switch(&a.force), "replace the files of --output and --json")
        ("severity", po::value(&a.severity)->multitoken()->value_name("NAME=LEVEL..."),
         "how grave a finding is: error, warn or ignore; `all` names every one (docs/audit.md has "
         "names and defaults)")
        ("fix", word(&a.fix, "FOLDER"),
         "write copies of the files without rows that are empty, repeat, leak or contradict, and "
         "drops.jsonl, which says of each dropped line why")
        ("groups", word(&a.groups, "FILE"),
         "JSON file with groups that the data should cover, each by words, a regular expression or "
         "a column")
        ("near", word(&a.near, "X")->default_value(0.6, "0.6"),
         "least similarity (Jaccard, of runs of 8 bytes) of texts that are nearly equal")
        ("region", word(&a.region, "CC"),
         "country, such as DE, whose phone numbers are found without +NN too")
        ("tokenizer", word(&a.rows.tokenizer, "FOLDER"),
         "folder with tokenizer.json: lengths are in tokens then")
        ("parameters", word(&a.parameters, "N"),
         "of the model, for the verdict on size; default: those of the weights beside the "
         "tokenizer");
    // clang-format on
    add_rows(options, a.rows);
    auto const own = text::options_of_tasks();
    own.add_to(options, a.rows);
    if (!parse(options, arguments)) return 0;
    a.rows.chat = task == text::kChat;
    a.rows.task = a.rows.chat ? data::TaskKind::generation : named_task(task);
    own.check(a.rows);
    check_options(a.rows);
    if (!a.output.ends_with(".html"))
        throw InputError("--output: " + a.output + ": legal: a name that ends in .html");
    if (a.parameters < 0)
        throw InputError(fmt::format("--parameters: {}: legal: a whole number >= 0", a.parameters));
    return text::audit(a);
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

/// Serves `trireme generate` and `trireme predict`; it is not a command for people.
int run_serve(std::vector<std::string> const& arguments) {
    if (arguments.size() != 1) throw InputError("legal: trireme-text serve TOKENIZER_FOLDER");
    text::serve(arguments[0], std::cin, std::cout);
    return 0;
}

int run(std::string const& command, std::vector<std::string> const& arguments) {
    if (command == "audit") return run_audit(arguments);
    if (command == "prepare") return run_prepare(arguments);
    if (command == "inspect") return run_inspect(arguments);
    if (command == "serve") return run_serve(arguments);
    throw InputError(command + ": legal: audit, prepare, inspect, serve");
}

} // namespace

int main(int argc, char** argv) {
    using namespace trireme;
    cluster::guard_process();
    try {
        std::vector<std::string> arguments(argv + 1, argv + argc);
        if (arguments.empty())
            throw InputError("legal: trireme-text audit | prepare | inspect (as a rule called "
                             "through `trireme`)");
        std::string const command = arguments.front();
        arguments.erase(arguments.begin());
        std::optional<cluster::RemovalAtSignal> tidy; // before Python, which begins threads
        if (command == "prepare" || command == "audit") tidy.emplace();
        int const code = text::with_python([&] { return run(command, arguments); });
        // A program that refuses its input may end before its tokenizer has said the first word.
        bool const serves = command == "serve";
        cluster::finish_output(serves ? cluster::Reader::optional : cluster::Reader::needed);
        return code;
    } catch (std::exception const& error) {
        return launch::report(error);
    }
}
