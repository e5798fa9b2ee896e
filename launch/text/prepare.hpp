// `trireme prepare`: text files to HDF5 shards and a manifest.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/task.hpp"
#include "launch/text/rows.hpp"
#include "launch/text/skip_list.hpp"

namespace trireme::cluster {
class Communicator;
} // namespace trireme::cluster

namespace trireme::launch::text {

inline constexpr std::int64_t kChooseLength = INT64_MIN;
inline constexpr char const* kChat = "chat"; ///< the task whose samples are those of generation

struct PrepareOptions {
    data::TaskKind task = data::TaskKind::classification; ///< of the samples
    bool chat = false;     ///< rows are conversations, and samples those of generation
    std::string tokenizer; ///< folder with tokenizer.json
    /// special tokens that the tokenizer lacks, which it gets
    std::vector<std::string> added_tokens = {};
    std::string output; ///< folder, must not hold a manifest yet
    /// by split, folders and patterns too; "": to be split by hash
    std::map<std::string, std::vector<std::string>> files;
    /// options that tasks declare (tasks/options.hpp), by name; a flag has no words
    std::map<std::string, std::vector<std::string>> own = {};
    double validation_fraction = 0.1, test_fraction = 0.1; ///< fractions of files[""]
    std::int64_t split_seed = 0; ///< another number puts other texts of files[""] into each split
    /// 512, or less where the files of model or tokenizer say so
    std::int64_t max_length = kChooseLength;
    std::int64_t samples_per_shard = 65536;
    Columns columns = {};                ///< prepare() asks the task for them
    SampleBy sample_by = SampleBy::line; ///< of .txt
    std::string skip_list = {};          ///< file that names rows to leave out; empty: none
    SkipList skipped = {};               ///< prepare() reads it from there

    /// The task as --task names it.
    std::string task_name() const { return chat ? kChat : data::schema_of(task).name; }
    bool given(std::string const& name) const { return own.contains(name); }
    /// Words of an option; none if it is not given.
    std::vector<std::string> values(std::string const& name) const {
        return given(name) ? own.at(name) : std::vector<std::string>{};
    }
    /// The first of them, or "".
    std::string value(std::string const& name) const {
        auto const words = values(name);
        return words.empty() ? "" : words.front();
    }
};

/// Fills the columns of the task, and replaces folders and patterns by their files; `said` gets
/// sentences about files that are left out. Throws InputError for a file that is given twice.
PrepareOptions with_files(PrepareOptions options, std::vector<std::string>& said);

/// Returns the summary for people. Throws InputError before anything is written where it can.
/// `world`: the ranks that tokenize together, or null. Collective over them: every rank reads all
/// rows and tokenizes its share, and the first one writes the same bytes as it would alone; the
/// summary of the others is empty.
std::string prepare(PrepareOptions const& options, cluster::Communicator* world = nullptr);

} // namespace trireme::launch::text
