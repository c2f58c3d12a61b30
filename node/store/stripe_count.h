// What the extents of a volume have in use of each stripe: what its stripe rows should say. Reads
// every extent. Worker thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "node/store/row_table.h"
#include "node/store/stripe.h"

namespace pairfs {

struct CountedStripe {
  Stripe stripe;
  uint64_t blocks = 0;
};
using CountedStripes = std::map<std::pair<SegmentId, uint32_t>, CountedStripe>;

// `problem` gets a sentence for each extent that cannot be understood (it counts for nothing) or
// does not go with the others. Throws RowsUnreadable.
CountedStripes count_stripes(const RowTable& rows, const std::function<void(std::string)>& problem);

}  // namespace pairfs
