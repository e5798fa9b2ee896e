// Says what `prepare` and `inspect` do for one task: which columns of the files it reads, and how
// rows become samples. A new task is a file pair here and a line in registry.cpp.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/loader.hpp"
#include "launch/text/census.hpp"
#include "launch/text/converter.hpp"
#include "launch/text/tasks/options.hpp"
#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

/// How the summary for people calls what a row has.
struct Words {
    char const* text = "text";
    char const* value = "label"; ///< null: rows are nothing but their text
    char const* longer = "cut";  ///< fate of a row that is longer than --max-length
};

/// A row whose labels are to be found, as a model reads it.
struct UnlabelledText {
    /// one, or several that divide it; none if it has no token. Their labels mean nothing.
    std::vector<data::Sample> windows;
    bool cut = false; ///< longer than --max-length
    /// of classes of words: all words, and the places among them of those that the windows ask
    /// for, in the order of these
    std::vector<std::string> words = {};
    std::vector<std::int32_t> word_places = {};
};

class TextTask {
  public:
    virtual ~TextTask() = default;
    virtual data::TaskKind kind() const = 0;

    /// Declares the options of `prepare` that are for this task. One that other tasks have too is
    /// declared by each.
    virtual void declare(TaskOptions& options) const = 0;
    /// Columns that it reads. Throws InputError naming an option that is missing.
    virtual Columns columns(PrepareOptions const& o) const = 0;
    /// Calls `each` for every row of `file` in order. A task whose rows have more than texts and
    /// values puts into them what it made of the rest. Throws InputError "FILE:LINE: what".
    virtual void read(std::string const& file, PrepareOptions const& o,
                      std::function<void(Row&&)> const& each) const {
        read_rows(file, o.columns, each);
    }
    /// Has a row more than texts, so that a line of text alone is none?
    virtual bool is_more_than_a_text() const { return false; }
    /// Calls `each` for every row of `file` in order, whatever labels it has. Throws InputError
    /// "FILE:LINE: what".
    virtual void read_unlabelled(std::string const& file, PrepareOptions const& o,
                                 std::function<void(Row&&)> const& each) const;
    /// Returns what a model reads of rows that `read_unlabelled` gives, or of a text alone.
    /// `tokenizer` cuts if `cuts` says so. Throws InputError "FILE:LINE: what".
    virtual std::vector<UnlabelledText> unlabelled(std::vector<Waiting> const& rows,
                                                   PrepareOptions const& o,
                                                   Tokenizer const& tokenizer) const;
    /// Does the tokenizer cut what is longer than --max-length?
    virtual bool cuts() const { return false; }
    virtual Words words() const { return {}; }
    /// May ranks convert the rows among them? Not where the converter gathers something over all of
    /// them beside samples.
    virtual bool divides() const { return true; }

    /// Sees each row that becomes a sample, before anything is written. Throws InputError for one
    /// that cannot.
    virtual void take(Row const& /*row*/, std::string const& /*split*/, PrepareOptions const& /*o*/,
                      Census& /*census*/) const {}
    /// Names of the outputs in id order. Throws InputError.
    virtual std::vector<std::string> labels(Census const& /*census*/,
                                            PrepareOptions const& /*o*/) const {
        return {};
    }
    /// All arguments must outlive it. Throws InputError.
    virtual std::unique_ptr<RowConverter>
    converter(PrepareOptions const& o, Tokenizer const& tokenizer,
              std::vector<std::string> const& labels) const = 0;

    /// Describes the target and the tokens of a micro-batch of one sample, as `inspect` shows them.
    virtual std::string shown_label(data::MicroBatch const& micro_batch,
                                    data::Dataset const& set) const = 0;
    virtual std::string shown_tokens(data::MicroBatch const& micro_batch, data::Dataset const& set,
                                     Tokenizer const& tokenizer, bool color) const;
};

TextTask const& text_task(data::TaskKind kind);
TextTask const& text_task(PrepareOptions const& o);
/// The options of all tasks. `o` gets those that are given, and must outlive them.
TaskOptions options_of_tasks();

} // namespace trireme::launch::text
