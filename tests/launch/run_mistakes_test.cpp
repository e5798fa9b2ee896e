// Mistakes in run configurations and prompts.
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/launch/mistakes.hpp"
#include "tests/launch/scene.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

std::function<void(std::string const&)> yaml(std::string const& from, std::string const& to) {
    return change("run.yaml", from, to);
}

std::string aliases() {
    std::string text = "a: &a [x, x, x, x, x, x, x, x, x]\n";
    for (char c = 'b'; c < 'z'; ++c) {
        std::string const former(1, static_cast<char>(c - 1)), name(1, c);
        text += name + ": &" + name + " [*" + former + ", *" + former + ", *" + former + ", *" +
                former + "]\n";
    }
    return text;
}

std::vector<Mistake> const kPrompts{
    {"AreDeep",
     {"generate", "DIR/llama", "--prompts", "DIR/p.jsonl"},
     "DIR/p.jsonl:1: nested deeper than the 64 levels that are legal",
     write("p.jsonl",
           "{\"prompt\": " + std::string(200000, '[') + std::string(200000, ']') + "}\n")},
    {"AreLists",
     {"generate", "DIR/llama", "--prompts", "DIR/p.jsonl"},
     "DIR/p.jsonl:1: prompt: [1,2]: legal: a string",
     write("p.jsonl", "{\"prompt\": [1, 2]}\n")},
    {"AreAPipe",
     {"generate", "DIR/llama", "--prompts", "/dev/zero"},
     "/dev/zero: cannot be read: it is a pipe, socket or device; legal: a regular file",
     {}},
};
INSTANTIATE_TEST_SUITE_P(Prompts, Mistakes, testing::ValuesIn(kPrompts), name_of);

std::vector<Mistake> const kRuns{
    {"FileMissing",
     {"train", "DIR/none.yaml"},
     "DIR/none.yaml: cannot be read: No such file or directory",
     {}},
    {"IsAFolder",
     {"train", "DIR/data"},
     "DIR/data: cannot be read: it is a folder; legal: a file",
     {}},
    {"NotYaml", train(), "DIR/run.yaml:9: not YAML: end of sequence flow not found",
     yaml("batch:\n", "batch: [\n")},
    {"NotAMapping", train(),
     "DIR/run.yaml: legal: a mapping of keys to values (see configs/ for complete examples)",
     write("run.yaml", "- a\n- b\n")},
    {"Empty", train(),
     "DIR/run.yaml: legal: a mapping of keys to values (see configs/ for complete examples)",
     write("run.yaml", "")},
    {"UnknownKey", train(),
     "DIR/run.yaml:12: unknown key optimizer.learning_rat; did you mean optimizer.learning_rate? "
     "legal: beta1, beta2, "
     "clip, cooldown, ema_decay, epsilon, final_fraction, freeze, layer_decay, learning_rate, "
     "schedule, warmup, weight_decay",
     yaml("learning_rate", "learning_rat")},
    {"UnknownSection", train(),
     "DIR/run.yaml:11: unknown key optimiser; did you mean optimizer? legal: batch, checkpoint, "
     "data, evaluation, "
     "guard, job, log, "
     "model, numerics, optimizer, parallel, run, seed, task, train",
     yaml("optimizer:", "optimiser:")},
    {"KeyOutsideItsSection", train(),
     "DIR/run.yaml:11: optimizer: no value: legal: a mapping of keys to values, one line each, "
     "indented",
     yaml("  learning_rate", "learning_rate")},
    {"SectionIsAValue", train(),
     "DIR/run.yaml:7: batch: 4: legal: a mapping of keys to values, one line each, indented",
     yaml("batch:\n  global: 4", "batch: 4")},
    {"SectionIsEmpty", train(),
     "DIR/run.yaml:7: batch: no value: legal: a mapping of keys to values, one line each, indented",
     yaml("batch:\n  global: 4", "batch:")},
    {"KeyTwice", train(), "DIR/run.yaml:11: numerics.threads is given twice",
     yaml("threads: 1", "threads: 1\n  threads: 1")},
    {"SectionTwice", train(), "DIR/run.yaml:13: batch is given twice",
     yaml("train:", "batch:\n  global: 4\ntrain:")},
    {"KeyIsAList", train(), "DIR/run.yaml:13: a list or a mapping as a key; legal: a name",
     yaml("train:", "[a, b]: 1\ntrain:")},
    {"WrongType", train(), "DIR/run.yaml:8: batch.global: four: legal: a whole number >= 1",
     yaml("global: 4", "global: four")},
    {"FractionForAWholeNumber", train(),
     "DIR/run.yaml:8: batch.global: 4.5: legal: a whole number >= 1",
     yaml("global: 4", "global: 4.5")},
    {"TooLargeANumber", train(),
     "DIR/run.yaml:8: batch.global: 99999999999999999999: legal: a whole number >= 1",
     yaml("global: 4", "global: 99999999999999999999")},
    {"ListForAValue", train(),
     "DIR/run.yaml:12: optimizer.learning_rate: a list: legal: a number > 0",
     yaml("1e-3", "[1e-3, 1e-4]")},
    {"NoValue", train(), "DIR/run.yaml:12: optimizer.learning_rate: no value: legal: a number > 0",
     yaml("1e-3", "")},
    {"NegativeRate", train(),
     "DIR/run.yaml:12: optimizer.learning_rate: -1e-3: legal: a number > 0", yaml("1e-3", "-1e-3")},
    {"RangeTestWithAWarmUp",
     train({"optimizer.schedule=range_test"}),
     "default: optimizer.warmup: 0.1: legal with optimizer.schedule: range_test: 0",
     {}},
    {"RangeTestFromNothing",
     train({"optimizer.schedule=range_test", "optimizer.warmup=0"}),
     "default: optimizer.final_fraction: 0: legal with optimizer.schedule: range_test: a number > "
     "0, the "
     "share of optimizer.learning_rate at which it begins",
     {}},
    {"ZeroRate", train(), "DIR/run.yaml:12: optimizer.learning_rate: 0: legal: a number > 0",
     yaml("1e-3", "0")},
    {"RateIsNan", train(), "DIR/run.yaml:12: optimizer.learning_rate: .nan: legal: a number > 0",
     yaml("1e-3", ".nan")},
    {"RateIsInfinite", train(),
     "DIR/run.yaml:12: optimizer.learning_rate: .inf: legal: a number > 0", yaml("1e-3", ".inf")},
    {"NoEpochs",
     train({"train.steps=0", "train.epochs=0"}),
     "--set: train.epochs: 0: legal: a number > 0",
     {}},
    {"TooFewEpochs",
     train({"train.steps=0", "train.epochs=0.01"}),
     "train.epochs: 0.01: 24 samples make no whole step of batch.global 4; legal: 0.1667 or more",
     {}},
    {"NegativePatience",
     train({"evaluation.patience=-1"}),
     "--set: evaluation.patience: -1: legal: a whole number >= 0",
     {}},
    {"NegativeCompletions",
     train({"evaluation.generate=-1"}),
     "--set: evaluation.generate: -1: legal: a whole number >= 0",
     {}},
    {"NoNewTokens",
     train({"evaluation.generate=4", "evaluation.max_new_tokens=0"}),
     "--set: evaluation.max_new_tokens: 0: legal: a whole number >= 1",
     {}},
    {"CompletionsWithoutPrompts",
     train({"evaluation.generate=4"}),
     "evaluation.generate: 4: legal for language-modeling: 0; its samples have no prompts to "
     "complete",
     {}},
    {"UnknownMetric",
     train({"evaluation.metric=rouge"}),
     "evaluation.metric: rouge: legal: loss, accuracy, perplexity",
     {}},
    {"MetricOfAnotherTask",
     train({"evaluation.metric=f1"}),
     "evaluation.metric: f1: legal: loss, accuracy, perplexity",
     {}},
    {"UnknownTask",
     train({"task=poetry"}),
     "--set: task: poetry: legal: classification, language-modeling, generation, regression, "
     "multi-label, token-classification, question-answering, masked-language-modeling",
     {}},
    {"LanguageModelingWithABert",
     train({"model.path=DIR/bert"}),
     "task: language-modeling: DIR/bert is a bert encoder; legal: classification, regression, "
     "multi-label, token-classification, question-answering, masked-language-modeling",
     {}},
    {"DegreesDoNotMakeTheWorld",
     train({"parallel.replicate=3"}),
     "parallel: pipeline 1 x replicate 3 x shard 1 x context 1 x tensor 1 = 3, but this job has 1 "
     "rank; legal: "
     "replicate 1, or 3 ranks",
     {}},
    {"RequiredKeyMissing", train(),
     "DIR/run.yaml: task: missing; legal: classification, language-modeling, generation, "
     "regression, multi-label, token-classification, question-answering, masked-language-modeling",
     yaml("task: language-modeling\n", "")},
    {"SetWithoutEqualSign",
     train({"optimizer.clip"}),
     "--set optimizer.clip: legal: KEY=VALUE, as in --set optimizer.learning_rate=1e-4",
     {}},
    {"SetOfNothing",
     train({"=1"}),
     "--set =1: legal: KEY=VALUE, as in --set optimizer.learning_rate=1e-4",
     {}},
    {"SetOfAnUnknownKey",
     train({"optimizer.clop=1"}),
     "--set: unknown key optimizer.clop; did you mean optimizer.clip? legal: beta1, beta2, clip, "
     "cooldown, ema_decay, epsilon, "
     "final_fraction, freeze, layer_decay, learning_rate, schedule, warmup, weight_decay",
     {}},
    {"SetOfASection",
     train({"optimizer=1"}),
     "--set: optimizer: 1: legal: a mapping of keys to values, one line each, indented",
     {}},
    {"SetInsideAValue", train({"seed.deep=1"}),
     "--set seed.deep=1: seed has no keys inside: DIR/run.yaml:2 gives it a value",
     yaml("task:", "seed: 1\ntask:")},
    {"SetOfABadValue",
     train({"optimizer.clip=-1"}),
     "--set: optimizer.clip: -1: legal: a number >= 0",
     {}},
    {"AliasBomb", train(), "DIR/run.yaml:1: an anchor or alias (&name, *name); legal: plain values",
     write("run.yaml", aliases())},
    {"DeepFlow", train(), "DIR/run.yaml:1: nested deeper than the 8 levels that are legal",
     write("run.yaml", "a: " + std::string(100'000, '['))},
    {"DeepBlock", train(), "DIR/run.yaml:1: nested deeper than the 8 levels that are legal",
     [](std::string const& dir) {
         std::ofstream out(dir + "/run.yaml");
         for (int i = 0; i < 20'000; ++i) out << "- ";
     }},
    {"LargeFile", train(), "DIR/run.yaml: 2000002 bytes: legal: at most 1048576",
     write("run.yaml", "# " + std::string(2'000'000, 'x'))},
    {"ControlCharacters",
     train({"task=a\x1b[31m\nb"}),
     "--set: task: a\\x1b[31m\\nb: legal: classification, language-modeling, generation, "
     "regression, multi-label, token-classification, question-answering, masked-language-modeling",
     {}},
    {"RunFolderBelowAFile",
     train({"run=DIR/rows.jsonl/run"}),
     "run: DIR/rows.jsonl/run: DIR/rows.jsonl is not a folder; legal: a folder, or one to make",
     {}},
    {"RunFolderIsAFile",
     train({"run=DIR/rows.jsonl"}),
     "run: DIR/rows.jsonl: DIR/rows.jsonl is not a folder; legal: a folder, or one to make",
     {}},
    {"RunFolderOfTheModel",
     train({"run=DIR/llama"}),
     "run: DIR/llama: is the folder of model.path too; legal: a folder of its own",
     {}},
    {"RunFolderOfTheData",
     train({"run=DIR/data"}),
     "run: DIR/data: is the folder of data.path too; legal: a folder of its own",
     {}},
    {"ExportOfNoRun",
     {"export", "--run", "DIR/none", "--output", "DIR/out"},
     "DIR/none: no such folder; legal: the run folder of a `trireme train`",
     {}},
    {"ExportOfAFolderThatIsNoRun",
     {"export", "--run", "DIR/data", "--output", "DIR/out"},
     "DIR/data/config.yaml: cannot be read: No such file or directory",
     {}},
    {"ExportOntoSomething",
     {"export", "--run", "DIR/none", "--output", "DIR/data"},
     "--output: DIR/data: exists already; legal: a new folder, since none is overwritten",
     {}},
    {"CheckpointsOfNoRun",
     {"checkpoint", "list", "--run", "DIR/none"},
     "DIR/none/checkpoints: no checkpoints; legal: the folder of a run that saved one",
     {}},
    {"PlotOfNoRun",
     {"plot", "--run", "DIR/none", "--output", "DIR/a.svg"},
     "DIR/none/metrics.jsonl: No such file or directory; legal: folder of a run, as `trireme "
     "train` writes one",
     {}},
    {"PlotOfNoSteps",
     {"plot", "--run", "DIR/run", "--output", "DIR/a.svg"},
     "DIR/run/metrics.jsonl: no step yet; legal: a run that has trained for one or more",
     write("run/metrics.jsonl", "{\"kind\": \"start\"}\n")},
    {"PlotOfSomethingElse",
     {"plot", "--run", "DIR/run", "--output", "DIR/a.svg"},
     "DIR/run/metrics.jsonl:1: loss: null: legal: a number",
     write("run/metrics.jsonl", "{\"kind\": \"train\", \"step\": 1}\n")},
    {"PlotOfAnEndlessStep",
     {"plot", "--run", "DIR/run", "--output", "DIR/a.svg"},
     "DIR/run/metrics.jsonl:1: step: 1" + std::string(59, '0') + ": legal: a number",
     write("run/metrics.jsonl",
           "{\"kind\": \"train\", \"step\": 1" + std::string(400, '0') + ", \"loss\": 1}\n")},
    {"PlotOfAPipe",
     {"plot", "--run", "DIR/run", "--output", "DIR/a.svg"},
     "DIR/run/metrics.jsonl: 0 bytes, or no file; legal: a regular file of at most 68719476736 "
     "bytes",
     [](std::string const& dir) {
         std::filesystem::create_directories(dir + "/run");
         ASSERT_EQ(mkfifo((dir + "/run/metrics.jsonl").c_str(), 0600), 0);
     }},
    {"StatusOfAnotherShape",
     {"status", "DIR/run"},
     "DIR/run/metrics.jsonl:2: step: [1]: legal: a whole number from 0 to 9007199254740992",
     write("run/metrics.jsonl", "{\"kind\": \"start\"}\n{\"kind\": \"train\", \"step\": [1]}\n")},
    {"ResumedOverAnotherShape", train(),
     "DIR/run/metrics.jsonl:1: time: \"now\": legal: a number from 0 to 253402300799",
     write("run/metrics.jsonl", "{\"kind\": \"job\", \"step\": 1, \"time\": \"now\"}\n")},
    {"PlotOfAnotherKind",
     {"plot", "--run", "DIR/run", "--output", "DIR/a.png"},
     "--output: DIR/a.png: legal: a name that ends in .svg",
     {}},
};
INSTANTIATE_TEST_SUITE_P(Run, Mistakes, testing::ValuesIn(kRuns), name_of);

} // namespace
} // namespace trireme::test
