# Makes DESTDIR/sbin/mount.fuse.pairfs a link to the installed pairfs-mount. An installation into a
# prefix of one's own, by an ordinary user, goes without.
set(directory "$ENV{DESTDIR}${helper_dir}")
set(link "${directory}/mount.fuse.pairfs")
execute_process(COMMAND mkdir -p "${directory}" ERROR_QUIET)
execute_process(COMMAND ln -sfn "${CMAKE_INSTALL_PREFIX}/bin/pairfs-mount" "${link}"
                RESULT_VARIABLE failed ERROR_VARIABLE words OUTPUT_QUIET)
if(failed)
  message(STATUS "Not installed: ${link} (${words}); mount -t fuse.pairfs and fstab need it")
else()
  message(STATUS "Installing: ${link}")
endif()
