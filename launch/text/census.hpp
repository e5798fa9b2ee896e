// The first pass over the rows: counts, class names and splits, so that bad data are refused before
// anything is written.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "launch/text/prepare.hpp"

namespace trireme::launch::text {

inline constexpr char const* kTest = "test";
inline constexpr char const* kValidation = "validation";
inline constexpr char const* kTrain = "train";

/// Decides in which split a row of --input lies: by a hash of its lower-cased text, so that texts
/// which are equal but for case share a split, whatever the order of rows and files.
class Splitter {
  public:
    /// Prepares the split. `stratify` makes it read all rows of --input once, so that every class
    /// has its share of each split and at least one row of training. Throws InputError.
    explicit Splitter(PrepareOptions const& options);
    /// `given`: the split that the row's file was named for; empty for --input.
    std::string operator()(Row const& row, std::string const& given) const;

  private:
    char const* by_place(double place) const;
    std::uint64_t key(Row const& row) const;
    PrepareOptions const& o_;
    std::unordered_map<std::uint64_t, char const*> strata_; ///< split of each text, with `stratify`
};

struct Census {
    struct Place {
        std::string const* file = nullptr;
        std::int64_t line = 0;
    };
    /// rows by split and label, for tasks with classes
    std::map<std::string, std::map<std::string, std::int64_t>> labels;
    std::map<std::string, Place> first;       ///< first place of each class, by label
    std::map<std::string, std::int64_t> rows; ///< rows by split
    std::int64_t total = 0, empty = 0, unlabelled = 0, repeated = 0, contradicting = 0,
                 in_two_splits = 0;
    std::int64_t skipped = 0;     ///< rows that --skip-list names; no other number counts them
    std::int64_t quoted = 0;      ///< texts of .tsv files in quotation marks
    std::int64_t quoted_late = 0; ///< texts of .csv files in quotation marks after a blank
    std::int64_t used() const { return total - empty - unlabelled; }
};

/// Does --skip-list name the row?
bool is_skipped(Row const& row, PrepareOptions const& options);
/// Has the row nothing to learn from?
bool has_no_text(Row const& row, PrepareOptions const& options);
/// Returns the text by which a row repeats another one, together with its pair. Rows of lists have
/// no text of their own.
std::string content_of(Row const& row);
/// Calls `each` for every row of the files, with the split that its file was named for. Throws
/// InputError for a file without rows.
void for_each_row(PrepareOptions const& options,
                  std::function<void(Row&&, std::string const& given)> const& each);
/// Calls `each` for every row that has a text and what the task needs beside it, and that is not to
/// be skipped, with the split that its file was named for; "" for --input.
void for_each_sample(PrepareOptions const& options,
                     std::function<void(Row&&, std::string const& given)> const& each);

/// Throws InputError for what training could not use. `repeats`: counts texts that stand in several
/// rows, too.
Census take_census(PrepareOptions const& options, Splitter const& split_of, bool repeats);

/// Sentences about what may not be meant: texts in quotation marks, names that stand for a missing
/// value, names that differ in case only, almost as many names as rows.
std::vector<std::string> doubts_about(std::vector<std::string> const& labels, Census const& census);

} // namespace trireme::launch::text
