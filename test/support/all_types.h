// Every type that travels: the commands, their replies, and the messages beside them.
#pragma once

#include <string>

#include "common/commands.h"
#include "common/link_messages.h"
#include "common/messages.h"

namespace pairfs::test {

// Calls visitor(name, std::type_identity<T>{}) for each: "Rename", "Rename.Reply", "MapRead".
template <class Visitor>
void for_each_wire_type(Visitor&& visitor) {
  for_each_command_type([&]<class C>(std::type_identity<C> command) {
    visitor(std::string(C::kName), command);
    visitor(std::string(C::kName) + ".Reply", std::type_identity<typename C::Reply>{});
  });
  visitor(std::string("ClusterMap"), std::type_identity<ClusterMap>{});
  visitor(std::string("VolumeRecord"), std::type_identity<VolumeRecord>{});
  visitor(std::string("ClusterPolicy"), std::type_identity<ClusterPolicy>{});
  visitor(std::string("LinkMessage"), std::type_identity<LinkMessage>{});
  visitor(std::string("MapRead"), std::type_identity<MapRead>{});
  visitor(std::string("MapReadReply"), std::type_identity<MapReadReply>{});
  visitor(std::string("MapSwap"), std::type_identity<MapSwap>{});
  visitor(std::string("MapSwapReply"), std::type_identity<MapSwapReply>{});
  visitor(std::string("Recall"), std::type_identity<Recall>{});
  visitor(std::string("NodeStatus"), std::type_identity<NodeStatus>{});
  visitor(std::string("RouterStatus"), std::type_identity<RouterStatus>{});
  visitor(std::string("AdminRequest"), std::type_identity<AdminRequest>{});
  visitor(std::string("AdminReply"), std::type_identity<AdminReply>{});
}

}  // namespace pairfs::test
