// Rows that are objects of JSON, whatever file they came from.
#pragma once
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "launch/text/field_path.hpp"
#include "launch/text/rows.hpp"

namespace trireme::launch::text {

/// Takes the columns that are asked for out of objects.
class JsonRows {
  public:
    /// `columns` must outlive it. `of`: what has the fields, "line" or "file", for messages.
    JsonRows(Columns const& columns, char const* of);

    /// Fills `row`, which knows its file and line. Throws InputError "FILE:LINE: what" for a field
    /// that is missing or of another type.
    void fill(Row& row, nlohmann::ordered_json const& fields) const;
    /// Every path that is asked for.
    std::vector<FieldPath const*> paths() const;

  private:
    std::string text_of(FieldPath const& path, bool any, Row const& at,
                        nlohmann::ordered_json const& fields) const;
    std::string scalar(FieldPath const& path, nlohmann::ordered_json const& value, bool any,
                       Row const& at) const;

    Columns const& columns_;
    char const* of_;
    FieldPath text_, pair_;
    std::vector<FieldPath> values_, structured_;
};

/// The option of `prepare` that names a column, for messages.
char const* option_of(Columns const& columns, std::string const& name);

} // namespace trireme::launch::text
