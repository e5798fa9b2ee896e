// Paths as people write them where no shell has read them: in files, and in --option=~/folder.
#pragma once
#include <string>

namespace trireme::cluster {

/// `path` with a leading ~ in place of the home folder, and $NAME and ${NAME} in place of variables
/// of the environment. Throws InputError "FIELD: PATH: ..." for a variable that is not set, and for
/// another user's home (~name).
std::string expand_path(std::string const& field, std::string const& path);

/// Returns " in FOLDER" with the current folder for a relative path that leads nowhere, since
/// whoever reads the message may have written it for another folder; "" for an absolute path.
std::string current_folder_of(std::string const& path);

} // namespace trireme::cluster
