// Questions and their contexts to the windows that a model reads.
#pragma once
#include <memory>

#include "launch/text/converter.hpp"
#include "launch/text/prepare.hpp"

namespace trireme::launch::text {

/// Makes samples of rows whose text is a question, pair its context, and structured its id and its
/// answers, each {"text", "start", "end"} in characters of the context. Arguments must outlive it.
/// Throws InputError.
std::unique_ptr<RowConverter> question_windows(PrepareOptions const& o, Tokenizer const& tokenizer);

} // namespace trireme::launch::text
