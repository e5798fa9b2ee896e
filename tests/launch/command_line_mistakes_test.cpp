// Mistakes on the command line.
#include <filesystem>

#include "tests/launch/mistakes.hpp"
#include "tests/launch/scene.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

std::vector<Mistake> const kLines{
    {"UnknownCommand",
     {"trian"},
     "trian: no such command; did you mean train? legal: audit, prepare, inspect, init, doctor, "
     "explain-config, calibrate, plan, step-cost, parity, train, "
     "submit, study, sweep, status, checkpoint, "
     "replay, diverge, profile, plot, log, "
     "evaluate, predict, attribute, report, compare, dynamics, bias, memorization, generate, "
     "export, verify, "
     "completion, help",
     {}},
    {"CommandByAnotherName",
     {"chat", "DIR/llama"},
     "chat: no such command; did you mean trireme generate MODEL --chat? trireme --help lists all "
     "of them",
     {}},
    {"HelpOfAnOption",
     {"help", "--bogus"},
     "--bogus: no such command; legal: audit, prepare, inspect, init, doctor, "
     "explain-config, calibrate, plan, step-cost, parity, train, "
     "submit, study, sweep, status, checkpoint, "
     "replay, diverge, profile, plot, log, "
     "evaluate, predict, attribute, report, compare, dynamics, bias, memorization, generate, "
     "export, verify, "
     "completion, help",
     {}},
    {"HelpOfTwoCommands",
     {"help", "train", "status"},
     "status: one word too many; see trireme --help",
     {}},
    {"VersionWithMore",
     {"--version", "--bogus"},
     "--bogus: one word too many; see trireme --help",
     {}},
    {"UnknownOption",
     {"train", "DIR/run.yaml", "--sett", "a=1"},
     "--sett: no such option; did you mean --set? legal: --config, --set, --parity, --dry-run, "
     "--ranks, --help",
     {}},
    {"UnknownOptionOfPrepare",
     {"prepare", "--imput", "DIR/rows.jsonl"},
     "--imput: no such option; did you mean --input? legal: --task, --tokenizer, --output, "
     "--input, --train, --validation, --test, --validation-fraction, --test-fraction, "
     "--split-seed, --sample-by, --max-length, --skip-list, --add-tokens, --samples-per-shard, "
     "--text, --pair, "
     "--windows, "
     "--label, --labels, --drop-unlabelled, --stratify, --stop, --prompt, --completion, "
     "--label-separator, --repair-tags, --question, --context, --answers, --id, --stride, "
     "--messages, --form, --chat-template, --help",
     {}},
    {"OptionMissing",
     {"train"},
     "CONFIG: missing; legal: the run, as YAML (`explain-config --keys`)",
     {}},
    {"OptionMissingOfEvaluate",
     {"evaluate", "--model", "DIR/bert"},
     "--data: missing; legal: folder that `trireme prepare` wrote, or --choices FILE, or --pairs "
     "FILE",
     {}},
    {"OptionWithoutItsValue",
     {"export", "--output", "DIR/out", "--run"},
     "--run: has no value; legal: run folder",
     {}},
    {"OptionOfPlotMissing",
     {"plot", "--run", "DIR/run"},
     "--output: missing; legal: SVG file to write; must not exist",
     {}},
    {"OptionOfPlotWithoutItsValue",
     {"plot", "--output", "--run", "DIR/run"},
     "--output: has no value; legal: SVG file to write; must not exist",
     {}},
    {"UnknownOptionOfPlot",
     {"plot", "--run", "DIR/run", "--output", "DIR/a.svg", "--out=2"},
     "--out=2: no such option; legal: --run, --output, --force, --help",
     {}},
    {"OptionTwice",
     {"export", "--run", "a", "--run", "b", "--output", "DIR/out"},
     "--run: is given twice; legal: once: run folder",
     {}},
    {"OptionThatTakesNoValue",
     {"train", "DIR/run.yaml", "--dry-run=yes"},
     "--dry-run: takes no value; legal: open the inputs, show every value with its origin, model "
     "size, steps, micro-batches "
     "and "
     "memory, and write nothing",
     {}},
    {"OptionWithAnEmptyValue",
     {"export", "--run=", "--output", "DIR/out"},
     "--run: has no value; legal: run folder",
     {}},
    {"ConfigMissingOfExplain",
     {"explain-config"},
     "CONFIG: missing; legal: the run, as YAML, or --keys alone",
     {}},
    {"NotANumber",
     {"inspect", "DIR/data", "--first", "one"},
     "--first: one: legal: first sample to show",
     {}},
    {"OneWordTooMany",
     {"train", "DIR/run.yaml", "DIR/other.yaml"},
     "DIR/run.yaml DIR/other.yaml: one word too many; see --help",
     {}},
    {"UnknownAction",
     {"checkpoint", "lost", "--run", "DIR/run"},
     "lost: no such action; did you mean list? legal: list, verify, diff",
     {}},
    {"DiffOfOne",
     {"checkpoint", "diff", "DIR/run"},
     "checkpoint diff DIR/run: legal: diff A B",
     {}},
};
INSTANTIATE_TEST_SUITE_P(CommandLine, Mistakes, testing::ValuesIn(kLines), name_of);

} // namespace
} // namespace trireme::test
