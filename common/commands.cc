#include "common/commands.h"

namespace pairfs {

const char* command_name(uint16_t op) {
  const char* name = "Unknown";
  visit_command_type(op, [&]<class C>(std::type_identity<C>) { name = C::kName; });
  return name;
}

bool is_logged(uint16_t op) {
  bool logged = false;
  visit_command_type(op, [&]<class C>(std::type_identity<C>) { logged = C::kKind != Kind::kRead; });
  return logged;
}

}  // namespace pairfs
