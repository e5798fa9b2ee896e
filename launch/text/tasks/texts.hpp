// Texts to tokens, as several tasks need them.
#pragma once
#include <string>
#include <vector>

#include "cluster/error.hpp"
#include "data/loader.hpp"
#include "launch/text/converter.hpp"
#include "launch/text/tasks/options.hpp"
#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

/// Calls encode(rows). The library refuses a batch as a whole, so the row that it means is found by
/// trying one by one, and named.
template <typename Encode>
auto encode_rows(std::vector<Waiting> const& rows, Encode const& encode) {
    try {
        return encode(rows);
    } catch (cluster::InputError const&) {
        for (auto const& row : rows) {
            try {
                static_cast<void>(encode({row}));
            } catch (cluster::InputError const& error) {
                throw cluster::InputError(place_of(row.row) + ": " + error.what());
            }
        }
        throw;
    }
}

/// Tokens of the texts, and of the second ones if there are such. Throws InputError.
std::vector<Encoding> encode_texts(std::vector<Waiting> const& rows, PrepareOptions const& o,
                                   Tokenizer const& tokenizer);

/// Declares --windows, by which a text that is too long becomes several samples instead of one that
/// is cut.
void declare_windows(TaskOptions& options);
/// The number that an option gives, or `usual`: tokens that a window has of the one before. `room`:
/// tokens of a window beside the special ones. Throws InputError.
std::int64_t stride_of(PrepareOptions const& o, std::string const& option, std::int64_t room,
                       std::int64_t usual = 0);
/// Throws InputError where --windows and --pair are given.
void check_windows(PrepareOptions const& o);
/// Tokens of the texts, one entry each; with --windows one for each window of a text, in order.
std::vector<std::vector<Encoding>>
encode_parts(std::vector<Waiting> const& rows, PrepareOptions const& o, Tokenizer const& tokenizer);

/// The options for texts, --text and --pair, and the columns that they name.
void declare_texts(TaskOptions& options);
Columns columns_of_texts(PrepareOptions const& o);

/// Ends a message about a column that no option names: the columns of the first file, where it can
/// be read; else nothing.
std::string columns_there(PrepareOptions const& o);

/// The option for a token that ends texts, --stop, and its id: else the tokenizer's end of text, or
/// -1. Throws InputError.
void declare_stop(TaskOptions& options);
std::int32_t end_token(PrepareOptions const& o, Tokenizer const& tokenizer);

/// Writes the stop token into the generation_config.json of the data, from where it goes into every
/// export: what is generated ends where training said it ends. Other settings are those of the file
/// beside the tokenizer.
void write_stop_token(PrepareOptions const& o, std::int32_t stop);
/// Likewise several, of which the first is scored with references.
void write_stop_tokens(PrepareOptions const& o, std::vector<std::int32_t> const& stops);

/// The first `most` tokens of a sample as people see them: what is read, => what is trained, with
/// the label of the last token behind it.
std::string marked_tokens(Tokenizer const& tokenizer, std::vector<std::int32_t> const& tokens,
                          std::vector<std::int32_t> const& labels, bool color,
                          std::size_t most = SIZE_MAX);

/// "3 of 5 tokens trained".
std::string trained_tokens(data::MicroBatch const& micro_batch, data::Dataset const& set);

} // namespace trireme::launch::text
