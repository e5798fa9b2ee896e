// Files of text, packed or not: their bytes for Python's readers, and their lines.
#pragma once
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <string>

#include "cluster/line_reader.hpp"
#include "launch/text/file_kind.hpp"

namespace trireme::launch::text {

/// Opens a file for reading bytes, which are unpacked on the way: an object of Python's io with a
/// buffer. What it throws is for `refuse_packed`.
pybind11::object open_bytes(std::string const& file, Packing packing);
/// Is it an error of unpacking, and not of whoever reads the bytes?
bool is_of_packing(pybind11::error_already_set const& error);
/// Throws InputError "FILE: what" for a packed file that is cut short, is damaged, or grows beyond
/// measure.
[[noreturn]] void refuse_packed(std::string const& file, Packing packing,
                                pybind11::error_already_set const& error);
/// Throws InputError where the text that was packed is no text in UTF-8, by its first bytes.
void refuse_foreign_content(std::string const& file, pybind11::object const& bytes);

/// The lines of a file of text. A mark of byte order at its beginning is passed over.
class TextLines {
  public:
    /// Throws InputError as LineReader does, and for what cannot be unpacked.
    TextLines(std::string const& file, Packing packing);
    /// The next line without its end; false after the last. Throws InputError.
    bool next(std::string& line);
    /// Number of the line that `next` gave last, from 1.
    std::int64_t number() const { return plain_ ? plain_->number() : number_; }
    /// Did a mark of byte order stand at the beginning? Known after the first line.
    bool marked() const { return marked_; }

  private:
    bool next_packed(std::string& line);

    std::string file_;
    Packing packing_;
    std::unique_ptr<cluster::LineReader> plain_;
    pybind11::object packed_;
    std::int64_t number_ = 0;
    bool marked_ = false;
};

/// Throws InputError for a line that is not UTF-8 and names the command that converts it.
[[noreturn]] void refuse_encoding(std::string const& file, std::int64_t line);
/// Bytes of zero are no text: they are what UTF-16 has beside each letter, and what a crash leaves.
void refuse_zeros(std::string const& text, std::string const& file, std::int64_t line);

} // namespace trireme::launch::text
