// A VolumeStore made of layers: the active overlay over the frozen one over the base. The layers
// below never see a change before write(); the answer to a read does not depend on where in the
// layers something is.
#pragma once

#include <memory>

#include "node/store/base_store.h"
#include "node/store/volume_store.h"

namespace pairfs {

std::unique_ptr<VolumeStore> make_layered_store(std::shared_ptr<BaseStore> base);

}  // namespace pairfs
