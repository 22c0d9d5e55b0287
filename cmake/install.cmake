include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(m2_package_dir "${CMAKE_INSTALL_DATADIR}/cmake/m2")
# m2::io has a file of its own, so that m2::m2 can be found without nlohmann-json.
install(TARGETS m2 EXPORT m2Targets FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(TARGETS m2_io EXPORT m2ioTargets)
foreach(export IN ITEMS m2Targets m2ioTargets)
  install(EXPORT ${export} NAMESPACE m2:: DESTINATION "${m2_package_dir}")
endforeach()

configure_package_config_file(cmake/m2Config.cmake.in "${PROJECT_BINARY_DIR}/m2Config.cmake"
                              INSTALL_DESTINATION "${m2_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/m2ConfigVersion.cmake" COMPATIBILITY SameMinorVersion
                                                                               ARCH_INDEPENDENT)
configure_file(cmake/m2.pc.in "${PROJECT_BINARY_DIR}/m2.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/m2Config.cmake" "${PROJECT_BINARY_DIR}/m2ConfigVersion.cmake"
        DESTINATION "${m2_package_dir}")
install(FILES "${PROJECT_BINARY_DIR}/m2.pc" DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")
