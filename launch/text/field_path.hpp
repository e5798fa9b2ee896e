// Names a value of a row: a column, or a value inside one.
#pragma once
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace trireme::launch::text {

/// A column by name, or a way into it: `meta.label`, `answers.text[0]`, `messages[].content`. A
/// column that has the whole name wins, so that names may hold dots and brackets.
class FieldPath {
  public:
    struct Found {
        nlohmann::ordered_json value; ///< null also where a list is too short or a part is null
        std::string lacking;          ///< not empty: why nothing is there, for messages
    };

    /// Takes any name: one that is no path names a column.
    explicit FieldPath(std::string name);

    std::string const& name() const { return name_; }
    /// Name of the column that holds the value, unless one has the whole name.
    std::string const& column() const { return steps_.empty() ? name_ : steps_.front().field; }
    /// Does it name several values, which are found as a list?
    bool many() const;
    /// Finds the value in a row, an object of columns. Looks into texts that hold JSON, as columns
    /// of Parquet and CSV files do. `place`: "FILE:LINE", for messages. Throws InputError for a
    /// text on the way that is bad JSON.
    Found find(nlohmann::ordered_json const& row, std::string const& place) const;

  private:
    /// A field of an object, or, without a name, an element of a list; -1: all of them.
    struct Step {
        std::string field;
        std::int64_t element = -1;
    };
    static std::vector<Step> steps_of(std::string const& name);
    std::string shown(std::size_t steps) const;
    Found walk(nlohmann::ordered_json const& value, std::size_t step,
               std::string const& place) const;
    Found walk_field(nlohmann::ordered_json const& value, std::size_t step,
                     std::string const& place) const;
    Found walk_list(nlohmann::ordered_json const& value, std::size_t step,
                    std::string const& place) const;

    std::string name_;
    std::vector<Step> steps_; ///< none: a column alone
};

/// Does a text begin as a list or an object of JSON does?
bool looks_like_json(std::string const& text);

/// Returns what a text of JSON holds. `where`: "FILE:LINE: NAME". Throws InputError "FILE:LINE:
/// NAME:LINE:COLUMN: not JSON: why".
nlohmann::ordered_json json_in_text(std::string const& where, std::string const& text);

/// Names of an object's fields by the alphabet, for messages; "none".
std::string names_of(nlohmann::ordered_json const& object);

} // namespace trireme::launch::text
