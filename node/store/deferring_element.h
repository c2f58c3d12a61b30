// An element that does not wait for the disk while a volume is being opened. Nothing that an
// opening writes is needed before its first consistency point: until then the log names an older
// opening, and each opening has files of its own. So its syncs are only noted, and made good all at
// once before that consistency point. Any thread. See docs/decisions/0020.
#pragma once

#include <memory>

#include "node/store/element.h"

namespace pairfs {

// Starts deferring. Later syncs wait for the disk again after stop_deferring().
std::unique_ptr<Element> make_deferring_element(std::unique_ptr<Element> element);

}  // namespace pairfs
