// Names that are nobody's, for what is not whole yet.
#pragma once
#include <string>
#include <string_view>

namespace trireme::cluster {

/// Throws JobError "PATH: WHAT: REASON" for the reason in errno, which it leaves there.
[[noreturn]] void fail_by_errno(std::string const& path, char const* what);
/// Follows `path`: gives the target of a link, whether it exists or not; `path` itself if it is
/// none.
std::string followed(std::string const& path);
/// Makes an empty file PATH.partial-XXXXXXXX that did not exist. Throws JobError, and leaves the
/// reason in errno.
std::string make_staging_file(std::string const& path);
/// Makes an empty folder PATH.partial-XXXXXXXX that did not exist. Throws JobError, and leaves the
/// reason in errno.
std::string make_staging_folder(std::string const& path);
/// Opens `path` with `flags` (of open(2)) and writes all of `text`. Throws JobError with `shown`
/// and the reason, which it leaves in errno.
void write_all(std::string const& path, int flags, std::string_view text, std::string const& shown);

} // namespace trireme::cluster
