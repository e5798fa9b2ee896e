#include "launch/text/file_kind.hpp"

#include <boost/algorithm/string/predicate.hpp>

#include "cluster/error.hpp"
#include "cluster/foreign_format.hpp"

namespace trireme::launch::text {

bool has_ending(std::string const& file, char const* ending) {
    return boost::algorithm::iends_with(file, ending);
}

FileKind kind_of_file(std::string const& file) {
    cluster::refuse_foreign_format(file);
    if (has_ending(file, ".jsonl")) return FileKind::jsonl;
    if (has_ending(file, ".csv")) return FileKind::csv;
    if (has_ending(file, ".tsv")) return FileKind::tsv;
    throw cluster::InputError(
        file + ": unknown kind of file; legal: a name that ends in .jsonl, .csv or .tsv");
}

} // namespace trireme::launch::text
