#include "launch/text/unicode.hpp"

#include <pybind11/embed.h>

namespace trireme::launch::text {

namespace py = pybind11;

std::string lower(std::string const& text) {
    return py::str(text).attr("lower")().cast<std::string>();
}

std::string squeezed(std::string const& text) {
    py::module_ const unicode = py::module_::import("unicodedata");
    py::list seen;
    for (py::handle const c :
         unicode.attr("normalize")("NFC", text)) // "Cf": of no width, as a mark of byte order
        if (unicode.attr("category")(c).cast<std::string>() != "Cf") seen.append(c);
    return py::str(" ")
        .attr("join")(py::str("").attr("join")(seen).attr("split")())
        .cast<std::string>();
}

} // namespace trireme::launch::text
