#include "launch/text/interpreter.hpp"

#include <pybind11/embed.h>

#include <cstdlib>
#include <string>

#include "cluster/error.hpp"

namespace trireme::launch::text {

namespace {

void configure(PyConfig& config) {
    char const* const asked = std::getenv("TRIREME_PYTHON");
    PyConfig_InitIsolatedConfig(&config);
    PyStatus const status = PyConfig_SetBytesString(&config, &config.executable,
                                                    asked ? asked : TRIREME_DEFAULT_PYTHON);
    if (PyStatus_Exception(status))
        throw cluster::InputError(std::string("TRIREME_PYTHON: ") +
                                  (asked ? asked : TRIREME_DEFAULT_PYTHON) +
                                  ": not the path of a Python; legal: unset, or the bin/python3 of "
                                  "an environment with requirements.txt of launch/");
}

} // namespace

int with_python(std::function<int()> const& work) {
    setenv("TOKENIZERS_PARALLELISM", "true", 0);
    // a panic of the library is an exception here, and told as one
    setenv("RUST_BACKTRACE", "0", 1);
    PyConfig config;
    configure(config);
    pybind11::scoped_interpreter const python(&config, 0, nullptr, false);
    try {
        return work();
    } catch (pybind11::error_already_set const& error) {
        throw cluster::JobError(std::string(pybind11::str(error.value())));
    }
}

} // namespace trireme::launch::text
