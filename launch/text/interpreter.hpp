// The Python interpreter inside this program, for the tokenizers library and for Python's csv.
#pragma once
#include <functional>

namespace trireme::launch::text {

/// Starts the interpreter, returns what `work` returns, and ends it. It is the Python of the
/// virtual environment that set-up made; TRIREME_PYTHON names another one. It is isolated: what a
/// module system or conda sets for another Python (PYTHONPATH, PYTHONHOME) and what lies in the
/// home folder does not reach it. Throws InputError for a Python that cannot be used, and JobError
/// for what Python throws in `work`, since that must not outlive the interpreter.
int with_python(std::function<int()> const& work);

} // namespace trireme::launch::text
