// The map store on ZooKeeper, as a MapClient (common/map_store.h). In the ensemble, below
// DIRECTORY:
//   DIRECTORY                     "pairfs map 1 CLUSTER_ID"
//   DIRECTORY/version             counts all changes: its version is the map's version
//   DIRECTORY/records/volume%2F1.0  a record; its version is the node's version plus 1
// A swap is one multi-operation on the record and the counter, so that the copy is consistent when
// the counter was the same before and after reading it. Watches are only hints: the counter is also
// read every 400 ms. A swap whose outcome was lost is sent again, as with the embedded store.
#pragma once

#include "common/map_store.h"

namespace pairfs {

// "zookeeper://HOST[:2181][,HOST...][/DIRECTORY]", DIRECTORY being /pairfs when there is none.
bool is_zookeeper_endpoint(const std::string& endpoint);
// As make_map_client(). Throws std::runtime_error with a sentence when the endpoint is malformed.
std::unique_ptr<MapClient> make_zookeeper_map_client(const std::string& endpoint,
                                                     uint64_t cluster_id);

}  // namespace pairfs
