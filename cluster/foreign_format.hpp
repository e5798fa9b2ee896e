// Files that are no text, whatever their names say.
#pragma once
#include <string>
#include <string_view>

namespace trireme::cluster {

/// Throws InputError for a file whose first bytes are those of an archive, of a spreadsheet, of
/// another format for tables or documents, or of UTF-16: says what it is, and how text is made of
/// it. Only a regular file is looked into; what cannot be read
/// says nothing: whoever reads it says so.
void refuse_foreign_format(std::string const& file);
/// Likewise of bytes with which a file begins once it is unpacked.
void refuse_foreign_bytes(std::string const& file, std::string_view bytes);
/// Returns the first bytes of a regular file; none of a pipe, which would lose them.
std::string first_bytes(std::string const& file);

} // namespace trireme::cluster
