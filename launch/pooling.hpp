// The option --pooling of commands that read documents in windows.
#pragma once
#include <fmt/format.h>

#include <string>

#include "cluster/error.hpp"
#include "framework/evaluation/section.hpp"

namespace trireme::launch {

/// Throws InputError for a name that there is not.
inline framework::evaluation::Pooling pooling_named(std::string const& name) {
    if (name == "mean") return framework::evaluation::Pooling::mean;
    if (name == "max") return framework::evaluation::Pooling::max;
    throw cluster::InputError(
        fmt::format("--pooling: {}: legal: mean, max", cluster::one_line(name)));
}

} // namespace trireme::launch
